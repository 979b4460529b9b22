"""One receipt of a stranger, of an earlier version or of a damaged store never stops the others."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from submitting import finish_all, send
from test_nothing_lost import cut, empty, work

from leaderboard import results
from leaderboard.submissions import calls, checks, holdings, intake, lifecycle, supervision
from leaderboard.submissions.lifecycle import FAILED, FINISHED, PENDING, RUNNING, WITHDRAWN, Submission
from leaderboard.submissions.presence import Presence, Witness
from leaderboard.submissions.sandbox import Unfit
from leaderboard.submissions.store import Damaged, LocalStore, StoreFailed, local
from leaderboard.submissions.worker import Worker
from leaderboard.tabs import receipts
from zoo.errors import ZooError

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


ELSEWHERE = ("../../../outside/new", "/outside", "..", "a/b", "a\0b", ".hidden", "x" * 300)


def names(text, key, values):
    """Put a text where a receipt has a name or a path."""
    if key == "results":
        values[key] = {text: values[key]["optdigits"]}
        values["datasets"] = ["optdigits"]
    else:
        values[key] = [text] if key == "datasets" else {text: 0.5} if key == "claimed" else text


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


@pytest.mark.parametrize("status", [FINISHED, WITHDRAWN])
def test_a_receipt_names_no_file_elsewhere(two_rows, tmp_path, status):
    """Its results are there under the name that it gives, so that only its schema, and the path of a row, stop it."""
    place = copied(two_rows, tmp_path)
    (path,) = place.root.glob("requests/bob/*.json")
    there = next((place.root / "results").glob("bob*/*/optdigits.json"))
    values, name = json.loads(path.read_text()), "../../../elsewhere/new"
    names(name, "results", values)
    path.write_text(json.dumps(values | {"status": status}))
    record = json.loads(there.read_text()) | {"dataset": name}
    for kept, content in ((".json", json.dumps(record).encode()), (".npz", there.with_suffix(".npz").read_bytes())):
        (there.parent / f"{name}{kept}").parent.mkdir(parents=True, exist_ok=True)
        (there.parent / f"{name}{kept}").write_bytes(content)
    records = tmp_path / "deep" / "records"
    mine = records / f"{name}/bob~net.optdigits.json"
    if status == WITHDRAWN:  # its row would be removed
        (records / name).mkdir(parents=True)
        mine.write_text(json.dumps(record))
    goes_on(place, records)
    assert mine.exists() == (status == WITHDRAWN)


@pytest.mark.parametrize("text", ELSEWHERE)
@pytest.mark.parametrize("key", ["results", "datasets", "claimed", "id", "user", "name", "digest", "same_as", "source"])
def test_what_a_receipt_calls_something_is_a_name(two_rows, key, text):
    (path,) = two_rows.glob("requests/bob/*.json")
    values = json.loads(path.read_text())
    names(text, key, values)
    with pytest.raises(ZooError, match=f"This is not a submission: {key}.*: string should match pattern"):
        Submission.from_json(json.dumps(values).encode())
    for pair in ((text, "optdigits"), ("net.optdigits", text)):
        with pytest.raises(ZooError, match="is no row"):
            results.path_of(*pair, two_rows)


@pytest.mark.parametrize("paper", ["javascript:alert(1)", "https://a.org/<b>", "//a.org", "data:text/html,x"])
def test_the_paper_of_a_receipt_is_a_link(two_rows, paper):
    (path,) = two_rows.glob("requests/bob/*.json")
    values = json.loads(path.read_text())
    for fine in ("", "https://example.org/a?b=c#d", "HTTP://example.org"):
        assert Submission.from_json(json.dumps(values | {"paper": fine}).encode()).paper == fine
    with pytest.raises(ZooError, match="paper: string should match"):
        Submission.from_json(json.dumps(values | {"paper": paper}).encode())


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


PIPES = (
    "store/requests/bob/net_eval_request_*.json", "store/results/bob*/*/*.json", "store/results/bob*/*/*.npz",
    "store/.lock", "store/worker-seen", "store/usage.sqlite3", "records/optdigits/bob~net.optdigits.json",
    "records/optdigits/bob~net.optdigits.npz", "records/board.json", "records/board.jsonl", "records/.lock",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PIPES)
def test_a_pipe_in_place_of_a_file_makes_nobody_wait(two_rows, tmp_path, pattern):
    place = copied(two_rows, tmp_path)
    work(place, tmp_path / "records")
    path = next(tmp_path.glob(pattern), tmp_path / pattern)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    ended = []

    def go_on():
        again = LocalStore(place.root)
        with contextlib.suppress(ZooError):  # one sentence is an answer too: nothing can be locked with a pipe
            send(again, "dan", "other", seed=9, address="192.0.2.1")
        with contextlib.suppress(ZooError):
            work(again, tmp_path / "records")
        ended.append(again.all())

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    thread.join(20)
    assert ended


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


# Who sent it, and how much one may send


def test_only_its_sender_gets_an_earlier_receipt(tmp_path):
    """Whoever takes another's name and content first holds neither: a secret tells two senders of one name apart."""
    place = LocalStore(tmp_path / "store")
    first = send(place, "bob", "stolen", secret="of mallory")
    second = send(place, "bob", "net", secret="of bob")
    assert second.id != first.id
    assert intake.may_change(second, secret="of bob")
    assert send(place, "bob", "net", secret="of bob") == second
    assert send(place, "bob", "other_name", secret="of bob").name == "other_name"
    corrected = send(place, "bob", "net", secret="of bob", paper="https://example.org/paper")
    assert (corrected.id != second.id, corrected.paper) == (True, "https://example.org/paper")


