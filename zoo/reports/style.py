"""One style for every figure. Drawn once, and again when that changes.

Lines are blue and orange of the Okabe-Ito set, which people with any color vision can tell apart, and differ in their
dashes too; a matrix has one hue, and every number that matters is written out. The font is the one that matplotlib
brings along (DejaVu Sans): it has the Arabic letters and digits, and is the same on every machine.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200  # print quality at the width of a page
STYLE = 4  # counts up when the drawing changes, so that old figures are drawn again
BLUE, ORANGE, GREY, PALE = "#0072B2", "#D55E00", "#666666", "#DDDDDD"  # Okabe and Ito, and two grays
WIDE = 7.0  # inches: the width of a page's text
_DRAWN_FROM = "Drawn-From"  # PNG text: checksum of what the figure shows


def draw(path: Path, key: object, figure: Callable[[], "Figure"]) -> Path:
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


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **settings: Any) -> "tuple[Figure, Any]":
    """Return a figure (inches) and its axes, without the global state of pyplot or a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **settings)


def plain(axes: "Axes", across: str, up: str) -> None:
    """Give a plot its titles, small ticks and a light grid."""
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    axes.tick_params(which="both", labelsize=7)
    axes.grid(which="both", linewidth=0.3, alpha=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def sparse(value: float, _position: int) -> str:
    """Label 2, 3 and 5 between the powers of ten."""
    return f"{value:g}" if f"{value:e}"[0] in "235" else ""


def _drawn_from(path: Path) -> str | None:
    from PIL import Image

    with Image.open(path) as image:
        checksum: str | None = image.info.get(_DRAWN_FROM)
    return checksum
