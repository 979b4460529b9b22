"""The datasets: what they are, how a split becomes arrays, and whether it is the data we think it is.

Every dataset is a Hugging Face dataset repo, read with `datasets` from the folder that `ZOO_DATASETS` names, else from
the Hub; `optdigits` comes with scikit-learn and needs neither. Adding a dataset is one entry of `DATASETS`. What a user
brings (`zoo.ingest.user_data`) has its entry beside its data; and `<dataset>_fold2of5` is any dataset with another part held
out, for cross-validation.
"""

import functools
import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo import ink
from zoo.data import held_out, parquet
from zoo.errors import DataError, UnknownName
from zoo.files import read_json
from zoo.pages import views
from zoo.recipes import Augmentation
from zoo.settings import namespace, user_datasets

SPLITS = ("train", "validation", "test")
ENTRY = "dataset.json"  # a user's dataset: its `DatasetSpec`, beside its data
NAME = re.compile(r"[a-z]\w*", re.ASCII)
_FOLD = re.compile(r"(\w+)_fold(\d+)of(\d+)", re.ASCII)


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a dataset without reading it."""

    name: str
    title: str
    labels: tuple[str, ...]  # what the classes are called, in the order of their numbers
    script: str  # "latin" or "arabic"
    image_shape: tuple[int, int, int] | None  # height, width, channels; None: pages of varied size
    fingerprints: Mapping[str, str]  # of the source splits, see `fingerprint`
    source: str  # where it comes from, and who is to be cited
    repo: str | None = None  # on the Hub; None: the namespace's own mirror
    group: str | None = None  # the column that says who wrote a sample
    validation: range | int = 5000  # groups held out of the training split, or its last n rows
    contract: ink.Contract | None = None  # how ink becomes an image of this dataset; None: pages
    augmentation: Augmentation | None = None  # what this script bears without becoming another character
    batch_size: int = 128  # at most, in a `zoo` recipe: a small dataset needs more, smaller steps
    view: views.Patches | None = None  # what most networks see of a sample; None: the whole image
    passes: int = 1  # times the epochs of a `zoo` recipe, which are meant for some 60,000 samples
    fold: tuple[str, int, int] | None = None  # of which dataset, the number from 1 of the part that tests, of how many

    @property
    def hub_id(self) -> str:
        """The dataset's repo on the Hub."""
        return self.repo or f"{namespace()}/{self.name}"

    @property
    def scored(self) -> str:
        """The split that scores are measured on: "test", or "validation" where there is no test split."""
        return "test" if self.fold or "test" in self.fingerprints else "validation"

    @property
    def scored_fingerprint(self) -> str:
        """The fingerprint of the source split that scores are measured on."""
        return self.fingerprints["train" if self.fold or self.scored == "validation" else "test"]

    def to_dict(self) -> dict:
        """Return plain JSON types; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "DatasetSpec":
        """Rebuild a user's dataset, whose last rows validate; an unknown field raises TypeError."""
        nested: dict[str, Callable] = {
            "contract": ink.Contract.from_dict,
            "augmentation": lambda fields: Augmentation(**fields),
        }
        read: dict[str, Callable] = {"labels": tuple, "image_shape": tuple, **nested}
        return cls(**{k: read[k](v) if k in read and v is not None else v for k, v in values.items()})


