"""Decode strangers' pictures outside the server's process, which so never runs a decoder on their bytes.

with apart.decoding_files():  # as long as a server runs: `decoding.decode` then sends each file to a child
    ...

A picture costs a child of `spawning`, which has no files, no network and no rights, and whose memory always returns.
Small pictures have places of their own, so that they do not wait behind large ones, and so do those that take long.
Which one it is, a file only says of itself: one that needs more memory than a small one is decoded once more, as a
large one. One that takes more time than nearly all pictures of its size gives its place up, whatever it takes so long
for, and is decoded once more in the only place of the slow ones; until it is, its sender has no other place of that
size. So what is done at once never waits for what is slow. All places together take at most 4 * 300 MB + 2 * 1 GB +
1 GB = 4.2 GB. The pages come back as plain pixels, whose number is checked here.
"""

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, Literal

import numpy as np

from zoo.errors import Blank, InkError, ZooError
from zoo.ink import bounds, decoding
from zoo.ink.decoding import Decoded
from zoo.ink.turns import Turns
from zoo.processes import spawning
from zoo.processes.spawning import Answer, Limits
from zoo.types import Json

log = logging.getLogger(__name__)

LAUNCH = "from zoo.serving import apart; apart.main()"
PAGES = decoding.MAX_PAGES * decoding.SIDE**2 * 4  # bytes of all pages of a TIFF
SMALL = Limits(cpu=0.5, wall=10.0, memory=300_000_000, file=PAGES)
LARGE = Limits(cpu=1.5, wall=20.0, memory=1_000_000_000, file=PAGES)
SLOW = Limits(cpu=6, wall=90.0, memory=1_000_000_000, file=PAGES, nice=5)
SURELY_LARGE = 1_000_000  # bytes of a file; few of more are small pictures
LONGEST = 500  # characters of a sentence
Again = Literal["too large", "too slow"]  # for the limits under which a picture was decoded

_SPAWNERS = spawning.Spawners(LAUNCH)
_lock, _servers = threading.Lock(), 0


@contextlib.contextmanager
def decoding_files() -> Iterator[None]:
    """Decode files in children within the block, where this system can limit them: Linux; elsewhere here as before."""
    global _servers
    if not sys.platform.startswith("linux"):
        yield
        return
    with _lock:
        _servers += 1
    threading.Thread(target=_SPAWNERS.started, name="pictures", daemon=True).start()
    try:
        with decoding.files_decoded_by(decode):
            yield
    finally:
        with _lock:
            _servers -= 1
            if not _servers:
                _SPAWNERS.close()


def decode(content: bytes, side: int, most: int, turn: bounds.Turn) -> Iterator[Decoded]:
    """Yield the pages of a file as `decoding.decode` does. While they are read, one of several pages holds a place.

    Raises:
        InkError: as there; it takes more memory or time than `SLOW`.
        Busy: it takes long, and others that do wait already.
        ZooError: no process can be started here.
    """
    with turn(bounds.SEVERAL) if most > 1 and bounds.has_pages(content) else contextlib.nullcontext():
        yield from _decoded(content, side, most, turn)


def _decoded(content: bytes, side: int, most: int, turn: bounds.Turn) -> Iterator[Decoded]:
    request: Json = {"task": "decode", "side": side, "most": most}

    def answered(turns: Turns, limits: Limits, large: bool = True) -> Answer | Again:
        with turn(turns) as check:
            answer = _answer({**request, "large": large}, content, limits, check)
            if answer == "too slow" and turns is not bounds.SLOW_ONES:
                turns.give_back()
                answer = answered(bounds.SLOW_ONES, SLOW)
            return answer

    answer: Answer | Again = "too large"
    if len(content) <= SURELY_LARGE:
        answer = answered(bounds.SMALL_ONES, SMALL, large=False)
    if answer == "too large":
        answer = answered(bounds.LARGE_ONES, LARGE)
    if isinstance(answer, str):
        raise InkError(decoding.TOO_MUCH)
    with answer.file as file:
        for size, note in _pages(answer.header, side, most):
            yield Decoded(_pixels(file, size), note)
    if error := answer.header.get("error"):
        raise (Blank if answer.header.get("blank") else InkError)(str(error)[:LONGEST])


def _answer(request: Json, content: bytes, limits: Limits, check: Callable[[], None]) -> Answer | Again:
    """Return the answer of a child, or in which way the picture takes more than its limits."""
    try:
        answer = _SPAWNERS.run(request, content, limits, check)
    except spawning.NoAnswer:
        return "too slow"
    except spawning.Stopped:
        raise ZooError("Decoding pictures stopped unexpectedly. Try again.") from None
    if "trace" in answer.header:
        log.error("A picture could not be decoded.\n%s", str(answer.header["trace"])[:8000])
        answer.header.update(error="This picture could not be read. Please report it.")
    return "too large" if answer.header.get("too large") else answer


def _pages(header: Json, side: int, most: int) -> list[tuple[tuple[int, int], str]]:
    """Return the height and width, and the note, of the pages that a child says it made."""
    pages = header.get("pages", [])
    if not isinstance(pages, list) or len(pages) > most:
        raise InkError(decoding.TOO_MUCH)
    found = []
    for page in pages:
        height, width, note = page if isinstance(page, list) and len(page) == 3 else (0, 0, "")
        if not all(type(length) is int and 1 <= length <= side for length in (height, width)):
            raise InkError(decoding.TOO_MUCH)
        found.append(((height, width), str(note)[:LONGEST]))
    return found


def _pixels(file: IO[bytes], size: tuple[int, int]) -> np.ndarray:
    """Read the pixels of a page."""
    pixels = np.empty((*size, 4), np.uint8)
    if file.readinto(pixels.data.cast("B")) != pixels.nbytes:  # type: ignore[attr-defined]
        raise InkError(decoding.TOO_MUCH)
    return pixels


# --- in the process ------------------------------------------------------------------------------


class TooLarge(Exception):
    """A picture that says of itself that it is a large one."""


def _turn_of_small(turns: object) -> contextlib.AbstractContextManager[Callable[[], None]]:
    raise TooLarge


def _turn_of_large(turns: object) -> contextlib.AbstractContextManager[Callable[[], None]]:
    return contextlib.nullcontext(lambda: None)


def task(request: Json, content: bytes) -> tuple[Json, spawning.Parts]:
    """Decode a file; what is wrong with it comes after the pages before."""
    pages: list[tuple[int, int, str]] = []
    parts: list[memoryview] = []
    header: Json = {"pages": pages}
    turn = _turn_of_large if request["large"] else _turn_of_small
    try:
        for page in decoding.decode(content, request["side"], turn, request["most"]):
            height, width = page.pixels.shape[:2]
            pages.append((height, width, page.note))
            parts.append(np.ascontiguousarray(page.pixels).data.cast("B"))
    except TooLarge:
        return {"too large": True}, ()
    except InkError as error:
        if isinstance(error, decoding.Unreadable) and not request["large"]:  # memory may have been short
            return {"too large": True}, ()
        header.update(error=str(error), blank=isinstance(error, Blank))
    return header, parts


def main() -> None:
    """Import what decoding needs, and serve."""
    import cv2
    from PIL import Image

    cv2.setNumThreads(1)
    decoding.warm_up()
    example = io.BytesIO()
    Image.new("RGB", (200, 200)).save(example, "PNG")
    request = {"side": decoding.SIDE, "most": 1, "large": True}
    spawning.serve({"decode": task}, rehearse=lambda: task(request, example.getvalue()))
