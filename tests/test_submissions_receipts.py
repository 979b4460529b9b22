"""One receipt of a stranger, of an earlier version or of a damaged store never stops the others."""

import json

import pytest
from submitting import send
from test_nothing_lost import work

from leaderboard.submissions import checks, intake
from leaderboard.submissions.lifecycle import FAILED, FINISHED
from leaderboard.submissions.sandbox import Unfit
from leaderboard.submissions.store import LocalStore
from leaderboard.submissions.worker import Worker
from leaderboard.tabs import receipts

ARCHITECTURE = {"track": "architecture", "kind": "json"}


def edited(**changes):
    """Return how a receipt is damaged: these fields are set."""
    return lambda values: values.update(changes)


def outcome(**changes):
    """Return how a receipt is damaged: these fields of its result are set, or dropped where they are None."""

    def damage(values):
        found = values["results"]["optdigits"]
        found.update(changes)
        for key in [key for key, value in found.items() if value is None]:
            del found[key]

    return damage


def last_event(at):
    return lambda values: values["history"][-1].update(at=at)


DAMAGES = {
    "no folder, as earlier schemas allow": outcome(folder=None),
    "no revision": outcome(revision=None),
    "no date": outcome(date=None),
    "a model and its accuracy alone": outcome(folder=None, revision=None, date=None, parameters=None),
    "a folder with NUL": outcome(folder="a\0b"),
    "a folder of 5,000 letters": outcome(folder="a" * 5000),
    "a folder above": outcome(folder="../../requests"),
    "a model above": outcome(model="../../../x"),
    "an unknown dataset, waiting": edited(**ARCHITECTURE, datasets=["retired"], status="PENDING", results={}),
    "an unknown dataset, withdrawn": edited(**ARCHITECTURE, datasets=["retired"], status="WITHDRAWN"),
    "multiply-adds beyond any number": edited(**ARCHITECTURE, multiply_adds=10**400),
    "an event after the end of time": last_event(1e300),
    "an event before its beginning": last_event(-1e300),
    "an event at no time": last_event(float("nan")),
    "created at no time": edited(created=float("nan")),
    "a progress that is no number": edited(status="RUNNING", progress=float("nan"), results={}),
    "a lone surrogate": edited(reason="\ud800"),
}


@pytest.fixture(autouse=True)
def _checks_in_this_process(monkeypatch):
    monkeypatch.setattr(intake.guard, "check", checks.check)


@pytest.fixture(scope="module")
def two_rows(tmp_path_factory):
    """A store in which bob's and carol's networks are measured, and not on any board."""
    folder = tmp_path_factory.mktemp("two")
    place = LocalStore(folder / "store")
    for user in ("bob", "carol"):
        send(place, user, "net", seed=len(user))
    work(place, folder / "records")
    return place.root


def copied(root, tmp_path):
    import shutil

    shutil.copytree(root, tmp_path / "store")
    return LocalStore(tmp_path / "store")


def goes_on(place, records) -> None:
    """What must work whatever is wrong with bob's receipt: sending, measuring, publishing, looking."""
    new = send(place, "dan", "other", seed=9)
    work(place, records)
    assert place.get(new.id).status == FINISHED
    rows = {path.stem for path in records.glob("optdigits/*.json")}
    assert {"carol~net.optdigits", "dan~other.optdigits"} <= rows
    ended = [s for s in place.all() if not s.open]
    assert receipts.queue(intake.queue(place), ended, place.broken())
    json.dumps([intake.as_json(s) for s in place.all()]).encode()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_one_receipt_stops_nobody(two_rows, tmp_path, damage):
    place = copied(two_rows, tmp_path)
    (path,) = place.root.glob("requests/bob/*.json")
    values = json.loads(path.read_text())
    damage(values)
    path.write_text(json.dumps(values))
    goes_on(place, tmp_path / "records")


def test_a_row_that_meets_a_mistake_of_ours_says_so_alone(two_rows, tmp_path, monkeypatch):
    from leaderboard.submissions import publishing

    def mistaken(store, dataset, model, *rest, right=publishing._stored):
        return {}["nothing"] if model.startswith("bob") else right(store, dataset, model, *rest)

    monkeypatch.setattr(publishing, "_stored", mistaken)
    place = copied(two_rows, tmp_path)
    goes_on(place, tmp_path / "records")
    (bob,) = [s for s in place.all() if s.user == "bob"]
    assert "internal error (KeyError). It can be tried again." in bob.reason
    assert bob.retriable


@pytest.mark.parametrize("reason", ["\ud800 bad", "\x1b[31m\0 \u202e evil", "x" * 100_000, "two\nlines\u2028"])
def test_a_reason_is_plain_text_wherever_it_comes_from(tmp_path, reason):
    def unfit(*_):
        raise Unfit(reason)

    place = LocalStore(tmp_path / "store")
    sent = send(place)
    assert Worker(place, records=tmp_path / "records", measure=unfit).step()
    found = LocalStore(tmp_path / "store").get(sent.id)
    assert found.status == FAILED
    assert found.reason.isprintable()
    assert 0 < len(found.reason) <= 8000
    assert found.history[-1]["note"].isprintable()
