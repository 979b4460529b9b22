"""Results as files, `records/<dataset>/<model>.json`: one file for each row of the board, with its provenance.

Next to it is `<model>.npz` with the predictions of the shipped model for every test sample.
"""

import functools
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from leaderboard import disclosures, metrics
from leaderboard.predictions import Predictions
from leaderboard.schemas import Fraction, Line, Number, Part, checked_json, having, is_part
from leaderboard.statistics import variance_of
from zoo import data, settings
from zoo.errors import ZooError
from zoo.files import check_own, write_json
from zoo.regular_files import MOST_JSON, read_bytes
from zoo.typed_json import CLOSED
from zoo.types import Json

RECORDS = settings.folder("ZOO_RECORDS") or Path(__file__).parent / "records"
LOCAL = settings.folder("ZOO_RECORDS") or settings.folder("ZOO_LOCAL_RECORDS") or RECORDS.with_name("local_records")
log = logging.getLogger(__name__)
MOST_SAMPLES = 10_000_000  # of a test set
Samples = Annotated[int, Field(ge=0, le=MOST_SAMPLES)]
NEEDED = {"accuracy", "macro_f1", "parameters"}  # metrics of each training
LARGEST = 1e18  # of any metric
FRACTIONS = {
    "accuracy", "balanced_accuracy", "expected_calibration_error", "macro_f1", "other_hands", "robustness",
    "top2_accuracy", "unknown_accepted", "unknown_auroc", "unseen_robustness",
}  # fmt: skip


class _Named(TypedDict):
    """What a recipe has at least."""

    name: Part  # of a folder of runs as well


class Environment(TypedDict, total=False):
    """Where a training or a measurement ran: what machines say of themselves stands in cards."""

    commit: Line | None
    versions: dict[Line, Line]
    processor: Line
    devices: list[Line]


class _Claim(TypedDict):
    """What a claim has at least."""

    accuracy: Number


class _Speed(TypedDict):
    """What was measured of speed at least, see `leaderboard.speed`."""

    latency: Number
    throughput: Number
    metric_versions: dict[str, int]
    date: str


class _Version(TypedDict):
    """What the history keeps of a row at least, see `Result.summary`."""

    accuracy: Number
    macro_f1: Number
    seeds: int


@dataclass(frozen=True)
class SeedResult:
    """One training of a row."""

    seed: int
    validation_accuracy: Fraction  # the criterion for the shipped seed
    epochs: int
    metrics: dict[str, Number]  # on the test set
    revision: str | None = None  # SHA-256 of the model.onnx that was measured; None: not noted then
    # Where the measured folder is, of a training that is not shipped: "leaderboard/seeds/…", "hf://…"; None: nowhere.
    weights: str | None = None


