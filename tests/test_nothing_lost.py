"""Faults on purpose: every file of the store, the records and the board damaged in every way, a disk that is full at
every write, a clock that is moved, workers that crash. The others go on, the damaged item says so, nothing finished is
lost."""

import contextlib
import errno
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
from networks import onnx_file
from records import answers, made_up, write_board
from submitting import MANY, send

from leaderboard import results, snapshot, table
from leaderboard.submissions import intake, lifecycle, locking, scoring, supervision, usage
from leaderboard.submissions import store as stores
from leaderboard.submissions.intake import Limits
from leaderboard.submissions.lifecycle import FAILED, FINISHED, PENDING, RUNNING, Submission
from leaderboard.submissions.presence import Witness
from leaderboard.submissions.publishing import publish
from leaderboard.submissions.store import LocalStore, StoreFailed, Unreadable
from leaderboard.submissions.worker import Worker, without_paths
from leaderboard.tabs import receipts
from leaderboard.tabs.board_frame import Live
from zoo.errors import DataError, ZooError

pytestmark = pytest.mark.usefixtures("checks_in_this_process")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def binary(path: Path) -> None:
    path.write_bytes(b"\x00\xff\xfe\x80" * 50)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_text("x")


def wrong_keys(path: Path) -> None:
    path.write_text('{"some": 1, "thing": [2]}\n')


def wrong_types(path: Path) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps({key: [None] for key in values}))


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def gone(path: Path) -> None:
    path.unlink()


def unreadable(path: Path) -> None:
    """Stand for missing rights and bad sectors; root may read everything, so opening it fails by other means."""
    path.unlink()
    path.symlink_to(path)


DAMAGES = (cut, empty, binary, folder, wrong_keys, wrong_types, deep, unreadable)


@pytest.fixture
def records(tmp_path):
    return tmp_path / "records"


def measure(worker, submission, dataset, tell, cancelled):
    """Stand for a measurement: keep a made-up result in the store."""
    if submission.name.startswith("nodata"):
        raise DataError(f"/srv/secret/datasets/{dataset} holds no parquet files.")
    model = submission.row(dataset)
    result = made_up(model, [0.9], submission=asdict(submission) | {"paper": ""}, date=submission.id)
    kept = f"{submission.network}/{result.revision[:40]}"
    packed = io.BytesIO()
    path = worker.records.parent / "scratch.npz"
    answers(10).save(path)
    packed.write(path.read_bytes())
    record = json.dumps({**asdict(result), "submission": {"id": submission.id, "user": submission.user}})
    files = {f"{dataset}.json": record.encode(), f"{dataset}.npz": packed.getvalue(), f"{dataset}.onnx": b"x"}
    worker.store.keep_results(kept, files)
    return {"model": model, "accuracy": 0.9, "revision": result.revision, "folder": kept, "date": result.date}


def work(place, records, **settings) -> Worker:
    """Let a worker do what waits, as `watch` does, for as long as it gets anywhere."""
    worker, stop = Worker(place, records=records, measure=measure, **settings), threading.Event()
    supervision.keep_doing(lambda: worker.step() or bool(stop.set()), stop, 0.001, longest=0.001)
    return worker


def row(records, submission) -> results.Result | results.Broken:
    return results.read_record(results.path_of(submission.row("optdigits"), "optdigits", records))


# Requests


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_receipt_is_set_aside_and_the_others_go_on(place, records, damage):
    bad, good = send(place), send(place, "ann", "other", seed=1)
    damage(place.root / "requests" / bad.path)
    for store in (place, LocalStore(place.root)):  # one that has read it before, and one that has not
        if store is not place:
            assert [broken.id for broken in store.broken()] == [bad.id]
            assert receipts.queue(intake.queue(store), [], store.broken()).count(bad.id) == 1
        with pytest.raises(Unreadable, match="is set aside because its file is damaged"):
            store.get(bad.id)
        for action in (intake.withdraw, intake.retry):
            with pytest.raises(Unreadable):
                action(store, bad.id, "bob")
        later = send(store, "eve", f"net{int(store is place)}", seed=2 + (store is place))
        assert store.get(later.id) == later
    work(place, records)
    assert {s.status for s in place.all()} == {FINISHED}
    assert isinstance(row(records, good), results.Result)
    assert send(place).id != bad.id  # it may be sent again


