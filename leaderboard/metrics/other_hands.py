"""Other hands: mean accuracy on the test sets of other datasets with the same labels, equally weighted.

The dataset's entry lists them (`DatasetSpec.transfers`). They are not used for training or for any choice.
"""

import datasets
import evaluate
import numpy as np

VERSION = 1  # a record that another version measured is stale
TOLERANCE = 6e-4  # one of the 1,757 samples of unipen_digits may change its class on another machine


class OtherHands(evaluate.Metric):
    """`compute(predictions=…, references=…, transfers={dataset: right (N,)})` -> {"other_hands": 0..1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="Recht et al., 2019, Do ImageNet classifiers generalize to ImageNet?",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, transfers: dict[str, np.ndarray]
    ) -> dict[str, float]:
        return {"other_hands": float(np.mean([np.mean(right) for right in transfers.values()]))}
