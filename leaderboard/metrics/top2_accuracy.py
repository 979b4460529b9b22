"""Top-2 accuracy: the fraction of samples whose true class is among the two most probable."""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = "a sample"  # may change on another machine, see `leaderboard.checking`


class Top2Accuracy(evaluate.Metric):
    """`compute(predictions=probabilities (N, classes), references=labels (N,))` -> {"top2_accuracy": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
        likeliest = np.argsort(-np.asarray(predictions), axis=1, kind="stable")[:, :2]
        return {"top2_accuracy": float(np.mean((likeliest == np.asarray(references)[:, None]).any(axis=1)))}
