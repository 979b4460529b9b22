"""Files that a caller may name: those that this caller uploaded, and no other file of the server.

How many there are and how much of the disk they take is counted in memory, and each is deleted after `KEPT`.
"""

import base64
import binascii
import contextlib
import io
import os
import shutil
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from zoo.errors import ZooError
from zoo.gate import limits, traffic
from zoo.gate.callers import Caller

KEPT = 3600.0  # seconds after which a file is deleted
MOST_FILES, MOST_FILES_EACH = 20_000, 500  # that are kept, of all addresses and of one
MOST_STORED, MOST_STORED_EACH = 5_000_000_000, 1_000_000_000  # bytes of the disk that they take
LEAST_FREE = 1_000_000_000  # bytes that stay free on the disk
HEAD = 300  # characters of a data URI before its base64
FOLDER = 4096  # bytes of the disk that a file's own folder takes


class NotYours(ZooError):
    """A file that the caller did not upload here."""

    def __init__(self) -> None:
        super().__init__(
            "A file is one that was uploaded to this Space by its sender, or a data URI; this is neither. "
            "Upload it first, and send what the upload returned."
        )


def is_data(text: object) -> bool:
    """Return whether a text is a file itself, "data:…;base64,…", and to nobody a path: base64 has no dots.

    Gradio takes whatever it is given for a path, `..` in it too.
    """
    if not isinstance(text, str) or not text.isascii() or not text.startswith("data:"):
        return False
    comma = text.find(",", 0, HEAD)
    head = text[: max(comma, 0)]
    return head.endswith(";base64") and ".." not in head and "." not in text[comma:]


@dataclass(frozen=True)
class Upload:
    """A file that a caller sent: uploaded before, or within the call.

    name: as its sender calls it; may be empty.
    source: a path of this server that the gate vouches for, or its bytes.
    """

    name: str
    source: Path | bytes = field(repr=False)

    def read(self) -> bytes:
        """Return the bytes; ZooError if the upload is gone."""
        if isinstance(self.source, bytes):
            return self.source
        try:
            if self.source.is_symlink():
                raise NotYours()
            return self.source.read_bytes()
        except OSError:
            raise ZooError("This upload is gone: uploads are kept for an hour. Upload it again.") from None

    def open(self) -> io.BytesIO:
        """Return the bytes as an open file."""
        return io.BytesIO(self.read())


@dataclass
class _File:
    """A file that is kept: the marks of its owners by their network, its size on the disk in bytes, and since when."""

    owners: dict[str, frozenset[str]]
    size: int
    at: float


