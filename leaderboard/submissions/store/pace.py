"""How often receipts change: the Hub refuses more than some 128 commits of a repo within an hour."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from leaderboard.submissions.lifecycle import Submission

HOUR = 3600.0  # seconds
VISITORS = 40  # changes that visitors of one Space may make within an hour
CLAIMS = 80  # changes within an hour, whoever made them, from which on workers only end what they have begun


class Pace:
    """Counts the changes of the last hour by the versions of all receipts: those of other machines count, too.

    Thread-safe. What changed before it looked for the first time is not known, and does not count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._looks: deque[tuple[float, int]] = deque()  # when, and how many changes there had been in all
        self._lock = threading.Lock()

    def look(self, submissions: Iterable[Submission]) -> None:
        """Note the state of all receipts."""
        changes = sum(submission.version + 1 for submission in submissions)
        with self._lock:
            if not self._looks or self._looks[-1][1] != changes:
                self._looks.append((self._clock(), changes))

    def changes(self) -> int:
        """Return how many changes there were within the hour before now."""
        with self._lock:
            if not self._looks:
                return 0
            began = self._clock() - HOUR
            while len(self._looks) > 1 and self._looks[1][0] <= began:
                self._looks.popleft()
            return self._looks[-1][1] - self._looks[0][1]
