"""Intervals that cover as often as they say, and ranks that do not split what is equal: on simulated data."""

import numpy as np
import pytest
import scipy.stats

from leaderboard import statistics


def test_wilson_interval_covers_as_often_as_it_says():
    low, high = statistics.wilson_interval(9924, 10_000)
    assert (round(low, 4), round(high, 4)) == (0.9905, 0.9939)
    rng = np.random.default_rng(0)
    intervals = {right: statistics.wilson_interval(right, 500) for right in range(501)}
    covered = [low <= 0.97 <= high for low, high in (intervals[n] for n in rng.binomial(500, 0.97, 4000))]
    assert 0.93 < np.mean(covered) < 0.98
    for right, total, confidence in ((0, 7, 0.95), (7, 7, 0.9), (30, 143, 0.99)):
        z, share = scipy.stats.norm.ppf(0.5 + confidence / 2), right / total
        half = z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
        expected = (share + z**2 / (2 * total) + np.array([-half, half])) / (1 + z**2 / total)
        assert statistics.wilson_interval(right, total, confidence) == pytest.approx(tuple(expected))


def test_bootstrap_interval_of_macro_f1_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth = np.full((4, 4), 0.02) + np.diag([0.17, 0.19, 0.2, 0.12])  # cells of the true confusion matrix, sum 1
    hits = np.diag(truth)
    expected = np.mean(2 * hits / (truth.sum(axis=0) + truth.sum(axis=1)))
    tests = rng.multinomial(800, truth.ravel(), 300).reshape(-1, 4, 4)
    intervals = [statistics.macro_f1_interval(matrix, resamples=400) for matrix in tests]
    covered = np.mean([low <= expected <= high for low, high in intervals])
    assert 0.91 < covered < 0.985
    assert statistics.macro_f1_interval(np.diag([5, 9])) == (1.0, 1.0)


def test_the_interval_of_macro_f1_is_that_of_drawing_samples():
    confusion = np.array([[30, 0, 25, 0], [0, 9, 0, 0], [1, 0, 20, 1], [0, 0, 0, 0]])  # the last class never comes up
    truth, answers = (np.repeat(index.ravel(), confusion.ravel()) for index in np.indices(confusion.shape))
    rng, scores = np.random.default_rng(5), []
    for rows in rng.integers(0, len(truth), (2000, len(truth))):
        drawn = np.zeros(confusion.shape)
        np.add.at(drawn, (truth[rows], answers[rows]), 1)
        both = drawn.sum(axis=0) + drawn.sum(axis=1)
        scores.append(np.mean([2 * drawn[n, n] / both[n] if both[n] else 0 for n in range(4)]))
    for confidence in (0.95, 0.5):
        expected = np.quantile(scores, [0.5 - confidence / 2, 0.5 + confidence / 2])
        assert statistics.macro_f1_interval(confusion, confidence) == pytest.approx(tuple(expected), abs=0.006)
    assert statistics.macro_f1_interval(confusion) == statistics.macro_f1_interval(confusion)
    assert statistics.macro_f1_interval(confusion) != statistics.macro_f1_interval(confusion, seed=1)


def test_mcnemar_is_the_exact_binomial_test():
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 400)) < [[0.95], [0.9]]
    test = statistics.mcnemar(first, second)
    assert (test.both, test.only_first, test.only_second, test.neither) == tuple(
        int(x.sum()) for x in (first & second, first & ~second, ~first & second, ~first & ~second)
    )
    expected = scipy.stats.binomtest(test.only_first, test.only_first + test.only_second).pvalue
    assert test.p_value == pytest.approx(expected)
    assert statistics.mcnemar(first, first).p_value == 1


def ranked(right):
    """Rows by accuracy, best first."""
    return right[np.argsort(-right.sum(axis=1), kind="stable")]


def test_equal_models_share_a_group():
    rng = np.random.default_rng(3)
    split = 0
    for _ in range(200):
        hard = rng.random(2000) < 0.03  # samples that every model may miss
        right = ~(hard & (rng.random((6, 2000)) < 0.5))
        groups, p_values = statistics.tie_groups(ranked(right))
        split += groups[-1] > 0
        assert np.isnan(p_values[0])
    assert split / 200 < 0.05


def test_models_that_differ_do_not_share_a_group():
    rng = np.random.default_rng(4)
    right = rng.random((3, 10_000)) < [[0.99], [0.98], [0.95]]
    groups, p_values = statistics.tie_groups(right)
    assert groups.tolist() == [0, 1, 2]
    assert (p_values[1:] < 0.05).all()


def test_a_chain_of_small_steps_does_not_make_its_ends_equal():
    right = np.ones((12, 4000), bool)
    for row in range(12):
        right[row, : 5 * row] = False  # 5 more mistakes a step: p = 0.0625 between neighbors
    groups, p_values = statistics.tie_groups(right)
    assert np.allclose(p_values[1:], 0.0625)
    assert groups[0] == groups[1]
    assert groups[-1] > 0
    assert statistics.tie_groups(right[:1])[0].tolist() == [0]


def groups_one_by_one(right, alpha):
    """What `tie_groups` says it does, row after row."""

    def worse(upper, lower, level):
        above, below = int((right[upper] & ~right[lower]).sum()), int((~right[upper] & right[lower]).sum())
        return above > below and scipy.stats.binomtest(below, above + below).pvalue < level

    groups, first = [0], 0
    for row in range(1, len(right)):
        place = row - first
        chained = place > 1 and worse(first, row, 2 * alpha / (place * (place + 1)))
        if worse(row - 1, row, alpha) or chained:
            first = row
        groups.append(groups[-1] + (first == row))
    return groups


def test_groups_are_those_of_comparing_row_after_row():
    rng, seen = np.random.default_rng(6), set()
    for rows, samples, steps, alpha in [(9, 203, 0.02, 0.05), (14, 1001, 0.004, 0.05), (14, 1001, 0.004, 0.3)] * 6:
        chance = 0.98 - steps * np.arange(rows)
        right = rng.random((rows, samples)) < chance[:, None]
        groups, p_values = statistics.tie_groups(ranked(right), alpha)
        assert groups.tolist() == groups_one_by_one(ranked(right), alpha)
        assert len(p_values) == rows
        seen.add(int(groups[-1]))
    assert seen >= {1, 2, 3}


def test_a_row_on_the_edge_of_a_level_is_alike():
    right = np.ones((2, 40), bool)
    right[1, :6] = False  # six mistakes more: p = 2 / 2^6
    groups, p_values = statistics.tie_groups(right, alpha=2 / 2**6)
    assert (groups.tolist(), p_values[1]) == ([0, 0], 2 / 2**6)
    assert statistics.tie_groups(right, alpha=2 / 2**6 + 1e-9)[0].tolist() == [0, 1]
    assert statistics.tie_groups(right[::-1], alpha=0.5)[0].tolist() == [0, 0]  # better, so not worse


def test_three_rows_of_small_steps_are_compared_with_the_first():
    right = np.ones((3, 40), bool)
    right[1, :3] = False
    right[2, :7] = False  # p = 1/64 against the first: below 0.05 / 3, the three pairs' level, and above 0.05 / 4
    assert statistics.tie_groups(right)[0].tolist() == [0, 0, 1]
    right[2, 6] = True  # p = 1/32
    assert statistics.tie_groups(right)[0].tolist() == [0, 0, 0]
