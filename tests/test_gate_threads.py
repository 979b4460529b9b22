"""Threads that all routes share: an address that holds many leaves some to the next one, and they take turns."""

import asyncio
import base64
import tempfile
import threading

import anyio
import httpx
import pytest
from anyio import to_thread
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from strokes import SEVEN, sketch

from leaderboard import service
from leaderboard.submissions import intake
from zoo import gate
from zoo.errors import ZooError
from zoo.gate import bodies
from zoo.gate.callers import Caller
from zoo.gate.threads import Threads
from zoo.gate.traffic import REQUESTS
from zoo.tabs.agents import Agents
from zoo.tabs.space import WRITING, Space, api

SEVERAL = [f"198.51.100.{n}" for n in range(6)]


async def asked(api, address, method, path, **more):
    transport = httpx.ASGITransport(api, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://zoo") as client:
        return (await client.request(method, path, timeout=None, **more)).status_code


async def newcomer(api, tmp_path):
    """Ask for what takes a thread of those that all routes share."""
    board, models = "/api/v1/leaderboard/mnist", "/api/v1/models"
    for method, path, more in (
        ("GET", board, {}),
        ("GET", models, {}),
        ("POST", "/api/v1/read", {"json": {"sketch": sketch(SEVEN), "model": "lenet5.mnist"}}),
    ):
        assert await asked(api, "192.0.2.1", method, path, **more) == 200, path
    with gate.entered(Caller("192.0.2.1")), tempfile.SpooledTemporaryFile(max_size=1) as file:
        await UploadFile(file).write(b"on the disk")
        await UploadFile(file).seek(0)
        assert await bodies.read(file) == b"on the disk"
        (tmp_path / "page.css").write_bytes(b"sent")
        assert await anyio.Path(tmp_path / "page.css").read_bytes() == b"sent"
        assert await run_in_threadpool(lambda: gate.caller().address) == "192.0.2.1"


@pytest.mark.parametrize("addresses", [SEVERAL[:1], SEVERAL], ids=["one", "six"])
def test_requests_of_some_addresses_leave_threads_to_those_of_another(addresses, monkeypatch, tmp_path):
    """Also to what Starlette and Gradio do in the same threads: files that are sent, uploads that are written."""
    monkeypatch.setenv("ZOO_SUBMISSIONS", str(tmp_path))
    go, real, api = threading.Event(), service.rows, service.application()

    def rows(*which):
        return go.wait(60) and [] if gate.caller().address in addresses else real(*which)

    async def go_on():
        async with api.running():
            path = "/api/v1/leaderboard/mnist"
            many = [asyncio.ensure_future(asked(api, one, "GET", path)) for one in addresses for _ in range(45)]
            try:
                while REQUESTS._sum < len(many):
                    await asyncio.sleep(0.01)
                await asyncio.wait_for(newcomer(api, tmp_path), 20)
            finally:
                go.set()
                said = await asyncio.gather(*many)
            assert {*said} == {200}

    monkeypatch.setattr(service, "rows", rows)
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "1000")
    asyncio.run(go_on())


def test_submissions_that_wait_for_the_hub_leave_threads_to_all_else(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_SUBMISSIONS", str(tmp_path))
    go, arrived, api = threading.Event(), [], service.application()
    file = "data:;base64," + base64.b64encode(b"onnx").decode()
    sent = {"name": "net", "datasets": ["optdigits"], "licence": "mit", "declaration": "x", "user": "ann", "file": file}

    def submit(*rest, **more):
        arrived.append(gate.caller().address)
        assert go.wait(60)
        raise ZooError("The Hub does not answer.")

    async def go_on():
        async with api.running():
            path = "/api/v1/submissions"
            many = [
                asyncio.ensure_future(asked(api, f"198.51.100.{n % 12}", "POST", path, json=sent)) for n in range(24)
            ]
            try:
                while len({*arrived}) < 12:
                    await asyncio.sleep(0.01)
                await asyncio.wait_for(newcomer(api, tmp_path), 20)
                assert await asyncio.wait_for(asked(api, "192.0.2.1", "GET", f"{path}/20261126-00000000"), 20) == 404
            finally:
                go.set()
                said = await asyncio.gather(*many)
            assert {*said} == {422}

    monkeypatch.setattr(intake, "submit", submit)
    asyncio.run(go_on())


def test_tools_that_wait_for_the_hub_leave_threads_to_other_tools():
    go = threading.Event()

    @gate.endpoint(writes=True)
    def slow() -> str:
        """Wait."""
        assert go.wait(60)
        return "slow"

    @gate.endpoint
    def fast() -> str:
        """Answer at once."""
        return "fast"

    async def go_on():
        tools = Agents({"slow": slow, "fast": fast}, "tools")
        async with tools.running():
            many = [asyncio.ensure_future(tools._call("slow", {}, Caller(f"198.51.100.{n}"))) for n in range(40)]
            await asyncio.sleep(0.1)
            try:
                said = await asyncio.wait_for(tools._call("fast", {}, Caller("192.0.2.1")), 20)
                assert said.content[0].text == '"fast"'
            finally:
                go.set()
                await asyncio.gather(*many)

    asyncio.run(go_on())


def test_all_functions_of_the_page_that_write_share_places():
    with Space() as demo:
        for name in ("submit", "withdraw"):
            function = lambda: ""  # noqa: E731
            function.__name__ = name
            api(gate.endpoint(writes=True)(function))
        api(gate.endpoint(lambda: ""))
    *writing, other = demo.fns.values()
    assert {fn.concurrency_id for fn in writing} == {WRITING}
    assert other.concurrency_id != WRITING


def test_addresses_take_turns_and_who_leaves_gives_the_turn_to_the_next():
    done = []

    async def go_on():
        threads, go = Threads(1), threading.Event()

        async def work(address, what=lambda: None):
            with gate.entered(Caller(address)):
                await to_thread.run_sync(what, limiter=threads)
            done.append(address)

        first = asyncio.ensure_future(work("a", go.wait))
        await asyncio.sleep(0.05)
        names = ["a", "a", "a", "left", "b", "b", "c"]
        waiting = {n: asyncio.ensure_future(work(name)) for n, name in enumerate(names)}
        await asyncio.sleep(0.05)
        waiting.pop(names.index("left")).cancel()
        go.set()
        await asyncio.wait_for(asyncio.gather(first, *waiting.values()), 20)
        assert threads.borrowed_tokens == 0
        late = asyncio.ensure_future(work("late"))  # it leaves when it was given its turn
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.wait([late])
        await asyncio.wait_for(work("d"), 20)
        assert threads.borrowed_tokens == 0

    asyncio.run(go_on())
    assert done == ["a", "a", "b", "c", "a", "b", "a", "d"]


@pytest.mark.parametrize("leaving", [1, 3])
def test_who_leaves_in_the_moment_of_a_turn_takes_no_thread_along(leaving):
    async def go_on():
        threads, holder = Threads(1), object()
        threads.acquire_on_behalf_of_nowait(holder)
        waiting = [asyncio.ensure_future(to_thread.run_sync(lambda: 1, limiter=threads)) for _ in range(leaving + 1)]
        await asyncio.sleep(0.01)
        for one in waiting[:leaving]:
            one.cancel()
        threads.release_on_behalf_of(holder)  # before those have been told
        await asyncio.wait_for(waiting[-1], 20)
        await asyncio.wait(waiting)
        assert threads.borrowed_tokens == 0

    asyncio.run(go_on())
