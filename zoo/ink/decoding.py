"""Decode pictures: a file or an array becomes upright RGBA pixels of limited size.

Reading and training both decode with this module, so both accept the same files. A file's content decides its format,
not its name, and only the formats of `FORMATS` are opened. A file's declared size is checked before its pixels are
decoded, so that a decompression bomb is refused: see `zoo.ink.bounds`. A file may declare what is not true, so a server
decodes in other processes: see `zoo.serving.apart`.
"""

import contextlib
import functools
import io
import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo.errors import Blank, InkError
from zoo.ink import bounds
from zoo.ink.bounds import MAX_PIXELS
from zoo.regular_files import read_bytes
from zoo.types import Json

MOST_BYTES = 500_000_000  # of a file
MAX_SIDE = 65_535  # pixels; JPEG has no longer ones, and reducing a line of millions takes long
MAX_PAGES = 20  # of a TIFF that are read
SIDE = 1024  # pixels of the longer side that is kept: a glyph in the corner of a page still has fifty
# Pillow's names. No PostScript or PDF: a program would have to run it.
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "BMP", "GIF", "TIFF", "PPM")
FILES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".heic", ".heif", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".pbm",
    ".pgm", ".ppm",
)  # fmt: skip
BAND = 1_000_000  # pixels that are converted at a time
TURNED = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # how Pillow undoes each orientation of EXIF
TOO_MUCH = "This picture takes too much memory or time to decode: save it again as a PNG or JPEG."
RANGES = (1, 16, 255, 4095, 65535)  # what the values of a picture end at: masks, optdigits, 8, 12 and 16 bits


@dataclass(frozen=True)
class Decoded:
    """One page of a picture.

    pixels: uint8 (H, W, 4), RGBA.
    note: a sentence about which page or frame it is; empty where there is one only.
    """

    pixels: np.ndarray
    note: str = ""


FileDecoder = Callable[[bytes, int, int, bounds.Turn], Iterator[Decoded]]  # content, side, most pages, turn
_decoders: list[FileDecoder] = []  # of a server


@contextlib.contextmanager
def files_decoded_by(decoder: FileDecoder) -> Iterator[None]:
    """Have all files decoded by another decoder within the block, whoever calls `decode` or `pixels`."""
    _decoders.append(decoder)
    try:
        yield
    finally:
        _decoders.remove(decoder)


def pixels(picture: object, side: int = SIDE, turn: bounds.Turn = bounds.turn) -> np.ndarray:
    """Decode a picture, or the first page of it.

    Args:
        picture: an array (gray, RGB or RGBA; whole numbers or floats of any usual range), a PIL image, a path, bytes,
            an open binary file, or the dictionary of a Gradio Sketchpad (background, layers, composite; any of them
            missing or None). Files are of the formats in `FORMATS`; they are turned as EXIF says.
        side: pixels of the longer side that are kept.
        turn: waits until a picture may be decoded, where it is a large one.

    Returns:
        uint8 (H, W, 4), RGBA, reduced to at most `side` pixels a side.

    Raises:
        Blank: no pixel in it.
        InkError: no picture, or more than `MAX_PIXELS` pixels.
    """
    return next(decode(picture, side, turn, 1)).pixels


def decode(
    picture: object, side: int = SIDE, turn: bounds.Turn = bounds.turn, most: int = MAX_PAGES
) -> Generator[Decoded]:
    """Yield the pages of a picture as `pixels` returns them: all of a TIFF, and of a GIF the first frame with ink.

    most: pages of a TIFF that are decoded.
    """
    if isinstance(picture, dict):
        yield Decoded(_sketchpad(picture))
        return
    if picture is None:
        raise Blank("There is no picture yet: draw something, or choose a file.")
    if isinstance(picture, np.ndarray):
        yield Decoded(_small(picture, side))
        return
    if not isinstance(picture, _pillow().Image):
        with _explained(picture):
            picture = _content(picture)
        if _decoders:
            yield from _decoders[-1](picture, side, most, turn)
            return
    yield from _opened(picture, side, turn, most)


