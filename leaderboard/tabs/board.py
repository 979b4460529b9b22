"""The *Leaderboard* tab: the table and its front, two models head to head, the datasets.

`leaderboard` is also the Space's `/leaderboard` endpoint. The other modules here make the pages as pure functions of
the frame; this one connects them to the controls.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
import pandas as pd

import zoo
from leaderboard import downloads, table
from leaderboard.tabs import compare, datasets, hands_view, table_html
from leaderboard.tabs.board_frame import Live
from leaderboard.tabs.deep_links import QUIET, Places, page_of_links
from zoo import data, gate
from zoo.tabs.space import api
from zoo.types import Json, Values

STYLE = Path(__file__).with_name("board.css")
OVERALL = "overall"
FIRST_ORDER: Json = {"sort": "rank", "descending": False, "limit": 100}
GROUPS = ("status", "recipe", "licence")  # columns of which a visitor ticks values
ANY_SIZE = "any size"
SIZES = {
    ANY_SIZE: (0, np.inf),
    "below 10,000": (0, 1e4),
    "10,000 to 100,000": (1e4, 1e5),
    "100,000 to 1 million": (1e5, 1e6),
    "1 million and more": (1e6, np.inf),
}
EMBED = """Read the rows from a program: the endpoint `/leaderboard` of this Space, or
`datasets.load_dataset("leaderboard/records")` in a clone of the repository. Embed the board in your own
page, light or dark (`__theme=dark`):

