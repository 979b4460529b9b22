"""The board's table and its Pareto front as HTML, from rows of the frame."""

import json
from collections.abc import Sequence

import pandas as pd

from leaderboard import disclosures, summaries, table
from leaderboard.table import COLUMNS, Column, Query
from leaderboard.tabs.charts import Axis, Line, Mark, plot
from leaderboard.tabs.markup import html, written
from zoo import data

SHOWN = tuple(column.name for column in COLUMNS if column.shown)
CHOOSABLE = tuple(column.name for column in COLUMNS if column.choosable)
FIRST = ("rank", "model", "accuracy", "parameters")  # columns that a phone shows without scrolling
COSTS = {"parameters": "Parameters", "multiply_adds": "Multiply-adds", "latency": "Latency"}
COST_TITLES = {"parameters": "parameters", "multiply_adds": "multiply-adds per image", "latency": "ms per image"}


def render(rows: pd.DataFrame, query: Query, columns: Sequence[str] = SHOWN, limit: int = 100, view: str = "") -> str:
    """Return the table of the first `limit` rows of a query.

    Args:
        rows: the frame of `leaderboard.table.frame`.
        query: filters and order.
        columns: names of columns, shown in the frame's order after those of `FIRST`; rank and model always are.
        limit: maximum number of rows; a button shows more.
        view: of the tab, in the address; "": the ranking.
    """
    found = table.select(rows, query)
    ranks = {column.name for column in COLUMNS if column.ranks and column.name in ("rank", *columns)}
    own = found[found["submitted_by"].fillna("") == ""]
    tied = {name: own.duplicated(["dataset", name], keep=False) & own[name].notna() for name in ranks}
    tied = {f"{name} tied": of_own.reindex(found.index, fill_value=False) for name, of_own in tied.items()}
    group = found[["dataset", "rank"]].fillna(0)
    new = (group != group.shift()).any(axis=1) & (query.sort == "rank")
    page = found.assign(**tied, new=new).head(limit)
    page.loc[page.index[:1], "new"] = False  # a line separates the groups
    shown = [table.BY_NAME[name] for name in FIRST if name in ("rank", "model", *columns)]
    shown += [column for column in COLUMNS if column.name in columns and column not in shown]
    chosen = [(column, _order(column, query)) for column in shown]
    bounds = page["accuracy_low"].min(), page["accuracy_high"].max()
    dataset = query.dataset or ""
    titles = [data.DATASETS[dataset].title] if dataset in data.DATASETS else []
    known = [*titles, *disclosures.of_dataset(dataset)]
    more = json.dumps({"sort": query.sort, "descending": query.descending, "limit": limit + 100})
    place = {"dataset": query.dataset or "overall", **({"view": view} if view else {})}
    return html("table.board", chosen, page.to_dict("records"), bounds, query, len(found), more, known, place)


def filters(chosen: Sequence[tuple[str, str]]) -> str:
    """Return the filters that leave rows out, (the name of each, what it keeps), as buttons; "" for none."""
    return html("table.filters", chosen)


def _order(column: Column, query: Query) -> str:
    """Return what a click on a column's header asks for: its order, or the reverse one."""
    descending = not query.descending if query.sort == column.name else column.better > 0
    return json.dumps({"sort": column.name, "descending": descending})


def overall(rows: pd.DataFrame) -> str:
    """Return the table of mean ranks over the datasets."""
    means = summaries.overall(rows)
    fixed = ("place", "network", "recipe", "datasets", "mean_rank")
    suffix = ["" if recipe == "zoo" else f"-{recipe}" for recipe in means["recipe"]]
    shown = means.assign(suffix=suffix).to_dict("records")
    return html("table.overall", shown, [column for column in means.columns if column not in fixed])


def front(rows: pd.DataFrame, dataset: str | None, cost: str) -> str:
    """Return the plot of accuracy over a cost for one dataset; rows on the Pareto front are labeled and connected.

    Hollow marks are claims by others, if their cost is known.
    """
    known = rows[(rows["dataset"] == dataset) & rows["accuracy"].notna() & rows[cost].notna()]
    if known.empty:
        return html("table.quiet", f"None of the rows shown has both an accuracy and {COST_TITLES[cost]}.")
    on = summaries.pareto(known, cost)
    best = known[on].sort_values(cost)
    claimed = rows[(rows["dataset"] == dataset) & (rows["status"] == table.CLAIMED) & rows[cost].notna()]
    x = Axis.over(COST_TITLES[cost], [*known[cost], *claimed[cost]], table._short, log=True)
    y = Axis.over("accuracy %", [100 * share for share in (*known["accuracy"], *claimed["claimed"])])
    marks = [
        Mark(
            row[cost],
            100 * row["accuracy"],
            (row["model"], f"{written(row['accuracy'], 'accuracy')}% ({written(row['accuracy_low'], 'accuracy_low')} – "
             f"{written(row['accuracy_high'], 'accuracy_high')})", f"{written(row[cost], cost)} {COST_TITLES[cost]}"),
            label=row["model"].rpartition(".")[0] if on[index] else "",
            css="front" if on[index] else "",
            visit={"model": row["model"]},
        )
        for index, row in known.iterrows()
    ]  # fmt: skip
    marks += [
        Mark(
            row[cost],
            100 * row["claimed"],
            (row["model"], f"claimed {written(row['claimed'], 'claimed')}%: {row['note']}",
             f"{written(row[cost], cost)} {COST_TITLES[cost]}"),
            css="claimed",
        )
        for _, row in claimed.iterrows()
    ]  # fmt: skip
    joined = Line(best[cost].tolist(), (100 * best["accuracy"]).tolist(), step=True)
    said = "" if claimed.empty else html("table.quiet", "Hollow: claimed by others, not measured here.")
    return plot(x, y, [joined], marks, css="pareto") + said


def legend(columns: Sequence[Column] = COLUMNS) -> str:
    """Return HTML with the description of each column."""
    return html("table.legend", [column for column in columns if not column.end])
