"""Throughput: images a second in batches, loaded and warm; the median batch."""

import statistics

import datasets
import evaluate

VERSION = 1  # a record that another version measured is stale


class Throughput(evaluate.Metric):
    """`compute(predictions=…, references=…, batch_seconds=[…], batch_size=…)` -> {"throughput": images/s}."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references, batch_seconds, batch_size):
        return {"throughput": batch_size / statistics.median(batch_seconds)}
