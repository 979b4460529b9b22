"""Evaluate a published folder: the probabilities of its `model.onnx`, computed once, and every metric of them."""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from leaderboard import metrics, unknown
from leaderboard.corruptions import corrupted
from leaderboard.predictions import Predictions
from leaderboard.unseen_damage import damaged
from zoo import data, environment, registry, stored_numbers
from zoo.errors import DataError, ZooError
from zoo.published import PublishedFolder
from zoo.regular_files import read_bytes
from zoo.serving.predictor import Predictor
from zoo.typed_json import CLOSED
from zoo.types import Json

SPEED = ("latency", "throughput")  # measured by `leaderboard.speed` for all models in one run


@dataclass(frozen=True)
class Evaluation:
    """One published folder on one test set, as plain JSON types; fractions in [0, 1]."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    revision: str  # SHA-256 of the model.onnx that was measured
    dataset_fingerprint: str  # SHA-256 of the test split
    metric_versions: dict[str, int]
    metrics: dict[str, float]  # every module of `leaderboard/metrics` except those of speed
    corruptions: dict[str, float]  # accuracy under each
    unseen_damage: dict[str, float]  # accuracy under each kind of `leaderboard.unseen_damage`
    transfers: dict[str, float]  # accuracy on the test set of each other dataset
    per_class: list[Json]  # label, precision, recall, f1, support
    confusion: list[list[int]]  # rows are the true classes, columns the predicted
    environment: Json  # commit, versions and processor of the evaluation
    date: str  # ISO 8601, UTC

    def to_dict(self) -> Json:
        """Return plain JSON types."""
        return asdict(self)


def evaluate(folder: Path, *, under_corruption: bool = True) -> tuple[Evaluation, Predictions]:
    """Measure a published folder on the test set of its dataset, or on validation samples if there is no test set.

    Args:
        folder: the published folder.
        under_corruption: also measure the robustness of a glyph model, which takes 24 times as long; not for models
            made for accelerators.
    """
    predictor = Predictor.measured(folder)
    classes = _classes(predictor)
    test = data.load(predictor.dataset, data.get(predictor.dataset).scored)
    probabilities = predictor(test.images)
    given = facts(folder) | {"inputs": 1 if predictor.view is None else len(predictor.view.views(test.images[0]))}
    under, unseen = {}, {}
    if under_corruption and _has_robustness(folder):
        under = {name: predictor(images).argmax(axis=1) for name, images in corrupted(test.images)}
        unseen = {name: predictor(images).argmax(axis=1) for name, images in damaged(test.images)}
        given |= {"corrupted": under, "unseen": unseen}
    if (strangers := unknown.for_testing(predictor.dataset)) is not None:
        known = data.load(predictor.dataset, "validation").images
        given["validation_confidence"] = predictor(known).max(axis=1)
        given["unknown_confidence"] = predictor(strangers).max(axis=1)
    others = {name: data.load(name, "test") for name in transfers_of(predictor.dataset)}
    if transfers := {name: predictor(o.images).argmax(axis=1) == o.labels for name, o in others.items()}:
        given["transfers"] = transfers
    scores = metrics.compute(probabilities, test.labels, **given)
    confusion = confusion_matrix(test.labels, probabilities.argmax(axis=1), len(classes))
    evaluation = Evaluation(
        revision=revision(folder),
        dataset_fingerprint=test.fingerprint,
        metric_versions={name: metrics.versions()[name] for name in scores},
        metrics=scores,
        corruptions={name: float((predicted == test.labels).mean()) for name, predicted in under.items()},
        unseen_damage={name: float((predicted == test.labels).mean()) for name, predicted in unseen.items()},
        transfers={name: float(right.mean()) for name, right in transfers.items()},
        per_class=per_class(confusion, classes),
        confusion=confusion.tolist(),
        environment=environment.describe(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return evaluation, Predictions.of(probabilities, test.labels, test.images, transfers)


def evaluate_parts(predictor: Predictor, parts: Iterable[data.Split]) -> tuple[int, dict[str, float]]:
    """Return the number of samples, and every metric that needs no more than predictions and labels.

    One part's images are in memory at a time; of each sample only the probabilities stay, 4 bytes a class.
    """
    _classes(predictor)
    answers = [(predictor(part.images), part.labels) for part in parts]
    probabilities, labels = (np.concatenate(both) for both in zip(*answers, strict=True))
    return len(labels), metrics.compute(probabilities, labels)


def _classes(predictor: Predictor) -> tuple[str, ...]:
    """Return the labels of the dataset that a network is measured on; ZooError where it has another number."""
    labels = data.get(predictor.dataset).labels
    if len(predictor.labels) != len(labels):
        raise ZooError(
            f"{predictor.name} has {len(predictor.labels)} classes, but {predictor.dataset} has {len(labels)}: it "
            "cannot be measured there."
        )
    return labels


def is_current(evaluation: Json, folder: Path) -> bool:
    """Return whether a stored evaluation is what `evaluate(folder)` would measure today.

    It is current while the model, the dataset's fingerprint and the version of every metric are unchanged.
    """
    if set(evaluation) != {field.name for field in fields(Evaluation)}:
        return False
    dataset = PublishedFolder(folder).preprocessor["dataset"]
    measured = {name: metrics.versions().get(name) for name in evaluation["metric_versions"]}
    by_evaluation = set(metrics.versions()) - set(SPEED)
    if not _has_robustness(folder):
        by_evaluation -= {"robustness", "unseen_robustness"}
    if unknown.for_testing(dataset) is None:
        by_evaluation -= {"unknown_accepted", "unknown_auroc"}
    if not transfers_of(dataset):
        by_evaluation -= {"other_hands"}
    return (
        evaluation["revision"] == revision(folder)
        and evaluation["dataset_fingerprint"] == data.get(dataset).scored_fingerprint
        and evaluation["metric_versions"] == measured
        and by_evaluation <= set(measured)
    )


@functools.cache
def transfers_of(dataset: str) -> tuple[str, ...]:
    """Return the other datasets that a network is also measured on: those of its dataset's entry that are available."""
    return tuple(name for name in data.get(dataset).transfers if _is_here(name))


