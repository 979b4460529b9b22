"""Forms, multipart/form-data, in little time of the event loop, which parses them, whatever is in them."""

import re
from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

SLICE = 65_536  # bytes that are parsed at a time
MOST_BOUNDARIES = 100  # of a form: each takes as long as 10 kB of content
LONGEST, SETTINGS = 1000, 8  # bytes that say what a form, or a part of it, is, and settings in them


class Form(MultiPartParser):
    """A parser of a form: of text in UTF-8, whose boundary stands between its parts and nowhere else."""

    async def parse(self) -> FormData:
        """Return what is in the form.

        Raises:
            MultiPartException: it is another one.
        """
        if _is_long(self.headers["Content-Type"].encode("latin-1")):
            raise MultiPartException("The Content-Type is too long.")
        _, said = parse_options_header(self.headers["Content-Type"])
        if said.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):  # some take long to decode
            raise MultiPartException("A form is in UTF-8.")
        self.stream = _sliced(self.stream, b"\r\n--" + said.get(b"boundary", b""))
        return await super().parse()

    def on_headers_finished(self) -> None:
        """Take a part."""
        if _is_long(self._current_part.content_disposition or b""):
            raise MultiPartException("The name of a part is too long.")
        super().on_headers_finished()


def _is_long(said: bytes) -> bool:
    return len(said) > LONGEST or said.count(b";") > SETTINGS


async def _sliced(stream: AsyncGenerator[bytes, None], mark: bytes) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a form in slices, and count the marks between its parts, each of which is looked at by Python.

    Raises:
        MultiPartException: there are too many, or spaces after one, which would be looked at one by one.
    """
    padded = re.compile(re.escape(mark) + rb"[ \t]")
    found, last = 0, b""
    async for part in stream:
        for place in range(0, len(part), SLICE):
            piece = part[place : place + SLICE]
            seen = last + piece
            found += seen.count(mark, max(len(last) - len(mark) + 1, 0))
            if found > MOST_BOUNDARIES or padded.search(seen):
                raise MultiPartException("Its boundary is in its content, too: choose a longer one.")
            last = seen[-len(mark) :]
            yield piece
