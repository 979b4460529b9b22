"""Pages of models are made once until the board changes, and what only changes a page runs in few threads."""

import gradio as gr
import pandas as pd
import pytest

from leaderboard.tabs import board, board_frame, table_html
from leaderboard.tabs.board_frame import Kept
from zoo import gate
from zoo.tabs.space import OF_PAGES, PLACES, Space, api


class Board:
    """A board whose rows are replaced, and a page that counts how often it is made."""

    def __init__(self, *models: str):
        self.rows, self.made = pd.DataFrame({"model": models}), []

    def __call__(self) -> pd.DataFrame:
        return self.rows

    def page(self, *arguments: object) -> str:
        self.made.append(arguments[:-1])
        assert arguments[-1] is self.rows
        return f"a page of {arguments[:-1]}"


def test_a_page_is_made_once_until_the_board_changes():
    shown = Board("a", "b")
    kept = Kept(shown, shown.page)
    for _ in range(3):
        assert (kept("a"), kept("a", "b"), kept("a", None), kept()) == tuple(
            f"a page of {arguments}" for arguments in (("a",), ("a", "b"), ("a", None), ())
        )
    assert len(shown.made) == 4
    shown.rows = pd.DataFrame({"model": ["b"]})
    kept("b")
    kept("b")
    kept("a")
    assert shown.made[4:] == [("b",), ("a",)]


def test_names_of_no_model_push_nothing_out():
    shown = Board("a")
    kept = Kept(shown, shown.page)
    kept("a")
    for number in range(50):
        kept("x" * number + "y")
        kept("a", str(number))
    assert list(kept._pages) == [("a",)]


def test_pages_that_were_shown_least_recently_are_dropped(monkeypatch):
    monkeypatch.setattr(board_frame, "MOST_KEPT", 50)
    shown = Board("a", "b", "c")
    kept = Kept(shown, shown.page)  # 16 bytes each
    for model in "abca":
        kept(model)
    kept("a", "b")
    assert list(kept._pages) == [("a",), ("a", "b")]
    assert kept._bytes == sum(map(len, kept._pages.values())) <= 50


@pytest.mark.parametrize("dataset", ["mnist", board.OVERALL])
def test_a_ranking_is_drawn_once_for_all_who_choose_it(monkeypatch, dataset):
    drawn = []
    for name in ("render", "front", "overall"):
        draw = getattr(table_html, name)

        def drawing(*said, draw=draw, name=name, **more):
            drawn.append(name)
            return draw(*said, **more)

        monkeypatch.setattr(table_html, name, drawing)
    with gr.Blocks() as blocks:
        board.tab()
    drawn.clear()
    show = next(fn for fn in blocks.fns.values() if fn.fn.__name__ == "show")
    chosen = {one: dataset if one.elem_id == "board-dataset" else one.value for one in show.inputs}
    search = next(one for one in show.inputs if one.elem_id == "board-search")
    for words in ("cnn", "glyphnet", "cnn"):
        page = show.fn({**chosen, search: words})
    assert any("data-address" in str(said) and "hdr_cnn" in str(said) for said in page.values())
    assert sorted(drawn) == (["overall"] if dataset == board.OVERALL else ["front"] * 2) + ["render"] * 2


@pytest.mark.parametrize("event", ["click", "select", "load"])
def test_functions_of_pages_share_few_places(event):
    @gate.endpoint
    def slow() -> str:
        return ""

    with Space() as blocks:
        button, tab = gr.Button(), gr.Tab()
        for _ in range(3):
            {"click": button.click, "select": tab.select, "load": blocks.load}[event](lambda: None)
        button.click(lambda: None, concurrency_limit=PLACES)
        api(slow)
    blocks.queue(default_concurrency_limit=OF_PAGES)
    for fn in blocks.fns.values():
        blocks._queue.create_event_queue_for_fn(fn)
    limits = sorted(one.concurrency_limit for one in blocks._queue.event_queue_per_concurrency_id.values())
    assert limits == [OF_PAGES, PLACES, PLACES]
