"""Decode pictures: a file or an array becomes upright RGBA pixels of limited size.

Reading and training both decode with this module, so both accept the same files. A file's content decides its format,
not its name, and only the formats of `FORMATS` are opened. A file's declared size is checked before its pixels are
decoded, so that a decompression bomb is refused: see `zoo.ink.bounds`.
"""

import contextlib
import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo.errors import Blank, InkError
from zoo.ink import bounds
from zoo.ink.bounds import MAX_PIXELS
from zoo.types import Json

MAX_SIDE = 65_535  # pixels; JPEG has no longer ones, and reducing a line of millions takes long
MAX_PAGES = 20  # of a TIFF that are read
MAX_FRAMES = 50  # of a GIF that are searched for ink
SIDE = 1024  # pixels of the longer side that is kept: a glyph in the corner of a page still has fifty
# Pillow's names. No PostScript or PDF: a program would have to run it.
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "BMP", "GIF", "TIFF", "PPM")
FILES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".heic", ".heif", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".pbm",
    ".pgm", ".ppm",
)  # fmt: skip
RANGES = (1, 16, 255, 4095, 65535)  # what the values of a picture end at: masks, optdigits, 8, 12 and 16 bits


@dataclass(frozen=True)
class Decoded:
    """One page of a picture.

    pixels: uint8 (H, W, 4), RGBA.
    note: a sentence about which page or frame it is; empty where there is one only.
    """

    pixels: np.ndarray
    note: str = ""


def pixels(picture: object, side: int = SIDE, turn: bounds.Turn = bounds.turn) -> np.ndarray:
    """Decode a picture, or the first page of it.

    Args:
        picture: an array (gray, RGB or RGBA; whole numbers or floats of any usual range), a PIL image, a path, bytes,
            an open binary file, or the dictionary of a Gradio Sketchpad (background, layers, composite; any of them
            missing or None). Files are of the formats in `FORMATS`; they are turned as EXIF says.
        side: pixels of the longer side that are kept.
        turn: waits until a picture of so many pixels may be decoded.

    Returns:
        uint8 (H, W, 4), RGBA, reduced to at most `side` pixels a side.

    Raises:
        Blank: no pixel in it.
        InkError: no picture, or more than `MAX_PIXELS` pixels.
    """
    return next(decode(picture, side, turn)).pixels


def decode(picture: object, side: int = SIDE, turn: bounds.Turn = bounds.turn) -> Iterator[Decoded]:
    """Yield the pages of a picture as `pixels` returns them: all of a TIFF, and of a GIF the first frame with ink."""
    if isinstance(picture, dict):
        yield Decoded(_sketchpad(picture))
        return
    if picture is None:
        raise Blank("There is no picture yet: draw something, or choose a file.")
    if isinstance(picture, np.ndarray):
        yield Decoded(_small(picture, side))
        return
    yield from _opened(picture, side, turn)


def _small(array: np.ndarray, side: int) -> np.ndarray:
    """An array of any kind as uint8 RGBA of at most `side` pixels a side."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.dtype.kind not in "buif":
        raise InkError(
            "A picture is an array of numbers of shape (height, width), (height, width, 3) or (height, width, 4); "
            f"got shape {array.shape} of {array.dtype}."
        )
    height, width = array.shape[:2]
    _check_size(width, height)
    array = _to_uint8(array)
    if max(array.shape[:2]) > side:
        factor = side / max(array.shape[:2])
        size = [max(1, round(length * factor)) for length in array.shape[1::-1]]
        array = cv2.resize(array, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], array.shape[2])
    if array.shape[2] < 4:
        array = cv2.cvtColor(array, cv2.COLOR_RGB2RGBA if array.shape[2] == 3 else cv2.COLOR_GRAY2RGBA)
    return array


def _to_uint8(picture: np.ndarray) -> np.ndarray:
    """Numbers of any kind as uint8.

    Values from 0 up are taken as parts of the smallest range of `RANGES` that holds them. All others, as pictures
    normalized by mean and deviation have them, are stretched from their least to their greatest.
    """
    if picture.dtype == np.uint8 and picture.max() > 16:
        return np.ascontiguousarray(picture)
    values = picture.astype(np.float32)
    if not np.isfinite(values).all():
        raise InkError("A picture's pixels are finite numbers; some of these are not: save it again without them.")
    least, most = float(values.min()), float(values.max())
    top = next((top for top in RANGES if most <= top), None)
    if least < 0 or top is None:
        values = (values - least) * (255 / max(most - least, 1e-9))
    elif top != 255:
        values = values * (255 / top)
    if picture.ndim == 3 and picture.shape[2] == 4 and least < 0:
        values[..., 3] = 255  # nobody normalizes an alpha channel and means it
    return values.clip(0, 255).astype(np.uint8)


@functools.cache
def _pillow() -> Any:
    """Pillow's Image, with HEIC and bounded TIFF and EXIF; imported when a file is read."""
    from PIL import Image, TiffImagePlugin

    directory: Any = TiffImagePlugin.ImageFileDirectory_v2
    directory.load = bounds.bounded(directory.load)
    bounds.silence_libtiff()
    with contextlib.suppress(ModuleNotFoundError):  # an extra: `pip install handwriting-zoo[heic]`
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    return Image


