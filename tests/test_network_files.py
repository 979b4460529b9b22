"""The files at /networks/: made once, by a thread of their own, in which addresses take turns."""

import asyncio
import gzip
import threading

import anyio
import pytest

from zoo import gate
from zoo.errors import Busy, ZooError
from zoo.gate import Caller
from zoo.tabs import door, local


class Sent:
    """Submissions by name; `go_on` lets their pages be made, `begun` has the names in the order of making."""

    def __init__(self):
        self.begun, self.go_on, self.versions = [], threading.Event(), {}
        self.go_on.set()

    def network(self, model):
        self.begun.append(model)
        assert self.go_on.wait(20)
        if model.startswith("none"):
            raise ZooError("no such row")
        contract = {"height": 28, "width": 28}
        file = {"name": model, "labels": ["0"], "script": "digits", "dataset": "mnist", "contract": contract}
        return file, [("Network", model)]

    def version(self, model):
        return self.versions.get(model)


@pytest.fixture
def sent():
    return Sent()


@pytest.fixture
def files(sent):
    return local.Networks(lambda model: None, sent.network, sent.version)


async def get(files, name, address="192.0.2.1"):
    """Return the content of a file."""
    parts = []

    async def send(message):
        parts.append(message.get("body", b""))

    with gate.entered(Caller(address)):
        await files({"type": "http", "path": f"/networks/{name}", "method": "GET", "headers": []}, None, send)
    return gzip.decompress(b"".join(parts)).decode()


def test_a_submissions_page_is_made_once_for_each_of_its_versions(files, sent, monkeypatch):
    """However many ask for it at the same time; what cannot be made is no page, and is not tried again for a while."""

    async def asking():
        pages = await asyncio.gather(*(get(files, "eve~net.mnist.html") for _ in range(40)))
        assert len(set(pages)) == len(sent.begun) == 1
        sent.versions["eve~net.mnist"] = 2
        await get(files, "eve~net.mnist.html")
        await get(files, "eve~net.mnist.html")
        assert len(sent.begun) == 2
        for _ in range(2):
            with pytest.raises(ZooError, match="no such row"):
                await get(files, "none~net.mnist.html")
        for number in range(local.MOST_SENT):
            await get(files, f"eve~net{number}.mnist.html")
        await get(files, "eve~net.mnist.html")
        assert len(sent.begun) == 2 + 1 + local.MOST_SENT + 1  # pages that nobody asks for make room
        monkeypatch.setattr(local, "FAILED", -1.0)
        sent.versions["none~net.mnist"] = 2
        for _ in range(2):
            with pytest.raises(ZooError, match="no such row"):
                await get(files, "none~net.mnist.html")
        assert sent.begun[-2:] == ["none~net.mnist"] * 2

    anyio.run(asking)


def test_who_asks_for_many_pages_waits_for_their_own(files, sent):
    """And they leave the server's other threads alone; what is there already waits for nothing."""

    async def asking():
        engine = await get(files, "engine.js")
        sent.go_on.clear()
        strangers = [
            asyncio.create_task(get(files, f"eve~net{number}.mnist.html")) for number in range(local.MOST_WAITING // 4)
        ]
        await anyio.sleep(0)
        visitor = asyncio.create_task(get(files, "ann~net.mnist.html", "192.0.2.2"))
        await anyio.sleep(0)
        assert await get(files, "engine.js", "192.0.2.2") == engine
        for other in ("worker.js", "lenet5.mnist.html", "lenet5.mnist.json"):  # not made yet
            assert await asyncio.wait_for(get(files, other, "192.0.2.2"), 60)
        assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        with pytest.raises(Busy, match="from your address are waiting") as refused:
            await asyncio.gather(*(get(files, f"eve~more{number}.mnist.html") for number in range(2)))
        assert door._status(refused.value) == 429
        sent.go_on.set()
        await visitor
        assert sent.begun.index("ann~net.mnist") <= 2
        await asyncio.gather(*strangers, return_exceptions=True)

    anyio.run(asking)


def test_a_served_network_is_made_once(files, monkeypatch):
    made = []
    monkeypatch.setattr(local, "file", lambda model: made.append(model) or {"network": model})

    async def asking():
        await asyncio.gather(*(get(files, "lenet5.mnist.json") for _ in range(10)))
        assert made == ["lenet5.mnist"]

    anyio.run(asking)


def test_a_network_that_did_not_come_with_the_package_delays_none_that_did(files, sent, monkeypatch):
    """And one that no page can run is tried once, whoever asks for it."""
    made = []

    def file(model):
        made.append(model)
        assert model == "lenet5.mnist" or sent.go_on.wait(20)
        if model.startswith("none"):
            raise ZooError("This network cannot be exported.")
        return {"network": model}

    monkeypatch.setattr(local, "file", file)
    monkeypatch.setattr(local, "names", lambda: ["lenet5.mnist", "own.mnist", "none.mnist"])

    async def asking():
        sent.go_on.clear()
        own = asyncio.create_task(get(files, "own.mnist.json"))
        await anyio.sleep(0)
        assert await asyncio.wait_for(get(files, "lenet5.mnist.json"), 10)
        sent.go_on.set()
        assert await own
        for _ in range(2):
            with pytest.raises(ZooError, match="cannot be exported"):
                await get(files, "none.mnist.json", "192.0.2.2")
        assert sorted(made) == ["lenet5.mnist", "none.mnist", "own.mnist"]

    anyio.run(asking)
