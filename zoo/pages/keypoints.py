"""A page as a bag of local descriptors of its strokes at a few thousand points, without their positions.

SIFT (Lowe, 2004, "Distinctive image features from scale-invariant keypoints") of the page without its ruled lines. The
descriptors are upright, because the slant of strokes helps to identify the writer (Fiel and Sablatnig, 2012).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import cv2
import numpy as np

from zoo.pages.fields import check_bounds
from zoo.pages.ruled_lines import without_rules
from zoo.types import Json

DESCRIPTOR = 128  # numbers in 0..255
MOST = 50_000  # keypoints of a page that are described, the clearest: more than a page that is written full has
SMALLEST = 3  # pixels of a side: SIFT halves an image, and of a thinner one nothing is left
SPAN = 6  # times a keypoint's size: what its descriptor describes, four by four fields of three sigma each


@dataclass(frozen=True)
class Keypoints:
    """Upright SIFT descriptors of a page, as rows of one uint8 image."""

    most: int = 2048  # descriptors; a strip of three lines has about 1,000
    strip: int = 312  # pixels: height of a strip of a training page, three lines
    step: int = 104  # pixels from one strip to the next, a line
    window: int = 0  # pixels: side of the picture that follows each descriptor, of what it describes; 0: none

    BOUNDS: ClassVar = {
        "most": range(1, 16_385),
        "strip": range(1, 10_001),
        "step": range(1, 10_001),
        "window": range(33),
    }

    def __post_init__(self) -> None:
        check_bounds(self, self.BOUNDS)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a view: a row a descriptor, rows of zeros where there are fewer."""
        return self.most, DESCRIPTOR + self.window**2, 1

    def to_dict(self) -> Json:
        """Return plain JSON types; `views.from_dict` reads them back."""
        return {"kind": "keypoints", "pooling": "none", **asdict(self)}

    # What serves

    def views(self, page: np.ndarray) -> np.ndarray:
        """Return the one view that a page or a strip of one is read by.

        Args:
            page: uint8 (H, W) or (H, W, 1), dark ink on light paper, any size.

        Returns:
            uint8 (1, most, 128 + window * window, 1).
        """
        return self._rows(_described(page, self.window)[1])[None]

    def pool(self, probabilities: np.ndarray) -> np.ndarray:
        """Return one answer, float32 (classes,), from that to the only view, float32 (1, classes)."""
        answer: np.ndarray = probabilities[0]
        return answer

    # What is fitted

    def strips(self, page: np.ndarray) -> np.ndarray:
        """Return the overlapping strips of a page, top to bottom.

        Args:
            page: uint8 (H, W) or (H, W, 1), dark ink on light paper.

        Returns:
            uint8 (strips, most, 128 + window * window, 1).
        """
        heights, described = _described(page, self.window)
        tops = range(0, max(len(page) - self.strip, 0) + 1, self.step)
        return np.stack([self._rows(described[(heights >= t) & (heights < t + self.strip)]) for t in tops])

    def overlap(self, one: int, other: int) -> bool:
        """Return whether two strips of a page, by their numbers, share rows."""
        return abs(one - other) * self.step < self.strip

    def _rows(self, described: np.ndarray) -> np.ndarray:
        """Return descriptors, uint8 (N, columns), as a view; too many are evenly subsampled."""
        kept = np.linspace(0, len(described) - 1, min(len(described), self.most)).round().astype(int)
        view = np.zeros(self.input_shape, np.uint8)
        view[: len(kept), :, 0] = described[kept]
        return view


def _described(page: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return in which row each keypoint lies, float32 (N,), and its descriptor and window, uint8 (N, columns)."""
    page = without_rules(page.reshape(page.shape[:2]))
    nothing = np.empty(0, np.float32), np.empty((0, DESCRIPTOR + window**2), np.uint8)
    if min(page.shape) < SMALLEST:
        return nothing
    sift = cv2.SIFT_create(MOST)
    found = sift.detect(page, None)[:MOST]  # of several that are equally clear, OpenCV keeps more
    places = {(round(k.pt[0], 1), round(k.pt[1], 1), round(k.size, 1)): k for k in found}
    for keypoint in places.values():  # one a place: upright, those of other angles would be the same
        keypoint.angle = 0.0
    keypoints, descriptors = sift.compute(page, list(places.values()))
    if not keypoints:
        return nothing
    described = descriptors.astype(np.uint8)
    if window:
        described = np.concatenate([described, _windows(255 - page, keypoints, window)], axis=1)
    return np.array([k.pt[1] for k in keypoints], np.float32), described


def _windows(ink: np.ndarray, keypoints: Sequence[cv2.KeyPoint], side: int) -> np.ndarray:
    """Return what each keypoint's descriptor describes as a picture of `side` pixels, uint8 (N, side * side)."""
    found = np.empty((len(keypoints), side, side), np.uint8)
    for picture, keypoint in zip(found, keypoints, strict=True):
        seen = max(2, round(SPAN * keypoint.size))
        cv2.resize(
            cv2.getRectSubPix(ink, (seen, seen), keypoint.pt), (side, side), picture, interpolation=cv2.INTER_AREA
        )
    return found.reshape(len(found), -1)
