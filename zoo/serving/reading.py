"""Any picture of handwriting becomes text: one glyph or many, on a sheet, a form, a board or a canvas."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from zoo.errors import Blank, ZooError, bare
from zoo.ink.placing import from_ink
from zoo.ink.segmentation import Glyph, find_glyphs
from zoo.ink.writing import Writing, turned
from zoo.serving import by_script
from zoo.serving.predictor import Predictor
from zoo.serving.reading_budget import Budget, Unwanted
from zoo.serving.seen import Seen, see

SURE = 0.6  # probability from which a label counts as sure, for a network without a threshold of its own
FEW = 4  # glyphs: up to this many may still be the parts of one
MOSTLY = 0.75  # of the ink: a letter has so much, and its dots the rest
WIDE = 1.15  # times as wide as high: from there on a digit may be two that touch
LYING = 0.8  # mean confidence below which other orientations are tried
NONE_ACCEPTS = "This looks like none of the characters I know: what follows is the nearest."
CLEARLY = 0.15  # how much more confident the network must be to turn a page

Made = TypeVar("Made")


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
    probabilities: np.ndarray = field(repr=False)
    image: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Reading:
    """What a network reads in a picture.

    model: its name.
    lines: the labels in reading order, line by line; labels of several letters are separated by spaces.
    glyphs: in reading order.
    notes: sentences about what was done to the picture, for example that it was turned.
    script: of the labels, "latin" or "arabic".
    right_to_left: whether lines run from right to left.
    seen: the steps between picture and glyphs.
    labels: of the network's classes.
    following: of a TIFF with several pages, the readings of the others.
    """

    model: str
    lines: tuple[str, ...]
    glyphs: tuple[ReadGlyph, ...]
    notes: tuple[str, ...]
    script: str
    right_to_left: bool
    seen: Seen = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    following: tuple["Reading", ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """All that was read: lines of writing, and an empty line between pages."""
        return "\n\n".join("\n".join(page.lines) for page in (self, *self.following))

    @property
    def confidence(self) -> float:
        """The probability of the least certain glyph."""
        return min(glyph.confidence for page in (self, *self.following) for glyph in page.glyphs)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: text, glyphs with their boxes as fractions of the picture, notes."""
        return {
            "model": self.model,
            "text": self.text,
            "confidence": self.confidence,
            "glyphs": [
                {
                    "label": glyph.label,
                    "confidence": glyph.confidence,
                    "sure": glyph.sure,
                    "box": list(glyph.box),
                    "line": glyph.line,
                    "page": number,
                }
                for number, page in enumerate((self, *self.following))
                for glyph in page.glyphs
            ],
            "notes": list(self.notes),
        }


def read(picture: object, predictor: Predictor, one: bool = False, budget: Budget | None = None) -> Reading:
    """Read a picture: what is read when its budget ends, and pages that can be read among others, are the answer.

    Args:
        picture: anything that `zoo.ink.decoding.decode` takes: a path, bytes, a PIL image, an array.
        predictor: of a network that reads glyphs.
        one: take all ink as one glyph; else the picture decides.
        budget: as `see` takes it.

    Raises:
        Blank: nothing stands out from the paper.
        Spent: as `see`, before any page was read.
        InkError: not a picture, or no page of it can be read: one with more than `segmentation.MOST` glyphs.
        ZooError: the network reads whole pages.
    """
    budget = budget or Budget()
    return _together(*each_page(see(picture, budget), lambda seen: read_seen(seen, predictor, one, budget)))


def each_page(pages: Generator[Seen], made: Callable[[Seen], Made]) -> tuple[list[Made], tuple[str, ...]]:
    """Return what is made of each page, and why others could not be read or were left out.

    Nothing else is kept of a page when the next one is read: its probabilities alone may take 8 MB.

    Args:
        pages: of `see`.
        made: reads a page, by `read_seen` or `surest`, and returns what is needed of it.

    Raises:
        ZooError: as `read`, where no page can be read.
    """
    found: list[Made] = []
    problems: list[ZooError] = []
    try:
        with contextlib.closing(pages):
            for seen in pages:
                try:
                    found.append(made(seen))
                except Unwanted:
                    raise
                except ZooError as error:
                    problems.append(bare(error))
    except Unwanted:
        raise
    except ZooError as error:
        problems.append(bare(error))
    if not found:
        raise problems[0]
    return found, tuple(map(str, problems))


