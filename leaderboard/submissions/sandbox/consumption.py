"""What a sandboxed process consumes, seen from outside: memory, threads, and all that it keeps on the disk."""

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from zoo.processes.confinement import Resources

LOOKS = 50  # at a folder in which something is moved meanwhile
HIDDEN = 5.0  # seconds for which a process that ends may show no memory any more
DEEPEST = 100  # folders in folders
MEMORY = "RssAnon", "RssShmem", "VmPTE"  # what no file could give back, as the kernel calls it
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Unreadable(Exception):
    """Files or folders that cannot be read as a whole."""


class Hidden(Exception):
    """A process that goes on, though none of its threads shows its memory."""


class Moved(Exception):
    """A file, a folder or a thread is not where it was listed a moment ago."""


class TooMany(Exception):
    """More files, or deeper folders, than are counted."""


def reached(pid: int, resources: Resources, folder: Path | None = None) -> str:
    """Return which limit a process has passed, as the end of a sentence; "" if none.

    Args:
        pid: the process.
        resources: its limits.
        folder: its own folder, if that is to be looked at too.
    """
    try:
        for _ in range(LOOKS):  # an honest process does not move its files all the time
            if (shown := _shown(pid)) is None:
                return ""
            thread, status = shown
            if sum(1024 * int(status[name].split()[0]) for name in MEMORY) > resources.memory:
                return f"used more than {resources.memory / 1e9:.1f} GB of memory"
            if int(status["Threads"]) > resources.threads:
                return f"started more than {resources.threads:,} threads"
            if folder is None:
                return ""
            with contextlib.suppress(Moved):
                if stored(thread, folder, resources) > resources.folder:
                    return f"wrote more than {resources.folder / 1e9:.1f} GB"
                return ""
        raise Unreadable
    except Hidden:
        return "does not show how much memory it uses"
    except Unreadable:
        return "kept files or folders that cannot be read as a whole"
    except TooMany:
        return f"made more than {resources.entries:,} files"


def _shown(pid: int) -> tuple[int, dict[str, str]] | None:
    """Return a thread that shows the memory and the open files of a process, and its status; None if it has ended.

    All threads share them, but one that has ended shows nothing, and the first thread may end before the others.

    Raises:
        Hidden: no thread shows them.
    """
    deadline = time.monotonic() + HIDDEN
    while True:
        states = []
        for thread in _names(f"/proc/{pid}/task"):
            status = _status(thread)
            if MEMORY[0] in status:
                return int(thread), status
            states.append(status.get("State", "gone").split()[0])
        if set(states) <= {"Z", "X"}:
            return None
        if time.monotonic() > deadline:
            raise Hidden
        time.sleep(0.01)


def _status(thread: int | str) -> dict[str, str]:
    """Return what the kernel says of a thread; nothing where it has gone."""
    try:
        return dict(line.split(":", 1) for line in Path(f"/proc/{thread}/status").read_text().splitlines())
    except OSError:
        return {}


def stored(thread: int, folder: Path, resources: Resources) -> int:
    """Return the bytes on the disk of all files that the process of a thread keeps, those without a name as well.

    Raises:
        Moved: the thread has ended, or something in the folder was moved, meanwhile.
        Unreadable: a part of the folder cannot be read, or what the process holds open.
        TooMany: there are more files than a process may have.
    """
    found = dict(_entries(folder, resources.entries))
    for name in _names(f"/proc/{thread}/fd"):  # of all threads
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            entry = os.stat(f"/proc/{thread}/fd/{name}")
            if stat.S_ISREG(entry.st_mode):
                found[entry.st_dev, entry.st_ino] = entry.st_blocks * 512
    found = {**_mapped(thread, resources.file), **found}
    if MEMORY[0] not in _status(thread):
        raise Moved
    return sum(found.values())


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


def _mapped(thread: int, largest: int) -> dict[tuple[int, int], int]:
    """Return the bytes of files that have no name any more and are mapped into memory, by device and inode.

    A mapping may be of a part. Where the kernel does not say how large the file is, it counts as the largest.
    """
    found = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{thread}/maps").read_text().splitlines():
            if line.endswith("(deleted)"):
                span, _, _, device, inode, *_ = line.split()
                major, minor = (int(part, 16) for part in device.split(":"))
                key = os.makedev(major, minor), int(inode)
                try:
                    found[key] = os.stat(f"/proc/{thread}/map_files/{span}").st_blocks * 512
                except OSError:
                    found.setdefault(key, largest)
    return found
