"""Throughput: median images per second in batches, after loading and warm-up."""

import statistics

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = None  # of the machine and its load: compares within one run only


class Throughput(evaluate.Metric):
    """`compute(predictions=…, references=…, batch_seconds=[…], batch_size=…)` -> {"throughput": images/s}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, batch_seconds: list[float], batch_size: int
    ) -> dict[str, float]:
        return {"throughput": batch_size / statistics.median(batch_seconds)}
