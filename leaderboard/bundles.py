"""Runs that were trained on another machine: packed there into pieces that may travel, checked and taken in here.

`scripts/bundle.py` packs what that machine needs, `scripts/run_bundle.py` trains there and calls `pack` after every
run, `scripts/unbundle.py` calls `unpack` here.

Of a network only its weights travel. What is measured and published is built here: by the architecture that the run
names, with those numbers in it. So no graph of another machine is run, nor believed.
"""

import hashlib
import math
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from leaderboard.evaluation import Evaluation
from leaderboard.recording import EVALUATION, PREDICTIONS
from leaderboard.results import Environment
from leaderboard.schemas import Fraction, Line, Number, checked_json
from zoo import data, training
from zoo.backend import keras
from zoo.errors import ZooError
from zoo.export import export
from zoo.files import opened_zip, replacing, write_json
from zoo.regular_files import read_bytes
from zoo.serving.predictor import Predictor
from zoo.strict import hdf5, untrusted_json
from zoo.strict.problems import Refused, short
from zoo.training.loop import Loop
from zoo.typed_json import CLOSED, from_values

WHOLE = "results.zip"  # what is cut into pieces
LISTING = "results.json"  # the pieces with their SHA-256, and what did not fit
PIECE = 15 * 10**6  # bytes of a piece, at most
MOST = 60 * 10**6  # bytes of all pieces, at most
UNPACKED, FILES = 6 * 10**8, 20_000  # bytes and files of all pieces once they are unpacked, at most
EXPORT, WEIGHTS = "export", "model.weights.h5"  # of a run
ROUNDING = 0.005  # of an accuracy on validation: another machine, bfloat16 or half precision


# What a run's folder may hold: nothing else is taken.
TAKEN = ("config.json", "history.json", "environment.json", EVALUATION, PREDICTIONS, WEIGHTS, Loop.CHECKPOINT, EXPORT)
Count = Annotated[int, Field(ge=0, le=10**9)]


class _Validation(TypedDict):
    """The scores of the kept weights."""

    loss: Number
    accuracy: Fraction


class _History(TypedDict):
    """What the history of a finished training has at least."""

    fingerprint: Line
    samples: dict[Line, Count]
    kept_epoch: Count
    training_seconds: Annotated[Number, Field(ge=0, le=1e9)]
    validation: _Validation
    epochs: list[dict[Line, Number]]


@dataclass(frozen=True)
class Piece:
    """A file of at most `PIECE` bytes, and its checksum."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    name: str
    sha256: str


@dataclass(frozen=True)
class Listing:
    """What a packed folder holds: its pieces in order, and the paths of what did not fit."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    pieces: list[Piece]
    left_out: list[str]


@dataclass(frozen=True)
class Group:
    """Files of a run that are of use together only. `worth` is their turn where not everything fits, 0 first."""

    worth: int
    paths: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self.paths)


def groups(folder: Path) -> Iterator[Group]:
    """Yield what travels of a run's folder: scores and history, the weights, the state of an unfinished run."""
    files = [path for path in folder.rglob("*") if path.is_file() and folder / EXPORT not in path.parents]
    large = [folder / WEIGHTS, folder / Loop.CHECKPOINT]
    yield Group(0, tuple(sorted(path for path in files if path not in large)))
    yield from (Group(worth, (path,)) for worth, path in enumerate(large, start=1) if path in files)


def travels(model: "keras.Model") -> bool:
    """Return whether a network's weights fit into one piece: it is measured at home then, not where it learned."""
    return 4 * sum(int(np.prod(weight.shape)) for weight in model.weights) < PIECE  # float32


def pack(runs: Path, folders: Iterable[Path], target: Path, most: int = MOST) -> list[str]:
    """Write runs as pieces of at most `PIECE` bytes, whole or not at all.

    Args:
        runs: the folder of all runs.
        folders: the folders of the runs to pack; those that are not there yet are left out.
        target: the folder to write; one that is there is replaced.
        most: bytes of all pieces; the largest weights are left out first.

    Returns:
        The paths of what did not fit, in `runs`.
    """
    found = [folder for folder in folders if folder.is_dir()]
    ordered = sorted((group for folder in found for group in groups(folder)), key=lambda g: (g.worth, g.size))
    taken: list[Path] = []
    left_out: list[str] = []
    total = 0
    for group in ordered:
        if total + group.size <= most:
            taken += group.paths
            total += group.size
        else:
            left_out += [path.relative_to(runs).as_posix() for path in group.paths]
    with replacing(target) as staged:
        staged.mkdir()
        whole = staged / WHOLE
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in taken:
                archive.write(path, path.relative_to(runs).as_posix())
        listing = Listing(list(_cut(whole)), left_out)
        whole.unlink()
        write_json(staged / LISTING, asdict(listing))
    return left_out