def test_who_is_signed_in_gets_no_strangers_receipt(tmp_path):
    """Whoever is not may have written any name, and would withdraw what the receipt is for."""
    place = LocalStore(tmp_path / "store")
    stranger = send(place, "bob", "net", secret="of mallory")
    proved = send(place, "bob", "net", secret="")
    assert proved.id != stranger.id
    assert intake.may_change(proved, user="bob")
    assert not intake.may_change(proved, user="", secret="of mallory")
    assert send(place, "bob", "net", secret="") == proved
    with pytest.raises(ZooError, match="net is taken by"):
        send(place, "bob", "net", 1, secret="of mallory")


def loop(path):
    """Stand for a folder without rights."""
    shutil.rmtree(path.parent)
    path.parent.symlink_to(path.parent)


def renamed(path):
    path.rename(path.with_name("net_eval_request_lost.json"))


@pytest.mark.parametrize("damage", [cut, empty, loop, renamed])
def test_a_receipt_that_cannot_be_read_keeps_its_name(tmp_path, damage):
    """Nobody knows whose it is, but for who is signed in; other names are free."""
    place = LocalStore(tmp_path / "store")
    first = send(place, "b.ob", "net", secret="of bob")
    damage(place.root / "requests" / first.path)
    with pytest.raises(ZooError, match="net is taken by a submission whose receipt cannot be read now"):
        send(place, "B.ob", "net", 1, secret="of mallory")
    assert send(place, "ann", "net", 1, secret="of ann").open
    if damage is not loop:
        assert send(place, "b.ob", "other", 1, secret="of mallory").open
        assert send(place, "b.ob", "net", 2, secret="").open


def test_a_row_of_a_receipt_that_cannot_be_read_stays(two_rows, tmp_path):
    """Whoever was let in under its name, as by an earlier version; it is written over by who has proved the name."""
    place, records = copied(two_rows, tmp_path), tmp_path / "records"
    work(place, records)
    (path,) = place.root.glob("requests/bob/*.json")
    row, kept = results.path_of("bob~net.optdigits", "optdigits", records), path.read_bytes()
    path.unlink()
    stranger = send(place, "bob", "net", 7, secret="of mallory")
    cut(Path(shutil.copy(place.root / "requests" / stranger.path, path)))
    before = row.read_bytes()
    work(place, records)
    assert row.read_bytes() == before
    said = place.get(stranger.id)
    assert said.status == FINISHED
    assert said.reason == "Its row on optdigits would replace one that is not known to be of the same sender."
    path.write_bytes(kept)
    work(place, records)
    assert row.read_bytes() == before
    path.write_bytes(b"")
    proved = send(place, "bob", "net", 8, secret="")
    work(place, records)
    assert results.read_record(row).submission["id"] == proved.id