def test_a_damaged_receipt_says_what_is_wrong_with_it(place):
    one, other = send(place), send(place, "ann", seed=1)
    path = place.root / "requests" / one.path
    for text, said in (
        ("", "the file is empty"), ("{", "not JSON"), (json.dumps({"schema": 99}), "this program supports up to 4"),
        (json.dumps({**one.to_dict(), "created": "today"}), "created: input should be a valid number"),
        (json.dumps({**one.to_dict(), "colour": 1}), "has the unknown colour"),
        (json.dumps({**one.to_dict(), "status": "DONE"}), "status: string should match"),
        (json.dumps({**one.to_dict(), "history": []}), "history: tuple should have at least 1 item"),
        (json.dumps({**one.to_dict(), "history": [{"at": "x", "status": "PENDING"}]}), "history.0.at"),
        (json.dumps({**one.to_dict(), "results": {"optdigits": {}}}), "lacks results.optdigits.model"),
        (json.dumps({**one.to_dict(), "problems": [{}]}), "lacks problems.0.code"),
        (json.dumps(other.to_dict()), "another submission than its name says"),
    ):  # fmt: skip
        path.write_text(text)
        assert said in LocalStore(place.root).broken()[0].reason


def test_receipts_of_the_first_schema_are_read_and_go_on(place, records):
    now = send(place)
    path = place.root / "requests" / now.path
    old = {key: value for key, value in now.to_dict().items()
           if key not in ("schema", "number", "beats", "same_as", "secret", "sender", "busy")}  # fmt: skip
    old |= {"status": RUNNING, "worker": "host-12-ab", "lease": time.time() + 1e6, "attempts": 1}
    path.write_text(json.dumps(old))
    found = LocalStore(place.root).get(now.id)
    assert (found.schema, found.lease, found.user) == (lifecycle.SCHEMA, 120.0, "bob")
    place.change(now.id, lambda s: lifecycle.released(s, "host-12-ab", 0.0))
    work(place, records)
    assert Submission.from_json(path.read_bytes()).status == FINISHED


def test_a_folder_of_requests_that_cannot_be_read_is_one_sentence(place):
    sent = send(place)
    requests = place.root / "requests"
    shutil.move(requests / "bob", requests / "moved")
    (requests / "bob").symlink_to(requests / "bob")
    store = LocalStore(place.root)
    assert "bob" in [broken.path for broken in store.broken()]
    shutil.rmtree(requests / "moved")
    assert send(store, "ann").user == "ann"
    shutil.rmtree(requests)
    requests.write_text("no folder")
    for call in (place.all, lambda: send(place), lambda: place.get(sent.id)):
        with pytest.raises(ZooError):
            call()


# Content and results


@pytest.mark.parametrize("damage", [cut, empty, binary, folder, gone])
def test_missing_content_fails_at_once_and_says_so(place, records, damage):
    bad, good = send(place), send(place, "ann", "other", seed=1)
    damage(place.root / "requests" / bad.file)

    def read_then(worker, submission, *rest):
        worker.store.content(submission)
        return measure(worker, submission, *rest)

    worker, stop = Worker(place, records=records, measure=read_then), threading.Event()
    supervision.keep_doing(lambda: worker.step() or bool(stop.set()), stop, 0.001)
    ended = place.get(bad.id)
    assert (ended.status, ended.attempts) == (FAILED, 1)
    assert "missing in the store" in ended.reason or "damaged in the store" in ended.reason
    assert place.get(good.id).status == FINISHED


@pytest.mark.parametrize("damage", [cut, empty, binary, folder, gone])
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_damaged_result_costs_its_own_row_only(place, records, damage, suffix):
    bad, good = send(place), send(place, "ann", "other", seed=1)
    worker = Worker(place, records=records, measure=measure)
    for _ in range(2):
        worker.see_through(worker.claim(), threading.Event())
    damage(next((place.root / "results" / bad.network).rglob(f"*{suffix}")))
    worker.publish()
    assert isinstance(row(records, good), results.Result)
    said = place.get(bad.id)
    assert (said.status, said.reason.split(" (")[0][:11]) == (FINISHED, said.reason[:11])
    assert "store" in said.reason
    assert "not on the board" in receipts.receipt(said, None)
    worker.publish()
    assert place.get(bad.id).version == said.version  # said once
    intake.retry(place, bad.id, "bob")
    work(place, records)
    assert place.get(bad.id).reason == ""
    assert isinstance(row(records, bad), results.Result)