def _opened(picture: Any, side: int, turn: bounds.Turn) -> Iterator[Decoded]:
    """The pages of a PIL image, a path, bytes or an open file; each page's size is checked before its pixels."""
    Image = _pillow()
    try:
        image = picture if isinstance(picture, Image.Image) else _image(_content(picture))
        if image.format == "GIF":
            with turn(image.width * image.height):  # going to a frame decodes those before it
                found = _first_with_ink(image, side)
            yield found
            return
        count = _count(image, MAX_PAGES)
        if count == 1:
            yield Decoded(_page(image, side, turn))
        else:
            for number in range(min(count, MAX_PAGES)):
                image.seek(number)
                more = count > MAX_PAGES
                of = f"more than {MAX_PAGES}. Only the first {MAX_PAGES} are read" if more else count
                yield Decoded(_page(image, side, turn), f"Page {number + 1} of {of}.")
    except InkError:
        raise
    except Image.DecompressionBombError:
        raise InkError(f"A picture has at most {MAX_PIXELS // 10**6} megapixels; please send a smaller one.") from None
    except FileNotFoundError:
        raise InkError(f"There is no file {Path(picture).name}.") from None
    except IsADirectoryError:
        raise InkError(
            f"{Path(picture).name} is a folder: name the pictures in it, such as {Path(picture).name}/*.png."
        ) from None
    # Pillow's ways to say no.
    except (OSError, SyntaxError, ValueError, EOFError, AttributeError, TypeError, RuntimeError, KeyError, IndexError):
        raise _unreadable(picture) from None
    except (OverflowError, MemoryError, ZeroDivisionError, AssertionError, NotImplementedError):
        raise _unreadable(picture) from None


def _count(image: Any, most: int) -> int:
    """How many pages or frames a TIFF or GIF has, one more than `most` where it has more; 1 for other formats."""
    if image.format not in ("TIFF", "GIF"):
        return 1
    if image.format == "GIF":  # the frames together have about as many pixels as the largest picture
        most = min(most, MAX_PIXELS // max(image.width * image.height, 1))
    count = 1
    with contextlib.suppress(EOFError):
        while count <= most:
            image.seek(count)
            count += 1
    image.seek(0)
    return count


def _content(picture: Any) -> bytes:
    """The content of a path, bytes or an open file."""
    if isinstance(picture, (str, Path)):
        return Path(picture).read_bytes()
    if isinstance(picture, (bytes, bytearray)):
        return bytes(picture)
    picture.seek(0)
    content: bytes = picture.read()
    return content


def _image(content: bytes) -> Any:
    """A PIL image of a file, opened and not decoded; its size is checked with each page."""
    if content.startswith(b"\xff\xd8"):
        bounds.check_scans(content)
    file = bounds.Metered(content)
    image = _pillow().open(file, formats=FORMATS)
    bounds.check_decoder(image, len(content))
    file.left = bounds.MAX_READS
    return image


def _unreadable(picture: object) -> InkError:
    return InkError(
        f"A picture is a PNG, JPEG or WebP file (HEIC, AVIF, TIFF, GIF and BMP, too), an array or a PIL image; "
        f"{_name(picture)} cannot be read as one."
    )


def _first_with_ink(image: Any, side: int) -> Decoded:
    count = _count(image, MAX_FRAMES)
    if count == 1:
        return Decoded(_page(image, side))
    first = None
    for number in range(min(count, MAX_FRAMES)):
        image.seek(number)
        page = _page(image, side)
        first = page if first is None else first
        if np.ptp(page[..., :3]) > 64 and (page[..., 3] > 127).any():
            return Decoded(page, f"Frame {number + 1}, the first with ink.")
    assert first is not None
    return Decoded(first, "The first frame.")


def _page(image: Any, side: int, turn: bounds.Turn = contextlib.nullcontext) -> np.ndarray:
    """The current page of a PIL image, upright and small."""
    _check_size(*image.size)
    with turn(image.width * image.height):
        return _upright(image, side)


def _upright(image: Any, side: int) -> np.ndarray:
    from PIL import ExifTags, ImageOps

    if image.format in ("JPEG", "MPO"):
        image.draft("RGB", (side, side))  # decodes an eighth, a quarter or a half of the pixels where that will do
    if max(image.size) > 2 * side and image.mode in ("L", "RGB", "RGBA"):
        image = image.reduce(max(image.size) // side)
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB", "RGBA", "F") and not image.mode.startswith("I"):
        image = image.convert("RGBA")
    return _small(np.asarray(image), side)


def _check_size(width: int, height: int) -> None:
    if width * height == 0:
        raise Blank("This picture has no pixels; please send another.")
    if width * height > MAX_PIXELS:
        raise InkError(
            f"A picture has at most {MAX_PIXELS // 10**6} megapixels; this one is {width} x {height}, "
            "so please send a smaller one."
        )
    if max(width, height) > MAX_SIDE:
        raise InkError(f"A picture has at most {MAX_SIDE:,} pixels a side; this one is {width} x {height}.")


def _sketchpad(parts: Json) -> np.ndarray:
    """The picture in a Sketchpad's dictionary: the composite if it has ink, else the layers."""
    from zoo.ink.paper import find_ink

    unknown = set(parts) - {"background", "layers", "composite", "id"}
    layers = parts.get("layers") or []
    if unknown or not isinstance(layers, (list, tuple)):
        found = repr(sorted(map(str, parts)))[:60]
        raise InkError(f"A sketch is a dictionary with background, layers and composite; got {found}.")
    for part in (parts.get("composite"), *layers, parts.get("background")):
        if part is None:
            continue
        picture = pixels(part)
        try:
            find_ink(picture)
        except Blank:
            continue
        return picture
    raise Blank("There is nothing on the pad yet: draw something and lift the pen.")


def _name(value: object) -> str:
    if isinstance(value, (io.IOBase, Path)):
        return "this file"
    return {"str": "this text", "NoneType": "nothing"}.get(type(value).__name__, f"a {type(value).__name__}")
