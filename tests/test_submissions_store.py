"""What a store keeps: what some receipt needs, each network once, within its limit, and of each sender a share."""

import contextlib
import itertools
import json
import os
import sqlite3
import struct
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hub_repos import Blob
from hub_server import Account
from huggingface_hub import HfApi
from networks import onnx_file
from records import answers, made_up
from submitting import QUICK, TOKEN, send

from leaderboard import results
from leaderboard.submissions import (
    budget,
    calls,
    checks,
    holdings,
    intake,
    lifecycle,
    measuring,
    publishing,
    sandbox,
    usage,
)
from leaderboard.submissions.checks import onnx_graph
from leaderboard.submissions.lifecycle import FAILED, FINISHED, RUNNING
from leaderboard.submissions.offers import choices
from leaderboard.submissions.sandbox import Unfit, inputs, protocol
from leaderboard.submissions.sandbox.child import TOO_LARGE
from leaderboard.submissions.store import HubStore, LocalStore, NoSuchSubmission, StoreFailed, local, on_hub
from leaderboard.submissions.store.base import GAP, encode
from leaderboard.submissions.taking import Compiled
from leaderboard.submissions.worker import Worker
from zoo.errors import ZooError
from zoo.strict import keras_config

pytestmark = pytest.mark.usefixtures("checks_in_this_process")

BOTH = ("optdigits", "other_digits")


@pytest.fixture
def worker(place, tmp_path):
    return Worker(place, records=tmp_path / "records", measure=measure)


def measure(worker, submission, dataset, tell, cancelled):
    """Stand for a measurement whose network is as large as what was sent."""
    if submission.name == "unfit" and dataset != submission.datasets[0]:
        raise Unfit("It cannot be measured.")
    model, kept = submission.row(dataset), f"{submission.network}/{submission.digest[:40]}"
    result = replace(made_up(model, [0.9], date=submission.id), dataset=dataset, revision=submission.digest)
    path = worker.records.parent / "scratch.npz"
    answers(10).save(path)
    record = json.dumps({**asdict(result), "submission": {"id": submission.id, "user": submission.user}})
    files = {f"{dataset}.json": record.encode(), f"{dataset}.npz": path.read_bytes(), holdings.MODEL: onnx_file()}
    worker.store.keep_results(kept, files)
    return {"model": model, "accuracy": 0.9, "revision": result.revision, "folder": kept, "date": result.date}


def kept(place, submission) -> set[str]:
    """Return the files that the store has of a submission, without their folders."""
    found = {path.name for path in (place.root / "results" / submission.network / submission.digest[:40]).glob("*")}
    return found | ({"content"} if (place.root / "requests" / submission.file).exists() else set())


ALL = {"optdigits.json", "optdigits.npz", "model.onnx", "content"}


LINKED = {  # what is a link to the folder or the file that follows -> what is done with the store
    "requests/x": ("", lambda place: send(place)),
    "requests": ("", lambda place: send(place)),
    "requests/bob": ("", lambda place: send(place)),
    ".lock": ("nologin", lambda place: send(place)),
    "worker-seen": ("mine", lambda place: place.announce()),
    "results/a~net": ("", lambda place: place.keep_results(f"a~net/{'0' * 40}", {"model.onnx": b"sent"})),
    "results/a~net/0": ("", lambda place: place.keep_results("a~net/0", {"model.onnx": b"sent"})),
    "results/b": ("", lambda place: place.result("b", "mine")),
    "results/c/model.onnx": ("mine", lambda place: place.result("c", "model.onnx")),
    "usage.sqlite3": ("usage", lambda place: usage.charge(place.usage, "192.0.2.1", 9)),
    "usage.sqlite3-journal": ("mine", lambda place: usage.charge(place.usage, "192.0.2.1", 9)),
}


@pytest.mark.parametrize("link", LINKED)
def test_nothing_of_a_store_is_elsewhere(place, tmp_path, link):
    """A store that somebody gave away had files made, dated and removed, and a folder of keys deleted."""
    home, (target, do) = tmp_path / "home", LINKED[link]
    (home / ".my-keys").mkdir(parents=True)
    (home / ".my-keys" / "id").write_text("a key")
    (home / "mine").write_text("mine")
    os.utime(home / "mine", (1, 1))
    (place.root / link).parent.mkdir(parents=True, exist_ok=True)
    (place.root / link).symlink_to(home / target)
    with contextlib.suppress(ZooError):
        assert do(place) not in (b"mine", home)
    assert sorted(path.relative_to(home).as_posix() for path in home.rglob("*")) == [".my-keys", ".my-keys/id", "mine"]
    assert (home / "mine").stat().st_mtime == 1
    assert (home / "mine").read_text() == "mine"


