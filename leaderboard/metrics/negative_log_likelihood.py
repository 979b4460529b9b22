"""Negative log-likelihood: the mean of -ln p(true class), nats; 0 is perfect, and a confident mistake costs most."""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = 1e-4  # nats: probabilities of another machine differ by some 1e-6


class NegativeLogLikelihood(evaluate.Metric):
    """`compute(predictions=…, references=…)` -> {"negative_log_likelihood": nats, >= 0}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
        predictions = np.asarray(predictions)
        probability = predictions[np.arange(len(predictions)), np.asarray(references)]
        smallest = np.finfo(np.float32).tiny  # a probability that was rounded to 0 must not give infinity
        return {"negative_log_likelihood": float(-np.log(np.maximum(probability, smallest)).mean())}
