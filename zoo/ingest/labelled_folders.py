"""Find labelled pictures: in a folder of class folders, in parquet files or in a dataset repo.

`zoo.ingest.user_data` makes a dataset of them.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import hub, hub_cache
from zoo.data import unpacking
from zoo.data.parquet import of_hub, pattern_of, unreadable
from zoo.errors import DataError
from zoo.files import check_inside
from zoo.ingest import who_wrote
from zoo.ink.decoding import FILES
from zoo.regular_files import read_bytes, stored

if TYPE_CHECKING:
    import datasets
    import pyarrow

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """One split: pictures still encoded, in the order of their files or rows.

    labels: int64 (N,), index into the source's labels.
    groups: who wrote each, N names; None where it is unknown.
    """

    labels: np.ndarray
    groups: Sequence[str] | None
    encoded: Callable[[int], bytes]  # the file of a picture
    place: Callable[[int], str]  # where a picture is, for people

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Source:
    """All that was found: splits by name, "train" among them."""

    labels: tuple[str, ...]
    splits: dict[str, Pictures]
    group: str | None  # the column that `groups` came from
    repo: str | None = None  # on the Hub
    notes: tuple[str, ...] = ()  # what a user should know of the reading
    stored: int = 0  # bytes of its files


@dataclass(frozen=True)
class Table:
    """A split of a dataset repo as it is stored.

    Values are never taken from `datasets`, which opens the files and addresses that they name, as pictures or sound.
    """

    stored: "pyarrow.Table"
    features: "datasets.Features"  # what the file says of its columns; only names of classes are taken from it

    def values(self, column: str) -> list[Any]:
        """Return a column as it is stored."""
        found: list[Any] = self.stored[column].to_pylist()
        return found


def read_folders(where: str, group: str | None = None) -> Source:
    """Find the pictures of a source.

    Args:
        where: a folder of class folders, or of train/, validation/ and test/ that hold class folders; a parquet file,
            a folder of them or a dataset repo; or the id of a dataset on the Hub ("owner/name").
        group: the column that says who wrote a sample, "none" for not to ask; None: the first of
            `who_wrote.GROUPS` there is.

    Raises:
        DataError: there is nothing like that; names the culprit.
    """
    path = Path(where).expanduser()
    if path.is_file():
        if path.suffix != ".parquet":
            raise DataError(f"{where} is a file: expected a folder of class folders, a parquet file or a dataset repo.")
        return _read_repo("parquet", group, where, tables={"train": [path]})
    if path.is_dir():
        if files := sorted(file for file in path.rglob("*.parquet") if _visible(file, path)):
            check_inside(files, path)
            return _read_repo("parquet", group, where, tables=_files_by_split(files, path))
        return _read_folders(path, group)
    repo = where.removeprefix("hf://").removeprefix("datasets/")
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", repo, re.ASCII) or where.startswith((".", "/", "~")):
        raise DataError(
            f"There is no {where}: expected a folder, a parquet file or owner/name of a dataset on the Hub."
        )
    return _read_repo(repo, group, where, repo=repo)


# Folders


def _read_folders(root: Path, group: str | None) -> Source:
    folders = _folders(root)
    if not folders:
        held = "pictures" if any(_is_picture(file) for file in root.iterdir()) else "nothing to read"
        raise DataError(f"{root} has no class folders, but {held}: expected one folder of pictures for each class.")
    roots, notes = _split_folders(root, folders)
    labels = sorted_labels(folder.name for folder in _folders(roots["train"]))
    splits, ignored, column, size = {}, [], None, 0
    for split, folder in roots.items():
        files, numbers, others = _labelled_files(root, folder, labels, split)
        ignored += others
        size += sum(map(stored, files))
        groups, column = _groups(files, folder, root, group)
        splits[split] = Pictures(
            np.array(numbers, np.int64), groups, partial(_read_file, files), [str(file) for file in files].__getitem__
        )
    if ignored:
        notes += (f"{len(ignored)} files are no pictures by their names and are left out: {ignored[0]}, …",)
    return Source(labels, splits, column, notes=notes, stored=size)


def _split_folders(root: Path, folders: list[Path]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The folder of each split, and a note about folders that are no split; the root itself where there are none."""
    roots: dict[str, Path] = {}
    for folder in folders:
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None:
            continue
        if split in roots:
            raise DataError(f"{roots[split]} and {folder} are both the {split} split: leave one of them.")
        roots[split] = folder
    if not roots:
        return {"train": root}, ()
    if "train" not in roots:
        names = " and ".join(folder.name for folder in roots.values())
        raise DataError(
            f"{root} has the split {names} but no train: expected train/ with one folder of pictures a class. If "
            f"{names} is a class, give it another name."
        )
    others = [folder.name for folder in folders if folder not in roots.values()]
    notes = (f"Folders that are no split are left out: {', '.join(others)}.",) if others else ()
    return roots, notes


