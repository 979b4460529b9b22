"""The page of one model: its scores, its mistakes, how it was trained and measured, and how to load it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from leaderboard import disputed, precisions, report_store, reproductions, results, slices, table, writers
from leaderboard.memorization import MemorizationGap, fall_of
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from leaderboard.slices import Slice
from leaderboard.submissions import taking
from leaderboard.tabs import report_page
from leaderboard.tabs.charts import Axis, Line, Mark, plot
from leaderboard.tabs.markup import html, message, written
from zoo import data
from zoo.cards import worst_pairs
from zoo.environment import CHANGED
from zoo.published import PublishedFolder
from zoo.tabs import choice
from zoo.types import Json

KEY = ("errors", "macro_f1", "balanced_accuracy", "top2_accuracy", "worst_tenth", "other_hands", "robustness",
       "unseen_robustness", "unknown_accepted", "unknown_auroc", "expected_calibration_error",
       "negative_log_likelihood", "parameters", "as_trained", "multiply_adds", "file_size", "latency", "throughput",
       "training_time", "efficiency_score")  # fmt: skip
HARDEST = 24  # pictures on the page
CONFUSIONS = 6  # that are listed


def index(rows: pd.DataFrame) -> str:
    """Return links to the pages of all measured models, by dataset, the best first."""
    known = rows[rows["status"].isin(table.MEASURED)]
    if known.empty:
        return message("There are no records yet: run python scripts/train_all.py.")
    groups = [
        (
            data.DATASETS[dataset].title if dataset in data.DATASETS else dataset,
            found.sort_values("accuracy", ascending=False).to_dict("records"),
        )
        for dataset, found in known.groupby("dataset", sort=False)
    ]
    return html("model_page.index", groups)


def page(model: str, rows: pd.DataFrame, folder: Path | None = None) -> str:
    """Return a model's page as HTML, or a message if its record is missing or broken.

    Args:
        model: its name on the board.
        rows: the frame.
        folder: of the records.
    """
    row = rows[rows["model"] == model]
    if row.empty:
        return message(f"There is no row {model!r} on the board. Choose one from the list.")
    row = row.iloc[0]
    if row["status"] == table.CLAIMED:
        return message(
            f"{model} was not measured here: its {written(row['claimed'], 'claimed')}% are claimed by {row['note']}."
        )
    result = results.read_record(results.path_of(model, row["dataset"], folder))
    if isinstance(result, Broken):
        return message(f"This record is broken. {result.reason}")
    predictions, kept = results.predictions(result, folder), report_store.read_report(result, folder)
    key = [(table.BY_NAME[name].title, written(row[name], name) or "–") for name in KEY]
    parts = slices.of(result, predictions) if predictions else []
    sections = [
        _sent(result, predictions, rows) if result.submission else html("model_page.use", result),
        _take(result),
        _precisions(result),
        _hands(parts),
        _classes(result, parts),
        _read(result, predictions, kept),
        report_page.confidence(predictions, kept),
        _damage(result),
        report_page.training(kept, result.model),
        report_page.inside(kept),
        _provenance(result),
    ]
    found = disputed.find(result.dataset, rows, folder) if predictions else []
    without = (len(found), disputed.accuracy_without(predictions, found)) if predictions and found else None
    f1 = slices.macro_f1_interval(result, predictions)
    known = reproductions.to_know(result)
    if result.readings > 1:
        known.append(f"The test set has judged {result.readings} versions of this row, with those that are disclosed.")
    clustered = predictions is not None and writers.of(result) is not None
    return html("model_page.page", result, row.to_dict(), key, sections, without, known, clustered, f1)


def scores(model: str) -> Json | None:
    """Return {"accuracy" (0 to 1), "test_samples", "split"} of the shipped weights; None where there is no record."""
    dataset = model.rpartition(".")[2]
    result = results.read_record(path) if (path := results.path_of(model, dataset)).is_file() else None
    if result is None or isinstance(result, Broken):
        return None
    split = data.get(dataset).scored if dataset in data.DATASETS else "test"
    return {"accuracy": result.shipped("accuracy"), "test_samples": result.samples, "split": split}


def card(published: Path | None) -> str:
    """Return the Markdown of a published folder's card, without its front matter and pictures; "" if it has none."""
    text = "" if published is None else PublishedFolder(published).card
    if text.startswith("---"):
        text = text.split("---", 2)[-1]
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("![", "<img")))


def _sent(result: Result, predictions: Predictions | None, rows: pd.DataFrame) -> str:
    """Return the sender of a submission, what is known of memorized images, and how to measure it again."""
    sent = result.submission or {}
    gap = MemorizationGap(**sent["memorization"]).sentence if "memorization" in sent else ""
    own = rows[(rows["dataset"] == result.dataset) & ~rows["model"].str.contains("~")]
    falls = (own["accuracy"] - own["other_hands"]).dropna()
    fall = ""
    if predictions is not None and predictions.transfers and len(falls):
        elsewhere = np.concatenate(list(predictions.transfers.values()))
        fall = fall_of(predictions.right, elsewhere, float(falls.max()))
    return html("model_page.sent", result, sent, gap, fall)