@pytest.mark.parametrize("link", ["optdigits", "optdigits/net.optdigits.json", "optdigits/net.optdigits.npz", ".lock"])
def test_nothing_of_records_is_elsewhere(place, tmp_path, link):
    records, home = tmp_path / "records", tmp_path / "home"
    home.mkdir()
    row = made_up("net.optdigits", [0.9])
    results.write(row, answers(10), tmp_path / "others")
    if link == "optdigits":
        (tmp_path / "others" / "optdigits").rename(home / "optdigits")
    elif link != ".lock":
        (tmp_path / "others" / link).rename(home / Path(link).name)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    (records / link).parent.mkdir(parents=True, exist_ok=True)
    (records / link).symlink_to(home / Path(link).name)
    assert not results.read_all(records)
    publishing.publish(place, records)
    with contextlib.suppress(OSError):
        results.write(row, answers(20), records)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


OTHERS_ROWS = {  # what a receipt that was written into the store, and the record behind it, say
    "a row of the zoo": ({"model": "lenet5.optdigits"}, {}),
    "somebody's row": ({"model": "ann~net.optdigits"}, {}),
    "a row on another dataset": ({"model": "evil~bad.mnist"}, {}),
    "a record without a sender": ({}, {"submission": None}),
    "a record of another sender": ({}, {"submission": {"id": "20261101-00000bad", "user": "ann"}}),
    "a sender that is no name": ({}, {"submission": {"user": ["evil"]}}),
}


@pytest.mark.parametrize("how", OTHERS_ROWS)
def test_a_receipt_has_no_row_but_its_own(place, tmp_path, how):
    """A receipt could name a row of the zoo's own, which the next worker wrote in its place."""
    outcome, record = OTHERS_ROWS[how]
    ann, records = send(place, "ann"), tmp_path / "records"
    worker = Worker(place, records=records, measure=measure)
    worker.step()
    evil = replace(place.get(ann.id), **{**EVIL, "number": 0, "status": FINISHED})
    found = measure(worker, evil, "optdigits", None, None) | {"revision": "1" * 64} | outcome
    kept = place.root / "results" / found["folder"] / "optdigits.json"
    said = json.loads(kept.read_text()) | {"model": found["model"], "revision": "1" * 64} | record
    kept.write_text(json.dumps(said))
    keep(place, replace(evil, results={"optdigits": found}))
    publishing.publish(place, records)
    (row,) = results.read_all(records)
    assert (row.model, row.submission["id"], row.revision) == (ann.row("optdigits"), ann.id, ann.digest)


def journal_that_names(path, database):
    """Write a journal of a change that was cut off, as if it had been one of several databases."""
    usage.charge(database, "192.0.2.1", 9)
    code = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('pragma cache_size = 1'); db.execute('begin immediate')\n"
        "for _ in range(2000): db.execute('insert into asked values (?, 1.0)', ('x' * 100,))\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=True)
    name = str(path).encode()
    page = 2**30 // 4096 + 1
    ends = struct.pack(">I", page), name, struct.pack(">II", len(name), sum(name)), bytes.fromhex("d9d505f920a163d7")
    journal = database.with_name("usage.sqlite3-journal")
    journal.write_bytes(journal.read_bytes() + b"".join(ends))