@dataclass(frozen=True)
class Result:
    """A row of the board; a closed schema of plain JSON types, fractions in [0, 1]."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    model: Part  # architecture.dataset, with the recipe where it is not `zoo`
    architecture: Part
    title: Line  # the network and its source
    licence: Line  # of the weights, an SPDX name in lower case
    dataset: Part
    dataset_fingerprint: str  # SHA-256 of the test split
    training_fingerprint: str  # SHA-256 of the training split
    metric_versions: dict[str, int]  # versions of the metrics
    recipe: Annotated[Json, having(_Named)]  # every hyperparameter
    selection: Line  # criterion by which the shipped seed was chosen
    shipped_seed: int
    revision: str  # SHA-256 of the shipped model.onnx
    seeds: list[SeedResult]
    accuracy_interval: list[Fraction]  # Wilson, 95%, of the shipped seed
    macro_f1_interval: list[Fraction]  # bootstrap, 95%, of the shipped seed
    corruptions: dict[str, Fraction]  # accuracy of the shipped seed under each
    per_class: list[Json]  # of the shipped seed: label, precision, recall, f1, support
    confusion: list[list[Samples]]  # of the shipped seed: rows are the true classes
    environment: Annotated[Json, having(Environment)]  # of the shipped seed's training
    evaluation_environment: Annotated[Json, having(Environment)]
    date: Line  # ISO 8601, UTC, of the evaluation
    unseen_damage: dict[str, Fraction] = field(default_factory=dict)  # likewise, see `leaderboard.unseen_damage`
    parameters_as_trained: int | None = None  # as Keras counted them in training, before BatchNorm was folded
    # Where the measured folder is: "zoo/pretrained/…", "hf://…", of a local row its run; None: not published.
    weights: str | None = None
    validation_split: str | None = None  # what it was chosen on, see `DatasetSpec.validation_split`
    transfers: dict[str, Fraction] = field(default_factory=dict)  # its accuracy on the test set of each other dataset
    # What only the shipped seed was measured by: metrics that are newer than the weights of the others.
    shipped_metrics: dict[str, Number] = field(default_factory=dict)
    claimed: Annotated[Json, having(_Claim)] | None = None  # accuracy and source, as others stated them
    speed: Annotated[Json, having(_Speed)] | None = None  # see `leaderboard.speed`
    submission: Json | None = None  # who sent it and how it is described, see `submissions.rows.credits_of`
    # Earlier versions of this row, oldest first; see `summary`.
    history: list[Annotated[Json, having(_Version)]] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: bytes) -> "Result":
        """Rebuild a result; ZooError names fields that are missing, unknown or of the wrong type."""
        result = checked_json(cls, data, "record")
        labels, confusion = len(result.per_class), result.confusion
        if len(confusion) != labels or any(len(row) != labels for row in confusion):
            raise ZooError(
                "This is not a record: its confusion matrix does not have one row and column for every class."
            )
        if not 0 < result.samples <= MOST_SAMPLES:
            raise ZooError(f"This is not a record: it has {result.samples:,} test samples.")
        if len(result.accuracy_interval) != 2 or len(result.macro_f1_interval) != 2:
            raise ZooError("This is not a record: an interval must have two ends.")
        if not result.seeds or any(seed.metrics.keys() != result.seeds[0].metrics.keys() for seed in result.seeds):
            raise ZooError("This is not a record: its seeds do not have the same metrics.")
        if lacking := NEEDED - result.seeds[0].metrics.keys():
            raise ZooError(f"This is not a record: its seeds lack {', '.join(sorted(lacking))}.")
        for name, value in (pair for seed in result.seeds for pair in (seed.metrics | result.shipped_metrics).items()):
            most = 1 if name in FRACTIONS else LARGEST
            if not (name == "parameters") <= value <= most:
                raise ZooError(f"This is not a record: its {name} is {value:g}; expected 0 to {most:g}.")
        result.shipped("accuracy")  # a record without its shipped seed is invalid
        return result

    @property
    def tested(self) -> tuple[int, ...]:
        """How many test samples there were of each class."""
        return tuple(map(sum, self.confusion))

    @functools.cached_property
    def means(self) -> dict[str, float]:
        """Every metric's mean over the seeds."""
        first, *others = (seed.metrics for seed in self.seeds)
        return {name: sum((o[name] for o in others), value) / len(self.seeds) for name, value in first.items()}

    def mean(self, metric: str) -> float:
        """Return a metric's mean over the seeds."""
        return self.means[metric]

    def score(self, metric: str) -> float | None:
        """Return a metric's mean over the seeds; its value where only the shipped one was measured; None: neither."""
        return self.means.get(metric, self.shipped_metrics.get(metric))

    def spread(self, metric: str) -> float | None:
        """Return a metric's standard deviation over the seeds (n - 1); None for one seed."""
        scores = [seed.metrics[metric] for seed in self.seeds]
        return math.sqrt(variance_of(scores)) if len(scores) > 1 else None

    def of_seed(self, number: int) -> SeedResult:
        """Return one training; ZooError lists those that the record has."""
        for seed in self.seeds:
            if seed.seed == number:
                return seed
        known = ", ".join(str(seed.seed) for seed in self.seeds)
        raise ZooError(f"The record of {self.model} has no seed {number}: it has {known}.")

    def shipped(self, metric: str) -> float:
        """Return a metric of the shipped seed."""
        return self.of_seed(self.shipped_seed).metrics[metric]

    @property
    def samples(self) -> int:
        """Size of the test set."""
        return sum(map(sum, self.confusion))

    @property
    def errors(self) -> int:
        """Test samples that the shipped model predicts incorrectly."""
        return self.samples - sum(row[i] for i, row in enumerate(self.confusion))

    @property
    def summary(self) -> Json:
        """The summary of a row that the history keeps."""
        scores = {"accuracy": self.mean("accuracy"), "macro_f1": self.mean("macro_f1"), "seeds": len(self.seeds)}
        commit = self.evaluation_environment.get("commit")
        return {"date": self.date, "commit": commit, **scores, "dataset_fingerprint": self.dataset_fingerprint}

    @property
    def published(self) -> bool:
        """Whether everyone who sees the row can measure its shipped seed again: its folder comes with the package, or a
        submission has its file, or it is a row of this machine.

        Only such a row is ranked.
        """
        return self.weights is not None or self.submission is not None

    @property
    def seeds_published(self) -> int:
        """How many of its trainings everyone can measure again."""
        return int(self.published) + sum(seed.weights is not None for seed in self.seeds)

    @property
    def readings(self) -> int:
        """How many different trainings or designs of this row the test set has judged, this one included: those that
        its record counts, and in the row of the network's own recipe those that are disclosed.
        """
        own = self.model == f"{self.architecture}.{self.dataset}"
        return self.recorded_readings + own * disclosures.further_readings(self.dataset, self.architecture)

    @property
    def recorded_readings(self) -> int:
        """How many of them the record counts.

        A new measurement of the same weights gives the same accuracy and F1, and is no new reading.
        """
        read = [(entry["accuracy"], entry["macro_f1"], entry["seeds"]) for entry in (*self.history, self.summary)]
        return len({(round(accuracy, 6), round(macro_f1, 6), seeds) for accuracy, macro_f1, seeds in read})

    @property
    def chosen_on_todays_validation(self) -> bool:
        """Whether its validation accuracy compares with that of rows that are trained today."""
        spec = data.DATASETS.get(self.dataset)
        return spec is None or self.validation_split in (None, spec.validation_split)

    @property
    def comparable(self) -> bool:
        """Whether the accuracy is of the current samples and metric, so that the row can be ranked."""
        spec = data.DATASETS.get(self.dataset)
        same_data = spec is None or spec.fingerprints["test"] == self.dataset_fingerprint
        return same_data and self.metric_versions.get("accuracy") == metrics.versions()["accuracy"]

    @property
    def stale(self) -> str | None:
        """Why the scores are not comparable with current ones; None if they are."""
        spec = data.DATASETS.get(self.dataset)
        if spec and spec.fingerprints["test"] != self.dataset_fingerprint:
            return f"measured on another version of {self.dataset} ({self.dataset_fingerprint[:12]})"
        current = metrics.versions()
        stated = self.metric_versions | (self.speed or {}).get("metric_versions", {})
        changed = [name for name, version in stated.items() if current.get(name) != version]
        return f"measured by an earlier version of {', '.join(sorted(changed))}" if changed else None


