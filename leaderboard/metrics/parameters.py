"""Parameters: the numbers that the measured ONNX file stores, see `zoo.stored_numbers`."""

import datasets
import evaluate
import numpy as np

VERSION = 2  # a record that another version measured is stale
TOLERANCE = 0  # a count: another machine has the same


class Parameters(evaluate.Metric):
    """`compute(predictions=…, references=…, parameters=stored_numbers.of_file(path))` -> {"parameters": int}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray, parameters: int) -> dict[str, float]:
        return {"parameters": parameters}
