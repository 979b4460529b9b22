"""What the Space keeps of a call once it is answered: nothing of its values."""

import gc
import os
import tracemalloc
from functools import partial

import gradio as gr
import pytest
from gate_calls import call, queue
from gradio.data_classes import FileData, ListFiles
from gradio.state_holder import SessionState

from zoo import gate
from zoo.errors import ZooError
from zoo.tabs.space import Space, api

SIZE = 1_000_000  # characters of what a call sends or gets
CALLS = 8


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
    assert kept < 5 * SIZE  # Gradio's loops hold the last call


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
