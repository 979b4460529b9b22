"""What an open request may hold: time, bytes and connections; and what a stranger's strange bytes get."""

import asyncio
import contextlib
import logging
import os
import re
import socket
import threading
import time
from collections import Counter

import anyio
import httpx
import pytest
import uvicorn
from gate_calls import API, JSON, queue, upload
from guarded_server import guarded
from space import serve

from zoo import gate
from zoo.gate import bodies, connections, limits, traffic
from zoo.gate.callers import Caller
from zoo.gate.threads import Threads
from zoo.gate.traffic import Share, admitted
from zoo.rest import workers
from zoo.tabs import agents, door
from zoo.tabs.uploading import upload_id

SCOPE = {"type": "http", "client": ("192.0.2.1", 1), "headers": []}


@pytest.fixture(scope="module")
def url():
    with serve() as space:
        yield space.url


def body_of(*parts, pause=0.0):
    """Return a `receive` that gives parts of a body, then hangs."""
    left = list(parts)

    async def receive():
        await anyio.sleep(pause if left else 60)
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return receive


async def quiet(message):
    pass


def test_a_body_must_arrive_in_time(monkeypatch):
    """Also one that trickles: each part gives it a little more time, by its size."""
    monkeypatch.setattr(traffic, "GRACE", 0.05)

    async def reading(receive):
        with admitted(dict(SCOPE), receive, quiet) as (bounded, _):
            await bodies.spooled(bounded, 10**6)

    for receive in (body_of(b"x"), body_of(*[b"x"] * 100, pause=0.01)):
        began = time.monotonic()
        with pytest.raises(traffic.TooSlow, match="too slowly"):
            anyio.run(reading, receive)
        assert time.monotonic() - began < 5


def test_an_address_and_all_hold_few_bytes_of_bodies(monkeypatch):
    monkeypatch.setattr(traffic, "ARRIVING", Share("bytes", 1000, 1500, least=1000))
    monkeypatch.setattr(traffic, "SMALL", 0)
    first, second, third = ({**SCOPE, "client": (f"192.0.2.{n}", 1)} for n in (1, 2, 3))

    async def all_three():
        with (
            admitted(first, body_of(b"x" * 900, b"x" * 900), quiet) as (receive, _),
            admitted(second, body_of(b"x" * 900), quiet) as (other, _),
        ):
            await receive()
            with pytest.raises(limits.TooMany, match="from your address"):
                await receive()
            with pytest.raises(limits.TooMany, match="The server is busy"):
                await other()
        with admitted(third, body_of(b"x" * 900), quiet) as (receive, _):
            await receive()  # what ended holds nothing

    anyio.run(all_three)


def test_a_body_takes_memory_only_when_it_is_there(monkeypatch):
    """What others announce, or send slowly, or cut off, leaves the memory to those whose body is there."""
    held = Share("bytes", 3000, 3000, least=3000)
    monkeypatch.setattr(bodies, "HELD", held)
    monkeypatch.setattr(bodies, "LONG", 10)

    async def read(*parts, cut=False):
        left = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        left.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False})

        async def receive():
            return left.pop(0)

        async with bodies.arrived(receive, 2000, "192.0.2.1") as body:
            with pytest.raises(limits.TooMany):
                held.take("192.0.2.2", 3001 - sum(map(len, parts)))
            return await bodies.read(body)

    async def meanwhile():
        async with anyio.create_task_group() as others:
            for _ in range(5):
                others.start_soon(bodies.spooled, body_of(b"x" * 1900), 2000)
            await anyio.sleep(0.01)
            assert await read(b"x" * 1500, b"y" * 500) == b"x" * 1500 + b"y" * 500
            with pytest.raises(traffic.Disconnected):
                await read(b"x" * 1900, cut=True)
            with pytest.raises(bodies.TooLarge):
                await read(b"x" * 2001)
            held.take("192.0.2.2", 3000)  # what ended holds nothing
            others.cancel_scope.cancel()

    anyio.run(meanwhile)


def test_a_body_that_is_cut_off_is_no_request():
    async def cut():
        return {"type": "http.disconnect"}

    with pytest.raises(traffic.Disconnected):
        anyio.run(bodies.spooled, cut, 100)


