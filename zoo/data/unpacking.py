"""Bound what a stranger's table unpacks to before it is read: 1 kB of parquet can hold more equal values than memory.

unpacking.check([Path("train.parquet")])  # raises DataError for more than it may be

The values are counted row by row, in a process with limits, since a page, a dictionary or a row alone may be larger
than memory. The process runs this file as a script, so that it imports nothing else of the package to read a table.
"""

import contextlib
import functools
import json
import os
import posixpath
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

FREE = 500_000_000  # bytes that any table may unpack to
TIMES = 3  # and as many times its size on disk
EACH = 32  # bytes that a value takes in lists of Python at least
MEMORY = 1_000_000_000  # bytes that the process may take
SECONDS = 60, 2e7  # of the processor, and bytes on disk that take another second
SLOWEST = 600, 1e5  # by the clock, and bytes of a repo that take another second
TO_FIND = 20  # seconds of the processor to find the files of a repo; importing `datasets` takes 3
ROWS = 256  # that are unpacked at a time
TOO_LARGE, UNREADABLE = 3, 4  # exit statuses


_confined = False


def confined() -> None:
    """Count nothing from now on: this process has limits of its own, and may start no other."""
    global _confined
    _confined = True


def check(files: Iterable[Path]) -> None:
    """Check parquet files, which are read as one table; an unchanged file is read once.

    Raises:
        DataError: they unpack to more than `FREE` and `TIMES` their size, or take too much memory or time.
        ValueError: they cannot be read.
    """
    from zoo.regular_files import stored

    _checked(tuple((str(path), stored(path), path.stat().st_mtime_ns) for path in files))


@functools.lru_cache(maxsize=128)
def _checked(files: tuple[tuple[str, int, int], ...]) -> None:
    stored = sum(size for _, size, _ in files)
    names = [name for name, _, _ in files]
    if names and not _confined:
        _run(names[0] if len(names) == 1 else f"{names[0]}, …", "files", names, stored, MEMORY)


def files_of_repo(repo: str) -> tuple[str | None, list[str]]:
    """Return the commit of a dataset of the Hub, and the files of it that `datasets` reads, which its README names."""
    _check_cache(repo)
    commit, paths = json.loads(_run(repo, "files of a repo", [repo], 0, MEMORY))
    return commit, paths


def check_repo(repo: str, stored: int = 0, revision: str | None = None) -> dict[str, list[str]]:
    """Prepare a dataset of the Hub, in any format, where `datasets` keeps it, if its `stored` bytes pass `check`.

    Returns:
        The Arrow files of each split there. Whoever reads them has no README to do with.
    """
    _check_cache(repo)
    kept: dict[str, list[str]] = json.loads(
        _run(repo, "repo", [repo, revision], stored, MEMORY + FREE + TIMES * stored)
    )
    return kept


def _check_cache(repo: str) -> None:
    from zoo import hub_cache

    hub_cache.of_repo(repo, "dataset")
    hub_cache.check_prepared(repo)


