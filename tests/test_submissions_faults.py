"""Submissions under fire: workers killed at random, a Hub that fails, and files that are mutated ten thousand times."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from conftest import ROOT
from hub_server import Fault
from networks import archive, keras_file, members, onnx_file
from submitting import QUICK, finish_all, send

from leaderboard.submissions import checks, intake
from leaderboard.submissions.lifecycle import FAILED, FINISHED, PENDING, WITHDRAWN
from leaderboard.submissions.measuring import job_of
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.sandbox import Box, Resources, Unfit, inputs, protocol
from leaderboard.submissions.store import Damaged, HubStore, LocalStore, StoreFailed, Unreadable
from zoo.errors import ZooError
from zoo.hub import Backoff

WORK = """
import random, sys, threading, time
from pathlib import Path
from leaderboard.submissions.sandbox import Unfit
from leaderboard.submissions.store import LocalStore
from leaderboard.submissions.worker import Worker

def measure(worker, submission, dataset, tell, cancelled):
    with (Path(sys.argv[1]) / "begun").open("a") as log:
        log.write(submission.id + "\\n")
    time.sleep(random.uniform(0, 0.02))
    if submission.name.startswith("unfit"):
        raise Unfit("It cannot be measured.")
    return {"model": submission.row(dataset), "accuracy": 0.5}

one = Worker(LocalStore(Path(sys.argv[1])), measure=measure, lease=2.0)
while True:
    taken = one.claim()
    if taken is None:
        time.sleep(0.02)
    else:
        one.see_through(taken, threading.Event())
