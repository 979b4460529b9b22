"""Published scores that we did not measure, each with its source: `claims.json`, one entry for each claim."""

import functools
from dataclasses import dataclass
from pathlib import Path

from zoo.files import read_json
from zoo.types import Json

CLAIMS = Path(__file__).with_name("claims.json")


@dataclass(frozen=True)
class Claim:
    """One published score.

    network: the zoo's architecture if there is one, else the name in the source.
    honest: whether its source can be looked up and says what was measured, the score is of the whole test set, and
        nothing is known of a choice on it.
    chosen: how it was chosen, where that is not honest, or that the source leaves this open.
    source_named: whether the source can be looked up: an author, a paper or an address.
    ensemble: whether several networks give it.
    goal: for the seven reproduced systems, the accuracy that its recipe should reach: the published accuracy, or for
        hdr_cnn a higher one, see docs/board.md.
    aim: the accuracy that our own recipe should reach; None: the goal.
    """

    network: str
    dataset: str
    accuracy: float  # fraction of the test set
    parameters: int | None
    source: str
    honest: bool
    chosen: str = ""
    ensemble: bool = False
    goal: float | None = None
    aim: float | None = None
    source_named: bool = True

    @property
    def model(self) -> str:
        """Its name on the board."""
        return f"{self.network}.{self.dataset}"

    @property
    def note(self) -> str:
        """The source, and how far it can be believed."""
        return f"{self.source}; {'no choice on the test set is known' if self.honest else self.chosen}"


@functools.cache
def claims() -> tuple[Claim, ...]:
    """Return every claim."""
    return tuple(Claim(**entry) for entry in read_json(CLAIMS))


def claim_of(network: str, dataset: str) -> Json | None:
    """Return the claimed accuracy of a network on a dataset and its source; None if there is no claim."""
    for claim in claims():
        if (claim.network, claim.dataset) == (network, dataset):
            return {"accuracy": claim.accuracy, "source": claim.note}
    return None
