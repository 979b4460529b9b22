"""What a dataset is: its entry (`DatasetSpec`), a split of it as arrays (`Split`), and its fingerprint."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from typing import Any

import numpy as np

from zoo.ink.contract import Contract
from zoo.pages.patches import Patches
from zoo.published import CONTROLS, MOST_LABELS
from zoo.recipes import Augmentation, Recipe
from zoo.settings import namespace
from zoo.typed_json import from_values
from zoo.types import Json


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
    revision: str | None = None  # the commit of that repo; None: the newest, whose fingerprint must be right
    group: str | None = None  # the column that says who wrote a sample
    written_by: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of who did, int32 (N,), of the source splits
    validation: range | tuple[int, ...] | int = 5000  # groups held out of the training split, or its last n rows
    writers_file: bool = False  # whether `zoo/data/writers` knows the groups, where the repo has no such column
    populations: tuple[str, ...] = ()  # of its writers: that file lists all but the last, who are the others
    parts: Mapping[str, int] = field(default_factory=dict)  # of a composite entry: dataset -> added to writers' numbers
    balanced: bool = False  # whether a training epoch has as many samples of each class
    transfers: tuple[str, ...] = ()  # datasets with the same labels in the same order, whose test sets are measured too
    contract: Contract | None = None  # the image contract; None: pages
    augmentation: Augmentation | None = None  # label-preserving augmentation limits
    batch_size: int = 128  # maximum batch size of a `zoo` recipe: a small dataset needs more, smaller batches
    view: Patches | None = None  # default view of a sample; None: the whole image
    heading: str = ""  # what pages call it, in a few words; "": its name
    passes: int = 1  # times the epochs of a `zoo` recipe, which are meant for some 60,000 samples
    fold: tuple[str, int, int] | None = None  # of which dataset, the number from 1 of the part that tests, of how many

    @property
    def hub_id(self) -> str:
        """The dataset's repo on the Hub; a composite entry has only those of its parts."""
        return self.repo or f"{namespace()}/{self.name}"

    @property
    def validation_split(self) -> str:
        """How validation is held out, in words: rows that were chosen on another split do not compare by validation."""
        if isinstance(self.validation, int):
            return f"last {self.validation} rows"
        if isinstance(self.validation, range):
            return f"{self.group}s {self.validation[0]} to {self.validation[-1]}"
        digest = hashlib.sha256(repr(self.validation).encode()).hexdigest()
        return f"{len(self.validation)} {self.group}s ({digest[:8]})"

    @property
    def scored(self) -> str:
        """The split that scores are measured on: "test", or "validation" where there is no test split."""
        return "test" if self.fold or "test" in self.fingerprints else "validation"

    @property
    def scored_fingerprint(self) -> str:
        """The fingerprint of the source split that scores are measured on."""
        return self.fingerprints["train" if self.fold or self.scored == "validation" else "test"]

    def suited(self, recipe: Recipe) -> Recipe:
        """Return a `zoo` recipe as this dataset needs it: what its script allows, its batches, its number of epochs."""
        augmentation = (self.augmentation or Augmentation()).combined(recipe.augmentation)
        if recipe.damaged is not None:
            augmentation = replace(augmentation, damaged=recipe.damaged)
        return replace(
            recipe,
            augmentation=augmentation,
            batch_size=min(recipe.batch_size, self.batch_size),
            epochs=recipe.epochs * self.passes,
        )

    def to_dict(self) -> Json:
        """Return plain JSON types; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Json, name: str) -> "DatasetSpec":
        """Rebuild a user's dataset, whose last rows validate, from an entry that anybody may have written.

        Raises:
            TypeError: a field is unknown.
            ValueError: it is of another name, or a field has no such value, or only the zoo's own entries have it: an
                entry speaks of nothing but the data next to it.
            ZooError: its contract is none.
        """
        nested: dict[str, Callable[..., Any]] = {
            "contract": Contract.from_dict,
            "augmentation": lambda fields: from_values(Augmentation, fields),
        }
        lists = ("labels", "image_shape", "populations", "transfers")
        read: dict[str, Callable[..., Any]] = {**dict.fromkeys(lists, tuple), **nested}
        made = cls(**{k: read[k](v) if k in read and v is not None else v for k, v in values.items()})
        seen = made.contract or Contract()
        blank = cls(name, "", (), "", (seen.height, seen.width, seen.channels), {}, "")
        for one in fields(cls):
            found = getattr(made, one.name)
            if not (_OF_USERS[one.name](found) if one.name in _OF_USERS else found == getattr(blank, one.name)):
                raise ValueError(f"its {one.name} cannot be {found!r:.80}")
        return made


def _is_line(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 1000 and not CONTROLS.search(text)


def _is_whole(number: object, most: int) -> bool:
    return type(number) is int and 1 <= number <= most


_REPO = re.compile(r"[\w-][\w.-]*/[\w.-]+", re.ASCII)
# Which values a field of a user's entry may have; the others have none of their own.
_OF_USERS: dict[str, Callable[[Any], bool]] = {
    "title": _is_line,
    "labels": lambda found: all(map(_is_line, found)) and 1 < len(set(found)) == len(found) <= MOST_LABELS,
    "script": lambda found: found in ("latin", "arabic"),
    "fingerprints": lambda found: (
        isinstance(found, dict) and {"train"} <= set(found) <= {"train", "test"} and all(map(_is_line, found.values()))
    ),
    "source": _is_line,
    "repo": lambda found: found is None or (_is_line(found) and bool(_REPO.fullmatch(found))),
    "group": lambda found: found in (None, "writer"),
    "validation": lambda found: _is_whole(found, 10**9),
    "augmentation": lambda found: found is None or all(0 <= limit <= 180 for limit in astuple(found)),
    "contract": lambda found: found is not None,
    "batch_size": lambda found: _is_whole(found, 10_000),
    "passes": lambda found: _is_whole(found, 100),
}


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


def fingerprint(images: np.ndarray | Sequence[np.ndarray], labels: np.ndarray) -> str:
    """Return the SHA-256 over, sample by sample, the gray pixels (uint8, row by row) and the label.

    A label is one byte, or two (little-endian) where there is one above 255.
    """
    digest = hashlib.sha256()
    labels = labels.astype("<u2" if labels.max(initial=0) > 255 else "u1")[:, None].view(np.uint8)
    if isinstance(images, np.ndarray):
        digest.update(np.concatenate([images.reshape(len(images), -1), labels], axis=1).data)
    else:
        for image, label in zip(images, labels, strict=True):
            digest.update(np.ascontiguousarray(image).data)
            digest.update(label.data)
    return digest.hexdigest()
