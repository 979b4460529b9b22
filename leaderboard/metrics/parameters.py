"""Parameters: all numbers that a model holds, trained or not, as Keras' `count_params()` counts them."""

import math

import datasets
import evaluate

VERSION = 1  # a record that another version measured is stale


class Parameters(evaluate.Metric):
    """`compute(predictions=…, references=…, weight_shapes=[w.shape for w in model.weights])` -> {"parameters": int}."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references, weight_shapes):
        return {"parameters": sum(math.prod(shape) for shape in weight_shapes)}
