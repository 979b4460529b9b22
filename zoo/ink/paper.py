"""Separate ink from paper, for any light, paper and pen.

The paper under the ink is estimated by a morphological closing: a square that is larger than the pen's width erases
the strokes and keeps everything larger, so shadows, desks, folds and the edge of the paper are paper too (as in the
rolling ball of Sternberg, 1983). The width of the pen and the polarity are not known.
Both are found by a search: squares of doubling size on the picture and on its negative. Ink of the right polarity stays
the same over several sizes, from the first one that is larger than the pen; everything else grows with the square (the
stability criterion of MSER: Matas et al., 2002).
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from zoo.errors import Blank

FAINTEST = 20  # of 255: less contrast is paper grain and JPEG noise
COARSE = 384  # pixels of the longer side that the paper is estimated on
DARKEST = 40  # of 255, of red: darker paper counts as this dark; for all three colors it was no better
SMALL = 128  # pixels: a smaller picture is enlarged, so that a pen is several pixels broad
SQUARES = (5, 9, 17, 33, 65, 129, 257, 513)  # pixels, on the coarse picture
LEVELS = np.arange(256, dtype=np.float32)  # of a contrast


@dataclass(frozen=True)
class Ground:
    """What a picture was written on.

    dark: whether the ink is darker than the paper.
    square: side of the square that erases the ink, pixels of the coarse picture.
    paper: uint8 (h, w, 3) or (h, w), the coarse picture without its ink; of the negative where the ink is light.
    contrast: uint8 (h, w), of the coarse picture and its paper.
    full: contrast of full ink, 0 to 255.
    floor: contrast of grain and noise, 0 to 255.
    """

    dark: bool
    square: int
    paper: np.ndarray
    contrast: np.ndarray
    full: float
    floor: float

    @property
    def edge(self) -> float:
        """The contrast from which a pixel is ink."""
        return max(self.floor, self.full / 2)


def find_ink(picture: np.ndarray, dark: bool | None = None) -> np.ndarray:
    """Return how much each pixel is ink.

    Args:
        picture: uint8 (H, W, 4), RGBA. Paint on a transparent ground is ink where it is opaque.
        dark: whether the ink is darker than the paper; None: the picture decides.

    Returns:
        float32 (h, w) in [0, 1], the size of the picture or, where that is small, a whole multiple of it; the edge of
        a stroke lies where it crosses 0.5.

    Raises:
        Blank: nothing stands out.
    """
    colour, alpha = colour_of(picture), cv2.extractChannel(picture, 3)
    opaque = alpha > 127
    if not opaque.all():
        rows, columns = (np.flatnonzero(opaque.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            raise Blank("This picture is empty: draw something and lift the pen.")
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if opaque[window].mean() < 0.95 or np.ptp(colour[window], axis=(0, 1)).max() < 32:
            opacity: np.ndarray = alpha.astype(np.float32) / 255
            return opacity
        # An opaque picture on a transparent ground: what lies around it is paper.
        colour[~opaque] = np.median(colour[window], axis=(0, 1))
    return on_paper(colour, dark)


def colour_of(picture: np.ndarray) -> np.ndarray:
    """The colors of a picture, uint8 (H, W, 4), RGBA: uint8 (H, W, 3), or (H, W) where all of them are gray."""
    red, green, blue = (cv2.extractChannel(picture, index) for index in range(3))
    gray = np.array_equal(red, green) and np.array_equal(red, blue)
    colour: np.ndarray = red if gray else cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB)
    return colour


def on_paper(colour: np.ndarray, dark: bool | None = None) -> np.ndarray:
    """Return the ink of an opaque picture, uint8 (H, W, 3) or (H, W), as `find_ink` does."""
    colour = _enlarged(colour)
    ground = find_ground(colour, dark)
    size = colour.shape[1::-1]
    # Only near the ink: elsewhere the paper's own edges, which the coarse paper blurs, would look like thin strokes.
    near = cv2.dilate(
        (ground.contrast > max(ground.floor, ground.full / 4)).astype(np.uint8), np.ones((5, 5), np.uint8)
    )
    near = cv2.resize(near, size, interpolation=cv2.INTER_NEAREST)
    window = window_of(near)
    paper = cv2.resize(ground.paper, size, interpolation=cv2.INTER_LINEAR)[window]
    contrast = _contrast(colour[window] if ground.dark else cv2.bitwise_not(colour[window]), paper)
    if ground.floor > FAINTEST:  # a sensor's noise
        contrast = cv2.GaussianBlur(contrast, (3, 3), 0)
    contrast *= near[window]
    full = _full(_counts(contrast), ground.floor)
    inks = ((LEVELS - full / 8) / (full - full / 8)).clip(0, 1)
    inks[: math.ceil(ground.floor / 2)] = 0
    ink = np.zeros(colour.shape[:2], np.float32)
    ink[window] = cv2.LUT(contrast, inks)
    return ink


def window_of(mask: np.ndarray) -> tuple[slice, slice]:
    """Where a mask, uint8 (H, W), is not 0: rows and columns, with a pixel more on each side that has one."""
    x, y, width, height = cv2.boundingRect(mask)
    return slice(max(0, y - 1), y + height + 1), slice(max(0, x - 1), x + width + 1)


def find_ground(colour: np.ndarray, dark: bool | None = None) -> Ground:
    """Find the paper of a picture, uint8 (H, W, 3) or (H, W), and whether its ink is darker or lighter.

    Raises:
        Blank: nothing stands out.
    """
    height, width = colour.shape[:2]
    scale = min(1.0, COARSE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    coarse = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
    lasting, ground = max(
        (_most_stable(_seen(coarse, either), dark is None) for either in ((True, False) if dark is None else (dark,))),
        key=lambda found: found[0],
    )
    if lasting <= 0:
        raise Blank("Nothing stands out from the paper here: draw something, or use a darker pen.")
    return ground


def _enlarged(colour: np.ndarray) -> np.ndarray:
    """A picture whose longer side has at least `SMALL` pixels."""
    factor = -(-SMALL // max(colour.shape[:2]))
    if factor == 1:
        return colour
    enlarged: np.ndarray = cv2.resize(colour, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return enlarged


def _seen(coarse: np.ndarray, dark: bool) -> list[Ground]:
    """The ink that squares of doubling size show, if it is darker or lighter than the paper."""
    picture = coarse if dark else cv2.bitwise_not(coarse)
    seen = []
    for square, paper in _closings(picture):
        contrast = _contrast(picture, paper)
        counts = _counts(contrast)
        floor = max(FAINTEST, 4 * min(12, int((counts.cumsum() >= counts.sum() / 2).argmax())))  # of the median
        seen.append(Ground(dark, square, paper, contrast, _full(counts, floor), floor))
        if square > 2 * max(coarse.shape[:2]):
            break
    return seen


def _closings(picture: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each of `SQUARES` with the closing by it, from the smallest up.

    The maximum over a square of 2^(k+1) + 1 pixels is that of four squares of 2^k + 1, one in each of its corners.
    """
    steps: list[np.ndarray] = []
    highest = picture
    for square in SQUARES:
        steps.append(_corners(square // 2 + 1) if steps else np.ones((square, square), np.uint8))
        highest = paper = cv2.dilate(highest, steps[-1], borderType=cv2.BORDER_REPLICATE)
        for step in steps:
            paper = cv2.erode(paper, step, borderType=cv2.BORDER_REPLICATE)
        yield square, paper


def _corners(side: int) -> np.ndarray:
    corners = np.zeros((side, side), np.uint8)
    corners[:: side - 1, :: side - 1] = 1
    return corners


def _most_stable(seen: list[Ground], doubted: bool) -> tuple[float, Ground]:
    """The square from which on larger ones show the same ink, and for how many sizes they do.

    Ink that covers much of the picture's border is the paper of the other polarity, unless it covers little else: a
    desk is seen around a sheet. This is asked only where the polarity is `doubted`.
    """
    inks = [cv2.threshold(ground.contrast, int(ground.edge), 0, cv2.THRESH_TOZERO)[1] for ground in seen]
    lasting, best = 0.0, (-1.0, seen[-1])
    if not doubted and inks[-1].any():
        best = 0.001, seen[-1]  # ink that nearly fills the picture shows at the largest square only
    for index in reversed(range(len(seen) - 1)):
        lasting = _overlap(inks[index], inks[index + 1]) ** 2 * (1 + lasting)
        ink = inks[index + 1]
        border = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]]) > 0
        if ink.any() and not (doubted and border.mean() > 0.35 and cv2.countNonZero(ink) > 0.22 * ink.size):
            best = max(best, (lasting, seen[index + 1]), key=lambda found: found[0])
    return best


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    first, second, both = (cv2.sumElems(ink)[0] for ink in (one, other, cv2.min(one, other)))
    return float(both / max(1, first + second - both))


