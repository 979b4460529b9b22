"""The pictures of a card: what a model reads, where it errs, how it learned. Drawn once, and again when that changes.

Lines are blue and orange of the Okabe-Ito set, which people with any colour vision can tell apart, and differ in their
dashes too; a matrix has one hue, and every number that matters is written out.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.cards import in_line
from zoo.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200  # print quality at the width of a page
STYLE = 2  # counts up when the drawing changes, so that old figures are drawn anew
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"  # Okabe and Ito
_DRAWN_FROM = "Drawn-From"  # PNG text: checksum of what the figure shows


def draw(path: Path, key, figure: Callable[[], "Figure"]) -> Path:
    """Write a figure as a PNG, unless the file there was drawn from the same.

    Args:
        path: where to.
        key: all that decides what the figure shows, as plain JSON types.
        figure: draws it; called only where that is needed.
    """
    checksum = hashlib.sha256(json.dumps([STYLE, key], sort_keys=True).encode()).hexdigest()
    if path.exists() and _drawn_from(path) == checksum:
        return path
    with replacing(path) as staged:
        # No version and no date: the same figure is the same file.
        figure().savefig(staged, format="png", dpi=DPI, metadata={"Software": None, _DRAWN_FROM: checksum})
    return path


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> "Figure":
    """Draw a confusion matrix: every count is written, colour shows the mistakes alone (the diagonal is right)."""
    counts = np.asarray(matrix)
    classes = len(labels)
    mistakes = np.where(np.eye(classes, dtype=bool), 0, counts)
    side = 0.34 * classes + 1.6  # inches
    figure, axes = _figure(side + 0.4, side)
    # A square root, so that single mistakes are seen beside the frequent ones.
    shade = np.sqrt(mistakes)
    darkest = max(1.0, shade.max())
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=darkest)
    for i, j in zip(*np.nonzero(counts), strict=True):
        right = i == j
        colour = "white" if not right and shade[i, j] > 0.6 * darkest else GREY if right else "black"
        axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", fontsize=6, color=colour)
    axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#DDDDDD", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.set_xticks(range(classes), labels)
    axes.set_yticks(range(classes), labels)
    axes.set_xlabel("read as")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=9)
    return figure


def curves(epochs: Sequence[Mapping], kept_epoch: int, title: str) -> "Figure":
    """Draw error and loss by epoch, training and validation; the epoch whose weights were kept is marked."""
    numbers = range(1, len(epochs) + 1)
    figure, (errors, losses) = _figure(7.0, 2.8, columns=2)
    for axes, key, name in ((errors, "accuracy", "error, %"), (losses, "loss", "loss")):
        for prefix, colour, dashes, label in (("", BLUE, "-", "training"), ("validation_", ORANGE, "--", "validation")):
            values = np.array([epoch[prefix + key] for epoch in epochs])
            axes.plot(numbers, 100 * (1 - values) if key == "accuracy" else values, dashes, color=colour, label=label)
        axes.axvline(kept_epoch, color=GREY, linewidth=0.8, linestyle=":", label="weights kept")
        axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(_sparse)
        axes.tick_params(which="both", labelsize=7)
        axes.grid(which="both", linewidth=0.3, alpha=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    errors.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure


def samples(images: np.ndarray, true: Sequence[int], probabilities: np.ndarray, labels: Sequence[str]) -> "Figure":
    """Draw samples with what was read and how surely, a mistake in orange and with the true class.

    Args:
        images: uint8 (N, H, W, 1), 0 is background; drawn dark on light, as written.
        true: N class numbers.
        probabilities: float32 (N, classes).
        labels: what the classes are called.
    """
    columns = min(10, len(images))
    rows = -(-len(images) // columns)
    height, width, _ = images.shape[1:]
    across, down = 1.35 * width, 1.6 * height  # pixels from one sample to the next
    figure, axes = _figure(0.72 * columns, 0.85 * rows)
    for place, (image, label, probability) in enumerate(zip(images, true, probabilities, strict=True)):
        left, top = across * (place % columns), down * (place // columns)
        axes.imshow(255 - image[..., 0], cmap="gray", vmin=0, vmax=255, extent=(left, left + width, top + height, top))
        read = int(np.argmax(probability))
        wrong = f", not {in_line(labels[label])}" if read != label else ""
        told = f"{in_line(labels[read])}  {100 * probability[read]:.0f}%{wrong}"
        axes.text(
            left + width / 2, top - 0.06 * height, told,
            ha="center", va="bottom", fontsize=7, color=ORANGE if wrong else "black",
        )  # fmt: skip
    axes.set(xlim=(0, across * columns), ylim=(down * rows - 0.4 * height, -0.45 * height))
    axes.set_axis_off()
    return figure


def _figure(width: float, height: float, columns: int = 1):
    """Return a figure (inches) and its axes, without the global state of pyplot or a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _sparse(value: float, _position: int) -> str:
    """Label 2, 3 and 5 between the powers of ten."""
    return f"{value:g}" if f"{value:e}"[0] in "235" else ""


def _drawn_from(path: Path) -> str | None:
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get(_DRAWN_FROM)