def _cut(whole: Path) -> Iterator[Piece]:
    """Write a file's bytes as pieces next to it."""
    with whole.open("rb") as file:
        number = 0
        while part := file.read(PIECE):
            path = whole.with_name(f"{whole.name}.{number:02d}")
            path.write_bytes(part)
            yield Piece(path.name, hashlib.sha256(part).hexdigest())
            number += 1


def unpack(
    folder: Path, runs: Path, asked: Collection[training.Job] | None = None
) -> tuple[list[training.Run], list[str]]:
    """Take the runs of a packed folder into the folder of all runs, after everything in it was checked.

    A run that is there already stays as it is, unless it is unfinished and comes finished. One whose weights stayed
    behind before they were measured is of no use, and counts as unfinished.

    Args:
        folder: what `pack` wrote.
        runs: the folder of all runs.
        asked: the trainings that the bundle was packed for; None: take whatever came.

    Returns:
        The finished runs, and the names of the unfinished ones, which go on where they were.

    Raises:
        ZooError: a piece is missing or differs from its checksum, or the pieces are too many, or a run is not one of
            this version's jobs, or was not asked for, or says of its network what is not true; nothing has been taken.
    """
    if not (folder / LISTING).is_file():
        raise ZooError(f"{folder} holds no results: there is no {LISTING} in it.")
    listing = _read(folder / LISTING, untrusted_json.MOST_BYTES)
    pieces = checked_json(Listing, listing, f"list of results ({LISTING})").pieces
    if len(pieces) > -(-MOST // PIECE) or len({piece.name for piece in pieces}) < len(pieces):
        raise ZooError(f"{folder / LISTING} names more pieces than a bundle has, or one of them twice.")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        with (place / WHOLE).open("wb") as target:
            for piece in pieces:
                target.write(_content(folder / Path(piece.name).name, piece.sha256))
        try:
            with opened_zip(place / WHOLE, FILES) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > UNPACKED:
                    raise ZooError(f"{WHOLE} holds more than {UNPACKED // 10**6:,} MB: it is no bundle's.")
                archive.extractall(place / "runs")  # no more bytes than it says, no links, nothing outside
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise ZooError(f"The results in {folder} cannot be unpacked ({error}).") from error
        configs = sorted((place / "runs").glob("*/*/seed-*/config.json"))
        jobs = [_checked(config.parent, place / "runs") for config in configs]
        if other := next((job for job in jobs if asked is not None and job not in asked), None):
            raise ZooError(
                f"{other.model} seed {other.seed} is among the results, and the bundle was not packed for it."
            )
        for job, config in zip(jobs, configs, strict=True):
            _build_here(job, config.parent)
        finished, unfinished = [], []
        for job, config in zip(jobs, configs, strict=True):
            done = training.read_run(job, runs)
            complete = (config.parent / "history.json").is_file()
            wanted = _measurable(config.parent) if complete else not job.folder(runs).exists()
            if done is None and wanted:
                with replacing(job.folder(runs)) as staged:
                    shutil.copytree(config.parent, staged, ignore=_others)
                done = training.read_run(job, runs)
            if done is None:
                unfinished.append(f"{job.model} seed {job.seed}")
            else:
                finished.append(done)
    return finished, unfinished


def _others(folder: str, names: list[str]) -> list[str]:
    """Return what is not copied of a run's folder, as `shutil.copytree` asks, such as scores of folds."""
    return [name for name in names if name not in TAKEN] if (Path(folder) / "config.json").is_file() else []


def _content(path: Path, sha256: str) -> bytes:
    content = _read(path, PIECE) if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ZooError(f"{path} is {'damaged' if content else 'missing'}: bring it from the other machine again.")
    return content


def _measurable(folder: Path) -> bool:
    """Return whether a finished run comes with its scores, or with weights that can be measured here."""
    return (folder / EVALUATION).is_file() or (folder / WEIGHTS).is_file()


def _build_here(job: training.Job, folder: Path) -> None:
    """Export a finished run from its weights alone, and drop its scores, so that it is measured here.

    Where the weights were too large to travel, what was measured there stands, and its row has no weights.

    Raises:
        ZooError: the weights are not those of the architecture, or their accuracy on validation, which chooses what is
            shipped, is not what the history says; or there are scores in place of weights that could have come.
    """
    exported, weights = folder / EXPORT, folder / WEIGHTS
    shutil.rmtree(exported, ignore_errors=True)
    finished, name = (folder / "history.json").is_file(), f"{job.model} seed {job.seed}"
    if finished and not weights.is_file():
        if (folder / EVALUATION).is_file() and travels(training.build(job)):
            raise ZooError(f"{name} has scores and no weights, which are measured here: bring them too.")
        return
    if not finished:
        (folder / EVALUATION).unlink(missing_ok=True)
        return
    try:
        hdf5.rewrite(read_bytes(weights), weights)
        export(training.Run.read(folder), exported)
    except Refused as error:
        raise ZooError(f"{name}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:  # Keras, where numbers are missing or of another shape
        raise ZooError(f"{name}: its weights are not those of {job.architecture} ({short(str(error))}).") from None
    for file in (EVALUATION, PREDICTIONS):
        (folder / file).unlink(missing_ok=True)
    if data.get(job.dataset).view is None:
        known = data.load(job.dataset, "validation")
        found = float(np.mean(Predictor.measured(exported)(known.images).argmax(axis=1) == known.labels))
        said = training.Run.read(folder).history["validation"]["accuracy"]
        if not abs(found - said) <= ROUNDING:  # also if it says NaN
            raise ZooError(
                f"{name}: its history says {said:.2%} of the validation samples, and its network reads {found:.2%}."
            )


def _checked(folder: Path, runs: Path) -> training.Job:
    """Return the job of an unpacked run; ZooError where its files do not belong together."""
    where = folder.relative_to(runs)
    try:
        found = {path.name: _json(path) for path in folder.glob("*.json")}
        job = training.Job.from_dict(found["config.json"])
        recipe = job.recipe.name.partition("-")[0]
        planned = training.plan(job.architecture, job.dataset, recipe, seed=job.seed, epochs=job.recipe.epochs)
        if EVALUATION in found:
            evaluation = from_values(Evaluation, found[EVALUATION])
            from_values(Environment, evaluation.environment)
            if not all(map(math.isfinite, evaluation.metrics.values())):
                raise ValueError("a score is not finite")
        for name, kind in (("environment.json", Environment), ("history.json", _History)):
            if name in found:
                from_values(kind, found[name])
        _check_epochs(found.get("history.json"))
        place = job.folder(Path())
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, ZooError) as error:
        raise ZooError(f"{where.as_posix()} is not a run of this version ({error}).") from None
    if where != place:
        raise ZooError(f"{where.as_posix()} holds a run of {job.model} seed {job.seed}.")
    if job != planned:
        raise ZooError(
            f"{job.model} seed {job.seed} was trained by another recipe than this version's: check out the commit of "
            "the bundle."
        )
    return job


def _check_epochs(history: dict[str, Any] | None) -> None:
    """Raise ValueError for epochs of which no curve can be drawn."""
    if history is None:
        return
    epochs = history["epochs"]
    if not 1 <= history["kept_epoch"] <= len(epochs):
        raise ValueError("it kept an epoch that it did not have")
    names = ("accuracy", "validation_accuracy") if len(epochs) > 1 else ()
    if not all(0 <= epoch[name] <= 1 for epoch in epochs for name in names):
        raise ValueError("an accuracy is not from 0 to 1")


def _json(path: Path) -> Any:
    return untrusted_json.parse(_read(path, untrusted_json.MOST_BYTES), path.name)


def _read(path: Path, most: int) -> bytes:
    try:
        return read_bytes(path, most)
    except OSError as error:
        raise ZooError(f"{path.name} cannot be read: {error.strerror}.") from None
