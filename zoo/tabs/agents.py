"""The interface for agents: every endpoint is an MCP tool at `/gradio_api/mcp/`, over streamable HTTP, without a
session.

A tool call acts on behalf of the sender of the request, identified by the token in its header. Gradio's own MCP server
calls the Space through its own client instead, which reads the server's files and sends the server's token.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence

import anyio.to_thread
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from zoo import gate
from zoo.errors import UnknownName
from zoo.gate import limits
from zoo.types import Facts, Json

AT_ONCE = 4  # tools that run at the same time; more would only share the cores
PAGE = "This is an MCP endpoint (streamable HTTP) for agents; its tools are listed at {}/schema."


class Agents:
    """An ASGI application that serves endpoints as MCP tools.

    Args:
        endpoints: by the names of the tools.
        title: of the server.
    """

    def __init__(self, endpoints: Mapping[str, gate.Endpoint], title: str):
        self.endpoints = endpoints
        self._limiter: anyio.CapacityLimiter | None = None
        server: Server = Server(title)
        self._manager = StreamableHTTPSessionManager(app=server, stateless=True)

        @server.list_tools()  # type: ignore[no-untyped-call, untyped-decorator]  # MCP gives it no types
        async def list_tools() -> list[types.Tool]:
            return [
                types.Tool(name=name, description=one.description, inputSchema=one.schema)
                for name, one in self.endpoints.items()
            ]

        # The gate checks the input, in a sentence.
        @server.call_tool(validate_input=False)  # type: ignore[untyped-decorator]  # MCP gives it no types
        async def call_tool(name: str, arguments: Json) -> types.CallToolResult:
            request = server.request_context.request
            return await self._call(name, arguments, {} if request is None else request.scope)

    async def _call(self, name: str, arguments: Json, scope: Facts) -> types.CallToolResult:
        """Call a tool on behalf of who sent the request."""
        with gate.entered(gate.Caller.of(scope, agent=True)) as caller:
            try:
                limits.check_call(caller)
                if name not in self.endpoints:
                    raise UnknownName("tool", name[:60], self.endpoints)
                answer = await anyio.to_thread.run_sync(self.endpoints[name], arguments, limiter=self._limiter)
                text, failed = json.dumps(answer, ensure_ascii=False), False
            except Exception as error:
                text, failed = gate.sentence(error), True
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], isError=failed)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve requests until the block is left."""
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
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