"""


@pytest.mark.slow
def test_two_hundred_submissions_survive_sixteen_clients_and_dying_workers(tmp_path):
    """Three workers, killed at random moments: every submission ends once, and every receipt can be read."""
    place = LocalStore(tmp_path / "store")
    rng = random.Random(0)

    def start():
        return subprocess.Popen([sys.executable, "-c", WORK, str(place.root)], cwd=ROOT)

    place.root.mkdir()
    workers = [start() for _ in range(3)]
    try:
        with ThreadPoolExecutor(16) as pool:
            names = ["unfit_net" if n % 5 == 0 else "net" for n in range(200)]
            sent = list(pool.map(lambda n: send(place, f"user{n % 16}", f"{names[n]}{n}", seed=n), range(200)))
        assert len({s.id for s in sent}) == 200
        deadline, kills = time.monotonic() + 240, 0
        while any(s.open for s in place.all()):
            assert time.monotonic() < deadline, [s for s in place.all() if s.open][:3]
            if kills < 12:
                victim = rng.randrange(3)
                workers[victim].send_signal(signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = start()
                kills += 1
            time.sleep(rng.uniform(0.05, 0.4))
    finally:
        for process in workers:
            process.kill()
            process.wait()
    for original in sent:
        found = place.get(original.id)
        ends = [step["status"] for step in found.history if step["status"] in (FINISHED, FAILED)]
        if "unfit" in found.name or "workers died" in found.reason:
            assert ends == [FAILED]
        else:
            assert ends == [FINISHED]
        assert found.history[0]["note"] == "received"
    send(place)  # sweeps up what the killed ones were writing
    assert not list(place.root.glob("requests/**/.*-*"))


def test_a_worker_beside_a_space_ends_with_it_and_gives_back_what_it_took(tmp_path):
    place = LocalStore(tmp_path / "store")
    sent = send(place)
    start = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-m', 'leaderboard.submissions']).pid)"
    settings = {"ZOO_SUBMISSIONS": str(place.root), "ZOO_RECORDS": str(tmp_path / "records")}
    space = subprocess.Popen(
        [sys.executable, "-c", f"{start}; sys.stdout.flush(); sys.stdin.read()"],
        cwd=ROOT, env={**os.environ, **settings}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with space:
        worker = psutil.Process(int(space.stdout.readline()))
        deadline = time.monotonic() + 240
        while place.get(sent.id).status == PENDING:  # the worker has taken it when it is not
            assert time.monotonic() < deadline
            time.sleep(0.02)
        space.kill()
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert place.get(sent.id).status in (PENDING, FINISHED)


# The Hub


def test_the_hub_has_the_layout_of_the_boards(remote, hub):
    sent = send(remote)
    assert set(hub.repo("me/requests", "dataset").files) == {f"bob/net_eval_request_{sent.id}.json", sent.file}
    assert hub.repo("me/requests", "dataset").private
    assert hub.repo("me/results", "dataset").private
    assert remote.get(sent.id) == sent
    assert hashlib.sha256(remote.content(sent)).hexdigest() == sent.digest
    assert send(remote) == sent
    assert send(remote, "ann").same_as == sent.id
    remote.keep_results("bob~net/abc", {"optdigits.json": b"{}", "optdigits.onnx": onnx_file()})
    assert remote.result("bob~net/abc", "optdigits.onnx") == onnx_file()
    assert intake.withdraw(remote, sent.id, "bob").status == WITHDRAWN
    assert [step["status"] for step in HubStore("me", QUICK).get(sent.id).history] == [PENDING, WITHDRAWN]


@pytest.mark.slow
def test_a_hub_that_fails_loses_nothing(remote, hub):
    """409, 412, 429, 500, cut lines and lost answers, several clients and two workers at a time."""
    remote.all()  # the datasets are made
    rng, faults = random.Random(1), [
        Fault(status=409), Fault(status=412), Fault(status=429, headers=(("Retry-After", "0"),)), Fault(status=500),
        Fault(status=503), Fault(cut=True), Fault(lost=True),
    ]  # fmt: skip
    hub.choose_fault = lambda method, path: rng.choice(faults) if rng.random() < 0.12 else None
    with ThreadPoolExecutor(4) as pool:
        names = ["unfit" if n % 4 == 0 else "net" for n in range(12)]
        sent = list(pool.map(lambda n: send(HubStore("me", QUICK), f"u{n}", f"{names[n]}{n}", seed=n), range(12)))
        list(pool.map(lambda n: finish_all(HubStore("me", QUICK), name=f"w{n}", lease=600.0), range(2)))
    hub.heal()
    finish_all(HubStore("me", QUICK), name="last", lease=600.0)
    remote = HubStore("me", QUICK)  # the first may remember what it saw some seconds ago
    for original in sent:
        found = remote.get(original.id)
        ends = [step["status"] for step in found.history if step["status"] in (FINISHED, FAILED)]
        assert ends == [FAILED if found.name.startswith("unfit") else FINISHED], found
    assert len({path for path in hub.repo("me/requests", "dataset").files if path.endswith(".json")}) == 12


@pytest.mark.parametrize("content", [b"", b'{"id": "half', b"\x00\xff\xfe", b"[]", b'{"schema": 99}'])
def test_a_damaged_receipt_on_the_hub_is_set_aside_too(remote, hub, content):
    from huggingface_hub import HfApi

    bad, good = send(remote), send(remote, "ann", seed=1)
    HfApi().upload_file(path_or_fileobj=content, path_in_repo=bad.path, repo_id="me/requests", repo_type="dataset")
    again = HubStore("me", QUICK)
    assert [broken.id for broken in again.broken()] == [bad.id]
    with pytest.raises(Unreadable):
        intake.withdraw(again, bad.id, "bob")
    finish_all(again)
    assert again.get(good.id).status == FINISHED
    assert send(again, "eve", seed=2).number == 3
    with pytest.raises(Damaged, match="missing in the store"):
        again.result("no/where", "optdigits.json")
    hub.fail(Fault(status=500), on="GET", times=1000)
    with pytest.raises(StoreFailed):
        HubStore("me", Backoff(attempts=2, first=0.01)).all()
    with pytest.raises(StoreFailed, match=r"^Submissions are kept on the Hub, which does not answer as it should now"):
        send(HubStore("me", Backoff(attempts=2, first=0.01)), "ann", seed=4)


def test_a_worker_on_the_hub_is_seen_and_seldom_says_so(remote, hub):
    send(remote)
    assert intake.queue(HubStore("me", QUICK))[0].wait is None
    writes = len(hub.writes)
    for _ in range(5):
        remote.announce()
    assert len(hub.writes) - writes <= 2  # one commit, and what the client asks before it
    assert intake.queue(HubStore("me", QUICK))[0].wait > 0


def test_a_repo_of_the_hub_is_pinned_and_kept(remote, hub, tmp_path):
    from huggingface_hub import HfApi

    HfApi().create_repo("me/model")
    HfApi().upload_file(path_or_fileobj=onnx_file(), path_in_repo="model.onnx", repo_id="me/model")
    commit = hub.repo("me/model").head
    offer = Offer("net", ("optdigits",), "mit", "optdigits")
    sent = intake.submit(LocalStore(tmp_path / "s"), "bob", offer, source="hf://me/model")
    assert sent.source == f"hf://me/model@{commit}"
    assert (sent.status, sent.kind) == (PENDING, "onnx")
    HfApi().upload_file(path_or_fileobj=b"more", path_in_repo="README.md", repo_id="me/model")
    with pytest.raises(ZooError, match="newest commit of no branch and no tag"):  # as that of anybody's pull request
        intake.submit(LocalStore(tmp_path / "s"), "bob", offer, source=f"hf://me/model@{commit}")
    HfApi().create_repo("me/layout")
    for name, content in members().items():
        HfApi().upload_file(path_or_fileobj=content, path_in_repo=name, repo_id="me/layout")
    sent = intake.submit(LocalStore(tmp_path / "s"), "bob", offer, source="hf://me/layout")
    assert (sent.status, sent.kind, sent.parameters) == (PENDING, "keras", 650)
    for source, sentence in (
        ("hf://me/nowhere", "no repo"), ("https://evil.example", "not a repo on the Hub"),
        ("hf://../..", "cannot be a repo's name"), ("hf://me/requests@main", "no repo"),
    ):  # fmt: skip
        with pytest.raises(ZooError, match=sentence):
            intake.submit(LocalStore(tmp_path / "s"), "bob", offer, source=source)


# Fuzzing

MUTATIONS = int(os.environ.get("ZOO_MUTATIONS", 10_000))


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with a few of them changed, cut out, doubled or exchanged for telling values."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        place, kind = int(rng.integers(0, max(len(out), 1))), int(rng.integers(0, 6))
        if kind == 0 and out:
            out[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del out[place : place + int(rng.integers(1, 40))]
        elif kind == 2:
            out[place:place] = out[place : place + int(rng.integers(1, 40))]
        elif kind == 3:
            out[place : place + 8] = int(rng.choice([0, 1, 2**31, 2**63 - 1])).to_bytes(8, "little")
        elif kind == 4:
            out[place : place + 4] = b"\xff\xff\xff\xff"
        else:
            out[place:place] = rng.integers(0, 256, int(rng.integers(1, 9)), np.uint8).tobytes()
    return bytes(out)


def children() -> int:
    """Return how many processes this one started and still has, but for the one that starts sandboxes and stays."""
    return sum("spawner" not in " ".join(child.cmdline()) for child in psutil.Process().children())


@pytest.mark.slow
def test_ten_thousand_mutations_crash_nothing(tmp_path, monkeypatch):
    """Members are mutated before they are packed, so that checksums hold and the readers behind them are reached."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rng, good, before = np.random.default_rng(0), members(), children()
    valid, taken, codes, odd = onnx_file(), 0, set(), []
    config = b'{"module"' + good["config.json"].split(b'{"module"', 1)[1]
    for n in range(MUTATIONS):
        which = n % 5
        if which == 0:
            data = mutated(valid, rng)
        elif which == 1:
            data = mutated(keras_file(), rng)
        elif which == 2:
            data = archive({**good, "config.json": mutated(config, rng)})
        elif which == 3:
            data = archive({**good, "model.weights.h5": mutated(good["model.weights.h5"], rng)})
        else:
            data = mutated(config, rng)
        checked = checks.check(data, ("m.onnx", "m.keras", "m.json")[n % 3], ("optdigits",))
        assert (checked.content is None) == bool(checked.problems)
        taken += checked.content is not None
        if which == 0 and checked.content and data != valid:
            odd.append(data)
        codes |= {problem.code for problem in checked.problems}
    print(f"{MUTATIONS} mutations, {taken} still fit, {len(codes)} reasons")
    assert len(codes) >= min(15, MUTATIONS)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    images = inputs.prepare("optdigits", tmp_path)
    for data in odd[:2]:  # those that pass are the sandbox's to bear
        with Box("onnx", Resources(wall=120.0)) as box:
            with contextlib.suppress(Unfit):
                answers = protocol.measure(box, job_of("onnx", "optdigits"), data, images).answers
                assert answers.shape == (images.count, 10)
            folder = box.folder
        assert not folder.exists()
    # The server's secret, and the images that are kept.
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".key", ".sha256", ".u8"]
    assert children() == before
