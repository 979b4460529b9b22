"""Bring pictures of any kind into one contract: find the paper and the ink, and fit it.

"ink" is the default: every picture is one glyph, found on its paper and placed as `zoo.ink` places a sketch. So size,
color, polarity and margins may differ, and what the sketch pad sends is what the network was trained on. "resize"
takes the whole frame as it is, for pictures whose places and sizes mean something; they have to be alike then, and the
sketch-pad's contract is measured on them.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np

from zoo import ink
from zoo.errors import DataError
from zoo.ingest.labelled_folders import Pictures
from zoo.ink.contract import FINEST, broadest_pen
from zoo.ink.decoding import declared_pixels, pixels

T = TypeVar("T")
FITS = ("ink", "resize")
AGREED = 0.8  # share of the pictures whose border says the same of the paper, for all to be read so
FREE, PIXELS = 500_000_000, 300  # pixels of all pictures, and more for each byte: as many as a packed scan has
MEASURED = 500  # pictures that a contract is measured on


@dataclass(frozen=True)
class Look:
    """What a picture is before it is fitted."""

    size: tuple[int, int]  # width, height
    mode: str  # "grey", "RGB" or "RGBA"
    light_paper: bool | None  # by its border; None for paint on nothing

    def __str__(self) -> str:
        return f"{self.size[0]} x {self.size[1]} pixels, {self.mode}"


def fit(
    splits: Mapping[str, Pictures], contract: ink.Contract, how: str = "ink", stored: int = 0
) -> tuple[dict[str, np.ndarray], ink.Contract, tuple[str, str]]:
    """Bring pictures into a contract.

    Args:
        splits: the training split is "train".
        contract: of the images; "resize" takes its size and measures the rest.
        how: "ink" or "resize", see above.
        stored: bytes of their files, which bound how many pixels they may have.

    Returns:
        uint8 (N, H, W, 1) for each split, 0 is background and 255 full ink; their contract; what to tell the user.

    Raises:
        DataError: a picture that cannot be read, has no ink, or is not like the others where it has to be.
    """
    _check_pixels(splits, FREE + PIXELS * stored)
    looks = {split: _looks(pictures) for split, pictures in splits.items()}
    every = [look for split in looks.values() for look in split]
    light, paper = _paper(every)
    if how == "resize":
        _check_alike(splits, looks, light)
        images = {split: _resized(pictures, contract, light) for split, pictures in splits.items()}
        contract = measured(images["train"], contract)
    else:
        images = {split: _fitted(pictures, contract, light) for split, pictures in splits.items()}
    return images, contract, (_told(every, contract, how), paper)


def contract_for(height: int, width: int) -> ink.Contract:
    """Return MNIST's contract in another size."""
    mnist, share = ink.MNIST, min(height, width) / ink.MNIST.height
    box = max(4, round(mnist.box_height * share))
    return replace(
        mnist, height=height, width=width, box_height=box, box_width=box,
        centre_x=width / 2, centre_y=height / 2, stroke=mnist.stroke * share,
    )  # fmt: skip


