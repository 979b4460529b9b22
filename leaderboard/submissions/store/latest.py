"""What somebody else was last known to say: one thread of its own asks again, so those who look hardly wait."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from leaderboard.submissions.store.base import StoreFailed

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
UNKNOWN = "The store on the Hub cannot be read now. Try again in a minute."


class Latest(Generic[Answer]):
    """An answer that is asked for again when it is old.

    Args:
        ask: returns it; StoreFailed where it cannot be had now.
        every: seconds for which an answer counts, from when it was asked for, and between failures.
    """

    def __init__(self, ask: Callable[[], Answer], every: float):
        self._ask, self._every = ask, every
        self._changed = threading.Condition()
        self._known: list[Answer] = []  # none or one
        self._asked, self._began, self._failed = -1e9, -1e9, -1e9  # when for what is known, last, for what failed
        self._outdated = -1e9  # what was asked for before does not count
        self._asking = False
        self._reason = UNKNOWN

    def get(self, seconds: float) -> Answer:
        """Return the answer: a new one where it comes soon enough, else the last one.

        Args:
            seconds: to wait for it, from when it was asked for.

        Raises:
            StoreFailed: there is none yet.
        """
        until = time.monotonic() + seconds
        with self._changed:
            while not self._is_new():
                if not self._asking:
                    if time.monotonic() < self._failed + self._every:
                        break
                    self._asking, self._began = True, time.monotonic()
                    threading.Thread(target=self._look, name="store", daemon=True).start()
                left = min(until, self._began + seconds) - time.monotonic()
                if not self._changed.wait_for(lambda: not self._asking, max(left, 0.0)):
                    break
            if not self._known:
                raise StoreFailed(self._reason)
            return self._known[0]

    def outdate(self) -> None:
        """Ask again at the next look, since something was changed just now."""
        with self._changed:
            self._outdated = time.monotonic()

    def amend(self, change: Callable[[Answer], Answer]) -> None:
        """Change what is known as something was changed just now, and ask again at the next look."""
        with self._changed:
            self._known = [change(known) for known in self._known]
            self._outdated = time.monotonic()

    def _is_new(self) -> bool:
        return self._asked > self._outdated and time.monotonic() <= self._asked + self._every

    def _look(self) -> None:
        """Ask, in a thread that nobody waits for longer than they want."""
        try:
            answer, reason = [self._ask()], UNKNOWN
        except Exception as error:
            if not isinstance(error, StoreFailed):
                log.exception("The store cannot be read")
            answer, reason = [], str(error) if isinstance(error, StoreFailed) else UNKNOWN
        with self._changed:
            if answer:
                self._known, self._asked = answer, self._began
            else:
                self._failed = time.monotonic()
            self._reason, self._asking = reason, False
            self._changed.notify_all()
