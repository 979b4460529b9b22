"""Dataset repos, local or on the Hub -> arrays: one split is read, every picture decoded and checked.

What it unpacks to is bounded before (`zoo.data.unpacking`). Of a folder, only its parquet files are read.
"""

import functools
import glob
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from zoo.data import unpacking
from zoo.errors import DataError
from zoo.files import check_inside
from zoo.ink.bounds import png_size
from zoo.regular_files import stored
from zoo.types import Shape

if TYPE_CHECKING:
    import datasets
    import pyarrow

    from zoo.data.spec import DatasetSpec

# A table's pictures may have as many pixels for each of its bytes on the disk, and `unpacking.FREE` on top of that. The
# zoo's small tables have up to 51 for a byte, and stay below `FREE`.
PIXELS = 10
Images = np.ndarray | tuple[np.ndarray, ...]  # of one shape, or pages each of its own
Arrays = tuple[Images, np.ndarray, np.ndarray | None]  # images, labels and groups, as `Split` has them
RowName = Callable[[int], str]  # the file and the row that a row of a split comes from


def read_split(spec: "DatasetSpec", split: str, location: str) -> Arrays:
    """Read and decode one split of a dataset repo.

    Args:
        spec: the dataset's entry.
        split: "train" or "test", as the repo has it.
        location: the repo's folder, or its id on the Hub.

    Returns:
        images, labels and groups as `data.Split` has them.

    Raises:
        DataError: it cannot be read, lacks a column, or a row of it is broken; names the file and the row.
    """
    table, most = read_table(spec, split, location), _most_pixels(split, location)
    if not len(table):
        raise DataError(f"{location}, split {split!r}, has no rows.")
    return _arrays(spec, table, functools.partial(_row_name, location, split), most)


def stream(spec: "DatasetSpec", split: str, location: str, batch: int) -> Iterator[Arrays]:
    """Yield a split's images, labels and groups in parts of `batch` rows, as `read_split` returns them all at once.

    Nothing else of it is held in memory.
    """
    first = 0
    try:
        most = _most_pixels(split, location)
        for table in _tables(spec, split, location, batch):
            if {"image", "label"} <= set(table.column_names):
                name = functools.partial(lambda before, row: _row_name(location, split, before + row), first)
                yield _arrays(spec, table, name, most)
                first += len(table)
            else:
                raise DataError(f"{location}, split {split!r}, lacks the column image or label.")
    except unreadable() as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"Cannot read split {split!r} of {spec.name} from {location} ({reason}).") from error


def _tables(spec: "DatasetSpec", split: str, location: str, batch: int) -> "Iterator[pyarrow.Table]":
    """Yield a split as Arrow tables of `batch` rows, images still encoded."""
    import pyarrow.parquet

    if not Path(location).is_dir():
        table = _kept_table(spec, split, location)
        yield from (table.slice(start, batch) for start in range(0, len(table), batch))
        return
    files = _files(split, location)
    unpacking.check(files)
    for path in files:  # unbuffered: else Arrow keeps what it read of a file until it is through with it
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            for part in file.iter_batches(batch):
                yield pyarrow.Table.from_batches([part])


def _files(split: str, location: str) -> list[Path]:
    """Return the parquet files of a split in a folder, in their order.

    Raises:
        FileNotFoundError: there are none.
        DataError: one is a link to a file elsewhere.
    """
    files = [path for path in sorted(Path(location).glob(f"**/{split}-*.parquet")) if path.is_file()]
    check_inside(files, Path(location))
    if not files:
        raise FileNotFoundError(f"there is no {split}-*.parquet")
    return files


def of_hub(repo: str, revision: str | None = None, size: int = 0) -> "dict[str, datasets.Dataset]":
    """Return the splits of a dataset of the Hub, mapped from the cache of `datasets`.

    They were put there by a process with limits, which alone reads what a README says.

    Args:
        repo: its id.
        revision: a commit, a branch or a tag; None: the newest.
        size: bytes of its files on the Hub, as far as they are known.
    """
    import datasets

    kept = unpacking.check_repo(repo, size, revision)
    parts = {split: [datasets.Dataset.from_file(file) for file in files] for split, files in kept.items()}
    return {split: datasets.concatenate_datasets(of_it) for split, of_it in parts.items() if of_it}


def _kept_table(spec: "DatasetSpec", split: str, repo: str) -> "pyarrow.Table":
    """Return a split of a repo on the Hub as an Arrow table."""
    found = of_hub(repo, spec.revision)
    if split not in found:
        raise ValueError(f"it has no split {split}, but {', '.join(found)}")
    return found[split].data.table


def _most_pixels(split: str, location: str) -> int:
    """Return how many pixels the pictures of a split may have, by its bytes on the disk."""
    files = _files(split, location) if Path(location).is_dir() else ()
    return unpacking.FREE + PIXELS * sum(map(stored, files))


