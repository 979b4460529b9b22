"""What the Space keeps of a call once it is answered: nothing of its values."""

import gc
import json
import os
import threading
import time
import tracemalloc
from functools import partial
from types import SimpleNamespace

import anyio
import gradio as gr
import httpx
import pytest
from gate_calls import API, call, queue
from gradio import queueing
from gradio.data_classes import FileData, ListFiles
from gradio.state_holder import SessionState

from zoo import gate
from zoo.errors import ZooError
from zoo.gate import endpoints
from zoo.tabs import unread
from zoo.tabs.door import Door
from zoo.tabs.space import Space, api

SIZE = 1_000_000  # characters of what a call sends or gets
CALLS = 20
GO = threading.Event()


@gate.endpoint
def takes(file: gate.Upload) -> str:
    return "taken"


@gate.endpoint
def fails(file: gate.Upload) -> str:
    raise ZooError("no such file")


@gate.endpoint
def gives(count: int) -> str:
    return "a" * count


def grows(count):
    yield "a" * int(count)
    yield "b" * int(count)


@pytest.fixture(scope="module")
def demo():
    """A small Space in this process: endpoints, and functions of its page."""
    with Space(title="small", analytics_enabled=False) as space:
        for one in (takes, fails, gives):
            api(one)
        page, number = gr.HTML("small"), gr.Number()
        gr.Button().click(lambda value: value, page, page)
        gr.Button().click(lambda value: gr.HTML(value, visible=True), page, page)
        gr.Button().click(grows, number, page)
        number.submit(lambda: GO.wait(30), None, None)
    space.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield space
    space.close(verbose=False)


FILE = "data:text/plain;base64," + "AAAA" * (SIZE // 4)


def test_a_program_leaves_no_session_and_a_page_keeps_its_own(demo):
    """So programs do not push out what visitors have chosen."""
    url = demo.local_url.rstrip("/")
    press = next(id for id, one in demo.fns.items() if any(event == "click" for _, event in one.targets))
    assert queue(url, press, ["seen"]).fine
    before, used = set(demo.state_holder.session_data), set(demo.state_holder.time_last_used)
    for name, values in (("takes", [FILE]), ("fails", [FILE]), ("gives", [2]), ("gives", ["two"])):
        call(url, name, values)
    assert set(demo.state_holder.session_data) == before
    assert set(demo.state_holder.time_last_used) == used
    assert before


def test_a_session_begins_without_a_configuration_of_the_page(demo, monkeypatch):
    """Neither a program's nor a page's; Gradio wrote down each component, for its own links, which are closed."""
    url = demo.local_url.rstrip("/")
    written, summaries = [], []
    config_for_block = demo.default_config.config_for_block
    monkeypatch.setattr(
        type(demo.default_config),
        "config_for_block",
        lambda self, id, *rest: (written.append(id), config_for_block(id, *rest))[1],
    )
    monkeypatch.setattr(demo._queue, "_get_df", lambda records: summaries.append(len(records)))
    presses = [id for id, one in demo.fns.items() if any(event == "click" for _, event in one.targets)]
    assert call(url, "gives", [2]).fine
    assert all(queue(url, press, [value]).fine for press, value in zip(presses, ("seen", "seen", 2), strict=True))
    assert SessionState(demo).config_values == {}
    assert len(set(written)) <= 1  # of the component whose value changed
    assert not summaries


def test_a_call_that_is_cancelled_before_it_begins_gives_its_place_back(demo, monkeypatch):
    """`/cancel` looks for tasks by their names, and finds those that were only just made."""
    url, waiting = demo.local_url.rstrip("/"), demo._queue
    name_it = queueing.set_task_name

    def cancelled(task, *named):
        name_it(task, *named)
        task.cancel()

    monkeypatch.setattr(queueing, "set_task_name", cancelled)
    for _ in range(10):  # of the four places that an address has
        assert httpx.post(f"{url}{API}/call/takes", json={"data": ["data:;base64,"]}).is_success
        for _ in range(200):
            if not len(waiting):
                break
            time.sleep(0.05)
    monkeypatch.undo()
    assert call(url, "takes", [FILE]).fine
    for _ in range(100):  # what is done after the answer
        if not waiting.event_ids_to_events:
            break
        time.sleep(0.05)
    assert not waiting.event_ids_to_events
    assert not [job for job in waiting.active_jobs if job]
    assert {one.current_concurrency for one in waiting.event_queue_per_concurrency_id.values()} == {0}
    assert not any(one.start_times_per_fn for one in waiting.event_queue_per_concurrency_id.values())


@pytest.mark.parametrize(
    ("called", "values", "fine"),
    [
        ("takes", [FILE], True),
        ("fails", [FILE], False),
        ("gives", [SIZE], True),
        (0, ["a" * SIZE], True),
        (1, ["a" * SIZE], True),
        (2, [SIZE], True),
    ],
)
def test_values_are_forgotten_when_a_call_is_answered(demo, called, values, fine):
    """Of an endpoint and of the page, sent and returned, of a call that fails, of one with several answers."""
    url = demo.local_url.rstrip("/")
    function = called if isinstance(called, str) else [id for id, one in demo.fns.items() if one.inputs][3 + called]

    def ask():
        answer = call(url, function, values) if isinstance(function, str) else queue(url, function, values)
        assert answer.fine == fine, answer.text[:200]

    ask()  # what is made once is there
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(CALLS):
            ask()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < CALLS / 2 * SIZE  # Gradio's loops hold the last calls


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ("queue/data?session_hash=one", 429),
        ("queue/data?session_hash=zz&session_hash=one", 429),
        ("queue/data?session_hash=one&session_hash=zz", 404),  # Gradio reads the last one
        ("call/gives/{event}", 429),
        ("call/v2/gives/{event}", 429),
        ("call/gives/status", 404),
        ("call/gives/data", 404),
    ],
)
def test_a_session_has_one_stream_of_answers(demo, other, status):
    """Whatever names it: each other one wrote a trace into the log when its client left, while all others waited."""
    url, waits = f"{demo.local_url}{API[1:]}/", list(demo.fns)[-1]
    GO.clear()
    with httpx.Client(timeout=30) as client:
        said = {"data": [], "fn_index": waits, "session_hash": "one"}
        event = client.post(f"{url}queue/join", json=said).json()["event_id"]
        with client.stream("GET", f"{url}queue/data?session_hash=one") as answers:
            try:
                with client.stream("GET", url + other.format(event=event)) as refused:
                    assert refused.status_code == status
            finally:
                GO.set()
            assert "process_completed" in answers.read().decode()


