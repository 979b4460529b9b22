"""Convert the original downloads of datasets into our splits, and correct what is known to be wrong in them.

`zoo.ingest.file_formats` reads the files. Header rows, copies with light paper, copies with rows and columns exchanged,
and labels counted from one are recognized and corrected; the dataset's card reports what was done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo import data
from zoo.errors import DataError
from zoo.ingest.file_formats import FORMS, SPLITS, Samples, files_below


@dataclass(frozen=True)
class Runs:
    """Groups by position in the file: runs with a fixed number of samples of each class share a writer or block."""

    samples: Mapping[str, int]  # split -> length of a run
    first: Mapping[str, int]  # split -> number of the first group


@dataclass(frozen=True)
class Original:
    """What is known about a dataset in addition to its `DatasetSpec`: checks of the originals, and terms of use."""

    licence: str  # the Hub's identifier
    terms: str
    limits: tuple[str, ...] = ()
    upright: int | None = None  # a class that is a vertical stroke: taller than wide, unless the copy is transposed
    runs: Runs | None = None
    group_is: str = ""  # what the group column says
    columns: Mapping[str, str] = field(default_factory=dict)  # what further columns say


_CITE = "The authors state no licence that is known to us; cite them, and ask them before any commercial use."
_UNIPEN_TERMS = (
    "CC BY 4.0, as the repository that publishes the release states. The `CDROM-README` of 1999 in the same release "
    "contradicts it: it allows research, forbids distribution for commercial purposes, and asks that writers and "
    "donors not be named. So writers are numbers here. Clear this up before any commercial use."
)


def _unipen(*limits: str, **columns: str) -> "Original":
    """Return what the three parts of UNIPEN have in common."""
    return Original(
        licence="cc-by-4.0",
        terms=_UNIPEN_TERMS,
        group_is="who wrote it: a number, the same in the three parts of UNIPEN",
        columns=columns,
        limits=(
            "Drawn from pen strokes and placed as in MNIST: box of 20 pixels, mass at (14, 14), pen of 2.25 pixels.",
            "Split by writer; the release has no official split. Some labels are wrong, and some shapes are ambiguous.",
            *limits,
        ),
    )


ORIGINALS: Mapping[str, Original] = {
    "mnist": Original(
        licence="unknown",
        terms=_CITE,
        upright=1,
        limits=("Half of the writers are high-school students, half employees of one bureau, all in one country.",),
    ),
    "ahdd": Original(
        licence="unknown",
        terms=_CITE,
        upright=1,
        runs=Runs({"train": 100, "test": 100}, {"train": 1, "test": 601}),
        group_is="who wrote it: 1 to 600 in train, 601 to 700 in test",
        limits=("No writer of the training split is in the test split.", "A zero is a dot, scaled to fill its box."),
    ),
    "ahcd": Original(
        licence="unknown",
        terms=_CITE,
        upright=0,
        runs=Runs({"train": 224, "test": 56}, {"train": 0, "test": 0}),
        group_is="position in the authors' file in runs of 28 letters, most likely the writer",
        limits=("Writers of the test split are most likely writers of the training split too.",),
    ),
    "pages70": Original(
        licence="unknown",
        terms=_CITE,
        limits=(
            "The classes are writers, 01 to 70; one page each to learn from, two strips each to test.",
            "At least 7 of the 70 pairs of test strips share a line.",
            "Writer 18's training page looks like another hand than both test strips.",
        ),
    ),
    "unipen_letters": _unipen(
        "Upper and lower case are one class: size and place on the line are lost.", char="the character as labelled"
    ),
    "unipen_digits": _unipen("Crossed sevens and zeros and ones with a long upstroke are common."),
    "unipen_symbols": _unipen("Some symbols can pass for a letter or digit: ( ) / | ~ ^ $ & [ ] { } < >."),
    "omniglot_small": Original(
        licence="mit",
        terms="MIT, copyright 2015 Brenden Lake.",
        group_is="who drew it: 1 to 20, counted in each alphabet by itself",
        columns={"alphabet": "the alphabet of the character"},
        limits=(
            "Drawn with a mouse; 105 x 105 bitmaps fitted to a box of 20 pixels in 28 x 28.",
            "Split by drawer, 1 to 15 and 16 to 20, which is not the official split for one-shot learning.",
        ),
    ),
    "optdigits": Original(
        licence="cc-by-4.0",
        terms="CC BY 4.0, as the UCI repository states.",
        limits=("1,797 of the 5,620 originals: those that scikit-learn bundles.",),
    ),
}


@dataclass(frozen=True)
class Mirror:
    """A dataset ready to be written: its splits, their fingerprints, and what was done to the originals."""

    name: str
    splits: Mapping[str, Samples]
    fingerprints: Mapping[str, str]
    done: tuple[str, ...]


def read_original(name: str, folder: Path | None) -> Mirror:
    """Read a dataset's originals and correct them.

    Args:
        name: a key of `data.DATASETS`.
        folder: what a person downloaded, zipped or not; None: the copy that a package bundles (optdigits).

    Raises:
        UnknownName: no such dataset.
        DataError: nothing that is recognized is there, or it is incomplete or contradicts itself; names the file.
    """
    spec, original = data.get(name), ORIGINALS[name]
    if folder is None:
        splits, done = _bundled(spec), ["Taken from scikit-learn."]
    else:
        splits, done = _read_forms(spec, original, folder)
    splits = {split: _grouped(spec, original, split, splits[split]) for split in SPLITS}
    fingerprints = {split: data.fingerprint(s.images, s.labels) for split, s in splits.items()}
    return Mirror(name, splits, fingerprints, tuple(dict.fromkeys(done)))


def _read_forms(spec: data.DatasetSpec, original: Original, folder: Path) -> tuple[dict[str, Samples], list[str]]:
    """Return the splits of the most trusted form, and what was done; other forms are compared with it."""
    files = files_below(folder)
    found: dict[str, Samples] = {}
    done: list[str] = []
    for form, reader in FORMS.items():
        notes: list[str] = []
        splits = reader(spec, files, notes)
        if set(splits) != set(SPLITS):
            continue
        splits = {split: _put_right(spec, original, samples, notes) for split, samples in splits.items()}
        if not found:
            found = splits
            done += [f"Read from {form}.", *notes]
            continue
        for split, samples in splits.items():
            first = found[split]
            if len(samples) != len(first) or (samples.labels != first.labels).any():
                raise DataError(f"{folder}: the labels of {split} in {form} are not those of the other files there.")
        done.append(f"The labels were compared with {form}, and are the same.")
    if not found:
        raise DataError(f"{folder} holds no original of {spec.name} that is recognized: expected {', '.join(FORMS)}.")
    return found, done


def _bundled(spec: data.DatasetSpec) -> dict[str, Samples]:
    splits = {"train": data.load(spec.name, "train+validation"), "test": data.load(spec.name, "test")}
    return {name: Samples(split.images[..., 0], split.labels) for name, split in splits.items()}


# Putting right


def _put_right(spec: data.DatasetSpec, original: Original, samples: Samples, notes: list[str]) -> Samples:
    """Return samples in the zoo's contract: ink 255 on 0, upright, labels from 0; say what was changed."""
    images, labels = samples.images, samples.labels
    classes = len(spec.labels)
    if labels.min() == 1 and labels.max() == classes:
        labels = labels - 1
        notes.append("Labels were counted from 1, and are counted from 0 here.")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{spec.name}: labels run from {labels.min()} to {labels.max()}, expected {classes} classes.")
    if isinstance(images, np.ndarray):
        if is_inverted(images):
            images = 255 - images
            notes.append("Ink was dark on light paper; it was inverted: 0 is background and 255 full ink here.")
        if original.upright is not None and is_transposed(images[labels == original.upright]):
            images = np.ascontiguousarray(images.transpose(0, 2, 1))
            notes.append("Rows and columns were exchanged; the images are upright here.")
    return Samples(images, labels, samples.columns)


