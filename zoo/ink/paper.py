"""Ink on paper: what of a picture was written, whatever the light, the paper and the pen.

Paper is the smooth part of a picture: a surface of second degree through its brightness, fitted so that ink does not
pull at it (iteratively reweighted least squares, Beaton and Tukey, 1974). Ink is what differs from it, so polarity and
colour need no rules of their own.
"""

import cv2
import numpy as np

from zoo.errors import Blank

FAINTEST = 24  # of 255: less contrast is paper grain and JPEG noise
COARSE = 64  # pixels a side that the paper is fitted on
PAGE = 64  # pixels: what has a shorter side is a glyph that was cut out, and what runs through it is a stroke
SPECK = 0.004  # of the ink: a piece with less is dirt; the dot of a letter has 0.03 and more


def find_ink(picture: np.ndarray) -> np.ndarray:
    """Return how much each pixel is ink.

    Args:
        picture: uint8 (H, W, 4), RGBA. Paint on a transparent ground is ink where it is opaque.

    Returns:
        float32 (H, W) in [0, 1]; the edge of a stroke lies where it crosses 0.5.

    Raises:
        Blank: nothing stands out.
    """
    colour, alpha = picture[..., :3], picture[..., 3]
    opaque = alpha > 127
    if not opaque.all():
        rows, columns = (np.flatnonzero(opaque.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            raise Blank("This picture is empty: draw something and lift the pen.")
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if opaque[window].mean() < 0.95 or np.ptp(colour[window].reshape(-1, 3), axis=0).max() < 32:
            return alpha.astype(np.float32) / 255
        ink = np.zeros(alpha.shape, np.float32)  # an opaque picture on a transparent ground
        ink[window] = _on_paper(np.ascontiguousarray(colour[window]))
        return ink
    return _on_paper(np.ascontiguousarray(colour))


def _on_paper(colour: np.ndarray) -> np.ndarray:
    contrast = _contrast(colour)
    # The median is of paper where there is enough of it; what is cut out tightly may be mostly ink.
    grain = 0.0 if min(contrast.shape) < PAGE else float(np.median(contrast))
    if grain > 2:  # a sensor's noise
        contrast = cv2.GaussianBlur(contrast, (3, 3), 0)
        grain = float(np.median(contrast))
    floor = max(FAINTEST, 4 * grain)
    if contrast.max() < floor:
        raise Blank("Nothing stands out from the paper here: draw something, or use a darker pen.")
    contrast = _without_ruling(contrast, floor)
    full = np.percentile(contrast[contrast > floor], 75) if (contrast > floor).any() else contrast.max()
    return _without_specks(((contrast - full / 8) / (full - full / 8)).clip(0, 1), floor / full)


def _contrast(colour: np.ndarray) -> np.ndarray:
    """How far each pixel is from the paper, as under the best light of the picture; float32 (H, W), 0 to 255."""
    height, width = colour.shape[:2]
    coarse = cv2.resize(colour, (min(COARSE, width), min(COARSE, height)), interpolation=cv2.INTER_AREA)
    paper = _surface(coarse.astype(np.float32))
    light = paper.max(axis=2)
    brightest = light.max()
    # On light paper ink reflects a share of the light; on a blackboard there is nothing to divide by.
    gain = (brightest / light.clip(1)).clip(1, 3) if brightest > 96 else np.ones_like(light)
    paper = cv2.resize(paper.clip(0, 255).astype(np.uint8), (width, height))
    gain = cv2.resize(gain, (width, height))
    apart = cv2.absdiff(colour, paper)
    return cv2.max(cv2.max(apart[..., 0], apart[..., 1]), apart[..., 2]).astype(np.float32) * gain


def _surface(picture: np.ndarray) -> np.ndarray:
    """The paper under a small picture: a surface of second degree a channel, float32 (h, w, 3).

    It starts from the border, which is nearly all paper, and then takes in whatever of the inside agrees.
    """
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    values = picture.reshape(-1, 3)
    edge = (np.maximum(abs(x), abs(y)) > 0.85).ravel()
    paper = np.tile(np.median(values[edge], axis=0), (len(values), 1))
    if min(height, width) < 8:
        return paper.reshape(picture.shape).astype(np.float32)
    for step in range(8):
        of = edge if step < 3 else np.ones_like(edge)
        apart = abs(values - paper).max(axis=1)
        spread = max(6.0, 1.5 * float(np.median(apart[of])))
        if step < 3:
            spread = max(spread, 24.0)  # a slope of the light is not ink
        weight = np.where(of, (1 - (apart / (4 * spread)) ** 2).clip(0) ** 2, 0)[:, None]  # Tukey's biweight
        if (weight > 0.1).sum() < 24:
            break
        solved = np.linalg.solve(terms.T @ (weight * terms) + 1e-3 * np.eye(6), terms.T @ (weight * values))
        paper = terms @ solved
    return paper.reshape(picture.shape).astype(np.float32)


def _without_ruling(contrast: np.ndarray, floor: float) -> np.ndarray:
    """Take out lines that run from one side of the picture to the other: a notebook's ruling.

    Where they are paler than the ink, they go by their contrast; else by their shape, and strokes are closed again.
    """
    if min(contrast.shape) < PAGE:
        return contrast
    for transposed in (False, True):
        page = contrast.T if transposed else contrast
        mask = (page > floor).astype(np.uint8)
        count, pieces = cv2.connectedComponents(mask)
        strip = max(1, page.shape[1] // 40)
        left, right = (
            np.bincount(pieces[:, side].ravel(), minlength=count) > 0 for side in (np.s_[:strip], np.s_[-strip:])
        )
        through = left & right
        through[0] = False
        if not through.any():
            continue
        ends = np.concatenate([page[:, :strip], page[:, -strip:]], axis=1)
        on_line = through[np.concatenate([pieces[:, :strip], pieces[:, -strip:]], axis=1)]
        level = float(np.percentile(ends[on_line], 95))
        rest = (page > max(1.3 * level, level + floor)).sum()
        paler = rest > 0.05 * mask.sum()
        page = (page - 1.15 * level).clip(0) if paler else _without_long_lines(page, mask)
        contrast = np.ascontiguousarray(page.T if transposed else page)
    return contrast


def _without_long_lines(page: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Rub out runs of a quarter of the width, and close what crosses them."""
    run = max(8, page.shape[1] // 4)
    lines = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    lines = cv2.dilate(lines, np.ones((3, 1), np.uint8))
    thickness = int(lines.sum(axis=0).max() // max(1, cv2.connectedComponents(lines)[0] - 1)) + 2
    left = page * (1 - lines)
    closed = cv2.morphologyEx(left, cv2.MORPH_CLOSE, np.ones((2 * thickness + 1, 1), np.uint8))
    return np.where(lines > 0, np.minimum(closed, page), left)


def _without_specks(ink: np.ndarray, faintest: float) -> np.ndarray:
    """Drop pieces with less than `SPECK` of the ink; a piece that the pen only brushed, as dots are, gets full ink."""
    count, pieces = cv2.connectedComponents((ink > max(0.15, 0.5 * faintest)).astype(np.uint8))
    amount = np.bincount(pieces.ravel(), weights=ink.ravel(), minlength=count)
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, pieces.ravel(), ink.ravel())
    kept = (amount > max(1, SPECK * amount[1:].sum())) & (peak > 0.3)
    kept[0] = False
    if not kept.any():
        raise Blank("Nothing stands out from the paper here: draw something, or use a darker pen.")
    gain = np.where(kept, 1 / peak.clip(0.3, 1), 0)
    gain[0] = 1  # soft edges
    return (ink * gain[pieces]).clip(0, 1).astype(np.float32)
