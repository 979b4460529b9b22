"""Place drawn or photographed ink in an image as a contract describes it: scale, center and pen width."""

from collections.abc import Sequence

import cv2
import numpy as np

from zoo.errors import Blank, InkError
from zoo.ink.contract import Contract
from zoo.ink.decoding import pixels
from zoo.ink.writing import find_writing

# What a client may send: a bound that no hand reaches, checked before any work is done.
MAX_POINTS = 5_000  # a sketch has a few hundred, a scribble a few thousand
MAX_STROKES = 1000  # each is drawn by a call of its own

PEN = 0.045  # pen width of the sketch pad, as a fraction of the pad's side
# Share of its convex hull that a sketch covers when it is a dot or a bar, whose thickness is its shape: a scribbled dot
# covers 0.94 and more, other digits less than 0.9 until they are smaller than a sixth of the pad.
BLOB = 0.9
# A photographed pen is narrowed to this many of the dataset's pens, since how broad it is tells a dot from a dash; and
# not at all where it is this share of the glyph: that is a blot, whose thickness is its shape.
BROAD, BLOT = 1.33, 0.15
SCALE = 8  # sub-pixels a pixel, each way, when strokes are drawn


# --- strokes -------------------------------------------------------------------------------------


def from_strokes(
    strokes: Sequence[Sequence[Sequence[float]]], contract: Contract, frame: float, pen: float = PEN
) -> np.ndarray:
    """Draw a sketch the way the contract's dataset looks.

    Lines are scaled as lines and only then given the dataset's pen width, so a small sketch is as sharp as a large one.

    Args:
        strokes: each a list of (x, y) points in pad coordinates; what lies beyond the pad's edge is drawn on the edge.
        contract: of the network that is to see it.
        frame: side of the pad, in the unit of the points.
        pen: width of the pen as a fraction of the pad's side; it matters where it is the shape, as of a dot.

    Returns:
        uint8 (height, width, 1).

    Raises:
        Blank: no point in it.
        InkError: not a sketch, a point that is not finite, or more than `MAX_STROKES` strokes or `MAX_POINTS` points.
    """
    lines = _lines(strokes, frame)
    points = np.concatenate(lines)
    corner, extent = points.min(axis=0), np.ptp(points, axis=0)
    box = np.array([contract.box_width, contract.box_height], float)

    if isinstance(pen, bool) or not isinstance(pen, (int, float)) or not 0.001 <= pen <= 0.5:
        raise InkError(f"A pen's width is a share of the pad's side, 0.001 to 0.5; got {_short(pen)} instead.")
    pen = pen * frame
    as_drawn = _scale(extent + pen, box, contract.aspect)
    contract = contract.of_pen(pen * as_drawn.min())
    box = np.array([contract.box_width, contract.box_height], float)
    as_drawn = _scale(extent + pen, box, contract.aspect)
    stroke = pen * as_drawn.min()
    if stroke <= contract.stroke or not _is_blob(_draw(lines, corner, as_drawn, stroke)):
        stroke = contract.stroke
    stroke = max(1, round(stroke * SCALE)) / SCALE
    glyph = _draw(lines, corner, _scale(extent, box - stroke, contract.aspect), stroke)
    return _place(_shrink(glyph, SCALE), contract)


