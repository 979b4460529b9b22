"""How often receipts change: the Hub refuses more than some 128 commits of a repo within an hour."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from leaderboard.submissions.lifecycle import Submission

HOUR = 3600.0  # seconds
VISITORS = 40  # changes that visitors of one Space may make within an hour
EACH = 8  # changes of one receipt between two looks, at most: its version may be anything
CLAIMS = 80  # changes within an hour, whoever made them, from which on workers only end what they have begun


class Pace:
    """Counts the changes of the last hour by the version of each receipt: those of other machines count, too.

    Thread-safe. What changed before it looked for the first time is not known, and does not count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._looks: deque[tuple[float, int]] = deque()  # when, and how many changes there had been in all
        self._versions: dict[str, int] = {}  # of each receipt at the last look, by its path
        self._lock = threading.Lock()

    def look(self, submissions: Iterable[Submission]) -> None:
        """Note the state of all receipts."""
        versions = {submission.path: submission.version for submission in submissions}
        with self._lock:
            new = (version - self._versions.get(path, -1) for path, version in versions.items())
            changes = sum(min(max(count, 0), EACH) for count in new) if self._looks else 0
            if changes or not self._looks:
                before = self._looks[-1][1] if self._looks else 0
                self._looks.append((self._clock(), before + changes))
            self._versions = versions

    def changes(self) -> int:
        """Return how many changes there were within the hour before now."""
        with self._lock:
            if not self._looks:
                return 0
            began = self._clock() - HOUR
            while len(self._looks) > 1 and self._looks[1][0] <= began:
                self._looks.popleft()
            return self._looks[-1][1] - self._looks[0][1]
