"""Statistics of the board: confidence intervals, the paired test of two models, and groups of rows that share a rank.

scipy is imported only where it is needed: the Space uses precomputed ranks.
"""

from dataclasses import dataclass

import numpy as np

ALPHA = 0.05  # significance level: probability that two equal models test as different


@dataclass(frozen=True)
class McNemar:
    """Two models on the same samples (McNemar, 1947; exact: Edwards, 1948)."""

    both: int  # samples that both predict correctly
    only_first: int
    only_second: int
    neither: int
    p_value: float  # two-sided p-value under the hypothesis that neither is better


def wilson_interval(right: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a proportion that was measured as `right` of `total` (Wilson, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(right, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def macro_f1_interval(
    confusion: np.ndarray, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of macro F1 (Efron and Tibshirani, 1993).

    Resampling N samples is equivalent to resampling N cells of the confusion matrix, so cells are drawn.

    Args:
        confusion: integers (classes, classes), rows are the true classes.
        confidence: nominal coverage of the interval.
        resamples: number of bootstrap test sets.
        seed: of the random draws; the same matrix gives the same interval.
    """
    cells = np.asarray(confusion, dtype=float)
    total = int(cells.sum())
    drawn = np.random.default_rng(seed).multinomial(total, cells.ravel() / total, resamples)
    drawn = drawn.reshape(resamples, *cells.shape)
    hits = drawn[:, range(len(cells)), range(len(cells))]
    f1 = 2 * hits / np.maximum(drawn.sum(axis=1) + drawn.sum(axis=2), 1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(f1.mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Compare two models on the same samples.

    Args:
        first: bool (N,), which predictions of the first are correct.
        second: the same of the second.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    return McNemar(
        both=int((first & second).sum()),
        only_first=only_first,
        only_second=only_second,
        neither=int((~first & ~second).sum()),
        p_value=float(_exact_p(only_first, only_second)),
    )


def tie_groups(right: np.ndarray, alpha: float = ALPHA) -> tuple[np.ndarray, np.ndarray]:
    """Group rows that do not differ significantly in the exact McNemar test.

    A row starts a new group if it is significantly worse than the row above it or than the group's first row; the
    latter keeps a long chain of small steps from making its ends equal. The comparison with the first row uses
    Bonferroni's correction for all pairs up to that row: rows are sorted, so the best and the worst of many equal
    models differ more than two random ones do.

    Args:
        right: bool (rows, samples), the correct predictions of each row; the best row first.
        alpha: the level of one test.

    Returns:
        groups: int (rows,), 0 is the best group.
        p_values: float (rows,), of each row against the one above; NaN for the first.
    """
    packed = np.packbits(right, axis=1)
    above, p_values = _worse(packed[:-1], packed[1:], alpha)
    breaks = np.concatenate([[True], above])
    ends = np.append(np.flatnonzero(breaks)[1:], len(packed))
    start = 0
    for end in ends:  # within a chain of neighbors that do not differ
        while end - start > 2:
            place = np.arange(2, end - start)  # the row at place 1 was compared as a neighbor
            worse, _ = _worse(packed[start], packed[start + 2 : end], 2 * alpha / (place * (place + 1)))
            if not worse.any():
                break
            start += 2 + int(worse.argmax())
            breaks[start] = True
        start = end
    return np.cumsum(breaks) - 1, np.concatenate([[np.nan], p_values])


def _worse(upper: np.ndarray, lower: np.ndarray, alpha: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where `lower` is significantly worse than `upper` and the p-values; rows are packed bits."""
    only_upper = np.bitwise_count(upper & ~lower).sum(axis=1, dtype=int)
    only_lower = np.bitwise_count(~upper & lower).sum(axis=1, dtype=int)
    p_values = _exact_p(only_upper, only_lower)
    return (p_values < alpha) & (only_upper > only_lower), p_values


def _exact_p(only_first: int | np.ndarray, only_second: int | np.ndarray) -> np.ndarray:
    """Return the two-sided binomial p-value of counts that are equally likely under the null hypothesis."""
    from scipy.special import bdtr

    fewer = np.minimum(only_first, only_second)
    p_values: np.ndarray = np.minimum(1.0, 2 * bdtr(fewer, np.add(only_first, only_second), 0.5))
    return p_values
