"""Unknown accepted: share of images of no class whose likeliest class is as probable as that of 99% of known samples.

The threshold is set on validation samples; the images of no class are those of `leaderboard/unknown.py`.
"""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = 6e-4  # one of the 1,843 images of no class may be accepted on another machine
REJECTED = 0.01  # share of the validation samples below the threshold


class UnknownAccepted(evaluate.Metric):
    """`compute(predictions=…, references=…, validation_confidence=(M,), unknown_confidence=(K,))` -> 0..1."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="Hendrycks and Gimpel, 2017, A baseline for detecting out-of-distribution examples",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self,
        predictions: np.ndarray,
        references: np.ndarray,
        validation_confidence: np.ndarray,
        unknown_confidence: np.ndarray,
    ) -> dict[str, float]:
        threshold = np.quantile(validation_confidence, REJECTED)
        return {"unknown_accepted": float(np.mean(np.asarray(unknown_confidence) >= threshold))}
