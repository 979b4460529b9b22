"""Balanced accuracy: the unweighted mean of the recalls of all classes, so that all classes count equally."""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = "a sample of a class"  # may change its class on another machine, see `leaderboard.checking`


class BalancedAccuracy(evaluate.Metric):
    """`compute(predictions=probabilities (N, classes), references=labels (N,))` -> {"balanced_accuracy": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="Brodersen et al., 2010, The balanced accuracy and its posterior distribution",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
        references = np.asarray(references)
        right = np.argmax(predictions, axis=1) == references
        recalls = [right[references == label].mean() for label in np.unique(references)]
        return {"balanced_accuracy": float(np.mean(recalls))}
