"""The REST API in processes of its own: its document, its clients, its workers, and how it stops."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from conftest import ROOT
from rest_server import serving
from strokes import SEVEN, THREE

from zoo import client
from zoo.__main__ import main
from zoo.client import AsyncClient, Client, Refused
from zoo.errors import ZooError

EXAMPLES = os.environ.get("ZOO_SCHEMA_EXAMPLES")  # requests for each operation that are made up
PHASES = "examples,coverage,fuzzing" if EXAMPLES else "examples,fuzzing"  # the other one takes longest
FREE = {"ZOO_CALLS_PER_MINUTE": "1000000", "ZOO_SENDS_PER_DAY": "1000000"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Two workers: their address and the process that started them."""
    with serving(2, ZOO_SUBMISSIONS=str(tmp_path_factory.mktemp("store")), **FREE) as found:
        yield found


@pytest.mark.slow
def test_schemathesis_finds_nothing(server, tmp_path):
    """Requests that are made from the document, valid and not, get what the document says."""
    url, _ = server
    program, settings = Path(sys.executable).parent / "schemathesis", ROOT / "tests" / "schemathesis.toml"
    bounds = ["--max-examples", EXAMPLES or "6", "--phases", PHASES, "--checks", "all", "--seed", "1"]
    command = [program, "--config-file", settings, "run", f"{url}/api/v1/openapi.json", *bounds, "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    made, passed = re.search(r"(\d+) generated, (\d+) passed", done.stdout).groups()
    assert made == passed
    assert int(made) > 20


def test_two_processes_answer_and_their_counts_are_summed(server):
    url, process = server
    assert len([one for one in psutil.Process(process.pid).children() if "spawn" in " ".join(one.cmdline())]) >= 2

    def read(_):
        with Client(url) as zoo:  # a connection of its own: the kernel chooses the process
            return zoo.read_sketch(SEVEN, 1.0, model="lenet5.mnist").text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(40))) == ["7"] * 40
    counts = [_count(httpx.get(f"{url}/metrics").text) for _ in range(4)]
    assert min(counts) == max(counts) >= 40  # whichever of them is asked


def _count(text: str) -> float:
    line = next(line for line in text.splitlines() if 'route="/api/v1/read",status="200"' in line)
    return float(line.rpartition(" ")[2])


def test_there_is_at_least_one_worker(capsys):
    assert main(["serve", "--workers", "0"]) == 2
    assert "at least one worker, not 0" in capsys.readouterr().err


def test_both_clients_have_typed_answers(server, tmp_path):
    url, _ = server

    async def ask():
        async with AsyncClient(url) as zoo:
            return await asyncio.gather(zoo.read_sketch(THREE, 1.0), zoo.models(), zoo.leaderboard("mnist"))

    reading, models, rows = asyncio.run(ask())
    with Client(url) as zoo:
        assert (zoo.models(), zoo.leaderboard("mnist")) == (models, rows)
        assert zoo.read_sketch(THREE, 1.0) == reading
        assert (reading.text, reading.glyphs[0].label, reading.script) == ("3", "3", "digits")
        assert reading.glyphs[0].box == pytest.approx((0.34, 0.2, 0.33, 0.6))
        assert "lenet5.mnist" in {one.model for one in models}
        with pytest.raises(Refused, match="did you mean lenet5") as refused:
            zoo.read_sketch(SEVEN, 1.0, model="lenet")
        assert refused.value.status == 422
        with pytest.raises(ZooError, match="cannot be read: No such file"):
            zoo.read(tmp_path / "no.png")
        with pytest.raises(Refused, match="Say who you are"):
            zoo.submit("hf://no/where", name="net", datasets=["optdigits"], licence="mit", declaration="none")


# A client and a server that is not always there


def _against(answers, **options):
    """Return a client of a server that gives these answers, and what it was asked."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = answers[min(len(asked), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return found

    one = Client("http://zoo", **options)
    one._http = httpx.Client(base_url="http://zoo/api/v1", transport=httpx.MockTransport(answer))
    return one, asked


@pytest.fixture
def pauses(monkeypatch):
    """How long clients waited; they do not."""
    found = []
    monkeypatch.setattr(client.time, "sleep", found.append)
    return found


def test_a_call_is_sent_again_when_the_server_is_busy_or_gone(pauses):
    busy, gone = httpx.Response(429, headers={"Retry-After": "3"}, json={"detail": "Busy."}), httpx.ReadError("cut off")
    odd = httpx.Response(503, headers={"Retry-After": b"\xb2"})
    zoo, asked = _against([busy, gone, odd, httpx.Response(200, json=[])])
    assert zoo.models() == []
    assert len(asked) == 4
    assert pauses[0] == 3.0
    assert all(0 < pause < 3 for pause in pauses[1:])


def test_what_a_proxy_lost_is_sent_again_and_an_internal_error_is_not(pauses):
    incident = httpx.Response(500, headers={"Content-Type": "application/problem+json"}, json={"detail": "Incident."})
    zoo, asked = _against([httpx.Response(500, text="Internal Server Error"), httpx.Response(502), incident])
    with pytest.raises(Refused, match="Incident"):
        zoo.models()
    assert len(asked) == 3


def test_after_some_attempts_the_reason_is_raised(pauses):
    zoo, asked = _against([httpx.Response(429, json={"detail": "Too many calls."})])
    with pytest.raises(Refused, match="Too many calls"):
        zoo.models()
    assert len(asked) == client.ATTEMPTS
    zoo, asked = _against([httpx.ConnectError("Connection refused")])
    with pytest.raises(Refused, match=r"http://zoo/api/v1/? cannot be reached: Connection refused\."):
        zoo.models()
    assert len(asked) == client.ATTEMPTS


def test_a_submission_is_not_sent_twice(pauses, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"x")
    for fault, times in ((httpx.ReadError("cut off"), 1), (httpx.ConnectError("refused"), client.ATTEMPTS)):
        zoo, asked = _against([fault])
        with pytest.raises(Refused):
            zoo.submit(tmp_path / "net.onnx", name="net", claimed={"mnist": 0.9})
        assert len(asked) == times
    assert b'{"mnist": 0.9}' in asked[0].read()


# How it stops


def test_calls_that_run_are_answered_when_the_server_is_stopped():
    noise = np.random.default_rng(0).integers(0, 255, (1500, 1500), np.uint8)
    import cv2

    content = cv2.imencode(".png", noise)[1].tobytes()
    with serving(1, **FREE) as (url, process):
        answers = []

        def read():
            answers.append(httpx.post(f"{url}/api/v1/read", files={"image": content}, timeout=60).status_code)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(60) in (0, -signal.SIGTERM)
    assert answers == [200] * 3 or set(answers) <= {200, 422}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")
