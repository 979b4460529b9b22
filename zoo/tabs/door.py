"""The entry of the Space: every HTTP request passes through it. Routes that are not listed here are closed.

What goes on to Gradio has been checked: its size, and for a call that there is such a function and that its parts have
the right types. What goes wrong behind the door becomes a sentence. `Space.process_api` then passes the call itself
through the gate.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from gradio.utils import get_upload_folder
from pydantic import BaseModel, StrictInt, StrictStr, ValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo import gate
from zoo.errors import UnknownName, ZooError
from zoo.gate import limits
from zoo.gate.bodies import check_count, read_body
from zoo.gate.endpoints import walk
from zoo.gate.storage import STORAGE, Meter
from zoo.gate.uploads import UPLOADS, NotYours
from zoo.rest.application import is_api
from zoo.types import Json

if TYPE_CHECKING:
    from zoo.tabs.space import Space

API = "/gradio_api"
FILES = f"{API}/file=", f"{API}/file/"  # routes that show a file
MOST_BYTES = 75_000_000  # of a request that carries values: the largest network as base64
FEW_BYTES = 10_000  # of a request that only names a session or an event
MOST_WAITING = 40  # calls of one address that wait in the queue
MOST_UNREAD = 60  # messages of one session that nobody has fetched; a call takes about three
ID = r"[\w-]{1,64}"  # the name of a session or an event

# What a page and a client need of Gradio, by method. Closed are among others: functions called past the queue, the
# proxy for other Spaces, functions of components, run history, monitoring, recordings and the editor.
PAGES = r"/|/config|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon(/\d+)?|/theme\.css|/(static|assets|svelte)/.+"
NETWORKS = r"/networks/(engine\.js|[\w.~-]{1,200}\.(json|html))"  # what a page needs to answer by itself
SIGN_IN = r"/login/huggingface|/login/callback|/logout"
READ = (
    rf"{PAGES}|{SIGN_IN}|{NETWORKS}|{API}/(info|openapi\.json|startup-events|app_id|user|login_check|theme\.css|upload_progress)"
    rf"|{API}/heartbeat/{ID}|{API}/queue/(data|status)|{API}/call/(v2/)?\w+/{ID}|{API}/file[=/].+"
)
VALUES = rf"{API}/(call/\w+|call/v2/\w+|queue/join|stream/{ID})"  # requests that carry values
CALLS = rf"{API}/(call/\w+|call/v2/\w+|queue/join|stream/{ID}|stream/{ID}/close|cancel|reset)"
OPEN = {"GET": READ, "HEAD": READ, "POST": rf"{CALLS}|{API}/upload", "OPTIONS": rf"{READ}|{CALLS}|{API}/upload"}
AGENTS = f"{API}/mcp", f"{API}/mcp/http", f"{API}/mcp/schema"


class Call(BaseModel):
    """The body of `/call/NAME`: the values of the arguments, in order."""

    data: list[Any]


class Join(Call):
    """The body of `/queue/join` and `/stream`, as the page and the clients send it; other fields are dropped."""

    fn_index: StrictInt | None = None
    session_hash: StrictStr
    trigger_id: StrictInt | None = None
    event_data: Any = None


class Cancel(BaseModel):
    """The body of `/cancel` and `/reset`."""

    session_hash: StrictStr = ""
    fn_index: StrictInt = 0
    event_id: StrictStr = ""


def is_open(method: str, path: str) -> bool:
    """Return whether the door lets a request through."""
    path = path.rstrip("/") or "/"
    return path in AGENTS or bool(re.fullmatch(OPEN.get(method, "(?!)"), path))


class Door:
    """Middleware in front of Gradio's application.

    Args:
        app: Gradio's.
        blocks: the `Space` whose functions are called.
        agents: answers at /gradio_api/mcp.
        networks: answers at /networks/.
        api: the REST API, which passes the gate by itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        blocks: "Space",
        agents: ASGIApp,
        networks: ASGIApp | None = None,
        api: ASGIApp | None = None,
    ):
        self._app, self._blocks, self._agents, self._networks, self._api = app, blocks, agents, networks, api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        if self._api is not None and is_api(scope["path"]):
            await self._api(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        except Exception as error:
            if begun:
                raise
            status = 429 if isinstance(error, limits.TooMany) else 403 if isinstance(error, NotYours) else 400
            await refused(error, status if isinstance(error, ZooError) else 500)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"].rstrip("/") or "/", scope["method"]
        caller = gate.Caller.of(scope)
        if not is_open(method, path):
            await refused(ZooError("There is nothing at this address."), 404)(scope, receive, send)
        elif self._networks is not None and re.fullmatch(NETWORKS, path):
            limits.check_request(caller)
            await self._networks(scope, receive, send)
        elif path in AGENTS:
            limits.check_request(caller)
            body = await _body(receive, MOST_BYTES)
            await to_thread.run_sync(_values, body)
            await self._agents(scope, _replayed(body, receive), send)
        elif path == f"{API}/upload":
            limits.check_call(caller)
            await to_thread.run_sync(STORAGE.check, Path(get_upload_folder()))
            await self._app(scope, _metered(receive, Meter(caller)), _noting(send, caller))
        elif method == "POST":
            limits.check_request(caller)
            body = await _body(receive, MOST_BYTES if re.fullmatch(VALUES, path) else FEW_BYTES)
            said = await to_thread.run_sync(self._checked, path, body)
            if re.fullmatch(VALUES, path):
                self._check_waiting(caller, str(said.get("session_hash")))
            body = await to_thread.run_sync(lambda: json.dumps(said).encode())
            new = {b"content-length": str(len(body)).encode(), b"content-type": b"application/json"}
            headers = [(key, value) for key, value in scope["headers"] if key not in new]
            await self._app({**scope, "headers": [*headers, *new.items()]}, _replayed(body, receive), send)
        else:
            if path.startswith(FILES):
                UPLOADS.check(_file(path), caller)  # by its exact path: nothing else is shown
            await self._app(scope, receive, send)

    def _check_waiting(self, caller: gate.Caller, session: str) -> None:
        """Check what a caller has in the queue before one more call.

        Raises:
            TooMany: `MOST_WAITING` calls of their address wait, or `MOST_UNREAD` messages of their session.
        """
        queue = self._blocks._queue
        waiting = [event for one in queue.event_queue_per_concurrency_id.values() for event in one.queue]
        if sum(gate.Caller.of(event.request.scope).network == caller.network for event in waiting) >= MOST_WAITING:
            raise limits.TooMany(
                f"{MOST_WAITING} calls from your address are waiting: send more when some are answered."
            )
        unread = queue.pending_messages_per_session.get(session)
        if unread is not None and unread.qsize() >= MOST_UNREAD:
            raise limits.TooMany("The answers to your earlier calls have not been fetched yet: fetch them first.")

    def _checked(self, path: str, content: bytes) -> Json:
        """Return the body of a call with what Gradio needs of it.

        Raises:
            ZooError: it has another form, or there is no such function.
        """
        body = _values(content)
        what, _, name = path.removeprefix(f"{API}/").partition("/")
        if what == "call" and name.startswith("v2/"):
            return self._named(name.removeprefix("v2/"), body)
        if what == "call":
            endpoint = self._endpoint(name)
            said = _parsed(Call, body, f'{{"data": [{", ".join(endpoint.parameters)}]}}')
            if len(said["data"]) != len(endpoint.parameters):
                names = f" ({', '.join(endpoint.parameters)})" if endpoint.parameters else ""
                raise ZooError(
                    f'/{name} takes {len(endpoint.parameters)} values{names} as "data"; got {len(said["data"])}.'
                )
            return said
        if what in ("cancel", "reset"):
            return _parsed(Cancel, body, '{"session_hash", "fn_index", "event_id"}')
        if name.endswith("/close"):
            return {}
        said = _parsed(Join, body, '{"data": [...], "fn_index", "session_hash"}')
        function = self._blocks.fns.get(said["fn_index"])
        if what == "queue" and (function is None or function.fn is None):  # some run in the browser alone
            raise ZooError(f"There is no function {said['fn_index']} here.")
        if said["trigger_id"] not in self._blocks.blocks:  # the page itself, when it was loaded
            said["trigger_id"] = None
        return said

    def _named(self, name: str, body: object) -> Json:
        """Return arguments by name, those that were not sent as null."""
        endpoint = self._endpoint(name)
        if not isinstance(body, Mapping):
            raise ZooError(f"/{name} takes an object with its arguments: {', '.join(endpoint.parameters)}.")
        for argument in body:
            if argument not in endpoint.parameters:
                raise UnknownName(f"argument of {name}", str(argument)[:40], endpoint.parameters)
        return {argument: body.get(argument) for argument in endpoint.parameters}

    def _endpoint(self, name: str) -> gate.Endpoint:
        endpoints = self._blocks.endpoints
        if name not in endpoints:
            raise UnknownName("endpoint", name[:60], endpoints)
        return endpoints[name]


def _parsed(form: type[BaseModel], body: object, example: str) -> Json:
    try:
        found = form.model_validate(body)
    except ValidationError:
        raise ZooError(f"This takes a JSON object {example}; got another one.") from None
    for name in ("session_hash", "event_id"):
        if not re.fullmatch(f"({ID})?", getattr(found, name, ""), re.ASCII):
            raise ZooError(f'"{name}" must be at most 64 letters and digits.')
    return found.model_dump()


def _file(path: str) -> str:
    """Return the path of the server's file that a route shows; empty for other routes."""
    return next((path[len(start) :] for start in FILES if path.startswith(start)), "")


async def _body(receive: Receive, most: int) -> bytes:
    """Return the body of a request that carries JSON, read up to a number of bytes and values, and not parsed yet."""
    body = await read_body(receive, most)
    check_count(body)
    return body


def _values(body: bytes) -> object:
    """Return what the JSON of a request says; ZooError if it is none, too deep, or holds text that is not Unicode."""
    try:
        said = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise ZooError("The body of this request is not JSON.") from None
    for _ in walk(said):
        pass
    return said


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body, then what the client does afterwards."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received


def _metered(receive: Receive, meter: Meter) -> Receive:
    """Return a `receive` that counts the bytes of an upload as they arrive."""

    async def metered() -> Message:
        message = await receive()
        meter.count(len(message.get("body", b"")))
        return message

    return metered


def _noting(send: Send, caller: gate.Caller) -> Send:
    """Return a `send` that remembers whose the uploaded files are that an answer lists."""
    body = bytearray()

    async def noted(message: Message) -> None:
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


def refused(error: Exception, status: int) -> JSONResponse:
    """Return an answer with the sentence of an error, as FastAPI forms one."""
    return JSONResponse({"detail": gate.sentence(error)}, status)
