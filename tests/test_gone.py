"""Callers that leave: what they asked for is not done, by whatever way it came."""

import asyncio
import gc
import io
import json
import threading
import time
import weakref

import pytest
import uvicorn
from networks import onnx_file
from PIL import Image
from strokes import SEVEN, sketch

from leaderboard.submissions import checks, intake
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.store import open_store
from zoo import gate
from zoo.gate import connections
from zoo.gate.traffic import Answering, Disconnected, admitted, attended
from zoo.rest.application import Api
from zoo.serving import engine
from zoo.serving.engine import Engine, Picture
from zoo.serving.reading_budget import Spent, Unwanted
from zoo.tabs import agents, local

PATIENCE = 20
JSON = [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
PICTURE = json.dumps({"image": "data:image/png;base64,AAAA", "model": "lenet5.mnist"}).encode()
SKETCH = json.dumps({"sketch": sketch(SEVEN), "model": "lenet5.mnist"}).encode()

LONG = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + b"x" * 400_000


class Client:
    """Sends one request to an ASGI application, and leaves when it is told to."""

    def __init__(self, app, method, path, body=b"", address="192.0.2.1"):
        self.app, self._left, self._parts, self.sent = app, asyncio.Event(), [body], []
        self.scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": JSON, "client": (address, 1), "server": ("zoo", 80), "scheme": "http", "http_version": "1.1",
        }  # fmt: skip

    async def _receive(self):
        if self._parts:
            return {"type": "http.request", "body": self._parts.pop(), "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        self.sent.append(message)

    def start(self):
        self.answered = asyncio.create_task(self.app(self.scope, self._receive, self._send))
        return self

    async def leave(self):
        """Leave; the application ends without an answer."""
        self._left.set()
        await asyncio.wait_for(self.answered, PATIENCE)
        assert self.sent == []


async def until(what):
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def behind_the_door(app):
    """Return an application that is asked as the door asks it."""

    async def door(scope, receive, send):
        answering = Answering(send)
        try:
            with admitted(scope, receive, answering) as (body, bounded), attended(scope, answering):
                await app(scope, body, bounded)
        except Disconnected:
            pass

    return door


class Pages:
    """A picture of very many pages, in place of those that are read: `begun` counts calls, `ended` how they ended."""

    def __init__(self):
        self.begun, self.ended = 0, []

    def __call__(self, content, predictors, budget):
        self.begun += 1
        try:
            while True:
                budget.check()
                time.sleep(0.005)
        except Spent as error:
            self.ended.append(type(error))
            raise


@pytest.fixture
def pages(monkeypatch):
    found = Pages()
    monkeypatch.setattr(engine, "of_picture", found)
    return found


def test_pictures_of_who_has_gone_leave_their_threads_and_the_queue(pages):
    async def scene():
        api = Api(Engine(threads=2))
        clients = [Client(api, "POST", "/api/v1/read", PICTURE, f"192.0.2.{n}").start() for n in range(6)]
        await until(lambda: pages.begun == 2 and api.engine.pictures.waiting == 4)
        for one in reversed(clients):
            await one.leave()
        await until(lambda: len(pages.ended) == 2)
        assert (pages.begun, api.engine.pictures.waiting) == (2, 0)
        api.engine.close()

    asyncio.run(scene())
    assert pages.ended == [Unwanted] * 2


def test_sketches_and_files_of_who_has_gone_leave_their_queues(monkeypatch):
    """Also a file that is made for a browser; who stays is answered."""
    go, made = threading.Event(), []

    def work(asked, answer):
        made.extend(asked)
        go.wait(PATIENCE)
        return [answer for _ in asked]

    async def scene():
        monkeypatch.setattr(Engine, "_sketches", lambda self, asked: work(asked, {}))
        monkeypatch.setattr(local.Networks, "_contents", lambda self, asked: work(asked, b"{}"))
        api, networks = Api(Engine(threads=1)), local.Networks(None, None, None)

        asked = (api, "POST", "/api/v1/read", SKETCH), (behind_the_door(networks), "GET", "/networks/a.json")
        queues = api.engine.sketches, networks._queues[True]
        for one, queue in zip(asked, queues, strict=True):
            go.clear()
            made.clear()
            first = Client(*one).start()
            await until(made.__len__)
            others = [Client(*one).start() for _ in range(3)]
            await until(lambda queue=queue: queue.waiting == 3)
            for other in others[:2]:
                await other.leave()
            assert queue.waiting == 1
            go.set()
            await asyncio.wait_for(asyncio.gather(first.answered, others[2].answered), PATIENCE)
            assert [first.sent[0]["status"], others[2].sent[0]["status"], len(made)] == [200, 200, 2]
        api.engine.close()

    asyncio.run(scene())


def test_a_tool_of_an_agent_that_has_gone_ends(monkeypatch):
    """One that runs sees it; one that waits for its turn is not begun."""
    begun, heard = [], []

    @gate.endpoint
    def slow() -> str:
        begun.append(1)
        while gate.listening():
            time.sleep(0.005)
        heard.append(gate.listening())
        return ""

    async def scene():
        server = agents.Agents({"slow": slow}, "test")

        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow", "arguments": {}}}
        async with server.running():
            clients = [
                Client(behind_the_door(server), "POST", "/gradio_api/mcp", json.dumps(call).encode()).start()
                for _ in range(5)
            ]
            await until(lambda: len(begun) == agents.AT_ONCE // 4)
            for one in reversed(clients):
                one._left.set()
            await until(lambda: len(heard) == agents.AT_ONCE // 4)
            await asyncio.wait_for(asyncio.gather(*(one.answered for one in clients)), PATIENCE)
        assert len(begun) == agents.AT_ONCE // 4

    asyncio.run(scene())


def test_a_submission_whose_sender_has_gone_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(intake.guard, "check", checks.check)  # without a process of its own
    store = open_store(str(tmp_path))
    offer = Offer("net", ("optdigits",), "mit", "optdigits, training set only")
    with gate.entered(gate.Caller("192.0.2.1"), lambda: False), pytest.raises(Disconnected):
        intake.submit(store, "ann", offer, ("a.onnx", onnx_file()), secret=intake.new_secret())
    assert store.all() == []


def test_a_call_of_the_engine_that_is_cancelled_is_unwanted(pages):
    """Whatever way it came: Ray Serve cancels, too."""

    async def scene():
        one = Engine(threads=1)
        reading_it = asyncio.create_task(one.read(Picture(lambda: b"", ("lenet5.mnist",))))
        await until(lambda: pages.begun)
        reading_it.cancel()
        await until(lambda: pages.ended)
        one.close()

    asyncio.run(scene())
    assert pages.ended == [Unwanted]


@pytest.mark.parametrize("why", ["broken", "blank", "unknown", "gone"])
def test_nothing_is_kept_of_a_picture_that_was_not_read(why, monkeypatch):
    """Its error had a traceback, whose frames had the picture and the error: such circles wait for the collector."""
    encoded = io.BytesIO()
    Image.new("L", (64, 64), "white").save(encoded, "PNG")
    content = {"broken": b"\x89PNG\r\n\x1a\n", "gone": b""}.get(why, encoded.getvalue())
    if why == "gone":
        monkeypatch.setattr(engine, "of_picture", Pages())
    kept = []

    class Content:
        def __call__(self):
            return content

    async def scene(one):
        picture = Picture(Content(), ("nowhere" if why == "unknown" else "lenet5.mnist", "glyphnet_10k.ahcd"))
        kept.append(weakref.ref(picture.content))
        call = asyncio.create_task(one.read(picture))
        del picture
        if why == "gone":
            await until(lambda: engine.of_picture.begun)
            call.cancel()
        await asyncio.gather(call, return_exceptions=True)  # raised here, its traceback would hold the call

    one = Engine(threads=1)
    gc.collect()
    gc.disable()
    try:
        asyncio.run(scene(one))
        one.close()
        assert kept[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("second", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3, LONG])
def test_a_connection_that_ends_is_seen_whatever_came_behind_its_request(second):
    """Requests that wait for the first one's answer stop nobody from seeing that their client has gone."""
    ends = []

    async def application(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        ends.append(scope["method"])

    async def scene():
        config = uvicorn.Config(application, port=0, lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        connections.guard(config)
        port = server.servers[0].sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na" + second)
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await until(lambda: ends)
        server.should_exit = True
        await running

    asyncio.run(scene())
    assert ends == ["POST"]
