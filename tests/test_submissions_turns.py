"""What a submission costs is estimated before and measured at once, and senders take turns with the workers."""

import itertools
import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from networks import node, onnx_file, perceptron
from submitting import MANY, send

from leaderboard import products
from leaderboard.submissions import budget, checks, intake, lifecycle, sandbox
from leaderboard.submissions.checks import guard, onnx_graph
from leaderboard.submissions.lifecycle import FAILED, FINISHED, PENDING, RUNNING, Submission
from leaderboard.submissions.measuring import job_of
from leaderboard.submissions.sandbox import Box, Unfit, inputs, protocol
from leaderboard.submissions.worker import Worker
from zoo.errors import ZooError

pytestmark = pytest.mark.usefixtures("checks_in_this_process")


def convolutions(channels: int) -> bytes:
    """Return a small file that takes long: two convolutions of 8 x 8 places before the end."""
    kernels = {"first": np.ones((channels, 1, 3, 3), np.float32), "second": np.ones((channels, channels, 3, 3), "f")}
    nodes = [
        node("Transpose", "x", "i", "t", perm=[0, 3, 1, 2]), node("Conv", ["i", "first"], "a", "a", pads=[1, 1, 1, 1]),
        node("Conv", ["a", "second"], "b", "b", pads=[1, 1, 1, 1]),
        node("ReduceMean", "b", "m", "m", axes=[1], keepdims=0), node("Reshape", ["m", "back"], "y", "r"),
    ]  # fmt: skip
    return onnx_file(nodes=nodes, constants={**kernels, "back": np.array([-1, 8, 8, 1])}, opset=13)


# Estimates


@pytest.mark.parametrize(
    "name", ["lenet5.mnist", "glyphnet_700.mnist", "resco_mini.ahcd", "vit.mnist", "mobilenet_v2.pages70"]
)
def test_the_estimate_of_a_network_is_near_its_count(name):
    path = ROOT / "zoo" / "pretrained" / name / "model.onnx"
    work, counted = onnx_graph.read_graph(path.read_bytes()).work, products.count(path)
    assert 0.4 < work / counted < 2.5


SQUARE = [node("Reshape", ["x", "square"], "s", "s")]  # 8 x 8 of each image
OF_IMAGE = [node("Shape", "s", "shape", "shape"), node("ConstantOfShape", "shape", "zeros", "zeros")]
WIDE = [node("Tile", ["s", "times"], "wide", "wide"), node("Transpose", "wide", "tall", "tall", perm=[0, 2, 1])]
PRODUCTS = {  # of values, where no weights say how many
    "with itself, in a chain": [*SQUARE, *WIDE, node("MatMul", ["tall", "wide"], "p0", "p0"), *(
        node("MatMul", [f"p{n}", f"p{n}"], f"p{n + 1}" if n < 9 else "p", f"p{n + 1}") for n in range(10))],
    "by broadcast": [*SQUARE, node("Reshape", ["s", "row"], "r", "r"), node("Reshape", ["s", "column"], "c", "c"),
                     node("Add", ["r", "c"], "p0", "p0"), node("MatMul", ["p0", "p0"], "p", "p")],
    "in einsum": [*SQUARE, *WIDE, node("Einsum", ["tall", "wide"], "p", "p", equation="nij,njk->nik")],
    "by weights of a shape": [
        *SQUARE, *OF_IMAGE, *WIDE, node("MatMul", ["wide", "tall"], "q", "q"), node("Add", ["q", "zeros"], "w", "w"),
        node("MatMul", ["w", "wide"], "p", "p")],
    "as a kernel": [
        *SQUARE, *WIDE, node("Reshape", ["wide", "map"], "in", "in"), node("Reshape", ["s", "kernel"], "k", "k"),
        node("Conv", ["in", "k"], "p", "p", pads=[3, 3, 4, 4])],
    "of what is resized": [
        *SQUARE, node("Reshape", ["s", "map"], "in", "in"), node("Resize", ["in", "", "scales"], "p0", "p0"),
        node("MatMul", ["p0", "p0"], "p", "p")],
    "by sums alone": [*SQUARE, *WIDE, node("MatMul", ["tall", "wide"], "p0", "p0"), *(
        node("CumSum", [f"p{n}", "axis"], f"p{n + 1}" if n < 5 else "p", f"p{n + 1}") for n in range(6))],
}  # fmt: skip
FOR_PRODUCTS = {
    "square": np.array([-1, 8, 8]), "row": np.array([-1, 1, 64]), "column": np.array([-1, 64, 1]),
    "times": np.array([1, 1, 16]), "map": np.array([-1, 1, 8, 8]), "kernel": np.array([1, 1, 8, 8]),
    "scales": np.array([1, 1, 9, 9], np.float32), "axis": np.int64(1),
}  # fmt: skip