@dataclass(frozen=True)
class Split:
    """Samples as arrays, in the order of their rows.

    images: uint8 (N, H, W, 1), 0 is background and 255 full ink; pages: a tuple of uint8 (H, W, 1), dark on light.
    labels: int64 (N,), index into the dataset's labels.
    groups: int32 (N,), the writer or block of each sample; None where it is unknown.
    fingerprint: SHA-256 of the whole source split (train for validation too).
    """

    images: Any
    labels: np.ndarray
    groups: np.ndarray | None
    fingerprint: str

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Split":
        """Return the samples where the boolean mask `rows` is true."""
        if isinstance(self.images, tuple):
            images = tuple(image for image, kept in zip(self.images, rows, strict=True) if kept)
        else:
            images = self.images[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Split(images, self.labels[rows], groups, self.fingerprint)


_DIGITS = tuple("0123456789")
_ARABIC_DIGITS = tuple("٠١٢٣٤٥٦٧٨٩")
_ARABIC_LETTERS = tuple("أبتثجحخدذرزسشصضطظعغفقكلمنهوي")

DATASETS: Mapping[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="mnist",
            title="MNIST: handwritten digits",
            labels=_DIGITS,
            script="latin",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "3f074c293944a59f39fd5c9df2c5a5c3d51dd07eae26eaec1a8cd80727532538",
                "test": "226d568e56fefdff4d870175fd86df4f7769cdc495dfa2d21bc91ff721b9266f",
            },
            source="LeCun, Cortes and Burges, 1998, the MNIST database of handwritten digits",
            repo="ylecun/mnist",
            contract=ink.MNIST,
            augmentation=Augmentation(rotation=10, scale=0.1, shear=0.1, shift=0.08),
        ),
        DatasetSpec(
            name="ahdd",
            title="AHDD (MADBase): handwritten Arabic-Indic digits",
            labels=_ARABIC_DIGITS,
            script="arabic",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "a4ff2cfd54d3be2ef9f1109dda285baa709d67736df04808909c2121ada1c3b1",
                "test": "c6a0b87c4d774b17eaf690e5960cfd650348ef261bbce07de84e89078b232a9b",
            },
            source="Abdelazeem and El-Sherif, 2008, the Arabic digits databases ADBase and MADBase",
            group="writer",
            validation=range(551, 601),  # 50 of the 600 training writers, 100 samples each
            contract=ink.AHDD,
            augmentation=Augmentation(rotation=12, scale=0.1, shear=0.15, shift=0.07),  # mild scale: zero is a dot
        ),
        DatasetSpec(
            name="ahcd",
            title="AHCD: handwritten Arabic letters",
            labels=_ARABIC_LETTERS,
            script="arabic",
            image_shape=(32, 32, 1),
            fingerprints={
                "train": "eefc58087da7a02bac6514339ef92c457883dce13a059a16e50834d6b3ccb928",
                "test": "2783c6b669d694d91e1e849263b654ac60d2dfbc4eec6356a6fa50f454b86b7d",
            },
            source="El-Sawy, Loey and El-Bakry, 2017, Arabic handwritten characters recognition using CNN",
            group="block",
            validation=range(54, 60),  # 6 of 60 blocks, 224 samples each
            contract=ink.AHCD,
            augmentation=Augmentation(rotation=12, scale=0.1, shear=0.15, shift=0.06),  # nothing that hides a dot
            batch_size=64,
            passes=3,
        ),
        DatasetSpec(
            name="pages70",
            title="Pages of handwriting by 70 writers",
            labels=tuple(f"{n:02d}" for n in range(1, 71)),
            script="latin",
            image_shape=None,
            fingerprints={
                "train": "6e4bc2c6e17def91cda33fb2afe58daae60d81d6ea0197ba9394b0155ae6e968",
                "test": "b5f522c908583ef0cde84f356f2221b227d2929cf8290fdb45ecd28e1066e1c4",
            },
            source="a public set of English pages, one a writer, with two strips a writer for testing",
            validation=0,  # one page a class: what is held out are strips of it, not rows
            view=views.Patches(),
            augmentation=Augmentation(rotation=7.2, shift=0.05, scale=0.05, contrast=0.2),
            batch_size=32,  # a patch is of a hundred times a glyph's pixels, and takes as much more memory
        ),
        DatasetSpec(
            name="optdigits",
            title="Optical recognition of handwritten digits, 8 x 8",
            labels=_DIGITS,
            script="latin",
            image_shape=(8, 8, 1),
            fingerprints={
                "train": "4c0d233a70da7d5de308e22e2b0fbc628e31b60a271c84e2d22599958e6a4bf6",
                "test": "8fcbfd35ea8359cfe13c560e0cabdadad51dd988a8b84eab68a03eb7dac1e272",
            },
            source="Alpaydin and Kaynak, 1998, UCI repository; the 1,797 digits that scikit-learn bundles",
            validation=143,  # 10% of the training rows
            contract=ink.OPTDIGITS,
            augmentation=Augmentation(),  # eight pixels bear no warp: measured, it only blurs
            batch_size=16,
        ),
    )
}
_OPTDIGITS_TEST = 360  # last rows of scikit-learn's 1,797, by other writers than the first


