"""Records against their schema, the table's ranks, what is kept of it, and its files."""

import dataclasses
import json
import os
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from records import SAMPLES, answers, made_up, write_board

from leaderboard import (
    claims,
    disclosures,
    disputed,
    downloads,
    goals,
    reproductions,
    results,
    snapshot,
    summaries,
    table,
)
from leaderboard.claims import Claim
from leaderboard.tabs import table_html
from leaderboard.tabs.board_frame import BUILDING, Live
from scripts.chores import update_tables
from zoo import data, training


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A folder of made-up records and its frame."""
    folder = write_board(tmp_path_factory.mktemp("records"))
    return folder, snapshot.load(folder)


def test_a_record_reads_back_as_it_was_written(tmp_path):
    result = made_up("lenet5.mnist", [0.98, 0.99])
    path = results.write(result, answers(10), tmp_path)
    assert path == tmp_path / "mnist" / "lenet5.mnist.json"
    assert results.read_all(tmp_path) == [result]
    assert result.mean("accuracy") == pytest.approx(0.985)
    assert result.spread("accuracy") == pytest.approx(np.std([0.98, 0.99], ddof=1))
    assert made_up("a.mnist", [0.9]).spread("accuracy") is None
    assert result.shipped("accuracy") == 0.99
    assert result.errors == 10
    assert results.predictions(result, tmp_path).right.sum() == SAMPLES - 10


def test_a_record_remembers_what_it_was(tmp_path):
    speed = {"latency": 1.0, "throughput": 9.0, "metric_versions": {}, "date": "2026-11-21T00:00:00+00:00"}
    first = made_up("lenet5.mnist", [0.98], speed=speed)
    results.write(first, folder=tmp_path)
    results.write(first, folder=tmp_path)  # the same measurement: nothing to remember
    assert results.read_all(tmp_path)[0].history == []
    second = made_up("lenet5.mnist", [0.99], date="2026-12-01T00:00:00+00:00")
    results.write(second, folder=tmp_path)
    (now,) = results.read_all(tmp_path)
    assert [entry["accuracy"] for entry in [*now.history, now.summary]] == [0.98, 0.99]
    assert now.speed == speed  # of the same weights


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda record: record.pop("seeds"), "lacks seeds"),
        (lambda record: record.update(acuracy=1), "has the unknown acuracy"),
        (lambda record: record["seeds"][0].pop("metrics"), "metrics"),
        (lambda record: record["seeds"].clear(), "its seeds do not"),
        (lambda record: record.update(model="other.mnist"), "names another model or dataset: other.mnist"),
    ],
)
def test_a_broken_record_is_named_and_the_others_stay(tmp_path, damage, sentence):
    results.write(made_up("hdr_cnn.mnist", [0.99]), folder=tmp_path)
    path = results.write(made_up("lenet5.mnist", [0.98]), folder=tmp_path)
    record = json.loads(path.read_text())
    damage(record)
    for text, expected in ((json.dumps(record), sentence), ("{ half", "it is not JSON"), ("[]", "not a record")):
        path.write_text(text)
        good, broken = results.scan(tmp_path)
        assert good.model == "hdr_cnn.mnist"
        assert isinstance(broken, results.Broken)
        assert expected in broken.reason
        rows = snapshot.load(tmp_path).set_index("model")
        assert rows.loc["lenet5.mnist", "status"] == table.BROKEN
        assert rows.loc["hdr_cnn.mnist", "rank"] == 1


def with_scores(record, **scores):
    for seed in record["seeds"]:
        seed["metrics"].update(scores)


def with_samples(record, count):
    record["confusion"] = np.diag([count] + [0] * 9).tolist()


HANDS = "right on unipen_digits"
ODD = {  # what a record and its answers say -> why they cost their own row
    "an accuracy of 2": (lambda record, saved: with_scores(record, accuracy=2.0), "its accuracy is 2; expected 0 to 1"),
    "a huge F1": (lambda record, saved: with_scores(record, macro_f1=1e300), "its macro_f1 is 1e"),
    "few parameters": (lambda record, saved: with_scores(record, parameters=-5.0), "its parameters is -5"),
    "an endless time": (lambda record, saved: with_scores(record, training_time=1e300), "its training_time is 1e"),
    "a robustness": (lambda record, saved: record["corruptions"].update(blur=1.5), "corruptions"),
    "a choice": (lambda record, saved: record["seeds"][0].update(validation_accuracy=9.0), "validation_accuracy"),
    "a short test set": (lambda record, saved: (with_samples(record, 5), saved.clear()), "its test set is not that of"),
    "another test set": (lambda record, saved: (with_samples(record, SAMPLES), saved.clear()), "its test set is"),
    "other labels": (lambda record, saved: saved["labels"].sort(), None),
    "labels of others": (lambda record, saved: saved.update(labels=np.zeros(SAMPLES, np.uint8)), "another test set"),
    "other classes": (lambda record, saved: saved["predicted"].fill(200), "of other classes than the 10"),
    "no confidence": (lambda record, saved: saved["confidence"].fill(np.nan), "a confidence is not from 0 to 1"),
    "an empty test set": (lambda record, saved: saved.update({HANDS: np.zeros(0, bool)}), "is no other"),
    "a strange one": (lambda record, saved: saved.update({"right on ../x": np.ones(5, bool)}), "is no other test set"),
    "a short one": (lambda record, saved: saved.update({HANDS: np.ones(3, bool)}), None),
    "wide pictures": (lambda record, saved: saved.update(images=np.zeros((24, 1, 3000), np.uint8)), "its pictures are"),
}  # fmt: skip


@pytest.mark.parametrize("how", ODD)
def test_what_a_record_and_its_answers_say_costs_their_own_row(tmp_path, how):
    """An empty test set of other hands ended the board, and one of 5 samples the pages of a dataset."""
    change, sentence = ODD[how]
    names = [f"{letter}.mnist" for letter in "abcdef"]
    for name in names:
        said = replace(answers(10), transfers={"unipen_digits": np.arange(50) % 7 > 0})
        results.write(made_up(name, [0.99]), said, tmp_path)
    path = tmp_path / "mnist" / "a.mnist.json"
    record, saved = json.loads(path.read_text()), dict(np.load(path.with_suffix(".npz")))
    change(record, saved)
    path.write_text(json.dumps(record))
    path.with_suffix(".npz").unlink()
    if saved:
        np.savez(path.with_suffix(".npz"), **saved)
    board = snapshot.build(tmp_path)
    rows = board.rows.set_index("model")
    assert rows.loc["a.mnist", "status"] == (table.VERIFIED if sentence is None else table.BROKEN)
    assert sentence is None or sentence in rows.loc["a.mnist", "note"]
    assert (rows.loc[names[1:], "rank"] == 1).all()
    assert rows.loc[names[1:], ["efficiency_rank", "place_first", "unipen_digits_rank"]].notna().all(axis=None)
    assert board.agreements
    disputed.find("mnist", board.rows, tmp_path)


def test_a_row_is_stale_when_data_or_a_metric_changed(monkeypatch):
    assert made_up("a.mnist", [0.9]).stale is None
    assert "another version of mnist" in made_up("a.mnist", [0.9], dataset_fingerprint="0").stale
    assert "earlier version of macro_f1" in made_up("a.mnist", [0.9], metric_versions={"macro_f1": 0}).stale
    assert "latency" in made_up("a.mnist", [0.9], speed={"metric_versions": {"latency": 0}}).stale


def test_ranks_are_shared_by_what_the_test_cannot_tell_apart(board):
    _, frame = board
    rank = frame.set_index("model")["rank"]
    assert rank["hdr_cnn.mnist"] == rank["mnist_cnn.mnist"] == 1
    assert (rank["lenet5.mnist"], rank["tiny.mnist"]) == (3, 4)
    assert (rank["resco_mini.ahdd"], rank["lenet5.ahdd"]) == (1, 2)
    assert np.isnan(rank["old.ahdd"])  # measured on another test set
    assert np.isnan(rank["half.mnist"])
    efficiency = frame.set_index("model")["efficiency_rank"]
    assert np.isnan(efficiency["half.mnist"])
    assert efficiency["lenet5.mnist"] >= 1


def test_efficiency_is_ranked_above_the_floor_only():
    rows = table.frame([made_up("a.mnist", [0.99]), made_up("guess.mnist", [0.1])]).set_index("model")
    assert rows.loc["a.mnist", "efficiency_rank"] == 1
    assert np.isnan(rows.loc["guess.mnist", "efficiency_rank"])
    assert table.frame([]).empty


@pytest.mark.parametrize("accuracy", [1.0, 0.95, 0.4])
def test_a_row_that_somebody_sent_takes_no_efficiency_rank(accuracy):
    own = [made_up("a.mnist", [0.8]), made_up("small.mnist", [0.725]), made_up("guess.mnist", [0.1])]
    sent = dataclasses.replace(made_up("eve~net.mnist", [accuracy]), submission={"user": "eve", "id": "x"})
    ranked = table.frame([*own, sent]).set_index("model")["efficiency_rank"].notna()
    assert list(ranked[["a.mnist", "small.mnist", "guess.mnist"]]) == [True, True, False]
    assert ranked["eve~net.mnist"] == (accuracy > 0.5)


def test_a_row_that_somebody_sent_changes_no_rank_and_has_its_own_among_the_others(tmp_path):
    """Here, by efficiency, on another test set and over all datasets; none where the zoo has no row."""
    wrong = {"a.mnist": 20, "b.mnist": 150, "a.ahdd": 20}
    guests = {"eve~good.mnist": 5, "eve~mid.mnist": 70, "eve~bad.mnist": 900, "eve~worse.mnist": 999,
              "eve~good.ahdd": 5, "eve~good.optdigits": 5, "eve~bad.optdigits": 900}  # fmt: skip
    for model, count in {**wrong, **guests}.items():
        sender = {"user": "eve", "id": "x"} if model in guests else None
        said = answers(count)
        if model.endswith("mnist"):
            said = replace(said, transfers={"unipen_digits": said.right})
        results.write(made_up(model, [1 - count / 1000], count, submission=sender), said, tmp_path)
    rows = snapshot.build(tmp_path).rows.set_index("model")
    own, sent = rows.loc[list(wrong)], rows.loc[list(guests)]
    assert own["rank"].tolist() == [1, 2, 1]
    assert own["unipen_digits_rank"].tolist()[:2] == [1, 2]
    assert own["efficiency_rank"].fillna(0).tolist() == [1, 0, 1]
    assert sent["rank"].fillna(0).tolist() == [0.5, 1.5, 2.5, 2.5, 0.5, 0, 0]
    assert sent["unipen_digits_rank"].tolist()[:4] == [0.5, 1.5, 2.5, 2.5]
    assert sent["unipen_digits_change"].tolist()[:4] == [0] * 4
    assert sent["efficiency_rank"].notna().tolist() == [True, True, False, False, True, False, False]
    means = summaries.overall(rows.reset_index()).set_index("network")
    assert means.loc[["eve~good", "a"], "place"].tolist() == [0.5, 1]
    shown = table_html.render(rows.reset_index(), table.Query(dataset="mnist"))
    ranks = re.findall(r'data-column="rank">([^<]*(?:<small>=</small>)?[^<]*)</td>', shown)
    assert [text.strip() for text in ranks[:6]] == ["(0.5)", "1", "(1.5)", "2", "(2.5)", "(2.5)"]


def test_claims_stand_beside_what_is_measured():
    stated = [
        Claim("lenet5", "mnist", 0.999, 5, "a paper", True),
        Claim("other", "mnist", 0.9, None, "x", False, "guessed"),
    ]
    rows = table.frame([made_up("lenet5.mnist", [0.98])], claims=stated).set_index("model")
    assert rows.index.tolist() == ["lenet5.mnist", "other.mnist"]
    assert rows.loc["other.mnist", "status"] == table.CLAIMED
    assert rows.loc["other.mnist", "note"] == "x; guessed"
    assert np.isnan(rows.loc["other.mnist", "rank"])
    assert claims.claim_of("lenet5", "ahdd")["accuracy"] == 0.9876


def test_rows_are_found_and_sorted(board):
    _, frame = board
    find = lambda **asked: table.select(frame, table.Query(**asked))["model"].tolist()  # noqa: E731
    assert find(dataset="mnist", search="cnn") == [
        "hdr_cnn.mnist", "mnist_cnn.mnist", "branching CNN ensemble.mnist", "branching CNN.mnist"
    ]  # fmt: skip
    assert find(search="LENET5 ahdd") == ["lenet5.ahdd"]
    assert find(statuses=(table.STALE, table.BROKEN), dataset="ahdd") == ["old.ahdd"]
    assert find(dataset="mnist", parameters=(1e5, 1e6)) == ["hdr_cnn.mnist", "mnist_cnn.mnist"]
    by_size = table.select(frame, table.Query(dataset="mnist", sort="parameters", descending=True))["parameters"]
    known = by_size.dropna()
    assert known.is_monotonic_decreasing
    assert by_size.iloc[: len(known)].notna().all()  # what is not known comes last


def test_overall_needs_every_dataset_for_a_place(board):
    _, frame = board
    means = summaries.overall(frame).set_index("network")
    assert means.loc["lenet5", "mean_rank"] == 2.5
    assert means.loc["lenet5", "place"] == 1
    assert np.isnan(means.loc["hdr_cnn", "place"])
    assert means.loc["lenet5", "ahdd"] == pytest.approx(0.97)
    assert summaries.overall(frame[frame["rank"].isna()]).empty


def test_the_front_holds_what_nothing_beats():
    found = pd.DataFrame({"accuracy": [0.9, 0.95, 0.94, 0.95, np.nan], "parameters": [10.0, 20, 30, 40, 5]})
    assert summaries.pareto(found, "parameters").tolist() == [True, True, False, False, False]


def test_the_front_over_latency_is_of_one_run():
    found = pd.DataFrame({"accuracy": [0.9, 0.95, 0.96], "latency": [1.0, 0.5, 2.0], "speed_run": ["b", "a", "b"]})
    assert summaries.pareto(found, "latency").tolist() == [True, False, True]


def test_a_row_without_published_weights_is_shown_and_not_ranked(tmp_path):
    for model, wrong, changes in (("a.mnist", 10, {"weights": None}), ("b.mnist", 12, {}), ("c.mnist", 50, {})):
        results.write(made_up(model, [1 - wrong / 1000], wrong, **changes), answers(wrong), tmp_path)
    rows = snapshot.build(tmp_path).rows.set_index("model")
    assert rows.loc["a.mnist", "status"] == table.UNPUBLISHED
    assert np.isnan(rows.loc["a.mnist", "rank"])
    assert rows.loc[["b.mnist", "c.mnist"], "rank"].tolist() == [1, 2]
    measured = results.read_all(tmp_path)
    assert goals.Goal("mnist", "", 0.99).best([replace(r, architecture="lenet5") for r in measured]).model == "b.mnist"
    sent = made_up("d.mnist", [0.9], weights=None, submission={"user": "x"})
    assert sent.published


def test_readings_of_the_test_set_are_counted(tmp_path):
    """A new measurement of the same network is none; another network, or one more seed, is."""
    for day, accuracies in enumerate(([0.98], [0.98], [0.97, 0.98], [0.98])):
        results.write(made_up("a.mnist", accuracies, date=f"2026-11-0{day + 1}"), folder=tmp_path)
    results.write(made_up("b.mnist", [0.9], architecture="a"), folder=tmp_path)
    rows = snapshot.build(tmp_path).rows.set_index("model")
    assert rows["readings"].dropna().tolist() == [2, 1]
    assert rows["network_readings"].dropna().tolist() == [3, 3]


def test_readings_that_are_disclosed_count_once(monkeypatch):
    known = [
        disclosures.Disclosure("mnist", ["a", "b"], "Searched.", 14),
        disclosures.Disclosure("mnist", ["a"], "Said."),
    ]
    monkeypatch.setattr(disclosures, "disclosures", lambda: known)
    paper = made_up("a.mnist-paper", [0.97], architecture="a", dataset="mnist")
    rows = table.frame([
        made_up("a.mnist", [0.98]), paper, made_up("a.ahdd", [0.9]), made_up("ann~a.mnist", [0.96]),
        made_up("b.mnist", [0.95]), made_up("c.mnist", [0.94]),
    ]).set_index("model")  # fmt: skip
    assert rows["readings"].to_dict() == {
        "a.mnist": 15, "a.mnist-paper": 1, "a.ahdd": 1, "ann~a.mnist": 1, "b.mnist": 15, "c.mnist": 1,
    }  # fmt: skip
    assert rows.loc[["a.mnist", "a.mnist-paper"], "network_readings"].tolist() == [16, 16]


def test_what_is_disclosed_stands_with_the_scores():
    readme, board = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/board.md"))
    reproduced = board.partition("<!-- documents")[2].partition("<!-- /documents")[0]
    for one in disclosures.disclosures():
        assert one.text in board
        best = next((line for line in readme.splitlines() if line.startswith(f"| {one.dataset} |")), "")
        if any(f"`{network}`" in best for network in one.networks) or not one.networks:
            assert one.text in readme
        if any(f"{network} on {one.dataset}" in reproduced for network in one.networks):
            assert one.text in reproduced


def test_no_row_lacks_its_count_as_trained_and_every_dataset_is_named_where_a_reader_looks_for_it():
    readme, board = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/board.md"))
    listed = readme.partition("The datasets:")[2].partition("\n\n")[0]
    alone = " ".join(board.split()).partition("has a fresh test set")[2].partition(" have none")[0]
    rows = results.read_all(results.RECORDS)
    assert [row.model for row in rows if not row.parameters_as_trained] == []
    for name in {row.dataset for row in rows}:
        assert f"`{name}`" in listed
        assert (f"`{name}`" in alone) == (not data.DATASETS[name].transfers)


def test_rows_of_an_earlier_recipe_are_marked():
    today = training.plan("lenet5", "mnist").recipe.to_dict()
    earlier = {**today, "outliers": 0.5}
    row = partial(made_up, "lenet5.mnist", [0.99], architecture="lenet5")
    assert reproductions.settings_changed(row(recipe=today)) == []
    assert reproductions.settings_changed(row(recipe={**today, "name": "zoo-1epochs", "epochs": 1})) == []
    assert reproductions.settings_changed(row(recipe=earlier)) == ["outliers"]
    assert reproductions.settings_changed(row(recipe={**today, "unheard_of": 1})) == ["settings"]
    assert reproductions.settings_changed(row(recipe=earlier, submission={"user": "eve"})) == []
    assert reproductions.settings_changed(replace(row(recipe=earlier), architecture="eve~net")) == []
    assert reproductions.EARLIER in reproductions.to_know(row(recipe=earlier))
    assert reproductions.EARLIER not in reproductions.to_know(row(recipe=today))
    marked = [line for line in update_tables.board().splitlines() if "‡" in line]
    assert any("| resco_mini.ahdd‡ |" in line for line in marked)
    assert not any("lenet5.mnist" in line for line in marked)
    shown = [table_html.render(table.frame([row(recipe=one)]), table.Query()) for one in (today, earlier)]
    assert [page.count("earlier recipe") for page in shown] == [0, 1]


def test_the_best_known_is_claimed_and_honest():
    stated = [
        Claim("a", "mnist", 0.999, None, "", False),
        Claim("b", "mnist", 0.99, 900, "", True),
        Claim("c", "mnist", 0.9999, 5, "", True, ensemble=True),
        Claim("d", "ahdd", 1.0, 5, "", True),
    ]
    single, small = goals.Goal("mnist", "", 0.99), goals.Goal("mnist", "", 0.99, parameters=800)
    assert [single.known(stated, honest).network for honest in (False, True)] == ["a", "b"]
    assert small.known(stated, honest=False) is None
    for claim in claims.claims():
        assert claim.honest == (not claim.chosen), claim
        assert claim.source_named or not claim.honest, claim


def test_the_best_row_is_not_chosen_across_two_validation_splits():
    old = [
        made_up(f"{name}.mnist", [accuracy], validation_split="rows") for name, accuracy in (("a", 0.98), ("b", 0.99))
    ]
    new = made_up("c.mnist", [0.97], validation_split=data.get("mnist").validation_split)
    assert goals.best_on_validation([*old, new]).model == "c.mnist"
    assert goals.best_on_validation(old).model == "b.mnist"
    assert goals.best_on_validation([]) is None


def test_the_front_shows_what_others_claim_where_its_cost_is_known():
    stated = [Claim("tiny", "mnist", 0.99, 697, "a paper", True), Claim("large", "mnist", 0.999, None, "another", True)]
    frame = table.frame([made_up("lenet5.mnist", [0.98])], claims=stated)
    drawn = table_html.front(frame, "mnist", "parameters")
    assert drawn.count("mark claimed") == 1
    assert "claimed 99.00%: a paper" in drawn
    assert "mark claimed" not in table_html.front(frame, "mnist", "multiply_adds")


def test_no_name_on_the_front_is_written_over_another():
    found = {"lenet5": (0.98, 1000.0), "hdr_cnn": (0.9802, 1020.0), "mnist_cnn": (0.99, 9000.0)}
    frame = table.frame([made_up(f"{network}.mnist", [accuracy]) for network, (accuracy, _) in found.items()])
    frame["parameters"] = frame["model"].map({f"{network}.mnist": cost for network, (_, cost) in found.items()})
    drawn = table_html.front(frame, "mnist", "parameters")
    assert drawn.count("mark front") == 3
    assert re.findall(r'"label[^>]*>(\w+)<', drawn) == ["mnist_cnn", "hdr_cnn", "lenet5"]


def test_a_goal_is_served_by_the_best_mean_on_validation_that_it_allows():
    best = [goals.Goal("mnist", "", 0.99, **limits).best for limits in ({}, {"parameters": 900}, {"ensemble": True})]
    found = {"lenet5": [0.98, 0.99], "hdr_cnn": [0.988], "glyphnet_100k_x3": [0.995]}
    measured = [made_up(f"{network}.mnist", accuracies) for network, accuracies in found.items()]
    measured.append(made_up("resco_mini.mnist", [0.999], recipe={"name": "paper"}))
    found_by = [find(measured) and find(measured).model for find in best]
    assert found_by == ["hdr_cnn.mnist", None, "glyphnet_100k_x3.mnist"]


def test_the_kept_frame_is_that_of_the_records(board, tmp_path):
    folder, frame = board
    assert snapshot.is_current(folder)
    pd.testing.assert_frame_equal(frame, snapshot.build(folder).rows, check_dtype=False, rtol=1e-7)
    write_board(tmp_path)
    (tmp_path / "ahdd" / "lenet5.ahdd.json").write_text("{ half")
    assert snapshot.load(tmp_path).set_index("model").loc["lenet5.ahdd", "status"] == table.BROKEN


@pytest.mark.parametrize(
    ("change", "agreements"),
    [
        (lambda row: {}, []),
        (lambda row: [1], []),
        (lambda row: None, []),
        (lambda row: {**row, "accuracy": "x"}, []),
        (lambda row: {**row, "errors": True}, []),
        (lambda row: {**row, "seeds": 10**400}, []),
        (lambda row: {**row, "model": 7}, []),
        (lambda row: {**row, "status": None}, []),
        (lambda row: row, [{"dataset": "mnist"}]),
        (lambda row: row, [["mnist"]]),
        (lambda row: row, ["mnist"]),
    ],
)
def test_a_kept_frame_that_is_none_is_computed_again_whatever_its_hash(board, tmp_path, change, agreements):
    """Whoever can write it can write its hash, too."""
    folder, frame = shutil.copytree(board[0], tmp_path / "records"), board[1]
    state = json.loads((folder / snapshot.STATE).read_text())
    first, *lines = (folder / snapshot.NAME).read_bytes().splitlines(keepends=True)
    content = b"".join([json.dumps(change(json.loads(first))).encode() + b"\n", *lines])
    (folder / snapshot.NAME).write_bytes(content)
    changed = {**state, "rows": snapshot._hash(content, agreements), "agreements": agreements}
    (folder / snapshot.STATE).write_text(json.dumps(changed))
    assert not snapshot.is_fresh(folder)
    pd.testing.assert_frame_equal(snapshot.load(folder), frame, check_dtype=False, rtol=1e-7)


def test_local_rows_show_on_the_board_and_change_no_committed_file(tmp_path, monkeypatch):
    committed, local = tmp_path / "records", tmp_path / "local_records"
    monkeypatch.setattr(results, "RECORDS", committed)
    monkeypatch.setattr(results, "LOCAL", local)
    write_board(committed)
    before = {path: path.read_bytes() for path in committed.rglob("*") if path.is_file()}
    rows = snapshot.load()
    results.write(made_up("my_net.mnist", [0.99]), answers(10), local)
    results.write(made_up("lenet5.mnist", [0.5]), answers(500), local)
    snapshot.write(local)
    assert {path: path.read_bytes() for path in committed.rglob("*") if path.is_file()} == before
    shown = snapshot.load().set_index("model")
    assert shown.index[shown["status"] == table.LOCAL].tolist() == ["my_net.mnist", "lenet5.mnist"]
    assert shown.loc["lenet5.mnist", "accuracy"] == 0.5
    assert len(shown) == len(rows) + 1
    assert snapshot.load(committed)["model"].tolist() == rows["model"].tolist()
    assert snapshot.is_fresh()
    assert snapshot.is_fresh(committed)
    assert results.path_of("my_net.mnist", "mnist").parent.parent == local


def test_rows_for_programs_are_made_once_until_the_board_changes(tmp_path, monkeypatch):
    """Four addresses that asked for them again and again let everybody wait for seconds."""
    monkeypatch.setattr(results, "RECORDS", write_board(tmp_path))
    monkeypatch.setattr(results, "LOCAL", tmp_path / "none")
    live = Live()
    query = table.Query(dataset="mnist", search="mnist", sort="accuracy", descending=True)
    first = live.chosen(query)
    assert first == downloads.as_json(table.select(live(), query))
    assert [row["model"] for row in first][:2] == ["hdr_cnn.mnist", "mnist_cnn.mnist"]
    monkeypatch.setattr(downloads, "as_json", lambda rows: pytest.fail("made again"))
    assert all(one is again for one, again in zip(first, live.chosen(query), strict=True))
    assert live.chosen(replace(query, dataset=None, search="old"))[0]["model"] == "old.ahdd"
    monkeypatch.undo()
    monkeypatch.setattr(results, "RECORDS", tmp_path)
    monkeypatch.setattr(results, "LOCAL", tmp_path / "none")
    results.write(made_up("lenet5.mnist", [0.999]), answers(1), tmp_path)
    snapshot.write(tmp_path)
    assert live.chosen(query)[0]["model"] == "lenet5.mnist"


def test_the_kept_frame_is_a_dataset(board, tmp_path):
    import datasets

    folder, frame = board
    shutil.copy(ROOT / "leaderboard" / "records" / "README.md", folder)
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path))
    assert loaded["model"][:] == frame["model"].tolist()


def test_downloads_hold_the_same_rows(board, tmp_path):
    _, frame = board
    paths = downloads.write(frame, tmp_path)
    for read, kind in ((pd.read_csv, "csv"), (pd.read_json, "json"), (pd.read_parquet, "parquet")):
        rows = read(paths[kind])
        assert rows["model"].tolist() == frame["model"].tolist()
        np.testing.assert_allclose(rows["accuracy"].astype(float), frame["accuracy"], equal_nan=True)
    assert downloads.as_json(frame)[0].keys() == set(frame.columns)


def test_the_readme_and_the_kept_frame_show_the_records(run_script):
    assert run_script("chores.update_tables", "--check").returncode == 0, "run python -m scripts.chores.update_tables"


def test_every_claim_has_a_source():
    for claim in claims.claims():
        assert dataclasses.asdict(claim)["source"]
        assert 0 < claim.accuracy <= 1


def test_one_thread_reads_a_changed_board_and_the_others_go_on_with_the_last(monkeypatch):
    live, reading, go = Live(), threading.Event(), threading.Event()
    before = live.board()
    fresh = dataclasses.replace(before)

    def read():
        reading.set()
        assert go.wait(10)
        return fresh

    monkeypatch.setattr(live, "_now", lambda: ("another", 1))
    monkeypatch.setattr(snapshot, "cached", read)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(live.board)
        assert reading.wait(10)
        assert live.board() is before
        go.set()
        assert first.result() is fresh
    assert live.board() is fresh


@pytest.mark.parametrize("how", ["gone", "cut", "of earlier records"])
def test_a_board_is_computed_while_its_readers_go_on_with_the_last(tmp_path, monkeypatch, how):
    """By one thread for all of them: it takes seconds, and a visitor who looked just then waited for it."""
    monkeypatch.setattr(results, "RECORDS", folder := write_board(tmp_path))
    monkeypatch.setattr(results, "LOCAL", tmp_path / "none")
    lives = Live(), Live()
    before = [live.board() for live in lives]
    results.write(made_up("lenet5.mnist", [0.999]), answers(1), folder)
    state = folder / snapshot.STATE
    state.unlink() if how == "gone" else os.utime(state, (1, 1))
    if how == "cut":
        state.write_bytes(state.read_bytes()[:99])
    build, built, go = snapshot.build, [], threading.Event()

    def slow():
        assert go.wait(10)
        built.append(build())
        return built[-1]

    monkeypatch.setattr(snapshot, "build", slow)
    assert [live.board() for live in lives * 2] == before * 2
    go.set()
    BUILDING.wait()
    after = [live.board() for live in lives * 2]
    assert after == built * 4
    assert "lenet5.mnist" in after[0].rows["model"].tolist()


def test_what_changed_of_the_page_is_made_once_until_the_board_changes_again(monkeypatch):
    """Else whoever has a row measured makes each page load render the tables and write the downloads."""
    live, made, making, go = Live(), [], threading.Event(), threading.Event()

    def fresh():
        made.append(live.board())
        making.set()
        assert go.wait(10)
        return {"choice": {"choices": [len(made)]}, "page": f"page {len(made)}"}

    updates = live.since_start(fresh)
    assert updates() == {}
    for n in (1, 2):
        last, board = updates(), dataclasses.replace(live.board())
        monkeypatch.setattr(live, "board", lambda board=board: board)
        with ThreadPoolExecutor(1) as pool:
            making.clear()
            go.clear()
            first = pool.submit(updates)
            assert making.wait(10)
            assert updates() == last  # nobody waits
            go.set()
            assert first.result()["page"] == f"page {n}"
        said = updates()
        said["choice"]["value"] = "what one visitor's address names"
        said["page"] = "another"
        assert updates() == {"choice": {"choices": [n]}, "page": f"page {n}"}
    assert len(made) == 2


@pytest.mark.parametrize("kind", downloads.WRITERS)
def test_a_download_is_whole_while_it_is_written_again(kind, board, monkeypatch, tmp_path):
    _, frame = board
    before = downloads.write(frame, tmp_path)[kind].read_bytes()
    write = downloads.WRITERS[kind]

    def seen(rows, path):
        Path(path).write_bytes(b"half")
        assert (tmp_path / f"leaderboard.{kind}").read_bytes() == before
        write(rows, path)

    monkeypatch.setitem(downloads.WRITERS, kind, seen)
    assert downloads.write(frame, tmp_path)[kind].read_bytes() == before
    monkeypatch.setitem(downloads.WRITERS, kind, lambda rows, path: Path(path).write_bytes(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        downloads.write(frame, tmp_path)
    assert (tmp_path / f"leaderboard.{kind}").read_bytes() == before
    assert len([*tmp_path.iterdir()]) == len(downloads.WRITERS)


def test_a_search_has_few_words(board):
    _, frame = board
    began = time.process_time()
    found = table.select(frame, table.Query(search="lenet5 " * 100_000 + "nothing"))
    assert len(found) == 0
    many = " ".join(map(str, range(100_000)))
    assert len(table.select(frame, table.Query(search=f"lenet5 {many}"))) == 0
    assert time.process_time() - began < 2


def test_disclosed_readings_count_for_every_row_of_their_network():
    """Also where the network has no row of its own recipe's name."""
    rows = snapshot.load(results.RECORDS)
    recorded = {result.model: result for result in results.read_all(results.RECORDS)}
    for one in disclosures.disclosures():
        for network in one.networks:
            of_network = [r for r in recorded.values() if (r.architecture, r.dataset) == (network, one.dataset)]
            read = sum(result.recorded_readings for result in of_network)
            read += disclosures.further_readings(one.dataset, network)
            shown = rows[rows["model"].isin([result.model for result in of_network])]["network_readings"]
            assert set(shown) <= {float(read)}, network