@pytest.mark.parametrize("nodes", PRODUCTS.values(), ids=PRODUCTS)
def test_products_of_values_count_as_those_by_weights(tmp_path, nodes):
    """20 addresses sent chains of them, which were estimated at nothing: 96 minutes before a file of 15 s."""
    ends = [node("ReduceMean", "p", "m", "m", keepdims=1), node("Reshape", ["m", "one"], "e", "e"),
            node("Add", ["x", "e"], "y", "y")]  # fmt: skip
    constants = {**FOR_PRODUCTS, "one": np.array([-1, 1, 1, 1])}
    if nodes is PRODUCTS["as a kernel"]:
        constants["map"] = np.array([-1, 1, 8, 128])
    path = tmp_path / "model.onnx"
    report = onnx_graph.read_graph(onnx_file(nodes=[*nodes, *ends], constants=constants, opset=13))
    path.write_bytes(report.content)
    assert 0.4 < report.work / products.count(path) < 8


def repeated(count, kind, *more, **attributes):
    """Return a chain of nodes from x to y."""
    names = ["x", *(f"t{n}" for n in range(count - 1)), "y"]
    return [node(kind, [names[n], *more], names[n + 1], f"n{n}", **attributes) for n in range(count)]


UNKNOWN = {  # whose shapes are not known before a run, or are none
    "by a formula": [
        node("Shape", "x", "shape", "a"), node("Cast", "shape", "f", "b", to=1), node("Exp", "f", "g", "c"),
        node("Cast", "g", "sides", "d", to=7), node("Expand", ["x", "sides"], "y", "e")],
    "of many sides": repeated(30, "Unsqueeze", "last"),
    "larger than any": [
        node("Shape", "x", "shape", "a"), node("Mul", ["shape", "many"], "sides", "b"),
        node("Expand", ["x", "sides"], "y", "c")],
    "negative": [
        node("Shape", "x", "shape", "a"), node("Sub", ["shape", "many"], "sides", "b"),
        node("Expand", ["x", "sides"], "y", "c")],
    "that do not fit": [node("Concat", ["x", "last"], "y", axis=3)],
    "that grow": repeated(60, "Tile", "twice"),
    "of nothing": [node("MatMul", ["x", "last"], "y")],
}  # fmt: skip


@pytest.mark.parametrize("nodes", UNKNOWN.values(), ids=UNKNOWN)
def test_a_graph_whose_shapes_are_not_known_counts_as_the_longest(nodes):
    """In the process with limits, where all of a stranger's file is read."""
    constants = {"last": np.array([-1]), "many": np.int64(2**38), "twice": np.array([1, 2, 2, 1])}
    checked = guard.check(onnx_file(nodes=nodes, constants=constants), "m.onnx", ("optdigits",))
    assert (checked.problems, checked.work) == ((), 10**15)


@pytest.mark.parametrize("strides", [[0, 0], [-1, 1], [2**40, 2**40]])
def test_an_estimate_is_a_number_whatever_the_graph_says(strides):
    wide = [node("Transpose", "x", "i", perm=[0, 3, 1, 2])]
    wide += [
        node("ConvTranspose", ["i" if n == 0 else f"t{n}", "w"], f"t{n + 1}" if n < 9 else "y", strides=strides)
        for n in range(10)
    ]
    report = onnx_graph.read_graph(onnx_file(nodes=wide, constants={"w": np.ones((1, 1, 1, 1), np.float32)}))
    assert 0 < report.work <= 10**15


def test_what_a_receipt_says_of_the_wait_follows_from_the_cost(place):
    small, large = (checks.check(data, "m.onnx", ("optdigits",)).work for data in (onnx_file(), convolutions(256)))
    assert large > 1000 * small
    sent = send(place)
    assert sent.work == small
    waits = [intake.seconds_of(replace(sent, work=work)) for work in (small, large, 10**15)]
    assert waits[0] < 16 < 30 < waits[1] <= waits[2] == budget.OVERHEAD + budget.MEASURING
    assert sandbox.MEASURING.wall == budget.MEASURING


