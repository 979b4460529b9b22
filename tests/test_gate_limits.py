"""How much one address may hold: of the disk, of the queue, of memory; and what counts as one address."""

import asyncio
import contextlib
import json
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import anyio
import httpx
import pytest
from gate_calls import API, upload
from hub_server import Account
from space import serve

from leaderboard.submissions import usage
from zoo import gate
from zoo.errors import ZooError
from zoo.gate import bodies, connections, limits, storage, traffic, uploads
from zoo.gate.bodies import check_count
from zoo.gate.callers import Caller, network_of
from zoo.gate.storage import Meter
from zoo.gate.uploads import NotYours, Uploads
from zoo.tabs import door, signing_in, static_files, unread
from zoo.tabs.space import MOST_RUNNING, PLACES

ON_HUB = {"SYSTEM": "spaces", "SPACE_ID": "me/handwriting-zoo"}
ANN_IS, BOB_IS = Caller("192.0.2.1"), Caller("192.0.2.2")
PAGE_FOR_ANN = Caller("192.0.2.1", stranger=True)  # a page of another site, which ann has open
ANN, BOB = {"X-Forwarded-For": "8.8.8.8"}, {"X-Forwarded-For": "9.9.9.9"}


@pytest.fixture(autouse=True)
def nobody():
    """Run each test on behalf of nobody."""
    with gate.entered(Caller()):
        yield


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


def test_old_files_are_deleted_with_their_folders_and_the_page_keeps_its_own(tmp_path):
    """Also those that were there when the server started, whoever sent them."""
    (tmp_path / "left").mkdir()
    left = tmp_path / "left" / "old.png"
    left.write_bytes(b"x")
    now = [0.0]
    known = Uploads(lambda: now[0])
    known.keep_in(tmp_path)
    of_page, sent = (stored(tmp_path, name) for name in ("page.zip", "sent.png"))
    known.note([of_page], None)
    known.note([sent], ANN_IS)
    known.check_room(ANN_IS)
    assert left.exists()
    now[0] += uploads.KEPT + 10
    known.check_room(ANN_IS)
    assert sorted(os.listdir(tmp_path)) == ["page.zip"]
    known.check(of_page, BOB_IS)
    with pytest.raises(NotYours):
        known.check(sent, ANN_IS)


@pytest.mark.parametrize("moved", [-86400.0, 86400.0])
def test_uploads_are_kept_for_an_hour_whatever_the_time_of_day(tmp_path, monkeypatch, moved):
    left = stored(tmp_path, "left.png")
    os.utime(left, (time.time() + 86400.0,) * 2)  # from before a clock was set back
    now = [1000.0]
    known = Uploads(lambda: now[0])
    known.keep_in(tmp_path)
    sent = stored(tmp_path, "sent.png")
    known.note([sent], ANN_IS)
    today = time.time()
    monkeypatch.setattr(uploads.time, "time", lambda: today + moved)
    known.check_room(ANN_IS)
    known.check(sent, ANN_IS)
    now[0] += uploads.KEPT + 1
    known.check_room(ANN_IS)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("limit", "of_all"), [("MOST_FILES", True), ("MOST_STORED", True), ("MOST_STORED_EACH", False)]
)
def test_uploads_are_counted_by_address_and_in_all(tmp_path, monkeypatch, limit, of_all):
    """By what they take on the disk: a file of one byte takes a block and its folder another."""
    known = Uploads()
    known.keep_in(tmp_path)
    monkeypatch.setattr(traffic, "SHARE", 1)
    monkeypatch.setattr(uploads, limit, 3 if limit == "MOST_FILES" else 3 * 8192)
    for name in "abc":
        known.check_room(ANN_IS)
        known.note([stored(tmp_path, name)], ANN_IS)
    with pytest.raises(ZooError, match="later"):
        known.check_room(ANN_IS)
    if of_all:
        with pytest.raises(ZooError, match="There is no room"):
            known.check_room(BOB_IS)
    else:
        known.check_room(BOB_IS)


