"""Signing in with Hugging Face: bounds for Gradio's own routes, which answer in the event loop and ask the Hub."""

import contextlib
import functools
import re
import ssl
from collections.abc import Iterator
from typing import Any

import anyio

from zoo.gate.traffic import Share

SIGN_OUT = "/logout"
STARTS = "/login/huggingface"
ASKING = rf"{STARTS}|/login/callback"  # routes that may ask the Hub
ROUTES = rf"{ASKING}|{SIGN_OUT}"
SIGN_INS = Share("sign-ins", 2, 16)  # that begin or end at a time
SECONDS = 20.0  # that the Hub may take for one


@contextlib.contextmanager
def bounded(path: str, network: str) -> Iterator[None]:
    """Run a block that answers a request; one of `ASKING` holds a place, and ends after `SECONDS`.

    Raises:
        TooMany: no place is left.
        TimeoutError: the Hub took too long.
    """
    if not re.fullmatch(ASKING, path):
        yield
        return
    with SIGN_INS.taken(network), anyio.fail_after(SECONDS):
        yield


def load_certificates_once() -> None:
    """Let all sign-ins share the certificates: each would load them again, 60 to 140 ms of the event loop."""
    from authlib.integrations.httpx_client import AsyncOAuth2Client
    from authlib.integrations.starlette_client import StarletteOAuth2App

    class Client(AsyncOAuth2Client):
        def __init__(self, *args: Any, **options: Any):
            super().__init__(*args, **{"verify": _certificates(), **options})

    StarletteOAuth2App.client_cls = Client


def log_no_addresses() -> None:
    """Stop Gradio from printing, at each sign-in, where its visitor comes from and goes to."""
    from gradio import oauth

    vars(oauth)["print"] = lambda *said: None


@functools.cache
def _certificates() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()
