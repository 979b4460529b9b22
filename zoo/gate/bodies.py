"""The body of a request, read up to a bound: what is left of a larger one is not read."""

from typing import TYPE_CHECKING

from zoo.errors import ZooError

if TYPE_CHECKING:
    from starlette.types import Receive

MOST_VALUES = 80_000  # in the JSON of a request: a sketch has at most 20,000 points, which are 60,000


class TooLarge(ZooError):
    """A request with more bytes or values than are read."""


async def read_body(receive: "Receive", most: int) -> bytes:
    """Return the body of a request.

    Raises:
        TooLarge: it has more than `most` bytes.
    """
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most:
            raise TooLarge(f"This request has at most {most:,} bytes: upload a larger file first.")
        more = bool(message.get("more_body")) and message["type"] == "http.request"
    return bytes(body)


def check_count(body: bytes) -> None:
    """Check how many values the JSON of a request holds before it is parsed, which takes long for many.

    Raises:
        TooLarge: more than `MOST_VALUES`.
    """
    if len(body) > MOST_VALUES and sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise TooLarge(f"A request has at most {MOST_VALUES:,} values.")
