"""Disputed labels: what every strong row reads alike and against the label."""

import json
from dataclasses import replace

import pytest
from records import answers, made_up

from leaderboard import disputed, results, snapshot
from leaderboard.tabs import datasets, model_page
from zoo.errors import ZooError

WRONG = [3, 70, 71]  # samples that every row reads alike, and wrong


def agreeing(number):
    """Return predictions that share three mistakes and have one of their own."""
    said = answers(0)
    predicted = said.labels.copy()
    predicted[WRONG] = (said.labels[WRONG] + 1) % 10
    predicted[100 + number] = (said.labels[100 + number] + 2) % 10
    return replace(said, predicted=predicted)


@pytest.fixture
def records(tmp_path):
    for number in range(disputed.STRONG):
        results.write(made_up(f"net{number}.mnist", [0.99], wrong=0), agreeing(number), tmp_path)
    weak = replace(agreeing(0), predicted=answers(0).labels)
    results.write(made_up("weak.mnist", [0.5], wrong=0), weak, tmp_path)  # it reads the three right, but is not asked
    return tmp_path


def test_what_every_strong_row_reads_against_the_label_is_disputed(records, tmp_path):
    rows = snapshot.build(records).rows
    (tmp_path / "mnist.json").write_text(json.dumps({"70": {"verdict": "networks", "by": "a person"}}))
    found = disputed.find("mnist", rows, records, tmp_path)
    assert [one.sample for one in found] == WRONG
    assert [one.verdict for one in found] == ["", "networks", ""]
    assert all(one.read == (one.label + 1) % 10 for one in found)
    assert disputed.accuracy_without(agreeing(5), found) == pytest.approx(996 / 997)
    assert agreeing(5).right.mean() == pytest.approx(0.996)


def test_few_rows_or_rows_of_strangers_dispute_nothing(records):
    rows = snapshot.build(records).rows
    assert disputed.find("mnist", rows[: disputed.FEWEST - 1], records) == []
    assert disputed.find("mnist", rows.assign(submitted_by="eve"), records) == []
    assert disputed.find("ahdd", rows, records) == []


def test_disputed_samples_are_shown_with_their_answers_and_verdicts(records):
    rows = snapshot.build(records).rows
    shown = datasets.page(rows, records)
    assert f"{len(WRONG)} test samples" in shown
    assert shown.count("nobody has looked yet") == len(WRONG)
    page = model_page.page("net5.mnist", rows, records)
    assert "99.90%</b> without the 3 samples" in page


@pytest.mark.parametrize(
    "content", ["[]", '{"x": {"verdict": "label"}}', '{"3": {"verdict": "maybe"}}', '{"3": "label"}']
)
def test_a_file_of_verdicts_that_holds_none_says_so(tmp_path, content):
    (tmp_path / "mnist.json").write_text(content)
    with pytest.raises(ZooError, match="verdict"):
        disputed.read_verdicts(tmp_path / "mnist.json")
