"""Which workers live. One of this machine holds a lock, which ends with its process, however that ends.

Another worker of the machine takes over from a dead one at once, and need not watch it for the length of its lease. Of
workers elsewhere only their silence is known here.
"""

import contextlib
import fcntl
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from leaderboard.submissions.lifecycle import PENDING, RUNNING, Submission, claimable
from zoo import settings

KEPT = 24 * 3600.0  # seconds that the lock of a worker that died is kept
STOPPED = "Its worker has stopped: another one begins it again."


class Presence:
    """The locks of the workers that share a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    @contextlib.contextmanager
    def of(self, worker: str) -> Iterator[None]:
        """Hold the lock of a worker while a block runs; where that is not possible, the lease alone counts."""
        path = self.folder / worker
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._clean()
            lock = path.open("w")
        except OSError:
            yield
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
            path.unlink(missing_ok=True)

    def is_dead(self, worker: str) -> bool:
        """Return whether a worker ran on this machine and died: its lock is there, and nobody holds it."""
        if not worker or Path(worker).name != worker:
            return False
        try:
            with (self.folder / worker).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        except OSError:
            return False

    def _clean(self) -> None:
        """Delete the locks of workers that died long ago."""
        for path in self.folder.iterdir():
            if time.time() - path.stat().st_mtime > KEPT and self.is_dead(path.name):
                path.unlink(missing_ok=True)


class Witness:
    """How long submissions have stayed the same, by a clock of this process that never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}  # by id: version, and since when

    def silent(self, submission: Submission) -> float:
        """Return for how many seconds its version is known to be the same; 0 when it is seen for the first time."""
        version, since = self._seen.get(submission.id, (-1, 0.0))
        if version != submission.version:
            since = self._clock()
            self._seen[submission.id] = submission.version, since
        return self._clock() - since

    def forget_all_but(self, running: list[Submission]) -> None:
        """Keep what is known of these."""
        ids = {submission.id for submission in running}
        self._seen = {wanted: seen for wanted, seen in self._seen.items() if wanted in ids}


def seen(submissions: Iterable[Submission], witness: Witness) -> list[Submission]:
    """Return submissions as their senders see them: one whose worker has stopped waits again.

    The store has it so only when another worker takes over.
    """
    submissions, here = list(submissions), Presence(settings.cache_folder() / "workers")
    witness.forget_all_but([s for s in submissions if s.status == RUNNING])

    def one(s: Submission) -> Submission:
        if s.status != RUNNING or not claimable(s, math.inf if here.is_dead(s.worker) else witness.silent(s)):
            return s
        return replace(s, status=PENDING, stage="", progress=0.0, reason=STOPPED)

    return [one(submission) for submission in submissions]
