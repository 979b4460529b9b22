"""Static checks in a process with limits: adversarial files take bounded time and memory."""

import contextlib
import hashlib
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import adversarial
import numpy as np
import pytest
from networks import keras_file, node, onnx_file

import zoo
from leaderboard.submissions import checks
from leaderboard.submissions.checks import guard
from leaderboard.submissions.checks.guard import Limits
from zoo import gate
from zoo.errors import ZooError
from zoo.gate import limits as gate_limits
from zoo.processes import spawning
from zoo.processes.spawning import Answer, Spawner
from zoo.strict.problems import LONGEST_TEXT, MOST_COUNTED, Refused

ONE = ("optdigits",)
FILES = int(os.environ.get("ZOO_ADVERSARIAL", len(adversarial.MAKERS)))  # one of each kind; `make fuzz`: 1,000
SIZE = 1_000_000 if len(adversarial.MAKERS) == FILES else adversarial.LARGEST  # bytes
MOST_MEMORY = 500_000_000  # bytes


@pytest.mark.parametrize("data", [onnx_file(), keras_file(), onnx_file()[:-100], b'{"a": 1}', b"", b"<html>"])
def test_a_child_says_what_the_checks_say(data):
    assert guard.check(data, "model", ONE) == checks.check(data, "model", ONE)


def test_an_onnx_file_of_a_sandbox_is_read_in_a_child():
    report = guard.read_onnx(onnx_file())
    assert report.parameters == 640
    assert guard.read_onnx(report.content) == report
    with pytest.raises(Refused, match="not an ONNX model"):
        guard.read_onnx(b"x")