@pytest.mark.parametrize(
    ("suffix", "damage"), [*((".json", damage) for damage in (*DAMAGES, gone)),
                           *((".npz", damage) for damage in (cut, empty, binary, folder, wrong_keys, unreadable, gone))]
)  # fmt: skip
def test_a_damaged_row_is_shown_as_broken_and_comes_back_from_the_store(place, records, suffix, damage):
    sent, other = send(place), send(place, "ann", "other", seed=1)
    work(place, records)
    path = results.path_of(sent.row("optdigits"), "optdigits", records).with_suffix(suffix)
    damage(path)
    frame = snapshot.load(records).set_index("model")["status"]
    assert frame[other.row("optdigits")] == table.VERIFIED
    if damage is not gone:
        assert frame[sent.row("optdigits")] == table.BROKEN
    work(place, records)
    frame = snapshot.load(records).set_index("model")["status"]
    assert frame[sent.row("optdigits")] == frame[other.row("optdigits")] == table.VERIFIED


def set_to(**changes):
    """Return how a record is damaged though it is JSON of its schema's first look: these fields are set."""
    return lambda values: values.update(changes)


def of_seeds(**changes):
    """The same of the metrics of its seeds; None drops one."""

    def damage(values):
        for seed in values["seeds"]:
            seed["metrics"] = {k: v for k, v in (seed["metrics"] | changes).items() if v is not None}

    return damage


def confused(number):
    return lambda values: values["confusion"][0].__setitem__(0, number)


VALUES = {
    "a recipe without a name": set_to(recipe={}),
    "a history of nothing": set_to(history=[{}]),
    "a history of words": set_to(history=[{"accuracy": "x", "macro_f1": 0.5, "seeds": 1}]),
    "a claim of words": set_to(claimed={"accuracy": "x", "source": "y"}),
    "a claim of nothing": set_to(claimed={}),
    "a speed of nothing": set_to(speed={}),
    "versions that are a number": set_to(
        speed={"metric_versions": 5, "latency": 1.0, "throughput": 1.0, "date": "2026-11-21"}
    ),
    "no classes": set_to(per_class=[], confusion=[]),
    "no samples": lambda values: values.update(confusion=[[0] * 10] * 10),
    "fewer than no samples": confused(-(10**6)),
    "samples beyond any number": confused(2**80),
    "samples beyond memory": confused(200_000_000),
    "no accuracy": of_seeds(accuracy=None),
    "no parameters": of_seeds(parameters=None),
    "an accuracy that is no number": of_seeds(accuracy=float("nan")),
    "parameters without end": of_seeds(parameters=float("inf")),
    "a sender without a name": set_to(submission={"id": "x"}),
    "a sender that is a number": set_to(submission={"user": 5}),
    "a recipe that is a number": set_to(recipe={"name": 5}),
    "the name of another folder": set_to(architecture="../x"),
}  # fmt: skip


@pytest.mark.parametrize("damage", VALUES.values(), ids=VALUES)
def test_a_record_of_wrong_values_costs_its_own_row(tmp_path, damage):
    for model in ("bad.mnist", "good.mnist"):
        results.write(made_up(model, [0.9, 0.91]), answers(10), folder=tmp_path)
    path = results.path_of("bad.mnist", "mnist", tmp_path)
    values = json.loads(path.read_text())
    damage(values)
    path.write_text(json.dumps(values))
    snapshot.write(tmp_path)
    frame = snapshot.load(tmp_path).set_index("model")
    assert [frame.loc[f"{name}.mnist", "status"] for name in ("good", "bad")] == [table.VERIFIED, table.BROKEN]
    assert "bad.mnist.json: " in frame.loc["bad.mnist", "note"]


def test_a_row_that_a_column_cannot_show_is_broken_alone(tmp_path, monkeypatch):
    """Whatever the schema lets through."""
    for model in ("bad.mnist", "good.mnist"):
        results.write(made_up(model, [0.9, 0.91]), answers(10), folder=tmp_path)
    right = results.Result.summary.fget

    def mistaken(self):
        return {}["nothing"] if self.architecture == "bad" else right(self)

    monkeypatch.setattr(results.Result, "summary", property(mistaken))
    frame = snapshot.build(tmp_path).rows.set_index("model")
    assert [frame.loc[f"{name}.mnist", "status"] for name in ("good", "bad")] == [table.VERIFIED, table.BROKEN]
    assert frame.loc["bad.mnist", "note"] == "bad.mnist.json: it cannot be shown (KeyError)."