def test_a_few_addresses_leave_room_for_the_uploads_of_another(tmp_path, monkeypatch):
    """Of bytes and of files: the fuller it is, the less one address may have."""
    for most, each in (("MOST_STORED", "MOST_STORED_EACH"), ("MOST_FILES", "MOST_FILES_EACH")):
        known, size = Uploads(), 8192 if most == "MOST_STORED" else 1
        known.keep_in(folder := tmp_path / most)
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(uploads, most, 50 * size)
            patch.setattr(uploads, each, 10 * size)
            for stranger in range(8):
                with contextlib.suppress(limits.TooMany):
                    for n in range(20):
                        who = Caller(f"198.51.100.{stranger}")
                        known.check_room(who)
                        known.note([stored(folder, f"{stranger}-{n}")], who)
            known.check_room(ANN_IS)
            assert 30 < len(known._files) < 50


def test_no_address_makes_the_gate_forget_the_files_of_another(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_FILES", 20)
    monkeypatch.setattr(uploads, "MOST_FILES_EACH", 10)
    known = Uploads()
    known.keep_in(tmp_path)
    page, of_bob, of_both = (stored(tmp_path, name) for name in ("page", "bob", "both"))
    known.note([page], None)
    known.note([of_bob, of_both], BOB_IS)
    known.note([of_both, *(stored(tmp_path, str(n)) for n in range(50))], ANN_IS)
    for path in (page, of_bob, of_both):
        known.check(path, BOB_IS)
        assert os.path.exists(path)
    assert len(os.listdir(tmp_path)) == 13  # ten of ann, and these
    with pytest.raises(limits.TooMany, match="Your address has 10 files"):
        known.check_room(ANN_IS)


@pytest.mark.parametrize("first", [ANN_IS, PAGE_FOR_ANN])
@pytest.mark.parametrize("limit", ["MOST_FILES_EACH", "MOST_STORED_EACH"])
def test_uploads_by_a_page_of_another_site_take_none_of_its_readers(tmp_path, monkeypatch, limit, first):
    """Nor do both together have more than one and a half times as many as an address; each loses its own oldest."""
    monkeypatch.setattr(uploads, limit, 20 * (1 if limit == "MOST_FILES_EACH" else 8192))
    known, kept = Uploads(), Counter()
    known.keep_in(tmp_path)
    for who in (first, ANN_IS if first is PAGE_FOR_ANN else PAGE_FOR_ANN):
        with contextlib.suppress(limits.TooMany):
            for n in range(50):
                known.check_room(who)
                known.note([stored(tmp_path, f"{who.stranger}-{n}")], who)
                kept[who.network] += 1
    assert kept == {ANN_IS.network: 20, PAGE_FOR_ANN.network: 10}
    known.note([stored(tmp_path, f"more-{n}") for n in range(25)], PAGE_FOR_ANN)
    assert len(list(tmp_path.glob("False-*/*"))) == 20


@pytest.mark.parametrize(
    "count",
    [limits.check_any, limits.check_call, limits.check_request, lambda who: limits.check_page(who, "answers"),
     lambda who: limits.check_files(who, 10**7), lambda who: limits.check_values(who, 100),
     lambda who: limits.checked_token(who, str), limits.check_change, lambda who: limits.check_upload(who, 10**8)],
)  # fmt: skip
def test_what_a_page_of_another_site_sends_counts_apart(monkeypatch, count):
    """It may have half of what its reader's address may, and takes none of that."""
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter(clock=lambda: 0.0))
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "12")
    passed = Counter()
    for who in (PAGE_FOR_ANN, ANN_IS):
        with contextlib.suppress(limits.TooMany):
            while True:
                count(who)
                passed[who.stranger] += 1
    assert passed[True] == passed[False] // 2 > 0


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8:1:2::3"])
def test_what_a_page_of_another_site_submits_counts_apart(tmp_path, address):
    reader = Caller(address)
    elsewhere = [Caller(one, stranger=True) for one in (address, address.replace(":2::3", ":9::9"))]
    for count in range(3):
        usage.charge(tmp_path / "usage", elsewhere[count % 2].sender, 3)
    with pytest.raises(ZooError, match="3 requests within a day"):
        usage.charge(tmp_path / "usage", elsewhere[0].sender, 3)
    assert usage.charge(tmp_path / "usage", reader.sender, 3)