def _arrays(spec: "DatasetSpec", table: "pyarrow.Table", row_name: RowName, most: int) -> Arrays:
    """Return images, labels and groups of an Arrow table; DataError names a row that is broken, or more pixels."""
    import pyarrow

    place = functools.partial(row_name, 0)
    labels = column(table, "label", pyarrow.int64(), place).to_numpy()
    wrong = np.flatnonzero((labels < 0) | (labels >= len(spec.labels)))
    if len(wrong):
        raise DataError(
            f"{row_name(wrong[0])}: label {labels[wrong[0]]} is not one of the {len(spec.labels)} classes of "
            f"{spec.name} (0 to {len(spec.labels) - 1}); {len(wrong)} of {len(labels)} rows are wrong."
        )
    encoded = column(table, "image", pyarrow.large_binary(), place).to_pylist()
    images = _decode(encoded, spec.image_shape, row_name, most)
    if spec.group is None or spec.group not in table.column_names:
        return images, labels, None
    return images, labels, column(table, spec.group, pyarrow.int32(), place).to_numpy()


def column(
    table: "pyarrow.Table", name: str, kind: "pyarrow.DataType", place: Callable[[], str]
) -> "pyarrow.ChunkedArray":
    """Return a column of a table that anybody may have written; of pictures, the bytes of their files.

    Args:
        table: that has the column.
        name: of the column.
        kind: what its values are to be: whole numbers and text are never missing.
        place: returns where the table is, for people.

    Raises:
        DataError: it is there twice, or has values of another kind.
    """
    import pyarrow
    import pyarrow.compute

    try:
        found = table[name]
        held = found.type
        found = (pyarrow.compute.struct_field(found, "bytes") if name == "image" else found).cast(kind)
    except (KeyError, pyarrow.ArrowException) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{place()}: the column {name!r} cannot be read as {kind} ({reason}).") from error
    if found.null_count and not pyarrow.types.is_large_binary(kind):
        raise DataError(f"{place()}: the column {name!r} holds {held} and lacks values, expected {kind} in every row.")
    return found


def read_table(spec: "DatasetSpec", split: str, location: str) -> "pyarrow.Table":
    """Return the split as an Arrow table with the columns `image` and `label`, images still encoded."""
    import pyarrow.parquet

    try:
        if Path(location).is_dir():
            files = _files(split, location)
            unpacking.check(files)
            table = pyarrow.concat_tables([pyarrow.parquet.ParquetFile(path).read() for path in files])
        else:
            table = _kept_table(spec, split, location)
    except unreadable() as error:
        reason = str(error).strip().splitlines()[0]
        if Path(location).is_dir():
            hint = f"expected parquet files data/{split}-*.parquet with columns image and label"
        else:
            hint = "set ZOO_DATASETS to a folder that holds it, or go online"
        raise DataError(f"Cannot read split {split!r} of {spec.name} from {location} ({reason}); {hint}.") from error
    missing = {"image", "label"} - set(table.column_names)
    if missing:
        raise DataError(f"{location}, split {split!r}, lacks the column {' and '.join(sorted(missing))}.")
    return table


def pattern_of(file: Path) -> str:
    """Return the pattern that only this file fits: `datasets` takes a name for a pattern, or for a place elsewhere.

    Raises:
        DataError: there is none.
    """
    if "::" in str(file) or "://" in str(file):
        raise DataError(f"{file} has :: in its name, which cannot be read: call it something else.")
    return glob.escape(str(file))


def unreadable() -> tuple[type[Exception], ...]:
    """Return what `datasets` raises where a repo is missing, unreachable or broken."""
    import datasets
    import pyarrow

    return OSError, ValueError, datasets.exceptions.DatasetsError, pyarrow.ArrowException


def _decode(encoded: list[bytes | None], shape: Shape | None, row_name: RowName, most: int) -> Images:
    """Decode PNGs to gray: into one array (N, H, W, 1) of the given shape, or each to its own size.

    Their sizes are checked before any is decoded.
    """
    for row, content in enumerate(encoded):
        width, height = png_size(content or b"") or (0, 0)
        most -= width * height
        if not width * height:
            raise DataError(f"{row_name(row)}: the image cannot be decoded ({len(content or b'')} bytes).")
        if shape is not None and (height, width) != shape[:2]:
            raise DataError(f"{row_name(row)}: the image is {(height, width)}, expected {shape[:2]} pixels.")
        if most < 0:
            raise DataError(f"{row_name(row)}: the pictures have more pixels than a table of this size may have.")
    pages: list[Any] = [None] * len(encoded)
    images = None if shape is None else np.empty((len(encoded), *shape), np.uint8)

    def decode_rows(rows: range) -> None:
        for row in rows:
            data = np.frombuffer(encoded[row] or b"\0", np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
            if image is None:
                raise DataError(f"{row_name(row)}: the image cannot be decoded ({len(data)} bytes).")
            if images is None:
                pages[row] = image[..., None]
            elif image.shape == images.shape[1:3]:
                images[row, :, :, 0] = image
            else:
                turned = f"its EXIF data turn the image to {image.shape}, expected {images.shape[1:3]} pixels"
                raise DataError(f"{row_name(row)}: {turned}. Store it upright.")

    step = 2000  # OpenCV frees the interpreter lock while it decodes
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode_rows, (range(i, min(i + step, len(encoded))) for i in range(0, len(encoded), step))))
    return tuple(pages) if images is None else images


def _row_name(location: str, split: str, row: int) -> str:
    """Say which row of which file the given row of a split is."""
    import pyarrow.parquet

    first = 0
    for file in _files(split, location) if Path(location).is_dir() else ():
        count = pyarrow.parquet.read_metadata(file).num_rows
        if row < first + count:
            return f"{file}, row {row - first}"
        first += count
    return f"{location}, split {split!r}, row {row}"
