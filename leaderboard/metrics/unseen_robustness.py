"""Robustness to unseen damage: mean accuracy over the kinds of `leaderboard/unseen_damage.py`, equally weighted.

No network of the zoo was trained on them. Increase the version when a kind or its severity changes.
"""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = "a sample"  # of each kind may change its class on another machine, see `leaderboard.checking`


class UnseenRobustness(evaluate.Metric):
    """`compute(predictions=…, references=…, unseen={name: predicted (N,)})` -> {"unseen_robustness": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="Mu and Gilmer, 2019, MNIST-C: a robustness benchmark for computer vision",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, unseen: dict[str, np.ndarray]
    ) -> dict[str, float]:
        references = np.asarray(references)
        found = [np.mean(np.asarray(predicted) == references) for predicted in unseen.values()]
        return {"unseen_robustness": float(np.mean(found))}
