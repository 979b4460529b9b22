"""Files that a caller may name: those that this caller uploaded, and no other file of the server."""

import base64
import binascii
import io
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from zoo.errors import ZooError
from zoo.gate.callers import Caller

EVERYBODY = frozenset({"everybody"})  # whose the files are that the page itself offers
MOST_KNOWN = 100_000  # uploads that are remembered; the oldest are forgotten first


class NotYours(ZooError):
    """A file that the caller did not upload here."""

    def __init__(self) -> None:
        super().__init__(
            "A file is one that was uploaded to this Space by its sender, or a data URI; this is neither. "
            "Upload it first, and send what the upload returned."
        )


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


class Uploads:
    """Who uploaded what; thread-safe. A path counts only where the same caller uploaded it."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, paths: Iterable[object], caller: Caller | None) -> None:
        """Remember whose files are: a caller's, who uploaded them or was offered them, or everybody's (None).

        Two callers may have uploaded the same content.
        """
        marks = EVERYBODY if caller is None else caller.marks
        with self._lock:
            for path in paths:
                if isinstance(path, str):
                    self._owners[path] = self._owners.pop(path, frozenset()) | marks
            while len(self._owners) > MOST_KNOWN:
                self._owners.popitem(last=False)

    def check(self, path: object, caller: Caller) -> None:
        """Raise NotYours unless the caller uploaded this very path, or the page offers it."""
        with self._lock:
            owners = self._owners.get(path, frozenset()) if isinstance(path, str) else frozenset()
        if not owners & (caller.marks | EVERYBODY):
            raise NotYours()

    def opened(self, value: object, caller: Caller) -> Upload:
        """Return the file that a client means.

        Args:
            value: {"path": …} as an upload returned it, or "data:…;base64,…".
            caller: who says so.

        Raises:
            NotYours: another path, or a URL.
            ZooError: not base64.
        """
        if isinstance(value, dict) and not str(value.get("path") or "").startswith("data:"):
            self.check(value.get("path"), caller)
            path = Path(value["path"])
            name = value.get("orig_name")
            return Upload(name if isinstance(name, str) and name else path.name, path)
        text = value["path"] if isinstance(value, dict) else value
        if not isinstance(text, str) or not text.startswith("data:"):
            raise NotYours()
        try:
            return Upload("", base64.b64decode(text.partition(";base64,")[2], validate=True))
        except (binascii.Error, ValueError):
            raise ZooError('A file as text is "data:…;base64," and base64; this is not base64.') from None


UPLOADS = Uploads()
