"""How much is uploaded: by one request, by one address within an hour, and by all of them together."""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from zoo.errors import ZooError
from zoo.gate import limits
from zoo.gate.callers import Caller

MOST_REQUEST = 250_000_000  # bytes of one request: a folder of photos
MOST_STORED = 5_000_000_000  # bytes of all uploads that are kept
LEAST_FREE = 1_000_000_000  # bytes that stay free on the disk
KEPT = 7200.0  # seconds after which a file is deleted, those of requests that were cut off, too
EACH = 5.0  # seconds between looks at the folder


class Storage:
    """The folder of uploads; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time):
        self._clock = clock
        self._looked = float("-inf")
        self._size = 0
        self._lock = threading.Lock()

    def check(self, folder: Path) -> None:
        """Delete files that are older than `KEPT`.

        Raises:
            ZooError: uploads take `MOST_STORED`, or the disk is nearly full.
        """
        with self._lock:
            now = self._clock()
            if not 0 <= now - self._looked < EACH:
                self._looked, self._size = now, self._swept(folder, now)
            if self._size > MOST_STORED or (folder.exists() and shutil.disk_usage(folder).free < LEAST_FREE):
                raise ZooError(
                    "There is no room for more uploads now: they are deleted after two hours. Try again later."
                )

    def _swept(self, folder: Path, now: float) -> int:
        """Delete old files; return the bytes of those that are left."""
        size = 0
        for place, _, names in os.walk(folder):
            for name in names:
                path = Path(place, name)
                with contextlib.suppress(OSError):  # another process may delete it first
                    found = path.lstat()
                    if now - found.st_mtime > KEPT:
                        path.unlink()
                    else:
                        size += found.st_size
        return size


class Meter:
    """Counts the bytes of one upload as they arrive."""

    def __init__(self, caller: Caller):
        self._caller, self._size = caller, 0

    def count(self, size: int) -> None:
        """Count a part.

        Raises:
            ZooError: the request has more than `MOST_REQUEST`, or its address has sent too much within an hour.
        """
        self._size += size
        if self._size > MOST_REQUEST:
            raise ZooError(f"One upload has at most {MOST_REQUEST // 10**6} MB: send fewer files at a time.")
        limits.check_upload(self._caller, size)


STORAGE = Storage()
