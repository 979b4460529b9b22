"""Who sends a submission: the signed-in user where there is sign-in, else the name that the sender enters."""

import os

from zoo import gate
from zoo.gate.callers import NotSignedIn, on_space

__all__ = ["can_sign_in", "on_space", "proved", "sender"]


def can_sign_in() -> bool:
    """Return whether the Space has sign-in: `hf_oauth: true` in its README makes the Hub set this."""
    return on_space() and bool(os.environ.get("OAUTH_CLIENT_ID"))


def sender(said: str) -> str:
    """Return the name of the caller.

    Args:
        said: the name that they enter, which counts only without sign-in.

    Raises:
        NotSignedIn: sign-in is required, and the caller is not signed in.
    """
    caller = gate.caller()
    if not caller.must_prove:
        return said
    if caller.user is None:
        raise NotSignedIn()
    return caller.user


def proved() -> str:
    """Return the verified user; "" for a caller without sign-in, who needs a receipt's secret."""
    caller = gate.caller()
    return (caller.user or "") if caller.must_prove else ""
