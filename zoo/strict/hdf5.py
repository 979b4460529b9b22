"""Read HDF5 weights as bytes: only the simple layout that Keras writes.

HDF5 has external links, external storage, virtual datasets, filters and shared messages, and its library has had bugs
in reading each of them. Keras uses none of them: its files are symbol-table groups of contiguous datasets (superblock
version 0). This reader supports only these, and rejects everything else by name before the library sees the file.

The time is linear in the size of the file. Parts of a file from Keras do not overlap, so their total size is at most
the file size: a file that exceeds it is rejected immediately.

Source: the HDF5 file format specification, versions 1.1 to 3.0 (The HDF Group).
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.strict.problems import Refused, short

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1
MOST_OBJECTS = 4000
MOST_MESSAGES = 80_000  # of all object headers; Keras writes five per dataset
DEEPEST = 30  # groups within groups
LONGEST_NAME = 200  # bytes
AGAIN = "Save it again with Keras 3: `model.save('model.keras')`."
FEATURES = {  # header messages that Keras does not write
    0x02: ("hdf5-link", "a group of the newer kind, which can hold links to other files"),
    0x06: ("hdf5-link", "a link message, as links to other files are"),
    0x07: ("hdf5-external", "a dataset in another file"),
    0x0A: ("hdf5-link", "a group of the newer kind, which can hold links to other files"),
    0x0B: ("hdf5-filter", "a compressed dataset"),
    0x0F: ("hdf5-shared", "shared messages"),
}
HARMLESS = {0x00, 0x04, 0x05, 0x0C, 0x0D, 0x12, 0x13, 0x15, 0x16, 0x0E}  # padding, fill values, attributes, dates


@dataclass(frozen=True)
class Weight:
    """One dataset: its position in the file, type and shape."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int  # bytes

    @property
    def counts(self) -> bool:
        """Whether it holds parameters, not the state of an optimizer or of a random generator."""
        return self.dtype.kind == "f" and not self.path.startswith("/optimizer/") and "seed_generator" not in self.path

    def values(self, data: bytes) -> np.ndarray:
        """Return the values, a view of the bytes of the file."""
        return np.frombuffer(data, self.dtype, math.prod(self.shape), self.offset).reshape(self.shape)


def read_weights(data: bytes) -> list[Weight]:
    """Return every dataset of a file; raise Refused if Keras did not write it in this layout."""
    try:
        return _Reader(data).weights()
    except Refused:
        raise
    except (struct.error, IndexError, ValueError, OverflowError):
        raise Refused("hdf5", "The weights are not a complete HDF5 file.", AGAIN) from None


def rewrite(data: bytes, target: Path) -> None:
    """Copy the datasets of a file into a new one, and nothing else: damaged files have crashed the HDF5 library.

    Args:
        data: the file's bytes.
        target: the file to write.

    Raises:
        Refused: Keras did not write it in this layout.
    """
    import h5py

    weights = read_weights(data)
    try:
        with h5py.File(target, "w") as file:
            for weight in weights:
                file[weight.path] = weight.values(data)
    except (ValueError, OSError, RuntimeError):  # HDF5 has one error for all that is wrong
        raise Refused("hdf5", "A name is twice in the weights.", AGAIN) from None


def check_parameters(data: bytes, parameters: int) -> None:
    """Reject weights that are not finite, or that are not as many as a configuration has."""
    weights = [weight.values(data) for weight in read_weights(data) if weight.counts]
    if not all(np.isfinite(values).all() for values in weights):
        raise Refused("nan", "The weights hold NaN or infinity.", "Train with a lower learning rate.")
    found = sum(values.size for values in weights)
    if found != parameters:
        what = f"The configuration has {parameters:,} parameters, the weights {found:,}: they do not match."
        raise Refused("weights", what, "Save it again with `model.save('model.keras')`.")