HOSTILE = {
    "a journal": None,
    "a trigger": "create trigger t after insert on asked begin delete from key; end",
    "a view": "create view more as select * from asked",
    "another index": "create index other on asked (abs(at))",
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_database_that_somebody_made_does_nothing(tmp_path, how):
    database, mine = tmp_path / "store" / "usage.sqlite3", tmp_path / "mine"
    mine.write_text("mine")
    database.parent.mkdir()
    if HOSTILE[how] is None:
        journal_that_names(mine, database)
    else:
        usage.charge(database, "192.0.2.1", 9)
        with contextlib.closing(sqlite3.connect(database)) as made, made:
            made.execute(HOSTILE[how])
    assert len(usage.charge(database, "192.0.2.1", 9)) == 32
    assert mine.exists()
    assert list(database.parent.glob("*.damaged-*"))


def keep(place, submission) -> None:
    """Have a store keep a receipt that some program wrote into it."""
    if isinstance(place, HubStore):
        HfApi().upload_file(
            path_or_fileobj=encode(submission), path_in_repo=submission.path, repo_id=place.requests,
            repo_type="dataset",
        )  # fmt: skip
        place._latest.outdate()
    else:
        place._write(place.root / "requests" / submission.path, encode(submission))


EVIL = {"id": "20261101-00000bad", "user": "evil", "name": "bad"}
FAR = {  # what one receipt says -> whether it is read at all
    "the last number": ({"number": 2**53}, True),
    "the last number but one": ({"number": 2**53 - 1}, True),
    "a number far beyond": ({"number": 2 * GAP}, True),
    "a number beyond": ({"number": GAP}, True),
    "no number": ({"number": -1}, False),
}


@pytest.mark.parametrize("how", FAR)
@pytest.mark.parametrize("kind", ["place", "remote"])
def test_one_receipt_does_not_lose_those_that_come_after_it(kind, how, request):
    """A number of the last that JSON may hold had every later submission accepted and set aside as damaged."""
    place, (said, is_read) = request.getfixturevalue(kind), FAR[how]
    first = send(place)
    keep(place, replace(first, **EVIL, **said))
    sent = [first, *(send(place, f"u{n}", seed=n) for n in range(1, 4))]
    again = LocalStore(place.root) if kind == "place" else HubStore("me", QUICK)
    assert [s.id for s in again.all() if s.user != "evil"] == [s.id for s in sent]
    assert [again.get(s.id).status for s in sent] == ["PENDING"] * 4
    assert [broken.id for broken in again.broken()] == [EVIL["id"]] * (not is_read)
    assert send(place, "u1", seed=1).id == sent[1].id  # a repetition is recognized


LARGE = {  # likewise
    "its size": ({"size": 2**53}, True),
    "its parameters": ({"parameters": 2**53}, True),
    "parameters on each of several datasets": ({"parameters": 2**53, "kind": "json", "datasets": choices()}, True),
    "datasets": ({"datasets": [f"d{n}" for n in range(10**5)]}, False),
    "retries": ({"history": [{"at": time.time() - n, "status": "PENDING", "note": "tried again"} for n in range(2000)]},
                True),
    "its work": ({"work": 2**53, "status": "RUNNING", "lease": 600.0}, True),
    "its training": ({"multiply_adds": 2**53, "track": "architecture", "status": "RUNNING", "lease": 600.0}, True),
    "its lease": ({"status": "RUNNING", "lease": 2.0**33}, False),
}  # fmt: skip


@pytest.mark.parametrize("how", LARGE)
def test_one_receipt_leaves_others_room_and_turns(place, how):
    """What it promised of the store, or held a submission for, had no bounds: nobody else could send anything."""
    said, is_read = LARGE[how]
    first = send(place)
    place.change(first.id, lambda s: replace(s, status=FAILED))
    keep(place, replace(first, **EVIL, **{"digest": "0" * 64, **said}))
    place.announce()
    sent = send(place, "ann", seed=1, limits=intake.LIMITS, address="192.0.2.1")
    assert (place.root / "requests" / first.file).exists()  # what may be tried again
    assert [broken.id for broken in place.broken()] == [EVIL["id"]] * (not is_read)
    (of_ann,) = [one for one in intake.queue(place) if one.submission.id == sent.id]
    assert of_ann.wait < 2 * budget.SEEDS * budget.BUDGET
    assert all(lifecycle.claimable(s, 3601.0) for s in place.all() if s.open)


def test_bounds_of_receipts_allow_all_that_is_accepted():
    parameters = max(onnx_graph.MOST_PARAMETERS, keras_config.MOST_PARAMETERS)
    assert max(parameters * holdings.PARAMETER_BYTES, checks.MOST_BYTES) <= holdings.MOST_NETWORK
    assert len(choices()) <= lifecycle.MOST_DATASETS
    assert max(LocalStore.lease, HubStore.lease) <= 3600


OTHERS = {  # name of a file among the receipts -> what it holds, of the receipt of somebody else
    "aaa/net_eval_request_{id}.json": lambda data: data,  # listed before it, and after it
    "zzz/net_eval_request_{id}.json": lambda data: data,
    "aaa/net_eval_request_20261101-00000bad.json": lambda data: data,
    "aaa/bad_eval_request_{id}.json": lambda data: encode(  # its id
        replace(lifecycle.Submission.from_json(data), user="aaa", name="bad", number=2)
    ),
    "aaa/large_eval_request_20261101-00000bad.json": lambda data: data + b" " * 6_000_000,
    "aaa/b/large_eval_request_20261101-00000bad.json": lambda data: data,
    "aaa/\n_eval_request_.json": lambda data: data,
    "_eval_request_.json": lambda data: b"[]",
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("kind", ["place", "remote"])
def test_other_files_do_not_stand_for_a_receipt(kind, name, request, hub, monkeypatch):
    """A byte copy of a receipt took its place, or was it a second time, and a large file stopped the queue."""
    place = request.getfixturevalue(kind)
    monkeypatch.setattr(on_hub, "MOST_BYTES", 5_000_000)
    sent, other = send(place), send(place, "eve", seed=1)
    path, content = name.format(id=sent.id), OTHERS[name](encode(sent))
    if kind == "place":
        (place.root / "requests" / path).parent.mkdir(parents=True, exist_ok=True)
        (place.root / "requests" / path).write_bytes(content)
    else:
        repo = hub.repo("me/requests", "dataset")
        repo.commit("x", {path: Blob(content, len(content) > 10**6), **repo.commits[-1][2]})
    for _ in range(2):
        place = LocalStore(place.root) if kind == "place" else HubStore("me", QUICK)
        assert [(s.id, s.user) for s in place.all()] == [(sent.id, "bob"), (other.id, "eve")]
        assert place.get(sent.id).user == "bob"
        assert len(place.broken()) == (name.count("/") == 1 or kind == "remote")
        place.change(sent.id, lambda s: lifecycle.withdrawn(s, 1.0))
        assert place.get(sent.id).status == "WITHDRAWN"
        place.change(sent.id, lambda s: replace(s, status="PENDING"))
    assert send(place, "dan", seed=2).open


def test_what_could_not_be_read_again_is_not_accepted(place, monkeypatch):
    monkeypatch.setattr(intake, "_hash", lambda secret: "no hash")
    with pytest.raises(ZooError, match="secret: string should match"):
        send(place, secret="x" * 22)
    assert not place.all()
    assert not place.broken()


@pytest.mark.parametrize("kept", [1, 3])
def test_old_receipts_without_a_row_go(place, monkeypatch, kept):
    """Each look at the store looks at the folder of each sender, and their names are free."""
    monkeypatch.setattr(local, "MOST_OVER", kept)
    waiting = send(place, "ann", "waits")
    gone = [send(place, f"user{n}", "net", seed=n) for n in range(4)]
    for one in gone:
        intake.withdraw(place, one.id, one.user)
    send(place, "bea", "last", seed=9)
    left = {one.user for one in place.all()}
    assert left == {"ann", "bea", *(f"user{n}" for n in range(4 - kept, 4))}
    assert {folder.name for folder in (place.root / "requests").iterdir()} == {"files", *left}
    assert place.get(waiting.id).open
    with pytest.raises(NoSuchSubmission):
        place.get(gone[0].id)


def test_what_is_withdrawn_leaves_nothing(place, worker):
    sent, other, same = send(place), send(place, "ann", seed=1), send(place, "eve", seed=1)
    while worker.step():
        pass
    assert [kept(place, one) for one in (sent, other, same)] == [ALL, ALL, ALL]
    for one in (sent, other):
        intake.withdraw(place, one.id, one.user)
    worker.step()
    assert kept(place, sent) == set()
    assert kept(place, other) == {"content"}  # it is another sender's too
    assert kept(place, same) == ALL
    intake.withdraw(place, same.id, same.user)
    send(place, "dan", seed=2)  # without any worker
    assert kept(place, same) == kept(place, other) == set()
    assert not list((place.root / "results").glob("*"))


def test_what_is_replaced_or_measured_again_leaves_its_place(place, worker):
    first = send(place)
    worker.step()
    second = send(place, seed=1)
    assert kept(place, first) == ALL  # until the new one is measured
    worker.step()
    assert (kept(place, first), kept(place, second)) == ({"content"}, ALL)
    intake.withdraw(place, second.id, "bob")
    worker.step()
    assert kept(place, second) == set()
    assert "can be tried again" in place.get(first.id).reason
    intake.retry(place, first.id, "bob")
    worker.step()
    assert kept(place, first) == ALL
    orphan = place.root / "results" / first.network / ("0" * 40) / "optdigits.json"  # of another conversion
    orphan.parent.mkdir()
    orphan.write_text("{}")
    place.tidy()
    assert not orphan.parent.exists()
    assert kept(place, first) == ALL


def test_what_is_about_to_be_needed_stays(place, worker):
    """A worker writes results before the receipt has them; one that failed goes on from what it has."""
    sent = send(place)
    taken = worker.claim()
    assert taken.status == RUNNING
    measure(worker, taken, "optdigits", None, None)
    place.tidy()
    assert kept(place, sent) == ALL
    for stop in ("failed", "damaged"):
        one = send(place, stop, seed=len(stop))
        found = measure(worker, one, "optdigits", None, None)
        place.change(one.id, lambda s, found=found: replace(s, status=FAILED, results={"optdigits": found}))
        if stop == "damaged":
            (place.root / "requests" / one.path).write_text("{")
        LocalStore(place.root).tidy()
        assert kept(place, one) == ALL


def test_a_network_is_kept_once_for_all_its_datasets(place, worker):
    sent = send(place)
    place.change(sent.id, lambda s: replace(s, datasets=BOTH))
    for dataset in BOTH:
        measure(worker, place.get(sent.id), dataset, None, None)
    assert len(list((place.root / "results").rglob("*.onnx"))) == 1
    once, trained = (holdings.expected_bytes(replace(sent, datasets=BOTH, kind=kind)) for kind in ("onnx", "json"))
    assert trained - once == holdings.network_bytes(sent)  # one that is trained differs on each dataset


@pytest.mark.parametrize(("model", "page", "becomes"), [(0, 0, "kept"), (0, 1, "without its page"), (1, 0, "refused")])
def test_a_network_takes_the_room_that_was_promised(place, tmp_path, monkeypatch, model, page, becomes):
    """A Keras file of 0.5 MB took 10.6 MB, since TensorFlow wrote the weights of a layer once for each of its calls."""
    sent = send(place)
    images, most = inputs.prepare("optdigits", tmp_path), holdings.network_bytes(sent)
    alike, portable = np.full((images.count, 10), 0.1, np.float32), Compiled(reason="It " + "x" * (most // 2))
    free = most - len(portable.to_json())
    portable = replace(portable, reason=portable.reason + "x" * page)
    outcome = sandbox.Outcome(
        alike, b"x" * (most + 1 if model else free), 1, 1, None, {}, portable, alike[: len(images.test)]
    )  # fmt: skip
    monkeypatch.setattr(protocol, "measure", lambda *_: outcome)
    monkeypatch.setattr(lifecycle, "check_held", lambda *_: None)
    monkeypatch.setattr(Worker, "box", lambda *_: contextlib.nullcontext())
    worker = Worker(place, cache=tmp_path)
    if becomes == "refused":
        with pytest.raises(Unfit, match="MB as ONNX, and the most for a file of"):
            measuring.measured(worker, sent, "optdigits", lambda *_: None, bool)
        return
    folder = measuring.measured(worker, sent, "optdigits", lambda *_: None, bool)["folder"]
    said = Compiled.from_json(place.result(folder, holdings.PORTABLE))
    assert (said.reason == TOO_LARGE) == (becomes == "without its page")
    assert len(place.result(folder, holdings.MODEL) + said.to_json()) <= most


def sized(place) -> int:
    return sum(path.stat().st_size for path in place.root.rglob("*") if path.is_file())


def test_results_keep_to_the_limit_and_have_room_from_the_beginning(place, worker, monkeypatch):
    promised = 2 * (holdings.RESULT_BYTES + holdings.GRAPH_BYTES)
    monkeypatch.setattr(local, "_most", lambda: promised)
    first = send(place)
    with pytest.raises(StoreFailed, match="Nothing was kept: the store holds"):
        send(place, "ann", seed=1)  # what the first one will take is promised
    worker.step()
    assert place.get(first.id).status == FINISHED
    second = send(place, "ann", seed=1)
    assert second.open
    monkeypatch.setattr(local, "_most", lambda: sized(place) + 1000)
    with pytest.raises(StoreFailed, match="Nothing was kept"):
        measure(worker, second, "optdigits", None, None)
    assert len(list((place.root / "results").glob("*"))) == 1


def test_no_few_senders_fill_a_store(place, monkeypatch):
    most = 40 * (holdings.RESULT_BYTES + holdings.GRAPH_BYTES)
    monkeypatch.setattr(local, "_most", lambda: most)
    seeds = itertools.count()

    def sent(address):
        """Return how many submissions of an address are taken."""
        with contextlib.suppress(ZooError):
            for count, seed in enumerate(seeds):  # noqa: B007
                send(place, f"u{seed}", f"n{seed}", seed, address=address, secret=intake.new_secret())
        return count

    counts = [sent(n) for n in ("192.0.2.1", "2001:db8:1::1", "2001:db8:1:ffff::1", "192.0.2.3", "192.0.2.4")]
    assert counts[0] > counts[1] > counts[3] >= counts[4] > 0
    assert counts[2] == 0  # the same network as the address before it
    for one in place.all()[: counts[0]]:
        place.change(one.id, lambda s: lifecycle.withdrawn(s, 0.0))
    assert sent("192.0.2.1") > 0  # what is withdrawn makes room


@pytest.mark.parametrize("store", ["place", "remote"])
def test_no_submission_takes_the_id_of_another(store, request, monkeypatch):
    """Ids have 32 random bits: the second receipt was set aside, or the sender got the first one's."""
    store = request.getfixturevalue(store)
    monkeypatch.setattr(lifecycle, "new_id", lambda: "20261128-00000000")
    sent = [send(store, user, seed=seed) for seed, user in enumerate(("ann", "bob", "carol"))]
    assert len({one.id for one in sent}) == 3
    assert [(one.id, one.user, one.number) for one in store.all()] == [(s.id, s.user, s.number) for s in sent]
    assert not store.broken()


def test_a_mark_tells_senders_apart_and_nothing_else(place, tmp_path):
    one, same, other = (
        send(store, f"u{n}", seed=n, address=address)
        for n, (store, address) in enumerate(
            [(place, "192.0.2.1"), (LocalStore(place.root), "192.0.2.1"), (place, "192.0.2.2")]
        )
    )
    assert one.sender == same.sender != other.sender
    assert send(LocalStore(tmp_path / "another"), address="192.0.2.1").sender != one.sender
    assert "sender" not in intake.as_json(one)
    assert not any(b"192.0.2.1" in path.read_bytes() for path in place.root.rglob("*") if path.is_file())


def test_the_hub_loses_what_no_receipt_needs_too(hub, monkeypatch, tmp_path):
    hub.tokens[TOKEN] = Account("me")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    place = HubStore("me", QUICK)
    worker = Worker(place, records=tmp_path / "records", measure=measure)
    sent, other = send(place), send(place, "ann", seed=1)
    while worker.step():
        pass
    intake.withdraw(place, sent.id, "bob")
    worker.step()
    files = hub.repo("me/results", "dataset").files
    assert {path.partition("/")[0] for path in files if "/" in path} == {other.network}
    assert results.path_of(other.row("optdigits"), "optdigits", tmp_path / "records").exists()


def test_a_call_costs_what_it_answers_however_many_receipts_there_are(place, monkeypatch):
    """A receipt took half a millisecond for each that is kept, and an unknown one a look into the folders of all."""
    first = send(place)
    for number in range(30):
        other = replace(first, id=f"20261127-{number:08x}", user=f"u{number}", name=f"n{number}")
        place._write(place.root / "requests" / other.path, encode(other))
    (listed,) = [one for one in calls.endpoints(place) if one.name == "submissions"]
    monkeypatch.setattr(calls, "MOST_RECEIPTS", 3)
    made = []
    monkeypatch.setattr(intake, "as_json", lambda submission, *_: made.append(submission.id) or {})
    assert len(listed.function()) == len(made) == 3
    assert len(listed.function("u7")) == 1
    monkeypatch.setattr(local.time, "time_ns", lambda: 2**62)  # every folder has settled
    place.all()
    looked = []
    monkeypatch.setattr(local.os, "listdir", lambda path: looked.append(path) or [])
    monkeypatch.setattr(Path, "glob", lambda *_: pytest.fail("it looks into every folder"))
    with pytest.raises(NoSuchSubmission):
        place.get("20261127-ffffffff")
    assert not looked
    assert place.get("20261127-00000007").user == "u7"