COUNTED = {"parameters": 640, "structure": 300, "multiply_adds": None, "work": 640}
CLEAN = {"kind": "onnx", "digest": "0" * 64, **COUNTED, "problems": []}
LIES = {  # what native code in a child, which a stranger's file took over, may say
    "a digest that is a path": {"digest": "../../../records/mnist/anyone.mnist"},
    "a digest of another's file": {"digest": "1" * 64},
    "another kind of file": {"kind": "json"},
    "a kind that is a path": {"kind": "json/../../../records/x"},
    "parameters that are text": {"parameters": "<b>1</b>"},
    "parameters beyond every file": {"parameters": 10**30},
    "fewer than no parameters": {"parameters": -640},
    "work that is not a number": {"work": float("nan")},
    "a truth for a number": {"multiply_adds": True},
    "problems that are none": {"problems": {"code": "x"}},
    "a problem without a fix": {"problems": [{"code": "x", "what": "y"}]},
    "a problem with more": {"problems": [{"code": "x", "what": "y", "fix": "z", "html": "w"}]},
    "notes that are none": {"notes": 3},
    "notes without an end": {"notes": ["x"] * 10**6},
    "a long note that hides others": {"notes": ["\u202e\n\x1b[2J" + "x" * 10**6]},
    "no content": {"content": False},
    "a trace that is none": {"trace": ["x" * 10**6]},
    "fields that nobody knows": {"user": "somebody", "track": "weights"},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_nothing_that_a_child_says_is_believed(tmp_path, monkeypatch, caplog, lie):
    """Its JSON names no file, and no field of it is anything but a count or a short text."""

    def said(*arguments):
        (tmp_path / "made").write_bytes(b"made by the child")
        return Answer({**CLEAN, "notes": [], "content": True, **lie}, (tmp_path / "made").open("rb"), 0, 0.0)

    monkeypatch.setattr(guard._SPAWNERS, "run", said)
    checked = guard.check(onnx_file(), "m.onnx", ONE)
    content = onnx_file() if checked.content is None else b"made by the child"
    assert checked.digest == hashlib.sha256(content).hexdigest()
    assert checked.kind == "onnx"
    if checked.problems:
        assert checked.content is None
    else:
        assert type(checked.parameters) is type(checked.work) is int
    assert all(note.isprintable() and len(note) <= LONGEST_TEXT for note in checked.notes)
    assert len(str(checked)) < 10 * LONGEST_TEXT
    with contextlib.suppress(Refused):
        assert 0 <= guard.read_onnx(onnx_file()).parameters <= MOST_COUNTED
    assert len(caplog.text) < 4 * guard.LONGEST_TRACE


@pytest.mark.parametrize("count", [9, 10, 137])
def test_a_graph_has_so_many_inputs_as_are_followed_in_time(count):
    """Shapes are inferred node by node, from all inputs of each: 137 nodes of 2,000 constants took four seconds."""
    names = [f"c{n}" for n in range(2000)]
    nodes = [node("Max", [*names, f"m{n - 1}"] if n else names, f"m{n}") for n in range(count)]
    constants = dict.fromkeys(names, np.ones((1, 1, 1, 8), np.float32))
    ends = [node("ReduceMax", f"m{count - 1}", "most", keepdims=0), node("Add", ["x", "most"])]
    sent = onnx_file(nodes=[*nodes, *ends], constants=constants)
    answer = guard.run({"task": "onnx"}, sent, guard.SENT)
    answer.file.close()
    said = [one["code"] for one in answer.header.get("problems", [])]
    assert said == ([] if count == 9 else ["too-large"])
    assert answer.cpu < 1.5


def test_addresses_take_turns_at_the_checks(monkeypatch):
    """Files of four addresses that took seconds each let others wait for twenty."""
    begun, go = [], threading.Event()

    def run(request, data, limits):
        begun.append(gate.caller().network)
        assert go.wait(20)
        raise spawning.Late

    def send(network):
        with gate.entered(gate.Caller(network)), pytest.raises(ZooError, match="too busy"):
            guard.run({}, b"", guard.SENT)

    monkeypatch.setattr(guard._SPAWNERS, "run", run)
    with ThreadPoolExecutor(10) as pool:
        for network in ["a"] * 5 + ["b"] * 3:
            pool.submit(send, network)
        while len(begun) < 2:
            time.sleep(0.01)
        pool.submit(send, "c")
        while len(guard._TURNS._waiting) < 7:
            time.sleep(0.01)
        go.set()
    assert sorted(begun[:2]) == ["a", "b"]
    assert begun[2] == "c"


def test_adversarial_files_are_decided_in_time_and_memory(monkeypatch):
    """A few dozen files of up to 1 MB, or 1,000 of up to 50 MB, while predictions go on."""
    answers: list[guard.Answer] = []
    inner = guard.run

    def run(*arguments):
        answers.append(inner(*arguments))
        return answers[-1]

    monkeypatch.setattr(guard, "run", run)
    predictor, image = zoo.load_predictor("lenet5.mnist"), np.zeros((1, 28, 28, 1), np.uint8)
    over, idle, busy = threading.Event(), [], []

    def predict(into: list[float]) -> None:
        started = time.perf_counter()
        predictor(image)
        time.sleep(0.002)
        into.append(time.perf_counter() - started)

    def keep_predicting() -> None:
        while not over.is_set():
            predict(busy)

    for _ in range(200):
        predict(idle)
    thread = threading.Thread(target=keep_predicting)
    thread.start()
    try:
        for number in range(FILES):
            name, data = adversarial.file(number, SIZE)
            checked = guard.check(data, "model", ONE)
            assert not {"incident", "limits"} & {problem.code for problem in checked.problems}, name
    finally:
        over.set()
        thread.join()
    assert max(answer.memory for answer in answers) < MOST_MEMORY
    assert max(answer.cpu for answer in answers) < guard.SENT.cpu
    worst = f"{max(answer.cpu for answer in answers):.2f} s, {max(answer.memory for answer in answers) / 1e6:.0f} MB"
    before, meanwhile = (1000 * np.percentile(pauses, 95) for pauses in (idle, busy))
    print(f"{len(answers)} files: at most {worst}; p95 of a prediction {meanwhile:.1f} ms, before {before:.1f} ms")
    assert meanwhile < 100  # one frozen check would stop all predictions for as long


def test_a_child_that_reaches_a_limit_is_one_sentence():
    """That the server is busy is no fault of the file: nothing is kept of it, so it may be sent again."""
    name, data = "onnx", onnx_file(classes=40_000)
    checked = guard.check(data, name, ONE, Limits(memory=1_000_000))
    assert [problem.code for problem in checked.problems] == ["limits"]
    assert "1 MB of memory" in checked.problems[0].what
    assert checked.content is None
    with pytest.raises(ZooError, match="too busy to check this file now"):
        guard.check(data, name, ONE, Limits(wall=0.001))
    assert guard.check(onnx_file(), name, ONE).problems == ()  # the next one is checked


def test_an_address_has_files_checked_for_some_seconds_a_minute(monkeypatch):
    """Two addresses held both places of the checks, with files that are rejected at last and fill no queue."""
    monkeypatch.setattr(gate_limits, "LIMITER", gate_limits.Limiter(lambda: 0.0))
    monkeypatch.setattr(gate_limits, "CHECKING", 1)
    with gate.entered(gate.Caller("192.0.2.1")):
        assert guard.check(onnx_file(classes=40_000), "onnx", ONE, Limits(memory=1_000_000)).problems
        with pytest.raises(gate_limits.TooMany, match="1 within 1 minute"):
            guard.check(onnx_file(), "onnx", ONE)
    for caller in (gate.Caller("192.0.2.2"), gate.Caller(), gate.Caller()):
        with gate.entered(caller):
            assert not guard.check(onnx_file(), "onnx", ONE).problems


def test_a_mistake_of_ours_is_an_incident_with_a_number(monkeypatch, caplog):
    """A task that is not there stands for any exception in a check."""
    real = Spawner.run
    monkeypatch.setattr(Spawner, "run", lambda self, request, *rest: real(self, {**request, "task": "x"}, *rest))
    with caplog.at_level(logging.ERROR):
        (problem,) = guard.check(onnx_file(), "m.onnx", ONE).problems
    assert problem.code == "incident"
    number = problem.what.partition("(incident ")[2][:8]
    assert number in caplog.text
    assert "KeyError" in caplog.text


def test_a_spawner_that_was_killed_is_started_again():
    assert guard.check(onnx_file(), "m", ONE).problems == ()
    spawner = guard._SPAWNERS.started()
    spawner.process.kill()
    spawner.process.wait()
    assert guard.check(onnx_file(), "m", ONE).problems == ()


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_whose_spawner_ends_meanwhile_is_checked_by_the_next_one(monkeypatch, times):
    real, left = Spawner.run, iter(range(times))

    def run(self, *rest):
        if next(left, None) is not None:
            raise spawning.Stopped
        return real(self, *rest)

    monkeypatch.setattr(Spawner, "run", run)
    if times == 1:
        assert guard.check(onnx_file(), "m", ONE).problems == ()
    else:
        with pytest.raises(ZooError, match="stopped unexpectedly"):
            guard.check(onnx_file(), "m", ONE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Landlock and seccomp are Linux's")
def test_a_child_sees_no_file_of_the_user_and_no_network(tmp_path, monkeypatch):
    """Probes run in the place of a task, in a spawner that has imported them."""
    secret = tmp_path / "token"
    secret.write_text("hf_secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    code = (
        "from leaderboard.submissions.sandbox import spawner\n"
        "def probe(request, data):\n"
        "    import os, socket\n"
        "    found = {'token': 'HF_TOKEN' in os.environ}\n"
        "    for name, action in (('file', lambda: open(request['path']).read()), ('socket', socket.socket), "
        "('fork', os.fork)):\n"
        "        try:\n"
        "            action(); found[name] = 'done'\n"
        "        except OSError as error:\n"
        "            found[name] = 'refused'\n"
        "    return found, ()\n"
        "spawner.TASKS['probe'] = probe\n"
    )
    probed = Spawner(guard.LAUNCH.replace("spawner.main()", f"exec({code!r}); spawner.main()"))
    try:
        found = probed.run({"task": "probe", "path": str(secret)}, b"x", Limits()).header
    finally:
        probed.close()
    assert found == {"token": False, "file": "refused", "socket": "refused", "fork": "refused"}
