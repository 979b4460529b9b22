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
        right[row, : 5 * row] = False  # 5 more mistakes a step: p = 0.0625 between neighbours
    groups, p_values = statistics.tie_groups(right)
    assert np.allclose(p_values[1:], 0.0625)
    assert groups[0] == groups[1]
    assert groups[-1] > 0
    assert statistics.tie_groups(right[:1])[0].tolist() == [0]
