"""Gradio's own scripts and styles, each compressed once: Gradio does it for every request, while all others wait."""

import asyncio
import gzip

from anyio import to_thread
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo import gate
from zoo.gate import limits

FILES = r"/(assets|static|svelte)(/(?!\.+/)[\w.@+-]+)+"  # a file has one name: no empty part, no "." and no ".."
TEXTS = (".js", ".css", ".json", ".svg", ".html", ".txt")  # fonts and pictures are compressed already
MOST_KEPT = 50_000_000  # bytes; more than all of Gradio's
ASKED = (b"accept-encoding", b"range", b"if-none-match", b"if-modified-since", b"if-range")


class StaticFiles:
    """Middleware in front of Gradio's application for `FILES`.

    Args:
        app: Gradio's.
    """

    def __init__(self, app: ASGIApp):
        self._app = app
        self._kept: dict[str, tuple[bytes, dict[str, str]]] = {}  # by path: content and fields of the answer
        self._packing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            TooMany: the caller's address was sent too many bytes within a minute.
        """
        path = scope["path"]
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
        """Have Gradio answer, and keep the answer, compressed, if there is such a file."""
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
        if sum(len(kept) for kept, _ in self._kept.values()) + len(content) <= MOST_KEPT:
            fields.pop("content-length", None)
            fields |= {"content-encoding": "gzip", "vary": "Accept-Encoding"}
            self._kept[scope["path"]] = content, fields