@pytest.mark.parametrize("name", ["no accuracy", "a recipe without a name", "samples beyond memory"])
def test_a_result_of_wrong_values_in_the_store_is_damaged(place, records, name):
    bad, good = send(place), send(place, "ann", "other", seed=1)
    worker = Worker(place, records=records, measure=measure)
    for _ in range(2):
        worker.see_through(worker.claim(), threading.Event())
    path = next((place.root / "results" / bad.network).rglob("*.json"))
    values = json.loads(path.read_text())
    VALUES[name](values)
    path.write_text(json.dumps(values))
    worker.publish()
    assert isinstance(row(records, good), results.Result)
    assert "is damaged in the store" in place.get(bad.id).reason


def test_the_reason_of_a_worker_reaches_the_receipt_without_its_paths(place, records):
    bad, good = send(place, name="nodata"), send(place, "ann", seed=1)
    work(place, records)
    assert (place.get(bad.id).status, place.get(good.id).status) == (FAILED, FINISHED)
    assert place.get(bad.id).reason == "…/optdigits holds no parquet files. It can be tried again."
    assert place.get(bad.id).history[-1]["note"] == place.get(bad.id).reason
    assert without_paths("see https://a.b/c/d and /home/me/x.onnx, /tmp") == "see https://a.b/c/d and …/x.onnx, /tmp"


# The board


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    return write_board(tmp_path_factory.mktemp("board"))


def rarely(name, *damages):
    """Leave damages that end in the same place as another one to `make slow`."""
    return [pytest.param(damage, name, marks=pytest.mark.slow) for damage in damages]


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        *((damage, snapshot.NAME) for damage in (cut, wrong_keys, deep, unreadable)),
        *((damage, snapshot.STATE) for damage in (binary, folder, deep, gone)),
        *rarely(snapshot.NAME, empty, binary, folder, gone),
        *rarely(snapshot.STATE, cut, empty, wrong_keys, unreadable),
    ],
)
def test_the_kept_table_is_a_cache(board, tmp_path, monkeypatch, damage, name):
    here = shutil.copytree(board, tmp_path / "records")
    monkeypatch.setattr(results, "RECORDS", here)
    before = snapshot.load(here)
    damage(here / name)
    assert not snapshot.is_fresh(here)
    assert Live().recorded() == before.loc[before["status"] != table.CLAIMED, "model"].tolist()  # the Space starts
    pd.testing.assert_frame_equal(snapshot.load(here), before, check_dtype=False, rtol=1e-7)
    snapshot.write(here)
    assert snapshot.is_current(here)


def test_a_line_less_or_a_digit_more_is_noticed(board, tmp_path):
    here = shutil.copytree(board, tmp_path / "records")
    text = (here / snapshot.NAME).read_text()
    for changed in (text[: text.rindex("\n", 0, -1) + 1], text.replace("0.99", "0.98", 1)):
        (here / snapshot.NAME).write_text(changed)
        assert not snapshot.is_fresh(here)
    snapshot.write(here)
    path = next(here.glob("mnist/hdr*.json"))
    state = path.stat()
    path.write_text(path.read_text().replace('"licence": "mit"', '"licence": "MIT"'))  # of the same size and date
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    snapshot._digest.cache_clear()  # as another process, or a later one, sees it
    assert not snapshot.is_fresh(here)


@pytest.mark.parametrize("damage", [cut, empty, binary, folder, wrong_keys, unreadable])
def test_one_broken_file_of_a_row_is_one_broken_row(board, tmp_path, damage):
    for pattern in ("mnist/tiny.mnist.json", "mnist/tiny.mnist.npz", "mnist/lenet5.mnist.report.npz"):
        here = shutil.copytree(board, tmp_path / Path(pattern).name)
        before = snapshot.load(here).set_index("model")["status"]
        damage(here / pattern)
        now = snapshot.load(here).set_index("model")
        if "report" not in pattern:
            assert now.loc["tiny.mnist", "status"] == table.BROKEN
            assert now.loc["tiny.mnist", "note"].count(". ") <= 2
        others = before.index.drop("tiny.mnist")
        assert now["status"][others].tolist() == before[others].tolist()


# Disks


