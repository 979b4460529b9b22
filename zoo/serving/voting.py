"""Whose hand a whole page is by: a network of pages looks at it view by view."""

from dataclasses import dataclass

import cv2
import numpy as np

from zoo.ink import bounds
from zoo.ink.decoding import pixels
from zoo.serving.predictor import Predictor
from zoo.serving.reading_budget import Budget

PAGE_SIDE = 2400  # pixels that are kept of a page: its networks see it at the size of a scan
UNSURE = "?"  # for a page by none of a network's writers


@dataclass(frozen=True)
class Votes:
    """What a network of pages makes of one: its labels, their pooled probabilities, and how many views chose each."""

    name: str
    model: str
    labels: tuple[str, ...]
    probabilities: np.ndarray  # float32 (classes,)
    votes: np.ndarray  # int64 (classes,)
    threshold: float  # the least probability at which the likeliest label is believed

    @property
    def label(self) -> str:
        """The likeliest label; `UNSURE` where the page is by none of them, or too little of it is seen."""
        best = int(self.probabilities.argmax())
        return self.labels[best] if self.probabilities[best] >= self.threshold else UNSURE


def vote(picture: object, predictor: Predictor, name: str = "", budget: Budget | None = None) -> Votes:
    """Show a page to a network of pages, view by view.

    Raises:
        Spent: it is more than the budget allows.
        InkError: not a picture, or one that is no page.
    """
    budget = budget or Budget()
    budget.take()
    assert predictor.view is not None  # only networks of pages are asked
    colors = pixels(picture, PAGE_SIDE, budget.turn)[..., :3]
    page = cv2.cvtColor(np.ascontiguousarray(colors), cv2.COLOR_RGB2GRAY)
    budget.check()
    with budget.turn(bounds.PAGES):  # keypoints of a page take most memory, and seconds
        views = predictor.view.views(page)
    with budget.step():
        each = predictor.classify(views)
    votes = np.bincount(each.argmax(axis=1), minlength=len(predictor.labels))
    return Votes(name, predictor.name, predictor.labels, predictor.view.pool(each), votes, predictor.threshold or 0.0)
