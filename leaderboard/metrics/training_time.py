"""Training time: duration of the training in seconds, on the hardware that the record names."""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = None  # a fact of the training, which cannot be measured again


class TrainingTime(evaluate.Metric):
    """`compute(predictions=…, references=…, training_seconds=…)` -> {"training_time": seconds}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray, training_seconds: float) -> dict[str, float]:
        return {"training_time": float(training_seconds)}