@pytest.mark.parametrize(
    ("headers", "own"),
    [({}, True), ({"sec-fetch-site": "same-origin"}, True), ({"origin": "http://zoo.lan"}, True),
     ({"sec-fetch-site": "cross-site"}, False), ({"sec-fetch-site": "same-site"}, False),
     ({"origin": "https://evil.example"}, False), ({"origin": "null"}, False)],
)  # fmt: skip
def test_all_that_counts_by_address_knows_pages_of_other_sites(headers, own):
    """Open requests, connections, threads, and calls in the queue."""
    event, sent = call_of("192.0.2.1"), {"host": "zoo.lan", **headers}
    scope = event.request.scope
    scope["headers"] = [(name.encode(), value.encode()) for name, value in sent.items()]
    found = [unread.network_of(event), Caller.of(scope).network]
    connection = SimpleNamespace(client=("192.0.2.1", 1), _proxies=())
    found.append(connections.Guarded._sender(connection, scope).network)
    unread.Turns(queue_of([event])).next()
    found.append(gate.caller().network)

    async def admitting():
        with traffic.admitted(scope, None, None):
            found.extend([scope["zoo.network"], unread.network_of(event)])

    anyio.run(admitting)
    assert set(found) == {(ANN_IS if own else PAGE_FOR_ANN).network}


@pytest.mark.parametrize(
    ("path", "query", "own"),
    [("/login/callback", "code=x&state=begun", True), ("/login/callback", "code=x&state=made-up", False),
     ("/login/callback", "code=x&state=", False), ("/login/callback", "", False), ("/", "state=begun", False)],
)  # fmt: skip
def test_who_comes_back_from_a_sign_in_is_no_page_of_another_site(path, query, own):
    """Such a page could send as many ends of sign-ins as its reader's address may."""
    scope = {"path": path, "query_string": query.encode(), "session": {"_state_huggingface_begun": {}}}
    scope |= {"client": ("192.0.2.1", 1), "headers": [(b"sec-fetch-site", b"cross-site")]}
    assert Caller.of(scope).network == (ANN_IS if own else PAGE_FOR_ANN).network


def stored(folder, name):
    """Return the path of a small file in its own folder."""
    place = folder / name
    if name != "page.zip":
        place.mkdir()
        place = place / name
    place.write_bytes(b"x")
    return str(place)


@pytest.mark.parametrize(
    ("path", "most"),
    [("/", 2), ("/config", 2), (f"{API}/heartbeat/a1", 2), (f"{API}/queue/data", 16), (f"{API}/call/read/e1", 16),
     ("/assets/a.js", 80)],
)  # fmt: skip
def test_parts_of_a_page_are_counted_by_what_they_cost(monkeypatch, path, most):
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter(clock=lambda: 0.0))
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "8")
    passed = 0

    async def app(scope, receive, send):
        nonlocal passed
        passed += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def send(message):
        pass

    async def visiting():
        for _ in range(100):
            scope = {"type": "http", "method": "GET", "path": path, "scheme": "http", "client": ("192.0.2.1", 1)}
            await door.Door(app, blocks, None)({**scope, "headers": [(b"host", b"x")]}, None, send)

    monkeypatch.setattr(static_files, "paths", lambda: {"/assets/a.js"})
    queue = queue_of([])
    queue.pending_messages_per_session = unread.Unread(queue)
    for session in ("", "e1"):
        queue.pending_messages_per_session[session] = object()
    blocks = SimpleNamespace(_queue=queue)
    anyio.run(visiting)
    assert passed == most


def test_the_door_counts_the_bytes_of_an_upload(monkeypatch):
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    monkeypatch.setattr(storage, "MOST_REQUEST", 5 * 10**6)
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    answer = asked(f"{API}/upload", (head, *[b"x" * 10**6] * 9), ("content-type", "multipart/form-data; boundary=b"))
    assert answer == (400, "One upload has at most 5 MB: send fewer files at a time.")


def asked(path, parts, *headers, method="POST", app=None, address="192.0.2.1"):
    """Send a body in parts through a door without a Space; return the status and the sentence, None without answer."""
    left, sent = list(parts), []

    async def receive():
        return {"type": "http.request", "body": left.pop(0), "more_body": True} if left else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "client": (address, 1), "query_string": b""}
    scope["scheme"] = "http"
    scope["headers"] = [(key.encode(), value.encode()) for key, value in headers]
    blocks = SimpleNamespace(max_file_size=None, endpoints={}, fns={}, blocks={})
    anyio.run(door.Door(app, blocks, None), scope, receive, send)
    return (sent[0]["status"], json.loads(sent[1]["body"])["detail"]) if sent else None


# The queue