def _contrast(picture: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Share of the paper's light that is missing, the most of all channels; uint8 (H, W)."""
    light = paper if paper.ndim == 2 else cv2.max(paper, (DARKEST, 0, 0, 0))
    apart = cv2.divide(cv2.subtract(paper, picture), light, scale=255)
    strongest: np.ndarray = functools.reduce(cv2.max, cv2.split(apart))
    return strongest


def _counts(levels: np.ndarray) -> np.ndarray:
    """How many pixels have each of the 256 levels, float (256,)."""
    counts: np.ndarray = cv2.calcHist([levels], [0], None, [256], [0, 256]).ravel().astype(float)
    return counts


def _full(counts: np.ndarray, floor: float) -> float:
    """Contrast of full ink: the median of the darker class, where Otsu's threshold parts what is above the floor."""
    counts = counts.copy()
    counts[: int(floor) + 1] = 0
    below, mass = counts.cumsum(), (counts * LEVELS).cumsum()
    if below[-1] == 0:
        return 255.0
    parted = below * (below[-1] - below)
    between = np.zeros(256)
    np.divide((mass[-1] * below / below[-1] - mass) ** 2, parted, out=between, where=parted > 0)
    counts[: int(between.argmax()) + 1] = 0
    upper = counts.cumsum()
    return float(max(np.searchsorted(upper, upper[-1] / 2), floor + 1))
