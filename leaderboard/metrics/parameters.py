"""Parameters: all numbers that a model holds, trained or not, as Keras' `count_params()` counts them."""

import math

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale


class Parameters(evaluate.Metric):
    """`compute(predictions=…, references=…, weight_shapes=[w.shape for w in model.weights])` -> {"parameters": int}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, weight_shapes: list[tuple[int, ...]]
    ) -> dict[str, float]:
        return {"parameters": sum(math.prod(shape) for shape in weight_shapes)}
