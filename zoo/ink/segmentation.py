"""Find the glyphs in a picture and put them into reading order.

A glyph is connected ink together with what is above or below it: the dots of a letter, the bar of a five.
Glyphs that touch each other are not taken apart.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from zoo.errors import Blank, InkError
from zoo.ink.paper import window_of

MOST = 200  # glyphs in a picture; more is a page of text, or a picture of something else
SPECK = 0.06  # of a typical glyph's height: a piece smaller both ways is dirt; the dot of a letter has 0.08 and more
ALONE = 0.16  # of a typical glyph's height: a glyph smaller both ways is dirt; an Arabic zero has 0.2 and more
GAP = 0.7  # of a typical glyph's height: the farthest that a dot stands from its letter


@dataclass(frozen=True)
class Glyph:
    """One glyph of a picture.

    x, y, width, height: its box, as fractions of the picture's width and height.
    line: which line of writing it stands on, from 0 at the top.
    ink: float32 (H, W) in [0, 1], the box's own ink without that of its neighbors.
    """

    x: float
    y: float
    width: float
    height: float
    line: int
    ink: np.ndarray


def find_glyphs(ink: np.ndarray, right_to_left: bool = False) -> list[Glyph]:
    """Find glyphs in a picture's ink, in reading order.

    Args:
        ink: float (H, W) in [0, 1], of writing only, from `writing.find_writing`.
        right_to_left: as letters of Arabic are read; its digits, like Latin ones, run left to right.

    Raises:
        Blank: nothing but specks.
        InkError: more than `MOST`.
    """
    height, width = ink.shape
    mask = (ink > 0.4).astype(np.uint8)
    rows, columns = window_of(mask)
    ink = ink[rows, columns]
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask[rows, columns])
    boxes = stats[1:, :4].astype(float)
    boxes[:, 2:] += boxes[:, :2]  # x0, y0, x1, y1
    names = np.arange(1, count)
    if len(boxes) == 0:
        raise Blank("No glyph was found on the paper: write larger, or come closer.")
    typical = _typical(boxes)
    large = (np.ptp(boxes.reshape(-1, 2, 2), axis=1) >= SPECK * typical).any(axis=1)
    boxes, names = boxes[large], names[large]
    if len(boxes) > 3 * MOST:
        raise InkError(
            f"A picture has at most {MOST} glyphs; this one seems to have {len(boxes)}, so show a part of it."
        )
    groups = _join(boxes, typical)
    merged = np.array([[*boxes[g, :2].min(axis=0), *boxes[g, 2:].max(axis=0)] for g in groups])
    tall = (merged[:, 2:] - merged[:, :2]).max(axis=1) >= ALONE * typical
    groups, merged = [group for group, kept in zip(groups, tall, strict=True) if kept], merged[tall]
    if len(merged) > MOST:
        raise InkError(f"A picture has at most {MOST} glyphs; this one has {len(merged)}, so show a part of it.")
    found = []
    for number, line in enumerate(_lines(merged)):
        for index in sorted(line, key=lambda i: merged[i, [0, 2]].sum(), reverse=right_to_left):
            x0, y0, x1, y1 = merged[index].astype(int)
            own = np.isin(pieces[y0:y1, x0:x1], names[groups[index]])
            soft = cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            crop = np.where(soft, ink[y0:y1, x0:x1], 0).astype(np.float32)
            if crop.max(initial=0) <= 0.5:
                continue
            x, y = x0 + columns.start, y0 + rows.start
            found.append(Glyph(x / width, y / height, (x1 - x0) / width, (y1 - y0) / height, number, crop))
    return found


def _typical(boxes: np.ndarray) -> float:
    """The height of a typical glyph: median over the pieces at least a third as large as the largest, pixels."""
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    return float(np.median(sides[sides >= sides.max() / 3]))


def _join(boxes: np.ndarray, typical: float) -> list[list[int]]:
    """Group pieces that are one glyph: one above the other and close, or one within the other's box."""
    x0, y0, x1, y1 = boxes.T
    across = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    gap = np.maximum(y0[:, None], y0) - np.minimum(y1[:, None], y1)
    narrower = np.minimum((x1 - x0)[:, None], x1 - x0)
    side = np.maximum(x1 - x0, y1 - y0)
    small = np.minimum(side[:, None], side) < 0.5 * typical  # one of the two is a dot or a dash
    above = (across >= 0.5 * narrower) & (gap <= np.where(small, GAP, 0.12) * typical)
    within = (across >= 0.6 * narrower) & (gap < -0.6 * np.minimum((y1 - y0)[:, None], y1 - y0))
    apart = np.maximum(x0[:, None], x0) - np.minimum(x1[:, None], x1)
    dash = np.minimum((y1 - y0)[:, None], y1 - y0) < 0.35 * typical
    near = dash & (np.maximum(apart, gap) <= 0.1 * typical) & (across >= -0.05 * typical)  # a bar that slipped aside
    return _connected(above | within | near)


def _lines(boxes: np.ndarray) -> list[list[int]]:
    """Group glyphs into lines from top to bottom: glyphs that overlap by half of their height share a line."""
    y0, y1 = boxes[:, 1], boxes[:, 3]
    overlap = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    lower = np.minimum((y1 - y0)[:, None], y1 - y0)
    lines = _connected(overlap >= 0.5 * lower)
    return sorted(lines, key=lambda line: boxes[line][:, [1, 3]].mean())


def _connected(linked: np.ndarray) -> list[list[int]]:
    """Connected parts of a symmetric relation, bool (N, N)."""
    left, parts = set(range(len(linked))), []
    while left:
        part, frontier = [], [left.pop()]
        while frontier:
            part.append(frontier.pop())
            near = {int(i) for i in np.flatnonzero(linked[part[-1]])} & left
            left -= near
            frontier += near
        parts.append(sorted(part))
    return parts
