"""The *Leaderboard* tab: the table and its front, a model's page, two models head to head, the datasets.

`leaderboard` is also the Space's `/leaderboard` endpoint. Pages are pure functions of the frame in the modules beside
this one; here they are only wired to what a visitor touches.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
import pandas as pd

import zoo
from leaderboard import downloads, results, snapshot, table
from leaderboard.tabs import compare, datasets, model, rows
from leaderboard.tabs.markup import VISIT
from zoo.settings import PRETRAINED

STYLE = Path(__file__).with_name("board.css")
OVERALL = "overall"
SIZES = {
    "any size": (0, np.inf),
    "below 10,000": (0, 1e4),
    "10,000 to 100,000": (1e4, 1e5),
    "100,000 to 1 million": (1e5, 1e6),
    "1 million and more": (1e6, np.inf),
}
EMBED = """Read the rows from a program: the endpoint `/leaderboard` of this Space, or
`datasets.load_dataset("leaderboard/records")` in a clone of the repository. Show the board in a page of yours, light or
dark (`__theme=dark`):

```html
<iframe src="https://…/?tab=leaderboard&dataset=mnist&embed=1" width="100%" height="720"></iframe>
```"""
QUIET = {"show_progress": "hidden", "api_visibility": "private"}


class Live:
    """The board's frame, read anew when it was written since: submissions put rows there while the Space runs."""

    def __init__(self):
        self._state, self._frame = self._now(), snapshot.load()

    @staticmethod
    def _now() -> int | None:
        path = results.RECORDS / snapshot.NAME
        return path.stat().st_mtime_ns if path.exists() else None

    def __call__(self) -> pd.DataFrame:
        if (state := self._now()) != self._state:
            self._state, self._frame = state, snapshot.load()
        return self._frame


@dataclass(frozen=True)
class Links:
    """The places of the board that an address can name.

    place: parts of an address, such as {"model": "lenet5.mnist"} -> what becomes of the components of the board.
    targets: those components.
    """

    place: Callable[[Mapping[str, str]], dict]
    targets: list
    fresh: Callable[[], dict]  # what became of components since they were built

    def follow(self, demo: gr.Blocks, tabs: gr.Tabs) -> None:
        """Let the page open where its address says; `tabs` are those that the board is one of."""

        def open_page(request: gr.Request):
            parts, fresh = dict(request.query_params), self.fresh()
            if parts.get("tab") != "leaderboard":
                return {tabs: gr.skip(), **fresh}
            placed = self.place(parts)
            for component in placed.keys() & fresh.keys():  # new choices, and the one that the address names
                fresh[component]["value"] = placed[component]
            return {tabs: gr.Tabs(selected="leaderboard"), **placed, **fresh}

        demo.load(open_page, None, [tabs, *self.targets], **QUIET)


def tab() -> Links:
    """Build the tab inside a `gr.Blocks` from the records as they are now, with its endpoint `/leaderboard`."""
    frame = Live()
    with gr.Tabs(elem_id="board-views") as views:
        with gr.Tab("Ranking", id="ranking"):
            renew, files, dataset, *ranking_pages = _ranking(frame)
        with gr.Tab("Model", id="model"):
            place_model, *model_targets = _model(frame)
        with gr.Tab("Compare", id="compare"):
            place_pair, *pair_targets = _compare(frame)
        with gr.Tab("Datasets", id="datasets"):
            gr.HTML(datasets.page(), apply_default_css=False, elem_id="board-datasets")

    def place(parts: Mapping[str, str]) -> dict:
        if "model" in parts:
            return {views: gr.Tabs(selected="model"), **place_model(parts["model"])}
        if parts.get("view") == "compare":
            return {views: gr.Tabs(selected="compare"), **place_pair(parts.get("first"), parts.get("second"))}
        if parts.get("view") == "datasets":
            return {views: gr.Tabs(selected="datasets")}
        chosen = parts.get("dataset")
        known = chosen == OVERALL or chosen in set(frame()["dataset"])
        return {views: gr.Tabs(selected="ranking"), **({dataset: chosen} if known else {})}

    def visit(event: gr.EventData):
        return place(event._data)

    built = frame()
    models = (model_targets[0], *pair_targets[:2])

    def fresh() -> dict:
        if frame() is built:
            return {}
        return {**renew(), **{choice: gr.update(choices=_recorded(frame())) for choice in models}}

    targets = [views, dataset, *model_targets, *pair_targets]
    for page in (*ranking_pages, model_targets[1], pair_targets[2]):
        page.visit(visit, None, targets, **QUIET)
    _endpoint(frame)
    return Links(place, [*targets, *ranking_pages, *files], fresh)