def noted(notes: Sequence[str], problems: Sequence[str]) -> tuple[str, ...]:
    """Return the notes of the first page, with those about pages that are missing."""
    return tuple(dict.fromkeys((*notes, *problems)))


def _together(pages: Sequence[Reading], problems: Sequence[str]) -> Reading:
    first, *others = pages
    return replace(first, notes=noted(first.notes, problems), following=tuple(others))


def read_seen(seen: Seen, predictor: Predictor, one: bool = False, budget: Budget | None = None) -> Reading:
    """Read one page that `see` found; as `read`."""
    budget = budget or Budget()
    if predictor.view is not None:
        raise ZooError(f"{predictor.name} reads whole pages, not glyphs: choose a network of glyphs.")
    writing, notes = seen.writing, list(seen.notes)
    if one:
        found = [_whole(writing.ink)]
        with budget.step():
            chances, images = _classified(found, predictor)
    else:
        writing, found, chances, images, turns = _best_way_up(writing, predictor, budget)
        if turns:
            notes.append(f"The page was turned by {90 * turns} degrees to the left.")
    return _reading(replace(seen, writing=writing, notes=tuple(notes)), found, chances, images, predictor)


def read_any(picture: object, predictors: Sequence[Predictor], budget: Budget | None = None) -> Reading:
    """Read a picture whose script is not known: each page by the one of several networks that is surest of its glyphs.

    Args:
        picture: as `read` takes it.
        predictors: of networks that read glyphs, for example those of `by_script.best("anything")`.
        budget: as `see` takes it.

    Raises:
        ZooError: as `read`, where no network can read it.
    """
    budget = budget or Budget()
    return _together(*each_page(see(picture, budget), lambda seen: surest(seen, predictors, budget)))


def surest(seen: Seen, predictors: Sequence[Predictor], budget: Budget) -> Reading:
    """Read one page that `see` found; as `read_any`."""
    readings: list[tuple[Reading, Predictor, np.ndarray]] = []
    certainties, problem = [], ZooError("Choose at least one network to read this.")
    for predictor in predictors:
        budget.check()
        try:
            page = read_seen(seen, predictor, budget=budget)
        except Unwanted:
            raise
        except ZooError as error:
            problem = bare(error)
            continue
        found = np.stack([glyph.probabilities for glyph in page.glyphs])
        readings.append((page, predictor, found))
        certainties.append(float(by_script.certainty(predictor, found).mean()))
    if not readings:
        raise problem
    page, predictor, found = readings[int(np.argmax(certainties))]
    notes = page.notes if by_script.choose(certainties) is not None else (*page.notes, NONE_ACCEPTS)
    told = by_script.told_by_page(predictor.labels, found)
    glyphs = [
        _read_glyph(one.box, one.line, chances, one.image, predictor)
        for one, chances in zip(page.glyphs, told, strict=True)
    ]
    return replace(page, glyphs=tuple(glyphs), lines=_lines(glyphs, predictor), notes=notes)


def is_right_to_left(predictor: Predictor) -> bool:
    """Whether lines of a network's labels run from right to left: Arabic letters do, Arabic digits do not."""
    return predictor.script == "arabic" and not any(label.isdigit() for label in predictor.labels)


def _classified(found: list[Glyph], predictor: Predictor) -> tuple[np.ndarray, np.ndarray]:
    images = np.stack([from_ink(glyph.ink, predictor.contract) for glyph in found])
    return predictor(images), images


