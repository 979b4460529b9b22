"""Read datasets in the file formats that their authors publish, without any correction.

Five forms are read, in this order of trust: a dataset repo (parquet), idx files, a Matlab file, single pictures (in
folders or zips) and CSVs.
"""

import gzip
import io
import itertools
import math
import re
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo import data
from zoo.data import unpacking
from zoo.errors import DataError, ZooError
from zoo.files import check_inside, opened_zip
from zoo.ink.decoding import declared_pixels
from zoo.regular_files import read_bytes, stored

SPLITS = ("train", "test")
PIECE = 4096  # bytes that are unpacked at a time
MOST_ENTRIES, DEEPEST = 200_000, 2  # files of a zip, and zips within each other
MOST_LINE, MOST_LINES = 1_000_000, 5_000_000  # letters of a row of a CSV, and rows
COMPRESSED = 15  # the kind of an element of a Matlab file whose content is packed by zlib
NUMBERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "single", "double", "logical")


@dataclass(frozen=True)
class Samples:
    """One split as it was read: images uint8 (N, H, W) or pages of varied size, labels int64 (N,), further columns."""

    images: np.ndarray | list[np.ndarray]
    labels: np.ndarray
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


class Files(dict[str, Callable[[], bytes]]):
    """The files of a folder by path, with what reads the content, and how many bytes they may still unpack to.

    Zips, gzip files, the variables of Matlab files and pictures count: 1 MB of them can hold more than memory.
    """

    def __init__(self, folder: Path, stored: int):
        super().__init__()
        self.folder = folder
        self.most = self.left = unpacking.FREE + unpacking.TIMES * stored

    def take(self, name: str, count: int) -> None:
        """Count bytes of what has been unpacked; DataError where it is too much."""
        self.left -= count
        if self.left < 0:
            raise DataError(f"{self.folder} unpacks to more than {self.most / 1e6:.0f} MB, with {name}.")

    def unpacked(self, name: str, kind: str, opened: Callable[[], Any]) -> bytes:
        """Return the content of a file that is packed, which is read in pieces as long as there may be more of it."""
        content = io.BytesIO()
        try:
            with opened() as file:
                while part := file.read(PIECE):
                    self.take(name, len(part))
                    content.write(part)
        except DataError:
            raise
        except Exception as error:  # of zipfile, gzip and each way of packing
            raise DataError(f"{name} is not a whole {kind} file: download it again.") from error
        return content.getvalue()

    def read(self, name: str, load: Callable[[], bytes]) -> bytes:
        """Return the content of a file, which may be packed by gzip."""
        try:
            content = load()
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror}.") from error
        if content[:2] != b"\x1f\x8b":
            return content
        return self.unpacked(name, "gzip", lambda: gzip.open(io.BytesIO(content)))

    def picture(self, name: str, content: bytes) -> np.ndarray:
        """Return a picture, gray (H, W); its pixels are counted before they are decoded."""
        try:
            self.take(name, declared_pixels(content))
            image: np.ndarray | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
        except DataError:
            raise
        except Exception:  # of Pillow and OpenCV
            image = None
        if image is None:
            raise DataError(f"{name} cannot be decoded as a picture ({len(content)} bytes).")
        return image


