"""Make a dataset of the zoo from a user's pictures: check them, split them, and store them as a dataset repo."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from zoo import data, ink
from zoo.data import held_out
from zoo.data.catalog import ANY_SCRIPT
from zoo.errors import DataError, ZooError
from zoo.files import replacing, write_json
from zoo.ingest import normalise
from zoo.ingest.labelled_folders import Source
from zoo.published import CONTROLS
from zoo.settings import user_datasets

if TYPE_CHECKING:
    import datasets

LEAST = 2  # pictures of a class: one to train on, one to choose on


@dataclass(frozen=True)
class Prepared:
    """A dataset that is ready to be kept: `keep` makes it known under its name."""

    spec: data.DatasetSpec
    splits: dict[str, data.Split]  # "train", whose last rows validate, and "test" where there is one
    notes: tuple[str, ...]


def prepare(source: Source, name: str, contract: ink.Contract, fit: str = "ink") -> Prepared:
    """Bring a source's pictures into a contract and divide them.

    A tenth of every class validates, or of the writers, unless the source has a validation split.

    Args:
        source: see `pictures.read`.
        name: what the dataset is to be called; lower case, letters, digits and underscores.
        contract: what the network is to see; with "resize" only its size counts.
        fit: "ink" or "resize", see above.

    Raises:
        DataError: pictures or classes that cannot be trained on; names the culprit.
    """
    check_name(name)
    _check_classes(source)
    images, contract, notes = normalise.fit(source.splits, contract, fit, source.stored)
    train, validation = _training_rows(source, images)
    splits = {"train": train}
    if "test" in source.splits:
        test = source.splits["test"]
        splits["test"] = _split(images["test"], test.labels, _codes(source).get("test"))
    count = len(train)
    spec = data.DatasetSpec(
        name=name,
        title=f"{name}: {count:,} pictures of {len(source.labels)} classes",
        labels=source.labels,
        script="arabic" if re.search("[\u0600-\u06ff]", "".join(source.labels)) else "latin",
        image_shape=(contract.height, contract.width, contract.channels),
        fingerprints={split: rows.fingerprint for split, rows in splits.items()},
        source=f"https://huggingface.co/datasets/{source.repo}" if source.repo else "its owner's own pictures",
        repo=source.repo,
        group="writer" if source.group else None,
        validation=validation,
        contract=contract,
        augmentation=ANY_SCRIPT,
        batch_size=16 if count < 5_000 else 64 if count < 20_000 else 128,
        passes=3 if count < 30_000 else 1,
    )
    return Prepared(spec, splits, (*source.notes, _told(source, spec), *notes))


def check_name(name: str) -> None:
    """Raise ZooError where a user's dataset cannot be called so."""
    if name in data.DATASETS or re.search(r"_fold\d+of\d+$", name):
        raise ZooError(f"{name!r} is a name of the zoo's own: choose another with --name.")
    if not data.NAME.fullmatch(name):
        raise ZooError(f"{name!r} cannot be a dataset's name: use lower-case letters, digits and underscores.")


def name_for(where: str) -> str:
    """Return a dataset's name after the folder, file or repo that it comes from."""
    stem = re.sub(r"[^a-z0-9]+", "_", Path(where).expanduser().resolve().stem.lower()).strip("_")
    return stem if re.match("[a-z]", stem) else f"data_{stem}".strip("_")


def keep(prepared: Prepared) -> Path:
    """Write a dataset where `data.load` finds it, whole or not at all; one that is there already stays as it is.

    Raises:
        ZooError: other data are known under that name.
    """
    spec, folder = prepared.spec, user_datasets() / prepared.spec.name
    if (folder / data.ENTRY).exists():
        found = data.get(spec.name)
        kept = {"title", "augmentation"}  # as they are: they do not belong to the data
        differ = [
            f.name for f in fields(spec) if f.name not in kept and getattr(found, f.name) != getattr(spec, f.name)
        ]
        if differ:
            raise ZooError(
                f"{spec.name} is already the name of other data (different: {', '.join(differ)}): choose another "
                f"--name, or remove {folder} and what was trained on it."
            )
        return folder
    with replacing(folder) as staged:
        (staged / "data").mkdir(parents=True)
        for split, rows in prepared.splits.items():
            _table(spec, rows).to_parquet(staged / "data" / f"{split}-00000-of-00001.parquet")
        write_json(staged / data.ENTRY, spec.to_dict())
    return folder


