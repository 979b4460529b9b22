"""Keep the pieces of ink that are writing: no specks, no lines of a form or a notebook, nothing cut by the edge.

A piece is connected ink. Pieces are judged together: a thin bar at the edge is a 1 if there is nothing else, and the
rest of a form's box if there is a larger digit.
"""

import cv2
import numpy as np

from zoo.errors import Blank
from zoo.ink.paper import window_of

EDGE = 0.4  # ink from which a pixel belongs to a piece
PALE = 0.2  # ink from which a pixel may belong to a printed line
SPECK = 0.004  # of the ink: a piece with less is dirt; the dot of a letter has 0.03 and more
BAND = 0.12  # of the shorter side: how far into the picture reaches what only lies along its edge
SPAN = 0.85  # of a piece's own box: what runs straight through that much is a line of a form or a notebook
SLIM = 12  # times as long as thick: so is every line of a form
RULE = 6  # times as wide as high: a piece that is so much wider than the glyphs is a line
SOLID = 2.5  # times the other pieces' pens: so broad is no pen

Edges = tuple[int, int, int, int]  # of the picture: left, top, right and bottom, in pixels of a window in it


def keep_writing(ink: np.ndarray) -> np.ndarray:
    """Return ink, float32 (H, W) in [0, 1], without the pieces that were not written.

    Raises:
        Blank: nothing is left.
    """
    rows, columns = window_of((ink > PALE).astype(np.uint8))
    height, width = ink.shape
    edges = -columns.start, -rows.start, width - columns.start, height - rows.start
    writing = np.zeros_like(ink)
    writing[rows, columns] = _writing(ink[rows, columns], edges)
    return writing


def _writing(ink: np.ndarray, edges: Edges) -> np.ndarray:
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((ink > PALE).astype(np.uint8))
    ink, kept_names = _without_specks(ink, pieces, count)
    ink = ink * _without_lines((ink > PALE).astype(np.uint8), pieces, stats, kept_names, edges)
    mask = (ink > EDGE).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count == 1:
        raise Blank("Nothing stands out from the paper here: draw something, or use a darker pen.")
    kept = np.concatenate([[0], _written(labels, stats[1:], edges)]).astype(np.uint8)[labels]
    soft = cv2.dilate(kept, np.ones((3, 3), np.uint8))
    other = cv2.dilate(mask - kept, np.ones((3, 3), np.uint8))
    writing: np.ndarray = ink * (soft & (kept | (1 - other)))
    return writing


def pens_of(labels: np.ndarray, count: int) -> np.ndarray:
    """Width of the pen of each piece, pixels, float (count,): twice the mean distance from its middle to its edge."""
    mask = (labels > 0).astype(np.uint8)
    distance = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    middle = (mask > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)))
    names = labels[middle]
    sums = np.bincount(names, weights=distance[middle], minlength=count)
    widths: np.ndarray = 2 * sums / np.bincount(names, minlength=count).clip(1)
    return widths