def files_below(folder: Path) -> Files:
    """Return every file below a folder, of those in zips too, in the order of their names."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    check_inside(paths, folder)  # what is read here is published
    files = Files(folder, sum(map(stored, paths)))
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() == ".zip":
            _add_zipped(files, name, path)
        else:
            files[name] = partial(files.read, name, partial(read_bytes, path))
    return files


def _add_zipped(files: Files, name: str, source: Path | io.BytesIO, depth: int = 1) -> None:
    if depth > DEEPEST:
        raise DataError(f"{name} is a zip within {DEEPEST} others: unpack it.")
    try:
        archive = opened_zip(source, MOST_ENTRIES)
    except ZooError as error:
        raise DataError(f"{name}: {error}") from error
    except Exception as error:  # whatever its list of files does to `zipfile`
        raise DataError(f"{name} is not a whole zip file ({error}): download it again.") from error
    for member in sorted(archive.namelist()):
        inside = f"{name}/{member}"
        content = partial(files.unpacked, inside, "zip", partial(archive.open, member))
        if member.lower().endswith(".zip"):
            _add_zipped(files, inside, io.BytesIO(content()), depth + 1)
        elif not member.endswith("/"):
            files[inside] = partial(files.read, inside, content)


def _split_of(name: str) -> str | None:
    """Return the split that a path names, the file's own name before its folders'."""
    for part in reversed(name.lower().split("/")):
        for split, words in (("train", ("train",)), ("test", ("test", "t10k"))):
            if any(word in part for word in words):
                return split
    return None


def _read_repo(spec: data.DatasetSpec, files: Files, notes: list[str]) -> dict[str, Samples]:
    import pyarrow
    import pyarrow.parquet

    tables: dict[str, list[Any]] = {}
    for name, content in files.items():
        if name.endswith(".parquet") and (split := _split_of(name)):
            with tempfile.TemporaryDirectory() as folder:  # out of a zip, where it may be
                copied = Path(folder) / "table.parquet"
                copied.write_bytes(content())
                try:
                    unpacking.check([copied])
                    tables.setdefault(split, []).append(pyarrow.parquet.read_table(copied))
                except (ValueError, DataError) as error:
                    raise DataError(str(error).replace(str(copied), name)) from error
    splits = {}
    for split, parts in tables.items():
        table = pyarrow.concat_tables(parts)
        encoded = table["image"].combine_chunks().field("bytes").to_pylist()
        images = [files.picture(f"{split}, row {row}", png) for row, png in enumerate(encoded)]
        columns = {key: table[key].to_pylist() for key in table.column_names if key not in ("image", "label")}
        splits[split] = _stacked(spec, images, table["label"].to_numpy().astype(np.int64), columns)
    return splits


def _read_idx(spec: data.DatasetSpec, files: Files, notes: list[str]) -> dict[str, Samples]:
    arrays = {}
    for name, content in files.items():
        if match := re.search(r"(images|labels)[-.]idx[13]-ubyte(\.gz)?$", name):
            arrays[_split_of(name), match[1]] = _idx(name, content())
    return _paired(arrays)


def _idx(name: str, content: bytes) -> np.ndarray:
    """Read an idx file: two zero bytes, the type (8: uint8), the number of axes, their sizes, then the values."""
    if content[:3] != b"\0\0\x08":
        raise DataError(f"{name} is not an idx file of bytes: it begins with {content[:4].hex()}.")
    try:
        axes = content[3]
        shape = np.frombuffer(content, ">u4", axes, 4).tolist()
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (IndexError, ValueError) as error:
        said = f"{name} does not hold as many values as it says"
        raise DataError(f"{said}: download it again.") from error


def _read_matlab(spec: data.DatasetSpec, files: Files, notes: list[str]) -> dict[str, Samples]:
    arrays = {}
    for name, content in files.items():
        if name.lower().endswith(".mat"):
            for variable, array in _matlab(files, name, content()).items():
                if not variable.startswith("__") and (split := _split_of(variable) or _split_of(name)):
                    is_labels = np.squeeze(array).ndim == 1
                    arrays[split, "labels" if is_labels else "images"] = np.squeeze(array)
    for key, array in arrays.items():
        if key[1] == "images":
            arrays[key] = _samples_first(spec, array, len(arrays.get((key[0], "labels"), ())))
    return _paired({key: _images(spec, a) if key[1] == "images" else a for key, a in arrays.items()})


def _matlab(files: Files, name: str, content: bytes) -> dict[str, Any]:
    """Return the variables of numbers of a Matlab file, after what they unpack to was counted, and what they say."""
    from scipy.io import loadmat, whosmat

    try:
        order, place = {b"IM": "<", b"MI": ">"}.get(content[126:128], ""), 128
        while order and place + 8 <= len(content):
            kind, size = struct.unpack(f"{order}II", content[place : place + 8])
            place += 8
            for count in _inflated(content[place : place + size]) if kind == COMPRESSED else ():
                files.take(name, count)
            place += size
        known = [(key, shape) for key, shape, kind in whosmat(io.BytesIO(content)) if kind in NUMBERS]
        files.take(name, sum(8 * math.prod(shape) for _, shape in known))
        found: dict[str, Any] = loadmat(io.BytesIO(content), variable_names=[key for key, _ in known])
        return found
    except DataError:
        raise
    except Exception as error:  # of many kinds, whatever SciPy finds wrong with it
        raise DataError(f"{name} is not a Matlab file that can be read: download it again.") from error


def _inflated(content: bytes) -> Iterator[int]:
    """Yield how many bytes each piece of what zlib packed unpacks to."""
    unpack = zlib.decompressobj()
    for start in range(0, len(content), PIECE):
        if not unpack.eof:
            yield len(unpack.decompress(content[start : start + PIECE]))


def _samples_first(spec: data.DatasetSpec, array: np.ndarray, count: int) -> np.ndarray:
    """Bring Matlab's order of axes, samples last, to ours."""
    return array if len(array) == count else np.moveaxis(array, -1, 0)


_PICTURE = re.compile(
    r"(?:writer(?P<writer>\d+)_pass(?P<pass>\d+)_digit(?P<digit>\d))"  # MADBase
    r"|(?:id_(?P<id>\d+)_label_(?P<label>\d+))"  # AHCD
    r"|(?:(?P<person>\d+)_(?P<kind>[12])_(?P<serial>\d+))"  # the pages: 1 is a page, 2 a strip
)