class Disk:
    """A disk that is full, or read-only, from the n-th file on that is put into its place."""

    def __init__(self, monkeypatch, fails_from: int, error: int):
        self.writes, self.fails_from = 0, fails_from
        real = os.replace

        def checked(source, target):
            self.writes += 1
            if self.writes >= self.fails_from:
                raise OSError(error, os.strerror(error))
            return real(source, target)

        monkeypatch.setattr(os, "replace", checked)


@pytest.mark.parametrize("step", range(1, 14))
def test_a_disk_that_fails_at_any_write_loses_nothing(place, records, monkeypatch, step):
    """Two submissions through intake, claims, results and rows; the disk fails at one write after the other."""
    error = errno.ENOSPC if step % 2 else errno.EROFS
    hours = itertools.count(step=3600.0)  # a lease that nobody renews is over at the next look
    worker = Worker(place, records=records, measure=measure, _witness=Witness(lambda: next(hours)))
    with monkeypatch.context() as patch:
        Disk(patch, step, error)
        taken = []
        for n, user in enumerate(("bob", "ann")):
            with contextlib.suppress(StoreFailed):
                taken.append(send(place, user, seed=n))
        for _ in range(4):
            with contextlib.suppress(ZooError, OSError):
                worker.step()
    assert [s.id for s in LocalStore(place.root).all()] == [s.id for s in taken]
    assert not LocalStore(place.root).broken()
    snapshot.load(records)
    for _ in range(6):  # the disk is well again
        for s in place.all():
            if s.retriable:
                intake.retry(place, s.id, s.user, MANY)
        worker.step()
    for s in taken:
        assert (place.get(s.id).status, place.get(s.id).reason) == (FINISHED, "")
        assert isinstance(row(records, s), results.Result)
    assert snapshot.is_fresh(records) or not taken
    assert not [path for path in place.root.rglob(".*-*") if path.is_dir()]


@pytest.mark.parametrize("instead", ["nothing", "an empty folder", "another store"])
def test_a_store_that_is_taken_away_is_said_and_not_begun_again(place, records, instead):
    """As when its disk is unmounted: what would be sent meanwhile would be lost."""
    sent = send(place)
    work(place, records)
    place.root.rename(away := place.root.with_name("away"))
    if instead != "nothing":
        place.root.mkdir()
    if instead == "another store":
        send(LocalStore(place.root), "eve")
    before = sorted(place.root.rglob("*")) if place.root.exists() else None
    for action in (
        lambda: send(place, "ann", "other", seed=1),
        lambda: intake.queue(place),
        lambda: intake.withdraw(place, sent.id, "ann"),
        lambda: place.result(place.get(sent.id).network, "optdigits.json"),
        lambda: place.keep_results("a/b", {"c": b""}),
        place.tidy,
        lambda: place.usage,
        Worker(place, records=records, measure=measure).publish,
    ):
        with pytest.raises(StoreFailed, match="not where it was"):
            action()
    assert before == (sorted(place.root.rglob("*")) if place.root.exists() else None)
    shutil.rmtree(place.root, ignore_errors=True)
    away.rename(place.root)
    assert place.get(sent.id).status == FINISHED
    assert isinstance(row(records, sent), results.Result)
    assert send(place, "ann", "other", seed=1).open


def test_a_disk_that_is_full_for_the_records_is_said_on_the_receipt(place, records, monkeypatch):
    sent = send(place)
    worker = Worker(place, records=records, measure=measure)
    worker.see_through(worker.claim(), threading.Event())
    real = os.replace

    def full(source, target):
        if records in Path(target).parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises((StoreFailed, OSError)):
            worker.publish()
        assert "cannot be written now (No space left on device); it will be later" in place.get(sent.id).reason
    assert worker.publish()
    assert place.get(sent.id).reason == ""
    assert isinstance(row(records, sent), results.Result)


def test_a_worker_that_could_not_write_how_it_ended_takes_it_again_at_once(place, records, monkeypatch):
    """It holds the lease itself, so there is nobody to wait for."""
    sent = send(place)
    worker = Worker(place, records=records, measure=measure)
    claimed = worker.claim()
    with monkeypatch.context() as patch:
        Disk(patch, 1, errno.ENOSPC)
        with pytest.raises((StoreFailed, OSError)):
            worker.see_through(claimed, threading.Event())
    assert place.get(sent.id).status == RUNNING
    assert Worker(place, records=records).claim() is None
    assert worker.step()
    assert place.get(sent.id).status == FINISHED