def _lines(strokes: Sequence[Sequence[Sequence[float]]], frame: float) -> list[np.ndarray]:
    """Strokes as a list of float arrays (points, 2), checked and cut to the pad."""
    wanted = "A sketch is a list of strokes, each a list of (x, y) points"
    if not isinstance(strokes, (list, tuple)):
        raise InkError(f"{wanted}; got {_short(strokes)} instead.")
    if isinstance(frame, bool) or not isinstance(frame, (int, float)) or not 1e-6 <= frame <= 1e9:
        raise InkError(f"The pad's size is a positive number, at most a billion; got {_short(frame)} instead.")
    if not all(isinstance(stroke, (list, tuple)) for stroke in strokes):
        raise InkError(f"{wanted}; one of these strokes is not a list.")
    count = sum(map(len, strokes))
    if count == 0:
        raise Blank("There is nothing on the pad yet: draw something and lift the pen.")
    if count > MAX_POINTS:
        raise InkError(f"A sketch has at most {MAX_POINTS:,} points; this one has {count:,}, so please clear it.")
    if len(strokes) > MAX_STROKES:
        raise InkError(f"A sketch has at most {MAX_STROKES:,} strokes; this one has {len(strokes):,}: clear it.")
    try:
        lines = [np.array(stroke, dtype=float).reshape(len(stroke), 2) for stroke in strokes if len(stroke)]
    except (ValueError, TypeError, OverflowError):
        raise InkError(f"{wanted}; one of these points is not a pair of numbers.") from None
    if not all(np.isfinite(line).all() for line in lines):
        raise InkError(f"{wanted}; one of these points is not finite.")
    return [
        line.clip(0, frame).repeat(2 if len(line) == 1 else 1, axis=0) for line in lines
    ]  # OpenCV draws no lone point


def _scale(extent: np.ndarray, box: np.ndarray, aspect: str) -> np.ndarray:
    """Scale (x, y) that fits `extent` in `box`; a side without extent takes the other's scale."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(extent > 0, box / extent, np.inf)
    if aspect == "keep" or not np.isfinite(scale).all():
        scale = np.full(2, scale.min())
    return np.where(np.isfinite(scale), scale, 0.0)


def _draw(lines: list[np.ndarray], corner: np.ndarray, scale: np.ndarray, stroke: float) -> np.ndarray:
    """Lines drawn `SCALE` times too large, as uint8 that just holds them."""
    width = round(stroke * SCALE)
    bits = 4  # fractional bits of OpenCV's coordinates
    # OpenCV puts whole numbers on pixel centers; the first one lies half a pen from the edge.
    paths = [np.round(((line - corner) * scale * SCALE + (width - 1) / 2) * 2**bits) for line in lines]
    size = np.round(np.concatenate(paths).max(axis=0) / 2**bits + (width + 1) / 2).astype(int)
    canvas = np.zeros(size[::-1], np.uint8)
    for path in paths:
        cv2.polylines(canvas, [path.astype(np.int32)], False, 255, width, cv2.LINE_8, bits)
    return canvas


def _is_blob(ink: np.ndarray) -> bool:
    """Whether ink fills its convex hull: a dot or a bar, whose thickness is its shape."""
    mask = (ink > 0).astype(np.uint8)
    hull = cv2.convexHull(cv2.findNonZero(mask))
    filled = cv2.fillConvexPoly(np.zeros_like(mask), hull, 1)
    return bool(mask.sum() >= BLOB * filled.sum())


def _shrink(picture: np.ndarray, factor: int) -> np.ndarray:
    """Area average of blocks of `factor` x `factor`, padded at the right and lower edge."""
    height, width = picture.shape
    padded = np.pad(picture, ((0, -height % factor), (0, -width % factor)))
    blocks = padded.reshape(padded.shape[0] // factor, factor, -1, factor)
    means: np.ndarray = blocks.mean(axis=(1, 3))
    return means


# --- pictures ------------------------------------------------------------------------------------


def from_picture(picture: object, contract: Contract, dark: bool | None = None) -> np.ndarray:
    """Turn a picture of one glyph into what the contract's dataset looks like.

    Args:
        picture: anything that `photos.pixels` takes. Ink may be dark on light, light on dark, colored, or paint on
            nothing; light may be uneven and paper ruled.
        contract: of the network that is to see it.
        dark: whether the ink is darker than the paper, where that is known; None: the picture decides.

    Returns:
        uint8 (height, width, 1).

    Raises:
        Blank: nothing stands out from the paper.
        InkError: no picture, or one with too many pixels.
    """
    return from_ink(find_writing(pixels(picture), dark).ink, contract)


def from_ink(ink: np.ndarray, contract: Contract) -> np.ndarray:
    """Turn the ink of one glyph, float (H, W) in [0, 1], into what the contract's dataset looks like."""
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise Blank("Nothing stands out from the paper here: draw something, or use a darker pen.")
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    box = np.array([contract.box_width, contract.box_height], float)
    finest = SCALE * _scale(_extent(ink), box, "keep").max()
    # Its pen is measured at one scale: a small picture is enlarged, a large one costs no more than it.
    size = [max(1, round(side * finest)) for side in _extent(ink)]
    ink = cv2.resize(ink, size, interpolation=cv2.INTER_CUBIC if finest > 1 else cv2.INTER_AREA)
    mask = ink > 0.5
    pen = pen_width(mask)
    contract = contract.of_pen(pen * _scale(_extent(ink), box, contract.aspect).min())
    box = np.array([contract.box_width, contract.box_height], float)
    stroke = contract.stroke / _scale(_extent(ink), box, contract.aspect).min()  # in the picture's pixels
    if pen < 0.75 * stroke:
        ink = _widen(mask, (stroke - pen) / 2)
    elif BROAD * stroke < pen < BLOT * _extent(ink).max():
        ink = _narrow(mask, pen, BROAD * stroke)
    width, height = np.maximum(1, np.round(_extent(ink) * _scale(_extent(ink), box, contract.aspect)))
    glyph = cv2.resize(ink.astype(np.float32), (int(width), int(height)), interpolation=cv2.INTER_AREA)
    return _place(glyph.clip(0, 1) * 255, contract)