def _run(where: str, what: str, names: Sequence[str | None], stored: int, memory: int) -> str:
    """Return the last line that the process prints."""
    from zoo.errors import DataError

    most = FREE + TIMES * stored
    seconds = TO_FIND if what == "files of a repo" else int(SECONDS[0] + stored / SECONDS[1])
    limits = {"most": most, "memory": memory, "seconds": seconds}
    asked = json.dumps({"what": what, "names": names, "path": sys.path, **limits})
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
    slowest = SLOWEST[0] + stored / SLOWEST[1]
    try:
        done = subprocess.run(
            [sys.executable, "-I", __file__],
            input=asked.encode(), stdout=subprocess.PIPE, env=environment, check=False, timeout=slowest,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise DataError(f"{where} was not there within {slowest:.0f} s. Try again later.") from None
    *_, said = ["", *done.stdout.decode("utf-8", "replace").splitlines()]
    if done.returncode == UNREADABLE:
        raise ValueError(said or "it is no table")
    if done.returncode and what == "files of a repo":
        raise DataError(f"{where} takes more than {seconds} s or {memory / 1e6:.0f} MB only to find its files.")
    if done.returncode:
        raise DataError(
            f"{where} unpacks to more than {most / 1e6:.0f} MB, and has {stored / 1e6:.1f} MB on the disk: expected a "
            "table of pictures that repeats few values, in row groups of at most some hundred MB."
        )
    return said


# In the process


def main() -> None:
    """Count what is asked for on the standard input."""
    asked = json.loads(sys.stdin.buffer.read())
    sys.path[:] = asked["path"]  # packages may be where only the caller knows
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (asked["memory"],) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (asked["seconds"],) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    count = Count(asked["most"])
    try:
        if asked["what"] == "files of a repo":
            print(json.dumps(_files(asked["names"][0])), flush=True)
        elif asked["what"] == "repo":
            repo, revision = asked["names"]
            print(json.dumps(_prepare(repo, revision, count)), flush=True)
        else:
            for batch in _batches(asked["names"]):
                count.add(batch)
        status = 0
    except (MemoryError, TooLarge):
        status = TOO_LARGE
    except Exception as error:  # of many kinds, whatever Arrow finds wrong with a stranger's file
        chain = [error, error.__cause__, error.__context__]
        if any(isinstance(one, (MemoryError, TooLarge)) for one in chain):
            status = TOO_LARGE
        else:
            status = UNREADABLE
            print((str(error).strip().splitlines() or [type(error).__name__])[0][:500], flush=True)
    os._exit(status)  # not through the destructors of what may be half made


class TooLarge(Exception):
    """What has been counted is more than it may be."""


class Count:
    """The bytes of what has been unpacked."""

    def __init__(self, most: int):
        self.most, self.found = most, 0

    def add(self, table: Any) -> None:
        """Add a table, or a batch of one; raise TooLarge when there is too much."""
        self.found += EACH * table.num_rows + sum(map(size, table.columns))
        if self.found > self.most:
            raise TooLarge()


def _batches(names: list[str]) -> Iterator[Any]:
    import pyarrow.parquet

    for name in names:
        with pyarrow.parquet.ParquetFile(name, pre_buffer=False, buffer_size=2**20) as file:
            yield from file.iter_batches(ROWS, use_threads=False)


def _keep_to_repo(repo: str) -> None:
    """Have `datasets` ask for nothing but files of a repo, and whatever asks the Hub in this process check its names.

    A README may name any file on the disk and any address, also those that only this machine reaches.
    """
    from datasets import data_files

    from zoo import hub_transport

    hub_transport.prepare()
    resolve = data_files.resolve_pattern

    def within(pattern: str, base_path: str, *rest: Any, **more: Any) -> Any:
        whole = pattern if pattern.startswith("hf://") else posixpath.join(base_path, pattern)
        plain = whole.count("://") == 1 and "::" not in whole and ".." not in whole.split("/")
        if not plain or not whole.startswith(f"hf://datasets/{repo}@"):
            raise ValueError(f"Its README names {pattern!r:.200}, which is no file of the repo.")
        return resolve(pattern, base_path, *rest, **more)

    data_files.resolve_pattern = within


def _files(repo: str) -> tuple[str | None, list[str]]:
    """Return the commit of a repo and its files that `datasets` reads."""
    import datasets

    _keep_to_repo(repo)
    found = datasets.load_dataset_builder(repo).config.data_files or {}
    places = {str(file).partition("@")[2] for of_split in found.values() for file in of_split}
    commit = next((place.partition("/")[0] for place in places), None)
    return commit, sorted(place.partition("/")[2] for place in places)


def _prepare(repo: str, revision: str | None, count: Count) -> dict[str, list[str]]:
    """Have `datasets` read a repo into its cache; what it writes there is counted before. Return the files there."""
    import datasets
    from datasets.arrow_writer import ArrowWriter

    _keep_to_repo(repo)
    write = ArrowWriter._write_table

    def counted(self: Any, table: Any, *rest: Any, **more: Any) -> Any:
        count.add(table)
        return write(self, table, *rest, **more)

    ArrowWriter._write_table = counted
    found = datasets.load_dataset(repo, revision=revision, keep_in_memory=False)
    return {split: [file["filename"] for file in rows.cache_files] for split, rows in found.items()}


def size(array: Any) -> int:
    """Return the bytes of an Arrow array's values, each as often as it is there, whatever it shares with others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        return sum(map(size, array.chunks))
    if isinstance(array, pa.ExtensionArray):
        return size(array.storage)
    if pa.types.is_dictionary(kind):
        values = array.dictionary
        if isinstance(values, (pa.StringArray, pa.BinaryArray, pa.LargeStringArray, pa.LargeBinaryArray)):
            lengths = pc.take(pc.fill_null(pc.binary_length(values), 0), array.indices.drop_null())
            return EACH * len(array) + (pc.sum(lengths).as_py() or 0)
        return len(array) * (EACH + size(values))
    if pa.types.is_run_end_encoded(kind):
        return len(array) * (EACH + size(array.values))
    if pa.types.is_struct(kind):
        return EACH * len(array) + sum(map(size, array.flatten()))
    if pa.types.is_nested(kind):
        return EACH * len(array) + size(array.flatten())
    if kind in (pa.string_view(), pa.binary_view()):
        return size(array.cast(pa.large_binary()))
    return EACH * len(array) + int(array.nbytes)


if __name__ == "__main__":
    main()
