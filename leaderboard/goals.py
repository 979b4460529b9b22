"""Accuracy goals for the zoo's own networks by size, and the row for each: `goals.json`, one entry for each goal."""

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
    known: str  # the best known result elsewhere, percent, in words
    parameters: int | None = None  # at most this many
    ensemble: bool = False  # an ensemble, else a single network

    def best(self, results: Iterable[Result]) -> Result | None:
        """Return the row of the zoo for the goal; None if no row is eligible.

        It is the eligible row with the best mean validation accuracy over its seeds; of equals, the smaller network.
        The mean is used because the best of three seeds would look better than a single seed.
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