def test_an_address_opens_few_requests(monkeypatch):
    """Also those that only listen. One request that passes twice counts once."""
    monkeypatch.setattr(traffic, "REQUESTS", Share("open requests", 2, 3, least=2))
    with admitted(dict(SCOPE), None, quiet), admitted(scope := dict(SCOPE), None, quiet):
        with admitted(scope, None, quiet):
            pass
        with (
            pytest.raises(limits.TooMany, match="Too many open requests from your address"),
            admitted(dict(SCOPE), None, quiet),
        ):
            pass
        with admitted({**SCOPE, "client": ("192.0.2.2", 1)}, None, quiet):
            pass
    with admitted(dict(SCOPE), None, quiet):
        pass


@pytest.mark.parametrize("share", ["REQUESTS", "STREAMS", "ARRIVING", "UNSENT", "HELD"])
def test_seven_addresses_leave_something_of_everything_to_the_next_one(share):
    """Also sixteen, and what they leave is more than nothing to many newcomers."""
    known = getattr(traffic, share)
    fresh, step = Share(known.what, known.each, known.in_all), max(known.each // 8, 1)
    for stranger in range(16):
        with contextlib.suppress(limits.TooMany):
            while True:
                fresh.take(f"198.51.100.{stranger}", step)
    for visitor in range(5):
        fresh.take(f"192.0.2.{visitor}", known.each // 200)
    with pytest.raises(limits.TooMany):
        fresh.take("198.51.100.1", step)


def test_short_requests_are_taken_where_long_ones_hold_all(monkeypatch):
    """Sketches, calls of the page and of agents; and a body that is silent ends, however fast it came before."""
    full = Share("bytes of requests", 10, 10)
    monkeypatch.setattr(traffic, "ARRIVING", full)
    monkeypatch.setattr(traffic, "GRACE", 0.2)

    async def arriving(*parts):
        with admitted(dict(SCOPE), body_of(*parts), quiet) as (receive, _):
            for _ in parts:
                await receive()
            await receive()

    for parts in ([b"x" * 60_000], [b"x" * 30_000] * 2):
        with pytest.raises(traffic.TooSlow):
            anyio.run(arriving, *parts)
    with pytest.raises(limits.TooMany):
        anyio.run(arriving, b"x" * 60_000, b"x" * 60_000)
    monkeypatch.setattr(traffic, "ARRIVING", Share("bytes of requests", 10**8, 10**9))
    began = time.monotonic()
    with pytest.raises(traffic.TooSlow):
        anyio.run(arriving, b"x" * 10_000_000)  # by its mean it could be silent for minutes
    assert time.monotonic() - began < 10
    assert not traffic.ARRIVING._used


def test_a_client_must_accept_its_answer(monkeypatch):
    """Also one that accepts a little of it now and then."""
    monkeypatch.setattr(traffic, "UNREAD", 0.05)
    monkeypatch.setattr(traffic, "SLOWEST", 10**9)

    async def stuck(message):
        await anyio.sleep(60)

    async def drip(message):
        await anyio.sleep(0.02)

    async def answering(send):
        with admitted(dict(SCOPE), None, send) as (_, send):
            await send({"type": "http.response.body", "body": b"x" * 20 * traffic.PART})

    for send in (stuck, drip):
        with pytest.raises(traffic.TooSlow):
            anyio.run(answering, send)
    assert not traffic.UNSENT._used


@pytest.mark.parametrize(("kind", "status"), [("at once", 200), ("by length", 429), ("without one", 200)])
def test_an_answer_that_nobody_reads_holds_little(monkeypatch, kind, status):
    """As a page of a network, rows of the board, and a stream of answers: the server never has more than a part."""
    monkeypatch.setattr(traffic, "UNSENT", Share("bytes of answers", 30_000_000, 200_000_000))
    refusals, body = [], b"x" * 12_000_000  # more than the system keeps

    async def application(scope, receive, send):
        with admitted(scope, receive, send) as (_, send):
            headers = [] if kind == "without one" else [(b"content-length", b"%d" % len(body))]
            try:
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                if kind == "at once":  # in parts, of bytes that are the same for everybody
                    for place in range(0, len(body), traffic.PART):
                        part = body[place : place + traffic.PART]
                        await send({"type": "http.response.body", "body": part, "more_body": True})
                    await send({"type": "http.response.body"})
                else:
                    await send({"type": "http.response.body", "body": body})
            except limits.TooMany as error:
                refusals.append(error)
                if kind == "by length":
                    await scope["zoo.raw"]({"type": "http.response.start", "status": 429, "headers": []})
                    await scope["zoo.raw"]({"type": "http.response.body"})

    async def visiting():
        async def raw(scope, receive, send):
            await application({**scope, "zoo.raw": send}, receive, send)

        async with guarded(application=raw) as connect:
            readers = [await connect() for _ in range(4)]
            for _, writer in readers:
                writer.transport.pause_reading()
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await anyio.sleep(0.5)
            held = [one.transport.get_write_buffer_size() for one in connections._OPEN["127.0.0.1"]]
            assert max(held) <= 3 * traffic.PART
            assert sum(map(bool, held)) >= 2  # they are not read
            assert len(refusals) == (0 if kind == "at once" else 2)
            for reader, writer in readers:
                writer.transport.resume_reading()
                first = await asyncio.wait_for(reader.readline(), 5)
                assert b"200" in first or str(status).encode() in first or kind == "without one"
                writer.close()
            await anyio.sleep(0.1)

    anyio.run(visiting)
    assert not traffic.UNSENT._used


def test_a_connection_without_a_whole_header_is_ended(monkeypatch):
    """One that is silent, one that stops within its header, and one more than an address may open."""
    monkeypatch.setattr(connections, "IDLE", 0.2)
    monkeypatch.setattr(connections, "EACH", 3)

    async def visiting():
        async with guarded() as connect:
            opened = [await connect() for _ in range(4)]
            opened[0][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n")
            opened[1][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP")
            assert b"200" in await opened[1][0].readline()
            for reader, _ in opened:
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(), 5)
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in await reader.readline()
            writer.close()

    anyio.run(visiting)


CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"OPTIONS"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 1\r\n\r\na", b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"]
)
def test_a_body_is_not_kept_while_the_request_before_it_is_answered(method, body):
    """Nothing would count it: 64 kB of each of many were kept."""

    async def visiting():
        async with guarded() as connect:
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + method + b" / HTTP/1.1\r\nHost: x\r\n" + body)
            said = await asyncio.wait_for(reader.read(), 5)
            assert b"400 Bad Request" in said
            writer.close()

    anyio.run(visiting)


