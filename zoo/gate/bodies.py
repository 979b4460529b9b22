"""The body of a request, read up to a bound: what is left of a larger one is not read."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from typing import IO, TYPE_CHECKING

from anyio import to_thread

from zoo.errors import ZooError
from zoo.gate import limits
from zoo.gate.callers import caller
from zoo.gate.traffic import HELD, Disconnected

if TYPE_CHECKING:
    from starlette.types import Receive

MOST_JSON = 4_000_000  # bytes of a request of JSON, a file of 3 MB as a data URI: no thread runs while it is parsed
MOST_VALUES = 20_000  # in the JSON of a request: a sketch has at most 5,000 points, which are 15,000
MOST_SLOW = 100_000  # quotes, escapes and bytes beyond ASCII, which take a parser ten times as long as others
VALUE_BYTES = 200  # that count as another value, since all threads wait while they are parsed
QUICK = bytes(set(range(128)) - set(b',[{"\\'))  # bytes that are not counted
LONG = 65_536  # bytes from which what a body holds in memory is counted, and it is parsed in a thread
SPOOLED = 1_000_000  # bytes from which a body waits on the disk until it is complete


class TooLarge(ZooError):
    """A request with more bytes or values than are read."""


async def spooled(receive: "Receive", most: int) -> IO[bytes]:
    """Return the body of a request as an open file: in memory, or on the disk where it is long.

    Raises:
        TooLarge: it has more than `most` bytes.
        Disconnected: it was cut off.
    """
    body = tempfile.SpooledTemporaryFile(max_size=SPOOLED)  # noqa: SIM115  # the caller closes it
    size, more = 0, True
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected()
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise TooLarge(
                    f"This request has at most {most:,} bytes: upload a larger file first, or send it in a form."
                )
            if size > SPOOLED:
                await to_thread.run_sync(body.write, part)
            else:
                body.write(part)
            more = bool(message.get("more_body"))
    except BaseException:
        body.close()
        raise
    body.seek(0)
    return body


@contextlib.asynccontextmanager
async def arrived(receive: "Receive", most: int, network: str) -> AsyncIterator[IO[bytes]]:
    """Yield the whole body of a request as an open file, from which it may be read into memory.

    A body takes its share of the memory only when it is there: what is announced, or arrives slowly, takes none.

    Raises:
        TooLarge: it has more than `most` bytes.
        Disconnected: it was cut off.
        TooMany: long bodies of its address, or of all, hold too much already.
    """
    with await spooled(receive, most) as body:
        size = body.seek(0, 2)
        body.seek(0)
        with HELD.taken(network, size if size > LONG else 0):
            yield body


async def read(body: IO[bytes], most: int = -1) -> bytes:
    """Return the next bytes of a body, at most that many; in a thread where it lies on the disk."""
    return await to_thread.run_sync(body.read, most) if getattr(body, "_rolled", True) else body.read(most)


def check_count(body: bytes) -> None:
    """Check how much of the JSON of a request takes a parser long, before it is parsed; count it.

    It is looked at piece by piece, so that other threads go on meanwhile, and no further than it must be.

    Raises:
        TooLarge: more than `MOST_VALUES`, or `MOST_SLOW`.
        TooMany: the address of the caller sent too many within a minute.
    """
    values = slow = 0
    for start in range(0, len(body), LONG):
        piece = body[start : start + LONG].translate(None, QUICK)
        found = sum(piece.count(mark) for mark in (b",", b"[", b"{"))
        values, slow = values + found, slow + len(piece) - found
        for count, most, what in (
            (values, MOST_VALUES, "values"), (slow, MOST_SLOW, "quotes, escapes and bytes beyond ASCII")
        ):  # fmt: skip
            if count > most:
                limits.check_values(caller(), MOST_VALUES)
                raise TooLarge(f"A request of JSON has at most {most:,} {what}.")
    limits.check_values(caller(), values + len(body) // VALUE_BYTES)


async def check_long(body: bytes) -> None:
    """Check what `check_count` checks, for a long body in a thread."""
    if len(body) > LONG:
        await to_thread.run_sync(check_count, body)
    else:
        check_count(body)
