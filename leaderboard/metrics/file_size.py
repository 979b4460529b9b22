"""File size: bytes of the ONNX file that is served, weights and graph."""

import os

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = 0  # a count: another machine has the same


class FileSize(evaluate.Metric):
    """`compute(predictions=…, references=…, onnx_path=…)` -> {"file_size": bytes}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray, onnx_path: str) -> dict[str, float]:
        return {"file_size": os.path.getsize(onnx_path)}
