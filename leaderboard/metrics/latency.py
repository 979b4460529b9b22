"""Latency: median milliseconds for one image at a time, after loading and warm-up."""

import statistics

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = None  # of the machine and its load: compares within one run only


class Latency(evaluate.Metric):
    """`compute(predictions=…, references=…, image_seconds=[…])` -> {"latency": ms}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray, image_seconds: list[float]) -> dict[str, float]:
        return {"latency": 1000 * statistics.median(image_seconds)}