class Uploads:
    """Who uploaded what, how much, and until when; thread-safe. A path counts only where the same caller uploaded it.

    folder: where uploads are stored; files elsewhere are never deleted.
    clock: seconds from anywhere; it is never set, as the time of day may be.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder: Path | None = None
        self._clock = clock
        self._of_page: set[str] = set()  # files that the page offers to everybody; they are not counted and stay
        self._files: OrderedDict[str, _File] = OrderedDict()  # the oldest first
        self._of: dict[str, OrderedDict[str, None]] = {}  # by network, the oldest first
        self._bytes: Counter[str] = Counter()  # by network; a file of several counts for each
        self._stored = 0
        self._lock = threading.Lock()

    def keep_in(self, folder: Path) -> None:
        """Store uploads in a folder; what is there already belongs to nobody and is deleted when it is old enough."""
        self.folder = folder
        found, now, today = [], self._clock(), time.time()
        for place, _, names in os.walk(folder):
            for path in (Path(place, name) for name in names):
                with contextlib.suppress(OSError):
                    found.append((now - max(0.0, today - path.lstat().st_mtime), str(path)))
        with self._lock:
            for at, left in sorted(found):
                if left not in self._of_page:
                    self._add(left, "", frozenset(), at)

    def note(self, paths: Iterable[object], caller: Caller | None) -> None:
        """Remember whose files are: a caller's, who uploaded them or was offered them, or everybody's (None).

        Two callers may have uploaded the same content. An address that holds more than its share forgets its own
        oldest file, never another's.
        """
        with self._lock:
            for path in paths:
                if not isinstance(path, str) or path in self._of_page:
                    continue
                if caller is None:
                    self._forget(path)
                    self._of_page.add(path)
                    continue
                self._add(path, caller.network, caller.marks, self._clock())
                if len(self._of[caller.network]) > MOST_FILES_EACH * caller.share:
                    self._disown(next(iter(self._of[caller.network])), caller.network)
                if len(self._files) > MOST_FILES:
                    most = max(self._of, key=lambda network: len(self._of[network]))
                    self._disown(next(iter(self._of[most])), most)

    def check(self, path: object, caller: Caller) -> None:
        """Raise NotYours unless the caller uploaded this very path, or the page offers it."""
        with self._lock:
            if isinstance(path, str) and path in self._of_page:
                return
            known = self._files.get(path) if isinstance(path, str) else None
            if known is None or not any(marks & caller.marks for marks in known.owners.values()):
                raise NotYours()

    def check_room(self, caller: Caller) -> None:
        """Delete files that are older than `KEPT`, then check whether a caller may upload more.

        Raises:
            TooMany: the caller's address has `MOST_FILES_EACH` files, or they take `MOST_STORED_EACH`, or more than its
                share of what others leave.
            ZooError: the files of all take `MOST_STORED`, or are `MOST_FILES`, or the disk is nearly full.
        """
        with self._lock:
            now = self._clock()
            for path, known in list(self._old(now)):
                for network in list(known.owners):
                    self._disown(path, network)
            each, size = len(self._of.get(caller.network, ())), self._bytes[caller.network]
            full = len(self._files) >= MOST_FILES or self._stored >= MOST_STORED
            files, stored = int(MOST_FILES_EACH * caller.share), int(MOST_STORED_EACH * caller.share)
            files = min(files, max(1, int(traffic.left_for_one(MOST_FILES, len(self._files) - each))))
            stored = min(stored, int(traffic.left_for_one(MOST_STORED, self._stored - size)))
        if not full and (each >= files or size >= stored):
            raise limits.TooMany(
                f"Your address has {each:,} files here with {size // 10**6:,} MB. At most {files} files and "
                f"{stored // 10**6:,} MB are kept for an address now, for an hour: try again later.",
                60.0,
            )
        if full or (self.folder and self.folder.exists() and shutil.disk_usage(self.folder).free < LEAST_FREE):
            raise ZooError("There is no room for more uploads now: they are deleted after an hour. Try again later.")

    def opened(self, value: object, caller: Caller) -> Upload:
        """Return the file that a client means.

        Args:
            value: {"path": …} as an upload returned it, or "data:…;base64,…".
            caller: who says so.

        Raises:
            NotYours: another path, or a URL.
            ZooError: not base64.
        """
        if isinstance(value, dict) and not is_data(value.get("path")):
            self.check(value.get("path"), caller)
            path = Path(value["path"])
            name = value.get("orig_name")
            return Upload(name if isinstance(name, str) and name else path.name, path)
        text = value["path"] if isinstance(value, dict) else value
        if not isinstance(text, str) or not is_data(text):
            raise NotYours()
        try:
            return Upload("", base64.b64decode(text.partition(";base64,")[2], validate=True))
        except (binascii.Error, ValueError):
            raise ZooError('A file as text is "data:…;base64," and base64; this is not base64.') from None

    # --- the account; the lock is held -----------------------------------------------------------

    def _old(self, now: float) -> Iterable[tuple[str, _File]]:
        for path, known in self._files.items():
            if now - known.at <= KEPT:
                return
            yield path, known

    def _add(self, path: str, network: str, marks: frozenset[str], at: float) -> None:
        owners = dict(known.owners) if (known := self._files.get(path)) else {}
        owners.pop("", None)  # it was there when the server started; now it has an owner
        owners[network] = owners.get(network, frozenset()) | marks
        self._forget(path)
        size = _size_on_disk(path)
        self._files[path] = _File(owners, size, at)
        self._stored += size
        for owner in owners:
            self._of.setdefault(owner, OrderedDict())[path] = None
            self._bytes[owner] += size

    def _forget(self, path: str) -> None:
        """Take a file out of the account; it stays on the disk."""
        known = self._files.pop(path, None)
        if known is None:
            return
        self._stored -= known.size
        for owner in known.owners:
            self._bytes[owner] -= known.size
            del self._of[owner][path]
            if not self._of[owner]:
                del self._of[owner], self._bytes[owner]

    def _disown(self, path: str, network: str) -> None:
        """Take a file from an address, and delete it where it was nobody else's."""
        known = self._files[path]
        self._forget(path)
        owners = {owner: marks for owner, marks in known.owners.items() if owner != network}
        for owner, marks in owners.items():
            self._add(path, owner, marks, known.at)
        if owners:
            self._files.move_to_end(path, last=False)
        elif self.folder in Path(path).parents:
            with contextlib.suppress(OSError):  # another process may delete it first
                os.unlink(path)
            with contextlib.suppress(OSError):  # not empty
                if Path(path).parent != self.folder:
                    os.rmdir(Path(path).parent)


def _size_on_disk(path: str) -> int:
    """Return the bytes that a file and its folder take, 0 for one that is not there."""
    try:
        return os.lstat(path).st_blocks * 512 + FOLDER
    except OSError:
        return 0


UPLOADS = Uploads()
