"""Addresses take turns at the event loop: what one sends makes others wait for one thing of it in each round."""

import asyncio
import contextlib
from collections import Counter

import pytest
from guarded_server import guarded
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zoo.gate import limits
from zoo.gate.loop_turns import turns

GET = b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n"
PATIENCE = 60  # seconds


async def answer(send, body=b"ok"):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def got(reader, count=1):
    # Without wait_for, which in Python 3.11 loses that it was cancelled where the answer comes in the same moment.
    for _ in range(count):
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)


async def one_by_one(connect, field):
    reader, writer = await connect("127.0.0.2")
    while True:
        writer.write(GET % field)
        await got(reader)


async def pipelined(connect, field):
    reader, writer = await connect("127.0.0.2")
    while True:
        writer.write(GET % field * 10)
        await got(reader, 10)


async def malformed(connect, field):
    while True:
        with contextlib.suppress(ConnectionError):
            reader, writer = await connect("127.0.0.2")
            writer.write(b"x\r\n\r\n")
            await reader.read()
            writer.close()


async def in_pieces(connect, field):
    _, writer = await connect("127.0.0.2")
    writer.write(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    try:
        while True:
            writer.write(b"a")
            await asyncio.sleep(0)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("trusted", ["", "127.0.0.0/8"], ids=["direct", "by a proxy"])
@pytest.mark.parametrize("flood", [one_by_one, pipelined, malformed, in_pieces])
def test_one_thing_of_an_address_begins_in_a_round(flood, trusted, monkeypatch):
    """One with 390 connections, each with a health check ready at any time, made all others wait 100 times longer."""
    if trusted and flood in (malformed, in_pieces):
        pytest.skip("the address of what is no request is the proxy's own")
    rounds, seen = 30, Counter()

    def counted(name):
        method = getattr(HttpToolsProtocol, name)

        def call(*arguments):
            seen[name] += 1
            return method(*arguments)

        monkeypatch.setattr(HttpToolsProtocol, name, call)

    for name in ("data_received", "_start_asgi_task"):
        counted(name)

    async def application(scope, receive, send):
        if scope["method"] == "POST":
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if scope["client"][0] in ("127.0.0.9", "192.0.2.9"):
            before = seen.copy()
            for _ in range(rounds):
                await asyncio.sleep(0)
            during.update(seen - before)
        await answer(send)

    during = Counter()

    async def visiting():
        async with guarded(trusted, application) as connect:
            floods = [asyncio.create_task(flood(connect, b"X-Forwarded-For: 192.0.2.2\r\n")) for _ in range(40)]
            await asyncio.sleep(0.3)
            reader, writer = await connect("127.0.0.9")
            writer.write(GET % b"X-Forwarded-For: 192.0.2.9\r\n")
            await got(reader)
            for one in floods:
                one.cancel()
            await asyncio.gather(*floods, return_exceptions=True)
            writer.close()

    monkeypatch.setattr(limits, "ANY", 1e6)
    asyncio.run(asyncio.wait_for(visiting(), PATIENCE))
    counts = [during["_start_asgi_task"]] if trusted else during.values()
    assert sum(counts) <= rounds + 5
    assert sum(counts) > 1 or flood is malformed


def test_who_sends_too_much_is_paused_and_others_are_not(monkeypatch):
    """Nobody is refused; what is not for a call counts, too."""
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "6")  # ten requests at once, and then one a second

    async def application(scope, receive, send):
        await answer(send)

    async def visiting():
        async with guarded(application=application) as connect:
            reader, writer = await connect("127.0.0.3")
            writer.write(GET % b"" * 11)
            await got(reader, 9)
            late = asyncio.create_task(got(reader, 2))
            other = await connect("127.0.0.4")
            other[1].write(GET % b"")
            await got(other[0])
            assert not late.done()
            await late
            writer.close()
            other[1].close()

    asyncio.run(asyncio.wait_for(visiting(), PATIENCE))


def test_what_waits_for_something_else_holds_no_turn():
    """Streams, and calls that wait for a queue or a thread, of the same address."""
    waiting = []

    async def application(scope, receive, send):
        if scope["path"] == "/stream":
            waiting.append(asyncio.Event())
            await waiting[-1].wait()
        await answer(send)

    async def visiting():
        async with guarded(application=application) as connect:
            streams = [await connect() for _ in range(40)]
            for _, writer in streams:
                writer.write((GET % b"").replace(b"/ ", b"/stream ", 1))
            reader, writer = await connect()
            for _ in range(100):
                writer.write(GET % b"")
                await got(reader)
            assert len(waiting) == 40
            for one in waiting:
                one.set()
            for stream, _ in streams:
                await got(stream)
            for _, one in (*streams, (reader, writer)):
                one.close()

    asyncio.run(asyncio.wait_for(visiting(), PATIENCE))


def test_a_browser_that_loads_the_page_is_not_paused():
    """Six connections with a hundred requests, of each of ten people behind one address."""

    async def application(scope, receive, send):
        await answer(send)

    async def visiting():
        async with guarded(application=application) as connect:

            async def load():
                reader, writer = await connect("127.0.0.5")
                for _ in range(17):
                    writer.write(GET % b"")
                    await got(reader)
                    assert not turns()._paused
                writer.close()

            await asyncio.gather(*(load() for _ in range(60)))

    asyncio.run(asyncio.wait_for(visiting(), PATIENCE))


def test_bodies_of_one_address_arrive_whole_on_several_connections():
    """Also where the next bytes come before the last ones had their turn."""
    size = 3_000_000

    async def visiting():
        async with guarded() as connect:

            async def send():
                reader, writer = await connect()
                for _ in range(2):
                    writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
                    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
                    assert int(await reader.readexactly(9)) == size
                writer.close()

            await asyncio.gather(*(send() for _ in range(6)))

    asyncio.run(asyncio.wait_for(visiting(), PATIENCE))


def test_who_leaves_before_its_turn_is_not_answered(monkeypatch):
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "6")
    begun = []

    async def application(scope, receive, send):
        begun.append(scope["path"])
        await answer(send)

    async def visiting():
        async with guarded(application=application) as connect:
            reader, writer = await connect("127.0.0.6")
            writer.write(GET % b"" * 11)
            await got(reader, 9)
            writer.transport.abort()
            while turns()._waiting or turns()._paused:
                await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(visiting(), PATIENCE))
    assert len(begun) == 9
