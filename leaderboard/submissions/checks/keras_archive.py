"""Read a `.keras` archive as bytes: only a simple ZIP with three regular members is accepted."""

import io
import itertools
import posixpath
import stat
import struct
import zipfile
import zlib
from collections import Counter

from zoo.strict.problems import Refused, short

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
MOST_MEMBERS = 16
LARGEST_DIRECTORY = 16_384  # bytes; three entries take about 200
MOST_BYTES = 100_000_000  # total unpacked size: a file may have 50 MB, and weights hardly compress
MOST_EXPANSION = 100  # times the packed size; weights hardly compress, a bomb expands a thousandfold
FREE = 1_000_000  # bytes that may expand without limit
AGAIN = "Save it again with Keras 3: `model.save('model.keras')`."
ENCRYPTED = 0x1
END, END_64 = b"PK\x05\x06", b"PK\x06\x07"  # end of central directory, and the locator of its ZIP64 variant
END_SIZE, END_64_SIZE = 22, 20  # bytes


def read_members(data: bytes) -> dict[str, bytes]:
    """Return the members of a Keras archive by name; raise Refused if it differs from what Keras writes."""
    _check_end(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            for entry in entries:
                _check_name(entry)
            for name, count in Counter(name.lower() for name in names).items():
                if count > 1:
                    raise Refused("zip-twice", f"The archive has the member {short(name)} twice.", AGAIN)
            for entry in entries:
                _check_kind(entry)
            _check_sizes(entries)
            if missing := [name for name in MEMBERS if name not in names]:
                raise Refused("zip-members", f"The archive lacks {' and '.join(missing)}.", AGAIN)
            return {entry.filename: _member(archive, entry) for entry in entries}
    except Refused:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError, OverflowError,
            struct.error):  # fmt: skip
        raise Refused("zip", "This is not a complete Keras archive.", AGAIN) from None


def _check_end(data: bytes) -> None:
    """Check the end of the archive before its directory is read: `zipfile` reads a directory of any size."""
    end = data[-END_SIZE:]
    if end[:4] != END:
        if (place := data.rfind(END, -END_SIZE - 2**16)) >= 0 and len(data) - place > END_SIZE:
            raise Refused("zip-members", "The archive has a comment or data after its end.", AGAIN)
        raise Refused("zip", "This is not a complete Keras archive.", AGAIN)
    if data[-END_SIZE - END_64_SIZE : -END_SIZE][:4] == END_64:
        raise Refused("zip", "The archive is in the ZIP64 format, which Keras does not write.", AGAIN)
    count, directory, _, comment = struct.unpack_from("<HIIH", end, 10)
    if count > MOST_MEMBERS or directory > LARGEST_DIRECTORY:
        raise Refused("zip-members", f"The archive has {count} members; Keras writes 3.", AGAIN)
    if comment:
        raise Refused("zip", "This is not a complete Keras archive.", AGAIN)


def _check_name(entry: zipfile.ZipInfo) -> None:
    """Reject a member whose path leaves the archive."""
    name = entry.filename
    if "\\" in name or "\0" in entry.orig_filename or name.startswith("/") or name[1:2] == ":":
        raise Refused("zip-path", f"The archive has the member {short(name)}, an absolute path.", AGAIN)
    if ".." in name.split("/") or posixpath.normpath(name) != name.rstrip("/"):
        raise Refused("zip-path", f"The archive has the member {short(name)}, which leads out of it.", AGAIN)
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise Refused("zip-link", f"The archive has the member {short(name)}, a link to another file.", AGAIN)


def _check_kind(entry: zipfile.ZipInfo) -> None:
    """Reject a member that is packed in an unusual way or that Keras does not write."""
    name = entry.filename
    if entry.flag_bits & ENCRYPTED:
        raise Refused("zip-encrypted", f"The member {short(name)} is encrypted.", AGAIN)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("zip-method", f"The member {short(name)} is packed in an unusual way.", AGAIN)
    if name.startswith("assets"):
        what = f"The archive has {short(name)}: a file that a layer reads, such as a vocabulary."
        raise Refused("zip-assets", what, "Layers with files of their own cannot be sent.")
    if name not in MEMBERS:
        raise Refused("zip-members", f"The archive has the member {short(name)}, which Keras does not write.", AGAIN)


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    """Reject members that expand too much or overlap, according to the directory."""
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        what = f"The archive unpacks to more than {MOST_BYTES / 1e6:.0f} MB."
        raise Refused("zip-bomb", what, "This board is for small networks: make it smaller.")
    for entry in entries:
        if entry.file_size > FREE + MOST_EXPANSION * entry.compress_size:
            what = f"The member {short(entry.filename)} expands {MOST_EXPANSION} times, to {entry.file_size:,} bytes."
            raise Refused("zip-bomb", what, AGAIN)
    spans = sorted((entry.header_offset, entry.compress_size) for entry in entries)
    if any(start + size > after for (start, size), (after, _) in itertools.pairwise(spans)):
        raise Refused("zip-bomb", "Members of the archive overlap.", AGAIN)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return the unpacked member; its size must be that of its entry."""
    with archive.open(entry) as file:
        data = file.read(entry.file_size)
        if len(data) < entry.file_size or file.read(1):
            raise Refused("zip-bomb", f"The member {short(entry.filename)} does not have the size of its entry.", AGAIN)
    return data


def pack(members: dict[str, bytes]) -> bytes:
    """Return an archive of these members; the same members give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in MEMBERS:
            archive.writestr(zipfile.ZipInfo(name), members[name])
    return packed.getvalue()
