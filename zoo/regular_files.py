"""Files that anybody may have put where they are: only regular ones are read, of a bounded size."""

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 2_000_000_000  # of a file; the largest network has 233 MB
MOST_JSON = 5_000_000  # of a JSON file, which takes thirty times as much in memory; those of the zoo have up to 0.3 MB
HOLE = 50_000_000  # bytes from which on a file must be stored


class NotAFile(OSError):
    """A pipe or a device in place of a file."""


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file and return its descriptor.

    Raises:
        OSError: there is none, or it is a folder, a pipe or a device: reading one of these could wait for ever. Or it
            may be made, and is a link, so that it would be made elsewhere.
    """
    if flags & os.O_CREAT:
        flags |= os.O_NOFOLLOW
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise NotAFile(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return what a file holds that anybody may have put there.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        OSError: as `open_regular`, or it has more bytes, or is a hole: it says that it has bytes, and none are stored.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes; the most is {most:,}", str(path))
        if found.st_size > HOLE and _stored(found) < found.st_size // 100:
            raise OSError(
                errno.EFBIG, f"it has {found.st_size:,} bytes, of which {_stored(found):,} are stored", str(path)
            )
        return file.read(found.st_size)  # what a system makes as it is read says that it has no bytes


def stored(path: Path) -> int:
    """Return how many bytes of a file are stored, which is less than its size if it has holes."""
    return _stored(path.stat())


def _stored(found: os.stat_result) -> int:
    return min(found.st_size, 512 * getattr(found, "st_blocks", found.st_size))  # Windows does not say
