"""Limits for picture files, checked on what a file declares, before it is decoded.

A small file can cost much memory or time: a tile of 400 megapixels in a picture of 256
pixels, a million empty chunks, hundreds of scans that each take as long as the whole picture, or tags that all name
the same megabytes.
"""

import contextlib
import ctypes.util
import functools
import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from zoo.errors import InkError
from zoo.ink.turns import Turns

MAX_PIXELS = 50_000_000  # the largest common phone photo
MAX_FRAMES = 50  # of a GIF that are searched for ink
MAX_SCANS = 100  # of a progressive JPEG; cameras and programs write about ten
MAX_SCANNED = 1_000_000_000  # pixels times scans of a JPEG: twenty scans of the largest picture
MAX_READS_TO_OPEN = 2000  # a chunk, a segment or a tag takes one to five
MAX_READS = 300_000  # to decode what was opened
MAX_TAGS = 5000  # of one directory of a TIFF or of EXIF
MAX_STRIPS = 65_536  # strips or tiles of one page
MAX_TILE_PIXELS = 4096**2
SLOW_PIXELS, SLOW_BYTES = 1_000_000, 2_000_000  # where Pillow decodes in Python: BMP with run lengths, PPM as text
LARGE = 4_000_000  # pixels; from there on a picture takes a place among few, for the memory of decoding it
AT_ONCE = 2  # large pictures that are decoded at the same time
PAGES_AT_ONCE = 1  # pages that are described at the same time: each takes seconds, and up to a gigabyte
SMALL_AT_ONCE = 4  # small pictures that a server decodes at the same time, see `zoo.serving.apart`
SEVERAL_AT_ONCE = 3  # TIFFs that are read at the same time: all pages of each are kept until the last, up to 250 MB
SLOW_AT_ONCE, SLOW_WAITING = 1, 3  # pictures that take longer than others, of either size: those waiting hold a thread

WIDTH, LENGTH, BITS, COMPRESSION, SAMPLES, ROWS, TILE_WIDTH, TILE_LENGTH = 256, 257, 258, 259, 277, 278, 322, 323
OFFSETS = 273, 279, 324, 325  # tags with one value for each strip or tile
SIZES = WIDTH, LENGTH, BITS, COMPRESSION, SAMPLES, ROWS, TILE_WIDTH, TILE_LENGTH
COMPRESSIONS = 1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946  # none, fax, LZW, JPEG, Deflate, PackBits
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a JPEG that give its size
UNSIGNED = {1: 1, 3: 2, 4: 4, 16: 8}  # TIFF's types of whole numbers: bytes

# Holds a place among those of `LARGE_ONES`, for example; yields what says whether the picture is still wanted.
Turn = Callable[[Turns], AbstractContextManager[Callable[[], None]]]
LARGE_ONES, SMALL_ONES, SLOW_ONES = Turns(AT_ONCE), Turns(SMALL_AT_ONCE), Turns(SLOW_AT_ONCE, SLOW_WAITING)
PAGES, SEVERAL = Turns(PAGES_AT_ONCE), Turns(SEVERAL_AT_ONCE)
TIFF = b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0"  # how a file begins that Pillow takes for one


