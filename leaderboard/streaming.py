"""Score a dataset of any size in parts: memory is that of one part, for any number of samples."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from leaderboard.evaluation import confusion_matrix
from leaderboard.metrics.expected_calibration_error import BINS
from zoo import data
from zoo.serving.predictor import Predictor

PART = 2000  # samples


@dataclass
class Tally:
    """Running sums over the samples, from which the scores are computed."""

    classes: int
    confusion: np.ndarray = field(init=False)  # int64 (classes, classes): rows are the true classes
    second: int = 0  # samples whose true class is among the two most probable
    surprise: float = 0.0  # nats
    gaps: np.ndarray = field(default_factory=lambda: np.zeros(BINS))  # of each bin: correct minus confidence

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.classes, self.classes), np.int64)

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Add samples: probabilities, float32 (N, classes), and labels, int64 (N,)."""
        predicted = probabilities.argmax(axis=1)
        self.confusion += confusion_matrix(labels, predicted, self.classes)
        likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
        self.second += int((likeliest == labels[:, None]).any(axis=1).sum())
        given = probabilities[np.arange(len(labels)), labels]
        self.surprise -= float(np.log(np.maximum(given, np.finfo(np.float32).tiny)).sum(dtype=np.float64))
        confidence = probabilities.max(axis=1)
        bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)
        self.gaps += np.bincount(bins, (predicted == labels) - confidence, minlength=BINS)

    @property
    def samples(self) -> int:
        """The number of samples added."""
        return int(self.confusion.sum())

    def scores(self) -> dict[str, float]:
        """Return the same scores as `leaderboard/metrics`, by name; ZeroDivisionError without samples."""
        hits, support, claimed = np.diag(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        seen = support > 0
        f1 = 2 * hits / np.maximum(support + claimed, 1)
        count = self.samples
        return {
            "accuracy": int(hits.sum()) / count,
            "balanced_accuracy": float((hits[seen] / support[seen]).mean()),
            "macro_f1": float(f1.mean()),
            "top2_accuracy": self.second / count,
            "negative_log_likelihood": self.surprise / count,
            "expected_calibration_error": float(np.abs(self.gaps).sum() / count),
        }


def tally(predictor: Predictor, parts: Iterable[data.Split]) -> Tally:
    """Read the parts of a dataset one after the other and return the sums."""
    sums = Tally(len(predictor.labels))
    for part in parts:
        sums.add(predictor(part.images), part.labels)
    return sums
