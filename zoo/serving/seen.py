"""A picture of anybody becomes pages with the writing on them, before any network looks at it."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from zoo.errors import Blank, bare
from zoo.ink.decoding import decode
from zoo.ink.writing import Writing, find_writing
from zoo.serving.reading_budget import Budget


@dataclass(frozen=True)
class Seen:
    """A page of a picture and the writing on it: the same for every network.

    picture: uint8 (H, W, 4), RGBA, as it was decoded, reduced to at most 1024 pixels a side.
    """

    picture: np.ndarray
    writing: Writing
    notes: tuple[str, ...] = ()


def see(picture: object, budget: Budget | None = None) -> Generator[Seen]:
    """Yield each page of a picture with the writing on it; pages without any are left out.

    Args:
        picture: anything that `zoo.ink.decoding.decode` takes.
        budget: of the call, where it reads several pictures; else this picture has one of its own.

    Raises:
        Spent: it has more pages than the budget.
        Blank: nothing stands out from the paper on any page.
        InkError: not a picture.
    """
    blank: Blank | None = None
    found = False
    budget = budget or Budget()
    with contextlib.closing(decode(picture, turn=budget.turn)) as pages:  # of several, it holds a place
        for page in pages:
            budget.take()
            try:
                with budget.step():
                    writing = find_writing(page.pixels)
            except Blank as error:
                blank = bare(error)
                continue
            found = True
            notes = [page.note] if page.note else []
            if writing.matrix is not None:
                notes.append("The sheet in the picture was found and put straight.")
            yield Seen(page.pixels, writing, tuple(notes))
    if not found and blank is not None:
        raise blank
