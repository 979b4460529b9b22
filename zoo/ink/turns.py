"""Turns at work that takes much memory, whatever way the pictures came."""

import contextlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

from zoo.errors import Busy

LOOK = 1.0  # seconds after which one who waits checks whether that is still wanted
MOST_REMEMBERED = 2000  # senders whose last turn is known
AGAIN = 30.0  # seconds after which a caller may try again where too many wait


class Turns:
    """A few places for all. A sender has one of them at most; of those who wait, who had the last turn is the last.

    Args:
        places: how many.
        most_waiting: who may wait for one, each of another sender; None: all.
    """

    def __init__(self, places: int, most_waiting: int | None = None):
        self._free, self._changed = places, threading.Condition()
        self._most_waiting = most_waiting
        self._numbers = itertools.count(1)
        self._waiting: dict[int, str] = {}  # by number, in the order in which they came
        self._busy: set[str] = set()
        self._held = threading.local()  # whether this thread holds a place
        self._served: OrderedDict[str, int] = OrderedDict()  # by sender: the number of the last turn

    @contextlib.contextmanager
    def taken(self, sender: str = "", check: Callable[[], None] = lambda: None) -> Iterator[Callable[[], None]]:
        """Wait for a place, and hold it; yield `check`.

        Args:
            sender: an address, for example; "" stands for many, who may have all places.
            check: called while waiting; what it raises ends that. Long work calls it, too.

        Raises:
            Busy: too many wait, or another one of this sender.
        """
        with self._changed:
            if not self._may_wait(sender):
                raise Busy("Other pictures that take long wait already: try again, or send a smaller one.", AGAIN)
            number = next(self._numbers)
            self._waiting[number] = sender
            try:
                while self._next() != number:
                    self._changed.wait(LOOK)
                    check()
                self._take(sender)
            finally:
                del self._waiting[number]
                self._changed.notify_all()
        self._held.place = True
        try:
            yield check
        finally:
            with self._changed:
                self._busy.discard(sender)
                self._changed.notify_all()
            self.give_back()

    def give_back(self) -> None:
        """Leave the place that this thread holds, if any, to others than the sender, who has none until the end."""
        with self._changed:
            if getattr(self._held, "place", False):
                self._held.place = False
                self._free += 1
                self._changed.notify_all()

    def _may_wait(self, sender: str) -> bool:
        waiting = self._waiting.values()
        return self._most_waiting is None or (len(waiting) < self._most_waiting and not (sender and sender in waiting))

    def _next(self) -> int | None:
        """Return whose turn it is; None where all must wait."""
        ready = [number for number, sender in self._waiting.items() if sender not in self._busy]
        if not self._free or not ready:
            return None
        return min(ready, key=lambda number: self._served.get(self._waiting[number], 0))

    def _take(self, sender: str) -> None:
        self._free -= 1
        if sender:
            self._busy.add(sender)
            self._served[sender] = next(self._numbers)
            self._served.move_to_end(sender)
            if len(self._served) > MOST_REMEMBERED:
                self._served.popitem(last=False)
