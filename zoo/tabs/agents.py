"""The interface for agents: every endpoint is an MCP tool at `/gradio_api/mcp/`, over streamable HTTP, without a
session. Cards and rows of the board are resources.

A tool call acts on behalf of the sender of the request, identified by the token in its header. Gradio's own MCP server
calls the Space through its own client instead, which reads the server's files and sends the server's token.
"""

import contextlib
import functools
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import anyio.to_thread
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import McpError
from pydantic import AnyUrl, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from zoo import gate
from zoo.errors import UnknownName
from zoo.gate import bodies, limits
from zoo.gate.agent_resources import Resource
from zoo.gate.threads import Threads, writing
from zoo.gate.traffic import Share, check_heard
from zoo.types import Json

Answer = TypeVar("Answer")
MOST_AROUND = 20_000  # bytes of a message without the arguments of a tool
AT_ONCE = 16  # tools that run at the same time; most of them may wait for a place where a picture is decoded
CALLS = Share("calls of agents", 40, 500)  # that run or wait
PAGE = "This is an MCP endpoint (streamable HTTP) for agents; its tools are listed at {}/schema."
MALFORMED = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {
        "code": types.INVALID_REQUEST,
        "message": 'Send one message of JSON-RPC 2.0, for example {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}. '
        "Only the arguments of a tool may be long.",
    },
}
LOGGERS = None, "mcp.shared.session", "mcp.server.lowlevel.server", "mcp.server.streamable_http"  # None: the root


