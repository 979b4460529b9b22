"""A `.keras` archive, read as bytes: a ZIP of three plain members, and nothing else that a ZIP can be."""

import io
import itertools
import posixpath
import stat
import zipfile
import zlib

from leaderboard.submissions.checks.problems import Refused, short

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
MOST_MEMBERS = 16
MOST_BYTES = 300_000_000  # of all members unpacked: the 58 million weights of AlexNet are 233 MB
MOST_EXPANSION = 100  # times what is packed; weights hardly shrink, a bomb shrinks a thousandfold
FREE = 1_000_000  # bytes that may expand as they like
AGAIN = "Save it again with Keras 3: `model.save('model.keras')`."
ENCRYPTED = 0x1


def read(data: bytes) -> dict[str, bytes]:
    """Return the members of a Keras archive by name; Refused if it is anything but what Keras writes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check(entries, archive.comment)
            return {entry.filename: _member(archive, entry) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused("zip", "This is not a whole Keras archive.", AGAIN) from None


def _check(entries: list[zipfile.ZipInfo], comment: bytes) -> None:
    """Refuse by the directory alone, before any member is unpacked."""
    if len(entries) > MOST_MEMBERS:
        raise Refused("zip-members", f"The archive has {len(entries)} members; Keras writes 3.", AGAIN)
    if comment:
        raise Refused("zip-members", "The archive carries a comment, which Keras writes none of.", AGAIN)
    names = [entry.filename for entry in entries]
    for entry in entries:
        name, mode = entry.filename, entry.external_attr >> 16
        if "\\" in name or "\0" in entry.orig_filename or name.startswith("/") or name[1:2] == ":":
            raise Refused("zip-path", f"The archive has the member {short(name)}, an absolute path.", AGAIN)
        if ".." in name.split("/") or posixpath.normpath(name) != name.rstrip("/"):
            raise Refused("zip-path", f"The archive has the member {short(name)}, which leads out of it.", AGAIN)
        if stat.S_ISLNK(mode):
            raise Refused("zip-link", f"The archive has the member {short(name)}, a link to another file.", AGAIN)
        if names.count(name) > 1 or sum(other.lower() == name.lower() for other in names) > 1:
            raise Refused("zip-twice", f"The archive has the member {short(name)} twice.", AGAIN)
        if entry.flag_bits & ENCRYPTED:
            raise Refused("zip-encrypted", f"The member {short(name)} is encrypted.", AGAIN)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused("zip-method", f"The member {short(name)} is packed in an unusual way.", AGAIN)
        if name.startswith("assets"):
            what = f"The archive brings {short(name)}: files that a layer reads, such as a vocabulary."
            raise Refused("zip-assets", what, "Layers with files of their own cannot be sent.")
        if name not in MEMBERS:
            raise Refused(
                "zip-members", f"The archive has the member {short(name)}, which Keras writes none of.", AGAIN
            )
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        what = f"The archive unpacks to more than {MOST_BYTES / 1e6:.0f} MB."
        raise Refused("zip-bomb", what, "This board is for small networks: make it smaller.")
    for entry in entries:
        if entry.file_size > FREE + MOST_EXPANSION * entry.compress_size:
            what = f"The member {short(entry.filename)} unpacks to {entry.file_size / 1e6:.0f} MB from next to nothing."
            raise Refused("zip-bomb", what, AGAIN)
    spans = sorted((entry.header_offset, entry.compress_size) for entry in entries)
    if any(start + size > after for (start, size), (after, _) in itertools.pairwise(spans)):
        raise Refused("zip-bomb", "Members of the archive lie on top of each other.", AGAIN)
    if missing := [name for name in MEMBERS if name not in names]:
        raise Refused("zip-members", f"The archive lacks {' and '.join(missing)}.", AGAIN)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Unpack a member, as many bytes as its entry says and no more."""
    with archive.open(entry) as file:
        data = file.read(entry.file_size)
        if len(data) < entry.file_size or file.read(1):
            raise Refused("zip-bomb", f"The member {short(entry.filename)} has another size than it says.", AGAIN)
    return data


def pack(members: dict[str, bytes]) -> bytes:
    """Return an archive of these members: the same bytes for the same members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in MEMBERS:
            archive.writestr(zipfile.ZipInfo(name), members[name])
    return packed.getvalue()
