"""Who sends a submission: where people sign in, whoever is proved to ask; elsewhere whoever they say they are."""

import os

from zoo import gate
from zoo.errors import ZooError
from zoo.gate.callers import SIGN_IN, on_space

__all__ = ["can_sign_in", "on_space", "proved", "sender"]


def can_sign_in() -> bool:
    """Return whether the Space has sign-in: `hf_oauth: true` in its README makes the Hub set this."""
    return on_space() and bool(os.environ.get("OAUTH_CLIENT_ID"))


def sender(said: str) -> str:
    """Return the name of the caller.

    Args:
        said: who they say they are, which counts only where nobody needs to prove it.

    Raises:
        ZooError: the caller must prove who they are, and did not.
    """
    caller = gate.caller()
    if not caller.must_prove:
        return said
    if caller.user is None:
        raise ZooError(SIGN_IN)
    return caller.user


def proved() -> str:
    """Return who the caller proved to be; "" for somebody who only says who they are, and needs a receipt's secret."""
    caller = gate.caller()
    return (caller.user or "") if caller.must_prove else ""