def _without_specks(ink: np.ndarray, pieces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Drop pieces with less than `SPECK` of the ink, and pale ones; also return the names of the others.

    A pale piece as broad as the pen stays, with full ink: the pen only brushed the paper, as it does in a dot.
    """
    inked = pieces > 0
    names, levels = pieces[inked], ink[inked]
    amount = np.bincount(names, weights=levels, minlength=count)
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, names, levels)
    large = amount > max(1, SPECK * amount.sum())
    kept, pale = large & (peak > 0.6), large & (peak > 0.3) & (peak <= 0.6)
    if pale.any():
        pens = pens_of(pieces, count)
        kept |= pale & (pens > 0.6 * pens[amount.argmax()])
    if not kept.any():
        raise Blank("Nothing stands out from the paper here: draw something, or use a darker pen.")
    gain = np.where(kept, 1 / peak.clip(0.3, 1), 0)
    even = ink.copy()  # soft edges stay
    even[inked] = (levels * gain[names]).clip(0, 1)
    return even, np.flatnonzero(kept)


def _written(labels: np.ndarray, stats: np.ndarray, edges: Edges) -> np.ndarray:
    """Which pieces were written, bool (N,), by their places, sizes and pens."""
    left, top, right, bottom = edges
    width, height = right - left, bottom - top
    x0, y0 = stats[:, 0], stats[:, 1]
    wide, high = stats[:, 2], stats[:, 3]
    x1, y1 = x0 + wide, y0 + high
    band = max(2.0, BAND * min(height, width))
    touches = np.stack([x0 <= left + 1, y0 <= top + 1, x1 >= right - 1, y1 >= bottom - 1])
    along = np.stack([x1 <= left + band, y1 <= top + band, x0 >= right - band, y0 >= bottom - band])
    reach = max(2, int(band))
    inside = labels[max(0, top + reach) : max(0, bottom - reach), max(0, left + reach) : max(0, right - reach)]
    middle = np.bincount(inside[inside > 0], minlength=len(stats) + 1)[1:]
    frame = (touches.sum(axis=0) >= 3) & (middle < 0.4 * stats[:, cv2.CC_STAT_AREA])
    at_edge = (touches & along).any(axis=0) | frame
    inner = ~at_edge
    if not inner.any() or (frame.any() and np.maximum(wide, high)[inner].max() < 0.15 * min(height, width)):
        return np.ones(len(stats), bool)
    long = np.maximum(wide, high)
    slim = (wide >= RULE * high) | (high >= RULE * wide)
    glyphs = inner & ~slim if (inner & ~slim).any() else inner
    large = glyphs & (long >= long[glyphs].max() / 3)
    size = float(np.median(long[large]))
    # A tall alef stands next to a small hamza: an upright line is a rule only next to a line of glyphs.
    upright = (high > 2.5 * size) & (touches.any(axis=0) | (large.sum() >= 3))
    kept: np.ndarray = ~(slim & ((wide > 1.5 * size) | upright))
    if touches.any():
        pens = pens_of(labels, len(stats) + 1)[1:]
        pen = float(np.median(pens[large]))
        # A digit that the picture's edge cuts is as high as the others and has their pen.
        alike = (high > 0.6 * size) & (high < 1.6 * size) & (pens > 0.6 * pen) & (pens < 1.6 * pen)
        edge = at_edge & ~(alike & ~frame & (touches.sum(axis=0) == 1))
        solid = touches.any(axis=0) & (pens > SOLID * pen)
        kept &= ~(edge | solid)
    return kept


def _without_lines(
    mask: np.ndarray, labels: np.ndarray, stats: np.ndarray, names: np.ndarray, edges: Edges
) -> np.ndarray:
    """Take lines of forms and notebooks out of a mask, uint8 (H, W), piece by piece; what crosses them stays whole.

    Args:
        mask: of the pieces `names`.
        labels, stats: of these and others, as OpenCV finds them.
        names: of the pieces.
        edges: of the picture.
    """
    first_x, first_y, last_x, last_y = edges[0] + 1, edges[1] + 1, edges[2] - 1, edges[3] - 1
    least = 0.25 * min(edges[2] - edges[0], edges[3] - edges[1])
    left = mask.copy()
    for name in names:
        x, y, wide, high = stats[name, :4]
        if max(wide, high) < least:
            continue
        window = np.s_[y : y + high, x : x + wide]
        piece = (labels[window] == name).astype(np.uint8)
        through = (x <= first_x and x + wide >= last_x) or (y <= first_y and y + high >= last_y)
        rest = _rest_without_lines(piece, mask[window] & (1 - piece), through)
        if rest is not None:
            left[window] = (left[window] & (1 - piece)) | rest
    return left


def _rest_without_lines(piece: np.ndarray, inside: np.ndarray, through: bool) -> np.ndarray | None:
    """A piece, uint8 (h, w), without the straight lines that run through its box; None where it has none.

    A 7 has such a line, too. So lines are those of a form or notebook only where something else stays that is large
    enough to be a glyph (in the piece, or `inside` its box), and where there are three of them; or where they run
    `through` the whole picture and are thinner than the pen.
    """
    lines, found, thickness = np.zeros_like(piece), 0, 0.0
    for turned in (False, True):
        page = np.ascontiguousarray(piece.T) if turned else piece
        width = page.shape[1]
        if width < 24:
            continue
        runs = cv2.morphologyEx(page, cv2.MORPH_OPEN, np.ones((1, max(9, min(24, width // 12))), np.uint8))
        joined = cv2.dilate(runs, np.ones((3, 5), np.uint8)) & page
        _, labels = cv2.connectedComponents(joined)
        middle = labels[:, width // 2]  # so long a line crosses it
        for name in np.unique(middle[middle > 0]):
            line = (labels == name).astype(np.uint8)
            heights = line.sum(axis=0)
            heights = heights[heights > 0]
            thick = float(np.median(heights))
            if len(heights) < SPAN * width or width < SLIM * thick:
                continue
            crossed = cv2.morphologyEx(page, cv2.MORPH_OPEN, np.ones((2 * int(thick) + 2, 1), np.uint8))
            thin = line & (1 - crossed)
            lines |= thin.T if turned else thin
            found, thickness = found + 1, max(thickness, thick)
    if not found:
        return None
    rest = piece & (1 - lines)
    least = 0.15 * min(piece.shape)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(rest | inside)
    large = np.flatnonzero(stats[1:, 2:4].max(axis=1) >= least) + 1
    if not len(large):
        return None
    pen = float(pens_of(np.where(np.isin(labels, large), labels, 0), count)[large].max())
    if found < 3 and not (through and thickness <= 0.6 * pen):
        return None
    kept: np.ndarray = rest & np.isin(labels, large).astype(np.uint8)
    return kept
