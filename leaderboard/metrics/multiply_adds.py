"""Multiply-adds: multiplications with a weight or between activations that one sample costs, counted in the ONNX graph.

A sample is a glyph, or a whole page with all the patches that it is read by; finding keypoints on it does not count.
Matrix products, convolutions and recurrent layers count; elementwise operations (activations, scaling, pooling) do not,
as is usual. See `leaderboard.products`.
"""

import datasets
import evaluate
import numpy as np

from leaderboard import products

VERSION = 2  # a record that another version measured is stale
TOLERANCE = 0  # a count: another machine has the same


class MultiplyAdds(evaluate.Metric):
    """`compute(predictions=…, references=…, onnx_path=…, inputs=…)` -> {"multiply_adds": count}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, onnx_path: str, inputs: int
    ) -> dict[str, float]:
        return {"multiply_adds": inputs * products.count(onnx_path)}
