"""Choose held-out samples: by writer if writers are known, else stratified by class.

Every choice depends only on the labels and groups, so the same samples are held out every time and everywhere.
"""

import warnings

import numpy as np

from zoo.errors import ZooError

SHARE = 0.1  # of the samples, held out to choose on
_SEED = 0


def validation(labels: np.ndarray, groups: np.ndarray | None, share: float = SHARE) -> np.ndarray:
    """Choose the samples that validate.

    Args:
        labels: int (N,).
        groups: int (N,), who wrote each; None where it is unknown. Nobody is on both sides.
        share: of every class, but at least one sample; of the writers, but at least one.

    Returns:
        bool (N,), true for what is held out. `missing` tells whether every class is on both sides: of the possible
        sets of writers the first is taken where that is so.
    """
    if groups is None:
        ranks, counts = _ranks(labels)
        return ranks >= counts - np.maximum(1, np.round(share * counts))
    count = min(round(1 / share), len(np.unique(groups)))
    if count < 2:
        return np.zeros(len(labels), bool)
    parts = _by_group(labels, groups, count)
    masks = [parts == part for part in range(count)]
    return next((mask for mask in masks if missing(labels, mask) is None), masks[0])


def folds(labels: np.ndarray, groups: np.ndarray | None, count: int) -> np.ndarray:
    """Divide the samples into `count` parts of the same mixture of classes, no writer in two of them.

    Returns:
        int (N,), the part of each sample, 0 to count - 1.

    Raises:
        ZooError: fewer writers than parts.
    """
    if groups is None:
        ranks, _ = _ranks(labels)
        return ranks % count
    writers = len(np.unique(groups))
    if writers < count:
        raise ZooError(f"{count} folds need as many writers, and there are {writers}: choose at most {writers} folds.")
    return _by_group(labels, groups, count)


def missing(labels: np.ndarray, held_out: np.ndarray) -> tuple[int, str] | None:
    """Return the first class that one side lacks and the side, "training" or "held out"; None if both have all."""
    classes = np.unique(labels)
    for side, rows in (("training", ~held_out), ("held out", held_out)):
        lacking = np.setdiff1d(classes, labels[rows])
        if len(lacking):
            return int(lacking[0]), side
    return None


def spread(labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Return an order, int (N,), in which any slice is stratified by class, or has whole writers.

    Recipes that hold out the last share of the rows, as some documents do, need that.
    """
    rng = np.random.default_rng(_SEED)
    if groups is not None:
        turn = rng.permutation(groups.max() + 1)
        return np.lexsort((_ranks(labels)[0], turn[groups]))
    ranks, counts = _ranks(labels)
    return np.lexsort((rng.random(len(labels)), (ranks + 0.5) / counts))


def _ranks(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each sample's place in a random order of its class, and the size of its class; int (N,) each."""
    rng = np.random.default_rng(_SEED)
    ranks, counts = np.empty(len(labels), int), np.empty(len(labels), int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        ranks[rng.permutation(rows)] = np.arange(len(rows))
        counts[rows] = len(rows)
    return ranks, counts


def _by_group(labels: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    parts = np.empty(len(labels), int)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes smaller than `count`: `missing` says it better
        for part, (_, rows) in enumerate(splitter.split(labels, labels, groups)):
            parts[rows] = part
    return parts