@pytest.mark.parametrize("name", ["cookie", "authorization", "x-forwarded-for"])
def test_a_trailer_says_nothing_to_the_server(name):
    """A cookie in it was parsed, in a time that grows with its length squared: 150 kB took a minute."""
    seen = []

    async def noting(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        seen.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def visiting():
        async with guarded(application=noting) as connect:
            reader, writer = await connect()
            writer.write(CHUNKED.replace(b"POST", b"GET") + b"1\r\na\r\n0\r\n" + name.encode() + b": a=1\r\n\r\n")
            assert b"200" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            writer.close()

    anyio.run(visiting)
    assert len(seen) == 1
    assert not any(name.encode() in headers for headers in seen)


@pytest.mark.parametrize(
    "trailer",
    [
        b"Connection: close",
        b"connection: keep-alive, Close",
        b"Proxy-Connection: close",
        b"Connection: Upgrade\r\nUpgrade: h2c",
        b"Content-Length: 7",
        b"Transfer-Encoding: gzip",
    ],
)
@pytest.mark.parametrize("early", [False, True])
def test_the_request_after_a_trailer_is_answered_or_the_connection_ends(trailer, early):
    """A parser that took the trailer for its own swallowed what a proxy sent next on it, of the next visitor."""

    async def answering(scope, receive, send):
        while not early and (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def visiting():
        async with guarded(application=answering) as connect:
            reader, writer = await connect()
            writer.write(CHUNKED + b"1\r\na\r\n")
            await asyncio.sleep(0.05)
            writer.write(b"0\r\n" + trailer + b"\r\n\r\n")
            first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            await asyncio.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                writer.write(HIDDEN)
                second = await asyncio.wait_for(reader.read(17), 5)
                assert second == b"HTTP/1.1 200 OK\r\n" or early or b"connection: close" in first
            writer.close()

    anyio.run(visiting)


@pytest.mark.parametrize("length", [40, 1_000, 65_536, 300_000])
def test_a_body_in_chunks_arrives_whole(length):
    async def visiting():
        async with guarded() as connect:
            reader, writer = await connect()
            count = 2_000_000 // length
            for _ in range(2):
                chunks = (f"{length:x}\r\n".encode() + b"a" * length + b"\r\n") * count
                writer.write(CHUNKED + chunks + b"0\r\nX-Sum: 1\r\n\r\n")
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                assert int(await reader.readexactly(9)) == count * length
            writer.close()

    anyio.run(visiting)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 2_000_000,
        b"GET /" + b"a" * 2_000_000,
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 300_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        CHUNKED + b"0\r\n" + b"a:\r\n" * 300_000,
        CHUNKED + b"0\r\nX: " + b"a" * 2_000_000,
        CHUNKED
        + b"100000\r\n"
        + b"a" * 2**20
        + b"\r\n0\r\n"
        + b"".join(b"%d:" % n + b"a" * 9000 + b"\r\n" for n in range(190)),
        CHUNKED + b"1;" + b"a" * 2_000_000,
        CHUNKED + b"1\r\na\r\n" * 300_000 + b"0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\r\nX: " + b"a" * 2_000_000,
        b"GET /?" + b"%=%&" * 3900 + b" HTTP/1.1\r\n\r\n",
        b"GET /?" + b"a&" * 50 + b" HTTP/1.1\r\n\r\n",
        b"GET /?a=" + b"%" * 2050 + b" HTTP/1.1\r\n\r\n",
        b"GET /" + b"%41" * 1400 + b" HTTP/1.1\r\n\r\n",
        b"GET /" + b"%" * 1025 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Forwarded-For: " + b"10.0.0.1," * 500 + b"\r\n\r\n",
    ],
    ids=[
        "value",
        "address",
        "fields",
        "complete",
        "trailer",
        "trailer's value",
        "trailer after a body",
        "chunk",
        "tiny chunks",
        "second",
        "query",
        "values of a query",
        "value of a query",
        "path",
        "percent signs",
        "field",
    ],
)
def test_a_header_without_end_ends_its_connection(caplog, sent):
    """Or one that takes long to parse, and writes no line into the log."""
    log = logging.getLogger("uvicorn.error")

    async def visiting():
        async with guarded() as connect:
            log.setLevel(logging.WARNING)
            log.addHandler(caplog.handler)
            reader, writer = await connect()
            with contextlib.suppress(ConnectionError):
                writer.write(sent)
                answered = await asyncio.wait_for(reader.read(), 5)
                assert b"200 OK" not in answered.removeprefix(b"HTTP/1.1 200 OK" if sent.startswith(b"POST") else b"")
            writer.close()

    anyio.run(visiting)
    log.removeHandler(caplog.handler)
    assert not caplog.records