def call_of(address, name="a", size=0, streaming=False):
    """Return a call in a queue."""
    scope = {"type": "http", "client": (address, 1), "headers": [], "zoo.bytes": size}
    return SimpleNamespace(
        request=SimpleNamespace(scope=scope), concurrency_id=name, session_hash=address, streaming=streaming,
        _id=object(), data=object(), closed=False, signal=asyncio.Event(),
    )  # fmt: skip


def queue_of(events, limit=2, running=()):
    """Return a queue as Gradio has it."""
    waiting = SimpleNamespace(queue=list(events), concurrency_limit=limit, current_concurrency=len(running))
    return SimpleNamespace(
        event_queue_per_concurrency_id={"a": waiting}, active_jobs=[list(running)], event_ids_to_events={},
        pending_event_ids_session={}, pending_messages_per_session={}, max_size=500,
    )  # fmt: skip


@pytest.mark.parametrize(("count", "size"), [(door.MOST_WAITING, 0), (4, 25_000_000)])
def test_an_address_holds_few_places_of_the_queue(count, size):
    queue = queue_of([call_of("192.0.2.1", size=size)] * count)
    one = door.Door(None, SimpleNamespace(_queue=queue), None)
    with pytest.raises(limits.TooMany, match=f"{count} calls from your address are waiting"):
        one._check_waiting(ANN_IS, "session")
    one._check_waiting(BOB_IS, "session")


def test_few_addresses_do_not_fill_the_queue():
    """The fuller it is, the less one address may add."""
    queue = queue_of([])
    queue.max_size = 100
    one, events = door.Door(None, SimpleNamespace(_queue=queue), None), queue.event_queue_per_concurrency_id["a"].queue
    for number in range(15):
        with contextlib.suppress(limits.TooMany):
            for _ in range(100):
                one._check_waiting(Caller(f"192.0.2.{number}"), "session")
                events.append(call_of(f"192.0.2.{number}"))
    assert 70 < len(events) < 100
    one._check_waiting(Caller("198.51.100.1"), "session")


def test_calls_whose_sender_has_gone_leave_the_queue(monkeypatch):
    monkeypatch.setattr(unread, "UNHEARD", 0.05)
    gone, waits, new = (call_of(f"192.0.2.{n}") for n in (1, 2, 3))
    busy = call_of("192.0.2.4")
    queue = queue_of([gone, waits, new], limit=1, running=[busy])
    queue.event_ids_to_events = {event._id: event for event in (gone, waits, new)}
    queue.pending_messages_per_session = messages = {e.session_hash: unread.Messages("") for e in (gone, waits)}
    messages[waits.session_hash].fetched = True
    time.sleep(0.1)
    messages[new.session_hash] = unread.Messages("")
    assert unread.Turns(queue).next() is None
    assert queue.event_queue_per_concurrency_id["a"].queue == [waits, new]
    assert set(queue.event_ids_to_events) == {waits._id, new._id}


def test_addresses_take_turns_in_the_queue():
    """A visitor's call goes before a stranger's many, and finds a place that the stranger leaves free."""
    stranger, visitor = (lambda: call_of("192.0.2.1")), call_of("192.0.2.2")
    queue = queue_of([stranger(), stranger(), visitor, stranger()])
    turns = unread.Turns(queue)
    for network in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        assert unread.network_of(turns.next()[0][0]) == network
        assert gate.caller().network == network  # of what Gradio starts then
    queue = queue_of([stranger(), stranger(), visitor], running=[stranger()])
    turns = unread.Turns(queue)
    assert turns.next()[0] == [visitor]
    assert turns.next() is None  # one of two places stays free
    alone = queue_of([stranger()], limit=1)
    assert unread.Turns(alone).next() is not None


@pytest.mark.parametrize(
    ("limit", "slots", "most"), [(8, 120, 1), (12, 120, 2), (1, 120, 1), (None, 120, 24), (8, 4, 1)]
)
def test_an_address_has_a_quarter_of_the_places_that_others_leave(limit, slots, most):
    """Two that come at the same time, of one function and of all together: a visitor finds a place."""
    strangers = [call_of(f"192.0.2.{n}") for n in (1, 3) for _ in range(40)]
    queue = queue_of([*strangers, call_of("192.0.2.2")], limit=limit)
    queue.active_jobs = [None] * slots
    turns, places = unread.Turns(queue), queue.event_queue_per_concurrency_id["a"]
    found = []
    while chosen := turns.next():
        found.append(unread.network_of(chosen[0][0]))
        queue.active_jobs[queue.active_jobs.index(None)] = chosen[0]
        places.current_concurrency += 1
    assert found.count("192.0.2.1") == most
    assert ("192.0.2.2" in found) == (limit != 1)


