"""What a sandboxed process consumes, seen from outside: memory, threads, and all that it keeps on the disk."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from leaderboard.submissions.sandbox.confinement import Resources


class Unreadable(Exception):
    """A folder that cannot be read as a whole."""


class TooMany(Exception):
    """More files than are counted."""


def reached(pid: int, resources: Resources, folder: Path | None = None) -> str:
    """Return which limit a process has passed, as the end of a sentence; "" if none.

    Args:
        pid: the process.
        resources: its limits.
        folder: its own folder, if that is to be looked at too.
    """
    memory, threads = memory_and_threads(pid)
    if memory > resources.memory:
        return f"used more than {resources.memory / 1e9:.1f} GB of memory"
    if threads > resources.threads:
        return f"started more than {resources.threads:,} threads"
    if folder is None:
        return ""
    try:
        if stored(pid, folder, resources) > resources.folder:
            return f"wrote more than {resources.folder / 1e9:.1f} GB"
    except Unreadable:
        return "made a folder that cannot be read as a whole"
    except TooMany:
        return f"made more than {resources.entries:,} files"
    return ""


def memory_and_threads(pid: int) -> tuple[int, int]:
    """Return the bytes of memory that a process holds and no file could give back, and the number of its threads.

    Both are 0 where that is not known.
    """
    try:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return 0, 0
    held = (fields[name].split()[0] for name in ("RssAnon", "RssShmem", "VmPTE") if name in fields)
    return sum(1024 * int(size) for size in held), int(fields.get("Threads", 0))


def stored(pid: int, folder: Path, resources: Resources) -> int:
    """Return the bytes on the disk of all files that a process keeps, those without a name as well.

    Raises:
        Unreadable: a part of the folder cannot be read.
        TooMany: there are more files than a process may have.
    """
    found = {(entry.st_dev, entry.st_ino): entry.st_blocks * 512 for entry in _entries(folder, resources.entries)}
    with contextlib.suppress(OSError):
        handles = f"/proc/{pid}/fd"
        for name in os.listdir(handles):
            with contextlib.suppress(OSError):
                entry = os.stat(f"{handles}/{name}")
                if stat.S_ISREG(entry.st_mode):
                    found[entry.st_dev, entry.st_ino] = entry.st_blocks * 512
    return sum({**_mapped(pid, resources.file), **found}.values())


def _entries(folder: Path, most: int) -> Iterator[os.stat_result]:
    """Yield what is known of every file and folder beneath a folder; what has gone meanwhile is left out."""
    folders, count = [str(folder)], 0
    while folders:
        with _if_there(), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if count > most:
                    raise TooMany
                with _if_there():
                    found = os.lstat(entry.path)
                    if stat.S_ISDIR(found.st_mode):
                        folders.append(entry.path)
                    yield found


@contextlib.contextmanager
def _if_there() -> Iterator[None]:
    """Pass over a file or folder that has gone; Unreadable for any other error."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Unreadable from error


def _mapped(pid: int, largest: int) -> dict[tuple[int, int], int]:
    """Return the bytes of files that have no name any more and are mapped into memory, by device and inode.

    A mapping may be of a part. Where the kernel does not say how large the file is, it counts as the largest.
    """
    found = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if line.endswith("(deleted)"):
                span, _, _, device, inode, *_ = line.split()
                major, minor = (int(part, 16) for part in device.split(":"))
                key = os.makedev(major, minor), int(inode)
                try:
                    found[key] = os.stat(f"/proc/{pid}/map_files/{span}").st_blocks * 512
                except OSError:
                    found.setdefault(key, largest)
    return found