@pytest.mark.parametrize(("proxies", "most"), [("", 3), ("192.0.2.1", 3), ("127.0.0.0/8", 5), ("*", 5)])
def test_a_proxy_that_the_server_trusts_opens_connections_for_many(monkeypatch, proxies, most):
    monkeypatch.setattr(connections, "EACH", 3)

    async def visiting():
        async with guarded(proxies) as connect:
            opened, answered = [await connect() for _ in range(5)], 0
            for reader, writer in opened:
                with contextlib.suppress(ConnectionError):
                    writer.write(b"GET / HTTP/1.1\r\n\r\n")
                    answered += b"200" in await asyncio.wait_for(reader.readline(), 5)
            for _, writer in opened:
                writer.close()
            assert answered == most

    anyio.run(visiting)


@pytest.mark.parametrize(("named", "trusted"), [(None, ""), ("", ""), ("10.0.0.1", "10.0.0.1"), ("*", "*")])
def test_a_server_believes_the_proxies_that_it_was_told_of_alone(monkeypatch, named, trusted):
    """Else whoever connects by loopback, as a tunnel does, has another address with each request."""
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: configured.append(uvicorn.Config(app, **options)))
    for name in ("FORWARDED_ALLOW_IPS", "PROMETHEUS_MULTIPROC_DIR", "ZOO_LOG"):
        monkeypatch.setenv(name, "")  # so that it is put back
    monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    if named is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", named)
    configured = []
    for name in ("PROMETHEUS_MULTIPROC_DIR", "ZOO_LOG"):  # which it sets for its processes
        monkeypatch.setenv(name, "")
    workers.run("127.0.0.1", 1, 1)
    assert configured[0].forwarded_allow_ips == trusted