def _ranking(frame: Live) -> tuple:
    """Build the table and its front; return what renews them, the downloads, the choice of the dataset, the pages."""
    choices = _datasets(frame())
    first = choices[0] if choices else None
    dataset = gr.Radio(choices, value=first, label="Dataset", elem_id="board-dataset")
    with gr.Row(elem_id="board-tools"):
        search = gr.Textbox(placeholder="Search", show_label=False, elem_id="board-search", scale=3)
        size = gr.Dropdown(list(SIZES), value="any size", show_label=False, elem_id="board-size", scale=1)
    with gr.Accordion("Filters and columns", open=False, elem_id="board-filters"):
        status, recipe, licence = (
            gr.CheckboxGroup(_values(frame(), name), label=name.capitalize(), elem_id=f"board-{name}")
            for name in ("status", "recipe", "licence")
        )
        columns = gr.CheckboxGroup(
            [(table.BY_NAME[name].title, name) for name in rows.CHOOSABLE],
            value=[name for name in rows.SHOWN if name in rows.CHOOSABLE],
            label="Columns",
            elem_id="board-columns",
        )
    order = gr.State({"sort": "rank", "descending": False, "limit": 100})
    board = _html(rows.render(frame(), table.Query(dataset=first)), "board-table")
    costs = [(title, name) for name, title in rows.COSTS.items()]
    cost = gr.Radio(costs, value="parameters", label="Accuracy over", elem_id="board-cost")
    front = _html(rows.front(frame(), first, "parameters"), "board-front")
    gr.HTML(rows.legend(), apply_default_css=False)
    with gr.Row(elem_id="board-downloads"):
        files = {
            kind: gr.DownloadButton(f"Download {kind.upper()}", path, size="sm", elem_id=f"download-{kind}")
            for kind, path in downloads.write(frame(), Path(downloads.own_folder().name)).items()
        }
    with gr.Accordion("Use these figures elsewhere", open=False):
        gr.Markdown(EMBED)

    def show(chosen: dict) -> dict:
        query = table.Query(
            dataset=None if chosen[dataset] == OVERALL else chosen[dataset],
            search=chosen[search] or "",
            statuses=tuple(chosen[status]),
            recipes=tuple(chosen[recipe]),
            licences=tuple(chosen[licence]),
            parameters=SIZES[chosen[size]],
            sort=chosen[order]["sort"],
            descending=chosen[order]["descending"],
        )
        limit = chosen[order]["limit"]
        if query.dataset is None:
            page = rows.overall(frame()) + rows.render(frame(), query, ["dataset", *chosen[columns]], limit)
            return {board: page, front: gr.HTML(visible=False), cost: gr.Radio(visible=False)}
        drawn = rows.front(table.select(frame(), query), query.dataset, chosen[cost])
        page = rows.render(frame(), query, chosen[columns], limit)
        return {board: page, front: gr.HTML(drawn, visible=True), cost: gr.Radio(visible=True)}

    def reorder(before: dict, event: gr.EventData) -> dict:
        asked = event._data
        if asked.get("sort") not in table.BY_NAME:
            return before
        limit = min(max(int(asked.get("limit", 100)), 1), len(frame()) + 100)
        return {"sort": asked["sort"], "descending": bool(asked.get("descending")), "limit": limit}

    shown = {"fn": show, "inputs": {dataset, search, size, status, recipe, licence, columns, order, cost},
             "outputs": [board, front, cost], "trigger_mode": "always_last", **QUIET}  # fmt: skip
    for control in (size, status, recipe, licence, columns, cost):
        control.input(**shown)
    # A deep link sets the dataset, and Gradio 6.31 does not call it input when words are pasted.
    for control in (dataset, search):
        control.change(**shown)
    board.order(reorder, order, order, **QUIET).then(**shown)

    def fresh() -> dict:
        paths = downloads.write(frame(), Path(downloads.own_folder().name))
        return {
            dataset: gr.update(choices=_datasets(frame())),
            board: rows.render(frame(), table.Query(dataset=first)),
            front: rows.front(frame(), first, "parameters"),
            **{files[kind]: gr.update(value=path) for kind, path in paths.items()},
        }

    return fresh, [*files.values()], dataset, board, front