@dataclass(frozen=True)
class Broken:
    """A record that cannot be read, and why."""

    model: str
    dataset: str
    reason: str


def folders(folder: Path | None = None) -> tuple[Path, ...]:
    """Return the folders whose rows a board shows: one, or for None the committed and the local rows."""
    return (folder,) if folder else (RECORDS,) if LOCAL == RECORDS else (RECORDS, LOCAL)


def is_local(model: str, dataset: str) -> bool:
    """Return whether a row was made on this machine and is no part of the committed records."""
    return LOCAL != RECORDS and path_of(model, dataset, LOCAL).exists()


def path_of(model: str, dataset: str, folder: Path | None = None) -> Path:
    """Return where a record is; without a folder, a local row stands in for the committed row of its name.

    Raises:
        ZooError: no model or dataset is called so, and the path could lead out of the folder.
    """
    if not (is_part(model) and is_part(dataset)):
        raise ZooError(f"{model!r:.80} on {dataset!r:.80} is no row: a name has letters, digits, dots, _, - and ~.")
    return (folder or (LOCAL if is_local(model, dataset) else RECORDS)) / dataset / f"{model}.json"


def own_path(model: str, dataset: str, folder: Path | None = None) -> Path:
    """Return where a record is written or removed; OSError if a link among the records leads elsewhere."""
    path = path_of(model, dataset, folder)
    return check_own(path, path.parents[1])