def test_where_all_connections_are_taken_idle_ones_of_whoever_has_most_give_way(monkeypatch):
    monkeypatch.setattr(connections, "IN_ALL", 4)

    async def answered(reader, writer):
        with contextlib.suppress(ConnectionError):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return b"200" in await asyncio.wait_for(reader.readline(), 5)

    async def visiting():
        async with guarded() as connect:
            held = [await connect() for _ in range(4)]  # of the address that has most
            visitors = [await connect("127.0.0.2"), await connect("127.0.0.3"), await connect("127.0.0.2")]
            assert [await answered(*one) for one in visitors] == [True, True, False]  # nobody has more than two then
            assert sum([bool(await answered(*one)) for one in held]) == 2
            for _, writer in (*held, *visitors):
                writer.close()

    anyio.run(visiting)


def test_few_requests_of_a_connection_wait_for_an_answer():
    async def visiting():
        async with guarded() as connect:
            reader, writer = await connect()
            with contextlib.suppress(ConnectionError):
                writer.write(b"GET / HTTP/1.1\r\n\r\n" * 10_000)
                assert (await asyncio.wait_for(reader.read(), 5)).count(b"200 OK") <= connections.PIPELINE + 1
            writer.close()
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n\r\n" * 5)
            for _ in range(5):
                assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                await reader.readexactly(9)
            writer.close()

    anyio.run(visiting)


def test_requests_to_upgrade_are_ordinary_ones_and_leave_the_count(monkeypatch):
    monkeypatch.setattr(connections, "EACH", 3)

    async def visiting():
        async with guarded() as connect:
            for _ in range(5):
                reader, writer = await connect()
                writer.write(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                assert b"200" in await asyncio.wait_for(reader.readline(), 5)
                writer.close()
                await writer.wait_closed()

    anyio.run(visiting)


UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "answers"),
    [
        (b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: a\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN), 0),
        (b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: close, upgrade\r\nContent-Length: 40000\r\n\r\n", 0),
        (b"PUT / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n25\r\n", 0),
        (b"CONNECT x:80 HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN), 0),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 1),
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 0\r\n\r\n", 2),
    ],
)
@pytest.mark.parametrize("apart", [True, False])
def test_what_follows_a_request_to_upgrade_is_no_request(first, answers, apart):
    """Its body was taken for one: behind a proxy, the next visitor got the answer to that."""
    asked = []

    async def noted(scope, receive, send):
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def visiting():
        async with guarded(application=noted) as connect:
            reader, writer = await connect()
            with contextlib.suppress(ConnectionError):
                writer.write(first + (b"" if apart else HIDDEN))
                for _ in range(3 if apart else 0):
                    await asyncio.sleep(0.02)  # so that it arrives by itself
                    writer.write(HIDDEN)
                said = await asyncio.wait_for(reader.read(), 5)
                assert said.count(b"200 OK") == answers
            writer.close()

    anyio.run(visiting)
    assert asked == ["/"] * answers


def test_long_bodies_of_one_connection_are_taken():
    async def visiting():
        async with guarded() as connect:
            reader, writer = await connect()
            for size in (3_000_000, 100_000, 0, 1_000_000):
                writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
                assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                assert int(await reader.readexactly(9)) == size
            writer.close()

    anyio.run(visiting)


@pytest.mark.parametrize("query", [b"upload_id=" + b"a" * 65, b"upload_id=a/b", b"upload_id=%00"])
def test_the_name_of_an_upload_is_short(query):
    with pytest.raises(door.ZooError, match="at most 64 letters"):
        upload_id({"query_string": query})


def test_few_uploads_of_an_address_are_watched_at_a_time(url):
    """Gradio looks at each twenty times a second."""
    head = f"POST {API}/upload?upload_id=a HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = 'Content-Length: 9999\r\n\r\n--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\na'
    host, port = url.removeprefix("http://").split(":")
    said, watches = Counter(), contextlib.ExitStack()
    with socket.create_connection((host, int(port))) as slow, httpx.Client(timeout=20) as client, watches:
        slow.sendall((head + part).encode())
        time.sleep(0.3)
        for _ in range(door.WATCHED.each + 3):
            answer = watches.enter_context(client.stream("GET", f"{url}{API}/upload_progress?upload_id=a"))
            said[answer.status_code] += 1
    assert said == {200: door.WATCHED.each, 429: 3}


def test_the_log_of_mcp_has_no_values(caplog):
    agents.Agents({}, "test")
    for name in agents.LOGGERS:
        record = logging.LogRecord(
            name or "root", logging.WARNING, "/x/mcp/shared/session.py", 1, "got %s", ("s3cret",), None
        )
        logging.getLogger(name).handle(record)
    assert "s3cret" not in caplog.text
    assert caplog.text.count("MCP: a request failed") == len(agents.LOGGERS)


