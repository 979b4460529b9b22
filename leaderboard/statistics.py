"""Statistics of the board: intervals, the paired test of two models, rows that share a rank, and how sure ranks are.

scipy is imported only where it is needed: the Space uses precomputed ranks.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05  # significance level: probability that equal models test as different
ENDS = (0.025, 0.975)  # quantiles at the ends of a 95% interval


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same samples."""

    both: int  # samples that both predict correctly
    only_first: int
    only_second: int
    neither: int
    p_value: float  # two-sided p-value under the hypothesis that neither is better, see `paired_test`


def wilson_interval(right: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a proportion that was measured as `right` of `total` (Wilson, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(right, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def macro_f1_interval(
    confusion: np.ndarray, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of macro F1 (Efron and Tibshirani, 1993).

    Resampling N samples is equivalent to resampling N cells of the confusion matrix, so cells are drawn. Where writers
    are known, they are drawn, each with all samples.

    Args:
        confusion: integers (classes, classes), rows are the true classes; or one for each writer, (writers, classes,
            classes).
        confidence: nominal coverage of the interval.
        resamples: number of bootstrap test sets.
        seed: of the random draws; the same matrix gives the same interval.
    """
    cells, rng = np.asarray(confusion, dtype=float), np.random.default_rng(seed)
    total, classes = int(cells.sum()), cells.shape[-1]
    if cells.ndim == 3:
        drawn = _drawn_writers(len(cells), resamples, rng) @ cells.reshape(len(cells), -1)
    else:
        drawn = rng.multinomial(total, cells.ravel() / total, resamples)
    drawn = drawn.reshape(resamples, classes, classes)
    hits = drawn[:, range(classes), range(classes)]
    f1 = 2 * hits / np.maximum(drawn.sum(axis=1) + drawn.sum(axis=2), 1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(f1.mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def variance_of(values: Sequence[float]) -> float:
    """Return the variance of a few values (n - 1), 0 of one; `statistics` computes in fractions."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)


def mean_interval(
    accuracies: Sequence[float], right: np.ndarray, writers: np.ndarray | None = None, z: float = 1.959964
) -> tuple[float, float]:
    """Return the 95% interval of a mean accuracy, for other samples and other seeds.

    Its variance is the sum of that over writers and that over seeds: what a bootstrap of both converges to. The
    interval has Wilson's form (1927), for as many samples as would give this variance, but no more than there are
    (Korn and Graubard, 1998).

    Args:
        accuracies: of each seed; one seed tells nothing of other seeds.
        right: bool (N,), the correct predictions of the shipped seed.
        writers: int (N,), who wrote each sample; None: unknown, every sample is taken for independent.
        z: the quantile of the normal distribution.
    """
    count, share, mean = len(right), float(right.mean()), sum(accuracies) / len(accuracies)
    if writers is None:
        clusters, spread = count, count * share * (1 - share)
    else:
        by_writer = np.bincount(_numbered(writers), weights=right - share)
        clusters, spread = len(by_writer), float((by_writer**2).sum())
    variance = spread / count**2 * clusters / max(clusters - 1, 1)
    variance += variance_of(accuracies) / len(accuracies)
    samples = min(count, mean * (1 - mean) / variance) if variance > 0 and 0 < mean < 1 else count
    centre = (mean + z**2 / (2 * samples)) / (1 + z**2 / samples)
    half = z / (1 + z**2 / samples) * np.sqrt(mean * (1 - mean) / samples + z**2 / (4 * samples**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def paired_test(first: np.ndarray, second: np.ndarray, writers: np.ndarray | None = None) -> PairedTest:
    """Compare two models on the same samples, exactly.

    If neither is better, each writer might as well have favored the other model by as many samples: the p-value is the
    share of all such exchanges that differ at least as much (Fisher's sign-flip test, with writers as clusters). If
    writers are unknown, each sample is exchanged for itself: that is the exact test of McNemar (1947).

    Args:
        first: bool (N,), which predictions of the first are correct.
        second: the same of the second.
        writers: int (N,), who wrote each sample; None: unknown.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    if writers is None:
        p_value = float(_exact_p(only_first, only_second))
    else:
        p_value = _clustered_p(np.bincount(_numbered(writers), weights=first.astype(int) - second))
    return PairedTest(
        both=int((first & second).sum()),
        only_first=only_first,
        only_second=only_second,
        neither=int((~first & ~second).sum()),
        p_value=p_value,
    )


def tie_groups(
    right: np.ndarray, writers: np.ndarray | None = None, alpha: float = ALPHA, guests: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Group rows so that no two of a group differ significantly in the paired test.

    A row starts a new group if it is significantly worse than any row of the group above. Each p-value is multiplied by
    the number of pairs of rows (Bonferroni), whichever of them are compared: rows are sorted, so the best and the worst
    of many equal models differ more than two random ones do. So equal models are in one group with a probability of at
    least 1 - alpha.

    Guests are rows that anybody may send. How the others are grouped does not depend on them. A guest joins the group
    above it unless it is significantly worse than that group's best row, else the group below it unless it is
    significantly better than its best row, else it stands between them. Its p-values are multiplied by the number of
    pairs that there would be with it alone. Guests are not compared with each other, so those of one place may differ.

    Args:
        right: bool (rows, samples), the correct predictions of each row; the best row first.
        writers: int (samples,), see `paired_test`.
        alpha: probability that equal models do not share a group.
        guests: bool (rows,); None: there are none.

    Returns:
        groups: int (rows,), 0 is the best group. A guest may be in a better one than a guest above it.
        p_values: float (rows,), of each row against the one above, corrected; NaN for the first.
    """
    pairs = _Pairs(right, writers, alpha)
    sent = np.zeros(len(right), bool) if guests is None else guests
    own = np.flatnonzero(~sent)
    count, with_guest = max(1, len(own) * (len(own) - 1) // 2), max(1, len(own) * (len(own) + 1) // 2)

    places = np.zeros(len(right))  # of the groups; between two whole numbers where guests stand between two groups
    first = 0  # of the group, in `own`
    for index in range(1, len(own)):
        if pairs.worse(own[first:index], int(own[index]), count):
            first = index
        places[own[index]] = places[own[index - 1]] + (first == index)
    for row in map(int, np.flatnonzero(sent)):
        places[row] = _guest_place(row, own, places, lambda above, below: pairs.worse(above, below, with_guest))
    for row in map(int, np.flatnonzero(np.isnan(pairs.neighbours[1:])) + 1):
        pairs.worse(np.array([row - 1]), row, with_guest)
    return np.unique(places, return_inverse=True)[1], pairs.neighbours


def ranks(groups: np.ndarray, guests: np.ndarray | None = None) -> np.ndarray:
    """Return how many rows that are no guests are in better groups, plus one: float (rows,).

    A guest in no group of such rows is half a rank after those that are better. Without such rows it has none, NaN.

    Args:
        groups: numbers (rows,), the lower the better, see `tie_groups`.
        guests: bool (rows,); None: there are none.
    """
    own = groups if guests is None else groups[~guests]
    if not len(own):
        return np.full(len(groups), np.nan)
    better: np.ndarray = (groups[:, None] > own).sum(axis=1)
    return better + np.where(np.isin(groups, own), 1.0, 0.5)


def _guest_place(row: int, own: np.ndarray, places: np.ndarray, worse: Callable[[np.ndarray, int], bool]) -> float:
    """Return the place of a guest among the groups of the board's own rows, see `tie_groups`."""
    above, below = own[own < row], own[own > row]
    upper = places[above[-1]] if len(above) else -1.0
    lower = places[below[0]] if len(below) else upper + 1
    if upper == lower or (len(above) and not worse(above[places[above] == upper][:1], row)):
        return float(upper)
    if len(below) and not worse(np.array([row]), below[0]):
        return float(lower)
    return float(upper) + 0.5


def worst_tenth(right: np.ndarray, writers: np.ndarray) -> np.ndarray:
    """Return which samples are by the tenth of the writers who are read worst, bool (N,).

    Args:
        right: bool (N,), which predictions are correct.
        writers: int (N,), who wrote each sample.
    """
    numbered = _numbered(writers)
    share = np.bincount(numbered, weights=right) / np.bincount(numbered)
    return np.isin(numbered, np.argsort(share, kind="stable")[: math.ceil(len(share) / 10)])


def worst_tenth_interval(
    right: np.ndarray, writers: np.ndarray, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the accuracy on the tenth of the writers who are read worst.

    Writers are drawn with all their samples, and each time those who are read worst are other ones.
    """
    numbered = _numbered(writers)
    hits, sizes = np.bincount(numbered, weights=right), np.bincount(numbered)
    order = np.argsort(hits / sizes, kind="stable")
    drawn = _drawn_writers(len(order), resamples, np.random.default_rng(seed))[:, order]
    before = drawn.cumsum(axis=1) - drawn
    worst = np.clip(math.ceil(len(order) / 10) - before, 0, drawn)  # how often each is among the worst
    low, high = np.quantile(worst @ hits[order] / (worst @ sizes[order]), ENDS)
    return float(low), float(high)


def place_range(
    right: np.ndarray, writers: np.ndarray | None = None, resamples: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last place of each row that other writers make plausible (95%, bootstrap).

    Args:
        right: bool (rows, samples), the correct predictions of each row.
        writers: int (samples,); None: unknown, every sample is drawn for itself.
        resamples: number of bootstrap test sets.
        seed: of the random draws.

    Returns:
        first, last: int (rows,); 1 is the best place, and rows that are equally good share the better one.
    """
    from scipy.stats import rankdata

    scores = _scores(right, writers, lambda count: _kept_draws(count, resamples, seed))
    places = rankdata(-scores, method="min", axis=1)
    first, last = np.quantile(places, ENDS, axis=0, method="inverted_cdf")
    return first.astype(int), last.astype(int)


def rank_agreement(
    here: np.ndarray,
    there: np.ndarray,
    writers_here: np.ndarray | None = None,
    writers_there: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return Kendall's tau (1938, tau-b) of the rankings of the same rows on two test sets, and its 95% interval.

    The interval is a bootstrap over the writers of both sets, or over samples where writers are unknown. The rows stay
    the same: it says nothing of other networks.

    Args:
        here: bool (rows, samples), the correct predictions on one set.
        there: bool (rows, samples), those of the same rows on the other.
        writers_here: int (samples,), who wrote the samples of the one; None: unknown.
        writers_there: of the other.
        resamples: number of bootstrap test sets.
        seed: of the random draws.
    """
    from scipy.stats import kendalltau

    rng = np.random.default_rng(seed)
    tau = kendalltau(here.sum(axis=1), there.sum(axis=1)).statistic
    drawn = [
        _scores(right, by, lambda count: _drawn_writers(count, resamples, rng))
        for right, by in ((here, writers_here), (there, writers_there))
    ]
    low, high = np.nanquantile([kendalltau(a, b).statistic for a, b in zip(*drawn, strict=True)], ENDS)
    return float(tau), float(low), float(high)


def _scores(right: np.ndarray, writers: np.ndarray | None, draw: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return the accuracy of each row on bootstrap test sets, float32 (resamples, rows).

    Args:
        draw: returns how often each of that many writers is in each test set, integers (resamples, count).
    """
    numbered = np.arange(right.shape[1]) if writers is None else _numbered(writers)
    sizes = np.bincount(numbered)
    hits = np.stack([np.bincount(numbered, weights=row) for row in right], axis=1)
    drawn = draw(len(sizes)).astype(np.float32)
    scores: np.ndarray = drawn @ hits.astype(np.float32) / (drawn @ sizes.astype(np.float32))[:, None]
    return scores


@functools.lru_cache(maxsize=4)  # of 10,000 samples 20 MB; a worker computes the same board after each submission
def _kept_draws(count: int, resamples: int, seed: int) -> np.ndarray:
    """Return what `_drawn_writers` draws first, uint16."""
    drawn = _drawn_writers(count, resamples, np.random.default_rng(seed)).astype(np.uint16)
    drawn.flags.writeable = False
    return drawn


def _drawn_writers(count: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of `count` writers is in each bootstrap test set, int (resamples, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), resamples)


class _Pairs:
    """Paired tests of rows, the best row first, and the corrected p-values of neighbours that they gave."""

    def __init__(self, right: np.ndarray, writers: np.ndarray | None, alpha: float):
        self.alpha = alpha
        self.neighbours = np.full(len(right), np.nan)  # of each row against the one above; NaN: not compared
        self.packed = np.packbits(right, axis=1)
        self.by_writer = None
        if writers is not None:
            numbered = _numbered(writers)
            self.by_writer = np.stack([np.bincount(numbered, weights=row) for row in right]).astype(int)

    def worse(self, above: np.ndarray, row: int, count: int) -> bool:
        """Whether the row is significantly worse than any of those above, where `count` pairs are compared in all."""
        p_values, fewer = self._compared(above, row)
        corrected = np.minimum(1.0, count * p_values)
        if above[-1] == row - 1:
            self.neighbours[row] = corrected[-1]
        return bool(((corrected < self.alpha) & fewer).any())

    def _compared(self, above: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the p-values against each row above, and whether fewer of this row's samples are right."""
        if self.by_writer is not None:
            differences = self.by_writer[above] - self.by_writer[row]
            return np.array([_clustered_p(one) for one in differences]), differences.sum(axis=1) > 0
        upper, lower = self.packed[above], self.packed[row]
        only_upper = np.bitwise_count(upper & ~lower).sum(axis=1, dtype=int)
        only_lower = np.bitwise_count(~upper & lower).sum(axis=1, dtype=int)
        return np.asarray(_exact_p(only_upper, only_lower)), only_upper > only_lower


def _numbered(writers: np.ndarray) -> np.ndarray:
    """Return whole numbers from 0 for names of writers."""
    return np.unique(writers, return_inverse=True)[1]


def _exact_p(only_first: int | np.ndarray, only_second: int | np.ndarray) -> np.ndarray:
    """Return the two-sided binomial p-value of counts that are equally likely under the null hypothesis."""
    from scipy.special import bdtr

    fewer = np.minimum(only_first, only_second)
    p_values: np.ndarray = np.minimum(1.0, 2 * bdtr(fewer, np.add(only_first, only_second), 0.5))
    return p_values


@functools.lru_cache(maxsize=4096)
def _flips(size: int, count: int) -> np.ndarray:
    """Return the chances of the sums of `count` numbers ±size, from the least sum up, in steps of 2."""
    from scipy.stats import binom

    flips = np.zeros(count * size + 1)
    flips[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
    return flips


def _clustered_p(differences: np.ndarray) -> float:
    """Return the share of the sign flips of whole numbers (clusters,) whose sum is at least as far from zero.

    The distribution of the sum is computed exactly: clusters of equal size flip as a binomial does.
    """
    counts, chances = np.bincount(np.abs(differences).astype(int)), np.ones(1)
    for size in np.flatnonzero(counts[1:]) + 1:
        chances = np.convolve(chances, _flips(int(size), int(counts[size])))
    total = len(chances) - 1  # the sums are -total, -total + 2, …, total
    sums = np.arange(-total, total + 1, 2)
    return min(1.0, float(chances[np.abs(sums) >= abs(int(differences.sum()))].sum()))
