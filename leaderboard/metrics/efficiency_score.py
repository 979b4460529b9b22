"""Efficiency score: accuracy in percent divided by parameters (see `parameters.py`) in millions.

Defined by the ResCo-Mini project. Alone it is degenerate (a constant guess with ten biases would win), so read it
together with the accuracy.
"""

import datasets
import evaluate
import numpy as np

VERSION = 2  # a record that another version measured is stale
TOLERANCE = "a correct sample"  # may become an incorrect one on another machine, see `leaderboard.checking`


class EfficiencyScore(evaluate.Metric):
    """`compute(predictions=…, references=…, parameters=…)` -> {"efficiency_score": percent per million}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray, parameters: int) -> dict[str, float]:
        accuracy = np.mean(np.argmax(predictions, axis=1) == np.asarray(references))
        return {"efficiency_score": float(100 * accuracy / (parameters / 1e6))}
