"""A server with guarded connections in the event loop of a test."""

import asyncio
import contextlib

import uvicorn

from zoo.gate import connections


@contextlib.asynccontextmanager
async def guarded(proxies="", application=None):
    """Serve with guarded connections; yield a function that opens one."""

    async def lengths(scope, receive, send):
        body = b""
        while (message := await receive()) and message.get("more_body"):
            body += message["body"]
        length = str(len(body) + len(message.get("body", b""))).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": length.zfill(9)})

    config = uvicorn.Config(
        application or lengths,
        port=0,
        lifespan="off",
        log_level="critical",
        timeout_keep_alive=60,
        forwarded_allow_ips=proxies,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    connections.guard(config)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield lambda address="127.0.0.1": asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    server.should_exit = True
    await running
    assert not connections._OPEN