def _read_pictures(spec: data.DatasetSpec, files: Files, notes: list[str]) -> dict[str, Samples]:
    rows: dict[str, list[Any]] = {}
    for name, content in files.items():
        stem, _, suffix = name.rpartition("/")[2].rpartition(".")
        match = _PICTURE.fullmatch(stem)
        if suffix.lower() not in ("bmp", "png", "jpg", "jpeg", "tif") or not match:
            continue
        split: str | None
        order: int | tuple[int, ...]
        column: tuple[str, int | str] | None
        if match["writer"]:
            writer = int(match["writer"])
            split, label = ("train" if writer <= 600 else "test"), int(match["digit"])
            order, column = (writer, int(match["pass"]), label), ("writer", writer)
        elif match["id"]:
            split, label = _split_of(name), int(match["label"])
            order, column = int(match["id"]), None
        else:
            split, label = SPLITS[int(match["kind"]) - 1], int(match["person"]) - 1
            order, column = (label, int(match["serial"])), ("filename", f"{stem}.{suffix}")
        rows.setdefault(str(split), []).append((order, name, content, label, column))
    splits = {}
    for split, found in rows.items():
        found.sort(key=lambda row: row[0])
        columns = {found[0][4][0]: [row[4][1] for row in found]} if found[0][4] else {}
        images = [files.picture(name, content()) for _, name, content, _, _ in found]
        splits[split] = _stacked(spec, images, np.array([row[3] for row in found]), columns)
    return splits


def _read_csv(spec: data.DatasetSpec, files: Files, notes: list[str]) -> dict[str, Samples]:
    arrays: dict[tuple[str | None, str], np.ndarray] = {}
    for name, content in files.items():
        short = name.rpartition("/")[2].lower()
        if short.endswith(".csv") and (split := _split_of(short)) and ("image" in short or "label" in short):
            kind = "images" if "image" in short else "labels"
            table, header = _csv(name, content())
            if header:
                notes.append(f"{name.rpartition('/')[2]} begins with a header row, which is no sample.")
            arrays[split, kind] = _images(spec, table) if kind == "images" else table
    return _paired(arrays)


def _csv(name: str, content: bytes) -> tuple[np.ndarray, bool]:
    """Read a CSV of numbers; whether its first row was a header: names, or the columns' numbers 0, 1, 2, …."""
    try:
        lines = _lines(content)
        first = next(lines, "")
        cells = first.strip().split(",")
        numbers = [cell for cell in cells if re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", cell)]
        counted = len(cells) > 1 and any(all(map(str.__eq__, cells, map(str, itertools.count(n)))) for n in (0, 1))
        header = len(numbers) < len(cells) or counted
        rows = lines if header else itertools.chain([first], lines)
        return np.loadtxt(rows, delimiter=",", dtype=np.float32, ndmin=1), header
    except ValueError as error:
        raise DataError(f"{name} is not a table of numbers ({error}).") from error


def _lines(content: bytes) -> Iterator[str]:
    """Yield the rows of a CSV; ValueError where one is longer than any picture's, or there are too many."""
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig")
    for number, line in enumerate(iter(lambda: text.readline(MOST_LINE + 1), "")):
        if len(line) > MOST_LINE or number == MOST_LINES:
            raise ValueError(f"it has more than {MOST_LINES:,} rows, or one of more than {MOST_LINE:,} letters")
        yield line


FORMS: Mapping[str, Callable[[data.DatasetSpec, Files, list[str]], dict[str, Samples]]] = {
    "parquet files of a dataset repo": _read_repo,
    "idx files": _read_idx,
    "a Matlab file": _read_matlab,
    "single pictures": _read_pictures,
    "CSV files": _read_csv,
}


def _paired(arrays: dict[tuple[str | None, str], np.ndarray]) -> dict[str, Samples]:
    splits = {}
    for split in SPLITS:
        images, labels = arrays.get((split, "images")), arrays.get((split, "labels"))
        if images is None or labels is None:
            continue
        if len(images) != len(labels):
            raise DataError(
                f"There are {len(images)} images but {len(labels)} labels in {split}: a row may have been taken for a "
                "header; download both files again."
            )
        splits[split] = Samples(images, np.asarray(labels).reshape(-1).astype(np.int64))
    return splits


def _images(spec: data.DatasetSpec, array: np.ndarray) -> np.ndarray:
    """Return numbers as uint8 images (N, H, W); fractions in [0, 1] become 0..255."""
    assert spec.image_shape is not None  # pages come as pictures
    height, width, _ = spec.image_shape
    if array.max() <= 1:
        array = array * 255
    try:
        return np.round(array).astype(np.uint8).reshape(-1, height, width)
    except ValueError as error:
        raise DataError(f"{spec.name}: expected images of {height} x {width} pixels, not {array.shape}.") from error


def _stacked(
    spec: data.DatasetSpec, images: list[np.ndarray], labels: np.ndarray, columns: dict[str, list[Any]]
) -> Samples:
    if spec.image_shape is None:
        return Samples(images, labels, columns)
    sizes = {image.shape for image in images}
    if sizes != {spec.image_shape[:2]}:
        raise DataError(f"{spec.name}: expected images of {spec.image_shape[:2]} pixels, not {sorted(sizes)}.")
    return Samples(np.stack(images), labels, columns)