def test_a_store_that_cannot_be_locked_says_so(tmp_path):
    for n, damage in enumerate((lambda root: root.write_text(""), lambda root: (root / ".lock").mkdir(parents=True))):
        store = LocalStore(tmp_path / f"store{n}")
        damage(store.root)
        with pytest.raises(StoreFailed):
            send(store)
        with pytest.raises(ZooError):
            store.change("20260101-00000000", lambda s: s)
    damage_free = LocalStore(tmp_path / "fine")
    (tmp_path / "fine").mkdir()
    (tmp_path / "fine" / "results").write_text("no folder")
    with pytest.raises(StoreFailed):
        damage_free.keep_results("a~b/c", {"x.json": b"{}"})


@pytest.mark.parametrize("what", ["send", "change", "publish"])
def test_a_lock_that_a_stopped_process_holds_is_not_waited_for_for_ever(place, records, monkeypatch, what):
    monkeypatch.setattr(locking, "LONGEST", 0.1)
    submission = send(place)
    tries = {
        "send": lambda: send(place, "bea"),
        "change": lambda: place.change(submission.id, lambda s: s),
        "publish": lambda: publish(place, records),
    }
    with (
        locking.lock(records if what == "publish" else place.root),
        pytest.raises(StoreFailed, match="process has held it"),
    ):
        tries[what]()
    tries[what]()


@pytest.mark.parametrize("end", ["withdrawn", "withdrawn while it waits again", "failed when it was measured again"])
def test_no_row_stays_of_what_is_over(place, records, end):
    """An earlier one of its name, or its own receipt, kept a row that was withdrawn."""
    first = send(place)
    work(place, records)
    if end == "withdrawn":
        second = send(place, seed=1)
        work(place, records)
        assert row(records, second).submission["id"] == second.id
        intake.withdraw(place, second.id, "bob")
    else:
        place.change(first.id, lambda s: lifecycle.noted(s, "damaged"))
        intake.retry(place, first.id, "bob")
        if end.startswith("failed"):
            place.change(first.id, lambda s: replace(s, status=FAILED, reason="It is too slow."))
        else:
            intake.withdraw(place, first.id, "bob")
    publish(place, records)
    there = [one.submission["id"] for one in results.scan(records)]
    assert all(place.get(one).status == FINISHED for one in there)
    assert not end.startswith("failed") or place.get(first.id).reason == "It is too slow."


def test_a_row_that_cannot_be_taken_away_stops_no_other(place, records, tmp_path):
    gone = send(place)
    worker = work(place, records)
    path = results.path_of(gone.row("optdigits"), "optdigits", records)
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    intake.withdraw(place, gone.id, "bob")
    good = send(place, "ann", "other", seed=1)
    for _ in range(2):  # it says so each time
        with pytest.raises(StoreFailed, match=gone.id):
            worker.step()
    assert isinstance(row(records, good), results.Result)
    assert (tmp_path / "elsewhere.json").exists()


def test_a_row_has_what_its_own_submission_said(place, records):
    """The same file, sent twice, had one place for its results."""
    one = send(place)
    result = replace(made_up("a.optdigits", [0.9]), revision="a" * 64)
    assert scoring.folder(one, result) != scoring.folder(replace(one, id="20261128-00000000"), result)
    work(place, records)
    found = next(iter(place.get(one.id).results.values()))
    record = place.root / "results" / found["folder"] / "optdigits.json"
    record.write_text(record.read_text().replace(one.id, "20261128-00000000"))
    shutil.rmtree(records)
    publish(place, records)
    assert not list(results.scan(records))
    assert "that of another submission" in place.get(one.id).reason


# Clocks