def _labelled_files(
    root: Path, folder: Path, labels: Sequence[str], split: str
) -> tuple[list[Path], list[int], list[Path]]:
    """The pictures of a split's class folders, their class numbers, and the files that are no pictures."""
    files: list[Path] = []
    numbers: list[int] = []
    ignored: list[Path] = []
    known_labels = {label: number for number, label in enumerate(labels)}
    for class_folder in _folders(folder):
        if class_folder.name not in known_labels:
            known = ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
            raise DataError(f"{class_folder}: {class_folder.name!r} is not one of the training classes ({known}).")
        found = [file for file in sorted(class_folder.rglob("*")) if file.is_file() and _visible(file, root)]
        there = [file for file in found if _is_picture(file)]
        ignored += [file for file in found if not _is_picture(file)]
        if not there and split == "train":
            raise DataError(f"The class folder {class_folder} is empty: expected at least two pictures in it.")
        check_inside(there, root)
        files += there
        numbers += [known_labels[class_folder.name]] * len(there)
    if not files:
        if any(_is_picture(file) for file in folder.iterdir()):
            raise DataError(
                f"{folder} has pictures without class folders, so their labels are missing: expected one folder of "
                "pictures a class."
            )
        raise DataError(f"{folder} has no pictures: expected one folder of pictures for each class.")
    return files, numbers, ignored


def _folders(root: Path) -> list[Path]:
    found = sorted(path for path in root.iterdir() if path.is_dir() and _visible(path, root))
    if link := next((path for path in found if path.is_symlink()), None):  # to all of the disk, or to the root again
        raise DataError(f"{link} is a link to a folder: copy that folder to its place.")
    return found


def _visible(path: Path, root: Path) -> bool:
    return not any(part.startswith((".", "__")) for part in path.relative_to(root).parts)


def _is_picture(path: Path) -> bool:
    return path.name.lower().endswith(FILES)


def _read_file(files: list[Path], row: int) -> bytes:
    try:
        return read_bytes(files[row])
    except OSError as error:
        raise DataError(f"{files[row]} cannot be read: {error.strerror}.") from error


def _groups(
    files: list[Path], folder: Path, root: Path, group: str | None
) -> tuple[list[str], str] | tuple[None, None]:
    """Who wrote each file, and the column that says so, from metadata.csv; (None, None) where there is none."""
    table = next((base / who_wrote.METADATA for base in (folder, root) if (base / who_wrote.METADATA).is_file()), None)
    if table is not None:
        check_inside([table], root)
        return who_wrote.of_files(files, table, group)
    if group not in (None, who_wrote.NO_GROUP):
        what = f"a column {group!r} that says who wrote each picture"
        raise DataError(f"{folder} has no {who_wrote.METADATA}: expected one with {what}.")
    return None, None


# Parquet and dataset repos


def _files_by_split(files: Sequence[Path], root: Path) -> dict[str, list[Path]]:
    """Return the parquet files of a folder by split: what their names say, else their folders; else all are "train".

    Nothing else in the folder is asked: `datasets` would follow what a README names outside it.
    """
    found: dict[str, list[Path]] = {}
    for file in files:
        parts = reversed(file.relative_to(root).parts)
        words = [word for part in parts for word in re.split(r"[^a-z]+", part.lower())]
        split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "")
        found.setdefault(split, []).append(file)
    if set(found) == {""}:
        found = {"train": found[""]}
    for split, of_it in found.items():
        if split and len(folders := sorted({str(file.parent) for file in of_it})) > 1:
            raise DataError(f"{root} has several {split} splits, in {' and '.join(folders)}: name one folder of them.")
    return {split: of_it for split, of_it in found.items() if split}


def _read_repo(
    location: str,
    group: str | None,
    where: str,
    repo: str | None = None,
    tables: Mapping[str, list[Path]] | None = None,
) -> Source:
    import datasets
    import pyarrow.parquet

    try:
        if repo is not None:
            commit, paths = unpacking.files_of_repo(repo)  # and nothing else of the repo is read
            size = hub.stored(repo, set(paths), commit)
            found = {split: Table(rows.data.table, rows.features) for split, rows in of_hub(repo, commit, size).items()}
        else:
            files = [file for of_split in (tables or {}).values() for file in of_split]
            size = sum(map(stored, files))
            unpacking.check(files)
            hub_cache.check_prepared(location)
            schema = pyarrow.parquet.read_schema(files[0])
            features, plain = map(_features, (schema, schema.remove_metadata()))
            patterns = {split: [*map(pattern_of, of_split)] for split, of_split in (tables or {}).items()}
            read = datasets.load_dataset(location, features=plain, data_files=patterns)
            found = {split: Table(rows.data.table, features) for split, rows in read.items()}
    except unreadable() as error:
        raise DataError(f"{where} cannot be read as a dataset: {str(error).strip().splitlines()[0]}") from error
    by_split = {SPLIT_NAMES[name]: rows for name, rows in found.items() if name in SPLIT_NAMES}
    if "train" not in by_split:
        raise DataError(f"{where} has no train split: it has {', '.join(found)}.")
    first = by_split["train"]
    image = _column(first, ("image", "img", "picture"), datasets.Image, "of pictures", where)
    label = _column(first, ("label", "labels", "class", "character"), datasets.ClassLabel, "of labels", where)
    column = who_wrote.column(first.stored.column_names, group, where)
    labels = _label_names(by_split, label, where)
    splits = {}
    for split, rows in by_split.items():
        lacking = {image, label, *([column] if column else [])} - set(rows.stored.column_names)
        if lacking:
            raise DataError(f"{where}, split {split!r}, lacks the column {' and '.join(sorted(lacking))}.")
        place = partial(_row_place, where, split)
        groups = None if column is None else _names(rows, column, "who wrote a sample", where, float, NoneType)
        splits[split] = Pictures(
            _label_numbers(rows, label, labels, place), groups, _bytes_of(rows, image, place, _root_of(where)), place
        )
    ignored = sorted(set(found) - {name for name in found if name in SPLIT_NAMES})
    notes = (f"The splits {', '.join(ignored)} are left out.",) if ignored else ()
    return Source(labels, splits, column, repo, notes, size)


