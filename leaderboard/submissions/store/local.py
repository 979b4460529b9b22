"""Submissions in a folder of this machine, for any number of processes."""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from leaderboard.submissions import holdings
from leaderboard.submissions.lifecycle import FAILED, FINISHED, ID, WITHDRAWN, Submission, Transition
from leaderboard.submissions.locking import LONGEST, lock
from leaderboard.submissions.store.base import (
    Admit,
    Broken,
    Damaged,
    Listing,
    NoSuchSubmission,
    Store,
    StoreFailed,
    Unreadable,
    decode,
    describe,
    encode,
    is_request,
    next_version,
    now,
    numbered,
)
from zoo.errors import ZooError
from zoo.files import Elsewhere, check_own, remove, replacing
from zoo.regular_files import MOST_JSON, NotAFile, open_regular, read_bytes
from zoo.settings import number

OVER = (WITHDRAWN, FINISHED, FAILED)  # whose contents are removed first: the last may be tried again
MOST_OVER = 2000  # receipts without a row that are kept, since each look at the store looks at their folders
SETTLED = 2.0  # seconds after which a folder's date is taken to tell of every change before it
Found = Submission | Broken


class LocalStore(Store):
    """Submissions in a folder of this machine, for any number of processes."""

    lease = 120.0
    progress_every = 1.0
    announce_every = 10.0
    publish_every = None

    def __init__(self, root: Path):
        self.root = root
        self._read: dict[Path, tuple[tuple[int, int], Submission]] = {}  # by path: time of change and inode, content
        self._folders: dict[str, tuple[int, list[Found]]] = {}  # by user: time of change, what is there
        self._paths: dict[str, str] = {}  # below `requests`, by id, of those that were seen
        self._turn = threading.Lock()
        self._lock: int | None = None  # inode of the lock, by which the store is known again

    def listing(self) -> Listing:
        """Return everything that is there; only the folders of users where something changed are read again."""
        self._check_there()
        found: list[Found] = []
        try:
            with os.scandir(self.root / "requests") as folders:
                for folder in folders:
                    found += self._of_user(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StoreFailed(f"The store cannot be read ({describe(error)}). Try again later.") from error
        listing = Listing.of(found)
        found = [*reversed(listing.broken), *listing.submissions]
        self._paths = {one.id: one.path for one in found}
        return listing

    def _of_user(self, folder: os.DirEntry[str]) -> list[Found]:
        """Return what is in a user's folder; every write replaces a file there, which dates the folder."""
        try:
            changed = os.stat(folder.path).st_mtime_ns
            if folder.name in self._folders and self._folders[folder.name][0] == changed:
                return self._folders[folder.name][1]
            paths = [Path(folder.path, name) for name in os.listdir(folder.path) if is_request(name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            return [Broken.at(folder.name, error)]
        found: list[Found] = []
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                found.append(self._load(path))
        # A folder's date has ticks of some milliseconds: what changed just now may change again within one. Damaged
        # files are read again each time, since a repair need not date the folder.
        settled = time.time_ns() - changed > SETTLED * 1e9 and all(isinstance(one, Submission) for one in found)
        self._folders[folder.name] = changed if settled else -1, found
        return found

    def get(self, wanted: str) -> Submission:
        """Return a submission by its id."""
        found = self._load(self._path(wanted))
        if isinstance(found, Broken):
            raise Unreadable(wanted, found.reason)
        return found

    def add(self, submission: Submission, content: bytes | None, admit: Admit) -> Submission:
        """Keep a new submission and its content, or return the earlier one that `admit` names."""
        with self._locked():
            self._sweep()
            listing = self.listing()
            earlier = list(listing.submissions)
            if found := admit(listing):
                return found
            submission = numbered(submission, listing)
            if content is not None:
                sizes = self._tidied()
                holdings.check_share(submission, len(content), earlier, sizes, _most())
                promised = sum(holdings.expected_bytes(s) for s in (*earlier, submission) if s.open)
                self._make_room(len(content) + promised, earlier, sizes)
                self._write(self.root / "requests" / submission.file, content)
            self._write(self.root / "requests" / submission.path, encode(submission))
            for old in [s for s in earlier if s.status in (FAILED, WITHDRAWN) and not s.results][:-MOST_OVER]:
                self._remove(f"requests/{old.path}")
        return submission

    def change(self, wanted: str, transition: Transition) -> Submission:
        """Apply a transition under the lock."""
        with self._locked():
            path = self._path(wanted)
            try:
                before = decode(read_bytes(self._own(path), MOST_JSON), self._below_requests(path))
            except (OSError, ZooError) as error:
                self._folders.pop(path.parent.name, None)  # it was read well before
                raise Unreadable(wanted, Broken.at("", error).reason) from error
            after = next_version(before, transition)
            if after is not before and after != before:
                self._write(path, encode(after))
            return after

    def keep_results(self, folder: str, files: dict[str, bytes]) -> None:
        """Keep the files of a measurement."""
        with self._locked():
            self._make_room(sum(map(len, files.values())), self.all(), self._tidied())
        for name, content in files.items():
            self._write(self.root / "results" / folder / name, content)

    def result(self, folder: str, name: str) -> bytes:
        """Return one file of a measurement."""
        return self._bytes(self.root / "results" / folder / name, f"The result {name}")

    @property
    def usage(self) -> Path:
        """Where this machine counts who asks how often; StoreFailed where the store is gone."""
        self._check_there()
        return self.root / "usage.sqlite3"

    def _content(self, submission: Submission) -> bytes:
        return self._bytes(self.root / "requests" / submission.file, f"The content of {submission.id}")

    def _announce(self) -> None:
        path = self.root / "worker-seen"
        self._check_there()
        with _said():
            self.root.mkdir(parents=True, exist_ok=True)
            with os.fdopen(open_regular(path, os.O_RDWR | os.O_CREAT), "rb") as file:
                os.utime(file.fileno(), (now(), now()))

    def _last_announced(self) -> float | None:
        try:
            return (self.root / "worker-seen").stat().st_mtime
        except OSError:
            return None

    def _path(self, wanted: str) -> Path:
        if not ID.fullmatch(wanted):
            raise NoSuchSubmission(wanted)
        for look in (lambda: None, self.listing):  # the listing reads the folders alone where something changed
            look()
            path = self.root / "requests" / self._paths.get(wanted, "")
            if wanted in self._paths and os.path.lexists(path):  # also a link to nothing, which is said to be damaged
                return path
        raise NoSuchSubmission(wanted)

    def _own(self, path: Path) -> Path:
        """Return a path of the store; OSError where a link in it leads elsewhere."""
        return check_own(path, self.root)

    def _below_requests(self, path: Path) -> str:
        return path.relative_to(self.root / "requests").as_posix()

    def _load(self, path: Path) -> Found:
        """Return what a file holds, or why it cannot be read; FileNotFoundError if it is gone."""
        try:
            stat = path.stat()
            state = stat.st_mtime_ns, stat.st_ino  # every write is another file
            if path not in self._read or self._read[path][0] != state:
                self._read[path] = state, decode(read_bytes(self._own(path), MOST_JSON), self._below_requests(path))
            return self._read[path][1]
        except FileNotFoundError:
            raise
        except (OSError, ZooError) as error:
            return Broken.at(self._below_requests(path), error)

    def _bytes(self, path: Path, what: str) -> bytes:
        try:
            return read_bytes(self._own(path))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, NotAFile, Elsewhere) as error:
            self._check_there()
            raise Damaged(f"{what} is missing in the store.") from error
        except OSError as error:
            raise StoreFailed(f"{what} cannot be read from the store now ({describe(error)}).") from error

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file that is whole or not there, and outlives a crash of the machine."""
        with _said(), replacing(self._own(path)) as staged, staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def tidy(self) -> None:
        """Remove what no receipt needs any more."""
        with self._locked():
            self._tidied()

    def _tidied(self) -> dict[str, int]:
        """Remove the same, and return the bytes of every file that is left, by its path below the store."""
        listing, sizes = self.listing(), self._sizes()
        needed = holdings.Needed(listing.submissions, [broken.path for broken in listing.broken])
        for path in list(sizes):
            kind, _, rest = path.partition("/")
            folder, _, name = rest.rpartition("/")
            of_result = kind == "results" and folder and not needed.result(folder, name)
            if of_result or (kind == "requests" and not needed.content(rest)):
                self._remove(path)
                del sizes[path]
        return sizes

    def _sizes(self) -> dict[str, int]:
        """Return the bytes of every file, by its path below the store."""
        sizes: dict[str, int] = {}
        for folder, _, names in os.walk(self.root):
            below = os.path.relpath(folder, self.root)
            for name in names:
                with contextlib.suppress(OSError):
                    sizes[os.path.normpath(os.path.join(below, name))] = os.lstat(os.path.join(folder, name)).st_size
        return sizes

    def _make_room(self, size: int, submissions: list[Submission], sizes: dict[str, int]) -> None:
        """Remove the contents of submissions that are over, the oldest first, where the store would grow too large.

        Raises:
            StoreFailed: what is left is too large all the same.
        """
        used = sum(sizes.values()) + size
        needed = {s.file for s in submissions if s.open}
        over = sorted((s for s in submissions if not s.open), key=lambda s: OVER.index(s.status))
        for file in dict.fromkeys(s.file for s in over if s.file not in needed):
            if used <= _most():
                return
            if (path := f"requests/{file}") in sizes:
                self._remove(path)
                used -= sizes[path]
        if used > _most():
            raise StoreFailed(f"Nothing was kept: the store holds {_most() / 1e9:.0f} GB, the most that it may.")

    def _remove(self, path: str) -> None:
        """Remove a file, by its path below the store, and the folders of results that are empty then."""
        with _said():
            remove(self._own(self.root / path))
        with contextlib.suppress(OSError):
            for folder in list(Path(path).parents)[:-2]:
                (self.root / folder).rmdir()

    def _sweep(self) -> None:
        """Remove what a killed process left half-written: nobody else writes requests while the lock is held."""
        for staging in self.root.glob("requests/*/.*-*"):
            with contextlib.suppress(OSError):
                shutil.rmtree(self._own(staging), ignore_errors=True)

    def _check_there(self) -> None:
        """Raise StoreFailed where the store that was there before is not: its disk may have been taken away.

        An empty one in its place would take what is sent meanwhile, and names that are taken.
        """
        known, found = self._lock, None  # before the look: another thread may make the store meanwhile
        with contextlib.suppress(OSError):
            found = (self.root / ".lock").stat().st_ino
        if known is not None and found != known:
            raise StoreFailed("The store is not where it was: its disk may have been taken away. Try again later.")
        self._lock = found or self._lock

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store's lock; threads of this process take turns, so that each waits no longer than the others."""
        self._check_there()
        if not self._turn.acquire(timeout=LONGEST):
            raise StoreFailed("The store is busy. Try again later.")
        try:
            with contextlib.ExitStack() as held:
                with _said():
                    file = held.enter_context(lock(self.root))
                    self._lock = os.fstat(file.fileno()).st_ino
                yield
        finally:
            self._turn.release()


def _most() -> int:
    """Return the bytes that a store may take."""
    return number("ZOO_SUBMISSIONS_GB") * 10**9


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Turn an error of the disk into StoreFailed."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"Nothing was kept: the store cannot be written ({describe(error)}). Try again.") from error