def _is_here(name: str) -> bool:
    try:
        data.load(name, "test")
    except DataError:
        return False
    return True


def _has_robustness(folder: Path) -> bool:
    """Return whether the accuracy of a model under corruption is measured too."""
    dataset = PublishedFolder(folder).preprocessor["dataset"]
    architecture = registry.architectures().get(PublishedFolder(folder).metadata["architecture"])
    return data.get(dataset).view is None and not (architecture and architecture.for_accelerators)


def revision(folder: Path) -> str:
    """Return the SHA-256 of a published folder's model.onnx."""
    return hashlib.sha256(read_bytes(PublishedFolder(folder).onnx)).hexdigest()


def facts(folder: Path) -> Json:
    """Return the facts about a published folder that metrics can use."""
    published = PublishedFolder(folder)
    history = published.history if (folder / PublishedFolder.HISTORY).exists() else {}
    found = {"parameters": stored_numbers.of_file(published.onnx), "onnx_path": str(published.onnx)}
    return found | ({"training_seconds": history["training_seconds"]} if "training_seconds" in history else {})


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return int64 (classes, classes): how often class i (row) was predicted as class j (column)."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def per_class(confusion: np.ndarray, labels: tuple[str, ...]) -> list[Json]:
    """Return precision, recall, F1 and support of every class; a ratio over nothing is 0."""
    hits, support, claimed = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        {
            "label": label,
            "precision": float(hit / max(claims, 1)),
            "recall": float(hit / max(count, 1)),
            "f1": float(2 * hit / max(claims + count, 1)),
            "support": int(count),
        }
        for label, hit, count, claims in zip(labels, hits, support, claimed, strict=True)
    ]
