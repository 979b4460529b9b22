"""Sandboxes on Hugging Face Jobs: the real client against a Hub and a machine on loopback."""

import contextlib
import gzip
import itertools
import os
import shutil
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import TOKEN
from networks import onnx_file
from sandbox_machine import Machine
from submitting import quick, send

from leaderboard.submissions import measuring, worker
from leaderboard.submissions.lifecycle import FAILED, FINISHED
from leaderboard.submissions.sandbox import (
    Box,
    NoMachine,
    NotReached,
    Resources,
    Unfit,
    Unsafe,
    hub_jobs,
    inputs,
    open_box,
    protocol,
)
from leaderboard.submissions.sandbox.hub_jobs import JobBox
from leaderboard.submissions.store import LocalStore
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return inputs.prepare("optdigits", tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def machine(hub, token, monkeypatch):
    """Measure on a machine on loopback, whose Python is this one."""
    monkeypatch.setenv("ZOO_SANDBOX", "jobs")
    monkeypatch.setenv("ZOO_SANDBOX_IMAGE", "hf.co/spaces/me/zoo")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with Machine().serving() as machine:
        hub.machines = machine.url
        yield machine


def measured(data: bytes, images, **options):
    with open_box("onnx") as box:
        assert isinstance(box, JobBox)
        try:
            return protocol.measure(box, measuring.job_of("onnx", "optdigits"), data, images, **options)
        finally:
            shutil.rmtree(box.there)
            assert box.base.exists()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux isolates")
def test_a_machine_measures_as_a_process_here_does(machine, hub, images):
    outcome = measured(onnx_file(), images)
    with Box("onnx") as box:
        here = protocol.measure(box, measuring.job_of("onnx", "optdigits"), onnx_file(), images)
    np.testing.assert_allclose(outcome.answers, here.answers, atol=1e-6)
    assert (outcome.model, outcome.parameters) == (here.model, here.parameters)
    assert outcome.isolation["got_through"] == ""
    assert outcome.isolation["machine"] == "Hugging Face Jobs"
    (job,) = hub.jobs
    assert (job["dockerImage"] if "dockerImage" in job else job["spaceId"]) == "me/zoo"
    assert job["status"]["stage"] == "CANCELED"  # nothing goes on that costs money
    assert TOKEN not in str(machine.commands) + str({k: v for k, v in job.items() if k != "owner"})


def test_what_cannot_be_measured_gets_its_reason_from_there(machine, images):
    with pytest.raises(Unfit, match="not probabilities"):
        measured(onnx_file(end="Relu"), images)


def test_a_machine_may_have_a_token_of_its_own(machine, hub, monkeypatch):
    """The client sends it with each request, so it must not be the one that may write the store."""
    hub.tokens["hf_jobs_only"] = hub.tokens[TOKEN]
    monkeypatch.setenv("ZOO_JOBS_TOKEN", "hf_jobs_only")
    with open_box("onnx") as box:
        shutil.rmtree(box.there)
    assert machine.bearers == {"Bearer hf_jobs_only"}
    assert hub.jobs[0]["status"]["stage"] == "CANCELED"


def test_nothing_is_sent_to_a_machine_that_does_not_confine(machine, hub, images, monkeypatch):
    monkeypatch.setattr(JobBox, "isolation", lambda box, cancelled: {"got_through": "fork"})
    with pytest.raises(Unsafe, match="in it one can fork"):
        measured(onnx_file(), images)
    assert hub.jobs[0]["status"]["stage"] == "CANCELED"


def test_a_machine_that_cannot_be_had_is_no_fault_of_the_submission(hub, token, monkeypatch):
    from hub_server import Fault

    monkeypatch.setenv("ZOO_SANDBOX", "jobs")
    with pytest.raises(ZooError, match="needs ZOO_SANDBOX_IMAGE"):
        open_box("onnx")
    monkeypatch.setenv("ZOO_SANDBOX_IMAGE", "python:3.11")
    hub.fail(Fault(status=402, message="Payment required"), on="POST /api/jobs/.*", times=1)
    with pytest.raises(NoMachine, match=r"could be started from python:3\.11.*402"):
        open_box("onnx")
    monkeypatch.setenv("ZOO_SANDBOX", "docker")
    with pytest.raises(ZooError, match='can be "local" or "jobs"'):
        open_box("onnx")


def test_a_machine_that_starts_slowly_is_waited_for(machine, hub):
    """Each look at whether it is there has some kB."""
    looks = itertools.count()

    def starting(handler, route):
        hub.jobs[-1]["command"] = ["x" * 150_000]
        if late := route == "GET /health" and next(looks) < 4:
            handler._answer({}, 503)
        return late

    machine.instead = starting
    with open_box("onnx") as box:
        assert isinstance(box, JobBox)
    assert next(looks) > 4


PING = b'{"event":"ping"}\n'
PACKED = gzip.compress(b"[" + b" " * 50_000_000)
HEADER = b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n"
LARGE = b'{"name":"a","path":"a","type":"file","size":3000000}'  # a file that the client reads in parts
EXEC, STAT, READ, LIST = "POST /v1/exec", "GET /v1/files/stat", "GET /v1/files/read", "GET /v1/files/list"
HOSTILE = {  # what a machine does -> the route, what it sends first, and then for ever at this pace in seconds
    "says that it lives for ever": (EXEC, HEADER + b"\r\n", PING, 0.05),
    "writes a line without an end": (EXEC, HEADER + b"\r\n", b"x" * 65_536, 0),
    "sends many events": (EXEC, HEADER + b"\r\n", PING * 10_000, 0),
    "sends events that are none": (EXEC, HEADER + b"\r\n[1]\n", PING, 0.05),
    "nests an event deeply": (EXEC, HEADER + b"\r\n" + b"[" * 200_000 + b"\n", PING, 0.05),
    "sends a header without an end": (EXEC, HEADER, b"a: b\r\n", 0.05),
    "answers a byte at a time": (STAT, HEADER + b"\r\n", b" ", 0.05),
    "packs an answer": (STAT, HEADER + b"Content-Encoding: gzip\r\n\r\n" + PACKED, b"", 0.05),
    "is silent": (STAT, b"", b"", 0.05),
    "sends a part of a large file a byte at a time": (READ, HEADER + b"\r\n", b"x", 0.05),
    "lists files without an end": (LIST, HEADER + b'\r\n{"entries":[', b"[]," * 10_000, 0),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_machine_that_a_submission_owns_holds_no_worker_and_no_memory(machine, monkeypatch, how):
    """Each answer has a deadline and a number of bytes, also in the threads of the client, and may be anything."""
    route, first, then, pause = HOSTILE[how]
    sent, over = [0], threading.Event()

    def instead(handler, asked: str) -> bool:
        if asked == STAT and route == READ:
            handler._answer(LARGE)
        if asked != route:
            return asked != "GET /health"
        handler.close_connection = True
        with contextlib.suppress(OSError):  # the client goes
            for data in itertools.chain([first], itertools.repeat(then)):
                handler.wfile.write(data)
                sent[0] += len(data)
                if over.wait(pause):
                    break
        return True

    def ready(box: JobBox) -> None:
        box.python, machine.instead = sys.executable, instead

    monkeypatch.setattr(JobBox, "_prepare", ready)
    monkeypatch.setattr(hub_jobs._reached.__wrapped__, "__defaults__", ("No answer", NotReached, 0.5, 100_000))
    monkeypatch.setattr(hub_jobs, "GRACE", 0.5)
    monkeypatch.setattr(hub_jobs, "LIFE", 2.0)
    with open_box("onnx", Resources(wall=0.5)) as box:
        monkeypatch.setattr(hub_jobs, "START", 1.0)
        ask = {EXEC: partial(box._start, "\n", 0.5, lambda: False), LIST: box._untouched}
        started = time.monotonic()
        with pytest.raises(NotReached):
            ask.get(route, partial(box._fetch, "answers.f32", 5_000_000))()
        assert time.monotonic() - started < 10  # of a machine that is busy
        assert sent[0] < 30_000_000
    over.set()


def watched(place, records, errors) -> None:
    """Let a worker watch a store until nothing is open; its measurements raise these errors first."""
    stop = threading.Event()

    def measure(*arguments):
        for error in errors:
            raise error
        return quick(*arguments)

    class Watching(worker.Worker):
        def publish(self) -> bool:
            if not any(s.open for s in self.store.all()):
                stop.set()
            return False

    Watching(place, records=records, measure=measure).watch(stop, rest=0.001)


def test_a_hub_that_is_busy_for_a_while_only_delays(tmp_path):
    """No machine can be had eight times in a row: that ends no worker, and is no attempt of the submission."""
    place = LocalStore(tmp_path / "store")
    sent = send(place)
    watched(place, tmp_path, iter([NoMachine("The Hub answers 503.")] * 8))
    assert place.get(sent.id).status == FINISHED


def test_a_submission_whose_machine_always_vanishes_fails_in_the_end(tmp_path):
    place = LocalStore(tmp_path / "store")
    sent = send(place)
    watched(place, tmp_path, iter([NotReached("The machine does not answer.")] * 8))
    found = place.get(sent.id)
    assert (found.status, found.attempts) == (FAILED, 3)
    assert found.reason.endswith("It can be tried again.")


def test_a_sandbox_that_is_proven_unsafe_ends_the_worker(tmp_path):
    place = LocalStore(tmp_path / "store")
    send(place)
    with pytest.raises(Unsafe):
        watched(place, tmp_path, iter([Unsafe("One can fork in it.")]))


def bare(**machine) -> JobBox:
    """Return a box on a machine that is made up."""
    box = JobBox.__new__(JobBox)
    box.machine, box.there = SimpleNamespace(**machine), "/nowhere"
    box._make_folder()
    return box


def test_what_was_measured_counts_though_its_machine_cannot_be_ended():
    def kill():
        raise ConnectionError("The Hub does not answer.")

    with bare(kill=kill) as box:
        base = box.base
    assert not base.exists()


def test_a_file_that_grows_between_the_look_and_the_reading_is_not_taken():
    files = SimpleNamespace(stat=lambda path: SimpleNamespace(type="file", size=10), read=lambda path: b"x" * 1_000_000)
    with bare(kill=lambda: None, files=files) as box:
        box._fetch("outcome.json", 20_000)
        assert files.MAX_READ_BYTES == 20_000
        assert not (box.folder / "outcome.json").exists()