def test_a_clock_that_is_moved_neither_lengthens_nor_shortens_a_lease(place, monkeypatch):
    sent = send(place)
    ticks = [0.0]
    first = Worker(place, name="first", lease=10.0)
    other = Worker(place, name="other", lease=10.0, _witness=Witness(lambda: ticks[0]))
    assert first.claim().id == sent.id
    assert other.claim() is None
    for hours in (-100, 100):  # the time of day is nothing to a lease
        monkeypatch.setattr(stores.base.time, "time", lambda hours=hours: 1.8e9 + hours * 3600)
        assert other.claim() is None
    ticks[0] = 9.0
    place.change(sent.id, lambda s: lifecycle.renewed(s, "first", 10.0, "measuring", 0.5))
    assert other.claim() is None
    ticks[0] = 18.0
    assert other.claim() is None
    ticks[0] = 19.5
    assert other.claim().worker == "other"


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_is_moved_while_it_runs_is_not_the_senders_time(place, records, monkeypatch, hours):
    """Neither is a submission given up as too slow, nor does its address pay for a day of a worker."""
    moved, tell_time = [0.0], stores.now

    def moves(worker, submission, dataset, *rest):
        moved[0] += hours * 3600
        return measure(worker, submission, dataset, *rest)

    monkeypatch.setattr(stores, "now", lambda: tell_time() + moved[0])
    offer = intake.Offer("net", ("mnist", "ahdd"), "mit", "x")
    sent = intake.submit(place, "bob", offer, ("m.onnx", onnx_file(shape=(28, 28, 1))), address="192.0.2.1")
    Worker(place, records=records, measure=moves).step()
    done = place.get(sent.id)
    assert (done.status, done.reason, set(done.results)) == (FINISHED, "", {"mnist", "ahdd"})
    assert done.worked() <= 121.0  # a lease
    send(place, seed=1, address="192.0.2.1")


@pytest.mark.parametrize("moved", [-86400.0, -1.0, 0.0, 86400.0])
def test_a_spell_of_a_worker_is_as_long_as_its_worker_says(place, moved):
    """Within a lease of that; the time of day tells no more, whether it ends well, is put back or taken over."""
    ends = (
        lambda s, now: lifecycle.finished(s, "w", now),
        lambda s, now: lifecycle.put_back(s, "w", now, "x"),
        lambda s, now: lifecycle.claimed(s, "other", now, 10.0, silent=11.0),
        lambda s, now: lifecycle.withdrawn(s, now),
    )
    for n, end in enumerate(ends):
        s = lifecycle.claimed(send(place, f"u{n}", seed=n), "w", 2e9, lease=10.0)
        s = lifecycle.renewed(s, "w", 10.0, "measuring", 0.5, busy=50.0)
        assert s.worked(until=2e9 + 55 + max(moved, 0.0)) == (60.0 if moved > 0 else 55.0)
        after = end(s, 2e9 + 55 + moved)
        assert after.worked() == {-86400.0: 50.0, -1.0: 54.0, 0.0: 55.0, 86400.0: 60.0}[moved]
        assert (after.busy == 0.0) == (after.worker == "other")


def test_limits_and_order_survive_a_clock_that_is_set_back(place, tmp_path):
    limits = Limits(open_each=9, daily_each=2)
    later = [send_at(place, 2e9, n, limits) for n in range(2)]
    with pytest.raises(ZooError, match="within a day"):
        send_at(place, 2e9, 2, limits)
    now = send_at(place, 1e9, 3, limits)  # the two lie in the future now, and count for nothing
    assert [s.id for s in place.all()] == [*(s.id for s in later), now.id]  # in order of arrival all the same
    path = tmp_path / "usage.sqlite3"
    usage.charge(path, "192.0.2.1", 1, lambda: 2e9)
    usage.charge(path, "192.0.2.1", 1, lambda: 1e9)
    with pytest.raises(ZooError, match="Your address"):
        usage.charge(path, "192.0.2.1", 1, lambda: 1e9 + 5)


def test_requests_at_the_same_time_are_all_counted(tmp_path):
    """The time of a request is taken under the lock, so none that came first seems to come from the future."""
    path, tries = tmp_path / "usage.sqlite3", 30
    allowed = []

    def lane():
        for _ in range(tries):
            with contextlib.suppress(ZooError):
                allowed.append(usage.charge(path, "192.0.2.1", 10))

    lanes = [threading.Thread(target=lane) for _ in range(3)]
    for one in lanes:
        one.start()
    for one in lanes:
        one.join()
    assert len(allowed) == 10


def send_at(place, now, seed, limits):
    offer = intake.Offer("net", ("optdigits",), "mit", "x")
    return intake.submit(place, "bob", offer, ("m.onnx", onnx_file(seed=seed)), limits=limits, clock=lambda: now)


# Limits


