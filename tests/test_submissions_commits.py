"""The Hub takes some 128 commits of a repo within an hour: visitors and workers together make fewer."""

import contextlib
import itertools
import threading
import time
from dataclasses import replace

import pytest
from submitting import QUICK, finish_all, quick, send

from leaderboard.submissions import intake, worker
from leaderboard.submissions.lifecycle import FINISHED, PENDING, RUNNING, WITHDRAWN
from leaderboard.submissions.store import HubStore, LocalStore, StoreFailed, on_hub
from leaderboard.submissions.store.pace import CLAIMS, HOUR, Pace
from leaderboard.submissions.worker import Worker
from zoo import gate
from zoo.gate.limits import TooMany
from zoo.gate.traffic import Spent

pytestmark = pytest.mark.usefixtures("checks_in_this_process")


def commits(hub) -> int:
    """Return how many commits the requests got."""
    return len([one for one in hub.log if one.method == "POST" and "/requests/commit/" in one.path])


@pytest.mark.parametrize(
    "write",
    [
        lambda place, n, address: send(place, f"u{n}", seed=n, address=address),
        lambda place, n, address: send(place, f"u{n}", datasets=("none",), seed=n, address=address),  # it is rejected
        lambda place, n, address: intake.withdraw(place, send(place, f"u{n}", seed=n, address=address).id, f"u{n}"),
    ],
    ids=["accepted", "rejected", "withdrawn"],
)
def test_few_addresses_leave_commits_of_an_hour_to_others_and_to_workers(remote, hub, monkeypatch, write):
    monkeypatch.setattr(on_hub, "COMMITS", Spent("changes of submissions", 12, HOUR))
    place, seeds, done = HubStore("me", visitors=True), itertools.count(), []
    for n in range(3):
        before = len(on_hub.COMMITS._used)
        with gate.entered(gate.Caller(f"192.0.2.{n}")), contextlib.suppress(TooMany):
            for seed in itertools.islice(seeds, 8):
                write(place, seed, f"192.0.2.{n}")
        done.append(len(on_hub.COMMITS._used) - before)
    assert done == [3, 2, 1]
    assert commits(hub) == sum(done)
    assert send(remote, "worker", seed=1000)


def test_what_two_workers_have_begun_can_be_ended_within_what_the_hub_takes(remote):
    beats = HOUR / min(Worker(remote).lease / 3, remote.progress_every)
    datasets = 3  # that a network has labels for, at most
    assert CLAIMS - 1 + 2 * (1 + beats + datasets) <= 128
    assert on_hub.COMMITS.in_all < CLAIMS


@pytest.mark.parametrize("also", [WITHDRAWN, "sent elsewhere", None])
def test_a_worker_begins_nothing_that_the_hub_has_no_commits_for(remote, hub, monkeypatch, also):
    monkeypatch.setattr(on_hub, "CLAIMS", 9)
    now = [0.0]
    remote._pace = Pace(lambda: now[0])
    remote.all()
    for n in range(6):
        send(HubStore("me", QUICK) if also == "sent elsewhere" else remote, f"u{n}", seed=n)
    if also == WITHDRAWN:
        intake.withdraw(remote, remote.all()[-1].id, "u5")
    remote._latest.outdate()
    finish_all(remote, name="w", lease=600.0)
    ended = [one.status for one in HubStore("me", QUICK).all()].count(FINISHED)
    assert ended == (1 if also == WITHDRAWN else 2)  # each is claimed and finished: two commits
    assert commits(hub) <= 9 + 1
    now[0] += HOUR + 1
    finish_all(remote, name="w", lease=600.0)
    assert [one.status for one in HubStore("me", QUICK).all()].count(FINISHED) > ended


def test_changes_count_for_an_hour(remote):
    now = [0.0]
    pace = Pace(lambda: now[0])
    sent = [send(remote, f"u{n}", seed=n) for n in range(3)]
    assert pace.changes() == 0
    for count in (1, 2, 3):
        pace.look(sent[:count])
        now[0] += HOUR / 2
    assert pace.changes() == 1  # the third; the first was there at the first look, the second an hour ago
    now[0] += HOUR
    pace.look(sent)
    assert pace.changes() == 0


@pytest.mark.parametrize("version", [2**53, 500, CLAIMS])
def test_no_one_receipt_keeps_workers_from_what_waits(remote, version):
    sent = [send(remote, f"u{n}", seed=n) for n in range(2)]
    for look in ([replace(sent[0], version=version), sent[1]], sent, [replace(sent[0], version=version), sent[1]]):
        remote._pace.look(look)
    assert remote.takes_more()
    remote._pace.look([replace(sent[0], version=0), replace(sent[1], version=1)])  # one back, and one change
    assert remote._pace.changes() < CLAIMS / 2


def failing(monkeypatch, place, times):
    """Have a store refuse some changes; return when each was asked for."""
    asked, change = [], place.change

    def refused(*of):
        asked.append(time.monotonic())
        if len(asked) <= times:
            raise StoreFailed("The Hub takes no more commits.")
        return change(*of)

    monkeypatch.setattr(place, "change", refused)
    return asked


def test_a_worker_that_cannot_renew_its_lease_is_not_gone(tmp_path, monkeypatch):
    """Where the store refuses changes, it refuses those of others, too: they wait for another lease."""
    place, now = LocalStore(tmp_path), [0.0]
    send(place)
    assert Worker(place, name="busy", lease=600.0).claim()
    idle = Worker(place, name="idle", lease=600.0)
    idle._witness = worker.Witness(lambda: now[0])
    assert idle.claim() is None
    now[0] = 601.0
    failing(monkeypatch, place, 1)
    with pytest.raises(StoreFailed):
        idle.claim()
    assert idle.claim() is None  # the busy one has time to renew it
    assert place.all()[0].worker == "busy"
    now[0] += 601.0
    assert idle.claim().worker == "idle"


def test_a_renewal_that_failed_is_soon_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "SOON", 0.05)
    place = LocalStore(tmp_path)
    send(place)
    one = Worker(place, name="w", lease=6.0)
    taken = one.claim()
    asked = failing(monkeypatch, place, 2)
    with one._heartbeat(taken.id):
        deadline = time.monotonic() + 30
        while len(asked) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert asked[2] - asked[0] < 1.5  # not another third of the lease, which takes 2 s
    assert place.all()[0].beats == 1


def test_what_is_measured_last_is_written_with_the_end(tmp_path):
    place = LocalStore(tmp_path)
    first = send(place)
    assert first.status == PENDING
    one = Worker(place, name="w", measure=quick)
    taken = one.claim()
    assert taken.status == RUNNING
    one.see_through(taken, threading.Event())
    ended = place.get(first.id)
    assert (ended.status, list(ended.results)) == (FINISHED, ["optdigits"])
    assert ended.version <= taken.version + 2  # with at most one renewal