@pytest.mark.parametrize("addresses", [1, 9])
def test_agents_of_some_addresses_leave_a_place_to_another(addresses):
    """Some of their calls run, the others wait; one of another address is answered meanwhile."""
    begun, go_on = [], threading.Event()

    @gate.endpoint
    def slow(name: str) -> str:
        begun.append(name)
        return name if name == "visitor" or go_on.wait(20) else "late"

    async def calling():
        server = agents.Agents({"slow": slow}, "test")
        server._limiter = Threads(agents.AT_ONCE)

        async def call(name, address):
            with gate.entered(Caller(address)) as caller:
                return (await server._call("slow", {"name": name}, caller)).content[0].text

        strangers = [asyncio.create_task(call("x", f"192.0.2.{n}")) for n in range(addresses) for _ in range(6)]
        with anyio.fail_after(20):
            while len(begun) < max(agents.AT_ONCE // 4, addresses):
                await anyio.sleep(0.01)
            assert await call("visitor", "198.51.100.1") == '"visitor"'
        go_on.set()
        assert {await one for one in strangers} == {'"x"'}

    anyio.run(calling)


@pytest.mark.parametrize(
    ("info", "user"),
    [
        ("x", None),
        ({"expires_at": "x"}, None),
        ({"expires_at": 9e9, "userinfo": [1]}, None),
        ({"expires_at": 9e9, "userinfo": {"preferred_username": 1}}, None),
        ({"expires_at": 9e9, "userinfo": {"preferred_username": "ann"}}, "ann"),
    ],
)
def test_a_session_of_another_form_is_nobodys(monkeypatch, info, user):
    for key, value in {"SYSTEM": "spaces", "SPACE_ID": "me/zoo", "OAUTH_CLIENT_SECRET": "x"}.items():
        monkeypatch.setenv(key, value)
    assert Caller.of({**SCOPE, "session": {"oauth_info": info}}).signed_in == user


# A running Space


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            b'{"data": [], "fn_index": 0, "session_hash": "a", "event_data": [' + b"1" * 900 + b"]}",
            "at most 100 digits",
        ),
        (b"[" + b"1" * 900 + b"]", "at most 100 digits"),
        (b'"' + b"a" * 30_000 + b'"', "at most 20,000"),
        (b'{"path": "a\\u0000b"}', "uploaded to this Space"),
        (b" " * 4_000_001, "at most 4,000,000 bytes"),
    ],
)
def test_a_page_sends_small_values(url, said, sentence):
    body = b'{"data": [], "fn_index": 0, "session_hash": "a", "event_data": %s}'
    answer = httpx.post(f"{url}{API}/queue/join", content=body % said, headers=JSON)
    assert answer.status_code in (400, 403, 413)
    assert sentence in answer.json()["detail"]


def test_a_camera_sends_its_picture_as_event_data_too(url):
    found = httpx.get(f"{url}/config").json()["dependencies"]
    stream = next(one["id"] for one in found if any(event == "stream" for _, event in one["targets"]))
    said = {"data": [None], "fn_index": stream, "session_hash": "camera", "event_data": "a" * 200_000}
    answer = httpx.post(f"{url}{API}/queue/join", json=said)
    assert "event_data" not in answer.text


@pytest.mark.parametrize(
    "name", [b"", b"; filename*=UTF-8''..%2f..%2fx", b'; filename="' + b"n" * 5000 + b'"', b'; filename=".."']
)
def test_an_upload_of_another_form_gets_a_sentence_or_is_kept(url, name):
    content = b'--b\r\nContent-Disposition: form-data; name="files"' + name + b"\r\n\r\nabc\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{url}{API}/upload", content=content, headers=headers)
    if answer.status_code == 200:
        assert httpx.get(f"{url}{API}/file={answer.json()[0]}").text == "abc"
    else:
        assert (answer.status_code, "internal error" in answer.text) == (400, False)


