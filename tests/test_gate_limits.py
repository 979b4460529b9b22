"""How much one address may hold: of the disk, of the queue, of memory; and what counts as one address."""

import os
import time
from types import SimpleNamespace

import anyio
import httpx
import pytest
from gate_calls import API, upload
from hub_server import Account
from space import serve

from zoo.errors import ZooError
from zoo.gate import limits, storage
from zoo.gate.callers import Caller, network_of
from zoo.gate.storage import Meter, Storage
from zoo.tabs import door

ON_HUB = {"SYSTEM": "spaces", "SPACE_ID": "me/handwriting-zoo"}
ANN, BOB = {"X-Forwarded-For": "8.8.8.8"}, {"X-Forwarded-For": "9.9.9.9"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A Space of the Hub."""
    with serve(ZOO_SUBMISSIONS=str(tmp_path_factory.mktemp("store")), **ON_HUB) as space:
        yield space.url


def test_only_the_caller_sees_an_upload_by_its_exact_path(url):
    """Also where the Space knows nobody's uploads any more, as after a restart: what is not known is not shown."""
    path = upload(url, "mine.txt", b"secret of ann", **ANN)
    folder, name = os.path.split(path)
    root, hashed = os.path.split(folder)
    orphan = os.path.join(root, "orphan.txt")
    with open(orphan, "w") as file:
        file.write("secret of ann")
    inside = f"{hashed}/{name}"
    aliases = f"/{path}", f"file://{path}", f"{path}%00", f"{folder}/%2e/{name}", f"{root}//{inside}"
    aliases += tuple(f"{root}/{dots}/{inside}" for dots in ("%2e", "x/%2e%2e", "%252e"))
    for route in ("file=", "file/"):
        for alias in (path, orphan, *aliases):
            answer = httpx.get(f"{url}{API}/{route}{alias}", headers=BOB)
            assert answer.status_code >= 400, alias
            assert "secret" not in answer.text
    assert httpx.get(f"{url}{API}/file={orphan}", headers=ANN).status_code == 403
    assert httpx.get(f"{url}{API}/file={path}", headers=ANN).text == "secret of ann"


def test_no_route_fetches_from_elsewhere(url):
    assert httpx.get(f"{url}{API}/file=https://example.com/x.png", headers=ANN).status_code == 403


# The disk


def test_one_upload_has_a_bound_and_an_address_has_one_an_hour(monkeypatch):
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    meter = Meter(Caller("192.0.2.1"))
    for _ in range(250):
        meter.count(10**6)
    with pytest.raises(ZooError, match="at most 250 MB"):
        meter.count(10**6)
    for _ in range(7):
        Meter(Caller("192.0.2.1")).count(240 * 10**6)
    with pytest.raises(limits.TooMany, match="megabytes from your address"):
        Meter(Caller("192.0.2.1")).count(240 * 10**6)
    Meter(Caller("192.0.2.2")).count(240 * 10**6)


def test_old_files_are_deleted_and_a_full_folder_takes_no_more(tmp_path, monkeypatch):
    """Those of requests that were cut off as well: Gradio does not know of them."""
    monkeypatch.setattr(storage, "MOST_STORED", 1500)
    (tmp_path / "hash").mkdir()
    old, new = tmp_path / "tmpcut", tmp_path / "hash" / "a.png"
    for path in (old, new):
        path.write_bytes(b"x" * 1000)
    with pytest.raises(ZooError, match="no room"):
        Storage().check(tmp_path)
    os.utime(old, (time.time() - storage.KEPT - 1,) * 2)
    Storage().check(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)
    Storage().check(tmp_path / "missing")


def test_the_door_counts_the_bytes_of_an_upload(monkeypatch):
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    part = b"x" * 10**6

    async def receive():
        return {"type": "http.request", "body": part, "more_body": True}

    async def reading(scope, receive, send):
        while True:
            await receive()

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": f"{API}/upload", "client": ("192.0.2.1", 1), "headers": []}
    anyio.run(door.Door(reading, None, None), scope, receive, send)
    assert sent[0]["status"] == 400
    assert b"One upload has at most 250 MB" in sent[1]["body"]


# The queue


def test_an_address_holds_few_places_of_the_queue():
    """A queue that holds calls of two addresses, and a session that nobody reads."""
    scope = {"type": "http", "client": ("192.0.2.1", 1), "headers": []}
    event = SimpleNamespace(request=SimpleNamespace(scope=scope))
    waiting = SimpleNamespace(queue=[event] * door.MOST_WAITING)
    unread = {"full": SimpleNamespace(qsize=lambda: door.MOST_UNREAD), "read": SimpleNamespace(qsize=lambda: 0)}
    queue = SimpleNamespace(event_queue_per_concurrency_id={"a": waiting}, pending_messages_per_session=unread)
    one = door.Door(None, SimpleNamespace(_queue=queue), None)
    with pytest.raises(limits.TooMany, match="40 calls from your address are waiting"):
        one._check_waiting(Caller("192.0.2.1"), "read")
    one._check_waiting(Caller("192.0.2.2"), "read")
    with pytest.raises(limits.TooMany, match="have not been fetched"):
        one._check_waiting(Caller("192.0.2.2"), "full")


def test_answers_that_nobody_fetches_are_bounded(url):
    body = {"data": [None, "lenet5.mnist"], "fn_index": 0, "session_hash": "neverread"}
    for _ in range(door.MOST_UNREAD + 1):
        answer = httpx.post(f"{url}{API}/queue/join", json=body, headers=BOB, timeout=60)
        if answer.status_code != 200:
            break
    assert answer.status_code == 429
    assert "have not been fetched" in answer.json()["detail"]


def test_an_ipv6_address_counts_with_its_network(monkeypatch):
    """Everybody has 2^64 of them."""
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "2")
    for n in range(2):
        limits.check_call(Caller(f"2001:db8::{n}"))
    with pytest.raises(limits.TooMany):
        limits.check_call(Caller("2001:db8::ffff:9"))
    limits.check_call(Caller("2001:db8:0:1::1"))
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"


def test_the_hub_is_asked_once_about_a_token_and_seldom_for_one_address(hub, monkeypatch):
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    hub.tokens["hf_Remembered"] = Account("ann", "read")
    hub.log.clear()
    assert [Caller("192.0.2.1", token="hf_Remembered").user for _ in range(20)] == ["ann"] * 20
    assert len([asked for asked in hub.log if "whoami" in asked.path]) == 1
    for n in range(9):
        with pytest.raises(ZooError, match="does not accept"):
            _ = Caller("192.0.2.1", token=f"hf_made_up{n}").user
    with pytest.raises(limits.TooMany, match="tokens from your address"):
        _ = Caller("192.0.2.1", token="hf_made_up9").user
    assert Caller("192.0.2.1", token="hf_Remembered").user == "ann"
    with pytest.raises(ZooError, match="letters and digits"):
        _ = Caller("192.0.2.2", token="hf_\u00e9").user


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("1.1.1.1, 8.8.8.8:1234", "8.8.8.8"),
        ("1.1.1.1, [2a00:1450::1]:443", "2a00:1450::1"),
        ("1.1.1.1, [2a00:1450::1]", "2a00:1450::1"),
        ("1.1.1.1, unknown", "10.0.0.1"),
        ("1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("", "10.0.0.1"),
    ],
)
def test_the_last_address_that_a_proxy_wrote_counts(monkeypatch, header, address):
    for key, value in ON_HUB.items():
        monkeypatch.setenv(key, value)
    headers = [(b"x-forwarded-for", header.encode())]
    assert Caller.of({"client": ("10.0.0.1", 1), "headers": headers}).address == address