@pytest.mark.parametrize(("limit", "slots"), [(PLACES, MOST_RUNNING), (None, 16)], ids=["a function", "all"])
def test_nine_addresses_leave_a_place_to_the_tenth(limit, slots):
    """However long their calls take."""
    strangers = [call_of(f"192.0.2.{n}") for n in range(9) for _ in range(40)]
    queue = queue_of(strangers, limit=limit)
    queue.active_jobs = [None] * slots
    turns, places = unread.Turns(queue), queue.event_queue_per_concurrency_id["a"]
    for visitor in (None, call_of("198.51.100.1")):
        places.queue += [visitor] if visitor else []
        while chosen := turns.next():
            queue.active_jobs[queue.active_jobs.index(None)] = last = chosen[0]
            places.current_concurrency += 1
    assert last == [visitor]


def test_a_camera_that_sends_no_frames_gives_its_place_back(monkeypatch):
    """And an address has few of them, so that one address does not hold all places with frames that it does send."""
    monkeypatch.setattr(unread, "ASLEEP", 0.05)
    awake, asleep, slow = (call_of(f"192.0.2.{n}", streaming=n < 3) for n in (1, 2, 3))  # the last is no camera
    turns = unread.Turns(queue_of([], running=[awake, asleep, slow]))
    for _ in range(4):
        awake.data = object()  # a frame
        turns.next()
        time.sleep(0.02)
    assert [one.closed for one in (awake, asleep, slow)] == [False, True, False]
    assert asleep.signal.is_set()
    own = [call_of("192.0.2.1", streaming=True) for _ in range(3)]  # a quarter of the places
    more, other = (call_of(f"192.0.2.{n}", streaming=True) for n in (1, 2))
    turns = unread.Turns(queue_of([more, other], limit=12, running=own))
    assert turns.next()[0] == [other]
    assert turns.next() is None


def test_answers_are_dropped_and_bounded_by_address(monkeypatch):
    async def fetching():
        queue = queue_of([])
        queue.pending_messages_per_session = kept = unread.Unread(queue)
        with gate.entered(ANN_IS):
            kept["large"] = object()
            kept["empty"] = object()
        answer = SimpleNamespace(output={"data": ["x" * 1000]})
        kept["large"].put_nowait(answer)
        monkeypatch.setattr(unread, "MOST_BYTES_EACH", 1000)
        with pytest.raises(limits.TooMany, match="have not been fetched"):
            kept.check("other", "192.0.2.1")
        kept.check("other", "192.0.2.2")
        monkeypatch.setattr(unread, "MOST_BYTES", 1000)
        with pytest.raises(limits.TooMany, match="The server is busy"):
            kept.check("other", "192.0.2.2")
        assert list(kept) == ["large"]
        assert await kept["large"].get() is answer
        queue.pending_event_ids_session = {"large": set(), "empty": set()}
        kept.check("other", "192.0.2.1")
        assert not kept
        assert len(queue.pending_event_ids_session) == 2  # a stream that ends looks there
        monkeypatch.setattr(unread, "DROPPED", -1.0)
        kept.check("other", "192.0.2.1")
        assert not queue.pending_event_ids_session

    anyio.run(fetching)


def test_answers_that_nobody_fetches_are_bounded(url):
    body = {"data": [None, "lenet5.mnist"], "fn_index": 0, "session_hash": "neverread"}
    for _ in range(unread.MOST_MESSAGES + 1):
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


def test_parts_of_a_page_have_limits(monkeypatch):
    """A page that is drawn takes long: a quarter as many as calls; of files ten times as many."""
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter(clock=lambda: 0.0))  # no time passes, however busy it is here
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "8")
    monkeypatch.setattr(static_files, "paths", lambda: {"/assets/a.woff2"})
    for path, most in (("/", 2), ("/assets/a.woff2", 80), ("/login/huggingface", 1)):
        said = [fetched(path)[0] for _ in range(most + 1)]
        assert said == [200] * most + [429], path
    assert {fetched(path)[0] for path in ("/config", "/login/callback")} == {429}
    assert fetched("/", "192.0.2.2")[0] == 200