def get(name: str) -> DatasetSpec:
    """Return a dataset's entry; UnknownName lists the nearest."""
    if name in DATASETS:
        return DATASETS[name]
    if match := _FOLD.fullmatch(name):
        base, number, count = match[1], int(match[2]), int(match[3])
        return replace(get(base), name=name, fold=(base, number, count))
    entry = user_datasets() / name / ENTRY
    if not NAME.fullmatch(name) or not entry.is_file():
        raise UnknownName("dataset", name, names())
    try:
        return DatasetSpec.from_dict(read_json(entry))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{entry} is not the entry of a dataset: {error!r}.") from error


def names() -> tuple[str, ...]:
    """Return the names of all datasets: the zoo's, then the users'."""
    return (*DATASETS, *sorted(path.parent.name for path in user_datasets().glob(f"*/{ENTRY}")))


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
    source = _load_source(name, "test" if split == "test" else "train", _location(spec))
    if split in ("test", "train+validation"):
        return source
    held_out = _validation_rows(spec, source)
    return source.take(held_out if split == "validation" else ~held_out)


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
    if location := _location(spec):
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
    held_out = held_out.validation(rest.labels, rest.groups)
    return rest.take(held_out if split == "validation" else ~held_out)


def filenames(name: str, split: str) -> list[str]:
    """Return what the files of a source split ("train" or "test") are called, row by row.

    Where the dataset does not keep their names, they are called by their split and row.
    """
    spec = get(name)
    if location := _location(spec):
        table = parquet.read_table(spec, split, location)
        if "filename" in table.column_names:
            return table["filename"].to_pylist()
    return [f"{split}-{row:05d}" for row in range(len(load(name, "test" if split == "test" else "train+validation")))]


def fingerprint(images, labels: np.ndarray) -> str:
    """Return the SHA-256 over, sample by sample, the grey pixels (uint8, row by row) and the label.

    A label is one byte, or two (little-endian) where there is one above 255.
    """
    digest = hashlib.sha256()
    labels = labels.astype("<u2" if labels.max(initial=0) > 255 else "u1")[:, None].view(np.uint8)
    if isinstance(images, np.ndarray):
        digest.update(np.concatenate([images.reshape(len(images), -1), labels], axis=1))
    else:
        for image, label in zip(images, labels, strict=True):
            digest.update(np.ascontiguousarray(image))
            digest.update(label)
    return digest.hexdigest()


def _location(spec: DatasetSpec) -> str:
    """Return the folder or the Hub id to read from, or "" for the bundled copy."""
    if spec.name not in DATASETS:
        return str((user_datasets() / spec.name).resolve())
    root = os.environ.get("ZOO_DATASETS")
    if root and (Path(root) / spec.name).is_dir():
        return str((Path(root) / spec.name).resolve())
    return "" if spec.name == "optdigits" else spec.hub_id


@functools.lru_cache(maxsize=4)  # train and validation share one decoding; 60,000 images take 47 MB
def _load_source(name: str, split: str, location: str) -> Split:
    spec = get(name)
    images, labels, groups = parquet.read(spec, split, location) if location else _read_bundled(split)
    for array in (images, labels, groups):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False  # shared by every caller
    found = fingerprint(images, labels)
    if found != spec.fingerprints[split]:
        warnings.warn(
            f"{location or name}: split {split!r} is not the {name} that the records were measured on "
            f"(fingerprint {found[:12]}…, expected {spec.fingerprints[split][:12]}…); scores will not compare.",
            stacklevel=3,
        )
    return Split(images, labels, groups, found)


def _validation_rows(spec: DatasetSpec, source: Split) -> np.ndarray:
    """Return a boolean mask (N,) of the training rows that are held out: the same ones every time."""
    if isinstance(spec.validation, range):
        if source.groups is None:
            raise DataError(f"{spec.name} has no column {spec.group!r}, by which validation is held out.")
        return np.isin(source.groups, spec.validation)
    return np.arange(len(source)) >= len(source) - spec.validation


def _read_bundled(split: str) -> tuple[np.ndarray, np.ndarray, None]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]  # 0..16 -> 0..255
    rows = slice(-_OPTDIGITS_TEST, None) if split == "test" else slice(None, -_OPTDIGITS_TEST)
    return images[rows].copy(), digits.target[rows].astype(np.int64), None
