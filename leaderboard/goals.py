"""What the zoo's own networks are to reach at every size, and which row serves that: `goals.json`, one entry a goal."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from leaderboard.results import Result
from zoo import registry
from zoo.files import read_json
from zoo.trainers import Ensemble

GOALS = Path(__file__).with_name("goals.json")


@dataclass(frozen=True)
class Goal:
    """One goal, of the mean accuracy over seeds on the test set."""

    dataset: str
    what: str  # in words
    goal: float  # fraction
    known: str  # the best that is known from elsewhere, percent, in words
    parameters: int | None = None  # at most so many
    ensemble: bool = False  # several networks together, else one

    def best(self, results: Iterable[Result]) -> Result | None:
        """Return the row of the zoo that serves the goal; None: none.

        It is the best on validation by the mean of its seeds, as the goal is: the best of three would pass for better
        than the only one. The smaller where two are equal.
        """
        known = registry.architectures()
        fit = [
            result
            for result in results
            if result.dataset == self.dataset
            and result.submission is None
            and result.recipe["name"] == "zoo"
            and result.architecture in known
            and isinstance(known[result.architecture].trainer, Ensemble) == self.ensemble
            and (self.parameters is None or result.shipped("parameters") <= self.parameters)
        ]
        return max(fit, key=_worth, default=None)


@functools.cache
def goals() -> tuple[Goal, ...]:
    """Return every goal."""
    return tuple(Goal(**entry) for entry in read_json(GOALS))


def _worth(result: Result) -> tuple[float, float]:
    return fmean(seed.validation_accuracy for seed in result.seeds), -result.shipped("parameters")
