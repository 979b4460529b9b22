"""Files that are whole or not there: written next to their place, then moved into it."""

import errno
import io
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from zoo.errors import DataError, ZooError
from zoo.regular_files import MOST_JSON, read_bytes

if TYPE_CHECKING:
    import numpy as np

MOST_ARRAYS = 500_000_000  # bytes of an npz file once it is unpacked; the largest network has 233 MB of weights


class Elsewhere(OSError):
    """A path below a folder that a link in it leads out of."""


def check_inside(files: Iterable[Path], root: Path) -> None:
    """Raise DataError for a link that leaves the folder: it would take in what nobody named."""
    for file in files:
        if not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root)):
            raise DataError(f"{file} is a link to a file outside {root}: copy the file into that folder.")


def check_own(path: Path, root: Path) -> Path:
    """Return a path below a folder; Elsewhere if it is a link, or in a folder that is one.

    What is read, written or removed there would be so somewhere that nobody named.
    """
    if os.path.realpath(path) != os.path.join(os.path.realpath(root), path.relative_to(root)):
        raise Elsewhere(errno.ELOOP, "it is a link, or in a folder that is one", str(path))
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it takes the place of `path`, on an error nothing is left.

    The written thing may be a file or a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield staging / path.name
        if path.is_dir():  # a folder cannot be replaced in one step: the old one steps aside first
            os.replace(path, staging / "old")
        os.replace(staging / path.name, path)
    finally:
        shutil.rmtree(staging)


def remove(path: Path) -> None:
    """Remove a file or a folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write JSON that people can read and diff."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda numbers: " ".join(numbers[0].split()), text)  # a list of numbers: a line
    with replacing(path) as staged:
        staged.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file of at most `MOST_JSON` bytes."""
    return json.loads(read_bytes(path, MOST_JSON).decode("utf-8"))


def opened_zip(source: Path | BinaryIO, most: int) -> zipfile.ZipFile:
    """Open a zip file of at most `most` entries; their number is known before their list is read into memory.

    Raises:
        ZooError: it has more entries.
        zipfile.BadZipFile, OSError: it is no zip, or one as `_check_packing` refuses it.
    """
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # private: what `ZipFile` finds and believes
    count, size = end[4:6] if end else (0, 0)  # entries, and bytes of their list
    if count > most or size > 300 * most:
        raise ZooError(f"{source.name if isinstance(source, Path) else 'It'} has more than {most:,} entries.")
    archive = zipfile.ZipFile(source)
    try:
        _check_packing(archive)
    except zipfile.BadZipFile:
        archive.close()
        raise
    return archive


def _check_packing(archive: zipfile.ZipFile) -> None:
    """Refuse entries that Python unpacks as a whole, however little of them is read: 1 GB from 700 bytes."""
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in archive.infolist()):
        raise zipfile.BadZipFile("it is packed by another method than Deflate")


def read_arrays(
    file: Path | BinaryIO, names: Sequence[str] | None = None, most: int | None = None
) -> "dict[str, np.ndarray]":
    """Return the arrays of an npz file that anybody may have damaged.

    Args:
        file: the path, or an open file.
        names: of the arrays that it must have; None: all that it has.
        most: bytes of all arrays; None: `MOST_ARRAYS`.

    Raises:
        ZooError: it is missing, cut, no npz file, lacks an array, or holds more than `most` bytes.
    """
    import numpy as np

    most = MOST_ARRAYS if most is None else most
    try:
        opened = io.BytesIO(read_bytes(file)) if isinstance(file, Path) else file
        with np.load(opened, allow_pickle=False) as saved:
            if isinstance(saved, np.ndarray):
                raise ValueError("it is a single array")
            _check_packing(saved.zip)
            if sum(member.file_size for member in saved.zip.infolist()) > most:
                raise ValueError(f"its arrays have more than {most / 10**6:g} MB")
            found = {name: saved[name] for name in (saved.files if names is None else names)}
        if any(not array.dtype.itemsize for array in found.values()):
            raise ValueError("its values have no bytes")  # so there may be any number of them
        return found
    except Exception as error:  # zipfile, zlib and NumPy each raise errors of their own
        said = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise ZooError(f"it cannot be read ({said}).") from error
