"""Figures of a training: error and loss by epoch, and the gap between training and validation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.reports.style import BLUE, GREY, ORANGE, WIDE, new_figure, plain, sparse
from zoo.types import Facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(epochs: Sequence[Facts], kept_epoch: int, title: str) -> "Figure":
    """Draw error and loss by epoch, training and validation; the epoch whose weights were kept is marked."""
    numbers = range(1, len(epochs) + 1)
    figure, (errors, losses) = new_figure(WIDE, 2.8, columns=2)
    for axes, key, name in ((errors, "accuracy", "error, %"), (losses, "loss", "loss")):
        for prefix, colour, dashes, label in (("", BLUE, "-", "training"), ("validation_", ORANGE, "--", "validation")):
            values = np.array([epoch[prefix + key] for epoch in epochs])
            values = 100 * (1 - values) if key == "accuracy" else values
            axes.plot(numbers, values, dashes, color=colour, label=label, marker="." if len(epochs) < 3 else None)
        axes.axvline(kept_epoch, color=GREY, linewidth=0.8, linestyle=":", label="weights kept")
        axes.set_yscale("log", nonpositive="mask")
        plain(axes, "epoch", name)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(sparse)
    errors.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure


def gap(epochs: Sequence[Facts], kept_epoch: int, title: str) -> "Figure":
    """Draw by epoch how many points the accuracy on training samples is above that on validation samples.

    Above zero the network knows its own samples better than new ones; below, augmentation and dropout make training
    samples the harder ones.
    """
    numbers = np.arange(1, len(epochs) + 1)
    points = np.array([100 * (epoch["accuracy"] - epoch["validation_accuracy"]) for epoch in epochs])
    figure, axes = new_figure(WIDE, 2.6)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.fill_between(numbers, points, 0, where=points > 0, interpolate=True, color=ORANGE, alpha=0.25, linewidth=0)
    axes.fill_between(numbers, points, 0, where=points < 0, interpolate=True, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(numbers, points, color="black", linewidth=1.2, marker="." if len(epochs) < 3 else None)
    axes.axvline(kept_epoch, color=GREY, linewidth=0.8, linestyle=":", label="weights kept")
    axes.plot([kept_epoch], [points[kept_epoch - 1]], "o", color=ORANGE, markersize=4)
    told = f"{points[kept_epoch - 1]:+.2f} points at epoch {kept_epoch}, whose weights were kept"
    axes.set_title(f"{title}: {told}", fontsize=9)
    # A first epoch far off would flatten the rest: the middle of the curve decides the scale.
    low, high = np.percentile(points, [5, 95])
    margin = 0.6 * max(high - low, 0.2)
    axes.set_ylim(min(low, 0) - margin, max(high, 0) + margin)
    plain(axes, "epoch", "training minus validation\naccuracy, points")
    return figure
