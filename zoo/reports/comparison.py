"""Figures that compare networks on one dataset."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.reports.style import BLUE, GREY, ORANGE, PALE, WIDE, new_figure, plain, sparse
from zoo.types import Facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Every row: model (its name), accuracy (mean over seeds), interval (95%, low and high, of that mean), documented (None
# or what its document says), parameters, per_class (label, f1). Fractions in [0, 1].


def compared(rows: Sequence[Facts], title: str) -> "Figure":
    """Draw the test error of every model as a bar, with its 95% interval and what its document states."""
    ordered = sorted(rows, key=lambda row: -row["accuracy"])
    places = np.arange(len(ordered))
    errors = np.array([100 * (1 - row["accuracy"]) for row in ordered])
    low, high = (np.array([100 * (1 - row["interval"][side]) for row in ordered]) for side in (1, 0))
    figure, axes = new_figure(WIDE, 0.36 * len(ordered) + 1.0)
    axes.barh(places, errors, color=BLUE, height=0.6, label="mean over the seeds")
    axes.hlines(places, low, high, color="black", linewidth=1.2, label="95% interval of the mean")
    known = [(place, 100 * (1 - row["documented"])) for place, row in zip(places, ordered, strict=True)
             if row["documented"] is not None]  # fmt: skip
    if known:
        axes.plot(*zip(*[(x, y) for y, x in known], strict=True), "D", color=ORANGE, markersize=5, label="its document")
    for place, (error, end) in enumerate(zip(errors, high, strict=True)):
        right = max([end, error, *(x for y, x in known if y == place)])
        axes.text(right + 0.02 * high.max(), place, f"{100 - error:.2f}% correct", va="center", fontsize=7)
    axes.set_yticks(places, [row["model"] for row in ordered])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.22 * max([*high, *(x for _, x in known)]))
    plain(axes, "test error, %", "")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelsize=8, length=0)
    figure.suptitle(title, fontsize=9)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=7)
    return figure


def compared_classes(rows: Sequence[Facts], title: str) -> "Figure":
    """Draw F1 of every class and model as a matrix: the darker, the worse; every number is written."""
    ordered = sorted(rows, key=lambda row: -row["accuracy"])
    labels = [entry["label"] for entry in ordered[0]["per_class"]]
    scores = np.array([[100 * entry["f1"] for entry in row["per_class"]] for row in ordered])
    figure, axes = new_figure(max(WIDE, 0.36 * len(labels) + 1.6), 0.34 * len(ordered) + 0.9)
    shade = np.sqrt(100 - scores)
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=max(1e-9, 1.3 * shade.max()), aspect="auto")
    for i, j in np.ndindex(scores.shape):
        colour = "white" if shade[i, j] > 0.8 * shade.max() else "black"
        axes.text(j, i, f"{scores[i, j]:.1f}", ha="center", va="center", fontsize=6, color=colour)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(ordered)), [row["model"] for row in ordered])
    axes.tick_params(length=0, labelsize=8)
    axes.tick_params(axis="x", labelsize=10)
    axes.set_title(f"{title}: F1 by class, %", fontsize=9)
    return figure


def compared_parameters(rows: Sequence[Facts], title: str) -> "Figure":
    """Draw accuracy over parameters; models that no smaller one beats are joined and blue."""
    ordered = sorted(rows, key=lambda row: (row["parameters"], -row["accuracy"]))
    figure, axes = new_figure(WIDE, 3.2)
    best, front = -1.0, []
    for row in ordered:
        x, y = row["parameters"], 100 * row["accuracy"]
        ahead = row["accuracy"] > best
        if ahead:
            best = row["accuracy"]
            front.append((x, y))
        axes.plot([x], [y], "o" if ahead else "s", color=BLUE if ahead else GREY, markersize=5)
        axes.annotate(
            row["model"].partition(".")[0] + "".join(f"-{word}" for word in row["model"].split("-")[1:]), (x, y),
            (0, 6 if ahead else -11), textcoords="offset points", ha="center", fontsize=7,
        )  # fmt: skip
    axes.step(*zip(*front, strict=True), where="post", color=PALE, zorder=0)
    axes.set_xscale("log")
    axes.margins(0.14)
    plain(axes, "parameters", "test accuracy, %")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(lambda value, place: f"{value:,.0f}" if sparse(value, place) else "")
    axes.tick_params(axis="x", which="minor", labelsize=6)
    axes.set_title(title, fontsize=9)
    return figure
