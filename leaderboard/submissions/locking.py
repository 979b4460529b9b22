"""Locks that processes of a machine share: each is a file, and falls with the process that holds it."""

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import IO

from zoo.regular_files import open_regular

LONGEST = 20.0  # seconds; what holds a store takes milliseconds, and what holds the board's records a few seconds
LOOK = 0.02  # seconds between two tries


def lock(folder: Path) -> IO[str]:
    """Wait for the lock of a folder, which is made where it is missing, and hold it until the file is closed.

    Args:
        folder: it.

    Raises:
        TimeoutError: another process holds it for `LONGEST`; one that was stopped may hold it for ever.
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = os.fdopen(open_regular(folder / ".lock", os.O_RDWR | os.O_CREAT), "w")
    deadline = time.monotonic() + LONGEST
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise TimeoutError(errno.ETIMEDOUT, f"another process has held it for {LONGEST:.0f} s") from None
            time.sleep(LOOK)
        except BaseException:
            file.close()
            raise
