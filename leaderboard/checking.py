"""Check a row: compare its record with a new measurement of the same folder."""

from dataclasses import dataclass
from pathlib import Path

from leaderboard import results
from leaderboard.evaluation import Evaluation
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from zoo.errors import ZooError
from zoo.serving.predictor import Predictor

# Another processor sums in a different order, so a sample near the decision boundary may change its class.
TOLERANCE = 1e-3  # of a score, and of the samples
COSTS = ("training_time",)  # facts of the training, which cannot be measured again


@dataclass(frozen=True)
class Score:
    """One metric of the shipped seed, as recorded and as measured now."""

    name: str
    recorded: float
    measured: float

    @property
    def agrees(self) -> bool:
        """Whether they are equal except for rounding."""
        return abs(self.measured - self.recorded) <= TOLERANCE * max(1.0, abs(self.recorded))


@dataclass(frozen=True)
class Check:
    """The comparison of a record with a new measurement."""

    scores: list[Score]
    changed: int | None  # samples whose predicted class differs from the stored one; None: predictions are not stored
    problems: list[str]  # what else differs

    @property
    def agrees(self) -> bool:
        """Whether the record agrees with the measurement."""
        return not self.problems and all(score.agrees for score in self.scores)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        answers = "" if self.changed is None else f" {self.changed} test samples have another prediction than recorded."
        if self.agrees:
            return f"The record agrees with what was measured now.{answers}"
        return f"The record does NOT agree with what was measured now.{answers} " + " ".join(self.problems)


def record_of(folder: Path, records: Path | None = None) -> Result:
    """Return the record of a published folder; ZooError if there is none or it is broken."""
    predictor = Predictor.load(folder)
    path = results.path_of(predictor.name, predictor.dataset, records)
    if not path.exists():
        raise ZooError(f"{predictor.name} has no record at {path}, so there is nothing to check.")
    result = results.read_record(path)
    if isinstance(result, Broken):
        raise ZooError(f"The record of {predictor.name} is broken. {result.reason}")
    return result


def compare(
    result: Result,
    recorded: Predictions | None,
    evaluation: Evaluation,
    predictions: Predictions,
    seed: int | None = None,
) -> Check:
    """Compare a record with an evaluation of the same model.

    Args:
        result: the record.
        recorded: its stored predictions; None if there are none.
        evaluation, predictions: what was measured now.
        seed: which training of the row was measured; None: the shipped one. Predictions are stored of that one only.
    """
    problems = []
    shipped = seed in (None, result.shipped_seed)
    training = result.of_seed(result.shipped_seed if seed is None else seed)
    revision = result.revision if shipped else training.revision
    if evaluation.revision != (revision or evaluation.revision):
        problems.append("The weights differ from those of the record (another model.onnx).")
    if evaluation.dataset_fingerprint != result.dataset_fingerprint:
        problems.append("The test set differs from that of the record.")
    if result.stale:
        problems.append(f"The record is stale: {result.stale}.")
    changed = None
    if shipped and recorded is not None and len(recorded.labels) == len(predictions.labels):
        changed = int((recorded.predicted != predictions.predicted).sum())
        if changed > TOLERANCE * len(predictions.labels):
            problems.append("Rounding does not explain this difference.")
    scores = [
        Score(name, training.metrics[name], value)
        for name, value in evaluation.metrics.items()
        if name not in COSTS and name in result.means
    ]
    return Check(scores, changed, problems)
