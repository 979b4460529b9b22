"""All figures of a report in print quality: for one row, and comparing the rows of a dataset."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leaderboard import report_store, results, table, writers
from leaderboard.predictions import Predictions
from leaderboard.report_store import Report
from leaderboard.results import Result
from zoo import data, reports
from zoo.errors import ZooError
from zoo.files import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

MISTAKES = 30  # on the picture of them


@dataclass(frozen=True)
class Figure:
    """One figure of a report."""

    name: str  # of its file
    caption: str
    key: list[Any]  # everything the figure depends on, as plain JSON types
    make: Callable[[], "Picture"]


def of_row(result: Result, answers: Predictions | None, report: Report | None) -> Iterator[Figure]:
    """Yield every available figure of a row."""
    name, matrix = result.model, result.confusion
    labels, split = [str(entry["label"]) for entry in result.per_class], report_store.scored(result)
    yield Figure(
        "confusion.png",
        f"Confusion matrix of the {split} set: rows are the true classes, color shows the mistakes",
        [name, matrix, labels, split],
        lambda: reports.confusion(matrix, labels, f"{name}, {split} set"),
    )
    yield Figure(
        "classes.png",
        f"Precision, recall and F1 of every class on the {split} set",
        [name, result.per_class, split],
        lambda: reports.classes(result.per_class, f"{name}, {split} set"),
    )
    yield Figure(
        "confusions.png",
        f"The most frequent confusions on the {split} set",
        [name, matrix, labels],
        lambda: reports.confusions(matrix, labels, f"{name}, the most frequent confusions"),
    )
    if answers is not None:
        yield from _of_answers(result, answers, report, labels)
    if report is not None:
        yield from _of_report(result, report)


def _of_answers(result: Result, answers: Predictions, report: Report | None, labels: list[str]) -> Iterator[Figure]:
    name, split, known = result.model, report_store.scored(result), report_store.dont_know(answers, report)
    sure, right = answers.confidence.astype(np.float64), answers.right
    threshold = None if known is None else known["threshold"]
    key = [name, result.revision, threshold]
    yield Figure(
        "confidence.png",
        f"Confidence of correct and incorrect predictions on the {split} set",
        key,
        lambda: reports.confidence(sure, right, threshold, f"{name}, {split} set"),
    )
    if known:
        curves = {of: known[of]["curve"] for of in ("validation", "test")}
        yield Figure(
            "coverage.png",
            "Accuracy of the answered samples if the network abstains below a confidence chosen on validation",
            [*key, curves],
            lambda: reports.covered(curves, known, f"{name}, abstains below {threshold:.3f}"),
        )

    def pictures(rows: np.ndarray, images: np.ndarray, title: str) -> "Picture":
        read, true, confidence = answers.predicted[rows], answers.labels[rows], sure[rows]
        return reports.samples(images, true, read, confidence, labels, title, ink=report_store.ink(result))

    wrong = np.flatnonzero(~right[answers.hardest])[:MISTAKES]
    if len(wrong):
        yield Figure(
            "wrong.png",
            f"Mistakes on the {split} set, the worst first: true class → prediction, and its confidence",
            key,
            lambda: pictures(answers.hardest[wrong], answers.images[wrong], f"{name}, incorrect"),
        )
    if report is not None and len(report.right):
        yield Figure(
            "right.png",
            f"Correct predictions on the {split} set and their confidence",
            key,
            lambda: pictures(report.right, report.right_images, f"{name}, correct"),
        )


def _of_report(result: Result, report: Report) -> Iterator[Figure]:
    name, inside, training = result.model, report.inside, report.facts["training"]
    epochs, kept = training["epochs"], training["kept_epoch"]
    key = [name, report.facts, inside.rows]
    yield Figure(
        "curves.png",
        "Error and loss by epoch, on training and on validation samples",
        key,
        lambda: reports.curves(epochs, kept, name),
    )
    yield Figure(
        "gap.png",
        "Training accuracy minus validation accuracy, by epoch",
        key,
        lambda: reports.gap(epochs, kept, name),
    )
    yield Figure(
        "architecture.png",
        "The layers, from the image to the classes",
        key,
        lambda: reports.architecture(inside.rows, name),
    )
    if inside.filters:
        yield Figure(
            "filters.png",
            "Learned filters: blue responds to ink, orange to background",
            key,
            lambda: reports.filters(inside.filters, f"{name}, learned filters"),
        )
    if inside.maps:
        yield Figure(
            "maps.png",
            "Feature maps of one example",
            key,
            lambda: reports.maps(inside, f"{name}, feature maps of one example"),
        )


def draw(result: Result, folder: Path, records: Path | None = None) -> dict[Path, str]:
    """Draw the figures of a row that are missing or out of date; return path -> caption."""
    answers, report = results.predictions(result, records), report_store.read_report(result, records)
    return {
        reports.draw(folder / figure.name, [figure.name, *figure.key], figure.make): figure.caption
        for figure in of_row(result, answers, report)
    }


def write(result: Result, folder: Path, records: Path | None = None) -> list[Path]:
    """Write a row's report: figures/*.png, final_report.json and, where its training is known, training_summary.json.

    Raises:
        ZooError: its test predictions are not stored.
    """
    answers, report = results.predictions(result, records), report_store.read_report(result, records)
    if answers is None:
        raise ZooError(f"The test predictions of {result.model} are not stored: run scripts/train_all.py.")
    texts = {"final_report.json": report_store.final_report(result, answers, report)}
    if report is not None:
        texts["training_summary.json"] = report_store.training_summary(result, report)
    for name, value in texts.items():
        write_json(folder / name, value)
    return [*draw(result, folder / "figures", records), *(folder / name for name in texts)]


def draw_comparison(rows: list[Result], folder: Path) -> list[Path]:
    """Draw the charts that compare the rows of one dataset if they are missing or out of date.

    Their data goes into `networks.json`.
    """
    told = [
        {
            "model": row.model,
            "accuracy": row.mean("accuracy"),
            "interval": table.interval(row, None if said is None else said.right, writers.of(row)),
            "documented": row.claimed and row.claimed["accuracy"],
            "parameters": row.mean("parameters"),
            "per_class": row.per_class,
        }
        for row in rows
        for said in (results.predictions(row),)
    ]
    title = data.DATASETS[rows[0].dataset].title if rows[0].dataset in data.DATASETS else rows[0].dataset
    charts = {
        "networks.png": reports.compared,
        "networks-by-class.png": reports.compared_classes,
        "accuracy-over-parameters.png": reports.compared_parameters,
    }
    write_json(folder / "networks.json", told)
    return [
        reports.draw(folder / name, [name, told, title], partial(chart, told, title)) for name, chart in charts.items()
    ]
