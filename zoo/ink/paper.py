"""Separate ink from paper, for any light, paper and pen.

The paper under the ink is estimated by a morphological closing: a square that is larger than the pen's width erases
the strokes and keeps everything larger, so shadows, desks, folds and the edge of the paper are paper too (as in the
rolling ball of Sternberg, 1983). The width of the pen and the polarity are not known.
Both are found by a search: squares of doubling size on the picture and on its negative. Ink of the right polarity stays
the same over several sizes, from the first one that is larger than the pen; everything else grows with the square (the
stability criterion of MSER: Matas et al., 2002).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from zoo.errors import Blank

FAINTEST = 20  # of 255: less contrast is paper grain and JPEG noise
COARSE = 384  # pixels of the longer side that the paper is estimated on
SMALL = 128  # pixels: a smaller picture is enlarged, so that a pen is several pixels broad
SQUARES = (5, 9, 17, 33, 65, 129, 257, 513)  # pixels, on the coarse picture


@dataclass(frozen=True)
class Ground:
    """What a picture was written on.

    dark: whether the ink is darker than the paper.
    square: side of the square that erases the ink, pixels of the coarse picture.
    paper: uint8 (h, w, 3), the coarse picture without its ink; of the negative where the ink is light.
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
    colour, alpha = picture[..., :3], picture[..., 3]
    opaque = alpha > 127
    if not opaque.all():
        rows, columns = (np.flatnonzero(opaque.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            raise Blank("This picture is empty: draw something and lift the pen.")
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if opaque[window].mean() < 0.95 or np.ptp(colour[window].reshape(-1, 3), axis=0).max() < 32:
            return alpha.astype(np.float32) / 255
        # An opaque picture on a transparent ground: what lies around it is paper.
        colour = np.where(opaque[..., None], colour, np.median(colour[window].reshape(-1, 3), axis=0).astype(np.uint8))
    return on_paper(np.ascontiguousarray(colour), dark)


def on_paper(colour: np.ndarray, dark: bool | None = None) -> np.ndarray:
    """Return the ink of an opaque picture, uint8 (H, W, 3), as `find_ink` does."""
    colour = _enlarged(colour)
    ground = find_ground(colour, dark)
    height, width = colour.shape[:2]
    fine = colour if ground.dark else cv2.bitwise_not(colour)
    paper = cv2.resize(ground.paper, (width, height), interpolation=cv2.INTER_LINEAR)
    contrast = _contrast(fine, paper)
    if ground.floor > FAINTEST:  # a sensor's noise
        contrast = cv2.GaussianBlur(contrast, (3, 3), 0)
    # Only near the ink: elsewhere the paper's own edges, which the coarse paper blurs, would look like thin strokes.
    near = cv2.dilate(
        (ground.contrast > max(ground.floor, ground.full / 4)).astype(np.uint8), np.ones((5, 5), np.uint8)
    )
    near = cv2.resize(near, (width, height), interpolation=cv2.INTER_NEAREST)
    level = cv2.bitwise_and(contrast, contrast, mask=near).astype(np.float32)
    full = _full(level.astype(np.uint8), ground.floor)
    ink: np.ndarray = ((level - full / 8) / (full - full / 8)).clip(0, 1)
    ink[level < ground.floor / 2] = 0
    return ink


def find_ground(colour: np.ndarray, dark: bool | None = None) -> Ground:
    """Find the paper of a picture, uint8 (H, W, 3), and whether its ink is darker or lighter.

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
    for square in SQUARES:
        paper = cv2.morphologyEx(picture, cv2.MORPH_CLOSE, np.ones((square, square), np.uint8))
        contrast = _contrast(picture, paper)
        floor = max(FAINTEST, 4 * min(12.0, float(np.median(contrast[::2, ::2]))))
        full = _full(contrast, floor)
        seen.append(Ground(dark, square, paper, contrast, full, floor))
        if square > 2 * max(coarse.shape[:2]):
            break
    return seen


def _most_stable(seen: list[Ground], doubted: bool) -> tuple[float, Ground]:
    """The square from which on larger ones show the same ink, and for how many sizes they do.

    Ink that covers much of the picture's border is the paper of the other polarity, unless it covers little else: a
    desk is seen around a sheet. This is asked only where the polarity is `doubted`.
    """
    inks = [np.where(ground.contrast > ground.edge, ground.contrast, 0) for ground in seen]
    lasting, best = 0.0, (-1.0, seen[-1])
    if not doubted and inks[-1].any():
        best = 0.001, seen[-1]  # ink that nearly fills the picture shows at the largest square only
    for index in reversed(range(len(seen) - 1)):
        lasting = _overlap(inks[index], inks[index + 1]) ** 2 * (1 + lasting)
        ink = inks[index + 1]
        border = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]]) > 0
        if ink.any() and not (doubted and border.mean() > 0.35 and np.mean(ink > 0) > 0.22):
            best = max(best, (lasting, seen[index + 1]), key=lambda found: found[0])
    return best


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float(cv2.min(one, other).sum() / max(1, cv2.max(one, other).sum()))


def _contrast(picture: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Share of the paper's light that is missing, the most of the three channels; uint8 (H, W)."""
    apart = cv2.divide(cv2.subtract(paper, picture), cv2.max(paper, 40), scale=255)
    strongest: np.ndarray = cv2.max(cv2.max(apart[..., 0], apart[..., 1]), apart[..., 2])
    return strongest


def _full(contrast: np.ndarray, floor: float) -> float:
    """Contrast of full ink: the median of the darker class, where Otsu's threshold parts what is above the floor."""
    counts = np.bincount(contrast.ravel(), minlength=256).astype(float)
    counts[: int(floor) + 1] = 0
    if not counts.any():
        return 255.0
    levels = np.arange(256)
    below, mass = counts.cumsum(), (counts * levels).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mass[-1] * below / below[-1] - mass) ** 2 / (below * (below[-1] - below))
    cut = int(np.nan_to_num(between, posinf=0).argmax())
    upper = np.where(levels > cut, counts, 0).cumsum()
    return float(max(np.searchsorted(upper, upper[-1] / 2), floor + 1))
