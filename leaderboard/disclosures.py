"""What a reader of a score must know: `disclosures.json`, one entry for each, of a dataset or of some of its networks.

They are shown next to the scores: on the board, on the pages of models, in the documentation and in cards.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

from zoo.files import read_json

DISCLOSURES = Path(__file__).with_name("disclosures.json")


@dataclass(frozen=True)
class Disclosure:
    """One sentence or two about scores on a dataset."""

    dataset: str
    networks: list[str]  # whose scores are meant; empty: of all
    text: str
    readings: int = 0  # of the test set that no record of the network's own recipe counts


@functools.cache
def disclosures() -> tuple[Disclosure, ...]:
    """Return every disclosure."""
    return tuple(Disclosure(**entry) for entry in read_json(DISCLOSURES))


def of_dataset(dataset: str) -> list[str]:
    """Return what is to be known of all scores on a dataset."""
    return [one.text for one in disclosures() if one.dataset == dataset and not one.networks]


def of_network(dataset: str, network: str) -> list[str]:
    """Return what is to be known of the scores of one network on a dataset only."""
    return [one.text for one in disclosures() if one.dataset == dataset and network in one.networks]


def further_readings(dataset: str, network: str) -> int:
    """Return how often the test set was read for a network, by whatever recipe, beyond what its records count."""
    return sum(one.readings for one in disclosures() if one.dataset == dataset and network in one.networks)
