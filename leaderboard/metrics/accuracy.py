"""Accuracy: the fraction of samples whose most probable class is the true class."""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = "a sample"  # may change its class on another machine, see `leaderboard.checking`


class Accuracy(evaluate.Metric):
    """`compute(predictions=probabilities (N, classes), references=labels (N,))` -> {"accuracy": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
        return {"accuracy": float(np.mean(np.argmax(predictions, axis=1) == np.asarray(references)))}
