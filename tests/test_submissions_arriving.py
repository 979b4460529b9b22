"""Submissions that arrive at the same time, and a Hub that is slow: what they hold of the server is bounded."""

import contextlib
import json
import socketserver
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hub_server import Fault
from networks import onnx_file
from submitting import MANY, send

from leaderboard.submissions import checks, hub_models, intake
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.store import HubStore, LocalStore, NoSuchSubmission, StoreFailed, on_hub
from zoo.errors import ZooError
from zoo.gate.limits import TooMany
from zoo.hub import Backoff

pytestmark = pytest.mark.usefixtures("checks_in_this_process")

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


class Slow(socketserver.StreamRequestHandler):
    """A Hub that does not answer, or sends a listing at once and then a file byte by byte."""

    def handle(self):
        path = self.rfile.readline().decode().split()[1]
        while self.rfile.readline().strip():
            pass
        listing = json.dumps({"id": "me/net", "sha": "0" * 40, "siblings": [{"rfilename": "model.onnx", "size": 99}]})
        with contextlib.suppress(OSError):
            if self.server.silent:
                self.server.over.wait(30)
            elif path.startswith("/api/"):
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(listing)}\r\n\r\n"
                self.wfile.write((head + listing).encode())
            else:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
                while not self.server.over.wait(0.05):
                    self.wfile.write(b"x")


@pytest.mark.parametrize("silent", [True, False])
def test_all_that_is_asked_of_a_slow_hub_has_one_deadline(monkeypatch, silent):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads, server.silent, server.over = True, silent, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        started = time.monotonic()
        with pytest.raises(ZooError, match=r"within 1 s|keeps failing"):
            hub_models.fetch_model("me/net", None, 1000, seconds=1.0)
        assert time.monotonic() - started < 15  # a busy machine takes a while; the Hub here takes 30 s
        server.over.set()
        server.shutdown()


def test_ids_that_nobody_has_ask_the_hub_once(remote, hub):
    sent = send(remote)
    before = len(hub.log)
    for n in range(50):
        with pytest.raises(NoSuchSubmission):
            remote.get(f"20261126-{n:08x}")
    assert len(hub.log) - before < 10
    assert remote.get(sent.id) == sent


def test_a_hub_that_fails_is_waited_for_by_one_thread(remote, hub, monkeypatch):
    monkeypatch.setattr(on_hub, "SHORT", 0.1)
    sent = send(remote)
    assert remote.all() == [sent]
    hub.fail(Fault(status=429), on="GET", times=1000)
    remote.backoff, remote._looked = Backoff(attempts=5, first=0.5), (-on_hub.LOOK, None)
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(remote.all)
        while not remote._looking.locked():
            time.sleep(0.01)
        started = time.monotonic()
        assert all(found == sent for found in pool.map(lambda n: remote.get(sent.id), range(100)))
        assert all(place[0].submission == sent for place in pool.map(lambda n: intake.queue(remote), range(40)))
        assert not first.done()
        with pytest.raises(StoreFailed):
            first.result(60)
    assert time.monotonic() - started < 60
    assert remote.all() == [sent]  # the next look is later
    with pytest.raises(StoreFailed):
        HubStore("me", Backoff(attempts=1)).all()  # one that knows nothing yet says so


def test_a_hub_that_asks_to_be_waited_for_is_not_waited_for(hub):
    hub.fail(Fault(status=503, headers=(("Retry-After", "600"),)), on="GET", times=99)
    started = time.monotonic()
    with pytest.raises(ZooError, match="the Hub answered 503"):
        hub_models.fetch_model("me/net", None, 1000)
    assert time.monotonic() - started < 60
