"""Accuracy goals for the zoo's own networks by size, and the row for each: `goals.json`, one entry for each goal."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from leaderboard.claims import Claim
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
    parameters: int | None = None  # at most this many numbers in the measured file, the column `parameters`
    ensemble: bool = False  # an ensemble, else a single network

    def best(self, results: Iterable[Result]) -> Result | None:
        """Return the row of the zoo for the goal; None if no row is eligible.

        It is the eligible row whose weights are published with the best mean validation accuracy over its seeds; of
        equals, the smaller network; see `best_on_validation`.
        The mean is used because the best of three seeds would look better than a single seed.
        """
        known = registry.architectures()
        fit = [
            result
            for result in results
            if result.dataset == self.dataset
            and result.submission is None
            and result.recipe["name"] == "zoo"
            and result.published
            and result.architecture in known
            and isinstance(known[result.architecture].trainer, Ensemble) == self.ensemble
            and (self.parameters is None or result.shipped("parameters") <= self.parameters)
        ]
        return best_on_validation(fit)

    def known(self, claims: Iterable[Claim], honest: bool) -> Claim | None:
        """Return the best score that others published for the goal; None if there is none.

        Args:
            claims: published scores.
            honest: only those of which no choice on the test set is known.
        """
        fit = [
            claim
            for claim in claims
            if claim.dataset == self.dataset
            and claim.ensemble == self.ensemble
            and (claim.honest or not honest)
            and (self.parameters is None or (claim.parameters or math.inf) <= self.parameters)
        ]
        return max(fit, key=lambda claim: claim.accuracy, default=None)


@functools.cache
def goals() -> tuple[Goal, ...]:
    """Return every goal."""
    return tuple(Goal(**entry) for entry in read_json(GOALS))


def best_on_validation(rows: Sequence[Result]) -> Result | None:
    """Return the row with the best mean validation accuracy over its seeds; of equals, the smaller network.

    Rows that were chosen on an earlier validation split count only where there are no others; docs/board.md says why.
    """
    return max([row for row in rows if row.chosen_on_todays_validation] or rows, key=_worth, default=None)


def _worth(result: Result) -> tuple[float, float]:
    accuracy = fmean(seed.validation_accuracy for seed in result.seeds)
    return round(accuracy, 6), -result.shipped("parameters")  # they are stored as float32: equal counts are equal
