"""Find a sheet of paper on a desk by its four corners, and rectify it.

A sheet is the largest light region of a picture, once its writing is taken away, if that region is a quadrilateral that
stands free within the picture. A region along the picture's border on several sides ends at a shadow, not a sheet.
"""

import cv2
import numpy as np

COARSE = 320  # pixels of the longer side on which a sheet is looked for
WRITING = 17  # pixels there: a square that erases the writing
LEAST, MOST = 0.03, 0.99  # share of the picture that a sheet covers
FREE = 0.45  # of a sheet's outline, the most that may lie on the picture's border
SKEW = 0.35  # cosine of a corner: a sheet's lie between 70 and 110 degrees
LIKE = 0.88  # of a sheet's area that its quadrilateral shares with it
WRITTEN = 0.002  # of a sheet's area, the least that is written on


def find_sheet(colour: np.ndarray) -> np.ndarray | None:
    """Return the corners of a sheet in a picture, or None where there is none.

    Args:
        color: uint8 (H, W, 3) or (H, W).

    Returns:
        float32 (4, 2), (x, y) in pixels: clockwise from the corner at the upper left.
    """
    scale = min(1.0, COARSE / max(colour.shape[:2]))
    if min(colour.shape[:2]) * scale < 3 * WRITING:
        return None
    coarse = cv2.resize(colour, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else colour
    height, width = coarse.shape[:2]
    light = cv2.cvtColor(coarse, cv2.COLOR_RGB2GRAY) if coarse.ndim == 3 else coarse
    blank = cv2.morphologyEx(light, cv2.MORPH_CLOSE, np.ones((WRITING, WRITING), np.uint8))
    _, mask = cv2.threshold(cv2.GaussianBlur(blank, (5, 5), 0), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    outline = max(outlines, key=cv2.contourArea)
    covered = cv2.contourArea(outline) / (height * width)
    corners = _four_corners(outline)
    if corners is None or not LEAST <= covered <= MOST:
        return None
    sheet = cv2.drawContours(np.zeros_like(mask), [outline], -1, 255, cv2.FILLED)
    quad = cv2.fillConvexPoly(np.zeros_like(mask), np.int32(np.round(corners)), 255)
    if np.count_nonzero(sheet & quad) < LIKE * np.count_nonzero(sheet | quad):
        return None
    inside = cv2.erode(quad, np.ones((9, 9), np.uint8)) > 0
    around = (cv2.dilate(quad, np.ones((15, 15), np.uint8)) > 0) & (cv2.dilate(quad, np.ones((5, 5), np.uint8)) == 0)
    if not inside.any() or not around.any() or np.median(blank[inside]) - np.median(blank[around]) < 25:
        return None
    strokes = cv2.divide(cv2.subtract(blank, light), cv2.max(blank, 40), scale=255) > 60
    x, y = outline[:, 0].T
    at_border = np.mean((x <= 1) | (y <= 1) | (x >= width - 2) | (y >= height - 2))
    if at_border > FREE or np.count_nonzero(strokes & inside) < WRITTEN * np.count_nonzero(inside):
        return None
    found: np.ndarray = (corners / scale).astype(np.float32)
    return found


def _four_corners(outline: np.ndarray) -> np.ndarray | None:
    """The quadrilateral of an outline, float (4, 2), clockwise from the upper left; None where it is none."""
    hull = cv2.convexHull(outline)
    around = cv2.arcLength(hull, True)
    for share in (0.015, 0.03, 0.05):
        polygon = cv2.approxPolyDP(hull, share * around, True)[:, 0].astype(float)
        if len(polygon) == 4:
            middle = polygon.mean(axis=0)
            order = np.argsort(np.arctan2(*(polygon - middle).T[::-1]))
            polygon = polygon[order]
            sides = np.roll(polygon, -1, axis=0) - polygon
            sides /= np.linalg.norm(sides, axis=1, keepdims=True)
            if np.abs((sides * np.roll(sides, 1, axis=0)).sum(axis=1)).max() > SKEW:
                return None
            corners: np.ndarray = np.roll(polygon, -int(polygon.sum(axis=1).argmin()), axis=0)
            return corners
    return None


def from_above(picture: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a sheet as seen from straight above, and the matrix (3, 3) from its pixels to those of the picture."""
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    width, height = (max(8, round(float(sides[[i, i + 2]].mean()))) for i in (0, 1))
    # A little less than the sheet: its own edge is not written.
    middle = corners.mean(axis=0)
    inner = (corners - middle) * 0.98 + middle
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    matrix = cv2.getPerspectiveTransform(target, inner.astype(np.float32))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(picture, matrix, (width, height), flags=flags), matrix
