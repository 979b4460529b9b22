"""Submissions from receipt to row: limits, duplicates, stores that fail, workers that die, and a fuzzer."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from networks import METADATA, archive, keras_file, members, onnx_file, perceptron
from submitting import MANY, finish_all, send

from leaderboard import results, snapshot
from leaderboard.submissions import checks, holdings, intake, lifecycle, measuring, publishing, store, worker
from leaderboard.submissions.intake import Limits
from leaderboard.submissions.lifecycle import FAILED, FINISHED, PENDING, RUNNING, WITHDRAWN, NotNow
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.store import LocalStore, NoSuchSubmission, StoreFailed
from leaderboard.submissions.worker import Worker
from leaderboard.tabs import receipts
from zoo.errors import ZooError


@pytest.fixture
def local(tmp_path):
    return LocalStore(tmp_path / "store")


# Intake


def test_a_receipt_comes_at_once_and_can_be_read(local):
    started = time.process_time()
    sent = send(local)
    assert time.process_time() - started < 1  # of the processor: a busy machine is not the fault of intake
    assert lifecycle.ID.fullmatch(sent.id)
    assert (sent.status, sent.track, sent.parameters) == (PENDING, "weights", 640)
    assert local.get(sent.id) == sent
    assert local.content(sent) == checks.check(onnx_file(), "m.onnx", ("optdigits",)).content
    assert intake.as_json(sent, intake.queue(local))["ahead"] == 0
    with pytest.raises(NoSuchSubmission):
        local.get("20200101-00000000")
    with pytest.raises(NoSuchSubmission):
        local.get("../../etc/passwd")


def test_ten_megabytes_are_checked_in_time():
    size = 1580  # 10 MB of float32 weights
    data = onnx_file(shape=(40, 40, 1), classes=size)
    assert len(data) > 10e6
    started = time.process_time()
    checks.check(data, "m.onnx", ("optdigits",))
    assert time.process_time() - started < 1  # of the processor; 0.2 s where nothing else runs


def test_the_same_content_gets_the_same_receipt(local):
    first = send(local)
    assert send(local) == first
    assert send(local, name="other").id != first.id  # whoever asks for another name gets it
    assert send(local, seed=1).id != first.id
    assert send(local, datasets=("mnist",)).id != first.id  # other datasets: refused, and a receipt of its own
    otherwise = archive(dict(reversed(members(metadata={**METADATA, "date_saved": "later"}).items())))
    offer = Offer("k2", ("optdigits",), "mit", "x")
    a, b = (intake.submit(local, "bob", offer, ("m.keras", data), limits=MANY) for data in (keras_file(), otherwise))
    assert a.id == b.id  # packed otherwise, the same network


def test_a_refused_one_has_a_receipt_too_and_its_file_is_not_kept(local):
    offer = Offer("net", ("optdigits",), "mine", "")
    sent = intake.submit(local, "bob", offer, ("m.keras", keras_file(perceptron((28, 28, 1)))))
    assert sent.status == FAILED
    assert [p["code"] for p in sent.problems] == ["licence", "declaration", "input-shape", "weights"]
    assert local.get(sent.id).reason.startswith("The licence is 'mine'.")
    assert not list(local.root.glob("requests/files/*"))
    with pytest.raises(NotNow, match="send it again"):
        intake.retry(local, sent.id, "bob")


def test_limits_hold_for_one_and_for_all(local):
    limits = Limits(open_each=2, daily_each=3, open_all=3)
    for seed in range(2):
        send(local, seed=seed, limits=limits)
    with pytest.raises(ZooError, match="bob has 2 submissions waiting"):
        send(local, seed=2, limits=limits)
    send(local, "ann", seed=3, limits=limits)
    with pytest.raises(ZooError, match="The queue is full"):
        send(local, "eve", seed=4, limits=limits)
    finish_all(local)
    send(local, seed=5, limits=limits)
    finish_all(local)
    with pytest.raises(ZooError, match="sent 3 submissions within a day"):
        send(local, seed=6, limits=limits)


def test_nobody_uses_up_the_limits_of_a_name_that_they_only_claim(local):
    """Where nobody signs in, a user is a name and a secret."""
    limits = Limits(open_each=2, daily_each=2)
    for seed in range(4):
        send(local, name=f"squatter{seed}", seed=seed, limits=limits, secret=intake.new_secret())
    own = intake.new_secret()
    for seed in range(2):
        send(local, name=f"own{seed}", seed=10 + seed, limits=limits, secret=own)
    with pytest.raises(ZooError, match="bob has 2 submissions waiting"):
        send(local, name="own2", seed=12, limits=limits, secret=own)


def test_only_the_sender_withdraws_and_retries(local):
    sent = send(local, name="unfit")
    with pytest.raises(ZooError, match="only its sender"):
        intake.withdraw(local, sent.id, "ann")
    finish_all(local)
    assert (local.get(sent.id).status, local.get(sent.id).reason) == (FAILED, "It cannot be measured.")
    with pytest.raises(ZooError, match="only its sender"):
        intake.retry(local, sent.id, "ann")
    assert intake.retry(local, sent.id, "bob").status == PENDING
    assert intake.withdraw(local, sent.id, "bob").status == WITHDRAWN
    with pytest.raises(NotNow):
        intake.withdraw(local, sent.id, "bob")
    assert [step["status"] for step in local.get(sent.id).history] == [PENDING, RUNNING, FAILED, PENDING, WITHDRAWN]
    assert send(local, name="unfit").id != sent.id  # what was withdrawn may be sent again


def test_the_queue_tells_how_long_it_takes(local):
    for seed in range(3):
        send(local, seed=seed)
    assert [place.wait for place in intake.queue(local)] == [None] * 3  # nobody is there to do it
    assert "No worker is running" in receipts.receipt(local.all()[0], intake.queue(local)[0])
    local.announce()
    places = intake.queue(local)
    assert [place.ahead for place in places] == [0, 1, 2]
    waits = [place.wait for place in places]
    assert waits == sorted(waits)
    assert waits[0] > 0


def test_a_short_one_does_not_wait_for_long_ones_of_others(local, monkeypatch):
    hours = {"long0": 12 * 3600.0, "long1": 12 * 3600.0, "short": 15.0}
    monkeypatch.setattr(intake, "seconds_of", lambda s: hours[s.name])
    for seed, name in enumerate(hours):
        send(local, name=name, seed=seed)
    assert [place.submission.name for place in intake.queue(local)] == ["short", "long0", "long1"]
    assert Worker(local).claim().name == "short"
    long0, long1, short = local.all()
    later = replace(short, created=long0.created + 13 * 3600)
    monkeypatch.setattr(intake.stores, "now", lambda: later.created)
    assert [s.name for s in intake.in_order([long0, long1, later])] == ["long0", "long1", "short"]


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ann", "b__cc"), ("ann__b", "cc")), (("a-b", "net"), ("a_b", "net")), (("a.b", "net"), ("a-b", "net")),
     (("a.", "net"), ("a", "net"))],
)  # fmt: skip
def test_rows_of_two_users_never_share_a_name(local, one, other):
    rows = {send(local, user, name, seed=n).row("optdigits") for n, (user, name) in enumerate((one, other))}
    assert len(rows) == 2


def test_the_same_content_from_another_user_is_their_own_and_names_the_first(local):
    first, second = send(local, "squatter"), send(local, "author")
    assert (second.user, second.same_as, first.same_as) == ("author", first.id, "")
    assert local.content(second) == local.content(first)
    finish_all(local)
    assert [s.status for s in local.all()] == [FINISHED, FINISHED]
    intake.withdraw(local, first.id, "squatter")
    assert send(local, "third", name="later").same_as == second.id


def test_who_is_not_signed_in_needs_the_secret(local):
    secret = intake.new_secret()
    sent = send(local, secret=secret)
    assert secret not in "".join(path.read_text(errors="replace") for path in local.root.rglob("*.json"))
    assert "secret" not in intake.as_json(sent)
    for user, wrong in (("bob", ""), ("", ""), ("bob", "x"), ("ann", "")):
        with pytest.raises(ZooError, match="secret of its receipt"):
            intake.withdraw(local, sent.id, user, wrong)
    with pytest.raises(ZooError, match="is taken by"):  # nor is a row replaced by who only says they are bob
        send(local, seed=1, secret=intake.new_secret())
    assert send(local, seed=1, secret=secret).status == PENDING
    with pytest.raises(ZooError, match="is taken by"):  # nor is its receipt anybody's who sends the same file
        send(local, "Bob", secret=intake.new_secret())
    assert send(local, "Bob", secret=secret).id == sent.id
    assert intake.withdraw(local, sent.id, secret=secret).status == WITHDRAWN
    signed_in = send(local, "ann", seed=2)
    with pytest.raises(ZooError, match="signed in as ann"):
        intake.withdraw(local, signed_in.id, secret=secret)
    assert intake.withdraw(local, signed_in.id, "Ann").status == WITHDRAWN


def test_a_name_belongs_to_its_first_sender_until_it_is_withdrawn(local):
    """Where nobody signs in, others may call themselves bob: by another secret, before, between and after retries."""
    mine, theirs = intake.new_secret(), intake.new_secret()
    sent = send(local, name="unfit", secret=mine)
    finish_all(local)
    assert local.get(sent.id).status == FAILED
    with pytest.raises(ZooError, match="is taken by"):
        send(local, name="unfit", seed=1, secret=theirs)
    assert intake.retry(local, sent.id, secret=mine).status == PENDING
    finish_all(local)
    assert intake.withdraw(local, sent.id, secret=mine).status == WITHDRAWN
    other = send(local, name="unfit", seed=1, secret=theirs)
    finish_all(local)
    local.change(sent.id, lambda s: replace(s, status=FAILED))  # as an earlier version left it
    with pytest.raises(ZooError, match="is taken by"):
        intake.retry(local, sent.id, secret=mine)
    with pytest.raises(ZooError, match="is taken by"):
        intake.retry(local, other.id, secret=theirs)


def test_a_row_is_never_that_of_another_sender_of_the_same_name(local):
    sent = []
    for n in range(2):
        sent.append(send(local, seed=n, secret=f"secret {n}"))
        finish_all(local)
        local.change(sent[n].id, lambda s: replace(s, status=WITHDRAWN))
    for one in sent:
        local.change(one.id, lambda s: replace(s, status=FINISHED))  # as an earlier version left it
    (found,) = holdings.rows(local.all()).values()
    assert found[0].id == sent[0].id


# Workers


def test_a_lease_that_runs_out_is_taken_over_and_counts_attempts(local):
    sent = send(local)
    for attempt in range(lifecycle.MOST_ATTEMPTS):
        taken = local.change(sent.id, lambda s, a=attempt: lifecycle.claimed(s, f"w{a}", 0.0, 0.5, silent=0.6))
        assert taken.attempts == attempt + 1
    with pytest.raises(lifecycle.Lost):
        local.change(sent.id, lambda s: lifecycle.finished(s, "w0", 1003.0))
    given_up = local.change(sent.id, lambda s: lifecycle.claimed(s, "w9", 0.0, 0.5, silent=0.6))
    assert given_up.status == FAILED
    assert "3 workers died" in given_up.reason


def test_a_worker_that_lost_its_lease_writes_over_nothing(local):
    """One that was stopped for longer than its lease wakes up after another has finished."""
    sent = send(local)
    local.change(sent.id, lambda s: lifecycle.claimed(s, "w0", 0.0, 0.5))
    local.change(sent.id, lambda s: lifecycle.claimed(s, "w1", 0.0, 0.5, silent=0.6))
    lifecycle.check_held(local.get(sent.id), "w1")
    for over in (lambda s: s, lambda s: lifecycle.finished(s, "w1", 1.0)):
        local.change(sent.id, over)
        with pytest.raises(lifecycle.Lost):
            lifecycle.check_held(local.get(sent.id), "w0")


def test_a_claim_has_one_winner(local):
    sent = send(local)
    now = store.now()

    def take(n):
        try:
            return local.change(sent.id, lambda s: lifecycle.claimed(s, f"w{n}", now, 60)).worker
        except NotNow:
            return None

    with ThreadPoolExecutor(16) as pool:
        winners = [name for name in pool.map(take, range(32)) if name]
    assert winners == [local.get(sent.id).worker]


def test_a_withdrawn_one_is_let_go_while_it_is_measured(local):
    sent = send(local)
    begun = threading.Event()

    def slow(worker, submission, dataset, tell, cancelled):
        begun.set()
        deadline = time.monotonic() + 240
        while not cancelled() and time.monotonic() < deadline:
            time.sleep(0.01)
        raise worker_cancelled

    worker_cancelled = worker.Cancelled()
    one = Worker(local, measure=slow, lease=0.3)
    thread = threading.Thread(target=lambda: one.see_through(one.claim(), threading.Event()))
    thread.start()
    assert begun.wait(240)
    intake.withdraw(local, sent.id, "bob")
    thread.join(60)
    assert not thread.is_alive()
    assert local.get(sent.id).status == WITHDRAWN


def test_a_worker_that_is_told_to_stop_puts_its_work_back(local):
    sent, stop = send(local), threading.Event()

    def stopped(*_):
        raise worker.Cancelled

    one = Worker(local, measure=stopped)
    one.see_through(one.claim(), stop)
    assert (local.get(sent.id).status, local.get(sent.id).attempts) == (PENDING, 0)


def test_a_mistake_of_the_worker_loses_nothing(local):
    def broken(*_):
        raise KeyError("x")

    sent = send(local)
    one = Worker(local, measure=broken)
    one.see_through(one.claim(), threading.Event())
    assert "had an internal error (KeyError)" in local.get(sent.id).reason
    assert intake.retry(local, sent.id, "bob").status == PENDING


def test_a_full_disk_is_said_and_nothing_is_half_written(local, monkeypatch):
    send(local)
    before = sorted(path for path in local.root.rglob("*") if path.is_file())
    full = OSError(28, "No space left on device")

    def no_space(handle):
        raise full

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StoreFailed, match="No space left on device"):
        send(local, seed=1)
    with pytest.raises(StoreFailed):
        local.change(local.all()[0].id, lambda s: lifecycle.claimed(s, "w", 0.0, 9))
    monkeypatch.undo()
    assert sorted(path for path in local.root.rglob("*") if path.is_file()) == before
    assert local.all()[0].status == PENDING
    assert send(local, seed=1).status == PENDING


# From end to end


def test_a_submission_becomes_a_verified_row_and_leaves_with_its_sender(local, tmp_path):
    records, cache = tmp_path / "records", tmp_path / "cache"
    sent = send(local, paper="https://example.org/paper")
    one = Worker(local, records=records, cache=cache)
    assert one.step()
    done = local.get(sent.id)
    assert done.status == FINISHED, done.reason
    row = results.read_record(results.path_of("bob~net.optdigits", "optdigits", records))
    assert row.mean("accuracy") == done.results["optdigits"]["accuracy"]
    assert row.claimed == {"accuracy": 0.9, "source": "its sender, bob"}
    assert (row.submission["id"], row.licence, row.samples) == (sent.id, "mit", 360)
    assert row.metric_versions.keys() == row.seeds[0].metrics.keys()
    board = snapshot.load(records)
    (shown,) = board[board["status"] == "verified"].to_dict("records")
    assert (shown["model"], shown["submitted_by"], shown["claimed"]) == ("bob~net.optdigits", "bob", 0.9)
    assert measuring.measured_again(one, done, "optdigits").agrees
    again = send(local, name="net", seed=7)  # a better one of the same name
    one.step()
    row = results.read_record(results.path_of("bob~net.optdigits", "optdigits", records))
    assert row.submission["id"] == again.id
    intake.withdraw(local, again.id, "bob")
    intake.withdraw(local, sent.id, "bob")
    assert not one.step() or not one.step()
    path = results.path_of("bob~net.optdigits", "optdigits", records)
    assert not path.exists()
    send(local, name="net", seed=8)
    one.step()
    read = [entry["accuracy"] for entry in results.read_record(path).history]  # also what was withdrawn
    assert read == [done.results["optdigits"]["accuracy"], row.mean("accuracy")]
    other = tmp_path / "another machine"  # or the same one, after its disk is new
    assert publishing.publish(local, other)
    assert results.read_record(results.path_of("bob~net.optdigits", "optdigits", other)).readings == 3
    assert snapshot.is_current(records)


def test_a_row_of_the_zoo_is_never_overwritten(local, tmp_path):
    from records import made_up

    records = tmp_path / "records"
    results.write(made_up("bob~net.optdigits", [0.9]), folder=records)
    sent = send(local)
    Worker(local, records=records, cache=tmp_path / "cache").step()
    assert local.get(sent.id).status == FINISHED
    assert results.read_record(results.path_of("bob~net.optdigits", "optdigits", records)).submission is None


def test_the_store_is_chosen_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_SUBMISSIONS", str(tmp_path))
    assert store.open_store().root == tmp_path
    monkeypatch.setenv("ZOO_SUBMISSIONS", "hf://me")
    assert store.open_store().requests == "me/requests"
    assert isinstance(Path(store.open_store("x").root), Path)
