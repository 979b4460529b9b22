"""Any picture of handwriting becomes text: one glyph or many, on a sheet, a form, a board or a canvas."""

from dataclasses import dataclass, replace

import numpy as np

from zoo.errors import Blank, ZooError
from zoo.ink.decoding import pixels
from zoo.ink.placing import from_ink
from zoo.ink.segmentation import Glyph, find_glyphs
from zoo.ink.writing import Writing, find_writing, turned
from zoo.serving.predictor import Predictor

SURE = 0.6  # probability from which a label counts as sure, for a network without a threshold of its own
FEW = 4  # glyphs: so many may still be the parts of one
WIDE = 1.15  # times as wide as high: from there on a digit may be two that touch
LYING = 0.8  # mean confidence below which other orientations are tried
CLEARLY = 0.15  # how much more confident the network must be to turn a page


@dataclass(frozen=True)
class ReadGlyph:
    """One glyph that was read.

    box: x, y, width, height, as fractions of the picture that was sent.
    line: which line of writing it stands on, from 0 at the top.
    label: the likeliest class.
    confidence: its probability.
    sure: whether that is at least the network's threshold.
    probabilities: float32 (classes,).
    image: uint8 (H, W, 1), what the network saw.
    """

    box: tuple[float, float, float, float]
    line: int
    label: str
    confidence: float
    sure: bool
    probabilities: np.ndarray
    image: np.ndarray


@dataclass(frozen=True)
class Reading:
    """What a network reads in a picture.

    model: its name.
    text: the labels in reading order, a line of text for each line of writing; labels of several letters are separated
        by spaces.
    glyphs: in reading order.
    confidence: of the least certain glyph, 0 to 1.
    notes: sentences about what was done to the picture, for example that it was turned.
    script: of the labels, "latin" or "arabic".
    right_to_left: whether lines run from right to left.
    picture: uint8 (H, W, 4), RGBA, the picture as it was decoded, reduced to at most 1024 pixels a side.
    writing: the steps between picture and glyphs.
    """

    model: str
    text: str
    glyphs: tuple[ReadGlyph, ...]
    confidence: float
    notes: tuple[str, ...]
    script: str
    right_to_left: bool
    picture: np.ndarray
    writing: Writing

    @property
    def lines(self) -> list[str]:
        """The text line by line."""
        return self.text.split("\n")


def read(picture: object, predictor: Predictor, one: bool = False) -> Reading:
    """Read a picture.

    Args:
        picture: anything that `zoo.ink.decoding.pixels` takes: a path, bytes, a PIL image, an array.
        predictor: of a network that reads glyphs.
        one: take all ink as one glyph; else the picture decides.

    Raises:
        Blank: nothing stands out from the paper.
        InkError: not a picture, or one with more than `segmentation.MOST` glyphs.
        ZooError: the network reads whole pages.
    """
    if predictor.view is not None:
        raise ZooError(f"{predictor.name} reads whole pages, not glyphs; choose a network of glyphs.")
    decoded = pixels(picture)
    writing = find_writing(decoded)
    notes = ["The sheet in the picture was found and put straight."] if writing.matrix is not None else []
    if one:
        found = [_whole(writing.ink)]
        chances, images = _classified(found, predictor)
    else:
        writing, found, chances, images, turns = _best_way_up(writing, predictor)
        if turns:
            notes.append(f"The page was turned by {90 * turns} degrees to the left.")
    return _reading(decoded, writing, found, chances, images, predictor, tuple(notes))


def is_right_to_left(predictor: Predictor) -> bool:
    """Whether lines of a network's labels run from right to left: Arabic letters do, Arabic digits do not."""
    return predictor.script == "arabic" and not any(label.isdigit() for label in predictor.labels)


def _classified(found: list[Glyph], predictor: Predictor) -> tuple[np.ndarray, np.ndarray]:
    images = np.stack([from_ink(glyph.ink, predictor.contract) for glyph in found])
    return predictor(images), images


def _best_way_up(writing: Writing, predictor: Predictor):
    """The writing as it is read best: as it lies, or turned where the network is clearly more confident that way.

    One or two glyphs are never turned: a 6 is a 9 the other way up.
    """
    first = _segmented(writing, predictor)
    certainty = float(first[1].max(axis=1).mean())
    if certainty >= LYING or len(first[0]) < 3:
        return (writing, *first, 0)
    best, most = (writing, *first, 0), certainty + CLEARLY
    for turns in (1, 2, 3):
        other = turned(writing, turns)
        try:
            read_so = _segmented(other, predictor)
        except ZooError:
            continue
        certainty = float(read_so[1].max(axis=1).mean())
        if certainty > most:
            best, most = (other, *read_so, turns), certainty
    return best