def _best_way_up(
    writing: Writing, predictor: Predictor, budget: Budget
) -> tuple[Writing, list[Glyph], np.ndarray, np.ndarray, int]:
    """The writing as it is read best: as it lies, or turned where the network is clearly more confident that way.

    One or two glyphs are never turned: a 6 is a 9 the other way up.
    """
    with budget.step():
        first = _segmented(writing, predictor)
    certainty = float(first[1].max(axis=1).mean())
    lines = {glyph.line for glyph in first[0]}
    stacked = len(lines) == len(first[0])  # one glyph a line: a column, or a line of writing that lies on its side
    if len(first[0]) < 3 or (certainty >= LYING and not stacked):
        return (writing, *first, 0)
    best, most = (writing, *first, 0), certainty + (0 if stacked else CLEARLY)
    for turns in (1, 2, 3):
        try:
            with budget.step():
                other = turned(writing, turns)
                read_so = _segmented(other, predictor)
        except Unwanted:
            raise
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
    digits = all(label.isdigit() for label in predictor.labels)
    if 1 < len(found) <= FEW:
        whole = [_whole(writing.ink)]
        largest = max(float(glyph.ink.sum()) for glyph in found)
        of_whole, seen = _classified(whole, predictor)
        share = largest / float(whole[0].ink.sum())
        if share > 0.5 and of_whole.max() > chances.max(axis=1).min():
            return whole, of_whole, seen
        if share > MOSTLY and not digits:
            return whole, of_whole, seen
    if digits:
        return _parted(found, chances, images, predictor)
    return found, chances, images


def _parted(
    found: list[Glyph], chances: np.ndarray, images: np.ndarray, predictor: Predictor
) -> tuple[list[Glyph], np.ndarray, np.ndarray]:
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


def _reading(seen: Seen, found: list[Glyph], chances: np.ndarray, images: np.ndarray, predictor: Predictor) -> Reading:
    boxes = [_box_in_picture(glyph, seen.writing, seen.picture.shape) for glyph in found]
    glyphs = [
        _read_glyph(box, glyph.line, chance, image, predictor)
        for box, glyph, chance, image in zip(boxes, found, chances, images, strict=True)
    ]
    right_to_left = is_right_to_left(predictor)
    return Reading(
        predictor.name, _lines(glyphs, predictor), tuple(glyphs), seen.notes, predictor.script, right_to_left, seen,
        predictor.labels,
    )  # fmt: skip


def _read_glyph(
    box: tuple[float, float, float, float], line: int, chance: np.ndarray, image: np.ndarray, predictor: Predictor
) -> ReadGlyph:
    least = SURE if predictor.threshold is None else predictor.threshold
    confidence = float(chance.max())
    return ReadGlyph(box, line, predictor.labels[int(chance.argmax())], confidence, confidence >= least, chance, image)


def _lines(glyphs: Sequence[ReadGlyph], predictor: Predictor) -> tuple[str, ...]:
    separator = separator_of(predictor.labels)
    count = 1 + max(glyph.line for glyph in glyphs)
    return tuple(separator.join(glyph.label for glyph in glyphs if glyph.line == line) for line in range(count))


def separator_of(labels: tuple[str, ...]) -> str:
    """What stands between labels in a text: a space where some have several letters."""
    return " " if max(map(len, labels)) > 1 else ""


def _box_in_picture(glyph: Glyph, writing: Writing, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """A glyph's box as fractions of the picture that was sent, though it was found on a sheet in it."""
    if writing.matrix is None:
        return float(glyph.x), float(glyph.y), float(glyph.width), float(glyph.height)
    height, width = writing.page.shape[:2]
    x0, y0 = glyph.x * width, glyph.y * height
    x1, y1 = x0 + glyph.width * width, y0 + glyph.height * height
    corners = np.array([(x0, y0, 1), (x1, y0, 1), (x1, y1, 1), (x0, y1, 1)]) @ writing.matrix.T
    points = (corners[:, :2] / corners[:, 2:]) / (shape[1], shape[0])
    low, high = points.min(axis=0).clip(0, 1), points.max(axis=0).clip(0, 1)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])