def _column(rows: Table, names: Iterable[str], kind: type, what: str, where: str) -> str:
    """Return the column of that name, else the only one of that kind."""
    for name in names:
        if name in rows.stored.column_names:
            return name
    of_kind = [name for name, feature in rows.features.items() if isinstance(feature, kind)]
    if len(of_kind) == 1:
        return str(of_kind[0])
    expected = " or ".join(names)
    raise DataError(
        f"{where} has no column {what}: expected {expected}, there is {', '.join(rows.stored.column_names)}."
    )


def _features(schema: "pyarrow.Schema") -> "datasets.Features":
    import datasets

    try:
        return datasets.Features.from_arrow_schema(schema)
    except Exception as error:  # of many kinds, whatever `datasets` finds wrong with a stranger's JSON
        raise ValueError(f"its columns are of no kind that `datasets` knows: {type(error).__name__}") from error


def _names(rows: Table, column: str, what: str, where: str, *also: type) -> list[str]:
    """Return a column of names or numbers."""
    values = rows.values(column)
    if not all(isinstance(value, (int, str, *also)) for value in values):
        kind = rows.stored.schema.field(column).type
        raise DataError(f"{where}: the column {column} holds {kind}, expected {what}: whole numbers or names.")
    return list(map(str, values))


def _label_names(by_split: Mapping[str, Table], label: str, where: str) -> tuple[str, ...]:
    import datasets

    feature = by_split["train"].features[label]
    if isinstance(feature, datasets.ClassLabel):
        return _classes(feature, where)
    return sorted_labels(_names(by_split["train"], label, "classes", where))


def _classes(feature: "datasets.ClassLabel", place: str) -> tuple[str, ...]:
    """Return what a table calls its classes; DataError unless all are text."""
    if wrong := [name for name in feature.names if not isinstance(name, str)]:
        raise DataError(f"{place}: a class is called {wrong[0]!r:.80}, expected text.")
    return tuple(feature.names)


def _label_numbers(rows: Table, label: str, labels: tuple[str, ...], place: Callable[[int], str]) -> np.ndarray:
    import datasets

    values = rows.values(label)
    if isinstance(rows.features[label], datasets.ClassLabel):
        names = _classes(rows.features[label], place(0))
        if names != labels:
            raise DataError(f"{place(0)}: its classes are {', '.join(names)}, those of train {', '.join(labels)}.")
        known: dict[Any, int] = {number: number for number in range(len(names))}
    else:
        values = [str(value) for value in values]
        known = {name: number for number, name in enumerate(labels)}
    for row, value in enumerate(values):
        if value not in known:
            raise DataError(f"{place(row)}: the label {value!r} is not in the list of {len(labels)} labels.")
    return np.array([known[value] for value in values], np.int64)


def _root_of(where: str) -> Path | None:
    """Return the folder whose files a table may name; None for a repo on the Hub, which has its pictures in it."""
    path = Path(where).expanduser()
    return path if path.is_dir() else path.parent if path.is_file() else None


def _bytes_of(rows: Table, image: str, place: Callable[[int], str], root: Path | None) -> Callable[[int], bytes]:
    column = rows.stored[image].combine_chunks()

    def encoded(row: int) -> bytes:
        value = column[row].as_py()
        if isinstance(value, dict) and value.get("bytes") is None and value.get("path"):
            path = Path(value["path"])
            if root is None or not (path := root / path).resolve().is_relative_to(root.resolve()):
                raise DataError(f"{place(row)}: the picture {value['path']!r} is outside what was named.")
            return _read_file([path], 0)
        value = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(value, bytes):
            raise DataError(f"{place(row)}: expected a picture, not {type(value).__name__}.")
        return value

    return encoded


def _row_place(where: str, split: str, row: int) -> str:
    return f"{where}, split {split!r}, row {row}"


def sorted_labels(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names in the order that people expect: numbers by their value, before words."""

    def key(name: str) -> list[tuple[int, Decimal, str]]:  # a whole number of Python's has at most 4,300 digits
        parts = [part for part in re.split(r"(\d+)", name) if part]
        return [(0, Decimal(part), "") if part.isdecimal() else (1, Decimal(), part) for part in parts]

    return tuple(sorted(set(names), key=key))
