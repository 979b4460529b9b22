"""Intervals that cover as often as they say, and ranks that do not split what is equal: on simulated data."""

import time

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


def test_the_interval_of_macro_f1_takes_writers_whole():
    careful, careless = np.diag([10, 10]), np.array([[5, 5], [5, 5]])
    by_writer = np.array([careful] * 6 + [careless] * 6)
    low, high = statistics.macro_f1_interval(by_writer)
    drawn = np.random.default_rng(3).binomial(12, 0.5, 20_000) / 12  # F1 is 1 for the one kind, 1/2 for the other
    assert (low, high) == pytest.approx(tuple(np.quantile(0.5 + drawn / 2, [0.025, 0.975])), abs=0.03)
    plain = statistics.macro_f1_interval(by_writer.sum(axis=0))
    assert high - low > 1.5 * (plain[1] - plain[0])


def drawn_by_writers(rng, count, rate, sway=3.0, each=50):
    """Return who wrote each sample, and the chance of a mistake on it: some writers are hard to read."""
    writers = np.repeat(np.arange(count), each)
    return writers, np.clip(rate * rng.gamma(1 / sway, sway, count)[writers], 0, 1)


def test_the_interval_of_a_mean_covers_other_writers_and_other_seeds():
    rng, truth, covered, plain = np.random.default_rng(5), 0.03, 0, 0
    for _ in range(400):
        writers, chance = drawn_by_writers(rng, 100, truth)
        right = rng.random((3, len(writers))) >= chance * rng.gamma(50, 1 / 50, (3, 1))  # seeds differ by a seventh
        low, high = statistics.mean_interval(right.mean(axis=1), right[0], writers)
        covered += low <= 1 - truth <= high
        low, high = statistics.wilson_interval(int(right[0].sum()), len(writers))
        plain += low <= 1 - truth <= high
    assert covered / 400 > 0.92
    assert plain / 400 < 0.8


def test_the_interval_of_a_mean_is_as_wide_as_a_bootstrap_of_seeds_and_writers():
    rng = np.random.default_rng(7)
    writers, chance = drawn_by_writers(rng, 200, 0.05)
    right = rng.random((5, len(writers))) >= chance * rng.gamma(9, 1 / 9, (5, 1))
    accuracies, by_writer = right.mean(axis=1), right[0].reshape(200, -1).mean(axis=1)
    seeds = rng.choice(accuracies, (20_000, 5)).mean(axis=1) * np.sqrt(5 / 4)
    samples = by_writer[rng.integers(200, size=(20_000, 200))].mean(axis=1)
    low, high = statistics.mean_interval(accuracies, right[0], writers)
    assert (high - low) / 3.92 == pytest.approx(np.hypot(seeds.std(), samples.std()), rel=0.05)


def test_the_interval_of_one_seed_and_unknown_writers_is_wilsons():
    right = np.arange(500) >= 7
    assert statistics.mean_interval([right.mean()], right) == pytest.approx(
        statistics.wilson_interval(493, 500), abs=1e-4
    )
    low, high = statistics.mean_interval([1.0, 1.0], np.ones(140, bool), np.repeat(np.arange(70), 2))
    assert (low, high) == pytest.approx(statistics.wilson_interval(140, 140))