def _extent(picture: np.ndarray) -> np.ndarray:
    """Width and height of a picture, as float (x, y)."""
    return np.array(picture.shape[1::-1], float)


def pen_width(mask: np.ndarray) -> float:
    """Pen width of the ink in pixels: twice the median distance from a line's middle to its edge."""
    distance, middle = _middle(mask)
    return 2 * float(np.median(distance[middle])) - 0.5  # a line is an odd or an even number of pixels wide


def _middle(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of the ink to its edge, and where that is greatest: the middle of its lines; both padded by 1."""
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance, (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)))


def _widen(mask: np.ndarray, radius: float) -> np.ndarray:
    """Ink with `radius` pixels more on every side, float in [0, 1], in a frame grown to hold it."""
    grown = np.pad(mask, int(np.ceil(radius)))
    distance = cv2.distanceTransform((~grown).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    drawn: np.ndarray = (radius + 1 - distance).clip(0, 1)
    return drawn


def _narrow(mask: np.ndarray, pen: float, stroke: float) -> np.ndarray:
    """Ink of a broad pen with its edges taken off, but never a line's middle; cut to what is left, float in [0, 1]."""
    distance, middle = _middle(mask)
    eaten = (distance - (pen - stroke) / 2).clip(0, 1)
    away = cv2.distanceTransform((~middle).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    kept = np.maximum(eaten, (stroke / 2 + 0.5 - away).clip(0, 1) * (distance > 0))
    rows, columns = (np.flatnonzero((kept > 0.5).any(axis=axis)) for axis in (1, 0))
    cut: np.ndarray = kept[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cut


# --- both ----------------------------------------------------------------------------------------


def _place(glyph: np.ndarray, contract: Contract) -> np.ndarray:
    """A fitted glyph, float (h, w) in [0, 255], moved by whole pixels onto the contract's center."""
    height, width = glyph.shape
    if contract.centring == "mass":
        total = glyph.sum()
        x = float((glyph.sum(axis=0) * np.arange(width)).sum() / total)
        y = float((glyph.sum(axis=1) * np.arange(height)).sum() / total)
    else:
        x, y = (width - 1) / 2, (height - 1) / 2
    left = int(np.clip(np.round(contract.centre_x - x), 0, contract.width - width))
    top = int(np.clip(np.round(contract.centre_y - y), 0, contract.height - height))
    image = np.zeros((contract.height, contract.width, 1), np.uint8)
    image[top : top + height, left : left + width, 0] = np.round(glyph)
    return image


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"