def declared_pixels(content: bytes) -> int:
    """Return how many pixels of a file are decoded, by what it declares; InkError if it is no picture."""
    with _explained(content):
        width, height = bounds.png_size(content) or _image(content).size
        return width * height * (min(bounds.frames(content)[2], bounds.MAX_FRAMES) if content[:3] == b"GIF" else 1)


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
    array = _to_uint8(array, max(1, max(array.shape[:2]) // side))
    if max(array.shape[:2]) > side:
        factor = side / max(array.shape[:2])
        size = [max(1, round(length * factor)) for length in array.shape[1::-1]]
        array = cv2.resize(array, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], array.shape[2])
    if array.shape[2] < 4:
        array = cv2.cvtColor(array, cv2.COLOR_RGB2RGBA if array.shape[2] == 3 else cv2.COLOR_GRAY2RGBA)
    return array


def _to_uint8(picture: np.ndarray, factor: int) -> np.ndarray:
    """Numbers of any kind, (H, W, C), as uint8; others than uint8 are reduced by a factor before.

    Values from 0 up are taken as parts of the smallest range of `RANGES` that holds them. All others, as pictures
    normalized by mean and deviation have them, are stretched from their least to their greatest.
    """
    least, most = float(picture.min()), float(picture.max())
    if not np.isfinite(np.array([least, most], np.float32)).all():  # also where one is no number
        raise InkError("A picture's pixels are finite numbers; some of these are not: save it again without them.")
    top = next((top for top in RANGES if most <= top), None)
    if picture.dtype == np.uint8:
        if top == 255:
            return np.ascontiguousarray(picture)
        scaled = np.arange(256, dtype=np.float32) * (255 / (top or 255))
        looked_up: np.ndarray = cv2.LUT(picture, scaled.clip(0, 255).astype(np.uint8)).reshape(picture.shape)
        return looked_up
    values = _reduced_numbers(picture, factor)
    if least < 0 or top is None:
        values = (values - least) * (255 / max(most - least, 1e-9))
    elif top != 255:
        values = values * (255 / top)
    if picture.shape[2] == 4 and least < 0:
        values[..., 3] = 255  # nobody normalizes an alpha channel and means it
    return values.clip(0, 255).astype(np.uint8)


def _reduced_numbers(picture: np.ndarray, factor: int) -> np.ndarray:
    """Means of squares of pixels, `factor` a side, as float32; the numbers are converted band by band."""
    if factor == 1:
        return picture.astype(np.float32)
    height, width = (length // factor * factor or length for length in picture.shape[:2])
    rows, columns = (min(factor, length) for length in (height, width))
    step = max(1, BAND // (width * rows)) * rows
    bands = []
    for top in range(0, height, step):
        band = picture[top : min(top + step, height), :width].astype(np.float32)
        bands.append(band.reshape(len(band) // rows, rows, width // columns, columns, -1).mean(axis=(1, 3)))
    return np.concatenate(bands)


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


def warm_up() -> None:
    """Import all that decoding may need, for a process that can read no files later."""
    image = _pillow().new("RGB", (8, 8))
    _pillow().init()
    for form in FORMATS:
        with contextlib.suppress(KeyError, OSError):  # without the extra for HEIC
            image.save(file := io.BytesIO(), form)
            pixels(file)


def _opened(picture: Any, side: int, turn: bounds.Turn, most: int) -> Iterator[Decoded]:
    """The pages of a PIL image or of a file's content; each page's size is checked before its pixels."""
    with _explained(picture):
        image = _image(picture) if isinstance(picture, bytes) else picture
        if image.format == "GIF":
            yield _first_with_ink(image, picture if isinstance(picture, bytes) else None, side, turn)
            return
        count = _count(image, most)
        for number in range(min(count, most)):
            if number:
                image.seek(number)
            more = count > most
            of = f"more than {most}. Only the first {most} are read" if more else count
            yield Decoded(_page(image, side, turn), f"Page {number + 1} of {of}." if count > 1 else "")


@contextlib.contextmanager
def _explained(picture: Any) -> Iterator[None]:
    """Turn Pillow's ways to say no into one sentence."""
    Image = _pillow()
    try:
        yield
    except InkError:
        raise
    except Image.DecompressionBombError:
        raise InkError(f"A picture has at most {MAX_PIXELS // 10**6} megapixels; please send a smaller one.") from None
    except MemoryError:
        raise Unreadable(TOO_MUCH) from None
    except FileNotFoundError:
        raise InkError(f"There is no file {Path(picture).name}.") from None
    except IsADirectoryError:
        raise InkError(
            f"{Path(picture).name} is a folder: name the pictures in it, such as {Path(picture).name}/*.png."
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError, AttributeError, TypeError, RuntimeError, KeyError, IndexError):
        raise _unreadable(picture) from None
    except (OverflowError, ZeroDivisionError, AssertionError, NotImplementedError):
        raise _unreadable(picture) from None


def _count(image: Any, most: int) -> int:
    """How many pages a TIFF has, one more than `most` where it has more; 1 for other formats."""
    count = 1
    if image.format != "TIFF" or most == 1:
        return count
    with contextlib.suppress(EOFError):
        while count <= most:
            image.seek(count)
            count += 1
    image.seek(0)
    return count


def _content(picture: Any) -> bytes:
    """The content of a path, bytes or an open file."""
    if isinstance(picture, (str, Path)):
        return read_bytes(Path(picture), MOST_BYTES)
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


class Unreadable(InkError):
    """A file that Pillow cannot decode, or not within the memory that it may take."""


def _unreadable(picture: object) -> Unreadable:
    return Unreadable(
        f"A picture is a PNG, JPEG or WebP file (HEIC, AVIF, TIFF, GIF and BMP, too), an array or a PIL image; "
        f"{_name(picture)} cannot be read as one."
    )


def _first_with_ink(image: Any, content: bytes | None, side: int, turn: bounds.Turn) -> Decoded:
    """The first frame of a GIF with ink, or the first of all; going to a frame decodes those before it."""
    width, height, count = bounds.frames(content) if content else (*image.size, getattr(image, "n_frames", 1))
    _check_size(width, height)
    first = None
    with _place(width * height, turn), contextlib.suppress(EOFError):
        # The frames together have about as many pixels as the largest picture.
        for number in range(max(1, min(count, bounds.MAX_FRAMES, MAX_PIXELS // (width * height)))):
            if number:
                image.seek(number)
            page = _page(image, side)
            first = page if first is None else first
            if count > 1 and np.ptp(page[..., :3]) > 64 and (page[..., 3] > 127).any():
                return Decoded(page, f"Frame {number + 1}, the first with ink.")
    if first is None:
        raise _unreadable(image)
    return Decoded(first, "The first frame." if count > 1 else "")


def _page(image: Any, side: int, turn: bounds.Turn | None = None) -> np.ndarray:
    """The current page of a PIL image, upright and small."""
    _check_size(*image.size)
    with _place(image.width * image.height, turn):
        return _upright(image, side)


def _place(pixels: int, turn: bounds.Turn | None) -> contextlib.AbstractContextManager[object]:
    """A place for a picture of so many pixels; small ones need none."""
    return contextlib.nullcontext() if turn is None or pixels <= bounds.LARGE else turn(bounds.LARGE_ONES)


def _upright(image: Any, side: int) -> np.ndarray:
    from PIL import ExifTags

    if image.format in ("JPEG", "MPO"):
        image.draft("RGB", (side, side))  # decodes an eighth, a quarter or a half of the pixels where that will do
    image.load()  # which turns a TIFF
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if max(image.size) > 2 * side and _numbers_are_colors(image):
        image = _reduced(image, max(image.size) // side)
    elif _numbers_are_colors(image):
        image = _colored(image)
    if orientation in TURNED:
        image = image.transpose(TURNED[orientation])
    return _small(np.asarray(image), side)


def _numbers_are_colors(image: Any) -> bool:
    """Whether the values of a PIL image have the range of its mode; those of 16 and 32 bits may end anywhere."""
    return image.mode != "F" and not image.mode.startswith("I")


def _colored(image: Any) -> Any:
    """A PIL image as L, RGB or RGBA."""
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGBA")


def _reduced(image: Any, factor: int) -> Any:
    """A PIL image with a pixel for each square of `factor` pixels a side, converted band by band to save memory."""
    step = max(1, BAND // (image.width * factor)) * factor
    tops = range(0, image.height, step)
    bands = (_colored(image.crop((0, top, image.width, min(top + step, image.height)))).reduce(factor) for top in tops)
    first = next(bands)
    small = _pillow().new(first.mode, (first.width, -(-image.height // factor)))
    for number, band in enumerate(itertools.chain((first,), bands)):
        small.paste(band, (0, number * step // factor))
    return small


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
    if isinstance(value, (io.IOBase, Path, bytes)):
        return "this file"
    return {"str": "this text", "NoneType": "nothing"}.get(type(value).__name__, f"a {type(value).__name__}")