@pytest.mark.parametrize("path", ["/login/huggingface", "/login/callback", "/login/callback/"])
def test_few_sign_ins_wait_for_the_hub_at_a_time_and_none_for_long(monkeypatch, path):
    monkeypatch.setattr(signing_in, "SECONDS", 0.3)
    said = []

    async def silent(scope, receive, send):
        await anyio.sleep(20)

    async def send(message):
        said.append(message.get("status") or json.loads(message["body"])["detail"])

    async def sign_ins():
        gate_in = door.Door(silent, SimpleNamespace(max_file_size=None, endpoints={}, fns={}, blocks={}), None)
        async with anyio.create_task_group() as group:
            for n in range(3):
                scope = {"type": "http", "method": "GET", "path": path, "client": ("192.0.2.1", n), "headers": []}
                group.start_soon(gate_in, {**scope, "query_string": b""}, anyio.sleep_forever, send)

    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    anyio.run(sign_ins)
    assert said[:2] == [429, "Too many sign-ins from your address at the same time: at most 2."]
    assert said[2:] == [400, "Signing in with Hugging Face did not work: try again in a minute."] * 2


def fetched(path, address="192.0.2.1"):
    """Ask a door for a part of a page; return what `asked` does."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"detail": ""}'})

    return asked(path, [], ("host", "x"), method="GET", app=app, address=address)


@pytest.mark.parametrize(
    "held",
    [{"token": "oauth"}, {"token": "app_token_as_user"}, {"token": "app_token"}, {"token": None}, {"type": "org"}],
    ids=str,
)
def test_a_token_that_an_app_holds_proves_nothing(hub, monkeypatch, held):
    """Another Space where somebody signs in gets a token of theirs: it must not withdraw their submissions here."""
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    hub.tokens["hf_oauth_OfAnotherSpace"] = Account("victim", **held)
    for _ in range(2):
        with pytest.raises(ZooError, match=r"may hold it too.* an access token that you made yourself"):
            _ = Caller("192.0.2.1", token="hf_oauth_OfAnotherSpace").user


def test_nobody_waits_for_a_token_of_another_while_the_hub_is_silent(monkeypatch):
    """Few are looked up at a time, one of an address: each holds a thread."""
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    go, asked = threading.Event(), threading.Semaphore(0)

    def silent(token):
        asked.release()
        assert go.wait(20)
        return "stranger"

    monkeypatch.setattr("zoo.hub.identity.user_of_token", silent)
    monkeypatch.setattr("zoo.hub.identity.remembered", {"hf_known": "ann"}.get)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(lambda n=n: Caller(f"192.0.2.{n}", token=f"hf_{n}").user) for n in range(4)]
        try:
            assert all(asked.acquire(timeout=10) for _ in waiting)
            assert pool.submit(lambda: Caller("192.0.2.9", signed_in="bob").user).result(5) == "bob"
            assert pool.submit(lambda: Caller("192.0.2.9", token="hf_known").user).result(5) == "ann"
            for address in ("192.0.2.1", "192.0.2.9"):
                with pytest.raises(limits.TooMany, match=r"[Tt]oo many tokens"):
                    pool.submit(lambda address=address: Caller(address, token="hf_more").user).result(5)
        finally:
            go.set()
        assert [one.result(10) for one in waiting] == ["stranger"] * 4


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


def test_the_values_that_an_address_sends_are_counted(monkeypatch):
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "3")
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    few, many = b'{"data": [1, 2]}', b"[" + b"1," * 1400 + b"1]"
    with gate.entered(Caller("192.0.2.1")):
        check_count(many)
        check_count(many)
        with pytest.raises(limits.TooMany, match="at most 3,000 within 1 minute"):
            check_count(many)
        check_count(few)
    with gate.entered(Caller("192.0.2.2")):
        check_count(many)


def test_long_json_counts_as_many_values(monkeypatch):
    counted = []
    monkeypatch.setattr(limits, "check_values", lambda caller, count: counted.append(count))
    for body in (b'{"image": "data:;base64,' + b"A" * 5_000_000 + b'"}', b'{"a": [1, 2]}', b" " * 5_000_000):
        bodies.check_count(body)
    assert counted == [25_002, 3, 25_000]