def test_retries_count_and_addresses_are_counted_across_users_and_processes(place, records, monkeypatch):
    monkeypatch.setenv("ZOO_SENDS_PER_DAY", "6")
    limits = Limits(daily_each=3)
    sent = send(place, name="nodata", limits=limits, address="2001:db8::1")
    for _ in range(2):
        work(place, records)
        intake.retry(place, sent.id, "bob", limits, address="2001:db8::2")
    work(place, records)
    with pytest.raises(ZooError, match="retries included"):
        intake.retry(place, sent.id, "bob", limits)
    for n in range(3):  # users may be made up; the network that they come from may not
        send(LocalStore(place.root), f"user{n}", seed=n, limits=limits, address=f"2001:db8::{n}:5")
    with pytest.raises(ZooError, match="Your address has sent 6 requests"):
        send(LocalStore(place.root), "another", seed=9, limits=limits, address="2001:db8:0:0:ffff::")
    send(place, "elsewhere", seed=9, limits=limits, address="198.51.100.7")


@pytest.mark.parametrize("now", [1000.0, 1000.04, 1000.06, 1000.96])
def test_what_was_just_sent_counts_at_once(place, now):
    sent = send_at(place, now, 0, MANY)
    assert sent.starts(now - 1, now) == 1


@pytest.mark.parametrize("damage", [empty, binary, cut, folder, unreadable])
def test_a_damaged_count_starts_again(tmp_path, damage):
    path = tmp_path / "usage.sqlite3"
    usage.charge(path, "192.0.2.1", 9, lambda: 1000.0)
    damage(path)
    with contextlib.suppress(StoreFailed):
        usage.charge(path, "192.0.2.1", 9, lambda: 1001.0)
    assert damage is unreadable or path.is_file()


# Workers


def test_a_worker_that_died_on_this_machine_is_followed_at_once(place, tmp_path):
    """One that lives keeps its submission, and one elsewhere is watched for the length of its lease."""
    first, second = (Worker(place, cache=tmp_path / "inputs") for _ in range(2))
    sent = send(place)
    with first.presence.of(first.name):
        assert first.claim().id == sent.id
        assert second.claim() is None
    assert second.claim() is None  # it ended in order: nothing says that it died
    program = (
        "import os, sys; from pathlib import Path; from leaderboard.submissions.presence import Presence\n"
        "with Presence(Path(sys.argv[1])).of(sys.argv[2]): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(first.presence.folder), first.name], check=False)
    taken = second.claim()
    assert (taken.worker, "taken over by" in taken.history[-1]["note"]) == (second.name, True)
    assert not second.presence.is_dead("../inputs")


def test_a_step_that_fails_is_tried_again_ever_more_slowly():
    calls, stop = [], threading.Event()
    faults = [OSError(errno.ENOSPC, "full"), KeyError("ours"), StoreFailed("down"), MemoryError()]

    def step():
        calls.append(time.monotonic())
        if faults:
            raise faults.pop(0)
        stop.set()
        return False

    supervision.keep_doing(step, stop, 0.005, longest=0.03)
    pauses = [after - before for before, after in itertools.pairwise(calls)]
    assert len(calls) == 5
    assert pauses[0] >= 0.01
    assert pauses[2] >= 0.03


def test_a_worker_that_dies_is_started_again_and_one_that_cannot_work_is_not(tmp_path):
    code = (
        "import os, sys; path = sys.argv[1]; n = os.path.getsize(path) if os.path.exists(path) else 0\n"
        "open(path, 'a').write('x'); os.kill(os.getpid(), 9) if n < 2 else sys.exit(int(sys.argv[2]))"
    )
    for status in (0, supervision.FINAL):
        path = tmp_path / str(status)
        command = [sys.executable, "-S", "-c", code, str(path), str(status)]
        assert supervision.keep_running(command, threading.Event(), first=0.01) == status
        assert path.stat().st_size == 3
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    supervision.keep_running([sys.executable, "-S", "-c", "import time; time.sleep(600)"], stop)
    assert supervision.keep_running([str(tmp_path / "no program")], stop) == 1


def test_results_that_were_measured_survive_workers_that_die_over_the_rest(place, records):
    sent = send(place)
    for attempt in range(lifecycle.MOST_ATTEMPTS):
        place.change(sent.id, lambda s, n=attempt: lifecycle.claimed(s, f"w{n}", 0.0, 1.0, silent=2.0))
    found = {"model": sent.row("optdigits"), "accuracy": 0.9, "revision": "r", "folder": "f", "date": "d"}
    place.change(sent.id, lambda s: lifecycle.measured(s, "w2", "optdigits", found))
    taken = place.change(sent.id, lambda s: lifecycle.claimed(s, "w3", 0.0, 1.0, silent=2.0))
    assert taken.status == RUNNING  # not given up: only its end is to be written
    assert replace(taken, results={}).complete is False
    assert taken.status != PENDING