# Checks


def _check_classes(source: Source) -> None:
    labels, train = source.labels, source.splits["train"]
    if hidden := next(filter(CONTROLS.search, labels), None):
        raise DataError(f"The name of the class {hidden!r} has a control character: name it by letters.")
    if len(labels) < 2:
        raise DataError(f"There is only one class ({', '.join(labels)}): a network needs at least two.")
    counts = np.bincount(train.labels, minlength=len(labels))
    validation = source.splits.get("validation")
    for number in np.flatnonzero(counts < (LEAST if validation is None else 1)):
        place = train.place(int(np.flatnonzero(train.labels == number)[0])) if counts[number] else "none"
        raise DataError(
            f"The class {labels[number]!r} has {counts[number]} training picture ({place}): at least {LEAST} are "
            "needed, one to train on and one to choose on."
        )
    if validation is not None:
        for number in np.setdiff1d(np.arange(len(labels)), validation.labels):
            raise DataError(f"The class {labels[number]!r} is missing from the validation split.")


def _training_rows(source: Source, images: dict[str, np.ndarray]) -> tuple[data.Split, int]:
    """Return the training split in a fair order with what validates at its end, and how many rows those are."""
    codes = _codes(source)
    train = source.splits["train"]
    if "validation" in source.splits:
        parts = [(images[s], source.splits[s].labels, codes.get(s)) for s in ("train", "validation")]
    else:
        validates = held_out.validation(train.labels, codes.get("train"))
        if lacks := held_out.missing(train.labels, validates):
            number, side = lacks
            where = "the writers who validate" if side == "held out" else "the writers who are left to train on"
            raise DataError(
                f"The class {source.labels[number]!r} has no picture by {where}: "
                "more writers are needed, or --group none."
            )
        parts = [
            (images["train"][rows], train.labels[rows], None if not codes else codes["train"][rows])
            for rows in (~validates, validates)
        ]
    ordered = []
    for pictures, labels, groups in parts:
        order = held_out.spread(labels, groups)
        ordered.append((pictures[order], labels[order], None if groups is None else groups[order]))
    (a, la, ga), (b, lb, gb) = ordered
    groups = None if ga is None else np.concatenate([ga, gb])
    return _split(np.concatenate([a, b]), np.concatenate([la, lb]), groups), len(lb)


def _codes(source: Source) -> dict[str, np.ndarray]:
    """Return the writers of each split as numbers, int32, in the order of their names."""
    if source.group is None:
        return {}
    names = {name: n for n, name in enumerate(sorted({g for p in source.splits.values() for g in p.groups or ()}))}
    return {split: np.array([names[g] for g in p.groups or ()], np.int32) for split, p in source.splits.items()}


def _split(images: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> data.Split:
    return data.Split(images, labels, groups, data.fingerprint(images, labels))


# The stored dataset, and its summary


def _table(spec: data.DatasetSpec, split: data.Split) -> "datasets.Dataset":
    import datasets

    images = [{"bytes": cv2.imencode(".png", image)[1].tobytes(), "path": None} for image in split.images]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(spec.labels))}
    columns = {"image": images, "label": split.labels}
    if split.groups is not None:
        features["writer"], columns["writer"] = datasets.Value("int32"), split.groups
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def _told(source: Source, spec: data.DatasetSpec) -> str:
    counts = np.bincount(source.splits["train"].labels, minlength=len(source.labels))
    splits = ", ".join(f"{len(pictures):,} {split}" for split, pictures in source.splits.items())
    chosen = "as given" if "validation" in source.splits else f"by {source.group}" if source.group else "of every class"
    untested = (
        np.setdiff1d(np.arange(len(source.labels)), source.splits["test"].labels) if "test" in source.splits else ()
    )
    tested = f" The test split has no {', '.join(source.labels[n] for n in untested)}." if len(untested) else ""
    return (
        f"{splits} pictures of {len(source.labels)} classes, {counts.min():,} to {counts.max():,} a class in training; "
        f"{spec.validation:,} pictures validate, {chosen}.{tested}"
    )
