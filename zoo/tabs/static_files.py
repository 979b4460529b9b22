"""Gradio's own scripts and styles, each compressed once: Gradio does it for every request, while all others wait."""

import asyncio
import functools
import gzip
from collections.abc import Iterable
from pathlib import Path

import gradio
from anyio import to_thread
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo import gate
from zoo.gate import limits
from zoo.rest.problem_details import NotFound

FRONTEND = Path(gradio.__file__).parent / "templates" / "frontend"
FILES = r"/(assets|static)(/(?!\.+/)[\w.@+-]+)+"  # a file has one name: no empty part, no "." and no ".."
TEXTS = (".js", ".css", ".json", ".svg", ".html", ".txt")  # fonts and pictures are compressed already
ASKED = (b"accept-encoding", b"range", b"if-none-match", b"if-modified-since", b"if-range")


class StaticFiles:
    """Middleware in front of Gradio's application for `FILES`.

    Args:
        app: Gradio's.
        paths: of all files that there are; others are refused before anybody waits for them.
    """

    def __init__(self, app: ASGIApp, paths: Iterable[str]):
        self._app, self._paths = app, frozenset(paths)
        self._kept: dict[str, tuple[bytes, dict[str, str]]] = {}  # by path: content and fields of the answer
        self._packing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            TooMany: the caller's address was sent too many bytes within a minute.
            NotFound: there is no such file.
        """
        path = scope["path"]
        if path not in self._paths:
            raise NotFound("There is nothing at this address.")
        if path not in self._kept and scope["method"] == "GET" and path.endswith(TEXTS):
            async with self._packing:  # the first who asks waits for it, and so do all who ask meanwhile
                if path not in self._kept:
                    await self._keep(scope, receive)
        kept = self._kept.get(path)
        if kept is None:
            await self._app(scope, receive, send)
            return
        content, fields = kept
        asked = dict(scope["headers"]).get(b"if-none-match", b"").decode("latin-1")
        same = bool(asked) and fields.get("etag", "").removeprefix("W/") in asked
        if not same:
            limits.check_files(gate.caller(), len(content))
        await Response(b"" if same else content, 304 if same else 200, fields)(scope, receive, send)

    async def _keep(self, scope: Scope, receive: Receive) -> None:
        """Have Gradio answer, and keep the answer, compressed."""
        parts: list[bytes] = []
        fields: dict[str, str] = {}
        found = False

        async def collect(message: Message) -> None:
            nonlocal found
            if message["type"] == "http.response.start":
                found = message["status"] == 200
                fields.update((name.decode().lower(), value.decode("latin-1")) for name, value in message["headers"])
            elif found:
                parts.append(message.get("body", b""))

        whole = [field for field in scope["headers"] if field[0] not in ASKED]
        await self._app({**scope, "headers": whole, "extensions": {}}, receive, collect)
        if not found:
            return
        content = await to_thread.run_sync(lambda: gzip.compress(b"".join(parts), mtime=0))
        fields.pop("content-length", None)
        fields |= {"content-encoding": "gzip", "vary": "Accept-Encoding"}
        self._kept[scope["path"]] = content, fields


@functools.cache
def paths() -> frozenset[str]:
    """Return the addresses of all files of Gradio's own page."""
    found = (path for folder in ("assets", "static") for path in (FRONTEND / folder).rglob("*") if path.is_file())
    return frozenset(f"/{path.relative_to(FRONTEND).as_posix()}" for path in found)