def _segmented(writing: Writing, predictor: Predictor) -> tuple[list[Glyph], np.ndarray, np.ndarray]:
    """The glyphs of a page with their probabilities and images: one or many, as the network reads them best."""
    found = find_glyphs(writing.ink, is_right_to_left(predictor))
    if not found:
        raise Blank("No glyph was found on the paper: write larger, or come closer.")
    chances, images = _classified(found, predictor)
    if 1 < len(found) <= FEW:
        whole = [_whole(writing.ink)]
        largest = max(float(glyph.ink.sum()) for glyph in found)
        of_whole, seen = _classified(whole, predictor)
        if largest > 0.5 * float(whole[0].ink.sum()) and of_whole.max() > chances.max(axis=1).min():
            return whole, of_whole, seen
    if all(label.isdigit() for label in predictor.labels):
        return _parted(found, chances, images, predictor)
    return found, chances, images


def _parted(found: list[Glyph], chances: np.ndarray, images: np.ndarray, predictor: Predictor):
    """Digits that touch are parted at the thinnest column where both halves are read better than the whole."""
    glyphs, rows, seen = [], [], []
    for glyph, chance, image in zip(found, chances, images, strict=True):
        halves = _halves(glyph) if chance.max() < 0.95 else None
        if halves is not None:
            of_halves, images_of = _classified(halves, predictor)
            if of_halves.max(axis=1).min() > max(0.7, float(chance.max())):
                glyphs += halves
                rows += list(of_halves)
                seen += list(images_of)
                continue
        glyphs.append(glyph)
        rows.append(chance)
        seen.append(image)
    return glyphs, np.stack(rows), np.stack(seen)


def _halves(glyph: Glyph) -> list[Glyph] | None:
    """A wide glyph cut at its thinnest column within the middle half; None where it is not wide."""
    height, width = glyph.ink.shape
    if width < WIDE * height:
        return None
    columns = glyph.ink.sum(axis=0)
    first, last = width // 4, width - width // 4
    cut = first + int(columns[first:last].argmin())
    halves = [(0, cut), (cut, width)]
    parts = [
        replace(glyph, x=glyph.x + glyph.width * a / width, width=glyph.width * (b - a) / width, ink=glyph.ink[:, a:b])
        for a, b in halves
    ]
    return parts if all((part.ink > 0.5).any() for part in parts) else None


def _whole(ink: np.ndarray) -> Glyph:
    """All ink as one glyph."""
    rows, columns = (np.flatnonzero((ink > 0.4).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise Blank("Nothing stands out from the paper here: draw something, or use a darker pen.")
    height, width = ink.shape
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return Glyph(x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height, 0, ink[y0:y1, x0:x1])


def _reading(picture, writing, found, chances, images, predictor, notes) -> Reading:
    least = SURE if predictor.threshold is None else predictor.threshold
    glyphs = []
    for glyph, chance, image in zip(found, chances, images, strict=True):
        confidence = float(chance.max())
        label = predictor.labels[int(chance.argmax())]
        box = _box_in_picture(glyph, writing, picture.shape)
        glyphs.append(ReadGlyph(box, glyph.line, label, confidence, confidence >= least, chance, image))
    separator = " " if max(map(len, predictor.labels)) > 1 else ""
    count = 1 + max(glyph.line for glyph in glyphs)
    lines = (separator.join(g.label for g in glyphs if g.line == line) for line in range(count))
    return Reading(
        predictor.name, "\n".join(lines), tuple(glyphs), min(g.confidence for g in glyphs), notes, predictor.script,
        is_right_to_left(predictor), picture, writing,
    )  # fmt: skip


def _box_in_picture(glyph: Glyph, writing: Writing, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """A glyph's box as fractions of the picture that was sent, though it was found on a sheet in it."""
    if writing.matrix is None:
        return glyph.x, glyph.y, glyph.width, glyph.height
    height, width = writing.page.shape[:2]
    x0, y0 = glyph.x * width, glyph.y * height
    x1, y1 = x0 + glyph.width * width, y0 + glyph.height * height
    corners = np.array([(x0, y0, 1), (x1, y0, 1), (x1, y1, 1), (x0, y1, 1)]) @ writing.matrix.T
    points = (corners[:, :2] / corners[:, 2:]) / (shape[1], shape[0])
    low, high = points.min(axis=0).clip(0, 1), points.max(axis=0).clip(0, 1)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])
