"""Macro F1: the unweighted mean over the classes of the harmonic mean of precision and recall."""

import datasets
import evaluate
import numpy as np
import sklearn.metrics

VERSION = 1  # a record that another version measured is stale
TOLERANCE = "a sample of a class"  # may change its class on another machine, see `leaderboard.checking`


class MacroF1(evaluate.Metric):
    """`compute(predictions=probabilities (N, classes), references=labels (N,))` -> {"macro_f1": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="Sokolova and Lapalme, 2009, A systematic analysis of performance measures",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
        predicted = np.argmax(predictions, axis=1)
        classes = np.arange(np.shape(predictions)[1])  # a class that never occurs counts, as 0
        score = sklearn.metrics.f1_score(references, predicted, labels=classes, average="macro", zero_division=0.0)
        return {"macro_f1": float(score)}
