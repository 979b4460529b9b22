"""Compare two rows: which test samples each predicts correctly, and whether the difference is significant."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from leaderboard import results
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from leaderboard.statistics import ALPHA, McNemar, mcnemar
from leaderboard.table import BY_NAME
from leaderboard.tabs.markup import address, esc, grid, message, model_link, name, written
from leaderboard.tabs.model_page import samples

FACTS = ("accuracy", "errors", "macro_f1", "top2_accuracy", "robustness", "expected_calibration_error",
         "negative_log_likelihood", "parameters", "multiply_adds", "file_size", "latency", "throughput",
         "training_time")  # fmt: skip
PICTURES = 12  # a side


def page(first: str | None, second: str | None, rows: pd.DataFrame, folder: Path | None = None) -> str:
    """Return the comparison of two rows of one dataset as HTML, or a sentence with the reason why there is none."""
    if not first or not second:
        return message("Choose two models that were measured on the same dataset.")
    if first == second:
        return message("Both sides are the same model. Choose another one for one side.")
    found = [rows[rows["model"] == model] for model in (first, second)]
    for model, row in zip((first, second), found, strict=True):
        if row.empty:
            return message(f"There is no row {model!r} on the board.")
    a, b = (row.iloc[0] for row in found)
    if a["dataset"] != b["dataset"]:
        return message(
            f"{first} was measured on {a['dataset']}, {second} on {b['dataset']}: they have no samples in common."
        )
    found = [results.read_record(results.path_of(row["model"], row["dataset"], folder)) for row in (a, b)]
    if broken := [record.reason for record in found if isinstance(record, Broken)]:
        return message(broken[0])
    records = [record for record in found if not isinstance(record, Broken)]
    answers = [kept for record in records if (kept := results.predictions(record, folder)) is not None]
    if len(answers) < 2 or not np.array_equal(answers[0].labels, answers[1].labels):
        return message("The predictions of one of them are not stored, or are for other test samples.")
    test = mcnemar(answers[0].right, answers[1].right)
    at = address(view="compare", first=first, second=second)
    only = "".join(
        _only(records[loser], answers[loser], answers[winner].right, (first, second)[winner], (first, second)[loser])
        for winner, loser in ((0, 1), (1, 0))
    )
    return (
        f'<article class="page" data-address="{esc(at)}">{_verdict(first, second, test)}'
        f'<div class="pair"><section><h3>The same {len(answers[0].labels):,} samples</h3>{_counts(first, second, test)}'
        f"</section><section><h3>Side by side</h3>{_facts(a, b)}</section></div>"
        f'<div class="pair">{only}</div></article>'
    )


def _verdict(first: str, second: str, test: McNemar) -> str:
    better, worse = (first, second) if test.only_first >= test.only_second else (second, first)
    if test.p_value < ALPHA:
        words = f"<strong>{esc(better)}</strong> is significantly better than <strong>{esc(worse)}</strong>"
    else:
        words = f"<strong>{esc(first)}</strong> and <strong>{esc(second)}</strong> do not differ significantly"
    return (
        f'<header><p class="verdict-line">{words}.</p><p>Exact McNemar test: p = <b class="p">{test.p_value:.3g}</b> '
        f"({test.only_first} samples against {test.only_second}). It compares the shipped seeds; "
        f"ranks use the mean over the seeds.</p></header>"
    )


def _counts(first: str, second: str, test: McNemar) -> str:
    return grid(
        ("", f"{second} right", f"{second} wrong"),
        ((f"{esc(first)} right", f"{test.both:,}", f"{test.only_first:,}"),
         (f"{esc(first)} wrong", f"{test.only_second:,}", f"{test.neither:,}")),
        "counts",
    )  # fmt: skip


def _facts(a: pd.Series, b: pd.Series) -> str:
    def cells(key: str) -> Iterator[str]:
        better = BY_NAME[key].better
        for one, other in ((a[key], b[key]), (b[key], a[key])):
            text = written(key, one) or "–"
            yield f"<strong>{text}</strong>" if better * one > better * other else text

    body = "".join(
        f'<tr><th scope="row">{esc(BY_NAME[key].title)}</th>{"".join(f"<td>{cell}</td>" for cell in cells(key))}</tr>'
        for key in FACTS
    )
    head = '<th scope="col"></th>' + "".join(f'<th scope="col">{model_link(row["model"])}</th>' for row in (a, b))
    return f'<div class="scroll"><table class="grid"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _only(record: Result, answers: Predictions, others_right: np.ndarray, winner: str, loser: str) -> str:
    """Pictures of samples that only the winner predicts correctly, the hardest for the loser first."""
    missed = ~answers.right[answers.hardest] & others_right[answers.hardest]
    shown = np.flatnonzero(missed)[:PICTURES]
    total = int((~answers.right & others_right).sum())
    title = f"<h3>Only {name(winner)} gets these {total} right</h3>"
    if not len(shown):
        return f'<section>{title}<p class="quiet">There are no stored pictures of them.</p></section>'
    words = f"{len(shown)} of them; true class → prediction of {esc(loser)}, and its confidence"
    return f'<section>{title}<p class="quiet">{words}.</p>{samples(record, answers, shown)}</section>'
