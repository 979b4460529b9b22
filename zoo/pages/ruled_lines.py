"""Find the ruled lines of a page and remove them.

A ruled line is nearly straight, thin and nearly horizontal, and continues where nothing is written. Strokes that cross
it are kept: their ink extends above or below the line.
"""

import cv2
import numpy as np

from zoo.ink.paper import FAINTEST

RUN = 40  # pixels in a row that only a rule, hardly a pen, leaves inked
STEEPEST = 0.02  # slope of a page that was rotated on the scanner
LEAST_LENGTH = 0.25  # of the page's width that a rule is seen on
BAND = 7  # pixels: height over which a rule's length is summed, for it bends
APART = 25  # pixels between two rules, at least
THICKEST = 4  # pixels of a rule; ink that is taller crosses it
SAMPLE = 500_000  # pixels of runs that the slope is found from; a page of two hundred rules has fewer
REACH = 2  # pixels above and below a rule's middle where it is looked for
SPECK = 8  # pixels: what is left of a rule in pieces smaller than this is dirt


def without_rules(page: np.ndarray) -> np.ndarray:
    """Return a page in black and white without its ruled lines.

    Args:
        page: uint8 (H, W), dark ink on light paper.

    Returns:
        uint8 (H, W): 0 is ink and 255 is paper.
    """
    if np.ptp(page) < FAINTEST:
        return np.full_like(page, 255)
    _, ink = cv2.threshold(page, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    crossing = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((THICKEST + 1, 1), np.uint8))
    columns = np.arange(ink.shape[1])
    for rule in find_rules(ink):
        middle = np.polyval(rule, columns)
        for offset in range(-REACH, REACH + 1):
            rows = np.round(middle + offset).astype(int).clip(0, len(ink) - 1)
            ink[rows, columns] &= crossing[rows, columns]
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    ink[(facts[:, cv2.CC_STAT_AREA] < SPECK)[pieces]] = 0
    paper: np.ndarray = 255 - ink
    return paper


def find_rules(ink: np.ndarray) -> list[np.ndarray]:
    """Return the ruled lines of a page, the longest first.

    Args:
        ink: uint8 (H, W), 255 is ink and 0 is paper.

    Returns:
        For each the coefficients of its row over the column, as `numpy.polyval` takes them.
    """
    height, width = ink.shape
    runs = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((1, RUN), np.uint8))
    rows, columns = np.nonzero(runs)
    if not len(rows):
        return []
    margin = int(STEEPEST * width) + 1

    def levelled(slope: float, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        level: np.ndarray = rows - slope * (columns - width / 2) + margin
        return level

    def lengths(slope: float, every: int = 1) -> np.ndarray:
        level = levelled(slope, rows[::every], columns[::every])
        return np.bincount(level.round().astype(int), minlength=height + 2 * margin)

    slopes, every = np.linspace(-STEEPEST, STEEPEST, 41), -(-len(rows) // SAMPLE)
    slope = slopes[np.argmax([(lengths(slope, every).astype(float) ** 2).sum() for slope in slopes])]
    length = np.convolve(lengths(slope), np.ones(BAND), "same")
    level_line = slope * (np.arange(width) - width / 2) - margin
    rules = []
    while length.max() >= LEAST_LENGTH * width:
        place = int(length.argmax())
        length[max(0, place - APART) : place + APART + 1] = 0
        around = _around(runs, place + level_line)
        rule = _fitted(runs, *around, np.abs(levelled(slope, *around) - place) < BAND)
        if rule is not None:
            rules.append(rule)
    return rules


def _around(runs: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the inked pixels up to `BAND` above and below a line, row by row.

    Args:
        runs: uint8 (H, W), 0 is paper.
        line: float (W,), its row in each column.
    """
    height, width = runs.shape
    rows = np.floor(line.clip(-2 * BAND, height + 2 * BAND)).astype(int) + np.arange(-BAND, BAND + 2)[:, None]
    columns = np.broadcast_to(np.arange(width), rows.shape)
    inked = (rows >= 0) & (rows < height) & (runs[rows.clip(0, height - 1), columns] > 0)
    rows, columns = rows[inked], columns[inked]
    order = np.lexsort((columns, rows))
    return rows[order], columns[order]


def _fitted(runs: np.ndarray, rows: np.ndarray, columns: np.ndarray, near: np.ndarray) -> np.ndarray | None:
    """Fit a line through the inked pixels nearby, with curvature if there are enough of them."""
    rule, width = None, runs.shape[1]
    for _ in range(3):  # each time those that are near to what was fitted
        if near.sum() < RUN:
            return rule
        rule = np.polyfit(columns[near], rows[near], 2 if near.sum() > LEAST_LENGTH * width else 1)
        rows, columns = _around(runs, np.polyval(rule, np.arange(width)))
        near = np.abs(rows - np.polyval(rule, columns)) < BAND / 2
    return rule