def _take(result: Result) -> str:
    """Return the download of a network that is shipped or was sent, or why there is none; "" for others."""
    if result.submission is None:
        return html("model_page.take", result.model, "") if result.model in choice.glyph_models() else ""
    return html("model_page.take", result.model, result.submission.get("take", taking.NOT_KEPT))


def _precisions(result: Result) -> str:
    """Return a table of the precisions and runtimes that the row's weights were measured in; "" where they were not."""
    found = precisions.of(result.model, result.revision)
    return "" if found is None else html("model_page.precisions", found)


def _hands(parts: list[Slice]) -> str:
    """Return the accuracy by population, on the worst tenth of the writers, on other test sets, and by writer."""
    shown = [one for one in parts if one.kind in ("population", "worst", slices.TRANSFER)]
    by_writer = sorted(100 * one.accuracy for one in parts if one.kind == "writer")
    if not shown and not by_writer:
        return ""
    return html("model_page.hands", shown, _by_writer(by_writer) if len(by_writer) > 1 else "", len(by_writer))


def _by_writer(accuracies: list[float]) -> str:
    """Return a plot of the accuracy of each writer, in percent, from the worst to the best."""
    places = [100 * (n + 1) / len(accuracies) for n in range(len(accuracies))]
    x = replace(Axis.over("writers, %, the worst first", [0, 100]), low=0, high=100)
    return plot(x, Axis.over("accuracy of the writer, %", accuracies), [Line(places, accuracies)], css="curves")


def _damage(result: Result) -> str:
    """Return the accuracy under both families of damage, with that of a guess."""
    plain = ("none", result.shipped("accuracy"))
    families = [
        (title, [plain, *found.items()])
        for title, found in (("corruption", result.corruptions), ("unseen", result.unseen_damage))
        if found
    ]
    return html("model_page.damage", families, 1 / len(result.per_class)) if families else ""


def _classes(result: Result, parts: list[Slice]) -> str:
    """Return the scores of each class, the confusion matrix, and the most frequent confusions."""
    arabic = result.dataset in data.DATASETS and data.get(result.dataset).script == "arabic"
    matrix = np.array(result.confusion)
    worst = max(int((matrix - np.diag(np.diag(matrix))).max()), 1)
    pairs = worst_pairs(result.confusion, [str(entry["label"]) for entry in result.per_class], CONFUSIONS)
    intervals = {one.name: one for one in parts if one.kind == "class"}
    return html("model_page.classes", result, arabic, worst, pairs, intervals)


def _read(result: Result, predictions: Predictions | None, kept: report_store.Report | None) -> str:
    """Return stored samples with correct predictions, and the hardest ones."""
    if predictions is None:
        return ""
    right = kept is not None and len(kept.right) and _pictures(result, predictions, kept.right, kept.right_images)
    hardest = samples(result, predictions, range(min(HARDEST, len(predictions.hardest))))
    return html("model_page.read", right, hardest)


def samples(result: Result, predictions: Predictions, which: Iterable[int]) -> str:
    """Return pictures of stored samples; `which` counts among the hardest."""
    which = list(which)
    return _pictures(result, predictions, predictions.hardest[which], predictions.images[which])


def _pictures(result: Result, predictions: Predictions, rows: np.ndarray, images: np.ndarray) -> str:
    labels = [str(entry["label"]) for entry in result.per_class]
    shown = [
        (sample, image, labels[predictions.labels[sample]], labels[predictions.predicted[sample]],
         float(predictions.confidence[sample]))
        for sample, image in zip(map(int, rows), images, strict=True)
    ]  # fmt: skip
    return html("model_page.samples", shown)


def _provenance(result: Result) -> str:
    environment = result.environment
    versions = ", ".join(f"{key} {value}" for key, value in environment.get("versions", {}).items())
    settings = reproductions.settings(result).items()
    recipe = ", ".join(f"{key} {_said(value)}" for key, value in settings if value is not None)
    trained_on = "elsewhere"
    if environment.get("processor"):
        devices = ", ".join(environment.get("devices", []))
        commit = environment.get("commit") or "unknown"
        changed = " with changes that were not committed" if commit.endswith(CHANGED) else ""
        trained_on = f"{environment['processor']}, {devices}, at commit {commit.removesuffix(CHANGED)}{changed}"
    history = [*result.history, result.summary]
    return html("model_page.provenance", result, trained_on, versions, recipe or "–", _over_time(history), history)


def _over_time(measured: list[Json]) -> str:
    """Return a plot of the accuracy of every measurement if there is more than one."""
    if len(measured) < 2:
        return ""
    days = [datetime.fromisoformat(entry["date"]).timestamp() / 86400 for entry in measured]
    scores = [100 * entry["accuracy"] for entry in measured]
    last = max(days)
    x = Axis.over("days before the last measurement", [last - day for day in days])
    marks = [
        Mark(last - day, score, (f"{score:.2f}%", entry["date"][:10]))
        for day, score, entry in zip(days, scores, measured, strict=True)
    ]
    return plot(
        x.reversed(), Axis.over("accuracy %", scores), [Line([m.x for m in marks], scores)], marks, css="curves"
    )


def _said(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {inner}" for key, inner in value.items()) + ")"
    return str(value)