def test_the_paired_test_of_samples_is_mcnemars():
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 400)) < [[0.95], [0.9]]
    test = statistics.paired_test(first, second)
    assert (test.both, test.only_first, test.only_second, test.neither) == tuple(
        int(x.sum()) for x in (first & second, first & ~second, ~first & second, ~first & ~second)
    )
    expected = scipy.stats.binomtest(test.only_first, test.only_first + test.only_second).pvalue
    assert test.p_value == pytest.approx(expected)
    assert statistics.paired_test(first, second, np.arange(400)).p_value == pytest.approx(expected)
    assert statistics.paired_test(first, first).p_value == 1
    assert statistics.paired_test(first, first, np.arange(400) // 40).p_value == 1


def test_the_paired_test_of_writers_counts_every_exchange():
    rng = np.random.default_rng(8)
    writers = np.repeat(np.arange(12), 5)[rng.permutation(60)]
    for shift in (0.0, 0.1, 0.3):
        first, second = rng.random((2, 60)) < [[0.8], [0.8 - shift]]
        sums = np.array([int(first[writers == w].sum()) - int(second[writers == w].sum()) for w in range(12)])
        flips = 1 - 2 * ((np.arange(2**12)[:, None] >> np.arange(12)) & 1)
        expected = (np.abs(flips @ sums) >= abs(sums.sum())).mean()
        assert statistics.paired_test(first, second, writers + 100).p_value == pytest.approx(expected)


def ranked(right):
    """Rows by accuracy, best first."""
    return right[np.argsort(-right.sum(axis=1), kind="stable")]


@pytest.mark.parametrize("clustered", [False, True])
def test_equal_models_share_a_group(clustered):
    rng = np.random.default_rng(3)
    split = 0
    for _ in range(100):
        writers, hard = drawn_by_writers(rng, 40, 0.05)
        favor = rng.gamma(1, 1, (6, 40))[:, writers] if clustered else np.ones((6, 1))  # whose hand a model reads well
        right = rng.random((6, len(writers))) >= hard * favor
        groups, p_values = statistics.tie_groups(ranked(right), writers if clustered else None)
        split += groups[-1] > 0
        assert np.isnan(p_values[0])
    assert split / 100 < 0.08


def test_models_that_differ_do_not_share_a_group():
    rng = np.random.default_rng(4)
    right = rng.random((3, 10_000)) < [[0.99], [0.98], [0.95]]
    for writers in (None, np.arange(10_000) // 100):
        groups, p_values = statistics.tie_groups(right, writers)
        assert groups.tolist() == [0, 1, 2]
        assert (p_values[1:] < 0.05).all()


def groups_one_by_one(right, alpha):
    """What `tie_groups` says it does, pair by pair."""
    pairs, groups, start = len(right) * (len(right) - 1) / 2, [0], 0
    for row in range(1, len(right)):
        for above in range(start, row):
            test = statistics.paired_test(right[above], right[row])
            if test.only_first > test.only_second and pairs * test.p_value < alpha:
                start = row
                break
        groups.append(groups[-1] + (start == row))
    return groups


def test_groups_are_those_of_comparing_pair_by_pair():
    rng, seen = np.random.default_rng(6), set()
    for rows, samples, steps, alpha in [(9, 203, 0.04, 0.05), (14, 1001, 0.01, 0.05), (14, 1001, 0.012, 0.3)] * 6:
        chance = 0.98 - steps * np.arange(rows)
        right = ranked(rng.random((rows, samples)) < chance[:, None])
        groups, p_values = statistics.tie_groups(right, alpha=alpha)
        assert groups.tolist() == groups_one_by_one(right, alpha)
        assert len(p_values) == rows
        np.testing.assert_array_equal(groups, statistics.tie_groups(right, np.arange(samples), alpha)[0])
        seen.add(int(groups[-1]))
    assert seen >= {2, 3, 4}


def test_no_pair_of_a_group_differs_though_neighbors_do_not():
    right = np.ones((12, 4000), bool)
    for row in range(12):
        right[row, : 5 * row] = False  # 5 more mistakes a step
    groups, p_values = statistics.tie_groups(right)
    assert (p_values[1:] == 1).all()  # 66 pairs x 0.0625
    last = int((groups == 0).sum()) - 1
    assert 66 * statistics.paired_test(right[0], right[last]).p_value >= 0.05
    assert 66 * statistics.paired_test(right[0], right[last + 1]).p_value < 0.05
    assert statistics.tie_groups(right[:1])[0].tolist() == [0]


def test_rows_that_anybody_sends_do_not_change_how_others_are_grouped():
    """Neither by their number, nor by one between rows of a rank that is significantly worse than their best."""
    own = np.ones((3, 4000), bool)
    own[1, 2000:2040] = own[2, :300] = False
    own[0, 3000:3030] = False
    guests = np.ones((40, 4000), bool)
    guests[0, 3000:3039] = False  # nine more mistakes than the best row, and no other difference
    guests[1:, :1000] = False
    together = ranked(np.concatenate([own, guests]))
    sent = np.array([any((row == guest).all() for guest in guests) for row in together])
    for writers in (None, np.arange(4000)):
        alone, _ = statistics.tie_groups(own, writers)
        assert alone.tolist() == [0, 0, 1]
        groups, with_guests = statistics.tie_groups(together, writers, guests=sent)
        assert groups[~sent].tolist() == alone.tolist()
        assert (np.diff(groups) >= 0).all()
        assert groups[sent].tolist() == [0] + [2] * 39
        few, p_few = statistics.tie_groups(together[:4], writers, guests=sent[:4])
        assert few.tolist() == groups[:4].tolist()
        assert p_few[1:].tolist() == with_guests[1:4].tolist()


@pytest.mark.parametrize(
    ("mistakes", "group"), [((0, 200, 400), [0, 1, 2]), ((0, 1, 400), [0, 0, 1]), ((0, 399, 400), [0, 1, 1])]
)
def test_a_guest_is_in_the_group_that_it_is_like(mistakes, group):
    right = np.ones((3, 4000), bool)
    for row, count in enumerate(mistakes):
        right[row, :count] = False
    assert statistics.tie_groups(right, guests=np.array([False, True, False]))[0].tolist() == group


def test_no_guest_moves_another():
    """One that is significantly worse than the best row, but more accurate than another, took that one down with it."""
    own, honest, spoiler = np.ones((1, 4000), bool), np.ones((1, 4000), bool), np.ones((1, 4000), bool)
    own[0, :30] = False
    spoiler[0, :46] = False  # the best row's mistakes and 16 more
    honest[0, 1000:1047] = False  # others
    alone = statistics.tie_groups(np.concatenate([own, honest]), guests=np.array([False, True]))[0]
    groups, _ = statistics.tie_groups(np.concatenate([own, spoiler, honest]), guests=np.array([False, True, True]))
    assert alone.tolist() == [0, 0]
    assert groups.tolist() == [0, 1, 0]
    assert statistics.ranks(groups, np.array([False, True, True])).tolist() == [1, 1.5, 1]


@pytest.mark.parametrize(
    ("groups", "guests", "ranks"),
    [
        ([0, 0, 2, 3], [False] * 4, [1, 1, 3, 4]),
        ([0, 0, 1, 2, 2, 3], [False, False, True, False, True, True], [1, 1, 2.5, 3, 3, 3.5]),
        ([0, 0, 1, 1], [True, True, False, True], [0.5, 0.5, 1, 1]),
        ([0, 1], [True, True], [np.nan, np.nan]),
    ],
)
def test_ranks_count_no_guest(groups, guests, ranks):
    np.testing.assert_array_equal(statistics.ranks(np.array(groups), np.array(guests)), ranks)


def test_many_rows_are_grouped_in_a_second():
    rng = np.random.default_rng(9)
    right = ranked(rng.random((150, 10_000)) < 0.99)
    began = time.process_time()
    statistics.tie_groups(right, np.arange(10_000) // 34, guests=np.arange(150) > 15)
    assert time.process_time() - began < 3  # 11,000 pairs


def test_a_row_on_the_edge_of_a_level_is_alike():
    right = np.ones((2, 40), bool)
    right[1, :6] = False  # six mistakes more: p = 2 / 2^6
    groups, p_values = statistics.tie_groups(right, alpha=2 / 2**6)
    assert (groups.tolist(), p_values[1]) == ([0, 0], 2 / 2**6)
    assert statistics.tie_groups(right, alpha=2 / 2**6 + 1e-9)[0].tolist() == [0, 1]
    assert statistics.tie_groups(right[::-1], alpha=0.5)[0].tolist() == [0, 0]  # better, so not worse
