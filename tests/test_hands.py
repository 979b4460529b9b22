"""Parts of a test set, other people's test sets, and how sure a ranking is: on answers that can be counted by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from records import answers, made_up

from leaderboard import for_agents, results, slices, snapshot, statistics, table, writers
from leaderboard.tabs import hands_view, model_page
from leaderboard.tabs.board_frame import Live

STUDENT, EMPLOYEE = 2351, 326  # numbers of writers of mnist
WRITERS = np.repeat([STUDENT, EMPLOYEE, 327, 328, 329, 330, 331, 332, 333, 334], 4)  # ten people, 4 samples each


@pytest.fixture
def few(monkeypatch):
    """Know who wrote the 40 samples of a test set, and the 6 of another."""
    known = {"mnist": WRITERS, "unipen_digits": np.repeat([1, 2, 3], 2)}
    monkeypatch.setattr(writers, "of", lambda result: WRITERS)
    monkeypatch.setattr(writers, "of_dataset", lambda name, samples: known.get(name))


def said(wrong, there=None):
    """Return answers to 40 samples, alternately of class 0 and 1, with mistakes at some, and to 6 of the other set."""
    labels = np.arange(40, dtype=np.uint8) % 2
    predicted = labels.copy()
    predicted[wrong] = 1 - labels[wrong]
    transfers = {} if there is None else {"unipen_digits": np.array(there, bool)}
    return replace(answers(0, 40), labels=labels, predicted=predicted, transfers=transfers)


def row(model, wrong):
    right = 40 - len(wrong)
    return made_up(
        model, [right / 40], confusion=[[right, len(wrong)], [0, 0]], per_class=[{"label": "a"}, {"label": "b"}]
    )


def test_slices_are_those_of_populations_the_worst_tenth_classes_and_writers(few):
    wrong = [0, 2, 4, 6, 5]  # two of the student's, three of an employee's; all but one of the first class
    found = slices.of(row("lenet5.mnist", wrong), said(wrong, [1, 1, 1, 0, 0, 0]))
    shares = {(one.kind, one.name): (one.accuracy, one.samples, one.writers) for one in found}
    assert shares["population", "students"] == (2 / 4, 4, 1)
    assert shares["population", "census employees"] == (33 / 36, 36, 9)
    assert shares["worst", "worst tenth of the writers"] == (1 / 4, 4, 1)
    assert (shares["class", "a"], shares["class", "b"]) == ((16 / 20, 20, 10), (19 / 20, 20, 10))
    assert shares["writer", str(EMPLOYEE)] == (1 / 4, 4, 1)
    assert shares["transfer", "unipen_digits"] == (3 / 6, 6, 3)
    assert [one.kind for one in found].count("writer") == 10
    assert all(one.low <= one.accuracy <= one.high + 1e-9 for one in found)
    student = next(one for one in found if one.name == "students")
    assert (student.low, student.high) == statistics.mean_interval([0.5], np.arange(4) < 2)  # one hand: other samples


def test_the_worst_tenth_of_resampled_writers_is_worse_than_it_was_half_the_time():
    right = np.ones(200, bool)
    right[:10] = False  # 20 writers, 10 samples each: one reads nothing, one half
    right[10:15] = False
    by = np.repeat(np.arange(20), 10)
    assert statistics.worst_tenth(right, by).nonzero()[0].tolist() == [*range(20)]
    low, high = statistics.worst_tenth_interval(right, by)
    assert (low, high) == (0, 1)  # the first may be drawn twice, and neither of them may
    assert statistics.worst_tenth_interval(np.ones(200, bool), by) == (1, 1)


def test_places_are_as_wide_as_writers_make_them():
    right = np.ones((4, 30), bool)
    right[1, :1] = False  # worse than the first and the third only where the first writer is drawn
    right[3] = False
    first, last = statistics.place_range(right, np.repeat(np.arange(10), 3))
    assert (first.tolist(), last.tolist()) == ([1, 1, 1, 4], [1, 3, 1, 4])


def test_two_rankings_agree_as_far_as_kendalls_tau_says():
    here = np.arange(40) < np.array([[30], [20], [10]])
    for order, tau in (([0, 1, 2], 1), ([2, 1, 0], -1), ([1, 0, 2], 1 / 3)):
        found, low, high = statistics.rank_agreement(here, here[order], resamples=100)
        assert found == pytest.approx(tau)
        assert low <= found <= high
    two = np.arange(40) // 20  # writers
    _, low, high = statistics.rank_agreement(here, here, two, two, resamples=100)
    assert low < 1  # where the second is drawn twice, the last two are equally good


@pytest.fixture
def board(tmp_path):
    """Three rows: the first two are equally good here, the first and the last there."""
    there = {"a": np.ones(200, bool), "b": np.arange(200) < 100, "c": np.ones(200, bool)}
    for name, wrong in (("a", 10), ("b", 12), ("c", 300)):
        record = made_up(f"{name}.mnist", [1 - wrong / 1000], wrong, transfers={"unipen_digits": there[name].mean()})
        results.write(record, replace(answers(wrong), transfers={"unipen_digits": there[name]}), tmp_path)
    results.write(made_up("a.ahdd", [0.99]), answers(10), tmp_path)
    snapshot.write(tmp_path)
    return tmp_path


def test_ranks_on_another_test_set_and_how_they_change(board):
    found = snapshot.read(board)
    rows = found.rows.set_index("model")
    there = rows.loc[["a.mnist", "b.mnist", "c.mnist"]]
    assert there["rank"].tolist() == [1, 1, 3]
    assert there["unipen_digits_rank"].tolist() == [1, 3, 1]
    assert there["unipen_digits_change"].tolist() == [0, -2, 2]
    assert there["unipen_digits_low"].iloc[1] == pytest.approx(statistics.wilson_interval(100, 200)[0], abs=1e-3)
    assert there["place_last"].tolist() == [1, 2, 3]  # the mistakes of each are among those of the next
    (agreement,) = found.agreements
    assert (agreement.rows, agreement.tau, agreement.clustered) == (3, 0, False)  # a pair up, a pair down, a tie
    assert snapshot.is_current(board)
    state = board / snapshot.STATE
    state.write_text(state.read_text().replace('"rows": 3', '"rows": 30'))
    assert not snapshot.is_fresh(board)  # what is kept of agreements cannot be edited either


@pytest.mark.parametrize("wrong", [5, 100, 400])
def test_rows_that_anybody_may_send_change_neither_places_nor_the_agreement(board, wrong):
    before = snapshot.read(board)
    for index in range(5):
        model, there = f"eve~{index}.mnist", np.arange(200) < 40 * index
        sent = made_up(model, [1 - wrong / 1000], wrong, submission={"user": "eve"}, transfers={"unipen_digits": 0.5})
        results.write(sent, replace(answers(wrong), transfers={"unipen_digits": there}), board)
    snapshot.write(board)
    after = snapshot.read(board)
    own, columns = ["a.mnist", "b.mnist", "c.mnist"], ["place_first", "place_last"]
    assert after.agreements == before.agreements
    rows, rows_before = (found.rows.set_index("model")[columns] for found in (after, before))
    assert rows.loc[own].equals(rows_before.loc[own])
    place = rows.loc["eve~0.mnist"].tolist()  # with the board's own rows and itself
    assert place == {5: [1, 1], 100: [3, 3], 400: [4, 4]}[wrong]


def test_the_view_says_what_is_known(board):
    found = snapshot.read(board)
    page = hands_view.page(found.rows, found.agreements, table.Query(dataset="mnist"))
    assert "<b>0.00</b>, 95% interval" in page
    assert "not clustered" in page
    assert "▼ 2" in page
    assert '<small class="below">43.12 – 56.88</small>' in page
    assert "No second test set with the labels of" in hands_view.page(found.rows, [], table.Query(dataset="ahdd"))
    assert "Fewer than 3 ranked networks" in hands_view.page(found.rows, [], table.Query(dataset="mnist"))
    model = model_page.page("b.mnist", found.rows, board)
    for text in ("not clustered: the writers are unknown", "50.00", "The line in each bar is chance, 10.0%"):
        assert text in model


def test_slices_are_in_the_record_that_programs_and_agents_read():
    known = slices.measured("lenet5.mnist")
    parts = {one["name"]: one for one in known["slices"]}
    assert parts["students"]["samples"] + parts["census employees"]["samples"] == known["test_samples"] == 10_000
    assert (parts["students"]["writers"], parts["census employees"]["writers"]) == (249, 48)
    assert slices.measured("nothing.mnist") is None
    card = for_agents.card("lenet5.mnist", Live()())
    assert f"- population students: {parts['students']['accuracy']:.4f}" in card


def test_what_was_measured_of_many_networks_is_read_once_each(monkeypatch):
    """A visitor who asks for one after another takes a tenth of a second of all others for each."""
    read = []
    monkeypatch.setattr(results, "read_record", lambda path: read.append(path) or results.Broken("a", "mnist", "x"))
    for number in [*range(200)] * 2:
        slices._read(Path(f"{number}.json"), 0, None)
    assert len(read) == 200
