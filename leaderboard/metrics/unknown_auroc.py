"""Unknown AUROC: how often a test sample has a higher confidence than an image of no class.

0.5 is chance. The images of no class are those of `leaderboard/unknown.py`.
"""

import datasets
import evaluate
import numpy as np
import sklearn.metrics

VERSION = 1  # a record that another version measured is stale
TOLERANCE = 5e-4  # pairs whose confidences are equal but for rounding may change places on another machine


class UnknownAuroc(evaluate.Metric):
    """`compute(predictions=(N, classes), references=(N,), unknown_confidence=(K,))` -> {"unknown_auroc": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="Hendrycks and Gimpel, 2017, A baseline for detecting out-of-distribution examples",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, unknown_confidence: np.ndarray
    ) -> dict[str, float]:
        known = np.max(predictions, axis=1)
        confidence = np.concatenate([known, unknown_confidence])
        truth = np.repeat([1, 0], [len(known), len(unknown_confidence)])
        return {"unknown_auroc": float(sklearn.metrics.roc_auc_score(truth, confidence))}