```html
<iframe src="https://…/?tab=leaderboard&dataset=mnist&embed=1" width="100%" height="720"></iframe>
```"""


def tab() -> Places:
    """Build the tab inside a `gr.Blocks` from the current records, with its endpoint `/leaderboard`."""
    frame = Live()
    with gr.Tabs(elem_id="board-views") as views:
        with gr.Tab("Ranking", id="ranking"):
            renew, files, dataset, *ranking_pages = _ranking(frame)
        with gr.Tab("Other hands", id="hands"):
            renew_hands, place_hands, *hands_targets = _other_hands(frame)
        with gr.Tab("Compare", id="compare"):
            place_pair, *pair_targets = _compare(frame)
        with gr.Tab("Datasets", id="datasets"):
            gr.HTML(datasets.page(frame()), apply_default_css=False, elem_id="board-datasets")

    def place(parts: Mapping[str, str]) -> Values:
        if parts.get("view") == "hands":
            return {views: gr.Tabs(selected="hands"), **place_hands(parts.get("dataset"))}
        if parts.get("view") == "compare":
            return {views: gr.Tabs(selected="compare"), **place_pair(parts.get("first"), parts.get("second"))}
        if parts.get("view") == "datasets":
            return {views: gr.Tabs(selected="datasets")}
        chosen = parts.get("dataset")
        known = chosen == OVERALL or chosen in set(frame()["dataset"])
        return {views: gr.Tabs(selected="ranking"), **({dataset: chosen} if known else {})}

    def holds(parts: Mapping[str, str]) -> bool:
        return parts.get("tab") == "leaderboard"

    def fresh() -> Values:
        return {
            **renew(),
            **renew_hands(),
            **{choice: gr.update(choices=frame.recorded()) for choice in pair_targets[:2]},
        }

    _endpoint(frame)
    targets = [views, dataset, *hands_targets, *pair_targets, *ranking_pages, *files]
    pages = [*ranking_pages, hands_targets[-1], pair_targets[-1]]
    return Places("leaderboard", holds, place, targets, pages, frame.since_start(fresh))


@dataclass(frozen=True)
class Controls:
    """What the ranking is chosen by."""

    dataset: gr.Radio
    search: gr.Textbox
    size: gr.Radio
    status: gr.CheckboxGroup
    recipe: gr.CheckboxGroup
    licence: gr.CheckboxGroup
    columns: gr.CheckboxGroup
    order: gr.State

    def filters(self, chosen: Values) -> list[tuple[str, str]]:
        """Return the filters that the values of the components make: the name of each, and what it keeps."""
        kept = [(name, value) for name in GROUPS for value in chosen[getattr(self, name)]]
        return [("size", chosen[self.size]), *kept] if chosen[self.size] != ANY_SIZE else kept

    def without(self, chosen: Values, sent: object) -> Values:
        """Return the updates that take a filter away; what makes no sense changes nothing."""
        asked = sent if isinstance(sent, dict) else {}
        name, value = asked.get("filter"), asked.get("value")
        if name == "size":
            return {self.size: ANY_SIZE}
        if name not in GROUPS:
            return {self.order: gr.skip()}
        group = getattr(self, name)
        return {group: [one for one in chosen[group] if one != value]}

    def query(self, chosen: Values) -> table.Query:
        """Return the query that the values of the components make."""
        return table.Query(
            dataset=None if chosen[self.dataset] == OVERALL else chosen[self.dataset],
            search=chosen[self.search] or "",
            statuses=tuple(chosen[self.status]),
            recipes=tuple(chosen[self.recipe]),
            licences=tuple(chosen[self.licence]),
            parameters=SIZES[chosen[self.size]],
            sort=chosen[self.order]["sort"],
            descending=chosen[self.order]["descending"],
        )


def _controls(frame: pd.DataFrame) -> Controls:
    choices = _datasets(frame)
    dataset = gr.Radio(choices, value=choices[0][1] if choices else None, label="Dataset", elem_id="board-dataset")
    search = gr.Textbox(placeholder="Search", label="Search", show_label=False, elem_id="board-search")
    with gr.Accordion("Filters and columns", open=False, elem_id="board-filters"):
        size = gr.Radio(list(SIZES), value=ANY_SIZE, label="Parameters", elem_id="board-size")
        status, recipe, licence = (
            gr.CheckboxGroup(_values(frame, name), label=table.BY_NAME[name].title, elem_id=f"board-{name}")
            for name in GROUPS
        )
        columns = gr.CheckboxGroup(
            [(table.BY_NAME[name].title, name) for name in table_html.CHOOSABLE],
            value=[name for name in table_html.SHOWN if name in table_html.CHOOSABLE],
            label="Columns",
            elem_id="board-columns",
        )
    order = gr.State(FIRST_ORDER)
    return Controls(dataset, search, size, status, recipe, licence, columns, order)


def _ranking(
    frame: Live,
) -> tuple[Callable[[], Values], list[gr.DownloadButton], gr.Radio, gr.HTML, gr.HTML]:
    """Build the table and the Pareto front; return their refresh function, downloads, dataset choice and pages."""
    tables, fronts, means = (frame.kept(page, of=None) for page in (_table, _front, table_html.overall))
    by = _controls(frame())
    first = by.dataset.value
    board = page_of_links(tables(table.Query(dataset=first), table_html.SHOWN, 100), "board-table")
    costs = [(title, name) for name, title in table_html.COSTS.items()]
    cost = gr.Radio(costs, value="parameters", label="Accuracy over", elem_id="board-cost")
    front = page_of_links(fronts(table.Query(dataset=first), "parameters"), "board-front")
    gr.HTML(table_html.legend(), apply_default_css=False)
    with gr.Row(elem_id="board-downloads"):
        files = {
            kind: gr.DownloadButton(f"Download {kind.upper()}", path, size="sm", elem_id=f"download-{kind}")
            for kind, path in downloads.write(frame(), Path(downloads.own_folder().name)).items()
        }
    with gr.Accordion("Use these data elsewhere", open=False):
        gr.Markdown(EMBED)

    def show(chosen: Values) -> Values:
        query, columns, limit = by.query(chosen), tuple(chosen[by.columns]), chosen[by.order]["limit"]
        said = table_html.filters(by.filters(chosen))
        if query.dataset is None:
            page = means() + said + tables(query, ("dataset", *columns), limit)
            return {board: page, front: gr.HTML(visible=False), cost: gr.Radio(visible=False)}
        page = said + tables(query, columns, limit)
        return {board: page, front: gr.HTML(fronts(query, chosen[cost]), visible=True), cost: gr.Radio(visible=True)}

    def reorder(before: Json, event: gr.EventData) -> Json:
        return _reordered(before, event._data, len(frame()))

    def unfilter(chosen: Values, event: gr.EventData) -> Values:
        return by.without(chosen, event._data)

    shown = {"fn": show, "inputs": {*vars(by).values(), cost}, "outputs": [board, front, cost],
             "trigger_mode": "always_last", **QUIET}  # fmt: skip
    for control in (by.size, by.status, by.recipe, by.licence, by.columns, cost):
        control.input(**shown)
    # A deep link sets the dataset, and Gradio 6.31 does not trigger `input` when text is pasted.
    for control in (by.dataset, by.search):
        control.change(**shown)
    board.order(reorder, by.order, by.order, **QUIET).then(**shown)
    groups = [by.size, by.status, by.recipe, by.licence]
    board.unfilter(unfilter, set(groups), [*groups, by.order], **QUIET).then(**shown)

    def fresh() -> Values:
        paths = downloads.write(frame(), Path(downloads.own_folder().name))
        return {
            by.dataset: gr.update(choices=_datasets(frame())),
            board: tables(table.Query(dataset=first), table_html.SHOWN, 100),
            front: fronts(table.Query(dataset=first), "parameters"),
            **{files[kind]: gr.update(value=path) for kind, path in paths.items()},
        }

    return fresh, [*files.values()], by.dataset, board, front


def _table(query: table.Query, columns: tuple[str, ...], limit: int, rows: pd.DataFrame) -> str:
    return table_html.render(rows, query, columns, limit)


def _front(query: table.Query, cost: str, rows: pd.DataFrame) -> str:
    return table_html.front(table.select(rows, query), query.dataset, cost)


def _other_hands(frame: Live) -> tuple[Callable[[], Values], Callable[..., Values], gr.Radio, gr.HTML]:
    """Build the view of other hands; return its refresh function, the one that shows a dataset, and what they set."""

    def render(name: str | None, by: Json) -> str:
        board = frame.board()
        query = table.Query(dataset=name, sort=by["sort"], descending=by["descending"])
        return hands_view.page(board.rows, board.agreements, query, by["limit"])

    names = _names(frame())
    dataset = gr.Radio(_titled(names), value=names[0] if names else None, label="Dataset", elem_id="hands-dataset")
    order = gr.State(FIRST_ORDER)
    page = page_of_links(render(dataset.value, FIRST_ORDER), "hands-table")
    shown = {"fn": render, "inputs": [dataset, order], "outputs": page, "trigger_mode": "always_last", **QUIET}
    dataset.change(**shown)

    def reorder(before: Json, event: gr.EventData) -> Json:
        return _reordered(before, event._data, len(frame()))

    page.order(reorder, order, order, **QUIET).then(**shown)

    def place(name: str | None) -> Values:
        known = name if name in _names(frame()) else dataset.value
        return {dataset: known, page: render(known, FIRST_ORDER)}

    def fresh() -> Values:
        return {dataset: gr.update(choices=_titled(_names(frame()))), page: render(dataset.value, FIRST_ORDER)}

    return fresh, place, dataset, page


def _reordered(before: Json, sent: object, rows: int) -> Json:
    """Return the order that a click on a header or on "Show more" asks for; what makes no sense changes nothing."""
    asked = sent if isinstance(sent, dict) else {}
    sort, limit = asked.get("sort"), asked.get("limit", 100)
    if not isinstance(sort, str) or sort not in table.BY_NAME or type(limit) is not int:
        return before
    limit = min(max(limit, 1), rows + 100)
    return {"sort": sort, "descending": bool(asked.get("descending")), "limit": limit}


def _compare(frame: Live) -> tuple[Callable[..., Values], gr.Dropdown, gr.Dropdown, gr.HTML]:
    """Build the comparison; return the function that shows two models, and the components that it sets."""
    models, made = frame.recorded(), frame.kept(compare.page)
    with gr.Row(elem_id="board-pick"):
        first = gr.Dropdown(models, value=None, label="First", elem_id="board-first")
        second = gr.Dropdown(models, value=None, label="Second", elem_id="board-second")
    page = page_of_links(made(None, None), "board-pair")

    def place(a: str | None, b: str | None) -> Values:
        known = {side: name if name in frame.recorded() else None for side, name in ((first, a), (second, b))}
        return {**known, page: made(a, b)}

    for side in (first, second):
        side.input(lambda a, b: made(a, b), [first, second], page, **QUIET)
    return place, first, second, page


def _endpoint(frame: Live) -> None:
    """Add the endpoint `/leaderboard`."""

    @gate.endpoint
    def leaderboard(
        dataset: str | None = None, search: str = "", sort: str = "rank", descending: bool = False
    ) -> list[Json]:
        """Return rows of the board as JSON.

        Args:
            dataset: name of one dataset, for example "mnist".
            search: words that a row's model, recipe or note must contain.
            sort: the name of a column, for example "accuracy" or "latency".
            descending: the largest first.

        Returns:
            One object per row, keyed by column name; fractions in [0, 1], latency in ms, sizes in bytes, training time
            in seconds, null if unknown.
        """
        if sort not in table.BY_NAME:
            raise zoo.UnknownName("column", sort, table.BY_NAME)
        query = table.Query(dataset=dataset, search=search, sort=sort, descending=descending)
        return frame.chosen(query)

    api(leaderboard)


def _values(frame: pd.DataFrame, column: str) -> list[str]:
    return sorted(value for value in frame[column].unique() if value)


def _names(frame: pd.DataFrame) -> list[str]:
    """Return every dataset, the one with the most rows first."""
    names: list[str] = frame["dataset"].value_counts().index.tolist()
    return names


def _titled(names: list[str]) -> list[tuple[str, str]]:
    """Return datasets as choices: what a visitor reads, and the name that an address has."""
    return [(data.heading(name), name) for name in names]


def _datasets(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the choices of the ranking: every dataset, and all together."""
    names = _names(frame)
    return [*_titled(names), *([("All together", OVERALL)] if len(names) > 1 else [])]
