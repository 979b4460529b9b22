"""Submissions that arrive at the same time, and a Hub that is slow: what they hold of the server is bounded."""

import contextlib
import gzip
import json
import socketserver
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hub_server import Fault
from networks import onnx_file
from submitting import MANY, send

from leaderboard.submissions import calls, checks, hub_models, intake
from leaderboard.submissions.lifecycle import WITHDRAWN
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.store import HubStore, LocalStore, NoSuchSubmission, StoreFailed, on_hub
from zoo import gate
from zoo.errors import ZooError
from zoo.gate import limits
from zoo.gate.limits import TooMany
from zoo.gate.traffic import Spent
from zoo.hub import Backoff, identity

pytestmark = pytest.mark.usefixtures("checks_in_this_process")

PACKED = gzip.compress(b" " * 5_000_000)
OFFER = Offer("net", ("optdigits",), "mit", "optdigits")


def test_who_waits_for_the_hub_holds_few_places_and_none_of_who_sends_a_file(tmp_path, monkeypatch):
    place, go, waiting = LocalStore(tmp_path / "store"), threading.Event(), threading.Semaphore(0)

    def slow(repo, revision, most_bytes):
        waiting.release()
        assert go.wait(30)
        return "0" * 40, {"model.onnx": onnx_file(seed=hash(repo) % 1000)}

    monkeypatch.setattr(hub_models, "fetch_model", slow)

    def fetch(address, name):
        with contextlib.suppress(ZooError):
            intake.submit(place, name, OFFER, source=f"hf://me/{name}", limits=MANY, address=address)

    threads = [threading.Thread(target=fetch, args=(f"192.0.2.{n}", f"net{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
        assert waiting.acquire(timeout=30)
    for address in ("192.0.2.0", "192.0.2.9"):  # one that waits already, and one that finds all places taken
        with pytest.raises(TooMany):
            intake.submit(place, "eve", OFFER, source="hf://me/eve", limits=MANY, address=address)
    assert send(place, "ann", address="192.0.2.9").open
    assert send(place, "dan", seed=1, address="192.0.2.0").open
    go.set()
    for thread in threads:
        thread.join(30)
    assert len(place.all()) == 6


@pytest.mark.parametrize("addresses", [1, 20])
def test_files_that_are_checked_for_long_hold_few_places(tmp_path, monkeypatch, addresses):
    place, go, begun, refused = LocalStore(tmp_path / "store"), threading.Event(), [], []

    def slow(*arguments):
        begun.append(arguments)
        go.wait(30)
        return checks.check(*arguments)

    monkeypatch.setattr(intake.guard, "check", slow)

    def arrive(n):
        try:
            send(place, f"u{n}", f"net{n}", seed=n, address=f"192.0.2.{n % addresses}")
        except TooMany as error:
            refused.append(error)

    threads = [threading.Thread(target=arrive, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    most = 2 if addresses == 1 else 12
    deadline = time.monotonic() + 30
    while len(begun) + len(refused) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (len(begun), len(refused)) == (most, 20 - most)
    go.set()
    for thread in threads:
        thread.join(30)
    assert len(place.all()) == most


class Dripping(socketserver.StreamRequestHandler):
    """A Hub that answers as `server.how` says: silent, or a byte now and then, or without an end."""

    def handle(self):
        path, how = self.rfile.readline().decode().split()[1], self.server.how
        while self.rfile.readline().strip():
            pass
        repo = {"id": "me/net", "sha": "0" * 40, "siblings": [{"rfilename": "model.onnx", "size": 99}]}
        heads = {"tags": [], "converts": [], "branches": [{"name": "main", "ref": "main", "targetCommit": "0" * 40}]}
        listing = json.dumps(heads if path.endswith("/refs") else repo)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(listing)}\r\n"
        with contextlib.suppress(OSError):
            if how == "silent":
                self.server.over.wait(30)
            elif how == "headers":
                self._drip(b"HTTP/1.1 200 OK\r\nX: ")
            elif how == "redirects":
                self.server.over.wait(0.4)
                self.wfile.write(b"HTTP/1.1 307 Else\r\nContent-Length: 0\r\nLocation: /api/models/me/net?\r\n\r\n")
            elif how == "listing":
                self._drip(head.encode() + b"\r\n")
            elif how == "long":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
                while not self.server.over.is_set():
                    self.wfile.write(b"[]," * 10_000)
            elif how == "packed":
                self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(PACKED)}\r\n".encode())
                self.wfile.write(b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n" + PACKED)
            elif path.startswith("/api/"):
                self.wfile.write((head + "\r\n" + listing).encode())
            else:
                self._drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")

    def _drip(self, head):
        self.wfile.write(head)
        while not self.server.over.wait(0.05):
            self.wfile.write(b"1")


@pytest.fixture
def dripping(monkeypatch):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads, server.how, server.over = True, "silent", threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server
        server.over.set()
        server.shutdown()


@pytest.mark.parametrize("how", ["silent", "headers", "listing", "redirects", "file", "long", "packed"])
def test_all_that_is_asked_of_a_slow_hub_has_one_deadline(dripping, how):
    dripping.how = how
    said = {"long": r"The listing of me/net: the Hub sent more than 2\.0 MB", "packed": "sent a packed answer"}
    started = time.monotonic()
    with pytest.raises(ZooError, match=said.get(how, r"did not answer within 1 s|keeps failing")):
        hub_models.fetch_model("me/net", None, 1000, seconds=1.0)
    assert time.monotonic() - started < 15  # a busy machine takes a while; the Hub here never ends


@pytest.mark.parametrize("how", ["silent", "headers", "listing", "long"])
def test_the_store_and_the_user_of_a_token_have_a_deadline_too(dripping, monkeypatch, how):
    dripping.how = how
    monkeypatch.setattr(identity, "SECONDS", 0.5)
    monkeypatch.setattr(on_hub, "SECONDS", 0.5)
    monkeypatch.setattr(on_hub, "MOST_BYTES", 1_000_000)
    started = time.monotonic()
    with pytest.raises(ZooError, match=r"did not answer within|sent more than 1\.0 MB|keeps failing"):
        identity.user_of_token("hf_x")
    with pytest.raises(StoreFailed):
        HubStore("me", Backoff(attempts=2, first=0.1)).all()
    assert time.monotonic() - started < 15


def test_ids_that_nobody_has_ask_the_hub_once(remote, hub):
    sent = send(remote)
    before = len(hub.log)
    for n in range(50):
        with pytest.raises(NoSuchSubmission):
            remote.get(f"20261126-{n:08x}")
    assert len(hub.log) - before < 10
    assert remote.get(sent.id) == sent


@pytest.mark.parametrize(
    ("change", "user"),
    [
        (lambda place, sent, user: intake.withdraw(place, "20261126-00000000", user), "eve"),
        (lambda place, sent, user: intake.retry(place, "20261126-00000000", user), "eve"),
        (lambda place, sent, user: intake.withdraw(place, sent.id, user), "eve"),  # another's
        (lambda place, sent, user: intake.withdraw(place, sent.id, user, "a guess of a secret"), ""),
        (lambda place, sent, user: intake.retry(place, sent.id, user), "eve"),
        (lambda place, sent, user: intake.retry(place, sent.id, user), "bob"),  # it has not failed
    ],
)
def test_a_change_that_is_refused_asks_the_hub_nothing(remote, hub, change, user):
    sent = send(remote)
    with contextlib.suppress(ZooError):
        remote.get("20261126-ffffffff")  # what is not known is looked for once
    before = len(hub.log)
    for _ in range(5):
        with pytest.raises(ZooError):
            change(remote, sent, user)
    assert len(hub.log) == before
    assert intake.withdraw(remote, sent.id, "bob").status == WITHDRAWN
    remote.all()
    before = len(hub.log)
    with pytest.raises(ZooError, match="nothing to withdraw"):
        intake.withdraw(remote, sent.id, "bob")
    assert len(hub.log) == before


def test_changes_of_all_wait_for_the_hub_in_few_places(remote, hub, monkeypatch):
    """As what arrives does: each holds a thread as long as the Hub takes."""
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    sent = send(remote)
    go, waiting = threading.Event(), threading.Semaphore(0)

    def slow(wanted, transition):
        waiting.release()
        assert go.wait(30)
        return transition(sent)

    def withdraw(address):
        with gate.entered(gate.Caller(address)):
            return calls.withdrawn(remote, sent.id, "bob", "")

    monkeypatch.setattr(remote, "change", slow)
    with ThreadPoolExecutor(12) as pool:
        held = [pool.submit(withdraw, f"192.0.2.{n}") for n in range(12)]
        assert all(waiting.acquire(timeout=30) for _ in held)
        with pytest.raises(TooMany, match="too many submissions at the same time"):
            withdraw("192.0.2.99")
        go.set()
        assert all(one.result(30).status == WITHDRAWN for one in held)


def rest(*places):
    """Wait for the threads that look, so that they ask nothing in another test."""
    for known in (known for place in places for known in (place._latest, place._seen)):
        with known._changed:
            assert known._changed.wait_for(lambda known=known: not known._asking, 60)


def is_unknown(place, wanted):
    with pytest.raises(NoSuchSubmission):
        place.get(wanted)
    return True


LOOKS = {
    "all": lambda place, sent: place.all() == [sent],
    "a receipt": lambda place, sent: place.get(sent.id) == sent,
    "an id that nobody has": lambda place, sent: is_unknown(place, "20261126-00000000"),
    "the queue": lambda place, sent: intake.queue(place)[0].submission == sent,
    "what is damaged": lambda place, sent: place.broken() == [],
    "workers": lambda place, sent: place.attended() in (True, False),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("how", ["silent", "refusing"])
def test_who_looks_hardly_waits_for_the_hub(remote, hub, monkeypatch, look, how):
    """They get what was known before; one thread waits for the Hub, however many look."""
    monkeypatch.setattr(on_hub, "SHORT", 0.2)
    place, new, over, asked = HubStore("me", visitors=True), HubStore("me", visitors=True), threading.Event(), []
    sent = send(remote)
    monkeypatch.setattr(on_hub, "FOR_VISITORS", 10.0)
    assert look(place, sent)
    assert place.all() == [sent]

    def fault(method, path):
        asked.append(path)
        return over.wait(20) and None if how == "silent" else Fault(status=429, headers=(("Retry-After", "200"),))

    hub.choose_fault = fault
    try:
        started = time.monotonic()
        for _ in range(3):
            for known in (place._latest, place._seen):
                known.outdate()
            with ThreadPoolExecutor(10) as pool:
                assert all(pool.map(lambda n: look(place, sent), range(20)))
        assert time.monotonic() - started < 3
        assert len(asked) <= 12  # in all of these 60 looks, attempts included
        with pytest.raises(StoreFailed):
            new.all()  # one that knows nothing yet says so
        assert time.monotonic() - started < 4
    finally:
        over.set()
        hub.heal()
        rest(place, new)


@pytest.mark.parametrize("how", ["silent", "asking to wait"])
@pytest.mark.parametrize(
    "write",
    [
        lambda place, sent: send(place, "ann", seed=1),
        lambda place, sent: intake.withdraw(place, sent.id, "bob"),
        lambda place, sent: place.result("no/where", "optdigits.json"),
    ],
    ids=["sending", "withdrawing", "taking a network along"],
)
def test_a_visitor_waits_less_long_than_a_worker(remote, hub, monkeypatch, write, how):
    monkeypatch.setattr(on_hub, "FOR_VISITORS", 0.5)
    place, over = HubStore("me", visitors=True), threading.Event()
    sent = send(place)
    wait = (("Retry-After", "200"),)
    hub.choose_fault = lambda method, path: (
        Fault(status=429, headers=wait) if how != "silent" else over.wait(20) and None
    )
    started = time.monotonic()
    try:
        with pytest.raises(StoreFailed):
            write(place, sent)
        assert time.monotonic() - started < 4
    finally:
        over.set()
        hub.heal()
        rest(place)


def test_what_a_visitor_sent_or_changed_is_found_where_the_hub_is_slow_to_list_it(remote, hub, monkeypatch):
    place, over = HubStore("me", visitors=True), threading.Event()
    place.all()
    place.patience = 0.1
    sent = send(place)
    hub.choose_fault = lambda method, path: over.wait(20) and None
    assert place.get(sent.id) == sent
    hub.heal()
    over.set()
    withdrawn = intake.withdraw(place, sent.id, "bob")
    hub.choose_fault = lambda method, path: Fault(status=500)
    assert place.all() == [withdrawn]
    hub.heal()
    rest(place)


def test_what_was_spent_is_allowed_again_in_time():
    spent = Spent("changes", 2, 0.2)
    spent.take("a")
    spent.take("b")
    with pytest.raises(TooMany):
        spent.take("c")
    time.sleep(0.21)
    spent.take("c")


def test_a_hub_that_asks_to_be_waited_for_is_not_waited_for(hub):
    hub.fail(Fault(status=503, headers=(("Retry-After", "600"),)), on="GET", times=99)
    started = time.monotonic()
    with pytest.raises(ZooError, match="the Hub answered 503"):
        hub_models.fetch_model("me/net", None, 1000)
    assert time.monotonic() - started < 60
