"""Which workers of this machine live: each holds a lock, which ends with its process, however that ends.

Another worker of the machine takes over from a dead one at once, and need not watch it for the length of its lease. Of
workers elsewhere nothing is known here.
"""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

KEPT = 24 * 3600.0  # seconds that the lock of a worker that died is kept


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