def measured(images: np.ndarray, contract: ink.Contract) -> ink.Contract:
    """Return the contract that images keep to: the median of their glyphs' long sides, centers of mass and pens."""
    sides, centres, pens = [], [], []
    for image in images[:: max(1, len(images) // MEASURED), :, :, 0]:
        rows, columns = (np.flatnonzero((image > 127).any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        sides.append(max(np.ptp(rows), np.ptp(columns)) + 1)
        y, x = (np.average(np.indices(image.shape)[axis], weights=image) for axis in (0, 1))
        centres.append((x, y))
        large = cv2.resize(image, None, fx=ink.SCALE, fy=ink.SCALE, interpolation=cv2.INTER_CUBIC)
        pens.append(ink.pen_width(large > 127) / ink.SCALE)
    if not sides:
        return contract
    side, (x, y) = int(np.median(sides)), np.median(centres, axis=0)
    height, width = min(side, contract.height), min(side, contract.width)
    pen = float(np.clip(np.median(pens), FINEST, broadest_pen(height, width)))  # a blob is all pen
    return replace(
        contract, box_height=height, box_width=width, aspect="keep",
        centring="mass", centre_x=round(float(x), 1), centre_y=round(float(y), 1), stroke=round(pen, 2),
    )  # fmt: skip


def _check_alike(splits: Mapping[str, Pictures], looks: Mapping[str, list[Look]], light: bool | None) -> None:
    usual = Counter((look.size, look.mode) for look in looks["train"]).most_common(1)[0][0]
    for split, pictures in splits.items():
        for row, look in enumerate(looks[split]):
            if (look.size, look.mode) != usual:
                raise DataError(
                    f"{pictures.place(row)} is {look}, most others are {Look(*usual, None)}: pictures that are resized "
                    "have to be alike; --fit ink takes any."
                )
    if light is None and any(look.light_paper is not None for look in looks["train"]):
        raise DataError(
            "Some pictures are dark on light and some light on dark: --fit ink takes both, resizing does not."
        )


def _check_pixels(splits: Mapping[str, Pictures], most: int) -> None:
    """Raise DataError where pictures declare more pixels than this: a table may hold one picture a million times."""
    for pictures in splits.values():
        for row in range(len(pictures)):
            with contextlib.suppress(ink.InkError):  # whoever decodes it says what is wrong
                most -= declared_pixels(pictures.encoded(row))
            if most < 0:
                raise DataError(
                    f"{pictures.place(row)}: the pictures up to here have more pixels than files so small may have."
                )


def _looks(pictures: Pictures) -> list[Look]:
    return each(len(pictures), lambda row: _look(_decode(pictures, row)))


def _decode(pictures: Pictures, row: int) -> np.ndarray:
    """Return a picture upright, as uint8: gray (H, W), RGB, or RGBA where something shows through."""
    encoded = pictures.encoded(row)
    try:
        picture = pixels(encoded)
    except ink.InkError as error:
        raise DataError(
            f"{pictures.place(row)} is no picture that can be read ({len(encoded):,} bytes). {error}"
        ) from None
    if picture[..., 3].min() < 255:
        return picture
    gray = (picture[..., :3] == picture[..., :1]).all()
    return np.ascontiguousarray(picture[..., 0] if gray else picture[..., :3])


def _look(picture: np.ndarray) -> Look:
    mode = "grey" if picture.ndim == 2 else "RGBA" if picture.shape[2] == 4 else "RGB"
    return Look(picture.shape[1::-1], mode, _has_light_paper(picture))


def _has_light_paper(picture: np.ndarray) -> bool | None:
    """Whether most of the border is lighter than what divides paper and ink; None for paint on nothing."""
    if _is_paint(picture):
        return None
    grey = _grey(picture)
    level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return bool((grey[_border(grey)] > level).mean() > 0.5)


def _paper(looks: Sequence[Look]) -> tuple[bool | None, str]:
    """Return whether the paper is light, None where that differs from picture to picture, and how to say it."""
    lights = [look.light_paper for look in looks if look.light_paper is not None]
    if not lights:
        return None, "Paint on a transparent ground: what is opaque is ink."
    share = float(np.mean(lights))
    if AGREED > share > 1 - AGREED:
        return None, f"{share:.0%} are dark on light, the others light on dark: each is read by itself."
    return share >= AGREED, "Dark ink on light paper." if share >= AGREED else "Light ink on a dark ground."


def _fitted(pictures: Pictures, contract: ink.Contract, light: bool | None) -> np.ndarray:
    def fit(row: int) -> np.ndarray:
        picture = _decode(pictures, row)
        try:
            return ink.from_picture(picture, contract, None if _is_paint(picture) else light)
        except ink.InkError as error:
            raise DataError(f"{pictures.place(row)}: {error}") from error

    return np.stack(each(len(pictures), fit))


def _resized(pictures: Pictures, contract: ink.Contract, light: bool | None) -> np.ndarray:
    """Return whole frames, padded with paper to the contract's proportions and scaled: paper to 0, full ink to 255."""
    size = contract.width, contract.height

    def grey(row: int) -> np.ndarray:
        picture = _decode(pictures, row)
        if _is_paint(picture):
            return picture[..., 3]
        return 255 - _grey(picture) if light else _grey(picture)

    some = [grey(row) for row in range(0, len(pictures), max(1, len(pictures) // MEASURED))]
    paper = float(np.median(np.concatenate([picture[_border(picture)] for picture in some])))
    full = max(paper + 1, float(np.percentile(np.concatenate([picture.ravel() for picture in some]), 99.5)))

    def fit(row: int) -> np.ndarray:
        picture = ((grey(row).astype(np.float32) - paper) * (255 / (full - paper))).clip(0, 255)
        height, width = picture.shape
        wide = max(width, round(height * size[0] / size[1]))
        high = max(height, round(width * size[1] / size[0]))
        top, left = (high - height) // 2, (wide - width) // 2
        picture = np.pad(picture, ((top, high - height - top), (left, wide - width - left)))
        smaller = size[0] <= wide
        scaled: np.ndarray = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        return scaled.round().astype(np.uint8)[..., None]

    return np.stack(each(len(pictures), fit))


def _grey(picture: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W)."""
    return picture if picture.ndim == 2 else cv2.cvtColor(picture[..., :3], cv2.COLOR_RGB2GRAY)


def _is_paint(picture: np.ndarray) -> bool:
    return picture.ndim == 3 and picture.shape[2] == 4 and int(picture[..., 3].min()) < 128


def _border(grey: np.ndarray) -> np.ndarray:
    """Return a mask of the outermost pixels, a twentieth of the side."""
    edge = max(1, min(grey.shape) // 20)
    border = np.ones(grey.shape, bool)
    border[edge:-edge, edge:-edge] = False
    return border


def each(count: int, work: Callable[[int], T]) -> list[T]:
    """Return [work(0), …, work(count - 1)], on all cores: OpenCV frees the interpreter lock while it works."""
    step = 64

    def some(start: int) -> list[T]:
        return [work(row) for row in range(start, min(start + step, count))]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [done for part in pool.map(some, range(0, count, step)) for done in part]


def _told(looks: Sequence[Look], contract: ink.Contract, how: str) -> str:
    sizes, modes = {look.size for look in looks}, Counter(look.mode for look in looks)
    least, most = (tuple(edge(size[side] for size in sizes) for side in (0, 1)) for edge in (min, max))
    found = f"{least[0]} x {least[1]}" + ("" if least == most else f" to {most[0]} x {most[1]}")
    kinds = ", ".join(f"{count:,} {mode}" for mode, count in modes.most_common())
    placed = "each glyph found and placed in" if how == "ink" else "whole frames, resized to"
    return f"Pictures of {found} pixels ({kinds}): {placed} {contract.width} x {contract.height}."
