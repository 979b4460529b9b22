"""The REST API as an ASGI application, behind the gate.

Every request is entered and counted here, so that no route can forget it. FastAPI routes and documents; `/read` is
recognized before, since FastAPI's own work takes longer than a network does.
"""

import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import IO

import anyio.to_thread
import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import zoo
from zoo import gate
from zoo.errors import ZooError
from zoo.gate import bodies, limits
from zoo.gate.threads import share_threads
from zoo.gate.traffic import HELD, Answering, Disconnected, admitted, attended
from zoo.gate.uploads import UPLOADS
from zoo.rest import messages, metrics, openapi, problem_details, served
from zoo.rest.forms import MOST_FORM, is_form, read_form
from zoo.serving import apart, by_script
from zoo.serving.engine import Engine, Picture, Sketch

PREFIX = "/api/v1"
READ = f"{PREFIX}/read"
PROBES = {"/healthz", "/readyz", "/metrics"}  # of whoever runs the server: they are not limited
SWITCH = 0.001  # seconds after which a thread that computes lets the event loop go on; Python's own are 0.005


def is_api(path: str) -> bool:
    """Return whether a path is the API's."""
    return path.startswith("/api/") or path in PROBES


class Api:
    """An ASGI application; `running` is its life.

    Args:
        engine: reads what is sent.
        routers: more routes, below `PREFIX`.
        bodies: the models of what those routes take.
        measured: returns what was measured of a network, see `served.Measured`.
    """

    def __init__(
        self,
        engine: Engine | None = None,
        routers: Sequence[APIRouter] = (),
        bodies: Sequence[type[BaseModel]] = (),
        measured: served.Measured = lambda name: {},
    ):
        self.engine = engine or Engine()
        self.ready = False
        metrics.watch(self.engine)
        kinds: tuple[type[Exception], ...] = (ZooError, HTTPException, RequestValidationError, Exception)
        self.app = FastAPI(
            title="Handwriting Zoo",
            version=zoo.__version__,
            summary="Small networks that read handwriting.",
            openapi_url=f"{PREFIX}/openapi.json",
            docs_url=None,  # its pages load scripts from elsewhere
            redoc_url=None,
            lifespan=lambda app: self.running(),
            exception_handlers=dict.fromkeys(kinds, _answered),
            redirect_slashes=False,
        )
        for router in (self._routes(), served.router(measured), *routers):
            self.app.include_router(router, prefix=PREFIX)
        self.app.include_router(self._probes())
        openapi.complete(self.app, bodies)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the first networks, serve until the block is left, then answer what was asked."""
        sys.setswitchinterval(SWITCH)
        share_threads()
        with apart.decoding_files():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._warm)
                yield
                self.engine.closing = True
                tasks.cancel_scope.cancel()
            await anyio.to_thread.run_sync(self.engine.close)

    async def _warm(self) -> None:
        await anyio.to_thread.run_sync(self._load_first, abandon_on_cancel=True)
        self.ready = True

    def _load_first(self) -> None:
        with contextlib.suppress(ZooError):  # a server may have no networks
            self.engine.load(by_script.ANYTHING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        # It reads no cookies. FastAPI does, by a parser that is slow on purpose-made ones, whatever server is in front.
        scope["headers"] = [field for field in scope["headers"] if field[0] != b"cookie"]
        sending = Answering(send)
        with gate.entered(gate.Caller.of(scope)) as caller:
            try:
                if scope["path"] in PROBES:
                    await self._routed(scope, receive, sending)
                    return
                with admitted(scope, receive, sending) as (receive, bounded):
                    limits.check_call(caller)
                    with attended(scope, sending):
                        await self._routed(scope, receive, bounded)
            except (Disconnected, ClientDisconnect):
                return
            except Exception as raised:
                error = scope.get("zoo.refused") or raised
                if sending.begun and isinstance(error, ZooError):  # the connection ends without the rest
                    return
                if scope.get("zoo.answered"):  # FastAPI raises an internal error again for its server
                    return
                if sending.begun:
                    raise
                await problem_details.answer(error)(scope, receive, send)

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == READ and scope["method"] == "POST":
            scope["zoo.route"] = READ
            response = await self.read(Request(scope, receive))
            await response(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            path = getattr(scope.get("route"), "path", "unknown")  # without the prefix of its router
            within = scope["path"].startswith(PREFIX) and not path.startswith((PREFIX, "unknown"))
            scope["zoo.route"] = PREFIX + path if within else path

    # --- reading ---------------------------------------------------------------------------------

    async def read(self, request: Request) -> Response:
        """Read a picture or a sketch.

        Send a picture as the file `image` of a form, or JSON with `image` (a data URI; a large file goes in a form) or
        `sketch` (pen strokes of one character).
        """
        read, most = (self._of_form, MOST_FORM) if is_form(request) else (self._of_json, bodies.MOST_JSON)
        async with bodies.arrived(request.receive, most, gate.caller().network) as body:
            asked, size = await read(request, body)
        with HELD.taken(gate.caller().network, size if size > bodies.LONG else 0):  # what is kept, without its padding
            answer = await self.engine.read(asked, gate.caller().network)
        return Response(orjson.dumps(answer), media_type="application/json")

    async def _of_json(self, request: Request, body: IO[bytes]) -> tuple[Sketch | Picture, int]:
        """Return what is asked, and how many bytes of the request are kept for it."""
        said = await bodies.read(body)
        if len(said) < bodies.LONG:
            asked = messages.read_request(said)
        else:
            asked = await anyio.to_thread.run_sync(messages.read_request, said)
        models = self._chosen(asked)
        if isinstance(asked, messages.ReadSketch):
            return Sketch(asked.sketch.strokes, asked.sketch.size, asked.sketch.pen, models), 0
        image = asked.image if isinstance(asked.image, str) else asked.image.model_dump()
        caller = gate.caller()
        if not isinstance(image, str):
            UPLOADS.check(image["path"], caller)
        return Picture(lambda: UPLOADS.opened(image, caller).read(), models), len(image)

    async def _of_form(self, request: Request, body: IO[bytes]) -> tuple[Picture, int]:
        """Return what is asked, and how many bytes of the request are kept for it."""
        fields, files = await read_form(request.headers, body, {"image"}, {"model", "script"})
        if "image" not in files:
            raise problem_details.Malformed("The form needs a file called image.")
        asked = messages.asked(fields)
        content = files["image"].read()
        return Picture(lambda: content, self._chosen(asked)), len(content)

    def _chosen(self, asked: messages.Asked) -> tuple[str, ...]:
        if asked.model and asked.script:
            raise ZooError("Send either a model or a script: got both.")
        return (asked.model,) if asked.model else self.engine.best(asked.script or by_script.ANYTHING)

    # --- routes ----------------------------------------------------------------------------------

    def _routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(
            "/read",
            self.read,
            methods=["POST"],
            response_model=messages.Reading,
            responses=openapi.refused(400, 403, 413, 415, 422),
            openapi_extra=openapi.READ_BODY,
            tags=["reading"],
        )
        return router

    def _probes(self) -> APIRouter:
        router = APIRouter(tags=["operation"])

        @router.get("/healthz", response_model=messages.Health)
        async def healthz() -> Response:
            """Say that the process answers."""
            return _json({"status": "closing" if self.engine.closing else "ok"})

        @router.get("/readyz", response_model=messages.Health, responses=openapi.refused(503))
        async def readyz() -> Response:
            """Say whether requests should be sent here: the first networks are loaded, and it is not shutting down."""
            if self.engine.closing or not self.ready:
                why = "is shutting down" if self.engine.closing else "loads its first networks"
                return problem_details.problem(503, f"The server {why}.", {"Retry-After": "1"})
            return _json({"status": "ok"})

        @router.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
        async def numbers() -> Response:
            """Return counts of requests, queues and networks for Prometheus."""
            return metrics.page(self.engine)

        return router


async def _answered(request: Request, error: Exception) -> Response:
    request.scope["zoo.answered"] = True
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        error = problem_details.Malformed(f'"{first["loc"][-1]}": {first["msg"].rstrip(".")}.')
    return problem_details.answer(error)


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
