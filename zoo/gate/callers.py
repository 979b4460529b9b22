"""Who calls: a user of the Hub, proved by a sign-in or a token, or somebody unknown; and from which address.

Only what came with the call itself counts as proof. The server's own token never does.
"""

import contextlib
import hashlib
import ipaddress
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import parse_qs

from zoo.errors import ZooError
from zoo.types import Facts

SIGN_IN = (
    "Sign in with Hugging Face first. From a program, send a token of yours with the request: one without any "
    "permission is enough, it only says who you are."
)


NOWHERE = "nowhere"  # the address of who calls from this process, such as a worker
SENDERS = 48  # bits of an IPv6 address that count for what is sent: a customer of a provider gets so large a network
SIGNED_IN = "/login/callback"  # where the Hub sends who signed in
OF_STRANGERS = 0.5  # of what an address may send, for the pages of other sites that its readers have open
OWN_COOKIE = re.compile(rb"(?:^|;)\s*(session=[\w.=+/-]{1,4000})\s*(?=;|$)")  # of the sign-in, as it is signed

Headers = list[tuple[bytes, bytes]]


class NotSignedIn(ZooError):
    """A call that takes a proved user, by somebody unknown."""

    def __init__(self) -> None:
        super().__init__(SIGN_IN)


def on_space() -> bool:
    """Return whether this is a Space of the Hub, where people sign in."""
    return os.environ.get("SYSTEM") == "spaces" and bool(os.environ.get("SPACE_ID"))


@dataclass(frozen=True)
class Caller:
    """Who calls.

    address: of the network, for limits.
    signed_in: the user of the session that the sign-in keeps in a signed cookie.
    token: of the Hub, sent with this call.
    agent: whether the call came through MCP.
    stranger: whether a page of another site sends it, as the browser says: its reader may know nothing of it. One
        who comes back from the Hub at the end of a sign-in is no stranger.
    """

    address: str = NOWHERE
    signed_in: str | None = None
    token: str | None = None
    agent: bool = False
    stranger: bool = False

    @classmethod
    def of(cls, scope: Facts, agent: bool = False) -> "Caller":
        """Return the caller of an HTTP request.

        Args:
            scope: of the request, as ASGI has it.
            agent: whether it came through MCP, where no cookie counts.
        """
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope.get("headers") or ()}
        stranger = not from_own_page(scope.get("headers") or ()) and not _comes_back(scope)
        return cls(_address(scope, headers), None if agent else _signed_in(scope), _token(headers), agent, stranger)

    @property  # not a cached one: until Python 3.12, all callers would wait for the one whose token is looked up
    def user(self) -> str | None:
        """Who the caller proved to be; None for somebody unknown. The Hub is asked whose token it is.

        Raises:
            ZooError: the Hub does not accept the token, or cannot be reached.
            TooMany: too many tokens are being looked up.
        """
        if self.signed_in or self.token is None:
            return self.signed_in
        from zoo.hub import identity

        if on_space() and identity.is_own(self.token):
            raise ZooError("This token belongs to the Space itself, so it proves nothing: send another one of yours.")
        from zoo.gate import limits, traffic

        if known := identity.remembered(self.token):
            return known
        with traffic.LOOK_UPS.taken(self.network):
            return limits.checked_token(self, identity.user_of_token)

    @property
    def known(self) -> bool:
        """Whether the call came from an address."""
        return self.address != NOWHERE

    @property
    def network(self) -> str:
        """What counts as one sender for limits: an address, or all pages of other sites that its readers have open.

        These count apart, so that they take nothing from what the readers themselves send.
        """
        network = network_of(self.address)
        return f"{network}, other sites" if self.stranger else network

    @property
    def sender(self) -> str:
        """As whom a submission counts: the address, or all pages of other sites, as of `network`."""
        return f"{network_of(self.address, SENDERS)}, other sites" if self.stranger else self.address

    @property
    def share(self) -> float:
        """How much of the limits of an address counts for this caller."""
        return OF_STRANGERS if self.stranger else 1.0

    @property
    def must_prove(self) -> bool:
        """Whether writing takes a proved user: on a Space always, elsewhere through MCP and from other sites."""
        return on_space() or self.agent or self.stranger

    @property
    def marks(self) -> frozenset[str]:
        """What two calls of one caller have in common, without asking the Hub."""
        token = self.token and hashlib.sha256(self.token.encode()).hexdigest()
        found = {"address": self.address, "user": self.signed_in, "token": token}
        return frozenset(f"{kind} {value}" for kind, value in found.items() if value)


def network_of(address: str, bits: int = 64) -> str:
    """Return what counts as one address: of IPv6 the first bits, since everybody has at least 64 of their own."""
    try:
        found = ipaddress.ip_address(address.strip())
    except ValueError:
        return address[:100]
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.ip_network((found, bits), strict=False))
    return str(found)


