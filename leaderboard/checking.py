"""Whether a row still holds: its record against the same folder measured now."""

from dataclasses import dataclass
from pathlib import Path

from leaderboard import results
from leaderboard.evaluation import Evaluation
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from zoo.errors import ZooError
from zoo.serving.predictor import Predictor

# Another processor adds in another order, so a sample on the fence may fall to the other side.
TOLERANCE = 1e-3  # of a score, and of the samples
COSTS = ("training_time",)  # facts of the training: nothing that can be measured again here


@dataclass(frozen=True)
class Score:
    """One metric of the shipped seed, as recorded and as measured now."""

    name: str
    recorded: float
    measured: float

    @property
    def agrees(self) -> bool:
        """Whether they are equal but for rounding."""
        return abs(self.measured - self.recorded) <= TOLERANCE * max(1.0, abs(self.recorded))


@dataclass(frozen=True)
class Check:
    """What a new measurement says of a record."""

    scores: list[Score]
    changed: int | None  # samples that are read as another class than recorded; None: they are not stored
    problems: list[str]  # what else differs

    @property
    def agrees(self) -> bool:
        """Whether the row holds."""
        return not self.problems and all(score.agrees for score in self.scores)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        answers = "" if self.changed is None else f" {self.changed} test samples are read otherwise than recorded."
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


def compare(result: Result, recorded: Predictions | None, evaluation: Evaluation, predictions: Predictions) -> Check:
    """Hold a record against an evaluation of the same model.

    Args:
        result: the record.
        recorded: the answers that are stored with it; None if they are not.
        evaluation, predictions: what was measured now.
    """
    problems = []
    if evaluation.revision != result.revision:
        problems.append("These are other weights than the record's (model.onnx differs).")
    if evaluation.dataset_fingerprint != result.dataset_fingerprint:
        problems.append("The test set is another one than the record's.")
    if result.stale:
        problems.append(f"The record is stale: {result.stale}.")
    changed = None
    if recorded is not None and len(recorded.labels) == len(predictions.labels):
        changed = int((recorded.predicted != predictions.predicted).sum())
        if changed > TOLERANCE * len(predictions.labels):
            problems.append("That is more than rounding explains.")
    scores = [
        Score(name, result.shipped(name), value)
        for name, value in evaluation.metrics.items()
        if name not in COSTS and name in result.means
    ]
    return Check(scores, changed, problems)
