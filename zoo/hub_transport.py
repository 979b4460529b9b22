"""The HTTP client of `huggingface_hub`, with bounds on what the Hub sends, and with the names in it checked.

with hub_transport.bounded(20.0, 2_000_000, "me/net"):
    ...  # all that this thread asks of the Hub

A timeout of the client is for one read, so a Hub that sends a byte now and then never meets it. Here the deadline is
kept where bytes arrive: it holds for headers, redirects, retries and pages of a listing too. `keep` does the same for
a client that is not the Hub's.
"""

import contextlib
import math
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.errors import ZooError

if TYPE_CHECKING:
    from huggingface_hub.utils import httpx

PIECE = 16_384  # bytes that are sent at once: the deadline holds between them


class OutOfBounds(ZooError):
    """The Hub took too long, or sent too much."""


@dataclass
class _Bound:
    """What the Hub may still take of a block of code."""

    about: str
    seconds: float
    deadline: float
    most_bytes: int
    received: int = 0

    def left(self) -> float:
        """Return the seconds that are left; raise OutOfBounds when there are none."""
        if (remaining := self.deadline - time.monotonic()) > 0:
            return remaining
        raise OutOfBounds(f"{self.about}: the Hub did not answer within {self.seconds:.0f} s. Try again later.")

    def count(self, received: int) -> None:
        """Count bytes; raise OutOfBounds when there are too many."""
        self.received += received
        if self.received > self.most_bytes:
            raise OutOfBounds(f"{self.about}: the Hub sent more than {self.most_bytes / 1e6:.1f} MB, the most.")


_bound: ContextVar[_Bound | None] = ContextVar("bound", default=None)
Current = Callable[[], _Bound | None]  # the bound that holds for this thread now


@contextlib.contextmanager
def bounded(seconds: float, most_bytes: int, about: str) -> Iterator[None]:
    """Bound all that this thread asks of the Hub within a block; a block within it has no later deadline.

    Args:
        seconds: until the last byte of the last answer.
        most_bytes: of all answers, as they are sent, with their headers; a block within it counts its own.
        about: what the sentence of an error is to name.

    Raises:
        OutOfBounds: at the first byte beyond.
    """
    prepare()
    outer, deadline = _bound.get(), time.monotonic() + seconds
    if outer and outer.deadline < deadline:
        seconds, deadline = outer.seconds, outer.deadline
    token = _bound.set(_Bound(about, seconds, deadline, most_bytes))
    try:
        yield
    finally:
        _bound.reset(token)


_lock = threading.Lock()
_prepared = False


def prepare() -> None:
    """Have the client of `huggingface_hub` keep to bounds and check names: once, for all requests to come."""
    global _prepared
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import _http

    with _lock:
        if _prepared:
            return
        constants.HF_HUB_DISABLE_XET = True  # hf_xet opens connections of its own, which no bound reaches
        make = _http._GLOBAL_CLIENT_FACTORY  # the user's own, where there is one

        def client() -> "httpx.Client":
            made = make()
            _bind(made, _bound.get)
            made.event_hooks["response"].append(_check_names)
            return made

        set_client_factory(client)
        _prepared = True


def keep(client: "httpx.Client", seconds: float, most_bytes: int, about: str) -> None:
    """Bound all that a client is asked from now on, by whatever threads; a block of `bounded` has its own bounds.

    Args:
        client: not yet bounded; its connections are closed, so that each is opened within the bounds.
        seconds: until the last byte of the last answer.
        most_bytes: of all answers outside of such blocks, as they are sent, with their headers.
        about: what the sentence of an error is to name.
    """
    own = _Bound(about, seconds, time.monotonic() + seconds, most_bytes)
    _bind(client, lambda: _bound.get() or own)


def _bind(client: "httpx.Client", current: Current) -> None:
    """Have a client keep to the bound that holds when it is used."""

    def asks(request: "httpx.Request") -> None:
        """Wait no longer for a connection either, and take no answer that is unpacked to many bytes."""
        if bound := current():
            left, timeouts = bound.left(), request.extensions.get("timeout", {})
            request.extensions["timeout"] = {
                part: min(left, math.inf if timeouts.get(part) is None else timeouts[part])
                for part in ("connect", "read", "write", "pool")
            }
            request.headers["Accept-Encoding"] = "identity"

    def answers(answer: "httpx.Response") -> None:
        """Refuse what would be unpacked, and do not let the client sleep beyond the deadline."""
        if bound := current():
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise ZooError(f"{answer.url.host} sent a packed answer, though it was asked not to.")
            asked = answer.headers.get("Retry-After", "0")
            if not (asked.isdecimal() and len(asked) < 9 and float(asked) < bound.left()):
                del answer.headers["Retry-After"]
            answer.headers.pop("RateLimit", None)

    client.event_hooks["request"].append(asks)
    client.event_hooks["response"].append(answers)
    for transport in (client._transport, *client._mounts.values()):
        if (pool := getattr(transport, "_pool", None)) is not None:
            pool.close()
            pool._network_backend = _Backend(pool._network_backend, current)


def _check_names(answer: "httpx.Response") -> None:
    """Check what names folders and files of the cache where it arrives: the ETag of a file and the commit of a repo.

    huggingface_hub takes them as they are.
    """
    from huggingface_hub import constants

    def check(name: Any) -> None:
        if name is not None and not re.fullmatch(r'(W/)?"?(?!\.)[\w+=:.-]{0,200}"?', str(name)):
            raise ZooError(f"{answer.url.host} calls a file or a commit {str(name)[:80]!r}: that is no name.")

    parse = answer.json

    def json(**how: Any) -> Any:
        said = parse(**how)
        check(said.get("sha") if isinstance(said, dict) else None)
        return said

    answer.json = json  # whatever type the Hub says that its answer has
    names = "ETag", constants.HUGGINGFACE_HEADER_X_LINKED_ETAG, constants.HUGGINGFACE_HEADER_X_REPO_COMMIT
    for name in names:
        check(answer.headers.get(name))


@contextlib.contextmanager
def _seconds(bound: _Bound | None, timeout: float | None) -> Iterator[float | None]:
    """Give the seconds that one operation on a connection may take; OutOfBounds where the deadline ended it."""
    if bound is None:
        yield timeout
        return
    left = bound.left()
    try:
        yield left if timeout is None else min(left, timeout)
    except Exception:
        bound.left()
        raise


def _addresses(host: str, port: int) -> int:
    """Return how many addresses a name has; httpcore's ConnectError where it cannot be looked up."""
    import httpcore

    try:
        return len(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error


class _Backend:
    """Opens connections that keep to the bounds of whoever uses them; as httpcore's `NetworkBackend`."""

    def __init__(self, backend: Any, current: Current):
        self._backend, self._current = backend, current

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **more: Any) -> "_Stream":
        with _seconds(bound := self._current(), timeout) as seconds:
            if bound and seconds:
                seconds /= max(_addresses(host, port), 1)
            return _Stream(self._backend.connect_tcp(host, port, seconds, **more), self._current)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


class _Stream:
    """One connection; as httpcore's `NetworkStream`."""

    def __init__(self, stream: Any, current: Current):
        self._stream, self._current = stream, current

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _seconds(bound := self._current(), timeout) as seconds:
            data: bytes = self._stream.read(max_bytes, seconds)
        if bound:
            bound.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), PIECE):
            with _seconds(self._current(), timeout) as seconds:
                self._stream.write(buffer[start : start + PIECE], seconds)

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> "_Stream":
        with _seconds(self._current(), timeout) as seconds:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._current)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
