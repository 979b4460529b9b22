"""Gradio's page, scripts and styles, each made once: Gradio does it for every request, while all others wait."""

import asyncio
import functools
import gzip
import re
from collections.abc import Iterable
from pathlib import Path

import gradio
from anyio import to_thread
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo import gate
from zoo.errors import ZooError
from zoo.gate import limits
from zoo.rest.problem_details import NotFound

FRONTEND = Path(gradio.__file__).parent / "templates" / "frontend"
FILES = r"/(assets|static)(/(?!\.+/)[\w.@+-]+)+"  # a file has one name: no empty part, no "." and no ".."
PAGES = "/|/config"
TEXTS = (".js", ".css", ".json", ".svg", ".html", ".txt")  # fonts and pictures are compressed already
NOWHERE = b"host.invalid"  # stands where the host of a request goes
HOST = re.compile(rb"([\w.-]{1,253}|\[[\da-fA-F:.]{2,45}\])(:\d{1,5})?")
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
        whole = [field for field in scope["headers"] if field[0] not in ASKED]
        found = await _answer(self._app, {**scope, "headers": whole}, receive)
        if found is None:
            return
        content, fields = found
        packed = await to_thread.run_sync(lambda: gzip.compress(content, mtime=0))
        self._kept[scope["path"]] = packed, {**fields, "content-encoding": "gzip", "vary": "Accept-Encoding"}


class Pages:
    """Middleware in front of Gradio's application for its page and the configuration of it, each made once.

    They are the same for everybody but for the address of this server, and Gradio takes 25 to 75 ms for one.

    Args:
        app: Gradio's.
    """

    def __init__(self, app: ASGIApp):
        self._app = app
        self._kept: dict[str, tuple[bytes, dict[str, str]]] = {}
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; nothing of it counts but its path and the host that it names.

        Raises:
            ZooError: it names no host.
        """
        path, host = scope["path"].rstrip("/") or "/", _host(scope)
        async with self._making:
            if path not in self._kept:
                asked = {"method": "GET", "path": path, "query_string": b"", "scheme": "http"}
                made = await _answer(self._app, {**scope, **asked, "headers": [(b"host", NOWHERE)]}, receive)
                if made is None:
                    raise ZooError("The page cannot be shown: try again in a minute.")
                self._kept[path] = made
        content, fields = self._kept[path]
        await Response(content.replace(b"http://" + NOWHERE, host), headers=fields)(scope, receive, send)


def _host(scope: Scope) -> bytes:
    """Return the scheme and the host under which a request knows this server, as Gradio finds it."""
    said: dict[bytes, bytes] = {name: value.partition(b",")[0].strip() for name, value in reversed(scope["headers"])}
    host = said.get(b"x-forwarded-host") or said.get(b"host", b"")
    if not HOST.fullmatch(host):
        raise ZooError("A request names the host that it is for.")
    scheme = "https" if said.get(b"x-forwarded-proto") == b"https" else scope["scheme"]
    return f"{scheme}://".encode() + host


async def _answer(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[bytes, dict[str, str]] | None:
    """Return the content and the fields of an application's answer, None where it is an error."""
    parts: list[bytes] = []
    fields: dict[str, str] = {}
    status = 0

    async def collect(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            fields.update((name.decode().lower(), value.decode("latin-1")) for name, value in message["headers"])
        else:
            parts.append(message.get("body", b""))

    await app({**scope, "extensions": {}}, receive, collect)
    fields.pop("content-length", None)
    return (b"".join(parts), fields) if status == 200 else None


@functools.cache
def paths() -> frozenset[str]:
    """Return the addresses of all files of Gradio's own page."""
    found = (path for folder in ("assets", "static") for path in (FRONTEND / folder).rglob("*") if path.is_file())
    return frozenset(f"/{path.relative_to(FRONTEND).as_posix()}" for path in found)