def test_a_receipt_says_which_submission_has_its_rows(two_rows, tmp_path):
    """It lacks no row that trying again could bring; whatever it lacked is forgotten until it has its row again."""
    place, records = copied(two_rows, tmp_path), tmp_path / "records"
    (old,) = (s for s in place.all() if s.user == "bob")
    _, status, listed, *_ = calls.endpoints(place)

    def check(state, *replacing):
        found = place.get(old.id)
        said = holdings.replaced_by(found, holdings.rows(place.all()))
        page = receipts.receipt(found, None, said)
        assert state in page
        assert [page.count(f">{one}</a>") for one in replacing] == [1] * len(replacing)
        assert page.count("its row</a>") == 1 - len(replacing)
        assert list(said.values()) == list(replacing)
        seen = {one["id"]: one for one in listed.function("bob")}
        assert status.function(old.id)["replaced_by"] == seen[old.id]["replaced_by"] == said
        assert not found.retriable

    check("Its rows are on the board.")
    for seed in (7, 8):
        new = send(place, "bob", "net", seed)
        work(place, records)
        check("Measured, and replaced by another submission of its name.", new.id)
        if seed == 7:  # results without a row are not kept
            intake.withdraw(place, new.id, "bob")
            work(place, records)
            assert "It can be tried again." in place.get(old.id).reason
    stranger = replace(old, id="20260101-00000000", secret=intake._hash("of mallory"), number=99)
    (place.root / "requests" / stranger.path).write_text(json.dumps(stranger.to_dict()))
    old = stranger  # whose row was never on the board
    check("Measured, and replaced by another submission of its name.", new.id)


def test_a_receipt_of_two_datasets_says_which_row_was_replaced(two_rows):
    (old,) = (s for s in LocalStore(two_rows).all() if s.user == "bob")
    found = old.results["optdigits"]
    both = replace(old, results={"optdigits": found, "mnist": {**found, "model": old.row("mnist")}})
    newer = replace(old, id="20260101-00000000")
    said = holdings.replaced_by(both, holdings.rows([both, newer]))
    assert said == {"optdigits": newer.id}
    page = receipts.receipt(replace(both, datasets=tuple(both.results)), None, said)
    assert "Some of its rows were replaced" in page
    assert (page.count("its row</a>"), page.count(f">{newer.id}</a>")) == (1, 1)


def test_who_has_a_name_keeps_it_while_an_earlier_receipt_cannot_be_read(tmp_path):
    place = LocalStore(tmp_path / "store")
    sent = [send(place, "bob", "unfit", seed, secret="of bob") for seed in range(2)]
    cut(place.root / "requests" / sent[0].path)
    finish_all(place)
    assert intake.retry(place, sent[1].id, secret="of bob").open
    assert send(place, "bob", "unfit", 2, secret="of bob").open


@pytest.mark.parametrize("user", ["zoo", "Handwriting-Zoo"])
def test_the_boards_own_names_are_reserved(tmp_path, user):
    with pytest.raises(ZooError, match="name of this board"):
        send(LocalStore(tmp_path / "store"), user, secret="anything")


