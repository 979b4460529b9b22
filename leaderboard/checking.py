"""Check a row: compare its record with a new measurement of the same folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from leaderboard import metrics, results
from leaderboard.evaluation import Evaluation, confusion_matrix
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from leaderboard.statistics import macro_f1_interval, wilson_interval
from zoo.errors import ZooError
from zoo.serving.predictor import Predictor

# Test samples that may change their class. Another processor sums in a different order. So do the kernels for browsers
# and C, where not one test sample of the networks in `leaderboard/precisions` changes: one leaves room for a tie.
SAMPLES = 1
ROUNDING = 1e-6  # of a score that is computed of the same predictions, or of all others


@dataclass(frozen=True)
class Score:
    """One number of a row, as recorded and as measured now."""

    name: str
    recorded: float
    measured: float
    tolerance: float = 0

    @property
    def agrees(self) -> bool:
        """Whether they differ by no more than another machine explains."""
        return abs(self.measured - self.recorded) <= self.tolerance


@dataclass(frozen=True)
class Check:
    """The comparison of a record with a new measurement."""

    scores: list[Score]
    changed: int | None  # samples whose predicted class differs from the stored one; None: predictions are not stored
    problems: list[str]  # what else differs
    missing: list[str] = field(default_factory=list)  # recorded numbers that were not measured now

    @property
    def agrees(self) -> bool:
        """Whether the record agrees with the measurement."""
        return not self.problems and all(score.agrees for score in self.scores)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        answers = "" if self.changed is None else f" {self.changed} test samples have another prediction than recorded."
        missing = f" Not compared, since not measured here: {', '.join(self.missing)}." if self.missing else ""
        if self.agrees:
            return f"The record agrees with what was measured now.{answers}{missing}"
        problems = "".join(f" {problem}" for problem in self.problems)
        return f"The record does NOT agree with what was measured now.{answers}{missing}{problems}"


def record_of(folder: Path, records: Path | None = None) -> Result:
    """Return the record of a published folder; ZooError if there is none or it is broken."""
    predictor = Predictor.measured(folder)
    path = results.path_of(predictor.name, predictor.dataset, records)
    if not path.exists():
        raise ZooError(f"{predictor.name} has no record at {path}, so there is nothing to check.")
    result = results.read_record(path)
    if isinstance(result, Broken):
        raise ZooError(f"The record of {predictor.name} is broken. {result.reason}")
    return result


def allowed(result: Result, recorded: float) -> dict[str, float]:
    """Return by how much a score may differ if `SAMPLES` predictions change, by the `TOLERANCE` of its metric.

    Args:
        result: whose confusion matrix tells the size of the test set and of its classes.
        recorded: the score.
    """
    support = np.array(result.confusion).sum(axis=1)
    smallest, correct = support[support > 0].min(), max(result.samples - result.errors, 1)
    return {
        "a sample": SAMPLES / result.samples + ROUNDING,
        # A mean over classes: the change counts in the class that the sample leaves and in the one that it joins.
        "a sample of a class": 2 * SAMPLES / (len(support) * smallest) + ROUNDING,
        "a correct sample": recorded * SAMPLES / correct + ROUNDING,  # the score is proportional to the accuracy
    }


def tolerance(metric: str, result: Result, recorded: float) -> float:
    """Return how much a new measurement of a metric may differ from a row's."""
    stated = metrics.tolerances().get(metric, 0)
    return allowed(result, recorded)[stated] if isinstance(stated, str) else float(stated or 0)


def of_metrics(result: Result, seed: int, measured: Mapping[str, float]) -> tuple[list[Score], list[str]]:
    """Compare all metrics of one seed of a row; return them, and the names of those that were not measured."""
    recorded = dict(result.of_seed(seed).metrics)
    if seed == result.shipped_seed:
        recorded |= result.shipped_metrics
    never = {name for name, stated in metrics.tolerances().items() if stated is None}
    scores = [
        Score(name, recorded[name], value, tolerance(name, result, recorded[name]))
        for name, value in measured.items()
        if name in recorded and name not in never
    ]
    return scores, sorted(recorded.keys() - measured.keys() - never)


def of_predictions(result: Result, stored: Predictions) -> tuple[list[Score], list[str]]:
    """Compare what a record says of its stored predictions with what they are; return scores and problems.

    The recorded intervals and mistakes are those of the shipped seed.
    """
    classes = len(result.confusion)
    confusion = confusion_matrix(stored.labels.astype(int), stored.predicted.astype(int), classes)
    right = int(np.trace(confusion))
    intervals = {
        "accuracy_interval": (result.accuracy_interval, wilson_interval(right, int(confusion.sum()))),
        "macro_f1_interval": (result.macro_f1_interval, macro_f1_interval(confusion)),
    }
    scores = [
        Score(f"{name}, {end}", recorded, now, ROUNDING)
        for name, (low_high, again) in intervals.items()
        for end, recorded, now in zip(("low", "high"), low_high, again, strict=True)
    ]
    same = np.array_equal(confusion, result.confusion)
    return scores, [] if same else ["The confusion matrix of the record is not that of its stored predictions."]


def compare(
    result: Result,
    recorded: Predictions | None,
    evaluation: Evaluation,
    predictions: Predictions,
    seed: int | None = None,
    as_trained: int | None = None,
) -> Check:
    """Compare a record with an evaluation of the same model.

    Args:
        result: the record.
        recorded: its stored predictions; None if there are none.
        evaluation, predictions: what was measured now.
        seed: which training of the row was measured; None: the shipped one. Predictions are stored of that one only.
        as_trained: parameters that Keras counts in the row's network; None: it cannot be built here.
    """
    problems = []
    seed = result.shipped_seed if seed is None else seed
    shipped, training = seed == result.shipped_seed, result.of_seed(seed)
    revision = result.revision if shipped else training.revision
    if evaluation.revision != (revision or evaluation.revision):
        problems.append("The weights differ from those of the record (another model.onnx).")
    if evaluation.dataset_fingerprint != result.dataset_fingerprint:
        problems.append("The test set differs from that of the record.")
    if result.stale:
        problems.append(f"The record is stale: {result.stale}.")
    scores, missing = of_metrics(result, seed, evaluation.metrics)
    changed = None
    if shipped and recorded is not None and len(recorded.labels) == len(predictions.labels):
        changed = int((recorded.predicted != predictions.predicted).sum())
        problems += beyond_rounding(changed)
        of_stored, differing = of_predictions(result, recorded)
        scores, problems = scores + of_stored, problems + differing
    elif shipped:
        missing.append("predictions and intervals")
    if result.parameters_as_trained is not None:
        if as_trained is None:
            missing.append("parameters_as_trained")
        else:
            scores.append(Score("parameters_as_trained", result.parameters_as_trained, as_trained))
    return Check(scores, changed, problems, missing)


def beyond_rounding(changed: int) -> list[str]:
    """Return the problem with that many changed predictions, if there is one."""
    return ["Rounding does not explain this difference."] if changed > SAMPLES else []
