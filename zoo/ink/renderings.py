"""Glyphs of a test set as people photograph them: pictures to be read like the originals."""

from collections.abc import Callable

import cv2
import numpy as np

ZOOM = 10  # pixels of a picture a pixel of the dataset


def thick_on_white(glyph: np.ndarray) -> np.ndarray:
    """A felt pen: strokes wider by a pixel of the dataset, about half as broad again, black on white."""
    return 255 - _thicker(_large(glyph), 1)


def ink_on_grey_paper(glyph: np.ndarray) -> np.ndarray:
    """Blue ink on gray paper, twice as bright at one edge as at the other, with a sensor's noise."""
    share = (_large(_in_a_frame(glyph)) / 255)[..., None]
    height, width = share.shape[:2]
    light = np.linspace(0.55, 1.1, width)[None, :, None] * np.linspace(1.0, 0.9, height)[:, None, None]
    colour = np.array([190.0, 190, 185]) * (1 - share) + np.array([40.0, 60, 150]) * share
    noise = np.random.default_rng(int(glyph.sum())).normal(0, 4, (height, width, 1))
    return (colour * light + noise).clip(0, 255).astype(np.uint8)


def rotated(glyph: np.ndarray) -> np.ndarray:
    """Turned by 10 degrees, one way or the other."""
    page = _large(_in_a_frame(glyph))
    middle = (page.shape[1] / 2, page.shape[0] / 2)
    turn = cv2.getRotationMatrix2D(middle, 10 if glyph.sum() % 2 else -10, 1)
    turned: np.ndarray = 255 - cv2.warpAffine(page, turn, page.shape[::-1], flags=cv2.INTER_LINEAR)
    return turned


def small_in_a_large_frame(glyph: np.ndarray) -> np.ndarray:
    """Two pixels of the picture a pixel of the dataset, in a corner of a page of 1600 x 1200."""
    page = np.full((1200, 1600), 255, np.uint8)
    small = cv2.resize(glyph, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    page[900 : 900 + small.shape[0], 250 : 250 + small.shape[1]] -= small
    return page


def on_ruled_paper(glyph: np.ndarray) -> np.ndarray:
    """Written between the pale blue lines of a notebook; one line runs through the glyph."""
    page = _large(_in_a_frame(glyph))
    paper = np.full((*page.shape, 3), 248, np.uint8)
    for y in range(page.shape[0] // 2, page.shape[0], 120):
        paper[y - 1 : y + 2] = (165, 190, 230)
    for y in range(page.shape[0] // 2, 0, -120):
        paper[y - 1 : y + 2] = (165, 190, 230)
    share = (page / 255)[..., None]
    return (paper * (1 - share) + np.array([25.0, 25, 30]) * share).astype(np.uint8)


RENDERINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "thick on white": thick_on_white,
    "ink on grey paper": ink_on_grey_paper,
    "rotated": rotated,
    "small in a large frame": small_in_a_large_frame,
    "ruled paper": on_ruled_paper,
}


def _in_a_frame(glyph: np.ndarray) -> np.ndarray:
    """With half its side of paper around."""
    return np.pad(glyph.squeeze(), glyph.shape[0] // 2)


def _large(glyph: np.ndarray) -> np.ndarray:
    large: np.ndarray = cv2.resize(glyph.squeeze(), None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    return large


def _thicker(page: np.ndarray, pixels: float) -> np.ndarray:
    size = round(pixels * ZOOM) | 1
    thick: np.ndarray = cv2.dilate(np.pad(page, size), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return thick