def test_few_addresses_cannot_use_up_what_all_share(tmp_path):
    """Rejected files are counted for their address alone, and an address may send less, the fuller the queue is."""
    place, limits = LocalStore(tmp_path / "store"), intake.Limits(open_each=1000, open_all=40, daily_all=40)
    junk = intake.Offer("junk", ("optdigits",), "mit", "x")
    for n in range(50):
        intake.submit(place, "eve", junk, ("m.onnx", b"\x08%d" % n), limits=replace(limits, daily_each=99), secret="s")
    send(place, "bob", address="198.51.100.1", limits=limits)
    counts = []
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:1:ffff::1", "192.0.2.3"):
        sent = 0
        with contextlib.suppress(ZooError):
            while True:
                send(place, f"u{sent}", f"n{len(place.all())}", 0, limits=limits, address=address, secret=str(sent))
                sent += 1
        counts.append(sent)
    assert counts[0] > counts[1] > counts[4] > 0
    assert counts[3] == 0  # the same network as the address before it
    assert send(place, "ann", "net", address="203.0.113.9", limits=limits).open


def test_what_is_over_makes_room_for_what_is_new(tmp_path, monkeypatch):
    place = LocalStore(tmp_path / "store")
    withdrawn, waiting = send(place, "ann", seed=1), send(place, "bob", seed=2)
    monkeypatch.setattr(local, "_most", lambda: 2 * holdings.expected_bytes(waiting) + 20_000)
    with pytest.raises(StoreFailed, match="Nothing was kept: the store holds"):
        send(place, "carol", seed=3)
    intake.withdraw(place, withdrawn.id, "ann")
    new = send(place, "carol", seed=3)
    assert place.content(waiting)
    assert place.content(new)
    with pytest.raises(Damaged):
        place.content(withdrawn)
    with pytest.raises(StoreFailed, match="Nothing was kept: the store holds"):
        send(place, "dan", seed=4)


# Workers


def test_a_worker_whose_progress_stays_the_same_still_shows_that_it_is_there(tmp_path):
    class Often(LocalStore):
        progress_every, shown = 0.01, 0

        def announce(self):
            self.shown += 1

    place = Often(tmp_path / "store")
    send(place)
    worker = Worker(place, records=tmp_path / "records", measure=lambda *_: time.sleep(0.5), lease=30.0)
    worker.see_through(worker.claim(), threading.Event())
    assert place.shown > 5


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_receipt_does_not_say_that_a_worker_runs_which_has_stopped(tmp_path, monkeypatch, where):
    """It said "reading the data" for half an hour, until its turn came again."""
    place, clock, dead = LocalStore(tmp_path / "store"), [0.0], []
    monkeypatch.setattr(Presence, "is_dead", lambda _, worker: worker in dead)
    place.witness = Witness(lambda: clock[0])
    sent, other = send(place), send(place, "ann", seed=1)
    ran = Worker(place, name="w", lease=60.0).claim()

    def shown():
        (where,) = [found for found in intake.queue(place) if found.submission.id == ran.id]
        said = intake.as_json(place.get(ran.id), [where])
        page = receipts.receipt(place.get(ran.id), where)
        assert (said["status"] == PENDING) == ("Its worker has stopped: another one begins it again." in page)
        return said["status"]

    assert shown() == RUNNING
    clock[0] = 61.0
    place.change(ran.id, lambda s: lifecycle.renewed(s, "w", 60.0, "reading the data", 0.1))
    assert shown() == RUNNING
    if where == "here":
        dead.append("w")
    else:
        clock[0] = 122.0
    assert shown() == PENDING
    assert place.get(ran.id).status == RUNNING
    assert len(intake.queue(place)) == len({sent.id, other.id})
    place.change(ran.id, lambda s: lifecycle.claimed(s, "second", time.time(), 60.0, silent=61.0))
    assert shown() == RUNNING


def test_a_worker_whose_server_died_before_it_started_ends(monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(supervision.STARTED_BY, str(gone.pid))
    stop = threading.Event()
    supervision.stop_with_parent(stop)
    assert stop.wait(5)


def test_a_supervised_worker_knows_who_started_it():
    code = f"import os, sys; sys.exit(0 if os.environ['{supervision.STARTED_BY}'] == str(os.getppid()) else 2)"
    assert supervision.keep_running([sys.executable, "-c", code], threading.Event()) == 0