class _Reader:
    def __init__(self, data: bytes):
        self.data = memoryview(data)  # slices are views: nothing is copied
        self.seen: set[int] = set()
        self.found: list[Weight] = []
        self.taken = 0  # bytes of all parts that were read
        self.messages = 0

    def weights(self) -> list[Weight]:
        data = self.data
        if data[:8] != SIGNATURE:
            raise Refused("hdf5", "The weights are not an HDF5 file.", AGAIN)
        if data[8] != 0 or data[13] != 8 or data[14] != 8:
            raise Refused("hdf5-version", f"The weights are HDF5 of version {data[8]} of its layout, not 0.", AGAIN)
        base, _, end, driver = struct.unpack_from("<4Q", data, 24)
        if base != 0 or driver != UNDEFINED:
            raise Refused("hdf5-external", "The weights are spread over several files.", AGAIN)
        if end > len(data):
            raise Refused("hdf5", "The weights end in the middle.", AGAIN)
        self._object(struct.unpack_from("<Q", data, 64)[0], "", 0)
        return self.found

    def _take(self, offset: int, size: int) -> memoryview:
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise Refused("hdf5", "A part of the weights is outside the file.", AGAIN)
        self.taken += size
        if self.taken > len(self.data):
            raise Refused("hdf5-overlap", "Parts of the weights overlap.", AGAIN)
        return self.data[offset : offset + size]

    def _visit(self, address: int) -> None:
        if address in self.seen:
            raise Refused("hdf5-loop", "A part of the weights is linked twice.", AGAIN)
        self.seen.add(address)
        if len(self.seen) > MOST_OBJECTS:
            raise Refused("hdf5-size", f"The weights have more than {MOST_OBJECTS} parts.", "Send a smaller model.")

    def _object(self, address: int, path: str, depth: int) -> None:
        """Read a group or a dataset by its header."""
        if depth > DEEPEST:
            raise Refused("hdf5-size", "The weights are nested too deep.", AGAIN)
        self._visit(address)
        messages = self._messages(address)
        for kind in messages:
            if kind in FEATURES:
                code, what = FEATURES[kind]
                raise Refused(code, f"The weights hold {what} ({short(path or '/')}).", AGAIN)
            if kind not in HARMLESS and kind not in (0x01, 0x03, 0x08, 0x11):
                raise Refused("hdf5", f"The weights hold a message of the kind {kind}.", AGAIN)
        if 0x11 in messages:
            tree, heap = struct.unpack_from("<2Q", messages[0x11][0], 0)
            self._tree(tree, self._heap(heap), path, depth)
        elif {0x01, 0x03, 0x08} <= messages.keys():
            self._dataset(messages, path)
        else:
            raise Refused("hdf5", f"{short(path)} in the weights is neither a group nor a dataset.", AGAIN)

    def _messages(self, address: int) -> dict[int, list[memoryview]]:
        head = self._take(address, 16)
        version, count, size = head[0], *struct.unpack_from("<H4xI", head, 2)
        if version != 1:
            raise Refused("hdf5-version", "The weights have object headers of the newer kind.", AGAIN)
        self.messages += count
        if self.messages > MOST_MESSAGES:
            raise Refused("hdf5-size", f"The weights have more than {MOST_MESSAGES:,} messages.", AGAIN)
        found: dict[int, list[memoryview]] = {}
        blocks, read = [(address + 16, size)], 0
        while blocks and read < count:
            start, length = blocks.pop(0)
            block, place = self._take(start, length), 0
            while place + 8 <= len(block) and read < count:
                kind, size, flags = struct.unpack_from("<HHB", block, place)
                body = block[place + 8 : place + 8 + size]
                if len(body) < size:
                    raise Refused("hdf5", "A message of the weights is cut off.", AGAIN)
                if flags & 0x02:
                    raise Refused("hdf5-shared", "The weights hold shared messages.", AGAIN)
                if kind == 0x10:
                    target = struct.unpack_from("<2Q", body, 0)
                    self._visit(target[0])
                    blocks.append(target)
                else:
                    found.setdefault(kind, []).append(body)
                place, read = place + 8 + size, read + 1
        return found

    def _heap(self, address: int) -> memoryview:
        head = self._take(address, 32)
        if bytes(head[:4]) != b"HEAP" or head[4] != 0:
            raise Refused("hdf5", "The names in the weights cannot be read.", AGAIN)
        size, _, start = struct.unpack_from("<3Q", head, 8)
        return self._take(start, size)

    def _tree(self, address: int, names: memoryview, path: str, depth: int, below: int | None = None) -> None:
        """Read a B-tree of symbol-table nodes; `below` is the level that its parent expects."""
        self._visit(address)
        head = self._take(address, 24)
        kind, level, used = struct.unpack_from("<BBH", head, 4)
        if bytes(head[:4]) != b"TREE" or kind != 0 or level > 4 or below not in (None, level):
            raise Refused("hdf5", "A group of the weights cannot be read.", AGAIN)
        children = struct.unpack(f"<{2 * used}Q", self._take(address + 24, 16 * used))[1::2]
        for child in children:
            if level:
                self._tree(child, names, path, depth, level - 1)
            else:
                self._node(child, names, path, depth)

    def _node(self, address: int, names: memoryview, path: str, depth: int) -> None:
        self._visit(address)
        head = self._take(address, 8)
        (count,) = struct.unpack_from("<H", head, 6)
        if bytes(head[:4]) != b"SNOD":
            raise Refused("hdf5", "A group of the weights cannot be read.", AGAIN)
        entries = self._take(address + 8, 40 * count)
        for start in range(0, len(entries), 40):
            name_at, header, cached = struct.unpack_from("<QQI", entries, start)
            name, end, _ = bytes(names[name_at : name_at + LONGEST_NAME + 1]).partition(b"\0")
            if not end:
                raise Refused("hdf5", f"A name in the weights is longer than {LONGEST_NAME} bytes.", AGAIN)
            if name in (b"", b".") or b"/" in name:
                raise Refused("hdf5", "A name in the weights is none.", AGAIN)
            inside = f"{path}/{name.decode()}"
            if cached == 2:
                raise Refused("hdf5-link", f"{short(inside)} in the weights is a symbolic link.", AGAIN)
            if cached not in (0, 1):
                raise Refused("hdf5", f"{short(inside)} in the weights is of an unknown kind.", AGAIN)
            self._object(header, inside, depth + 1)

    def _dataset(self, messages: dict[int, list[memoryview]], path: str) -> None:
        shape, dtype = _shape(messages[0x01][0]), _dtype(messages[0x03][0], path)
        layout = messages[0x08][0]
        if layout[0] == 4 or (layout[0] == 3 and layout[1] == 3):
            raise Refused("hdf5-virtual", f"{short(path)} in the weights is virtual: it is in other files.", AGAIN)
        if layout[0] != 3 or layout[1] not in (0, 1):
            raise Refused("hdf5-filter", f"{short(path)} in the weights is stored in pieces.", AGAIN)
        size = math.prod(shape) * dtype.itemsize
        if layout[1] == 1:
            offset, stored = struct.unpack_from("<2Q", layout, 2)
        else:
            raise Refused("hdf5-filter", f"{short(path)} in the weights is stored within its header.", AGAIN)
        if offset == UNDEFINED and size == 0:
            offset = 0
        if stored < size or size > len(self.data):
            what = f"{short(path)} in the weights claims {size:,} bytes, more than there are."
            raise Refused("hdf5-size", what, AGAIN)
        self._take(offset, size)
        self.found.append(Weight(path, shape, dtype, offset))


def _shape(message: memoryview) -> tuple[int, ...]:
    version, rank = message[0], message[1]
    if version not in (1, 2) or rank > 8:
        raise Refused("hdf5", "A shape in the weights cannot be read.", AGAIN)
    return struct.unpack_from(f"<{rank}Q", message, 8 if version == 1 else 4)


def _dtype(message: memoryview, path: str) -> np.dtype:
    kind, order, size = message[0] & 0x0F, message[1] & 0x01, struct.unpack_from("<I", message, 4)[0]
    names = {(1, 2): "<f2", (1, 4): "<f4", (1, 8): "<f8", (0, 1): "u1", (0, 2): "<u2", (0, 4): "<u4", (0, 8): "<u8"}
    if (kind, size) not in names or order:
        raise Refused("hdf5-type", f"{short(path)} in the weights does not hold plain numbers.", AGAIN)
    return np.dtype(names[kind, size])