@pytest.mark.parametrize("end", ["", "/close"])
def test_frames_come_to_a_camera_alone(demo, end):
    """They replaced the values of any call that waits, past all bounds of what waits."""
    url, waits = f"{demo.local_url}{API[1:]}/", list(demo.fns)[-1]
    GO.clear()
    with httpx.Client(timeout=30) as client:
        said = {"data": [], "fn_index": waits, "session_hash": "two"}
        event = client.post(f"{url}queue/join", json=said).json()["event_id"]
        try:
            for name in (event, "nobody"):
                answer = client.post(f"{url}stream/{name}{end}", json={**said, "data": ["x"]})
                assert (answer.status_code, "No camera" in answer.text) == (404, True)
        finally:
            GO.set()
        assert '"success":true' in client.get(f"{url}queue/data?session_hash=two").text.replace(" ", "")


@pytest.mark.parametrize(("text", "weight"), [("a", 1), ("\u0663", 4), ("a\U0001f600", 4)])
def test_values_that_wait_count_as_memory_has_them(text, weight):
    """Of a call, and of the next frame of a camera in its place."""
    camera = SimpleNamespace(streaming=True, request=SimpleNamespace(scope={}))
    queue = SimpleNamespace(event_ids_to_events={"a1": camera}, event_queue_per_concurrency_id={}, max_size=500)
    queue.pending_messages_per_session = {}
    passed = []

    async def app(scope, receive, send):
        passed.append((scope["zoo.bytes"], len((await receive())["body"])))

    async def send(message):
        pass

    async def ask():
        body = json.dumps({"data": [text * 1000], "session_hash": "a"}).encode()
        parts = [{"type": "http.request", "body": body}]

        async def receive():
            return parts.pop() if parts else await anyio.sleep_forever()

        scope = {
            "type": "http",
            "method": "POST",
            "path": f"{API}/stream/a1",
            "headers": [],
            "client": ("192.0.2.1", 1),
        }
        await Door(app, SimpleNamespace(_queue=queue, endpoints={}, fns={}, blocks={}), None)(scope, receive, send)

    anyio.run(ask)
    assert [(size / length, size) for size, length in passed] == [(weight, camera.request.scope["zoo.bytes"])]