class Metered(io.BytesIO):
    """A file in memory that counts how often it is read: Pillow reads once for each part that it handles in Python."""

    left = MAX_READS_TO_OPEN

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as other files; InkError where that was done too often."""
        self.left -= 1
        if self.left < 0:
            raise InkError("This picture's file is in too many parts: please save it again.")
        return super().read(size)


def check_scans(content: bytes | memoryview) -> None:
    """Refuse a JPEG with too many scans: each takes as long as the whole picture, even if it has few bytes.

    What follows the picture, such as the video of a phone's motion photo, is not looked at.
    """
    place, scans, pixels = 2, 0, 0
    marker = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])")
    while (found := marker.search(content, place)) and found[1] != b"\xd9":
        scans += found[1] == b"\xda"
        if scans > MAX_SCANS:
            raise InkError(f"This JPEG has more than {MAX_SCANS} scans: save it again.")
        if found[1][0] in FRAMES:
            height, width = struct.unpack(">HH", bytes(content[found.end() + 3 : found.end() + 7]).ljust(4, b"\0"))
            pixels = max(pixels, height * width)
        if scans * pixels > MAX_SCANNED:
            raise InkError("This JPEG has too many scans for its size: save it again, not as a progressive one.")
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")


def check_decoder(image: Any, size: int) -> None:
    """Refuse a large picture that Pillow decodes in Python, which blocks all other threads.

    Args:
        image: a PIL image that is open and not decoded.
        size: of its file, bytes.
    """
    from PIL import Image

    slow = any(tile.codec_name in Image.DECODERS for tile in getattr(image, "tile", ()))
    if slow and (image.width * image.height > SLOW_PIXELS or size > SLOW_BYTES):
        raise InkError(
            f"A {image.format} file of this kind has at most {SLOW_PIXELS // 10**6} megapixel: save it as PNG or JPEG."
        )


def bounded(load: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return Pillow's reader of a directory of TIFF or EXIF tags, which checks a directory before reading it."""

    @functools.wraps(load)
    def checked(directory: Any, file: Any) -> None:
        place = file.tell()
        end = file.seek(0, io.SEEK_END)
        file.seek(place)
        big, order = directory._bigtiff, directory._endian
        head = file.read(8 if big else 2)
        if len(head) == (8 if big else 2):
            (count,) = struct.unpack(order + ("Q" if big else "H"), head)
            if count > MAX_TAGS:
                raise InkError(f"A TIFF, or a picture's EXIF, has at most {MAX_TAGS:,} tags: save it again.")
            form = struct.Struct(order + ("HHQ8s" if big else "HHL4s"))
            entries = file.read(form.size * count)
            _check_tags(form.iter_unpack(entries[: len(entries) // form.size * form.size]), directory, end)
        file.seek(place)
        load(directory, file)

    return checked


def _check_tags(tags: Iterator[tuple[int, int, int, bytes]], directory: Any, end: int) -> None:
    """Check the tags of a directory: (tag, type, count, value or offset). `end`: bytes of the file."""
    order: Literal["little", "big"] = "little" if directory._endian == "<" else "big"
    total, sizes = 0, {}
    for tag, kind, count, value in tags:
        size = count * directory._load_dispatch.get(kind, (0,))[0]
        if size > len(value) and int.from_bytes(value, order) + size <= end:  # else Pillow stops here
            total += size
        if tag in OFFSETS and count > MAX_STRIPS:
            raise InkError(f"A TIFF has at most {MAX_STRIPS:,} strips or tiles: save it again.")
        if tag in SIZES and tag in sizes:
            raise InkError("A TIFF gives each of its sizes once; this one gives one twice: save it again.")
        if tag in SIZES:
            sizes[tag] = int.from_bytes(value[: UNSIGNED.get(kind, 0)], order)
        if tag in (WIDTH, LENGTH, TILE_WIDTH, TILE_LENGTH) and not (kind in UNSIGNED and 0 < size <= len(value)):
            raise InkError("A TIFF gives its width and length as whole numbers: save it again.")
    if total > 2 * end:
        raise InkError("The tags of a TIFF, or of a picture's EXIF, are more than its file holds: save it again.")
    if sizes.get(TILE_WIDTH, 1) * sizes.get(TILE_LENGTH, 1) > MAX_TILE_PIXELS:
        raise InkError(f"A tile of a TIFF has at most {MAX_TILE_PIXELS // 10**6} megapixels: save it in smaller ones.")
    if sizes.get(COMPRESSION, 1) not in COMPRESSIONS:
        raise InkError("A TIFF is uncompressed or packed by LZW, Deflate, PackBits, JPEG or as a fax: save it as one.")


def has_pages(content: bytes) -> bool:
    """Return whether a file may have several pages: a TIFF whose first directory names a next one, or cannot be read.

    The header is understood as by Pillow, which finds the pages, also where the standard says otherwise.
    """
    if not content.startswith(TIFF):
        return False
    order = "<" if content.startswith(b"II") else ">"
    big = content[2] == 43
    place, count, offset, entry = (8, "Q", "Q", 20) if big else (4, "H", "I", 12)
    try:
        (first,) = struct.unpack_from(order + offset, content, place)
        (entries,) = struct.unpack_from(order + count, content, first)
        (following,) = struct.unpack_from(order + offset, content, first + struct.calcsize(count) + entries * entry)
    except struct.error:
        return True
    return bool(following)


def silence_libtiff() -> None:
    """Have the TIFF library inside Pillow say nothing: it prints a line for each broken line of a picture."""
    import PIL

    folder = Path(PIL.__file__).parents[1] / "pillow.libs"  # a Pillow that was installed by pip brings its libraries
    shipped = sorted(map(str, folder.glob("libtiff-*.so*")))
    found = shipped[0] if shipped else ctypes.util.find_library("tiff")  # else it uses the system's
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(found)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def turn(turns: Turns) -> AbstractContextManager[Callable[[], None]]:
    """Hold a place in nobody's name."""
    return turns.taken()


def png_size(content: bytes) -> tuple[int, int] | None:
    """Return the width and the height that a PNG declares; None for another file."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def frames(content: bytes) -> tuple[int, int, int]:
    """Return the width and height that the frames of a GIF reach, and how many there are, `MAX_FRAMES` at most.

    A frame may be larger than the screen that the file declares, and Pillow decodes it to find that out.
    """
    width, height = struct.unpack("<HH", content[6:10].ljust(4, b"\0"))
    place, count = 13 + _colors(content[10:11]), 0
    block = re.compile(rb"[,!;]")
    while count < MAX_FRAMES and (found := block.search(content, place)) and found[0] != b";":
        place = found.end()
        if found[0] == b",":
            x, y, w, h = struct.unpack("<4H", content[place : place + 8].ljust(8, b"\0"))
            width, height, count = max(width, x + w), max(height, y + h), count + 1
            place += 9 + _colors(content[place + 8 : place + 9])
        place += 1  # the kind of an extension, or the least size of a code
        while place < len(content) and content[place]:
            place += 1 + content[place]
        place += 1
    return width, height, count


def _colors(flags: bytes) -> int:
    """Return the bytes of the table of colors that follows these flags."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 128 else 0