def _model(frame: Live) -> tuple:
    """Build the page of a model; return what places a model there, and the components that it sets."""
    models = _recorded(frame())
    choice = gr.Dropdown(models, value=None, label="Model", elem_id="board-model")
    page = _html('<p class="quiet">Choose a model here, or follow its name in the ranking.</p>', "board-page")
    with gr.Accordion("Its card", open=False, visible=False) as card:
        text = gr.Markdown()

    def show(name: str | None) -> dict:
        published = PRETRAINED / name if name in zoo.list_models() else None
        said = model.card(published)
        return {page: model.page(name, frame(), published), card: gr.Accordion(visible=bool(said)), text: said}

    def place(name: str) -> dict:
        return {choice: name if name in _recorded(frame()) else None, **show(name)}

    choice.input(show, choice, [page, card, text], **QUIET)
    return place, choice, page, card, text


def _compare(frame: Live) -> tuple:
    """Build the comparison; return what places two models there, and the components that it sets."""
    models = _recorded(frame())
    with gr.Row(elem_id="board-pick"):
        first = gr.Dropdown(models, value=None, label="First", elem_id="board-first")
        second = gr.Dropdown(models, value=None, label="Second", elem_id="board-second")
    page = _html(compare.page(None, None, frame()), "board-pair")

    def place(a: str | None, b: str | None) -> dict:
        known = {side: name if name in _recorded(frame()) else None for side, name in ((first, a), (second, b))}
        return {**known, page: compare.page(a, b, frame())}

    for side in (first, second):
        side.input(lambda a, b: compare.page(a, b, frame()), [first, second], page, **QUIET)
    return place, first, second, page


def _endpoint(frame: Live) -> None:
    """Add the endpoint `/leaderboard`."""

    def leaderboard(dataset: str | None = None, search: str = "", sort: str = "rank", descending: bool = False) -> list:
        """Return rows of the board as JSON.

        Args:
            dataset: only this one, for example "mnist".
            search: words that a row's model, recipe or note must hold.
            sort: the name of a column, for example "accuracy" or "latency".
            descending: the largest first.

        Returns:
            One object a row, by the names of the columns; fractions in [0, 1], latency in ms, sizes in bytes, training
            in seconds, null where it is not known.
        """
        if sort not in table.BY_NAME:
            raise gr.Error(str(zoo.UnknownName("column", sort, table.BY_NAME)), print_exception=False)
        query = table.Query(dataset=dataset, search=search, sort=sort, descending=descending)
        return downloads.as_json(table.select(frame(), query))

    gr.api(leaderboard, api_name="leaderboard", api_description=inspect.getdoc(leaderboard))


def _html(value: str, elem_id: str) -> gr.HTML:
    """Return a page whose links are followed by the events `visit` and `order`."""
    return gr.HTML(value, js_on_load=VISIT, apply_default_css=False, elem_id=elem_id)


def _datasets(frame: pd.DataFrame) -> list[str]:
    """Return what the ranking can be of: every dataset, the one with the most rows first, and all together."""
    names = frame["dataset"].value_counts().index.tolist()
    return [*names, *([OVERALL] if len(names) > 1 else [])]


def _recorded(frame: pd.DataFrame) -> list[str]:
    return frame.loc[frame["status"] != table.CLAIMED, "model"].tolist()


def _values(frame: pd.DataFrame, column: str) -> list[str]:
    return sorted(value for value in frame[column].unique() if value)
