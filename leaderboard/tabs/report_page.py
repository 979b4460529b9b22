"""The sections of a model's page from its report: confidence, training, layers, filters and feature maps."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from leaderboard import report_store
from leaderboard.predictions import Predictions
from leaderboard.report_store import Report
from leaderboard.tabs.charts import Axis, Line, Mark, plot
from leaderboard.tabs.markup import html
from zoo.reports.inside import Pictures, mosaic
from zoo.reports.pictures import breadth
from zoo.types import Json

BINS = 25  # of a histogram
RELIABILITY_BINS = 15  # as those of the expected calibration error
FEWEST_IN_BIN = 10  # samples of a bin of the reliability diagram
SHOWN = 0.8  # share of answered samples below which the curve is flat
WIDEST = {"filters": 480, "maps": 800}  # pixels of a picture; larger pictures keep their size
INK, BACKGROUND = (178, 114, 0), (0, 94, 213)  # blue and orange in OpenCV's channel order, as in the printed figures


def confidence(answers: Predictions | None, report: Report | None) -> str:
    """Return the confidence of correct and incorrect predictions, and the effect of abstaining."""
    if answers is None:
        return ""
    sure, right = answers.confidence.astype(np.float64), answers.right
    low = min(0.5, float(sure.min()))
    shares = (("right", right, "accent"), ("wrong", ~right, "second"))
    charts = [_histogram(sure[which], low, said, css) for said, which, css in shares]
    return html("report_page.confidence", charts, _dont_know(answers, report), _reliability(sure, right))


def _reliability(sure: np.ndarray, right: np.ndarray) -> str:
    """Return the reliability diagram: the share of correct predictions by their confidence, in the bins of the ECE."""
    bins = np.clip(np.ceil(sure * RELIABILITY_BINS) - 1, 0, RELIABILITY_BINS - 1).astype(int)
    marks = []
    for number in np.unique(bins):
        rows = bins == number
        if (count := int(rows.sum())) >= FEWEST_IN_BIN:
            x, y = 100 * float(sure[rows].mean()), 100 * float(right[rows].mean())
            hint = (f"{y:.1f}% correct", f"at {x:.1f}% mean confidence", f"{count:,} samples")
            marks.append(Mark(x, y, hint, css="front"))
    marks.sort(key=lambda mark: mark.x)
    ends = [min([mark.x for mark in marks] + [mark.y for mark in marks], default=0.0), 100.0]
    lines = [Line(ends, ends, "muted", "as correct as confident"), Line([m.x for m in marks], [m.y for m in marks])]
    return plot(Axis.over("mean confidence, %", ends), Axis.over("correct, %", ends), lines, marks, css="curves")


def _histogram(values: np.ndarray, low: float, said: str, css: str) -> str:
    if not len(values):
        return html("report_page.quiet", f"It has no {said} predictions.")
    counts, edges = np.histogram(values, BINS, (low, 1.0))
    shares = 100 * counts / len(values)
    xs = 100 * np.repeat(edges, 2)
    ys = np.concatenate([[0], np.repeat(shares, 2), [0]]).tolist()
    x = replace(Axis.over("probability of the predicted class, %", [100 * low, 100]), low=100 * low, high=100)
    y = replace(
        Axis.over(f"{len(values):,} {said} predictions, %: {100 * values.mean():.2f}% mean confidence", ys), low=0
    )
    return plot(x, y, [Line(xs.tolist(), ys, f"area {css}")], css="low")


def _dont_know(answers: Predictions, report: Report | None) -> str:
    known = report_store.dont_know(answers, report)
    if known is None:
        return html("report_page.quiet", "It has no threshold.")
    lines, marks = [], []
    for split, css in (("validation", "muted"), ("test", "accent")):
        curve, chosen = known[split]["curve"], known[split]
        shown = [place for place, share in enumerate(curve["coverage"]) if share >= SHOWN]
        xs, ys = ([100 * curve[key][place] for place in shown] for key in ("coverage", "accuracy"))
        lines.append(Line(xs, ys, css, f"{split}, {known[split]['samples']:,} samples"))
        if chosen["coverage"] >= SHOWN and chosen["accuracy"] is not None:
            hint = (f"{split}: {100 * chosen['accuracy']:.2f}% correct", f"of {100 * chosen['coverage']:.2f}% answered")
            marks.append(
                Mark(100 * chosen["coverage"], 100 * chosen["accuracy"], hint, css="front" * (css == "accent"))
            )
    x = Axis.over("answered, % of the samples", [x for line in lines for x in line.xs])
    y = Axis.over("correct, % of the answered", [y for line in lines for y in line.ys], "{:.4g}".format)
    return html("report_page.dont_know", known, plot(x, y, lines, marks, css="curves"))


def training(report: Report | None, model: str) -> str:
    """Return the error by epoch, and the gap between training and validation."""
    if report is None:
        return html("report_page.no_training", model)
    epochs, kept = (report.facts["training"][key] for key in ("epochs", "kept_epoch"))
    if len(epochs) == 1:  # a curve takes two points
        return html("report_page.one_step", epochs[0])
    numbers = list(range(1, len(epochs) + 1))
    training, validation = ([100 * (1 - epoch[key]) for epoch in epochs] for key in ("accuracy", "validation_accuracy"))
    positive = [max(error, 0.01) for error in (*training, *validation)]
    across = Axis.over("epoch", numbers)
    errors = [
        Line(numbers, positive[: len(epochs)], "muted", "training (augmented samples)"),
        Line(numbers, positive[len(epochs) :], "accent", "validation"),
    ]
    ahead = [after - before for before, after in zip(training, validation, strict=True)]
    scale = np.clip(
        ahead, *np.percentile(ahead, [5, 95])
    ).tolist()  # an outlier in the first epoch would flatten the rest
    gap = plot(
        across,
        Axis.over("training minus validation accuracy, points", [0, *scale]),
        [Line([1, len(epochs)], [0, 0], "muted"), Line(numbers, scale, "accent")],
        css="curves",
    )
    curves = plot(across, Axis.over("error %, logarithmic scale", positive, log=True), errors, css="curves")
    return html("report_page.training", curves, gap, ahead[kept - 1], kept)


def inside(report: Report | None) -> str:
    """Return the layers, the learned filters and the feature maps of an example."""
    if report is None:
        return ""
    found = report.inside
    filters = [_figure(layer, _weights(layer), WIDEST["filters"]) for layer in found.filters]
    maps = [_figure(layer, _grey(layer), WIDEST["maps"]) for layer in found.maps]
    return html("report_page.inside", _layers(found.rows), filters, maps, found.example)


def _layers(rows: Sequence[Json]) -> list[tuple[Json, list[int], float, float]]:
    """Return each layer with the numbers of the layers that it reads unless that is the one before, width, opacity."""
    items = []
    for place, row in enumerate(rows):
        others = row["sources"] not in ([], [place - 1])
        sources = [source + 1 for source in row["sources"]] if others else []
        depth = float(np.log2(1 + row["shape"][-1])) / 12 if len(row["shape"]) == 3 else 0.6
        items.append((row, sources, breadth(row, rows), 0.35 + 0.65 * min(depth, 1)))
    return items


def _figure(layer: Pictures, image: np.ndarray, widest: int) -> tuple[str, np.ndarray, int]:
    """Return the title, the picture, and its width on the page in pixels."""
    scale = max(1, min(8, widest // image.shape[1]))
    return layer.title, image, scale * image.shape[1]


def _weights(layer: Pictures) -> np.ndarray:
    """Return weights as color and opacity, so that zero is transparent: uint8 (H, W, 4)."""
    drawn = mosaic(layer).astype(np.int16)
    colours = np.where((drawn > 0)[..., None], INK, BACKGROUND)
    opacity = 255 * np.sqrt(np.abs(drawn) / 127)  # so that small weights are visible too, on dark and on light
    return np.dstack([colours, opacity]).astype(np.uint8)


def _grey(layer: Pictures) -> np.ndarray:
    """Return maps in gray with transparent gaps: uint8 (H, W, 4)."""
    there = mosaic(replace(layer, images=np.full_like(layer.images, 255)))
    return np.dstack([mosaic(layer)] * 3 + [there])