@pytest.mark.parametrize("name", ["slow", "fast"])
def test_a_network_that_would_take_too_long_is_ended_at_once(name, tmp_path):
    images = inputs.prepare("optdigits", tmp_path)
    job = {**job_of("onnx", "optdigits"), "seconds": 2.0 if name == "slow" else 300.0}
    data = convolutions(256) if name == "slow" else onnx_file()
    with Box("onnx") as box:
        box.isolation()
        began = time.process_time()
        if name == "fast":
            assert protocol.measure(box, job, data, images).answers.shape == (images.count, 10)
            return
        with pytest.raises(Unfit, match=r"It would take about [\d,]+ s to measure, and the most is 2 s: [\d.]+ ms"):
            protocol.measure(box, job, data, images)
    assert time.process_time() - began < 10


# Turns


def busy(place, name: str, **changes) -> Submission:
    """Return a submission of a sender, as it is in the store."""
    sent = send(place, name, name=f"net{len(place.all())}", seed=len(place.all()))
    return place.change(sent.id, lambda s: replace(s, **changes))


def test_senders_take_turns(place):
    """One address has twenty that take minutes, under names that it made up; another one comes later."""
    for n in range(20):
        busy(place, f"u{n}", sender="a" * 32, work=10**9)
    honest = [busy(place, "ann", sender="b" * 32) for _ in range(3)]
    order = [s.id for s in intake.in_order(place.all())]
    assert order[:3] == [s.id for s in honest]
    assert Worker(place).claim().id == honest[0].id
    alike = [busy(place, "eve", sender="c" * 32, work=10**9) for _ in range(2)]
    order = [s.id for s in intake.in_order(place.all())]
    assert [order.index(s.id) for s in alike] == sorted(order.index(s.id) for s in alike)
    assert max(order.index(s.id) for s in alike) <= 3 + 4  # not behind the twenty


def test_what_workers_did_for_a_sender_counts_for_the_turns_after_it(place, monkeypatch):
    now = itertools.count(1000.0)
    monkeypatch.setattr(intake.stores, "now", lambda: next(now))
    done = busy(place, "u0", sender="a" * 32, created=1000.0)
    steps = [(1000.0, PENDING), (1000.0, RUNNING), (1310.0, "FAILED")]
    history = tuple(lifecycle.Event(at=at, status=status) for at, status in steps)
    place.change(done.id, lambda s: replace(s, status="FAILED", history=(*s.history, *history[1:])))
    assert place.get(done.id).worked() == 310
    assert place.get(done.id).worked(1300.0, 2000.0) == 10
    again = busy(place, "u1", sender="a" * 32, created=1100.0)
    other = busy(place, "ann", sender="b" * 32, created=1200.0)
    assert [s.id for s in intake.in_order(place.all())] == [other.id, again.id]


def test_a_retry_does_not_come_before_those_that_waited(place):
    first, second = (busy(place, "ann", created=1000.0 + 100 * n) for n in range(2))
    place.change(first.id, lambda s: replace(s, status="FAILED"))
    place.change(first.id, lambda s: lifecycle.retried(s, 1200.0))
    assert [s.id for s in intake.in_order(place.all())] == [second.id, first.id]


FUTURE = 2.0**33
OF_THE_FUTURE = {
    "withdrawn": {"status": "WITHDRAWN", "created": FUTURE},
    "failed": {"status": "FAILED", "created": FUTURE},
    "waiting": {"created": FUTURE},
    "an hour ahead": {"status": "WITHDRAWN", "created": 1e6 + 3600},
    "tried again": {"status": "FAILED"},
}


@pytest.mark.parametrize("how", OF_THE_FUTURE)
def test_a_date_of_the_future_changes_no_turn(place, monkeypatch, how):
    """What a sender had long ago counted for ever, once a clock had been set forward."""
    now = 1e6
    monkeypatch.setattr(intake.stores, "now", lambda: now)
    early = busy(place, "clock", **{"created": 1000.0, **OF_THE_FUTURE[how]})
    if how == "tried again":
        place.change(early.id, lambda s: lifecycle.retried(s, FUTURE))
    done = busy(place, "ann", created=2000.0)
    history = ((2000.0, RUNNING), (20_000.0, "FAILED"))
    events = tuple(lifecycle.Event(at=at, status=status) for at, status in history)
    place.change(done.id, lambda s: replace(s, status="FAILED", history=(*s.history, *events)))
    ann = busy(place, "ann", created=now - 3600, work=10**6)
    others = [busy(place, f"u{n}", created=now - 60 + n, work=10**7) for n in range(3)]
    order = [s.id for s in intake.in_order(place.all())]
    assert [one for one in order if one != early.id] == [ann.id, *(s.id for s in others)]
    if place.get(early.id).open:
        assert order[0] == early.id  # as it arrived: it does not wait until its date