def test_an_upload_has_few_files_and_leaves_nothing_when_it_is_cut_off(url, tmp_path):
    many = [("files", (str(n), b"x")) for n in range(41)]
    answer = httpx.post(f"{url}{API}/upload", files=many)
    assert (answer.status_code, "Maximum number of files is 40" in answer.text) == (400, True)
    folder = upload(url, "a.txt", b"kept").rsplit("/", 2)[0]
    before = set(os.listdir(folder))  # of other tests
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        head = f"POST {API}/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        part = '--b\r\nContent-Disposition: form-data; name="files"; filename="cut"\r\n\r\n'
        raw.sendall(f"{head}Content-Length: 9000000\r\n\r\n{part}".encode() + b"x" * 3_000_000)
    deadline = time.monotonic() + 20
    while any(name.startswith("tmp") for name in set(os.listdir(folder)) - before):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_headers_of_a_proxy_that_is_not_there_are_not_repeated(url):
    answer = httpx.get(f"{url}/config", headers={"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"})
    assert "evil.example" not in answer.text


def answered(url, request):
    """Send bytes to a Space; return the header and the body of what comes until the connection ends."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 60) as raw:
        raw.sendall(request)
        with raw.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    return head.lower(), body


@pytest.mark.parametrize(
    "said",
    ["Accept-Encoding: gzip", "Accept-Encoding: br", "Range: bytes=0-9", "Range: bytes=0-1,3-4,6-7", "X-Evil: 1",
     "Range: bytes=0-9\r\nX-Accel-Redirect: /evil", "Range: bytes=0-9\r\nSet-Cookie: evil=1",
     "Range: bytes=0-9\r\nTransfer-Encoding: chunked"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.txt", "a.png"])
def test_a_file_is_sent_as_it_is_whatever_the_request_says(url, name, said):
    """Its header came back in the answer, and the file was compressed while all others waited."""
    content = b"ab" * 2000
    path = httpx.post(f"{url}{API}/upload", files={"files": (name, content)}).json()[0]
    request = f"GET {API}/file={path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{said}\r\n\r\n"
    head, body = answered(url, request.encode() + (b"0\r\n\r\n" if "chunked" in said else b""))
    assert head.startswith(b"http/1.1 200")
    assert body == content
    assert not re.search(rb"evil|encoding|content-range", head)


@pytest.mark.parametrize(
    "said", ["gzip, chunked", "identity, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", "gzip"]
)
def test_a_transfer_encoding_has_one_meaning(url, said):
    request = f"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {said}\r\n\r\n0\r\n\r\n"
    assert answered(url, request.encode())[0].startswith(b"http/1.1 400")


@pytest.mark.parametrize("asked", ["info", "info?all_endpoints=1", "openapi.json", "call/v2/models", "../config", ".."])
def test_nobody_is_told_the_host_of_anothers_request(url, asked):
    """In no example either; Gradio kept those of the first who asked, for everybody until the next start."""
    evil = {"Host": "evil.example"}
    if "call" in asked:
        assert httpx.post(f"{url}{API}/{asked}", json={}, headers=evil).status_code == 200
    else:
        assert httpx.get(f"{url}{API}/{asked}", headers=evil).status_code == 200
    for path in ("info", "info?all_endpoints=1", "openapi.json", "../config", ".."):
        said = httpx.get(f"{url}{API}/{path}")
        assert (said.status_code, "evil.example" in said.text) == (200, False), path
    assert f'"root":"{url}"' in httpx.get(url).text.replace(" ", "")
    assert httpx.get(f"{url}/config").json()["root"] == url
    assert f"{url}{API}/call/" in httpx.get(f"{url}{API}/info").text


@pytest.mark.parametrize(
    "said",
    [b"[]", b"{}", b'"a"', b"1", b"null", b'{"jsonrpc": "1.0"}', b'{"jsonrpc": "2.0", "id": {}, "method": 1}',
     b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 1}}',
     b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read", "arguments": [1]}}',
     b'{"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "s3cret"}}'],
)  # fmt: skip
def test_an_agent_that_says_something_else_gets_a_plain_sentence(url, said):
    headers = {"Accept": "application/json, text/event-stream", **JSON}
    answer = httpx.post(f"{url}{API}/mcp/", content=said, headers=headers).text
    assert '"error"' in answer
    assert not any(word in answer for word in ("pydantic", "input_value", "validation error", "s3cret"))


@pytest.mark.parametrize("path", ["queue/data?session_hash=zz", "queue/data", "call/read/zz", "call/v2/models/zz"])
def test_a_stream_of_answers_that_is_nobodys_is_refused_before_it_begins(url, path):
    answer = httpx.get(f"{url}{API}/{path}")
    assert (answer.status_code, "no answers under this name" in answer.text) == (404, True)


def test_a_page_still_gets_its_answers(url):
    assert queue(url, 0, [None, None, False]).fine
