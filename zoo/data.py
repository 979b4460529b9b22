"""The datasets: what they are, how a split becomes arrays, and whether it is the data we think it is.

Every dataset is a Hugging Face dataset repo, read with `datasets` from the folder that `ZOO_DATASETS` names, else from
the Hub; `optdigits` comes with scikit-learn and needs neither. Adding a dataset is one entry of `DATASETS`.
"""

import functools
import hashlib
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from zoo import ink, views
from zoo.errors import DataError, UnknownName
from zoo.recipes import Augmentation
from zoo.settings import namespace

SPLITS = ("train", "validation", "test")


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
    view: views.Patches | None = None  # what a network sees of a sample; None: the whole image
    passes: int = 1  # times the epochs of a `zoo` recipe, which are meant for some 60,000 samples

    @property
    def hub_id(self) -> str:
        """The dataset's repo on the Hub."""
        return self.repo or f"{namespace()}/{self.name}"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what a network sees."""
        return self.image_shape if self.view is None else self.view.input_shape


@dataclass(frozen=True)
class Split:
    """Samples as arrays, in the order of their rows.

    images: uint8 (N, H, W, 1), 0 is background and 255 full ink; pages: a tuple of uint8 (H, W, 1), dark on light.
    labels: int64 (N,), index into the dataset's labels.
    groups: int32 (N,), the writer or block of each sample; None where it is unknown.
    fingerprint: SHA-256 of the whole source split (train for validation too).
    """

    images: np.ndarray | tuple[np.ndarray, ...]
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
    if name not in DATASETS:
        raise UnknownName("dataset", name, DATASETS)
    return DATASETS[name]


def load(name: str, split: str = "train") -> Split:
    """Return one split of a dataset as arrays.

    Args:
        name: a key of `DATASETS`.
        split: "train" (without the validation samples), "validation", "test", or "train+validation".

    Raises:
        UnknownName: no such dataset or split.
        DataError: it is not there, or a row of it is broken; names the file and the row.
    """
    spec = get(name)
    if split not in (*SPLITS, "train+validation"):
        raise UnknownName("split", split, (*SPLITS, "train+validation"))
    source = _load_source(name, "test" if split == "test" else "train", _location(spec))
    if split in ("test", "train+validation"):
        return source
    held_out = _validation_rows(spec, source)
    return source.take(held_out if split == "validation" else ~held_out)


def fingerprint(images, labels: np.ndarray) -> str:
    """Return the SHA-256 over, sample by sample, the grey pixels (uint8, row by row) and the label as one byte."""
    digest = hashlib.sha256()
    if isinstance(images, np.ndarray):
        rows = images.reshape(len(images), -1)
        digest.update(np.concatenate([rows, labels[:, None].astype(np.uint8)], axis=1))
    else:
        for image, label in zip(images, labels, strict=True):
            digest.update(np.ascontiguousarray(image))
            digest.update(bytes([label]))
    return digest.hexdigest()


def _location(spec: DatasetSpec) -> str:
    """Return the folder or the Hub id to read from, or "" for the bundled copy."""
    root = os.environ.get("ZOO_DATASETS")
    if root and (Path(root) / spec.name).is_dir():
        return str((Path(root) / spec.name).resolve())
    return "" if spec.name == "optdigits" else spec.hub_id


@functools.lru_cache(maxsize=4)  # train and validation share one decoding; 60,000 images take 47 MB
def _load_source(name: str, split: str, location: str) -> Split:
    spec = DATASETS[name]
    images, labels, groups = _read_repo(spec, split, location) if location else _read_bundled(split)
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


def _read_repo(spec: DatasetSpec, split: str, location: str):
    """Read and decode one split of a dataset repo, local or on the Hub."""
    table = _read_table(spec, split, location)
    row_name = functools.partial(_row_name, location, split)
    labels = table["label"].to_numpy().astype(np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(spec.labels)))
    if len(wrong):
        raise DataError(
            f"{row_name(wrong[0])}: label {labels[wrong[0]]} is not one of the {len(spec.labels)} classes of "
            f"{spec.name} (0 to {len(spec.labels) - 1}); {len(wrong)} of {len(labels)} rows are wrong."
        )
    encoded = table["image"].combine_chunks().field("bytes").to_pylist()
    images = _decode(encoded, spec.image_shape, row_name)
    groups = table[spec.group].to_numpy().astype(np.int32) if spec.group in table.column_names else None
    return images, labels, groups


def _read_table(spec: DatasetSpec, split: str, location: str):
    """Return the split as an Arrow table with the columns `image` and `label`, images still encoded."""
    import datasets
    import pyarrow

    try:
        table = datasets.load_dataset(location, split=split).data.table
    except (OSError, ValueError, datasets.exceptions.DatasetsError, pyarrow.ArrowException) as error:
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


def _decode(encoded: list[bytes | None], shape: tuple[int, int, int] | None, row_name):
    """Decode PNGs to grey: into one array (N, H, W, 1) of the given shape, or each to its own size."""
    pages: list = [None] * len(encoded)
    images = None if shape is None else np.empty((len(encoded), *shape), np.uint8)

    def decode_rows(rows: range) -> None:
        for row in rows:
            data = np.frombuffer(encoded[row] or b"\0", np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
            if image is None:
                raise DataError(f"{row_name(row)}: the image cannot be decoded ({len(data)} bytes).")
            if shape is not None and image.shape != shape[:2]:
                raise DataError(f"{row_name(row)}: the image is {image.shape[:2]}, expected {shape[:2]} pixels.")
            if images is None:
                pages[row] = image[..., None]
            else:
                images[row, :, :, 0] = image

    step = 2000  # OpenCV frees the interpreter lock while it decodes
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode_rows, (range(i, min(i + step, len(encoded))) for i in range(0, len(encoded), step))))
    return tuple(pages) if images is None else images


def _row_name(location: str, split: str, row: int) -> str:
    """Say which row of which file the given row of a split is."""
    import pyarrow.parquet

    first = 0
    for file in sorted(Path(location).glob(f"**/{split}-*.parquet")):
        count = pyarrow.parquet.read_metadata(file).num_rows
        if row < first + count:
            return f"{file}, row {row - first}"
        first += count
    return f"{location}, split {split!r}, row {row}"
