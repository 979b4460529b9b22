"""Reading a dataset: from `ZOO_DATASETS`, the Hub, scikit-learn or a user's own folder, as arrays, and checked.

Every dataset is a Hugging Face dataset repo, read with `datasets` from the folder that `ZOO_DATASETS` names, else from
the Hub; `optdigits` comes with scikit-learn and needs neither. The entry of a user's dataset (`zoo.ingest.user_data`)
lies next to its data. A composite entry, such as `alnum`, is put together from the datasets that it names.
`<dataset>_fold2of5` is any dataset with another part held out, for cross-validation.
"""

import functools
import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from zoo import settings
from zoo.data import held_out, parquet
from zoo.data.catalog import DATASETS
from zoo.data.spec import DatasetSpec, Split, fingerprint
from zoo.errors import DataError, UnknownName, ZooError
from zoo.files import read_json

SPLITS = ("train", "validation", "test")
ENTRY = "dataset.json"  # a user's dataset: its `DatasetSpec`, next to its data
NAME = re.compile(r"[a-z]\w*", re.ASCII)
_FOLD = re.compile(r"(\w+)_fold(\d+)of(\d+)", re.ASCII)
_OPTDIGITS_TEST = 360  # last rows of scikit-learn's 1,797, by other writers than the first


def get(name: str) -> DatasetSpec:
    """Return a dataset's entry; UnknownName lists the nearest."""
    if name in DATASETS:
        return DATASETS[name]
    if match := _FOLD.fullmatch(name):
        base, number, count = match[1], int(match[2]), int(match[3])
        return replace(get(base), name=name, fold=(base, number, count))
    entry = settings.user_datasets() / name / ENTRY
    if not NAME.fullmatch(name) or not entry.is_file():
        raise UnknownName("dataset", name, names())
    try:
        return DatasetSpec.from_dict(read_json(entry), name)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, ZooError) as error:
        raise DataError(f"{entry} is not the entry of a dataset: {error!r}.") from error


def names() -> tuple[str, ...]:
    """Return the names of all datasets: the zoo's, then the users'."""
    return (*DATASETS, *sorted(path.parent.name for path in settings.user_datasets().glob(f"*/{ENTRY}")))


def fold(name: str, number: int, count: int) -> str:
    """Return the name of a dataset of which part `number`, from 1, of `count` is the test split."""
    return f"{name}_fold{number}of{count}"


def load(name: str, split: str = "train") -> Split:
    """Return one split of a dataset as arrays.

    Args:
        name: a key of `DATASETS`, a user's dataset, or a fold of one of those.
        split: "train" (without the validation samples), "validation", "test", or "train+validation".

    Raises:
        UnknownName: no such dataset or split.
        DataError: it is not there, or a row of it is broken; names the file and the row.
    """
    spec = get(name)
    if split not in (*SPLITS, "train+validation"):
        raise UnknownName("split", split, (*SPLITS, "train+validation"))
    if spec.fold:
        return _load_fold(spec, split)
    if split == "test" and spec.scored != "test":
        raise DataError(f"{name} has no test split: its scores are those of its validation samples.")
    source = _load_source(name, "test" if split == "test" else "train", source_of(spec))
    if split in ("test", "train+validation"):
        return source
    validates = _validation_rows(spec, source)
    return source.take(validates if split == "validation" else ~validates)


def stream(name: str, split: str = "test", batch: int = 2000) -> Iterator[Split]:
    """Yield a source split in parts of `batch` samples, each with an empty fingerprint: one part at a time is held.

    Args:
        name: a key of `DATASETS` or a user's dataset.
        split: "train" (with the validation samples) or "test".
        batch: samples a part, at least 1; the last part may have fewer.

    Raises:
        UnknownName, DataError: as `load`.
    """
    spec = get(name)
    if split not in ("train", "test"):
        raise UnknownName("source split", split, ("train", "test"))
    if location := source_of(spec):
        for images, labels, groups in parquet.stream(spec, split, location, batch):
            yield Split(images, labels, groups, "")
        return
    whole = _load_source(name, split, location)
    for start in range(0, len(whole), batch):
        rows = slice(start, start + batch)
        yield Split(whole.images[rows], whole.labels[rows], None, "")


def _load_fold(spec: DatasetSpec, split: str) -> Split:
    """Return a split of a fold: one part of the base's training rows tests, a share of the others validates."""
    assert spec.fold is not None
    base, number, count = spec.fold
    source = load(base, "train+validation")
    if not 1 <= number <= count or count < 2:
        raise DataError(f"{spec.name}: folds are numbered from 1 to how many there are, and there are at least two.")
    if spec.image_shape is None:
        raise DataError(f"{base} has one page a class, which cannot be divided into folds.")
    tests = held_out.folds(source.labels, source.groups, count) == number - 1
    if split == "test":
        return source.take(tests)
    rest = source.take(~tests)
    if split == "train+validation":
        return rest
    validates = held_out.validation(rest.labels, rest.groups)
    return rest.take(validates if split == "validation" else ~validates)