def _address(scope: Facts, headers: Mapping[str, str]) -> str:
    """Return the address of the client.

    Proxies append to `x-forwarded-for` whom they answer, so the last public address is true even where the client
    wrote others in front of it. Off a Space, the header could be the client's own, so it does not count.
    """
    peer = (scope.get("client") or ("nowhere",))[0]
    if not on_space():
        return peer
    for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
        try:
            found = ipaddress.ip_address(re.sub(r"^\[(.*)\](:\d+)?$|^([\d.]+):\d+$", r"\1\3", hop.strip()))
        except ValueError:
            break  # what stands before it, the client may have written
        if found.is_global:
            return str(found)
    return peer


def from_own_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request comes from a page of this server, or from no page, as far as its browser says.

    Browsers tell a server without HTTPS, unless it is on their own machine, nothing but the origin.

    Args:
        headers: names in lower case, and values.
    """
    said = dict(headers)
    site, origin = said.get(b"sec-fetch-site"), said.get(b"origin")
    if site is not None:
        return site in (b"same-origin", b"none")
    return origin is None or origin.rpartition(b"/")[2] == said.get(b"host")


def _comes_back(scope: Facts) -> bool:
    """Return whether the Hub sends somebody back who began to sign in here: their cookie names the sign-in's state."""
    if scope.get("path") != SIGNED_IN:
        return False
    (state, *_) = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("state", [""])
    return bool(state) and f"_state_huggingface_{state}" in _object(scope.get("session"))


def own_cookies(headers: Headers, path: str) -> Headers:
    """Return the fields of a request with no cookie but that of a sign-in, and that only from the Space's own pages.

    So a page of another site learns nothing of who visits it, and signs nobody out. Only the Hub may send somebody back
    with it, at the end of a sign-in. What else calls itself a cookie is dropped unread: Python before 3.11.10 parses
    one in a time that grows with its length squared (CVE-2024-7592).

    Args:
        headers: names in lower case, and values.
        path: of the request.
    """
    sent: list[bytes] = []
    if on_space() and (from_own_page(headers) or path == SIGNED_IN):
        cookies = (value for name, value in headers if name == b"cookie")
        sent = [found[1] for value in cookies for found in OWN_COOKIE.finditer(value)]
    kept = [(name, value) for name, value in headers if name != b"cookie"]
    return [*kept, (b"cookie", sent[0])] if sent else kept


def _signed_in(scope: Facts) -> str | None:
    """Return the user of the session, which `own_cookies` let through."""
    if not (on_space() and os.environ.get("OAUTH_CLIENT_SECRET")):  # without it, the cookie is signed with a known key
        return None
    info = _object(_object(scope.get("session")).get("oauth_info"))
    expires, user = info.get("expires_at"), _object(info.get("userinfo")).get("preferred_username")
    if not isinstance(expires, (int, float)) or expires < time.time() or _mark(info) in _signed_out:
        return None
    return user if isinstance(user, str) else None


_signed_out: dict[bytes, float] = {}  # hashes of sessions that were signed out, and until when they would have lasted
_lock = threading.Lock()


def sign_out(scope: Facts) -> None:
    """End the session of an HTTP request: its cookie, which somebody may have copied, signs in nobody any more.

    This process remembers it for as long as the cookie would have lasted.
    """
    info = _object(_object(scope.get("session")).get("oauth_info"))
    expires = info.get("expires_at")
    if not isinstance(expires, (int, float)) or expires < (now := time.time()):
        return
    with _lock:
        for ended in [mark for mark, until in _signed_out.items() if until < now]:
            del _signed_out[ended]
        _signed_out[_mark(info)] = expires


def _mark(info: Facts) -> bytes:
    return hashlib.sha256(json.dumps(info, sort_keys=True).encode()).digest()


def _object(value: object) -> Facts:
    """Return a JSON object, an empty one in place of anything else: a session may be from another version."""
    return value if isinstance(value, dict) else {}


def _token(headers: Mapping[str, str]) -> str | None:
    """Return the token that a client sent along; the Hub's proxy keeps `authorization` for itself."""
    sent = headers.get("x-hf-authorization") or headers.get("authorization") or ""
    scheme, _, token = sent.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip().startswith("hf_") else None


_NOBODY = Caller()
_CALLER: ContextVar[Caller] = ContextVar("caller", default=_NOBODY)
_LISTENING: ContextVar[Callable[[], bool]] = ContextVar("listening", default=lambda: True)


def caller() -> Caller:
    """Return the caller of what runs now."""
    return _CALLER.get()


def listening() -> bool:
    """Return whether the caller of what runs now still waits for the answer, as far as that is known."""
    return _LISTENING.get()()


def goes_on_for(who: Caller) -> None:
    """Let the task that runs now, and those that it starts from now on, run on behalf of a caller."""
    _CALLER.set(who)


@contextlib.contextmanager
def entered(who: Caller, listening: Callable[[], bool] = lambda: True) -> Iterator[Caller]:
    """Run a block on behalf of a caller; threads that it starts through anyio or asyncio know it too.

    Args:
        who: the caller.
        listening: whether they still wait for the answer.
    """
    tokens = _CALLER.set(who), _LISTENING.set(listening)
    try:
        yield who
    finally:
        _CALLER.reset(tokens[0])
        _LISTENING.reset(tokens[1])
