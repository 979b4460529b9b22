"""How much of the server one call may take to read pictures: pages, time, and a place where they are large."""

import contextlib
import time
from collections.abc import Callable, Iterator

from zoo.errors import ZooError
from zoo.ink.turns import Turns

READERS = Turns(10)  # steps of reading at a time, one of a sender: so many pictures share the processors with sketches
EXPLAINERS = Turns(1)  # networks that are explained at a time: it takes a hundred times as long as an answer
MOST_PAGES, MOST_SECONDS = 160, 60.0  # that a call reads, and takes; a page counts for each network that is asked


class Spent(ZooError):
    """A call that would read more than its budget."""


class Unwanted(Spent):
    """A call whose answer nobody waits for any more."""

    def __init__(self) -> None:
        super().__init__("Nobody waits for this answer any more.")


class Budget:
    """What one call may read, whatever files it sends: pages within a time, while somebody waits for the answer.

    Args:
        wanted: whether somebody does.
        seconds: in which it is done; None: `MOST_SECONDS`.
        sender: who sent them, an address for example; "" where all that is read counts as one sender's.
    """

    def __init__(self, wanted: Callable[[], bool] = lambda: True, seconds: float | None = None, sender: str = ""):
        self._sender, self._seconds = sender, MOST_SECONDS if seconds is None else seconds
        self._wanted, self._pages, self._until = wanted, MOST_PAGES, time.monotonic() + self._seconds

    def take(self) -> None:
        """Count a page before it is read; Spent where it is one too many."""
        self._pages -= 1
        if self._pages < 0:
            raise Spent(f"At most {MOST_PAGES} pages are read at a time; the rest were left out. Send fewer.")
        self._check_time()
        self.check()

    def _check_time(self) -> None:
        if time.monotonic() > self._until:
            raise Spent(
                f"Reading these takes more than {self._seconds:.0f} seconds; the rest were left out. Send fewer."
            )

    def check(self) -> None:
        """Raise Unwanted where nobody waits any more: between the steps of a page."""
        if not self._wanted():
            raise Unwanted()

    @contextlib.contextmanager
    def turn(self, turns: Turns) -> Iterator[Callable[[], None]]:
        """Hold a place for a picture; the time of waiting for it does not count. Yields `check`.

        Raises:
            Spent: the time is over; also where all pictures before this one were refused.
        """
        self._check_time()
        with self._taken(turns) as check:
            yield check

    @contextlib.contextmanager
    def step(self, turns: Turns = READERS) -> Iterator[None]:
        """Hold a place for a step of what was begun, whose time counts but does not end it.

        Who sends much has one place as well, so that its number does not slow down what others ask.
        """
        with self._taken(turns):
            yield

    @contextlib.contextmanager
    def _taken(self, turns: Turns) -> Iterator[Callable[[], None]]:
        came = time.monotonic()
        with turns.taken(self._sender, self.check) as check:
            self._until += time.monotonic() - came
            yield check
