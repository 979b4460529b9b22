"""Figures made of pictures: samples as they were read, learned filters, feature maps, the architecture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.cards import in_line
from zoo.errors import ZooError
from zoo.reports.inside import Inside, Pictures, mosaic
from zoo.reports.style import BLUE, GREY, ORANGE, PALE, WIDE, new_figure
from zoo.types import Facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 0.85  # of the widest row of an architecture
KINDS = {"image": PALE, "convolution": BLUE, "pooling": "#999999", "dense": ORANGE, "other": "#BBBBBB"}


def samples(
    images: np.ndarray, true: Sequence[int], read: Sequence[int], sure: Sequence[float], labels: Sequence[str],
    title: str = "", ink: int = 255,
) -> "Figure":  # fmt: skip
    """Draw samples with what was read and how surely; a mistake is orange, and its true class stands before an arrow.

    Args:
        images: uint8 (N, H, W); drawn dark on light, as written.
        true, read: N class numbers.
        sure: N probabilities of what was read.
        labels: what the classes are called.
        title: of the figure.
        ink: the value of full ink: 255, or 0 where the images are dark on light already, as pages are.
    """
    height, width = images.shape[1:]
    columns = min(10 if width < 2 * height else 3, len(images))  # pages are strips
    rows = -(-len(images) // columns)
    line = 0.6 * (height if columns > 3 else 0.4 * width / 3)  # pixels, for the words above a sample
    across, down = (1.35 if columns > 3 else 1.06) * width, height + line  # pixels from one sample to the next
    cell = 0.72 if columns > 3 else WIDE / 3  # inches across
    figure, axes = new_figure(cell * columns, cell * down / across * rows + (0.25 if title else 0))
    for place, (image, label, answer, share) in enumerate(zip(images, true, read, sure, strict=True)):
        left, top = across * (place % columns), down * (place // columns)
        axes.imshow(
            255 - image if ink else image, cmap="gray", vmin=0, vmax=255, extent=(left, left + width, top + height, top)
        )
        wrong = answer != label
        truth = f"{in_line(labels[label])} → " if wrong else ""
        told = f"{truth}{in_line(labels[answer])}  {100 * share:.0f}%"
        axes.text(
            left + width / 2, top - 0.1 * line, told,
            ha="center", va="bottom", fontsize=7, color=ORANGE if wrong else "black",
        )  # fmt: skip
    axes.set(xlim=(0, across * columns), ylim=(down * rows - 0.6 * line, -0.8 * line))
    axes.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def filters(layers: Sequence[Pictures], title: str) -> "Figure":
    """Draw learned filters: blue weights answer to ink, orange ones to background, white is zero."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("weights", [ORANGE, "white", BLUE])
    return _mosaics(layers, title, cmap=colours, vmin=-127, vmax=127)


def maps(inside: Inside, title: str) -> "Figure":
    """Draw what the layers make of an example, which stands first; each map in its own range, bright is strong."""
    if inside.example is None:
        raise ZooError(f"{title}: nothing was looked at, so there are no maps to draw.")
    example = Pictures("the example", inside.example[None], 12)
    layers = [example, *inside.maps]
    return _mosaics(layers, title, cmap="gray", vmin=0, vmax=255)


def _mosaics(layers: Sequence[Pictures], title: str, **shades: Any) -> "Figure":
    """Draw the pictures of some layers below each other, each layer over the width of the figure or at most 0.5 in."""
    from matplotlib.patches import Rectangle

    cells = [min(WIDE / min(layer.columns, len(layer.images)), 0.5) for layer in layers]  # inches
    heights = [
        cell * -(-len(layer.images) // min(layer.columns, len(layer.images)))
        * layer.images.shape[1] / layer.images.shape[2] + 0.3
        for cell, layer in zip(cells, layers, strict=True)
    ]  # fmt: skip
    figure, places = new_figure(
        WIDE + 0.2, sum(heights) + 0.3, rows=len(layers), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for axes, cell, layer in zip(places[:, 0], cells, layers, strict=True):
        count, height, width = layer.images.shape
        columns = min(layer.columns, count)
        there = Pictures("", np.ones_like(layer.images), layer.columns)
        drawn = np.ma.masked_where(mosaic(there, gap=0) == 0, mosaic(layer, gap=0))  # the last row may be short
        axes.imshow(drawn, interpolation="nearest", **shades)
        for place in range(count):
            corner = (place % columns) * width - 0.5, (place // columns) * height - 0.5
            axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=GREY, linewidth=0.5))
        axes.set_title(layer.title, fontsize=8, loc="left")
        axes.set_xlim(-0.5 - 0.02 * width, width * WIDE / cell)  # a picture is `cell` wide, the first at the left
        axes.set_anchor("W")
        axes.set_axis_off()
    figure.suptitle(title, fontsize=9)
    return figure


def architecture(rows: Sequence[Facts], title: str) -> "Figure":
    """Draw a network from the image down: as wide as its maps are, and as dark as it has channels.

    Args:
        rows: those of `Inside`.
        title: of the figure.
    """
    figure, axes = new_figure(WIDE, 0.3 * len(rows) + 0.7)
    depths = [np.log2(1 + row["shape"][-1]) if len(row["shape"]) == 3 else 6.0 for row in rows]
    for place, (row, depth) in enumerate(zip(rows, depths, strict=True)):
        width = ACROSS * breadth(row, rows)
        shade = 0.3 + 0.65 * depth / max(depths)
        axes.barh(place, width, left=-width / 2, height=0.66, color=KINDS[row["kind"]], alpha=shade)
        axes.text(0.52, place, row["text"], va="center", fontsize=6.5)
        axes.text(2.95, place, " × ".join(map(str, row["shape"])), va="center", ha="right", fontsize=7)
        count = f"{row['parameters']:,}" if row["parameters"] else "–"
        axes.text(3.5, place, count, va="center", ha="right", fontsize=7)
    lanes: list[int] = []  # where the last way on each ends
    for place, source in ((place, source) for place, row in enumerate(rows) for source in row["sources"]):
        if source < place - 1:  # a way around the rows in between
            lane = next((n for n, end in enumerate(lanes) if end < source), len(lanes))
            lanes[lane : lane + 1] = [place]
            far = -0.5 - 0.05 * lane
            start, end = (-ACROSS * breadth(rows[n], rows) / 2 for n in (source, place))
            axes.plot([start, far, far, end - 0.02], [source, source, place, place], color=GREY, linewidth=0.9)
            axes.plot([end - 0.02], [place], marker=">", color=GREY, markersize=3)
    for x, side, text in ((2.95, "right", "output"), (3.5, "right", "parameters")):
        axes.text(x, -0.9, text, ha=side, fontsize=7, color=GREY)
    axes.set(xlim=(-0.75, 3.55), ylim=(len(rows) - 0.4, -1.3))
    axes.set_axis_off()
    total = sum(row["parameters"] for row in rows)
    axes.set_title(f"{title}: {total:,} parameters", fontsize=9)
    return figure


def breadth(row: Facts, rows: Sequence[Facts]) -> float:
    """Return how wide a row of an architecture is drawn, 0 to 1: by the side of its maps, on a logarithmic scale."""
    largest = max(entry["shape"][0] if len(entry["shape"]) == 3 else 1 for entry in rows)
    side = row["shape"][0] if len(row["shape"]) == 3 else 1
    return float(0.08 + 0.92 * np.log2(1 + side) / np.log2(1 + max(largest, 2))) if side > 1 else 0.12
