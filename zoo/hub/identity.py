"""Look up the user of a token on the Hub."""

import hashlib
import hmac
import threading
import time

from zoo.errors import ZooError
from zoo.hub.failures import Backoff, as_zoo_error, attempted, reason_of
from zoo.hub_transport import bounded

SECONDS, MOST_BYTES = 10.0, 1_000_000  # of what the Hub says of a token
REMEMBERED = 300.0  # seconds: for as long, a token that was revoked still says who its user is
MOST_REMEMBERED = 10_000
OF_A_USER = "access_token"  # the Hub's name for a token that a user made, and no app
_users: dict[str, tuple[str, float]] = {}  # by the hash of a token: its user, and when the Hub said so
_lock = threading.Lock()


def account(patience: float = 3.0) -> str | None:
    """Return whose token is used on the Hub, as the Hub says; None where there is no token.

    Args:
        patience: seconds.

    Raises:
        ZooError: the Hub cannot be reached, or does not know the token.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx

    known = get_token() is not None
    address = f"{constants.ENDPOINT}/api/{'whoami-v2' if known else 'models?limit=1'}"
    try:
        with bounded(patience, MOST_BYTES, constants.ENDPOINT):
            answer = get_session().get(address, headers=build_hf_headers())
        if known:  # to anybody, any answer will do
            hf_raise_for_status(answer)
    except HfHubHTTPError as error:
        raise as_zoo_error(error, constants.ENDPOINT) from error
    except (OfflineModeIsEnabled, httpx.TransportError) as error:
        raise ZooError(f"The Hub cannot be reached ({reason_of(error)}).") from error
    return answer.json()["name"] if known else None


class OfAnApp(ZooError):
    """A token that somebody else may hold: an app that a user signed in to, such as another Space, or an organization.

    The Hub does not say which app, so none counts.
    """

    def __init__(self) -> None:
        super().__init__(
            "This token does not prove who you are: an app that you signed in to may hold it too. Send an access token "
            "that you made yourself at huggingface.co/settings/tokens; it needs no permission."
        )


def user_of_token(token: str) -> str:
    """Return whose token this is, as the Hub says; the token is used for that alone and not kept.

    Raises:
        OfAnApp: it is not one that a user made.
        ZooError: the Hub cannot be reached, or does not accept the token.
    """
    from huggingface_hub import HfApi

    if not token.isascii():
        raise ZooError("The Hub does not accept the token that was sent: a token is letters and digits.")
    patience = Backoff(attempts=2, first=0.5, longest=1.0)
    about = "The token that was sent"
    with bounded(SECONDS, MOST_BYTES, about):
        said = attempted(HfApi(token=token).whoami, about, patience)
    auth = said.get("auth")
    if said.get("type") != "user" or not isinstance(auth, dict) or auth.get("type") != OF_A_USER:
        raise OfAnApp()
    name: str = said["name"]
    with _lock:
        if len(_users) >= MOST_REMEMBERED:
            _users.clear()
        _users[_hash(token)] = name, time.monotonic()
    return name


def remembered(token: str) -> str | None:
    """Return whose token this is, as the Hub said within `REMEMBERED` seconds; its hash is kept, not the token."""
    name, when = _users.get(_hash(token), ("", 0.0))
    return name if name and time.monotonic() - when < REMEMBERED else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def is_own(token: str) -> bool:
    """Return whether this is the token with which this process itself speaks to the Hub."""
    from huggingface_hub import get_token

    own = get_token()
    return own is not None and hmac.compare_digest(own.encode(), token.encode())
