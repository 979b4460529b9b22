"""The board's table and its Pareto front as HTML, from rows of the frame."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from leaderboard import table
from leaderboard.table import COLUMNS, Column, Query
from leaderboard.tabs.charts import Axis, Line, Mark, plot
from leaderboard.tabs.markup import address, badge, esc, link, model_link, name, written

SHOWN = tuple(column.name for column in COLUMNS if column.shown)
CHOOSABLE = tuple(column.name for column in COLUMNS if column.name not in ("rank", "model", "accuracy_std", "note"))
COSTS = {"parameters": "Parameters", "multiply_adds": "Multiply-adds", "latency": "Latency"}
COST_TITLES = {"parameters": "parameters", "multiply_adds": "multiply-adds per image", "latency": "ms per image"}

_INTERVAL_HEADER = '<th scope="col" class="interval" title="Wilson, of the shipped seed">95% interval</th>'


def render(rows: pd.DataFrame, query: Query, columns: Sequence[str] = SHOWN, limit: int = 100) -> str:
    """Return the table of the first `limit` rows of a query.

    Args:
        rows: the frame of `leaderboard.table.frame`.
        query: filters and order.
        columns: names of columns, shown in the frame's order; rank and model always are.
        limit: maximum number of rows; a button shows more.
    """
    found = table.select(rows, query)
    page = found.head(limit)
    chosen = [c for c in COLUMNS if c.name in ("rank", "model") or c.name in columns]
    head = "".join(_header(column, query) for column in chosen)
    low, high = page["accuracy_low"].min(), page["accuracy_high"].max()
    tied = found["rank"][found.duplicated(["dataset", "rank"], keep=False)]
    body, before = [], None
    for row in page.itertuples():
        group = (row.dataset, written("rank", row.rank))
        cells = "".join(_cell(column, row, row.Index in tied.index, (low, high)) for column in chosen)
        new = before is not None and group != before and query.sort == "rank"
        body.append(f'<tr class="{esc(row.status)}{" new" if new else ""}">{cells}</tr>')
        before = group
    at = address(dataset=query.dataset or "overall")
    return (
        f'<div class="board" data-address="{esc(at)}"><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>{_foot(len(page), len(found), query, limit)}</div>"
    )


def overall(rows: pd.DataFrame) -> str:
    """Return the table of mean ranks over the datasets."""
    means = table.overall(rows)
    names = [
        column for column in means.columns if column not in ("place", "network", "recipe", "datasets", "mean_rank")
    ]
    head = "".join(f'<th scope="col"{c}>{esc(t)}</th>' for t, c in (
        ("Place", ""), ("Network", ' class="text"'), ("Mean rank", ""), ("Datasets", ""),
        *((f"{n} %", "") for n in names),
    ))  # fmt: skip
    body = []
    for row in means.to_dict("records"):
        recipe = "" if row["recipe"] == "zoo" else f"-{row['recipe']}"
        scores = ""
        for dataset in names:
            text = written("accuracy", row[dataset])
            scores += f"<td>{link(text, model=row['network'] + '.' + dataset + recipe) if text else ''}</td>"
        body.append(
            f'<tr><td class="rank">{written("rank", row["place"]) or "–"}</td>'
            f'<th scope="row" class="text">{esc(row["network"] + recipe)}</th>'
            f"<td>{row['mean_rank']:.2f}</td><td>{row['datasets']} of {len(names)}</td>{scores}</tr>"
        )
    return (
        f'<div class="board overall"><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div><p>Only networks with rows on the largest number of datasets "
        f"have a rank; the others follow without one.</p></div>"
    )


def front(rows: pd.DataFrame, dataset: str | None, cost: str) -> str:
    """Return the plot of accuracy over a cost for one dataset; rows on the Pareto front are labeled and connected.

    Hollow marks are claims by others, if their cost is known.
    """
    known = rows[(rows["dataset"] == dataset) & rows["accuracy"].notna() & rows[cost].notna()]
    if known.empty:
        return f'<p class="quiet">No row of {esc(str(dataset))} has both an accuracy and {COST_TITLES[cost]}.</p>'
    on = table.pareto(known, cost)
    best = known[on].sort_values(cost)
    claimed = rows[(rows["dataset"] == dataset) & (rows["status"] == table.CLAIMED) & rows[cost].notna()]
    x = Axis.over(COST_TITLES[cost], [*known[cost], *claimed[cost]], table._short, log=True)
    y = Axis.over("accuracy %", [100 * share for share in (*known["accuracy"], *claimed["claimed"])])
    marks = [
        Mark(
            row[cost],
            100 * row["accuracy"],
            (row["model"], f"{written('accuracy', row['accuracy'])}% ({written('accuracy_low', row['accuracy_low'])} – "
             f"{written('accuracy_high', row['accuracy_high'])})", f"{written(cost, row[cost])} {COST_TITLES[cost]}"),
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
            (row["model"], f"claimed {written('claimed', row['claimed'])}%: {row['note']}",
             f"{written(cost, row[cost])} {COST_TITLES[cost]}"),
            css="claimed",
        )
        for _, row in claimed.iterrows()
    ]  # fmt: skip
    joined = Line(best[cost].tolist(), (100 * best["accuracy"]).tolist(), step=True)
    said = "" if claimed.empty else '<p class="quiet">Hollow: claimed by others, not measured here.</p>'
    return plot(x, y, [joined], marks, css="pareto") + said


def legend() -> str:
    """Return HTML with the description of each column from `leaderboard.table`."""
    entries = "".join(f"<div><dt>{esc(c.title)}</dt><dd>{esc(c.description)}</dd></div>" for c in COLUMNS)
    return f'<details class="legend"><summary>What the columns mean</summary><dl>{entries}</dl></details>'


def _header(column: Column, query: Query) -> str:
    sorted_by = query.sort == column.name
    descending = not query.descending if sorted_by else column.better > 0
    order = json.dumps({"sort": column.name, "descending": descending})
    state = f' aria-sort="{"descending" if query.descending else "ascending"}"' if sorted_by else ""
    arrow = ("↓" if query.descending else "↑") if sorted_by else ""
    return (
        f'<th scope="col" class="{_css(column)}"{state} data-column="{column.name}"><button type="button" '
        f'data-order="{esc(order)}" title="{esc(column.description)}">{esc(column.title)}<i>{arrow}</i></button></th>'
        f"{_INTERVAL_HEADER if column.name == 'accuracy' else ''}"
    )


def _cell(column: Column, row: Any, tied: bool, bounds: tuple[float, float]) -> str:
    value = getattr(row, column.name)
    css = _css(column)
    if column.name == "rank":
        text = f"{'<small>=</small>' if tied else ''}{written('rank', value)}" if value == value else "–"
        return f'<td class="{css}" data-column="rank">{text}</td>'
    if column.name == "model":
        known = row.status in (table.VERIFIED, table.LOCAL, table.STALE, table.BROKEN)
        text = model_link(value) if known else f'<span class="model" title="{esc(row.note)}">{name(value)}</span>'
        sent = f'<small class="badge sent">by {esc(row.submitted_by)}</small>' if row.submitted_by else ""
        return f'<th scope="row" class="{css}" data-column="model">{text}{badge(row.status)}{sent}</th>'
    if column.name == "accuracy":
        deviation, claimed = written("accuracy_std", row.accuracy_std), written("claimed", row.claimed)
        aside = f" ± {deviation}" if deviation else ""
        if claimed and (row.status == table.CLAIMED or row.submitted_by):
            aside += f"{' ' if value == value else ''}claimed {claimed}"
        text = written("accuracy", value) + f"<small>{aside}</small>" * bool(aside)
        return f'<td class="{css}" data-column="accuracy">{text}</td>{_interval(row, bounds)}'
    return f'<td class="{css}" data-column="{column.name}">{written(column.name, value)}</td>'


def _interval(row: Any, bounds: tuple[float, float]) -> str:
    if row.accuracy_low != row.accuracy_low:
        return '<td class="interval"></td>'
    low, high = bounds
    scale = 100 / ((high - low) or 1)
    left, width = (row.accuracy_low - low) * scale, (row.accuracy_high - row.accuracy_low) * scale
    text = f"{written('accuracy_low', row.accuracy_low)} – {written('accuracy_high', row.accuracy_high)}"
    return f'<td class="interval">{text}<span><i style="left:{left:.1f}%;width:{width:.1f}%"></i></span></td>'


def _css(column: Column) -> str:
    return f"{column.name} text" if not column.number else column.name


def _foot(shown: int, found: int, query: Query, limit: int) -> str:
    if not found:
        return '<p class="quiet">No results. Remove a filter.</p>'
    if shown == found:
        return f'<p class="quiet">{found} row{"s" if found > 1 else ""}</p>'
    order = json.dumps({"sort": query.sort, "descending": query.descending, "limit": limit + 100})
    more = f'<button type="button" class="more" data-order="{esc(order)}">Show 100 more</button>'
    return f'<p class="quiet">{shown} of {found:,} rows {more}</p>'
