"""The door of the Space: every HTTP request passes it, and routes that are not listed here are closed."""

import json
from collections.abc import Callable

from starlette.responses import JSONResponse

from zoo import gate
from zoo.errors import ZooError
from zoo.gate.uploads import UPLOADS, NotYours

API = "/gradio_api"
FILES = f"{API}/file=", f"{API}/file/"  # routes that show a file


class Door:
    """Middleware in front of Gradio's application.

    Args:
        app: Gradio's.
        blocks: whose functions are called.
        agents: answers at /gradio_api/mcp.
    """

    def __init__(self, app: Callable, blocks, agents: Callable):
        self._app, self._blocks, self._agents = app, blocks, agents

    async def __call__(self, scope, receive, send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].rstrip("/") or "/"
        if path in (f"{API}/mcp", f"{API}/mcp/http", f"{API}/mcp/schema"):
            await self._agents(scope, receive, send)
        elif path == f"{API}/upload":
            await self._app(scope, receive, _noting(send, gate.Caller.of(scope)))
        elif UPLOADS.hidden(_file(path), gate.Caller.of(scope)):
            await refused(NotYours(), 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _file(path: str) -> str:
    """Return the path of the server's file that a route shows; empty for other routes."""
    return next((path[len(start) :] for start in FILES if path.startswith(start)), "")


def _noting(send: Callable, caller: gate.Caller) -> Callable:
    """Return a `send` that remembers whose the uploaded files are that an answer lists."""
    body = bytearray()

    async def noted(message) -> None:
        if message["type"] == "http.response.body":
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                try:
                    paths = json.loads(bytes(body))
                except ValueError:
                    paths = []
                UPLOADS.note(paths if isinstance(paths, list) else [], caller)
        await send(message)

    return noted


def refused(error: ZooError, status: int = 400) -> JSONResponse:
    """Return an answer with the sentence of an error."""
    return JSONResponse({"detail": str(error)}, status)
