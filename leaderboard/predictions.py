"""The stored predictions of a model for every test sample, about 30 kB per row: enough for paired tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from zoo.errors import ZooError
from zoo.files import read_arrays, replacing

THUMBNAIL = (300, 60)  # pixels, width and height of a page's picture
FEWEST, MOST = 24, 96  # stored pictures of the hardest samples: all mistakes if they fit
SIDE = 1024  # pixels, the most of a stored picture
ARRAYS = ("labels", "predicted", "confidence", "hardest", "images")
TRANSFER = "right on "  # before the name of another dataset, in the file


@dataclass(frozen=True)
class Predictions:
    """One model on one test set, in the order of its rows.

    labels: uint8 (N,), the true classes.
    predicted: uint8 (N,), the most probable classes.
    confidence: float16 (N,), the probability of the predicted class.
    hardest: int32 (M,), the samples with the lowest probability of the true class, the lowest first.
    images: uint8 (M, H, W), those samples, so that the Space can show them without the dataset; pages as reduced
        strips.
    transfers: name of another dataset -> bool (K,), which predictions of its test set are correct.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    hardest: np.ndarray
    images: np.ndarray
    transfers: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        probabilities: np.ndarray,
        labels: np.ndarray,
        images: np.ndarray,
        transfers: Mapping[str, np.ndarray] | None = None,
    ) -> "Predictions":
        """Make them from float32 (N, classes), int64 (N,) labels and uint8 (N, H, W, 1) images or pages."""
        predicted = probabilities.argmax(axis=1)
        of_truth = probabilities[np.arange(len(labels)), labels]
        kept = int(np.clip((predicted != labels).sum(), FEWEST, MOST))
        hardest = np.argsort(of_truth, kind="stable")[:kept].astype(np.int32)
        confidence = probabilities.max(axis=1).astype(np.float16)
        kept_images = pictures(images, hardest)
        stored = labels.astype(np.uint8), predicted.astype(np.uint8), confidence, hardest, kept_images
        return cls(*stored, transfers or {})

    @classmethod
    def load(cls, file: Path | BinaryIO, name: str = "") -> "Predictions":
        """Read an npz file; ZooError if it is missing or damaged, or its arrays do not belong together."""
        name = name or (file.name if isinstance(file, Path) else "The file")
        try:
            saved = read_arrays(file)
            transfers = {key.removeprefix(TRANSFER): saved[key] for key in saved if key.startswith(TRANSFER)}
            found = cls(**{key: saved[key] for key in ARRAYS}, transfers=transfers)
        except (ZooError, KeyError) as error:
            raise ZooError(f"{name} holds no predictions: {error}") from error
        per_sample = (found.labels, found.predicted, found.confidence)
        hardest = found.hardest
        if len({array.shape for array in per_sample}) > 1 or found.labels.ndim != 1:
            raise ZooError(f"{name} holds no predictions: its labels and predictions differ in length.")
        if [array.dtype for array in (*per_sample, found.images)] != [np.uint8, np.uint8, np.float16, np.uint8]:
            raise ZooError(f"{name} holds no predictions: its labels, predictions or pictures are of another type.")
        if not ((found.confidence >= 0) & (found.confidence <= 1)).all():
            raise ZooError(f"{name} holds no predictions: a confidence is not from 0 to 1.")
        if (
            found.images.ndim != 3
            or not 0 < min(found.images.shape[1:]) <= max(found.images.shape[1:]) <= SIDE
            or hardest.shape != found.images.shape[:1]
            or hardest.dtype.kind not in "iu"
        ):
            raise ZooError(f"{name} holds no predictions: its pictures are not those of the hardest samples.")
        if hardest.size and not 0 <= hardest.min() <= hardest.max() < len(found.labels):
            raise ZooError(f"{name} holds no predictions: its hardest samples are not of the test set.")
        if any(right.ndim != 1 or right.dtype != bool for right in transfers.values()):
            raise ZooError(f"{name} holds no predictions: those of another dataset are not true or false.")
        return found

    def save(self, path: Path) -> None:
        """Write an npz file atomically."""
        arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAYS}
        arrays |= {TRANSFER + name: right for name, right in self.transfers.items()}
        with replacing(path) as staged, staged.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @property
    def right(self) -> np.ndarray:
        """bool (N,), which predictions are correct."""
        right: np.ndarray = self.predicted == self.labels
        return right


def pictures(images: np.ndarray | Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return these rows as uint8 (M, H, W): uint8 (N, H, W, 1) images unchanged, pages reduced."""
    if isinstance(images, np.ndarray):
        return images[rows, ..., 0]
    smaller = [cv2.resize(images[row], THUMBNAIL, interpolation=cv2.INTER_AREA) for row in rows]
    return np.stack(smaller) if smaller else np.empty((0, *THUMBNAIL[::-1]), np.uint8)
