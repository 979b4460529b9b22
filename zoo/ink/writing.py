"""Find the writing in a picture: first the sheet, then the ink on it, then the ink that is writing."""

from dataclasses import dataclass

import cv2
import numpy as np

from zoo.errors import Blank
from zoo.ink.paper import colour_of, find_ink
from zoo.ink.pieces import keep_writing
from zoo.ink.sheet import find_sheet, from_above


@dataclass(frozen=True)
class Writing:
    """The ink of a picture and where it was found.

    page: uint8 (H, W, 4), RGBA: the picture, or the sheet in it as seen from straight above.
    all_ink: float32 (h, w) in [0, 1], what stands out from the paper; (h, w) has the proportions of the page.
    ink: float32 (h, w) in [0, 1], of that what was written.
    matrix: float (3, 3), from pixels of the page to pixels of the picture; None where they are the same.
    """

    page: np.ndarray
    all_ink: np.ndarray
    ink: np.ndarray
    matrix: np.ndarray | None


def find_writing(picture: np.ndarray, dark: bool | None = None) -> Writing:
    """Find what was written in a picture, uint8 (H, W, 4), RGBA.

    Args:
        picture: the picture.
        dark: whether the ink is darker than the paper; None: the picture decides.

    Raises:
        Blank: nothing stands out from the paper.
    """
    if picture[..., 3].min() == 255:
        corners = find_sheet(colour_of(picture))
        if corners is not None:
            page, matrix = from_above(picture, corners)
            try:
                return _written_on(page, matrix, dark)
            except Blank:
                pass  # what looked like a sheet was none
    return _written_on(picture, None, dark)


def _written_on(page: np.ndarray, matrix: np.ndarray | None, dark: bool | None) -> Writing:
    ink = find_ink(page, dark)
    return Writing(page, ink, keep_writing(ink), matrix)


def turned(writing: Writing, quarters: int) -> Writing:
    """Return writing turned to the left by quarters of a full turn; its matrix follows."""
    height, width = writing.page.shape[:2]
    page = np.ascontiguousarray(np.rot90(writing.page, quarters))
    # Corners of the turned page, and where they lie on the page as it was.
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    new_height, new_width = page.shape[:2]
    target = np.array([(0, 0), (new_width, 0), (new_width, new_height), (0, new_height)], np.float32)
    back = cv2.getPerspectiveTransform(target, np.roll(corners, -quarters, axis=0))
    matrix = back if writing.matrix is None else writing.matrix @ back
    ink, all_ink = (np.ascontiguousarray(np.rot90(part, quarters)) for part in (writing.ink, writing.all_ink))
    return Writing(page, all_ink, ink, matrix)