def is_inverted(images: np.ndarray) -> bool:
    """Whether images (N, H, W) show dark ink on light paper: their edges, which are paper, are light."""
    edges = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    return bool(np.median(edges) > 127)


def is_transposed(strokes: np.ndarray) -> bool:
    """Whether images (N, H, W) of a vertical stroke lie on their side: most spread their ink wider than tall."""
    if not len(strokes):
        return False
    ink = strokes.astype(np.float64) + 1e-9
    spreads = []
    for axis in (1, 2):
        profile = ink.sum(axis=3 - axis)
        profile /= profile.sum(axis=1, keepdims=True)
        place = np.arange(profile.shape[1])
        mean = (profile * place).sum(axis=1, keepdims=True)
        spreads.append((profile * (place - mean) ** 2).sum(axis=1))
    tall, wide = spreads
    return bool(np.mean(wide > tall) > 0.5)


def _grouped(spec: data.DatasetSpec, original: Original, split: str, samples: Samples) -> Samples:
    """Add the group column where the files did not name it: by position, if the runs are as they should be."""
    if spec.group is None or spec.group in samples.columns or original.runs is None:
        return samples
    run, first = original.runs.samples[split], original.runs.first[split]
    classes = len(spec.labels)
    counts = [np.bincount(samples.labels[i : i + run], minlength=classes) for i in range(0, len(samples), run)]
    if any((count != run // classes).any() for count in counts):
        raise DataError(
            f"{spec.name}: the {split} samples are not in the authors' order (every class {run // classes} times in "
            f"each run of {run}), so their {spec.group} is unknown."
        )
    groups = (np.arange(len(samples)) // run + first).tolist()
    return Samples(samples.images, samples.labels, {**samples.columns, spec.group: groups})
