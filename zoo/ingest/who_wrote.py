"""Who wrote each picture: a column of a table, that of metadata.csv next to class folders among them."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.errors import DataError
from zoo.regular_files import read_bytes

GROUPS = ("writer", "group", "block")  # columns that say which samples belong together
NO_GROUP = "none"
METADATA = "metadata.csv"  # as in `datasets`: file_name, and a column of `GROUPS`
MOST_BYTES, MOST_COLUMNS = 50_000_000, 1000  # of that file: 100 bytes for each of 500,000 pictures


def of_files(files: Sequence[Path], path: Path, group: str | None) -> tuple[list[str], str] | tuple[None, None]:
    """Return who wrote each file, and the column of a table that says so; (None, None) where nobody asks.

    Args:
        files: below the folder of the table.
        path: the table, of which nothing else is kept.
        group: as of `column`.

    Raises:
        DataError: it is no table, has no such column, or does not say it of each file.
    """
    wanted = dict.fromkeys(file.relative_to(path.parent).as_posix() for file in files)
    try:
        rows = _rows(path)
        names = [name.strip().lower() for name in next(rows, [])]
        found = column(names, None if group is None else group.lower(), str(path))
        if found is None:
            if group == NO_GROUP:
                return None, None
            raise DataError(
                f"{path} has no column that says who wrote a picture: expected {', '.join(GROUPS)}, there is "
                f"{', '.join(names)}. Name one with --group, or say --group {NO_GROUP}."
            )
        if "file_name" not in names:
            raise DataError(f"{path} has no column file_name next to {found}: expected the path of each picture there.")
        name, writer = names.index("file_name"), names.index(found)
        whole = (row for row in rows if len(row) > max(name, writer))
        writers = {row[name]: row[writer] for row in whole if row[name] in wanted}
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} is not a table that can be read: {reason}.") from error
    for file in wanted:
        if not writers.get(file):
            raise DataError(f"{path} does not say the {found} of {file}.")
    return [writers[file] for file in wanted], found


def column(columns: Sequence[str], group: str | None, where: str) -> str | None:
    """Return the column that says who wrote a sample; None where there is none, or none is asked for.

    Args:
        columns: all of the table.
        group: the column, `NO_GROUP` for none; None: the first of `GROUPS` there is.
        where: the table, for people.
    """
    if group == NO_GROUP:
        return None
    if group is not None and group not in columns:
        raise DataError(f"{where} has no column {group!r} that says who wrote a sample: it has {', '.join(columns)}.")
    return group or next((name for name in GROUPS if name in columns), None)


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a table whose columns are divided by commas, semicolons, tabs or bars, as its first line shows."""
    content = read_bytes(path, MOST_BYTES)
    first = content.partition(b"\n")[0]
    delimiter = max(",;\t|", key=lambda mark: first.count(mark.encode()))
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    for row in csv.reader(text, delimiter=delimiter, skipinitialspace=True):
        if len(row) > MOST_COLUMNS:
            raise ValueError(f"it has {len(row):,} columns; the most is {MOST_COLUMNS:,}")
        if row:
            yield row
