"""How cost grows, on the smallest sizes; and what is read in parts is scored as what is read at once."""

import numpy as np
import pytest

import zoo
from leaderboard import metrics
from leaderboard.evaluation import evaluate_parts
from leaderboard.submissions.store import LocalStore
from scripts.bench import growth
from zoo import data


@pytest.mark.parametrize("part", ["records", "architectures", "models", "samples", "submissions"])
def test_every_part_is_measured(part):
    size = 2000 if part == "samples" else 10
    found = growth.measured(part, size)
    assert found["memory"] > 10
    assert all(value >= 0 for value in found.values())
    assert [cell for cell in growth.cells(part, {size: found}) if not cell.met] == []


def test_parts_are_scored_as_the_whole_by_every_metric_as_it_is_published():
    predictor, whole = zoo.load_predictor("lenet5.mnist"), data.load("optdigits", "test")
    images = np.zeros((len(whole), 28, 28, 1), np.uint8)
    images[:, 10:18, 10:18] = whole.images  # small digits, of which many are misread
    probabilities = predictor(images)
    parts = (data.Split(images[n : n + 100], whole.labels[n : n + 100], None, "") for n in range(0, len(whole), 100))
    samples, scores = evaluate_parts(predictor, parts)
    assert samples == len(whole)
    assert {"accuracy", "macro_f1", "expected_calibration_error"} <= set(scores)
    for name, value in scores.items():
        expected = metrics.metrics()[name].compute(predictions=probabilities, references=whole.labels)[name]
        assert value == pytest.approx(expected, abs=1e-6), name


def test_a_split_in_parts_is_the_split():
    parts = list(data.stream("optdigits", "test", 100))
    whole = data.load("optdigits", "test")
    assert [len(part) for part in parts] == [100, 100, 100, 60]
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), whole.labels)


def test_a_store_sees_what_another_process_changes(tmp_path):
    """Folders that rest are not read again: what happens in them since is seen all the same."""
    import os
    import time
    from dataclasses import replace

    growth.make_submissions(10, tmp_path)
    past = time.time() - 60
    for folder in (tmp_path / "requests").iterdir():
        os.utime(folder, (past, past))
    ours, theirs = LocalStore(tmp_path), LocalStore(tmp_path)
    assert ours.all() == ours.all() == theirs.all()
    theirs.change("20261121-00000003", lambda s: replace(s, progress=0.5))
    assert [s.progress for s in ours.all()] == [0.5 if n == 3 else 0.0 for n in range(10)]
    theirs.change("20261121-00000003", lambda s: replace(s, progress=0.7))
    assert ours.get("20261121-00000003").progress == 0.7
    assert ours.all()[3].progress == 0.7