class WithoutValues(logging.Filter):
    """Keeps what was sent out of the log: MCP writes a request that it cannot read as a whole, secrets included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING and "/mcp/" in record.pathname.replace("\\", "/"):
            record.msg, record.args = f"MCP: a request failed ({record.funcName}, line {record.lineno}).", ()
            record.exc_info, record.exc_text, record.stack_info = None, None, None
        return True


WITHOUT_VALUES = WithoutValues()


class Agents:
    """An ASGI application that serves endpoints as MCP tools.

    Args:
        endpoints: by the names of the tools.
        title: of the server.
        resources: returns what may be read, as it is now.
    """

    def __init__(
        self, endpoints: Mapping[str, gate.Endpoint], title: str, resources: Callable[[], Iterable[Resource]] = tuple
    ):
        self.endpoints = endpoints
        self._resources = resources
        for name in LOGGERS:
            logging.getLogger(name).addFilter(WITHOUT_VALUES)
        self._limiter: Threads | None = None
        server: Server = Server(title)
        self._manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=bodies.MOST_JSON)

        @server.list_tools()  # type: ignore[no-untyped-call, untyped-decorator]  # MCP gives it no types
        async def list_tools() -> list[types.Tool]:
            return [
                types.Tool(name=name, description=one.description, inputSchema=one.schema)
                for name, one in self.endpoints.items()
            ]

        # The gate checks the input, in a sentence.
        @server.call_tool(validate_input=False)  # type: ignore[untyped-decorator]  # MCP gives it no types
        async def call_tool(name: str, arguments: Json) -> types.CallToolResult:
            with _calling(server) as caller:
                return await self._call(name, arguments, caller)

        @server.list_resources()  # type: ignore[no-untyped-call, untyped-decorator]  # MCP gives it no types
        async def list_resources() -> list[types.Resource]:
            with _calling(server) as caller:
                limits.check_call(caller)
                found = await self._run(lambda: list(self._resources()), caller)
            return [
                types.Resource(uri=AnyUrl(one.uri), name=one.name, description=one.description, mimeType=one.media_type)
                for one in found
            ]

        @server.read_resource()  # type: ignore[no-untyped-call, untyped-decorator]  # MCP gives it no types
        async def read_resource(uri: AnyUrl) -> list[ReadResourceContents]:
            with _calling(server) as caller:
                return [await self._read(str(uri), caller)]

    async def _run(self, work: Callable[[], Answer], caller: gate.Caller, writes: bool = False) -> Answer:
        """Return the result of what takes a while, in a thread: addresses take turns, nine leave one to the tenth."""
        with CALLS.taken(caller.network):
            return await anyio.to_thread.run_sync(_heard, work, limiter=writing() if writes else self._limiter)

    async def _read(self, uri: str, caller: gate.Caller) -> ReadResourceContents:
        """Return a resource; McpError with a sentence where there is none."""
        try:
            limits.check_call(caller)
            return await self._run(functools.partial(self._found, uri), caller)
        except Exception as error:
            raise McpError(types.ErrorData(code=types.INVALID_PARAMS, message=gate.sentence(error))) from None

    def _found(self, uri: str) -> ReadResourceContents:
        found = {one.uri: one for one in self._resources()}
        if uri not in found:
            raise UnknownName("resource", uri[:100], found)
        return ReadResourceContents(content=found[uri].read(), mime_type=found[uri].media_type)

    async def _call(self, name: str, arguments: Json, caller: gate.Caller) -> types.CallToolResult:
        """Call a tool on behalf of who sent the request."""
        try:
            limits.check_call(caller)
            if name not in self.endpoints:
                raise UnknownName("tool", name[:60], self.endpoints)
            endpoint = self.endpoints[name]
            answer = await self._run(functools.partial(endpoint, arguments), caller, endpoint.writes)
            text, failed = json.dumps(answer, ensure_ascii=False), False
        except Exception as error:
            text, failed = gate.sentence(error), True
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], isError=failed)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve requests until the block is left."""
        self._limiter = Threads(AT_ONCE)
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request."""
        path, method = scope["path"].rstrip("/"), scope["method"]
        answer: Response | None = None
        if path.endswith("/schema"):
            answer = JSONResponse(self._schemas())
        elif method == "GET" and not any(b"text/event-stream" in value for _, value in scope["headers"]):
            answer = PlainTextResponse(PAGE.format(path))
        if answer is not None:
            await answer(scope, receive, send)
        elif method == "POST":
            body = await Request(scope, receive).body()  # which the door has bounded
            message = await anyio.to_thread.run_sync(_message, body)
            if message is None:
                await JSONResponse(MALFORMED, 400)(scope, receive, send)
            else:
                await self._manager.handle_request(scope, replayed(message, receive), send)
        else:
            await self._manager.handle_request(scope, receive, send)

    def _schemas(self) -> Sequence[Json]:
        """Return what the Hub lists of a Space's tools, in the form of Gradio's own server."""
        return [
            {
                "name": name,
                "description": one.description,
                "inputSchema": one.schema,
                "meta": {"file_data_present": False, "mcp_type": "tool", "endpoint_name": one.name},
            }
            for name, one in self.endpoints.items()
        ]


def _message(body: bytes) -> bytes | None:
    """Return the message of JSON-RPC in a body as MCP is to parse it; None if there is none.

    Nothing of it is long but the arguments of a tool: what else a request may hold, an address for example, takes
    Pydantic a second, in which nobody is answered. MCP itself would also answer with the words of Pydantic.
    """
    try:
        types.JSONRPCMessage.model_validate_json(body)
        said = json.loads(body)
    except (ValidationError, ValueError, RecursionError):
        return None
    called = said.get("params") if said.get("method") == "tools/call" else None
    arguments = called.pop("arguments", None) if isinstance(called, dict) else None
    if len(json.dumps(said)) > MOST_AROUND:
        return None
    if isinstance(called, dict) and arguments is not None:
        try:  # MCP would tell all of a message that it refuses
            types.JSONRPCRequest.model_validate(said)
            types.CallToolRequest.model_validate({"method": said["method"], "params": {**called, "arguments": {}}})
        except ValidationError:
            return None
        if not isinstance(arguments, dict):
            return None
        called["arguments"] = arguments
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()  # no longer than what was sent


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body, then what the client does afterwards."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received


def _heard(work: Callable[[], Answer]) -> Answer:
    """Return the result of work; where its turn comes when its caller has gone, it is not done."""
    check_heard()
    return work()


@contextlib.contextmanager
def _calling(server: Server) -> Iterator[gate.Caller]:
    """Run a block on behalf of who sent the request that is answered now."""
    request = server.request_context.request
    scope = {} if request is None else request.scope
    body = scope.get("zoo.body")
    with gate.entered(gate.Caller.of(scope, agent=True), body.heard if body else lambda: True) as caller:
        yield caller
