"""Expected calibration error: difference between confidence and accuracy, averaged over 15 equal bins.

A model trained with label smoothing is deliberately underconfident, which increases this error.
"""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = "a sample"  # may change its class on another machine, see `leaderboard.checking`
BINS = 15


class ExpectedCalibrationError(evaluate.Metric):
    """`compute(predictions=…, references=…)` -> {"expected_calibration_error": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="Guo et al., 2017, On calibration of modern neural networks",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
        predictions = np.asarray(predictions)
        confidence = predictions.max(axis=1)
        right = predictions.argmax(axis=1) == np.asarray(references)
        bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)  # (0, 1/15], (1/15, 2/15], ...
        gaps = np.bincount(bins, right - confidence, minlength=BINS)  # size of the bin times its gap
        return {"expected_calibration_error": float(np.abs(gaps).sum() / len(right))}
