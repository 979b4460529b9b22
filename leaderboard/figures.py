"""Every figure of a report, at print quality: of one row, and of the rows of a dataset beside each other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leaderboard import report_store, results
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
    key: list[Any]  # all that decides what it shows, as plain JSON types
    make: Callable[[], "Picture"]


def of_row(result: Result, answers: Predictions | None, report: Report | None) -> Iterator[Figure]:
    """Yield every figure that there is of a row."""
    name, matrix = result.model, result.confusion
    labels, split = [str(entry["label"]) for entry in result.per_class], report_store.scored(result)
    yield Figure(
        "confusion.png",
        f"Confusion matrix of the {split} set: rows are the true classes, colour shows the mistakes",
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
        f"How sure it is when it is right and when it is wrong, on the {split} set",
        key,
        lambda: reports.confidence(sure, right, threshold, f"{name}, {split} set"),
    )
    if known:
        curves = {of: known[of]["curve"] for of in ("validation", "test")}
        yield Figure(
            "coverage.png",
            "How right its answers are if it says “don’t know” below a confidence, which was chosen on validation",
            [*key, curves],
            lambda: reports.covered(curves, known, f"{name}, “don’t know” below {threshold:.3f}"),
        )

    def pictures(rows: np.ndarray, images: np.ndarray, title: str) -> "Picture":
        read, true, confidence = answers.predicted[rows], answers.labels[rows], sure[rows]
        return reports.samples(images, true, read, confidence, labels, title, ink=report_store.ink(result))

    wrong = np.flatnonzero(~right[answers.hardest])[:MISTAKES]
    if len(wrong):
        yield Figure(
            "wrong.png",
            f"Mistakes on the {split} set, the worst first: true class → what was read, and how surely",
            key,
            lambda: pictures(answers.hardest[wrong], answers.images[wrong], f"{name}, read wrong"),
        )
    if report is not None and len(report.right):
        yield Figure(
            "right.png",
            f"Samples of the {split} set that it reads right, and how surely",
            key,
            lambda: pictures(report.right, report.right_images, f"{name}, read right"),
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
        "How far the accuracy on training samples is above that on validation samples, by epoch",
        key,
        lambda: reports.gap(epochs, kept, name),
    )
    yield Figure(
        "architecture.png",
        "Its layers, from the image to the classes",
        key,
        lambda: reports.architecture(inside.rows, name),
    )
    if inside.filters:
        yield Figure(
            "filters.png",
            "Learned filters: blue answers to ink, orange to background",
            key,
            lambda: reports.filters(inside.filters, f"{name}, learned filters"),
        )
    if inside.maps:
        yield Figure(
            "maps.png",
            "What its layers make of one example",
            key,
            lambda: reports.maps(inside, f"{name}, feature maps of one example"),
        )


def draw(result: Result, folder: Path, records: Path | None = None) -> dict[Path, str]:
    """Draw a row's figures into `folder` where they are missing or old; return path -> caption."""
    answers, report = results.predictions(result, records), report_store.read_report(result, records)
    return {
        reports.draw(folder / figure.name, [figure.name, *figure.key], figure.make): figure.caption
        for figure in of_row(result, answers, report)
    }


def write(result: Result, folder: Path, records: Path | None = None) -> list[Path]:
    """Write a row's report: figures/*.png, final_report.json and, where its training is known, training_summary.json.

    Raises:
        ZooError: its answers to the test set are not stored.
    """
    answers, report = results.predictions(result, records), report_store.read_report(result, records)
    if answers is None:
        raise ZooError(f"The answers of {result.model} to the test set are not stored: run scripts/train_all.py.")
    texts = {"final_report.json": report_store.final_report(result, answers, report)}
    if report is not None:
        texts["training_summary.json"] = report_store.training_summary(result, report)
    for name, value in texts.items():
        write_json(folder / name, value)
    return [*draw(result, folder / "figures", records), *(folder / name for name in texts)]


def draw_comparison(rows: list[Result], folder: Path) -> list[Path]:
    """Draw the charts that put the rows of one dataset beside each other, where they are missing or old.

    Their data goes into `networks.json`.
    """
    told = [
        {
            "model": row.model,
            "accuracy": row.mean("accuracy"),
            "interval": row.accuracy_interval,
            "documented": row.claimed and row.claimed["accuracy"],
            "parameters": row.mean("parameters"),
            "per_class": row.per_class,
        }
        for row in rows
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