def write(result: Result, predictions: Predictions | None = None, folder: Path | None = None) -> Path:
    """Write a record and its predictions and return its path; an earlier record goes into its history.

    Raises:
        OSError: it cannot be written, or would be written elsewhere, see `own_path`.
    """
    path = own_path(result.model, result.dataset, folder)
    if path.exists() and isinstance(before := read_record(path), Result):
        history: list[Json] = []
        for entry in (*before.history, before.summary, *result.history):
            if entry.get("date") != result.date and entry not in history:
                history.append(entry)
        history.sort(key=lambda entry: str(entry.get("date", "")))
        result = replace(result, history=history, speed=result.speed or _same_model(before, result))
    if predictions is not None:
        predictions.save(path.with_suffix(".npz"))
    write_json(path, asdict(result))
    return path


def scan(folder: Path | None = None) -> Iterator[Result | Broken]:
    """Yield every record, by dataset and model; a `Broken` for each that cannot be read.

    Without a folder these are the committed and the local rows; see `path_of`.
    """
    found = {path.relative_to(place): path for place in folders(folder) for path in place.glob("*/*.json")}
    for _, path in sorted(found.items()):
        yield read_record(path)


def read_all(folder: Path | None = None) -> list[Result]:
    """Return every record that can be read, by dataset and model; the others are logged."""
    found = list(scan(folder))
    for broken in found:
        if isinstance(broken, Broken):
            log.warning("%s is left out: %s", broken.model, broken.reason)
    return [result for result in found if isinstance(result, Result)]


def read_record(path: Path) -> Result | Broken:
    """Return one record, or a `Broken` with the reason."""
    try:
        result = Result.from_json(read_bytes(check_own(path, path.parents[1]), MOST_JSON))
        if (result.model, result.dataset) != (path.stem, path.parent.name):
            raise ZooError(f"It names another model or dataset: {result.model} on {result.dataset}.")
        return result
    except (OSError, ZooError) as error:
        said = f"It cannot be read ({error.strerror})." if isinstance(error, OSError) else str(error)
        return Broken(path.stem, path.parent.name, f"{path.name}: {said}")


def predictions(result: Result, folder: Path | None = None) -> Predictions | None:
    """Return the shipped model's predictions for every test sample; None if they are not stored or cannot be read."""
    try:
        return kept_predictions(result, folder)
    except ZooError as error:
        log.warning("%s: %s", result.model, error)
        return None


def kept_predictions(result: Result, folder: Path | None = None) -> Predictions | None:
    """Return the same; None if they are not stored, ZooError if they are damaged."""
    path = path_of(result.model, result.dataset, folder).with_suffix(".npz")
    if not os.path.lexists(path):
        return None
    return checked(result, Predictions.load(path), path.name)


def checked(result: Result, found: Predictions, name: str) -> Predictions:
    """Return predictions of a row; ZooError unless they are of its classes and test set, and of its dataset's others.

    Args:
        result: the row.
        found: the predictions.
        name: of their file.
    """
    classes, spec = len(result.per_class), data.DATASETS.get(result.dataset)
    if len(found.labels) != result.samples:
        raise ZooError(f"{name} has {len(found.labels):,} predictions for {result.samples:,} test samples.")
    if max(found.labels.max(), found.predicted.max()) >= classes:
        raise ZooError(f"{name} has predictions of other classes than the {classes} of its row.")
    if tuple(np.bincount(found.labels, minlength=classes).tolist()) != result.tested:
        raise ZooError(f"{name} has predictions of another test set than its row.")
    others = spec.transfers if spec else ()
    if strange := [other for other, right in found.transfers.items() if other not in others or not len(right)]:
        raise ZooError(f"{name} has predictions of {strange[0]!r:.40}, which is no other test set of its dataset.")
    return found


def _same_model(before: Result, now: Result) -> Json | None:
    return before.speed if before.revision == now.revision else None
