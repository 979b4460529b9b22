"""Robustness: mean accuracy over the corruptions of `leaderboard/corruptions.py`, equally weighted.

Increase the version when a corruption or its severity changes.
"""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = "a sample"  # of each kind may change its class on another machine, see `leaderboard.checking`


class Robustness(evaluate.Metric):
    """`compute(predictions=…, references=…, corrupted={name: predicted (N,)})` -> {"robustness": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="Hendrycks and Dietterich, 2019, Benchmarking neural network robustness",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, corrupted: dict[str, np.ndarray]
    ) -> dict[str, float]:
        references = np.asarray(references)
        return {
            "robustness": float(np.mean([np.mean(np.asarray(found) == references) for found in corrupted.values()]))
        }
