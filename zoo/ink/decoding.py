"""Pictures as people send them: decoded, upright and small, whatever file or array they come as.

A file's size is read before its pixels are, so that a decompression bomb is refused, not opened.
"""

import functools
import io

import cv2
import numpy as np

from zoo.errors import Blank, InkError

# What a client may send: a bound that no phone reaches, checked before any work is done.
MAX_PIXELS = 50_000_000  # the largest common phone photo
SIDE = 1024  # pixels of the longer side that is kept: a glyph in the corner of a page still has fifty
FILES = (".png", ".jpg", ".jpeg", ".webp", ".heic", ".heif", ".bmp", ".gif", ".tif", ".tiff")
# What a file may be, by its content; nothing else is decoded. PostScript would be run by Ghostscript, not only read.
FORMATS = ("PNG", "JPEG", "WEBP", "HEIF", "AVIF", "BMP", "GIF", "TIFF", "PPM")


def pixels(picture: object, side: int = SIDE) -> np.ndarray:
    """Decode a picture.

    Args:
        picture: an array (grey, RGB or RGBA; uint8, uint16, bool, or float in [0, 1] or [0, 255]), a PIL image, a path,
            an open binary file, or the dictionary of a Gradio Sketchpad (background, layers, composite; any of them
            missing or None). Files are one of `FORMATS`, whatever their names say; turned as EXIF says.
        side: pixels of the longer side that are kept.

    Returns:
        uint8 (H, W, 4), RGBA, reduced to at most `side` pixels a side.

    Raises:
        Blank: no pixel in it.
        InkError: no picture, or more than `MAX_PIXELS` pixels.
    """
    if isinstance(picture, dict):
        return _sketchpad(picture)
    if picture is None:
        raise Blank("There is no picture yet: draw something, or choose a file.")
    array: np.ndarray = picture if isinstance(picture, np.ndarray) else _decode(picture, side)
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
    grey, alpha = array[..., :1], array[..., 3:]
    colour = array[..., :3] if array.shape[2] >= 3 else np.repeat(grey, 3, axis=2)
    return np.concatenate([colour, alpha if alpha.size else np.full_like(grey, 255)], axis=2)


def _to_uint8(picture: np.ndarray) -> np.ndarray:
    """Numbers of any kind as uint8; float up to 1 is taken as a fraction."""
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    if picture.dtype == np.uint16:
        return (picture >> 8).astype(np.uint8)
    values = picture.astype(np.float32)
    if not np.isfinite(values).all():
        raise InkError("A picture's pixels are finite numbers; some of these are not, so please save it anew.")
    if picture.dtype.kind in "bf" and values.max() <= 1:
        values = values * 255
    return values.clip(0, 255).astype(np.uint8)


@functools.cache
def _pillow():
    """Pillow's Image, with HEIC; imported when a file is read."""
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener(thumbnails=False)
    return Image


def _decode(picture, side: int) -> np.ndarray:
    """A PIL image, a path or an open file as an array, its size checked before its pixels are read."""
    Image = _pillow()
    from PIL import ImageOps

    try:
        image = picture if isinstance(picture, Image.Image) else Image.open(picture, formats=FORMATS)
        _check_size(*image.size)
        if image.format == "JPEG":
            image.draft("RGB", (side, side))  # decodes an eighth, a quarter or a half of the pixels where that will do
        if max(image.size) > 2 * side and image.mode in ("L", "RGB", "RGBA"):
            image = image.reduce(max(image.size) // side)
        image = ImageOps.exif_transpose(image)
        if image.mode not in ("L", "RGB", "RGBA", "I;16"):
            image = image.convert("RGBA")
        return np.asarray(image)
    except InkError:
        raise
    except Image.DecompressionBombError:
        raise InkError(f"A picture has at most {MAX_PIXELS // 10**6} megapixels; please send a smaller one.") from None
    # Pillow's ways to say no.
    except (OSError, SyntaxError, ValueError, EOFError, AttributeError, TypeError, RuntimeError):
        raise InkError(
            f"A picture is a PNG, JPEG or WebP file (HEIC too), an array or a PIL image; {_name(picture)} cannot be "
            "read as one."
        ) from None


def check_header(content: bytes) -> None:
    """Check a file's format and size by its header, before anything is decoded.

    Raises:
        InkError: none of `FORMATS`, or more than `MAX_PIXELS` pixels.
    """
    image = _pillow()
    try:
        with image.open(io.BytesIO(content), formats=FORMATS) as opened:
            _check_size(*opened.size)
    except image.DecompressionBombError:
        raise InkError(f"A picture has at most {MAX_PIXELS // 10**6} megapixels; please send a smaller one.") from None
    except (OSError, SyntaxError, ValueError, EOFError, AttributeError, TypeError, RuntimeError):
        raise InkError(f"A picture is one of {', '.join(FORMATS)}; this file is none.") from None


def _check_size(width: int, height: int) -> None:
    if width * height == 0:
        raise Blank("This picture has no pixels; please send another.")
    if width * height > MAX_PIXELS:
        raise InkError(
            f"A picture has at most {MAX_PIXELS // 10**6} megapixels; this one is {width} x {height}, "
            "so please send a smaller one."
        )


def _sketchpad(parts: dict) -> np.ndarray:
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
    known = {"str": "this text", "NoneType": "nothing", "BytesIO": "this file", "PosixPath": "this file"}
    return known.get(type(value).__name__, f"a {type(value).__name__}")