def filenames(name: str, split: str) -> list[str]:
    """Return what the files of a source split ("train" or "test") are called, row by row.

    Where the dataset does not keep their names, they are called by their split and row.
    """
    spec = get(name)
    if location := source_of(spec):
        table = parquet.read_table(spec, split, location)
        if "filename" in table.column_names:
            import pyarrow

            names: list[str] = parquet.column(table, "filename", pyarrow.string(), lambda: location).to_pylist()
            return names
    return [f"{split}-{row:05d}" for row in range(len(load(name, "test" if split == "test" else "train+validation")))]


def source_of(spec: DatasetSpec) -> str:
    """Return the folder or the Hub id to read from, or "" for the bundled copy and for what is put together."""
    if spec.name not in DATASETS:
        return str((settings.user_datasets() / spec.name).resolve())
    root = settings.folder("ZOO_DATASETS")
    if root and (root / spec.name).is_dir():
        return str((root / spec.name).resolve())
    return "" if spec.parts or spec.name == "optdigits" else spec.hub_id


@functools.lru_cache(
    maxsize=8
)  # as many as the splits of alnum and its parts; train and validation share one decoding; 60,000 images take 47 MB
def _load_source(name: str, split: str, location: str) -> Split:
    spec = get(name)
    if location:
        images, labels, groups = parquet.read_split(spec, split, location)
    else:
        images, labels, groups = _composed(spec, split) if spec.parts else _read_bundled(split)
    found = fingerprint(images, labels)
    if groups is None and spec.writers_file and found == spec.fingerprints[split]:
        groups = known_writers(name, split)  # of exactly these rows in exactly this order
    for array in (images, labels, groups):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False  # shared by every caller
    compared = [("fingerprint", found, spec.fingerprints[split])]
    if groups is not None and split in spec.written_by:
        writers = hashlib.sha256(groups.astype("<i4").tobytes()).hexdigest()
        compared.append((f"fingerprint of who is its {spec.group}", writers, spec.written_by[split]))
    for what, given, expected in compared:
        if given == expected:
            continue
        difference = (
            f"{location or name}: split {split!r} is not the {name} that the records were measured on "
            f"({what} {given[:12]}…, expected {expected[:12]}…)"
        )
        if name not in settings.other_copies():
            raise DataError(f"{difference}; set ZOO_OTHER_COPIES={name} to use it all the same.")
        warnings.warn(f"{difference}; scores will not compare.", stacklevel=3)
    return Split(images, labels, groups, found)


def _validation_rows(spec: DatasetSpec, source: Split) -> np.ndarray:
    """Return a boolean mask (N,) of the training rows that are held out: the same ones every time."""
    if not isinstance(spec.validation, int):
        if source.groups is not None:
            return np.isin(source.groups, list(spec.validation))
        if spec.writers_file:  # another copy of the data: nobody knows who wrote its rows
            return held_out.validation(source.labels, None)
        raise DataError(f"{spec.name} has no column {spec.group!r}, by which validation is held out.")
    if spec.validation >= len(source):
        raise DataError(f"{spec.name} has {len(source)} rows, and {spec.validation} are to validate: none trains.")
    return np.arange(len(source)) >= len(source) - spec.validation


def known_writers(name: str, what: str) -> np.ndarray:
    """Return what `zoo/data/writers` knows of a dataset whose repo does not say who wrote its samples.

    For mnist: who wrote each row, as QMNIST found out (Yadav and Bottou, 2019, "Cold case: the lost MNIST digits").

    Args:
        name: of the dataset.
        what: "train" or "test", the writer of each row of that split; or a population, the writers who belong to it.

    Returns:
        int32 (N,).
    """
    with np.load(Path(__file__).parent / "writers" / f"{name}.npz") as known:
        numbers: np.ndarray = known[what].astype(np.int32)
    return numbers


def _composed(spec: DatasetSpec, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of a composite entry: those of its parts one after another, with its own labels."""
    images, labels, groups = [], [], []
    for name, added in spec.parts.items():
        part, source = get(name), load(name, "test" if split == "test" else "train+validation")
        if source.groups is None:
            raise DataError(f"{spec.name} needs to know who wrote each sample of {name}, and this copy does not say.")
        images.append(source.images)
        labels.append(np.array([spec.labels.index(label) for label in part.labels])[source.labels])
        groups.append(source.groups + np.int32(added))
    return np.concatenate(images), np.concatenate(labels), np.concatenate(groups)


def _read_bundled(split: str) -> tuple[np.ndarray, np.ndarray, None]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]  # 0..16 -> 0..255
    rows = slice(-_OPTDIGITS_TEST, None) if split == "test" else slice(None, -_OPTDIGITS_TEST)
    return images[rows].copy(), digits.target[rows].astype(np.int64), None
