"""What a sandboxed process consumes, seen from outside: memory, threads, and all that it keeps on the disk."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from zoo.processes.confinement import Resources

LOOKS = 50  # at a folder in which something is moved meanwhile
DEEPEST = 100  # folders in folders
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Unreadable(Exception):
    """Files or folders that cannot be read as a whole."""


class Moved(Exception):
    """A file or folder is not where it was listed a moment ago."""


class TooMany(Exception):
    """More files, or deeper folders, than are counted."""


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
        return "kept files or folders that cannot be read as a whole"
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
        Unreadable: a part of the folder cannot be read, or what the process holds open.
        TooMany: there are more files than a process may have.
    """
    for attempt in range(1, LOOKS + 1):
        try:
            found = dict(_entries(folder, resources.entries))
            break
        except Moved as error:
            if attempt == LOOKS:  # an honest process does not move its files all the time
                raise Unreadable from error
    for task in _names(f"/proc/{pid}/task"):  # threads may have open files of their own
        for name in _names(f"/proc/{pid}/task/{task}/fd"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                entry = os.stat(f"/proc/{pid}/task/{task}/fd/{name}")
                if stat.S_ISREG(entry.st_mode):
                    found[entry.st_dev, entry.st_ino] = entry.st_blocks * 512
    return sum({**_mapped(pid, resources.file), **found}.values())


def _names(folder: str) -> list[str]:
    """Return the names in a folder of /proc, none where the process has gone; Unreadable where it hides them."""
    try:
        return os.listdir(folder)
    except PermissionError as error:
        raise Unreadable from error
    except OSError:
        return []


def _entries(folder: Path, most: int) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield device and inode, and the bytes on the disk, of every file and folder beneath a folder.

    A folder is entered from the one that holds it, which stays open, so it does not matter where that one is moved.

    Raises:
        Moved: something has gone since it was listed.
    """
    count = 0
    with contextlib.ExitStack() as opened:

        def listed(handle: int) -> Iterator[os.DirEntry[str]]:
            opened.callback(os.close, handle)
            return iter(opened.enter_context(os.scandir(handle)))

        try:
            here = os.open(folder, FOLDER)
            levels = [(here, listed(here))]
            while levels:
                here, entries = levels[-1]
                if (entry := next(entries, None)) is None:
                    levels.pop()
                    continue
                count += 1
                if count > most or len(levels) > DEEPEST:
                    raise TooMany
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    inner = os.open(entry.name, FOLDER, dir_fd=here)
                    levels.append((inner, listed(inner)))
                yield (found.st_dev, found.st_ino), found.st_blocks * 512
        except FileNotFoundError as error:
            raise Moved from error
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
