"""Figures of the scores: confusions, scores by class, and confidence of correct and incorrect predictions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.cards import in_line, worst_pairs
from zoo.reports.style import BLUE, GREY, ORANGE, PALE, WIDE, new_figure, plain
from zoo.types import Facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 25  # of a histogram of confidence


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> "Figure":
    """Draw a confusion matrix: every count is written, color shows only mistakes, off the diagonal."""
    counts = np.asarray(matrix)
    size = len(labels)
    mistakes = np.where(np.eye(size, dtype=bool), 0, counts)
    side = 0.34 * size if size <= 30 else 0.2 * size  # inches
    figure, axes = new_figure(side + 2.0, side + 1.6)
    font = 6 if size <= 30 else 4
    # A square root, so that single mistakes are visible next to frequent ones.
    shade = np.sqrt(mistakes)
    darkest = max(1.0, shade.max())
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=darkest)
    for i, j in zip(*np.nonzero(counts), strict=True):
        right = i == j
        colour = "white" if not right and shade[i, j] > 0.6 * darkest else GREY if right else "black"
        axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", fontsize=font, color=colour)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PALE, linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.set_xticks(range(size), labels)
    axes.set_yticks(range(size), labels)
    axes.set_xlabel("read as")
    axes.set_ylabel("true class")
    axes.tick_params(length=0, labelsize=10 if size <= 30 else 6)
    axes.set_title(title, fontsize=9)
    return figure


def classes(per_class: Sequence[Facts], title: str) -> "Figure":
    """Draw precision, recall and F1 of every class; recall is also the accuracy among the samples of a class.

    Args:
        per_class: label, precision, recall and f1 of each; fractions.
        title: of the figure.
    """
    places = np.arange(len(per_class))
    figure, axes = new_figure(max(WIDE, 0.2 * len(per_class)), 2.8)
    marks = (("precision", "^", BLUE), ("recall", "v", ORANGE), ("f1", "o", "black"))
    values = {key: np.array([100 * entry[key] for entry in per_class]) for key, _, _ in marks}
    axes.vlines(places, *(pick(list(values.values()), axis=0) for pick in (np.min, np.max)), color=PALE, linewidth=2)
    for key, marker, colour in marks:
        name = {"recall": "recall, which is the accuracy within the class", "f1": "F1"}.get(key, key)
        axes.plot(places, values[key], marker, color=colour, markersize=4 if key != "f1" else 2.5, label=name)
    axes.set_xticks(places, [entry["label"] for entry in per_class])
    axes.set_xlim(-0.6, len(per_class) - 0.4)
    plain(axes, "class", "%")
    axes.tick_params(axis="x", labelsize=10 if len(per_class) <= 30 else 6, length=0)
    figure.suptitle(title, fontsize=9)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=7)
    return figure


def confusions(matrix: Sequence[Sequence[int]], labels: Sequence[str], title: str, most: int = 12) -> "Figure":
    """Draw the most frequent confusions as bars; the true class comes first."""
    pairs = worst_pairs(matrix, labels, most)
    of_class = dict(zip(labels, (sum(row) for row in matrix), strict=True))
    figure, axes = new_figure(WIDE, 0.24 * max(len(pairs), 2) + 1.0)
    counts = [count for _, _, count in pairs]
    axes.barh(range(len(pairs)), counts, color=BLUE, height=0.7)
    for place, (true, _, count) in enumerate(pairs):
        axes.text(count, place, f" {count} of {of_class[true]:,}", va="center", fontsize=7)
    axes.set_yticks(range(len(pairs)), [f"{in_line(true)}  predicted as  {in_line(read)}" for true, read, _ in pairs])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(counts, default=1))
    plain(axes, "samples", "")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelsize=9, length=0)
    axes.set_title(title if pairs else f"{title}: no mistakes", fontsize=9)
    return figure


def confidence(sure: np.ndarray, right: np.ndarray, threshold: float | None, title: str) -> "Figure":
    """Draw the confidence of correct and of incorrect predictions, each as shares of its own samples.

    Args:
        sure: float (N,), the probability of the likeliest class.
        right: bool (N,), whether it is the true one.
        threshold: of "don't know", marked; None: not chosen.
        title: of the figure.
    """
    figure, rows = new_figure(WIDE, 3.4, rows=2, sharex=True)
    edges = np.linspace(min(0.5, float(sure.min(initial=1.0))), 1, BINS + 1)
    for axes, which, colour, name in ((rows[0], right, BLUE, "right"), (rows[1], ~right, ORANGE, "wrong")):
        values = np.asarray(sure, float)[which]
        if len(values):
            axes.hist(values, edges, weights=np.full(len(values), 100 / len(values)), color=colour)
            axes.axvline(values.mean(), color="black", linewidth=1)
            told = f"mean {100 * values.mean():.2f}% in {len(values):,} {name} predictions"
        else:
            told = f"no {name} predictions"
        axes.set_title(told, fontsize=8, loc="left")
        if threshold is not None:
            axes.axvline(threshold, color=GREY, linewidth=1, linestyle="--", label="“don’t know” below")
        plain(axes, "", f"% of the {name}")
    rows[1].set_xlabel("probability of the likeliest class", fontsize=8)
    if threshold is not None:
        rows[0].legend(frameon=False, fontsize=7, loc="upper left")
    figure.suptitle(title, fontsize=9)
    return figure


def covered(
    curves: Mapping[str, Mapping[str, Sequence[float]]], chosen: Mapping[str, Facts] | None, title: str
) -> "Figure":
    """Draw how right the answers are that are given, over the share that is.

    Args:
        curves: "validation" and "test" -> what `coverage_curve` returns.
        chosen: the same -> what `coverage` returns at the threshold; None: not chosen.
        title: of the figure.
    """
    figure, axes = new_figure(WIDE, 2.8)
    for name, colour, dashes in (("validation", ORANGE, "--"), ("test", BLUE, "-")):
        if name not in curves:
            continue
        axes.plot(
            100 * np.array(curves[name]["coverage"]), 100 * np.array(curves[name]["accuracy"]), dashes,
            color=colour, label=name,
        )  # fmt: skip
        if chosen and chosen[name]["accuracy"] is not None:
            x, y = 100 * chosen[name]["coverage"], 100 * chosen[name]["accuracy"]
            axes.plot([x], [y], "o", color=colour, markersize=5, label=f"threshold: {y:.2f}% of {x:.1f}%")
    plain(axes, "answered, % of the samples", "correct, % of the answered")
    lowest = min((min(curve["accuracy"]) for curve in curves.values()), default=0)
    axes.set_ylim(100 * lowest - 0.05 * (100 - 100 * lowest) - 0.01, 100 + 0.05 * (100 - 100 * lowest) + 0.01)
    axes.set_xlim(0, 101)
    axes.legend(frameon=False, fontsize=7, loc="lower left")
    axes.set_title(title, fontsize=9)
    return figure