def test_what_was_sent_by_a_clock_that_was_ahead_keeps_its_place(place, monkeypatch):
    monkeypatch.setattr(intake.stores, "now", lambda: 5000.0)
    dates = [1000.0, 90_000.0, 1200.0, 80_000.0, 1400.0]
    sent = [busy(place, f"u{n}", created=created) for n, created in enumerate(dates)]
    assert [s.id for s in intake.in_order(place.all())] == [s.id for s in sent]
    assert place.get(sent[1].id).asked(5000.0) == 0.0


def test_the_minutes_of_workers_count_for_an_address(place, monkeypatch):
    monkeypatch.setenv("ZOO_WORKER_MINUTES_PER_DAY", "10")
    sent = [send(place, "u0", seed=0, address="192.0.2.1")]
    place.change(sent[0].id, lambda s: replace(s, work=10**9, datasets=("mnist", "ahdd")))  # 630 s
    for address in ("192.0.2.1", "192.0.2.2"):
        if address == "192.0.2.1":
            with pytest.raises(ZooError, match=r"takes workers about 1[01] minutes of a day; the most is now 10"):
                send(place, "u1", seed=1, address=address)
        else:
            assert send(place, "u1", seed=1, address=address).open
    now = intake.stores.now()
    place.change(sent[0].id, lambda s: lifecycle.claimed(s, "w", now - 300, 9.0))
    place.change(sent[0].id, lambda s: lifecycle.renewed(s, "w", 9.0, "measuring", 0.5, busy=299.0))
    place.change(sent[0].id, lambda s: lifecycle.failed(s, "w", now, "It was stopped."))
    retried = intake.retry(place, sent[0].id, "u0", MANY, address="192.0.2.1")  # 300 s: the measured time counts
    assert retried.open
    with pytest.raises(ZooError, match=r"takes workers about 1[56] minutes"):
        send(place, "u2", seed=2, address="192.0.2.1")


def test_the_trainings_of_all_datasets_together_have_a_budget(monkeypatch):
    most = budget.SEEDS * budget.BUDGET
    monkeypatch.setattr(budget, "training_seconds", lambda work, dataset: 0.6 * most)
    data = json.dumps(perceptron()).encode()
    assert checks.check(data, "m.json", ("optdigits",)).problems == ()
    (problem,) = checks.check(data, "m.json", ("optdigits", "mnist")).problems
    assert (problem.code, problem.what) == (
        "budget", "Its 3 trainings on optdigits and mnist would take about 4 hours.",
    )  # fmt: skip


def test_between_two_datasets_it_may_be_the_turn_of_another(place, tmp_path):
    """A submission of hours begins alone; what is sent while it runs waits for its first dataset only."""
    names = ("mnist", "ahdd", "ahcd")
    long = busy(place, "eve", sender="a" * 32, track="architecture", kind="json", multiply_adds=10**7, datasets=names)
    seen, short = [], []

    def measure(worker, submission, dataset, tell, cancelled):
        if not seen:
            short.append(busy(place, "ann", sender="b" * 32))
        seen.append((submission.id, dataset))
        return {"model": submission.row(dataset), "accuracy": 0.5}

    worker = Worker(place, records=tmp_path / "records", measure=measure)
    while (taken := worker.claim()) is not None:
        worker.see_through(taken, threading.Event())
    assert seen == [(long.id, "mnist"), (short[0].id, "optdigits"), (long.id, "ahdd"), (long.id, "ahcd")]
    assert [place.get(s.id).status for s in (long, short[0])] == [FINISHED, FINISHED]
    assert place.get(long.id).attempts == 1
    assert sum(step["status"] == RUNNING for step in place.get(long.id).history) == 2


def test_one_that_takes_longer_than_was_estimated_ends_all_the_same(place, tmp_path):
    sent = busy(place, "eve", datasets=("optdigits", "mnist"))
    hours = place.get(sent.id).created - 4 * 3600

    def measure(worker, submission, dataset, tell, cancelled):
        started = lifecycle.Event(at=hours, status=RUNNING)
        changes = {"created": hours, "busy": 4 * 3600.0}
        place.change(submission.id, lambda s: replace(s, **changes, history=(*s.history, started)))
        return {"model": submission.row(dataset), "accuracy": 0.5}

    worker = Worker(place, records=tmp_path / "records", measure=measure)
    worker.see_through(worker.claim(), threading.Event())
    ended = place.get(sent.id)
    assert (ended.status, set(ended.results)) == (FAILED, {"optdigits"})
    assert ended.reason.startswith("It has taken 4.0 hours for 1 of 2 datasets, and the most is 3 for all")