def test_a_session_whose_stream_is_open_is_not_dropped():
    """Also between two of its messages: its stream would find none, and end with a trace."""
    queue = SimpleNamespace(event_ids_to_events={}, pending_event_ids_session={})
    kept = unread.Unread(queue)
    kept["open"], kept["left"] = object(), object()
    with kept.stream("open"):
        kept.check("other", "192.0.2.1")
        assert list(kept) == ["open"]
    kept.check("other", "192.0.2.1")
    assert not kept


@pytest.mark.parametrize("by_gradio", [True, False])
def test_of_a_session_that_is_gone_nothing_stays(by_gradio, monkeypatch):
    """Gradio itself deletes one whose client leaves while its call runs."""
    queue = SimpleNamespace(event_ids_to_events={}, pending_event_ids_session={"left": {"its event"}})
    kept = unread.Unread(queue)
    kept["left"] = object()
    if by_gradio:
        del kept["left"]
    kept.check("other", "192.0.2.1")
    assert queue.pending_event_ids_session  # a stream that ends looks there
    monkeypatch.setattr(unread, "DROPPED", 0.0)
    kept.check("other", "192.0.2.1")
    assert not queue.pending_event_ids_session


@pytest.mark.parametrize("tasks", [0, 1, 2], ids=["alone", "in a task", "in two tasks"])
@pytest.mark.parametrize("error", [KeyError, RuntimeError, OSError])
def test_an_answer_that_ends_with_an_error_writes_one_trace(error, tasks, caplog, monkeypatch):
    """Writing one takes long, in the event loop."""
    monkeypatch.setattr(endpoints, "_traced", {})

    async def fail():
        raise error("s3cret")

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(fail)
        await fail()

    async def ask(scope):
        async def send(message):
            pass

        await Door(app, SimpleNamespace(), None)(scope, anyio.sleep_forever, send)

    scope = {"type": "http", "method": "GET", "path": "/theme.css", "query_string": b"", "headers": []}
    for n in range(20):
        anyio.run(ask, {**scope, "client": (f"192.0.2.{n}", 1)})
    said = caplog.text
    assert (said.count("Incident"), said.count("in fail"), said.count("s3cret")) == (20, 1, 1)  # the line of the code


@pytest.mark.parametrize(
    "component", [gr.File, partial(gr.File, file_count="multiple"), gr.UploadButton, gr.DownloadButton]
)
def test_a_call_with_files_leaves_no_others_among_the_uploads(component, tmp_path):
    """Of one file and of several, by every component that takes some; their types are still checked."""
    sent, made = tmp_path / "a.png", component()
    sent.write_bytes(b"x")
    made.GRADIO_CACHE = str(tmp_path)
    payload = FileData(path=str(sent))
    several = ListFiles(root=[payload]) if getattr(made, "file_count", "") == "multiple" else payload
    assert str(sent) in made.preprocess(several)
    assert os.listdir(tmp_path) == ["a.png"]
    if component is gr.File:
        with pytest.raises(gr.Error, match="Invalid file type"):
            gr.File(file_types=[".zip"]).preprocess(payload)


@pytest.mark.parametrize(
    "component",
    [gr.CheckboxGroup, partial(gr.CheckboxGroup, type="index"), partial(gr.Dropdown, multiselect=True),
     partial(gr.Dropdown, multiselect=True, allow_custom_value=True)],
)  # fmt: skip
def test_a_choice_is_made_once(component):
    """One ticked value, sent 19,900 times, made a page of as many buttons."""
    with Space(analytics_enabled=False) as space:
        gr.Button().click(lambda value: value, component(["a", "b"]), None)
    (function,) = space.fns.values()
    assert anyio.run(space.preprocess_data, function, [["b", "a"]], None) in ([["b", "a"]], [[1, 0]])
    for value in (["a", "a"], ["b", "a", "b"], ["a"] * 19_900):
        with pytest.raises(ZooError, match="does not send such values"):
            anyio.run(space.preprocess_data, function, [value], None)
