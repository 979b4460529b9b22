"""Plots as HTML: text scales with the page, colors follow the light or dark theme, marks are links."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from leaderboard.tabs.markup import html
from zoo.types import Json

LETTER, LINE = 7.2, 19.0  # a label's pixels: the width of a letter, at most, and the height
PHONE, WIDE = (230.0, 240.0), (610.0, 300.0)  # pixels of the area on a narrow screen, and on the narrowest wide one


@dataclass(frozen=True)
class Axis:
    """An axis of a plot, in the units of its data."""

    title: str
    low: float
    high: float
    ticks: tuple[float, ...]
    write: Callable[[float], str] = "{:g}".format
    log: bool = False

    @classmethod
    def over(
        cls, title: str, values: Sequence[float], write: Callable[[float], str] | None = None, log: bool = False
    ) -> "Axis":
        """Return an axis that holds the values, with ticks at round numbers."""
        low, high = min(values), max(values)
        if log:
            low, high = math.log10(low), math.log10(high)
            margin = max(0.08 * (high - low), 0.15)
            low, high = low - margin, high + margin
            ticks = [d * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for d in (1, 2, 5)]
            ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
            if len(ticks) > 6:
                ticks = [tick for tick in ticks if f"{tick:e}".startswith("1")]
            return cls(title, 10**low, 10**high, tuple(ticks), write or "{:g}".format, True)
        margin = 0.08 * (high - low) or 0.005 * abs(high) or 1.0
        low, high = low - margin, high + margin
        step = _round_step((high - low) / 4)
        first = math.ceil(low / step)
        steps = tuple(n * step for n in range(first, math.floor(high / step) + 1))
        return cls(title, low, high, steps, write or "{:g}".format)

    def reversed(self) -> "Axis":
        """Return this axis in reverse direction."""
        return replace(self, low=self.high, high=self.low)

    def place(self, value: float) -> float:
        """Return the position of a value, percent of the axis."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return 100 * (value - low) / (high - low)


@dataclass(frozen=True)
class Line:
    """Joined points; `css` is "accent" or "muted"."""

    xs: Sequence[float]
    ys: Sequence[float]
    css: str = "accent"
    title: str = ""
    step: bool = False  # constant until the next point, as a Pareto front is


@dataclass(frozen=True)
class Mark:
    """A point with a hint on hover and focus, and a link.

    label: shown next to it where it has room; empty: no label.
    side: classes of the label: "start" where it begins at the mark, "wide" where only a wide screen has room for it.
    hint: lines shown on hover and focus, plain text, the first one strong.
    visit: what the link leads to; None: no link.
    """

    x: float
    y: float
    hint: tuple[str, ...]
    label: str = ""
    css: str = ""
    visit: Json | None = None
    side: str = ""


def plot(x: Axis, y: Axis, lines: Sequence[Line] = (), marks: Sequence[Mark] = (), css: str = "") -> str:
    """Return a plot as HTML; the page also gives its content as text or a table."""
    drawn = [(line, _points(line, x, y)) for line in lines]
    return html("charts.plot", x, y, drawn, _labelled_apart(marks, x, y), css)


def _points(line: Line, x: Axis, y: Axis) -> str:
    """Return the corners of a line as SVG has them, in percent of the area from its upper left."""
    points = [(x.place(a), 100 - y.place(b)) for a, b in zip(line.xs, line.ys, strict=True)]
    if line.step:
        corners = [(after[0], before[1]) for before, after in itertools.pairwise(points)]
        points = [p for pair in zip(points, [*corners, (100, points[-1][1])], strict=True) for p in pair]
    return " ".join(f"{a:.2f},{b:.2f}" for a, b in points)


def _labelled_apart(marks: Sequence[Mark], x: Axis, y: Axis) -> list[Mark]:
    """Return the marks, higher ones first, with the labels that have room: none overlaps another or leaves the area."""
    found = sorted(marks, key=lambda mark: -mark.y)
    places = [(x.place(mark.x) / 100, y.place(mark.y) / 100) for mark in found]
    sides = _room(found, places, PHONE, {})
    for index, side in _room(found, places, WIDE, sides).items():
        found[index] = replace(found[index], side=side if index in sides else f"{side} wide")
    return [mark if mark.side or not mark.label else replace(mark, label="") for mark in found]


def _room(
    marks: Sequence[Mark], places: Sequence[tuple[float, float]], area: tuple[float, float], sides: dict[int, str]
) -> dict[int, str]:
    """Return the side of each label that has room in an area of some pixels; those in `sides` stay where they are."""
    taken: list[tuple[float, float, float]] = []  # left, right and bottom, in pixels
    shown = {}
    for index in sorted(range(len(marks)), key=lambda index: index not in sides):
        width, middle, bottom = LETTER * len(marks[index].label), places[index][0] * area[0], places[index][1] * area[1]
        for side in (sides[index],) if index in sides else ("end", "start"):
            left = middle - width if side == "end" else middle
            inside = left >= 0 and left + width <= area[0]
            if not width or not (inside or index in sides):
                continue
            if all(left >= b or left + width <= a or abs(bottom - other) >= LINE for a, b, other in taken):
                taken.append((left, left + width, bottom))
                shown[index] = side
                break
    return shown


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(step * size for step in (1, 2, 5, 10) if step * size >= rough)
