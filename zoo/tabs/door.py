"""The entry of the Space: every HTTP request passes through it. Routes that are not listed here are closed.

What goes on to Gradio has been checked: its size, and for a call that there is such a function and that its parts have
the right types. What goes wrong behind the door becomes a sentence. `Space.process_api` then passes the call itself
through the gate.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from gradio.utils import get_upload_folder
from pydantic import BaseModel, StrictInt, StrictStr, ValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo import gate
from zoo.errors import Busy, UnknownName, ZooError
from zoo.gate import bodies, limits
from zoo.gate.bodies import TooLarge
from zoo.gate.callers import from_own_page, on_space
from zoo.gate.endpoints import check_values, walk
from zoo.gate.storage import Meter
from zoo.gate.traffic import REQUESTS, STREAMS, Answering, Disconnected, Share, TooSlow, admitted, attended
from zoo.gate.uploads import UPLOADS, NotYours
from zoo.rest.application import is_api
from zoo.rest.problem_details import NotFound
from zoo.tabs import signing_in, static_files, uploading
from zoo.tabs.agents import replayed
from zoo.tabs.unread import Unread, camera_of, network_of, session_of, waiting
from zoo.tabs.uploading import ID
from zoo.types import Json

if TYPE_CHECKING:
    from zoo.tabs.space import Space

log = logging.getLogger(__name__)

API = "/gradio_api"
FILES = f"{API}/file=", f"{API}/file/"  # routes that show a file
FEW_BYTES = 10_000  # of a request that only names a session or an event
EVENT_BYTES = 20_000  # of what a page says of an event
MOST_DIGITS = 100  # of a number
MOST_WAITING = 40  # calls of one address that wait in the queue
OF_FREE = 0.1  # and at most this share of its free places: the fuller it is, the less for one address
WATCHED = Share("uploads that are watched", each=10, in_all=100)
WIDE = 4  # bytes in memory for each of a text that is not ASCII
WAITING_BYTES_EACH, WAITING_BYTES = 90_000_000, 600_000_000  # of calls that wait, of one address and of all

# What a page and a client need of Gradio, by method. Closed are among others: functions called past the queue, the
# proxy for other Spaces, functions of components, run history, monitoring, recordings and the editor.
PAGES = rf"{static_files.PAGES}|{static_files.FILES}|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon(/\d+)?"
NETWORKS = r"/networks/((engine|worker)\.js|[\w.~-]{1,200}\.(json|html))"  # what a page needs to answer by itself
HEARTBEAT, ANSWERS = rf"{API}/heartbeat/{ID}", rf"{API}/queue/(data|status)|{API}/call/(v2/)?\w+/{ID}"
PARTS = (  # by how they are counted; all others are files
    ("pages", rf"{static_files.PAGES}|{API}/(info|openapi\.json)"),  # up to 10 ms each time
    ("open pages", HEARTBEAT),  # 30 ms
    ("answers", ANSWERS),
    ("sign-ins", signing_in.ASKING),
)
READ = (
    rf"{PAGES}|/theme\.css|{signing_in.ROUTES}|{NETWORKS}|{API}/(info|openapi\.json|startup-events|app_id|user|login_check|theme\.css|upload_progress)"
    rf"|{HEARTBEAT}|{ANSWERS}|{API}/file[=/].+"
)
VALUES = rf"{API}/(call/\w+|call/v2/\w+|queue/join|stream/{ID})"  # requests that carry values
CALLS = rf"{API}/(call/\w+|call/v2/\w+|queue/join|stream/{ID}|stream/{ID}/close|cancel|reset)"
OPEN = {"GET": READ, "HEAD": READ, "POST": rf"{CALLS}|{API}/upload", "OPTIONS": rf"{READ}|{CALLS}|{API}/upload"}
AGENTS = f"{API}/mcp", f"{API}/mcp/http", f"{API}/mcp/schema"

STATUS = (
    (NotFound, 404),
    (limits.TooMany, 429),
    (Busy, 429),
    (NotYours, 403),
    (TooSlow, 408),
    (TooLarge, 413),
    (ZooError, 400),
)


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
    return path in AGENTS or bool(re.fullmatch(OPEN.get(method, "(?!)"), path, re.ASCII))


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
        self._kept: tuple[tuple[str, ASGIApp], ...] = (
            (static_files.FILES, static_files.StaticFiles(app, static_files.paths())),
            (static_files.PAGES, static_files.Pages(app)),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        if not on_space() and not os.environ.get("FORWARDED_ALLOW_IPS"):
            # A client wrote these itself, and Gradio would repeat them in its pages.
            scope["headers"] = [one for one in scope["headers"] if not one[0].startswith(b"x-forwarded-")]
        if self._api is not None and is_api(scope["path"]):
            await self._api(scope, receive, send)
            return
        sending = Answering(send)
        try:
            share = STREAMS if re.fullmatch(f"{HEARTBEAT}|{ANSWERS}", scope["path"]) else REQUESTS
            passed = admitted(scope, receive, sending, share)
            with passed as (body, bounded), gate.entered(gate.Caller.of(scope)) as caller:
                if caller.signed_in is None:  # Gradio's button would name whom an ended session belonged to
                    scope.get("session", {}).pop("oauth_info", None)
                await self._answer(scope, body, bounded, caller, sending)
        except Disconnected:
            return
        except Exception as raised:
            error = scope.get("zoo.refused") or raised
            if sending.begun:
                gate.sentence(error)  # for the log; the server ends an answer that is not complete
            else:
                await refused(error, _status(error))(scope, receive, send)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, caller: gate.Caller, sending: Answering
    ) -> None:
        path, method = scope["path"].rstrip("/") or "/", scope["method"]
        if not is_open(method, path):
            await refused(ZooError("There is nothing at this address."), 404)(scope, receive, send)
        elif self._networks is not None and re.fullmatch(NETWORKS, path):
            limits.check_request(caller)
            with attended(scope, sending):
                await self._networks(scope, receive, send)
        elif path in AGENTS:
            limits.check_request(caller)
            async with _read(receive, bodies.MOST_JSON, caller) as body:
                await to_thread.run_sync(_values, body)
                with attended(scope, sending):
                    await self._agents(scope, replayed(body, receive), send)
        elif path == f"{API}/upload":
            await self._upload(scope, receive, send, caller)
        elif path == f"{API}/upload_progress":
            watch = uploading.upload_id(scope)
            with WATCHED.taken(caller.network):  # Gradio looks twenty times a second for each
                try:
                    await self._app(scope, receive, send)
                finally:
                    uploading.forget(watch)
        elif method == "POST":
            limits.check_request(caller)
            async with _read(receive, _most(path), caller) as body:
                await self._call(scope, body, receive, send, caller)
        else:
            limits.check_page(caller, next((part for part, those in PARTS if re.fullmatch(those, path)), "files"))
            if path.startswith(FILES):
                UPLOADS.check(_file(path), caller)  # by its exact path: nothing else is shown
            if path == signing_in.STARTS and not from_own_page(scope["headers"]):  # its answer ends another session
                raise ZooError("Sign in from a page of this Space.")
            if path == signing_in.SIGN_OUT:
                gate.sign_out(scope)
            try:
                answering = next((one for those, one in self._kept if re.fullmatch(those, path, re.ASCII)), self._app)
                with signing_in.bounded(path, caller.network), self._streaming(path, scope.get("query_string", b"")):
                    await answering(scope, receive, send)
            except Exception as error:
                if not re.fullmatch(signing_in.ROUTES, path) or isinstance(error, ZooError):
                    raise
                log.warning("A sign-in failed: %s", type(error).__name__)
                raise ZooError("Signing in with Hugging Face did not work: try again in a minute.") from None

    async def _call(self, scope: Scope, body: bytes, receive: Receive, send: Send, caller: gate.Caller) -> None:
        """Pass a request with a JSON body on to Gradio, checked and written again: values by name become a list."""
        path = scope["path"].rstrip("/")
        camera = camera_of(self._blocks._queue, path.split("/")[3]) if path.startswith(f"{API}/stream/") else None
        said = await to_thread.run_sync(self._checked, path, body)
        body = await to_thread.run_sync(_written, said)
        size = len(body) * (WIDE if b"\\u" in body else 1)
        if re.fullmatch(VALUES, path):
            self._check_waiting(caller, str(said.get("session_hash")), size)
        if camera is not None:
            camera.request.scope["zoo.bytes"] = size
        new = {b"content-length": str(len(body)).encode(), b"content-type": b"application/json"}
        headers = [(key, value) for key, value in scope["headers"] if key not in new]
        passed = {"zoo.bytes": size, "path": path.replace("/call/v2/", "/call/"), "headers": [*headers, *new.items()]}
        await self._app({**scope, **passed}, replayed(body, receive), send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send, caller: gate.Caller) -> None:
        limits.check_call(caller)
        largest = self._blocks.max_file_size or float("inf")
        metered = _metered(receive, Meter(caller))
        answer = await uploading.take(scope, metered, caller, Path(get_upload_folder()), largest)
        await answer(scope, receive, send)

    def _check_waiting(self, caller: gate.Caller, session: str, size: int = 0) -> None:
        """Check what a caller has in the queue before one more call of so many bytes.

        Raises:
            TooMany: too many calls of their address wait, or too many bytes, or answers that nobody fetches.
        """
        queue = self._blocks._queue
        others = [(network_of(event), event.request.scope.get("zoo.bytes", 0)) for event in waiting(queue)]
        own = [bytes_of for network, bytes_of in others if network == caller.network]
        free = (queue.max_size or float("inf")) - len(others)
        if len(own) >= min(MOST_WAITING, max(1, OF_FREE * free)) or size + sum(own) > WAITING_BYTES_EACH:
            raise limits.TooMany(f"{len(own)} calls from your address are waiting: send more when some are answered.")
        if size + sum(bytes_of for _, bytes_of in others) > WAITING_BYTES:
            raise limits.TooMany("The server is busy: too many large calls are waiting. Try again in a minute.")
        unread = queue.pending_messages_per_session
        if isinstance(unread, Unread):
            unread.check(session, caller.network)

    def _streaming(self, path: str, query: bytes) -> contextlib.AbstractContextManager[None]:
        """Return what holds the answers that a request asks for; nothing where it asks for none."""
        if not re.fullmatch(ANSWERS, path) or path == f"{API}/queue/status":
            return contextlib.nullcontext()
        queue = self._blocks._queue
        unread: Unread = queue.pending_messages_per_session
        return unread.stream(session_of(queue, path, query))

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
        if function is not None and any(event == "stream" for _, event in function.targets):
            said["event_data"] = None  # a camera's picture, which is in the data too
        if len(json.dumps(said["event_data"])) > EVENT_BYTES:
            raise ZooError(f'"event_data" has at most {EVENT_BYTES:,} characters.')
        check_values(said["event_data"])
        if said["trigger_id"] not in self._blocks.blocks:  # the page itself, when it was loaded
            said["trigger_id"] = None
        return said

    def _named(self, name: str, body: object) -> Json:
        """Return the body of `/call/NAME` for arguments by name; those that were not sent are null."""
        endpoint = self._endpoint(name)
        if not isinstance(body, Mapping):
            raise ZooError(f"/{name} takes an object with its arguments: {', '.join(endpoint.parameters)}.")
        for argument in body:
            if argument not in endpoint.parameters:
                raise UnknownName(f"argument of {name}", str(argument)[:40], endpoint.parameters)
        return {"data": [body.get(argument) for argument in endpoint.parameters]}

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


@contextlib.asynccontextmanager
async def _read(receive: Receive, most: int, caller: gate.Caller) -> AsyncIterator[bytes]:
    """Yield the body of a request that carries JSON, bounded and not parsed yet."""
    async with bodies.arrived(receive, most, caller.network) as file:
        body = await bodies.read(file)
        await bodies.check_long(body)
        yield body


def _most(path: str) -> int:
    """Return how many bytes the body of a request may have: many only where it carries values."""
    return bodies.MOST_JSON if re.fullmatch(VALUES, path) else FEW_BYTES


def _values(body: bytes) -> object:
    """Return what the JSON of a request says; ZooError if it is none, too deep, or holds text that is not Unicode."""
    try:
        said = json.loads(body or b"{}", parse_int=_integer)
    except (ValueError, RecursionError):
        raise ZooError("The body of this request is not JSON.") from None
    for _ in walk(said):
        pass
    return said


def _written(said: object) -> bytes:
    return json.dumps(said).encode()


def _integer(text: str) -> int:
    """Return a whole number; one of very many digits takes long."""
    if len(text) > MOST_DIGITS:
        raise TooLarge(f"A number has at most {MOST_DIGITS} digits.")
    return int(text)


def _metered(receive: Receive, meter: Meter) -> Receive:
    """Return a `receive` that counts the bytes of an upload as they arrive."""

    async def metered() -> Message:
        message = await receive()
        meter.count(len(message.get("body", b"")))
        return message

    return metered


def _status(error: Exception) -> int:
    """Return the HTTP status of an error."""
    for kind, status in STATUS:
        if isinstance(error, kind):
            return status
    return 500


def refused(error: Exception, status: int) -> JSONResponse:
    """Return an answer with the sentence of an error, as FastAPI forms one."""
    return JSONResponse({"detail": gate.sentence(error)}, status)
