"""Compare two rows: which test samples each predicts correctly, and whether the difference is significant."""

from pathlib import Path

import numpy as np
import pandas as pd

from leaderboard import results, writers
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from leaderboard.statistics import ALPHA, paired_test
from leaderboard.table import BY_NAME
from leaderboard.tabs.markup import html, message, written
from leaderboard.tabs.model_page import samples
from zoo import data

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
            f"{first} was measured on “{data.heading(a['dataset'])}”, {second} on “{data.heading(b['dataset'])}”: "
            "they have no samples in common."
        )
    found = [results.read_record(results.path_of(row["model"], row["dataset"], folder)) for row in (a, b)]
    if broken := [record.reason for record in found if isinstance(record, Broken)]:
        return message(broken[0])
    records = [record for record in found if not isinstance(record, Broken)]
    answers = [kept for record in records if (kept := results.predictions(record, folder)) is not None]
    if len(answers) < 2 or not np.array_equal(answers[0].labels, answers[1].labels):
        return message("The predictions of one of them are not stored, or are for other test samples.")
    only = [
        _only(records[loser], answers[loser], answers[winner].right, (first, second)[winner], (first, second)[loser])
        for winner, loser in ((0, 1), (1, 0))
    ]
    test = paired_test(answers[0].right, answers[1].right, writers.of(records[0]))
    facts = [_fact(key, a, b) for key in FACTS]
    return html("compare.page", first, second, test, test.p_value < ALPHA, len(answers[0].labels), facts, only)


def _fact(key: str, a: pd.Series, b: pd.Series) -> tuple[str, list[tuple[str, bool]]]:
    """Return a column's title, and for each of two rows its text and whether it is the better one."""
    column = BY_NAME[key]
    pairs = ((a[key], b[key]), (b[key], a[key]))
    cells = [(written(one, key) or "–", bool(column.better * one > column.better * other)) for one, other in pairs]
    return column.title, cells


def _only(
    record: Result, answers: Predictions, others_right: np.ndarray, winner: str, loser: str
) -> tuple[str, str, int, int, str]:
    """Return both names, how many samples only the winner gets right, how many are shown, and their pictures.

    The hardest for the loser come first.
    """
    missed = ~answers.right[answers.hardest] & others_right[answers.hardest]
    shown = np.flatnonzero(missed)[:PICTURES]
    total = int((~answers.right & others_right).sum())
    return winner, loser, total, len(shown), samples(record, answers, shown)
