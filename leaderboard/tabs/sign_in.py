"""Who sends a submission: on a Space the one who is signed in there, elsewhere whoever they say they are."""

import os
import time

import gradio as gr
from gradio.utils import get_space

from leaderboard.submissions.store import user_of_token
from zoo.errors import ZooError


def on_space() -> bool:
    """Whether this is a Space of the Hub, where people sign in."""
    return bool(get_space())


def can_sign_in() -> bool:
    """Whether the Space has sign-in: `hf_oauth: true` in its README makes the Hub set this."""
    return on_space() and bool(os.environ.get("OAUTH_CLIENT_ID"))


def sender(request: gr.Request | None, said: str) -> str:
    """Return who asks.

    Args:
        request: what came in.
        said: who they say they are, which counts only where nobody can sign in.

    Raises:
        ZooError: this is a Space, and nobody is signed in.
    """
    if not on_space():
        return said
    if name := signed_in(request):
        return name
    if token := _token(request):
        return user_of_token(token)
    raise ZooError(
        "Sign in with Hugging Face first. From a program, send a token of yours with the request: one without any "
        "permission is enough, it only says who you are."
    )


def signed_in(request: gr.Request | None) -> str | None:
    """Return the user of the session that Gradio's sign-in keeps in a signed cookie; None if there is none."""
    scope = getattr(getattr(request, "request", None), "scope", None) or {}
    info = (scope.get("session") or {}).get("oauth_info") or {}
    if info.get("expires_at", 0) < time.time():
        return None
    return (info.get("userinfo") or {}).get("preferred_username")


def _token(request: gr.Request | None) -> str | None:
    """Return the token that a client sent along; the Hub's proxy keeps `authorization` for itself."""
    headers = getattr(request, "headers", None) or {}
    sent = headers.get("x-hf-authorization") or headers.get("authorization") or ""
    scheme, _, token = sent.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip().startswith("hf_") else None
