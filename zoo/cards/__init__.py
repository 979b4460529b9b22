"""Make the text of a card from facts and scores, without I/O. Every card is sealed, so manual edits are detected."""

from zoo.cards.dataset_card import eval_yaml, render_dataset
from zoo.cards.model_card import metadata, render, worst_pairs
from zoo.cards.seal import is_sealed, sealed
from zoo.cards.wording import METRICS, dataset_link, in_line
from zoo.published import PublishedFolder

CARD = PublishedFolder.CARD

__all__ = [
    "CARD",
    "METRICS",
    "dataset_link",
    "eval_yaml",
    "in_line",
    "is_sealed",
    "metadata",
    "render",
    "render_dataset",
    "sealed",
    "worst_pairs",
]
