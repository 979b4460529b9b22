"""The view *Other hands* of the board: how networks do on other people's writing, on damage, and on what they do not
know, and how sure their ranks are."""

import pandas as pd

from leaderboard import table
from leaderboard.hands import FEWEST, Agreement
from leaderboard.table import Query
from leaderboard.tabs import table_html
from leaderboard.tabs.markup import html
from zoo import data


def page(rows: pd.DataFrame, agreements: list[Agreement], query: Query, limit: int = 100) -> str:
    """Return what is said of a dataset and the table of its rows, as HTML.

    Args:
        rows: the frame.
        agreements: of its rankings with those on other test sets.
        query: of one dataset.
        limit: maximum number of rows; a button shows more.
    """
    dataset = query.dataset or ""
    others = _others(dataset)
    found = {one.other: one for one in agreements if one.dataset == dataset}
    classes = len(data.DATASETS[dataset].labels) if dataset in data.DATASETS else None
    said = html("hands_view.said", dataset, [(other, found.get(other)) for other in others], classes, FEWEST)
    columns = columns_of(dataset)
    measured = rows[rows["status"].isin(table.MEASURED)]
    shown = table_html.render(measured, query, columns, limit, view="hands")
    return said + shown + table_html.legend([table.BY_NAME[name] for name in columns])


def columns_of(dataset: str) -> tuple[str, ...]:
    """Return the names of the columns of the view; rank and model are always shown."""
    there = (f"{other}{part}" for other in _others(dataset) for part in ("", "_rank", "_change"))
    return "accuracy", "place_first", "worst_tenth", *there, "unseen_robustness", "unknown_accepted"


def _others(dataset: str) -> tuple[str, ...]:
    return data.DATASETS[dataset].transfers if dataset in data.DATASETS else ()
