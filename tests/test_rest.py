"""The REST API within this process: what it answers, how it refuses, and that no route gets around the gate."""

import asyncio
import base64
import json
import logging
import threading
import time

import cv2
import httpx
import numpy as np
import pytest
from networks import onnx_file
from pydantic import ValidationError
from strokes import SEVEN, THREE, sketch

import zoo
from leaderboard import service
from zoo.errors import Busy
from zoo.gate import limits
from zoo.gate.callers import Caller
from zoo.gate.traffic import Share
from zoo.gate.uploads import UPLOADS
from zoo.rest import messages, metrics, observing
from zoo.rest.application import PROBES
from zoo.serving import engine
from zoo.serving.batches import BatchQueue
from zoo.serving.model_cache import ModelCache
from zoo.settings import PRETRAINED
from zoo.tabs import local

PROBLEM = "application/problem+json"
SENT = {"name": "net", "datasets": ["optdigits"], "licence": "mit", "declaration": "optdigits", "user": "ann"}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The whole API, with a store of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_SUBMISSIONS", str(tmp_path_factory.mktemp("store")))
        found = service.application()
    yield found
    found.engine.close()


@pytest.fixture
def ask(api):
    """Return a function that sends one request and returns the response."""

    def send(method: str, path: str, address: str = "192.0.2.9", **options) -> httpx.Response:
        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(api, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://zoo") as client:
                return await client.request(method, path, **options)

        return asyncio.run(exchange())

    return send


@pytest.fixture(scope="module")
def picture():
    """A photo of two digits as a PNG."""
    page = np.full((120, 200), 235, np.uint8)
    for strokes, left in ((SEVEN, 0), (THREE, 90)):
        for stroke in strokes:
            points = (np.array(stroke) * 100 + (left, 10)).astype(np.int32)
            cv2.polylines(page, [points], False, 20, 7, cv2.LINE_AA)
    return cv2.imencode(".png", page)[1].tobytes()


# What it answers


def test_cookies_are_not_parsed_whatever_server_is_in_front(ask):
    """Python before 3.11.10 needs 10 s for one of 60 kB."""
    started = time.process_time()
    for path in ("/healthz", "/api/v1/models", "/api/v1/nothing"):
        ask("GET", path, headers={"Cookie": 'a="' + "\\" * 60_000 + '"'})
    assert time.process_time() - started < 3


def test_a_sketch_a_form_and_a_data_uri_are_read(ask, picture):
    drawn = ask("POST", "/api/v1/read", json={"sketch": sketch(SEVEN), "model": "lenet5.mnist"}).json()
    assert (drawn["text"], drawn["script"], drawn["accepted"]) == ("7", "digits", True)
    (glyph,) = drawn["glyphs"]
    assert glyph["probabilities"][glyph["label"]] == glyph["confidence"] == drawn["confidence"] > 0.5
    assert sum(glyph["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert glyph["box"] == pytest.approx([0.32, 0.22, 0.36, 0.58])
    photo = ask("POST", "/api/v1/read", files={"image": ("a.png", picture)}, data={"script": "digits"}).json()
    assert (photo["text"], len(photo["glyphs"])) == ("73", 2)
    assert messages.Reading.model_validate(photo)
    as_text = {"image": "data:image/png;base64," + base64.b64encode(picture).decode()}
    assert ask("POST", "/api/v1/read", json={**as_text, "model": "lenet5.mnist"}).json()["text"] == "73"


def test_without_a_choice_the_most_certain_of_the_best_networks_answers(ask):
    answer = ask("POST", "/api/v1/read", json={"sketch": sketch(THREE)}).json()
    assert (answer["text"], answer["script"]) == ("3", "digits")
    star = 0.5 + 0.4 * np.stack([np.sin(np.arange(6) * 4 * np.pi / 5), np.cos(np.arange(6) * 4 * np.pi / 5)], axis=1)
    assert ask("POST", "/api/v1/read", json={"sketch": sketch([star.tolist()])}).json()["accepted"] is False


def test_a_network_of_pages_answers_with_its_votes(ask, picture):
    answer = ask("POST", "/api/v1/read", files={"image": picture}, data={"model": "rootsift_vlad.pages70"}).json()
    assert answer["glyphs"] == []
    assert sum(answer["votes"].values()) >= 1
    refused = ask("POST", "/api/v1/read", json={"sketch": sketch(SEVEN), "model": "rootsift_vlad.pages70"})
    assert "reads whole pages" in refused.json()["detail"]


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/models/lenet5.mnist", "/api/v1/leaderboard/mnist"])
def test_what_seldom_changes_is_sent_once(ask, path):
    first = ask("GET", path)
    assert "lenet5.mnist" in first.text
    again = ask("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert ask("GET", path, headers={"If-None-Match": '"other"'}).content == first.content


def test_networks_and_rows_are_listed_as_they_are_served(ask):
    assert {one["model"] for one in ask("GET", "/api/v1/models").json()} == set(zoo.list_models())
    scores = ask("GET", "/api/v1/models/lenet5.mnist").json()["scores"]
    assert {"population", "worst", "class", "writer"} <= {one["kind"] for one in scores["slices"]}
    rows = ask("GET", "/api/v1/leaderboard/mnist", params={"sort": "accuracy", "descending": "true"}).json()
    measured = [row["accuracy"] for row in rows if row["accuracy"] is not None]  # claims come last
    assert measured == sorted(measured, reverse=True)
    assert len(measured) > 5


def test_a_submission_is_sent_as_a_form_and_its_receipt_is_read(ask):
    fields = {**SENT, "claimed": json.dumps({"optdigits": 0.9})}
    sent = ask("POST", "/api/v1/submissions", data=fields, files={"file": ("net.onnx", onnx_file())})
    assert sent.status_code == 201, sent.text
    receipt = ask("GET", sent.headers["location"]).json()
    assert (receipt["status"], receipt["user"], receipt["claimed"]) == ("PENDING", "ann", {"optdigits": 0.9})
    assert "secret" in sent.json()
    assert "secret" not in receipt
    rejected = ask("POST", "/api/v1/submissions", data={**SENT, "name": "bad"}, files={"file": ("bad.onnx", b"bad")})
    assert (rejected.status_code, rejected.json()["status"]) == (201, "FAILED")


# How it refuses


def claims(claimed):
    """What is sent to claim scores in a form."""
    return {"data": {**SENT, "claimed": json.dumps(claimed)}, "files": {"file": ("net.onnx", b"")}}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "sentence"),
    [
        ("POST", "/read", {"json": {}}, 400, '"image": Field required.'),
        ("POST", "/read", {"json": []}, 400, "should be an object"),
        ("POST", "/read", {"json": {"sketch": sketch(SEVEN), "image": "data:;base64,"}}, 400, "Extra inputs"),
        ("POST", "/read", {"json": {"sketch": sketch(SEVEN), "model": "a", "script": "b"}}, 422, "either a model or"),
        ("POST", "/read", {"json": {"sketch": {"strokes": [[[1, "x"]]], "size": 1}}}, 400, "valid number"),
        ("POST", "/read", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "Invalid JSON"),
        ("POST", "/read", {"content": b"[" * 90_000, "headers": {"Content-Type": "application/json"}}, 413, "values"),
        ("POST", "/read", {"json": {"image": "data:;base64," + "A" * 4_000_000}}, 413, "4,000,000 bytes"),
        ("POST", "/read", {"json": {"image": "\u0645" * 100_001}}, 413, "quotes, escapes and bytes beyond"),
        ("POST", "/read", {"files": {"picture": b"x"}}, 400, "image (a file)"),
        ("POST", "/read", {"data": {"model": "x"}}, 415, "multipart/form-data"),
        ("POST", "/read", {"files": {"image": b"x"}}, 422, "cannot be read as one"),
        ("POST", "/read", {"json": {"sketch": {"strokes": [], "size": 1}}}, 422, "nothing on the pad"),
        ("POST", "/read", {"json": {"sketch": sketch(SEVEN), "model": "lenet"}}, 422, "did you mean lenet5"),
        ("POST", "/read", {"json": {"sketch": sketch(SEVEN), "script": "digit"}}, 422, "did you mean digits"),
        ("GET", "/read", {}, 405, "takes POST"),
        ("GET", "/models/lenet", {}, 404, "did you mean lenet5"),
        ("GET", "/leaderboard/mnits", {}, 404, "no dataset 'mnits'"),
        ("GET", "/leaderboard/mnist?sort=speed", {}, 400, "no column 'speed'"),
        ("GET", "/leaderboard/mnist?descending=x", {}, 400, '"descending"'),
        ("GET", "/submissions/20200101-00000000", {}, 404, "no submission"),
        ("POST", "/submissions", {"json": {"name": 1}}, 400, '"name"'),
        ("POST", "/submissions", {"json": SENT}, 422, "either a file or a repo"),
        ("POST", "/submissions", {"json": {**SENT, "file": "a,b"}}, 400, "a file as text is"),
        ("POST", "/submissions", claims({str(n): 1 for n in range(101)}), 400, '"claimed"'),
        ("POST", "/submissions", claims({str(n): 1 for n in range(50_000)}), 413, "at most 20,000 values"),
        ("POST", "/submissions", claims([[0] * 20_001]), 413, "at most 20,000 values"),
        ("POST", "/submissions", claims({"mnist": [0.9]}), 400, '"claimed'),
        ("GET", "/no/such", {}, 404, "nothing at this address"),
    ],
)
def test_a_refusal_is_a_problem_with_one_sentence(ask, method, path, options, status, sentence):
    answer = ask(method, f"/api/v1{path}", **options)
    said = answer.json()
    assert (answer.status_code, answer.headers["content-type"], said["status"]) == (status, PROBLEM, status), said
    assert sentence in said["detail"]
    assert "\n" not in said["detail"]


@pytest.mark.parametrize(
    "strokes", [[[1] * 19_000], [1] * 19_000, [[[1, 2]], [[1]] * 9_000]], ids=["points", "strokes", "pairs"]
)
def test_of_many_wrong_parts_the_first_is_looked_at(strokes):
    body = json.dumps({"sketch": {"size": 1, "strokes": strokes}}).encode()
    with pytest.raises(ValidationError) as error:
        messages._READ.validate_json(body)
    assert error.value.error_count() == 1


@pytest.mark.parametrize("settings", [";" * 900, "; a=b" * 150, "; " * 9])
def test_what_says_what_a_part_is_says_little(ask, settings):
    part = f'--x\r\nContent-Disposition: form-data; name="image"{settings}\r\n\r\nx\r\n--x--\r\n'
    for media, sentence in (("x", "name of a part is too long"), (f"x{settings}", "Content-Type is too long")):
        headers = {"Content-Type": f"multipart/form-data; boundary={media}"}
        answer = ask("POST", "/api/v1/read", content=part.encode(), headers=headers)
        assert (answer.status_code, sentence in answer.json()["detail"]) == (400, True), answer.text


# The gate


def _requests(api):
    """Every method and path of the API that the gate limits."""
    for path, operations in api.app.openapi()["paths"].items():
        for method in operations:
            if path not in PROBES:
                yield method.upper(), path.format(name="lenet5.mnist", dataset="mnist", id="20200101-00000000")


def test_every_route_is_limited_and_says_when_to_come_again(api, ask, monkeypatch):
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "1")
    ask("GET", "/api/v1/models")
    for method, path in [*_requests(api), ("GET", "/api/v1/no/such"), ("GET", "/api/v1/openapi.json")]:
        answer = ask(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (429, PROBLEM), path
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert ask("GET", "/api/v1/models", "192.0.2.10").status_code == 200
    assert all(ask("GET", path).status_code != 429 for path in PROBES)


def test_a_mistake_of_ours_is_an_incident_on_every_route_and_says_no_value(api, ask, monkeypatch, caplog):
    secret = "".join(["SEC", "RET"])

    def fails(*values, **more):
        raise KeyError(secret)  # the log shows this line, and not its value

    for one, name in (
        (api.engine, "read"), (service, "rows"), (messages, "read_request"),
        ("zoo.rest.served.models", None), ("zoo.rest.served.model", None),
        ("leaderboard.submissions.intake.submit", None),
        ("leaderboard.submissions.intake.queue", None), ("leaderboard.submissions.store.LocalStore.get", None),
    ):  # fmt: skip
        monkeypatch.setattr(one, name, fails) if name else monkeypatch.setattr(one, fails)
    body = {"POST": {"json": {**SENT, "source": "hf://a/b"}}}
    tried = list(_requests(api))
    assert len(tried) == 6
    for method, path in tried:
        answer = ask(method, path, **body.get(method, {}))
        assert answer.status_code == 500, (path, answer.text)
        incident = answer.json()["detail"].removesuffix(".").rpartition(" ")[2]
        assert len(incident) == 8
        assert incident in caplog.text
    assert secret not in caplog.text


def test_a_file_of_the_server_is_what_the_same_caller_uploaded(ask, picture, tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(picture)
    asked = {"json": {"image": {"path": str(path)}, "model": "lenet5.mnist"}}
    assert ask("POST", "/api/v1/read", **asked).status_code == 403
    UPLOADS.note([str(path)], Caller("192.0.2.9"))
    assert ask("POST", "/api/v1/read", **asked).json()["text"] == "73"
    assert ask("POST", "/api/v1/read", "192.0.2.10", **asked).status_code == 403
    sent = {"json": {**SENT, "file": {"path": str(path)}}}
    assert ask("POST", "/api/v1/submissions", **sent).status_code == 400  # only a data URI, or a form


def test_large_requests_hold_so_much_memory_together(ask, picture, monkeypatch):
    held = Share("bytes", 2 * len(picture), 3 * len(picture), least=2 * len(picture))
    monkeypatch.setattr("zoo.gate.bodies.LONG", 100)
    monkeypatch.setattr("zoo.gate.bodies.HELD", held)
    asked = {"files": {"image": picture}, "data": {"model": "lenet5.mnist"}}
    assert ask("POST", "/api/v1/read", **asked).status_code == 200
    held.take("198.51.100.1", 2 * len(picture))
    busy = ask("POST", "/api/v1/read", **asked)
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
    held.give("198.51.100.1", 2 * len(picture))
    assert ask("POST", "/api/v1/read", **asked).status_code == 200


def test_an_address_has_few_requests_at_a_time(ask, picture, monkeypatch):
    monkeypatch.setattr("zoo.gate.traffic.REQUESTS", Share("requests", 0, 9))
    answer = ask("POST", "/api/v1/read", files={"image": picture}, data={"model": "lenet5.mnist"})
    assert (answer.status_code, "from your address" in answer.json()["detail"]) == (429, True)
    assert ask("GET", "/healthz").status_code == 200


def test_on_a_space_a_submission_takes_a_proved_user(ask, monkeypatch):
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "me/zoo")
    answer = ask("POST", "/api/v1/submissions", json={**SENT, "source": "hf://a/b"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    monkeypatch.setattr("zoo.hub.identity.is_own", lambda token: True)
    own = ask(
        "POST", "/api/v1/submissions", json={**SENT, "source": "hf://a/b"}, headers={"Authorization": "Bearer hf_a"}
    )
    assert "belongs to the Space" in own.json()["detail"]


# Queues and networks


def test_what_waits_together_is_done_together_and_a_full_queue_refuses():
    begun, go, sizes = threading.Event(), threading.Event(), []

    def work(asked):
        sizes.append(len(asked))
        begun.set()
        go.wait(10)
        return [ValueError("bad") if one == "bad" else one * 2 for one in asked]

    async def scene():
        queue = BatchQueue(work, "test", batch=4, most_waiting=6)
        first = asyncio.create_task(queue.ask(1))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.create_task(queue.ask(one, str(place))) for place, one in enumerate((2, 3, "bad", 4, 5, 6))]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="6 calls are waiting: try again"):
            await queue.ask(7, "another")
        others[1].cancel()
        await asyncio.sleep(0)  # it leaves the queue
        go.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        queue.close()
        with pytest.raises(Busy, match="shutting down"):
            await queue.ask(8)
        return answers

    answers = asyncio.run(scene())
    assert [one for one in answers if isinstance(one, int)] == [2, 4, 8, 10, 12]
    assert sizes == [1, 4, 1]  # the cancelled one is left out


def test_senders_take_turns():
    """A visitor's call is in the next batch, however many a stranger's wait."""
    begun, go, batches = threading.Event(), threading.Event(), []

    def work(asked):
        batches.append(list(asked))
        begun.set()
        go.wait(10)
        return asked

    async def scene():
        queue = BatchQueue(work, "test", batch=4, most_waiting=40)
        calls = [asyncio.create_task(queue.ask(0, "stranger"))]
        await asyncio.to_thread(begun.wait, 10)
        calls += [asyncio.create_task(queue.ask(n, "stranger")) for n in range(1, 11)]
        calls += [asyncio.create_task(queue.ask(99, "visitor"))]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="10 calls from your address"):
            await queue.ask(1, "stranger")
        go.set()
        await asyncio.gather(*calls)
        queue.close()

    asyncio.run(scene())
    assert batches == [[0], [1, 99, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


@pytest.mark.parametrize(
    ("models", "seconds", "most"),
    [
        (("slow",), {"slow": 0.003}, 3),
        (("slow", "quick", "slower"), {"slow": 0.001, "quick": 0.0001, "slower": 0.003}, 2),
        (("slow",), {"slow": 2.0}, 1),
        (("new",), {}, 1),
        (("quick",), {"quick": 0.0001}, 32),
    ],
    ids=["slow", "several", "slower than a batch", "not known yet", "quick"],
)
def test_a_batch_of_slow_networks_is_short(models, seconds, most, monkeypatch):
    """32 sketches for the slowest took a quarter of a second, and a visitor waited for two such batches."""
    begun, go, batches = threading.Event(), threading.Event(), []

    def work(self, asked):
        batches.append([one.size for one in asked])
        begun.set()
        assert go.wait(20)
        return [{} for _ in asked]

    async def scene():
        monkeypatch.setattr(engine.Engine, "_sketches", work)
        monkeypatch.setattr(engine.Engine, "_is_quick", lambda self, name: True)
        one = engine.Engine(threads=1)
        one._seconds.update({**seconds, "visitors": 0.0005})
        strokes = [[(0.0, 0.0)] * 40]
        asked = [(engine.Sketch(strokes, 10, 0.1, models), f"stranger{n % 4}") for n in range(120)]
        calls = [asyncio.create_task(one.read(*each)) for each in asked]
        await asyncio.to_thread(begun.wait, 20)
        calls.append(asyncio.create_task(one.read(engine.Sketch(strokes, 11, 0.1, ("visitors",)), "visitor")))
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*calls)
        one.close()

    asyncio.run(scene())
    assert max(map(len, batches[1:])) <= most + 1  # with the visitor's
    assert len(batches[-2]) >= min(most, 8)  # and no shorter
    assert sum(map(len, batches[: next(n for n, one in enumerate(batches) if 11 in one)])) <= 8 + most


@pytest.mark.parametrize("places", [engine.PICTURES, engine.SKETCHES, local.MOST_WAITING])
def test_a_few_senders_leave_places_of_a_queue_to_the_next_one(places):
    """Two, and eight: the fuller it is, the less one has; a newcomer always has one."""

    async def scene():
        queue = BatchQueue(lambda asked: asked, "test", threads=0, most_waiting=places)
        calls = []
        for sender in range(8):
            for _ in range(places):
                calls.append(asyncio.create_task(queue.ask(1, f"stranger{sender}")))
                await asyncio.sleep(0)
        waiting = queue.waiting
        calls.append(asyncio.create_task(queue.ask(1, "visitor")))
        await asyncio.sleep(0)
        assert places / 2 < waiting < queue.waiting < places
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert queue.waiting == 0

    asyncio.run(scene())


def test_what_a_picture_is_padded_with_holds_nothing_while_it_is_read(ask, picture, monkeypatch):
    """Spaces behind the JSON, and a second value; what is read counts."""
    held, seen = Share("bytes", 10**6, 10**7), []
    for place in ("zoo.gate.bodies", "zoo.rest.application"):
        monkeypatch.setattr(f"{place}.HELD", held)
    monkeypatch.setattr("zoo.gate.bodies.LONG", 100)
    monkeypatch.setattr(engine, "of_picture", lambda *_: seen.append(held._sum) or {})
    said = json.dumps({"image": "data:image/png;base64," + base64.b64encode(picture).decode(), "model": "lenet5.mnist"})
    for body in (said, said + " " * 500_000, " " * 500_000 + said):
        answer = ask("POST", "/api/v1/read", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200
    ask("POST", "/api/v1/read", files={"image": picture}, data={"model": "lenet5.mnist"})
    assert seen == [len(json.loads(said)["image"])] * 3 + [len(picture)]
    assert held._sum == 0


def test_a_sender_whose_calls_take_long_leaves_threads_to_others():
    """To several, and gets the share back as calls are done; a queue that closes answers all the same."""
    go, begun = threading.Event(), []

    def work(asked):
        begun.extend(asked)
        if asked[0].startswith("slow"):
            go.wait(20)
        return asked

    async def scene():
        queue = BatchQueue(work, "test", threads=8)
        slow = [asyncio.create_task(queue.ask(f"slow{n}", "stranger")) for n in range(6)]
        slow += [asyncio.create_task(queue.ask("slow", f"other{n}")) for n in range(2)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(queue.ask("quick", "visitor"), 10) == "quick"
        assert sorted(set(begun) - {"slow1"}) == ["quick", "slow", "slow0"]  # the stranger has one or two
        assert begun.count("slow") == 2
        go.set()
        await asyncio.to_thread(queue.close)
        assert len(await asyncio.gather(*slow)) == 8

    asyncio.run(scene())


@pytest.mark.parametrize("senders", [1, 4, 9])
def test_senders_whose_pictures_take_long_leave_a_thread_to_the_next_one(senders):
    """Four that sent one slow picture each, and waited, held all threads."""
    go = threading.Event()

    def work(asked):
        if asked[0] == "slow":
            go.wait(20)
        return asked

    async def scene():
        served = engine.Engine()
        queue = BatchQueue(work, "test", threads=len(served.pictures._threads), most_waiting=engine.PICTURES)
        served.close()
        slow = [asyncio.create_task(queue.ask("slow", f"stranger{n}")) for n in range(senders) for _ in range(4)]
        await asyncio.sleep(0.05)
        assert await asyncio.wait_for(queue.ask("quick", "visitor"), 10) == "quick"
        go.set()
        await asyncio.gather(*slow)
        await asyncio.to_thread(queue.close)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("strokes", "points"),
    [(1, engine.POINTS + 1), (1, 5000), (500, 1), (46, 1), (60, 3)],
)
def test_long_sketches_delay_no_others(strokes, points, monkeypatch):
    """Eight at a time made everybody's sketches sixty times slower; a dot takes as long as a line of many points."""
    go, begun = threading.Event(), threading.Event()

    def work(self, asked):
        if asked[0].size == 11:
            begun.set()
            assert go.wait(20)
        return [{} for _ in asked]

    async def scene():
        monkeypatch.setattr(engine.Engine, "_sketches", work)
        monkeypatch.setattr(engine.Engine, "_is_quick", lambda self, name: True)
        one = engine.Engine(threads=1)
        long = engine.Sketch([[(0.0, 0.0)] * points] * strokes, 11, 0.1, ("a",))
        usual = engine.Sketch([[(0.0, 0.0)] * 40] * 10, 10, 0.1, ("a",))
        waiting = [asyncio.create_task(one.read(long, "stranger")) for _ in range(8)]
        await asyncio.to_thread(begun.wait, 20)
        for sender in ("visitor", "stranger"):
            await asyncio.wait_for(one.read(usual, sender), 20)
        assert not any(call.done() for call in waiting)
        go.set()
        await asyncio.gather(*waiting)
        one.close()

    asyncio.run(scene())


def test_what_was_asked_before_closing_is_answered():
    queue = BatchQueue(lambda asked: [time.sleep(0.05) or one for one in asked], "slow")

    async def scene():
        tasks = [asyncio.create_task(queue.ask(one)) for one in range(4)]
        await asyncio.sleep(0)
        await asyncio.to_thread(queue.close)
        return await asyncio.gather(*tasks)

    assert asyncio.run(scene()) == [0, 1, 2, 3]


def test_a_batch_has_the_answers_of_single_calls():
    """Whatever the networks, and with one that cannot be read among them."""
    one = engine.Engine()
    asked = [
        engine.Sketch(strokes, 1.0, 0.045, models)
        for models in (("lenet5.mnist",), ("hdr_cnn.mnist", "lenet5.ahdd"))
        for strokes in (SEVEN, [], THREE)
    ]
    together = one._sketches(asked)
    alone = [one._sketches([each])[0] for each in asked]
    assert [str(answer)[:40] for answer in together] == [str(answer)[:40] for answer in alone]
    assert [isinstance(answer, Exception) for answer in together] == [False, True, False] * 2
    one.close()


def test_a_slow_network_holds_up_no_sketch_for_another(monkeypatch):
    """Nor does one of somebody that has read nothing yet: it waits with what is long."""
    one, asked = engine.Engine(), []

    async def ask(queue, sketch, sender):
        asked.append((*sketch.models, queue is one.sketches))

    monkeypatch.setattr(BatchQueue, "ask", ask)
    one._seconds |= {"lenet5.ahdd": 1.0, "own.mnist": 0.001}
    for models in (
        ("lenet5.mnist",),
        ("lenet5.ahdd",),
        ("lenet5.mnist", "lenet5.ahdd"),
        ("own.mnist",),
        ("new.mnist",),
    ):
        asyncio.run(one.read(engine.Sketch(SEVEN, 1.0, 0.045, models)))
    one.close()
    assert [quick for *_, quick in asked] == [True, False, False, True, False]


def test_the_least_recently_used_networks_are_dropped():
    loaded, a, b, c = [], "lenet5.mnist", "lenet5.ahdd", "lenet5.ahcd"
    two = 2 * (PRETRAINED / c / "model.onnx").stat().st_size  # c has the most classes
    for bound in ({"most_bytes": two}, {"most": 2}):
        loaded.clear()
        cache = ModelCache(load=lambda name: loaded.append(name) or zoo.load_predictor(name), **bound)
        for name in (a, b, a, c, a, b):
            assert cache(name).name == name
        assert loaded == [a, b, c, b]
        assert cache.loaded == (a, b)
    with pytest.raises(zoo.UnknownName):
        cache("../lenet5.mnist")


# What it counts and logs


def test_counts_are_written_a_few_times_a_second_however_often_they_are_asked_for(api, monkeypatch):
    written = []
    monkeypatch.setattr(metrics, "_written", lambda engine: written.append(engine) or b"counts")
    monkeypatch.setattr(metrics, "_page", (-1.0, b""))
    assert {metrics.page(api.engine).body for _ in range(100)} == {b"counts"}
    assert len(written) < 5
    monkeypatch.setattr(metrics, "KEPT", -1.0)
    metrics.page(api.engine)
    metrics.page(api.engine)
    assert len(written) >= 3


def test_requests_are_counted_and_logged_without_what_was_sent(api, caplog, monkeypatch):
    monkeypatch.setattr(metrics, "KEPT", -1.0)

    async def exchange():
        transport = httpx.ASGITransport(observing.Observed(api), client=("203.0.113.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://zoo") as client:
            await client.post("/api/v1/read?name=Alice", json={"sketch": sketch(SEVEN), "model": "lenet5.mnist"})
            await client.get("/api/v1/models/Bob")
            return (await client.get("/metrics")).text

    with caplog.at_level(logging.INFO, "zoo.access"):
        counted = asyncio.run(exchange())
    assert 'zoo_requests_total{method="POST",route="/api/v1/read",status="200"}' in counted
    assert 'zoo_refusals_total{status="404"}' in counted
    assert 'zoo_queue_waiting{queue="pictures"} 0.0' in counted
    lines = [json.loads(observing.JsonLines().format(record)) for record in caplog.records]
    asked = [(line["route"], line["status"]) for line in lines if line["logger"] == "zoo.access"]
    assert asked[:2] == [("/api/v1/read", 200), ("/api/v1/models/{name}", 404)]
    for private in ("203.0.113.7", "Alice", "Bob", "strokes"):
        assert private not in json.dumps(lines) + counted
