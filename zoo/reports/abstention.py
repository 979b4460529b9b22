"""When to abstain: a confidence threshold, chosen on validation samples by the cost of a mistake."""

import numpy as np

from zoo.types import Json

COST = 10  # a wrong answer costs as much as this many abstentions
POINTS = 120  # of a stored curve: more than a figure can show


def choose_threshold(confidence: np.ndarray, right: np.ndarray, cost: float = COST) -> float:
    """Return the confidence below which a model should abstain (Chow, 1970).

    It is the least of those at which the samples given cost least: `cost` for a wrong answer, 1 for "don't know". They
    should be validation samples: what is chosen on the test set tells nothing about new ones.

    Args:
        confidence: float (N,), the probability of the likeliest class.
        right: bool (N,), whether that class is the true one.
        cost: of a wrong answer, in "don't know"s; at most 1 and nothing is ever withheld.

    Returns:
        A float in [0, 1]; 0 where every answer is better given.
    """
    order = np.argsort(confidence, kind="stable")
    ordered, wrong = confidence[order], ~right[order]
    # costs[k]: the k least sure are withheld
    costs = np.arange(len(order) + 1) + cost * (wrong.sum() - np.concatenate([[0], np.cumsum(wrong)]))
    possible = np.concatenate([[True], ordered[1:] > ordered[:-1], [False]])  # equal confidences go together
    best = int(np.flatnonzero(possible)[costs[possible].argmin()])
    return float(ordered[best]) if best else 0.0


def coverage(confidence: np.ndarray, right: np.ndarray, threshold: float) -> Json:
    """Return what a threshold does to these samples.

    Returns:
        coverage: share that is answered; accuracy: share of those that are right (None where nothing is answered);
        wrong: how many answers are wrong; withheld_wrong, withheld_right: how many of either are withheld.
    """
    given = confidence >= threshold
    return {
        "coverage": float(given.mean()),
        "accuracy": float(right[given].mean()) if given.any() else None,
        "wrong": int((given & ~right).sum()),
        "withheld_wrong": int((~given & ~right).sum()),
        "withheld_right": int((~given & right).sum()),
    }


def coverage_curve(confidence: np.ndarray, right: np.ndarray, points: int = POINTS) -> dict[str, list[float]]:
    """Return coverage and accuracy at ever higher thresholds, from everything answered to the surest hundredth.

    Returns:
        threshold, coverage, accuracy: lists of equal length, at most `points` long, coverage falling.
    """
    descending = np.argsort(-confidence, kind="stable")
    ordered, hits = confidence[descending], np.cumsum(right[descending])
    ends = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True))  # last place of equal confidences
    ends = ends[ends + 1 >= len(ordered) / 100] if len(ordered) else ends
    if len(ends) > points:
        # Dense where nearly everything is answered: there the mistakes are.
        wanted = len(ordered) * (1 - np.linspace(0, 1, points) ** 2)
        ends = np.unique(ends[np.clip(np.searchsorted(ends, wanted), 0, len(ends) - 1)])
    ends = ends[::-1]
    return {
        "threshold": [round(float(value), 4) for value in ordered[ends]],
        "coverage": [round(float(end + 1) / len(ordered), 5) for end in ends],
        "accuracy": [round(float(hits[end]) / (end + 1), 5) for end in ends],
    }
