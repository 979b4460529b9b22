"""Scores that others state and we did not measure, each with its source: `claims.json`, one entry a claim."""

import functools
from dataclasses import dataclass
from pathlib import Path

from zoo.files import read_json
from zoo.types import Json

CLAIMS = Path(__file__).with_name("claims.json")


@dataclass(frozen=True)
class Claim:
    """One published score.

    network: the zoo's architecture where it is one of ours, else what its source calls it.
    goal: of one of the seven reproduced systems, what training by its recipe should reach: what it states, or what its
        published weights score on the test set here, where that is more.
    aim: what our own recipe is to reach; None: the goal.
    """

    network: str
    dataset: str
    accuracy: float  # fraction of the test set
    parameters: int | None
    source: str
    goal: float | None = None
    aim: float | None = None

    @property
    def model(self) -> str:
        """Its name on the board."""
        return f"{self.network}.{self.dataset}"


@functools.cache
def claims() -> tuple[Claim, ...]:
    """Return every claim."""
    return tuple(Claim(**entry) for entry in read_json(CLAIMS))


def claim_of(network: str, dataset: str) -> Json | None:
    """Return accuracy and source of what is claimed for a network on a dataset; None where nothing is."""
    for claim in claims():
        if (claim.network, claim.dataset) == (network, dataset):
            return {"accuracy": claim.accuracy, "source": claim.source}
    return None
