"""Errors of the zoo: one sentence that says what was expected, what was received and what to do."""

import difflib
from collections.abc import Iterable
from typing import TypeVar


class ZooError(Exception):
    """A problem that the user can fix; scripts print its one sentence and exit with status 2."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" with the names most similar to `name`, or all known names."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}."


Error = TypeVar("Error", bound=ZooError)


def bare(error: Error) -> Error:
    """Return an error without the frames that it came through, for a variable of one of them.

    The frames would hold the error and the error the frames, with the picture in them, until Python looks for circles.
    """
    error.__context__ = None
    return error.with_traceback(None)


class UnknownName(ZooError):
    """An unknown name, with the nearest known names and, where there is one, a hint."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = ""):
        super().__init__(f"There is no {kind} {name!r}; {nearest(name, known)} {hint}".rstrip())


class Busy(ZooError):
    """Too much waits already, or what would do it is closed.

    seconds: after which to try again.
    """

    def __init__(self, sentence: str, seconds: float = 1.0):
        super().__init__(sentence)
        self.seconds = seconds


class DataError(ZooError):
    """A dataset that is missing, incomplete or broken; the sentence names the file and the row."""


class InkError(ZooError):
    """A sketch or picture that cannot be read; its message is one sentence fit for a visitor."""


class Blank(InkError):
    """A sketch or picture with no ink in it."""
