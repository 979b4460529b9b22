"""Metrics against their definitions, corruptions, leaks, and a whole training that becomes a row and is checked."""

import dataclasses
import inspect
import json
import shutil
from types import SimpleNamespace

import evaluate
import numpy as np
import onnx
import pytest
import sklearn.metrics
from conftest import ROOT, real_data
from records import answers, made_up

from leaderboard import (
    checking,
    corruptions,
    leaks,
    metrics,
    precisions,
    recording,
    results,
    speed,
    unknown,
    unseen_damage,
)
from leaderboard.evaluation import Evaluation, confusion_matrix, per_class
from leaderboard.evaluation import evaluate as measure
from leaderboard.predictions import Predictions
from leaderboard.statistics import macro_f1_interval, wilson_interval
from zoo import data, stored_numbers, training
from zoo.errors import ZooError
from zoo.files import read_json, write_json

LABELS = np.array([0, 0, 1, 1, 2, 2, 2, 0])
PREDICTED = np.array([0, 1, 1, 1, 2, 0, 2, 0])
PROBABILITIES = np.eye(4, dtype=np.float32)[PREDICTED] * 0.7 + 0.075  # class 3 never occurs


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """What every metric asks for, of a convolution 3x3x1x2 on 8 x 8 pixels and a matrix 72 x 4."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = [
        numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in (("kernel", (2, 1, 3, 3)), ("matrix", (72, 4)))
    ]
    weights.append(numpy_helper.from_array(np.array([-1, 72]), "shape"))
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Conv", ["values", "kernel"], ["maps"]),
        helper.make_node("Reshape", ["maps", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["out"]),
    ]
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ("n", 1, 8, 8))],
        [helper.make_tensor_value_info("out", floats, ("n", 4))],
        weights,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return {
        "parameters": stored_numbers.of_file(path),
        "onnx_path": str(path),
        "inputs": 3,
        "training_seconds": 12.5,
        "image_seconds": [0.001, 0.003, 0.002],
        "batch_seconds": [0.1, 0.3, 0.2],
        "batch_size": 256,
        "corrupted": {"blur": PREDICTED, "noise": np.zeros(8, int)},
        "unseen": {"fog": np.zeros(8, int), "zigzag": PREDICTED, "stripe": PREDICTED},
        "transfers": {"near": np.array([True, True]), "far": np.array([True, False, False, False])},
        "validation_confidence": np.linspace(0.5, 1, 101),
        "unknown_confidence": np.array([0.3, 0.4, 0.5, 0.9]),
    }


def test_metrics_are_what_they_say(facts):
    scores = metrics.compute(PROBABILITIES, LABELS, **facts)
    assert set(scores) == set(metrics.versions())
    assert scores["accuracy"] == 6 / 8
    f1 = [2 * 2 / (3 + 3), 2 * 2 / (3 + 2), 2 * 2 / (2 + 3), 0]  # 2 hits / (claims + support), each class
    assert scores["macro_f1"] == pytest.approx(np.mean(f1))
    assert scores["balanced_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(LABELS, PREDICTED))
    expected = sklearn.metrics.top_k_accuracy_score(LABELS, PROBABILITIES, k=2, labels=range(4))
    # scikit-learn puts ties the other way round: the lowest class first is what a prediction is
    assert scores["top2_accuracy"] == pytest.approx(7 / 8) != expected
    assert scores["expected_calibration_error"] == pytest.approx(abs(6 / 8 - 0.775))  # one bin holds all
    assert scores["negative_log_likelihood"] == pytest.approx(
        sklearn.metrics.log_loss(LABELS, PROBABILITIES, labels=range(4)), rel=1e-5
    )
    assert scores["robustness"] == pytest.approx((6 / 8 + 3 / 8) / 2)
    assert scores["unseen_robustness"] == pytest.approx((3 / 8 + 6 / 8 + 6 / 8) / 3)
    assert scores["other_hands"] == (1 + 1 / 4) / 2
    assert scores["unknown_accepted"] == 1 / 4  # the threshold is 0.505
    assert scores["unknown_auroc"] == 3 / 4  # 0.775 lies above three of the four
    assert scores["parameters"] == 2 * 9 + 72 * 4  # and no shape
    assert scores["efficiency_score"] == pytest.approx(75 / 306e-6)
    assert scores["multiply_adds"] == 3 * (2 * 6 * 6 * 9 + 72 * 4)
    assert scores["training_time"] == 12.5
    assert scores["latency"] == pytest.approx(2)
    assert scores["throughput"] == pytest.approx(1280)


@pytest.mark.parametrize("name", metrics.versions())
def test_every_metric_loads_by_its_path_offline(name, facts, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_EVALUATE_OFFLINE", "1")
    loaded = evaluate.load(str(ROOT / "leaderboard" / "metrics" / f"{name}.py"), cache_dir=str(tmp_path))
    asked = {key: facts[key] for key in inspect.signature(loaded._compute).parameters if key in facts}
    score = loaded.compute(predictions=PROBABILITIES, references=LABELS, **asked)[name]
    assert score == metrics.metrics()[name].compute(predictions=PROBABILITIES, references=LABELS, **asked)[name]


def test_per_class_scores_agree_with_scikit_learn():
    confusion = confusion_matrix(LABELS, PREDICTED, 4)
    np.testing.assert_array_equal(confusion, sklearn.metrics.confusion_matrix(LABELS, PREDICTED, labels=range(4)))
    expected = sklearn.metrics.precision_recall_fscore_support(LABELS, PREDICTED, labels=range(4), zero_division=0)
    found = per_class(confusion, ("a", "b", "c", "d"))
    for key, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([row[key] for row in found], values)


@pytest.mark.parametrize("side", [8, 28, 32])
@pytest.mark.parametrize(
    ("family", "kinds"),
    [(corruptions.corrupted, corruptions.CORRUPTIONS), (unseen_damage.damaged, unseen_damage.DAMAGE)],
)
def test_corruptions_are_the_same_every_time_and_leave_a_character(side, family, kinds):
    images = np.zeros((20, side, side, 1), np.uint8)
    images[:, side // 4 : -side // 4, side // 3 : -side // 3] = 255
    once, again = (dict(family(images)) for _ in range(2))
    assert set(once) == set(kinds)
    for name, found in once.items():
        assert (found.shape, found.dtype) == (images.shape, np.uint8)
        np.testing.assert_array_equal(found, again[name])
        assert (found != images).any(), name
        alike = np.corrcoef(found.ravel().astype(float), images.ravel().astype(float))[0, 1]
        assert alike > (0.2 if name != "canny_edges" else -0.2), name


@real_data
def test_what_is_of_no_class_is_of_other_characters_and_of_nothing_that_methods_are_compared_on():
    for dataset, side in (("mnist", 28), ("ahcd", 32)):
        choosing, testing = unknown.for_choosing(dataset), unknown.for_testing(dataset)
        assert choosing.shape[1:] == testing.shape[1:] == (side, side, 1)
        assert len(choosing) == 20 * (24 + 22 + 47 + 40)
        assert 20 * (42 + 17) + 400 < len(testing) < 20 * (42 + 17) + 900
        assert not {image.tobytes() for image in choosing} & {image.tobytes() for image in testing}
    assert unknown.for_testing("optdigits") is unknown.for_testing("pages70") is None


def test_leaks_are_found():
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (50, 12, 12, 1), np.uint8)
    test = rng.integers(0, 256, (9, 12, 12, 1), np.uint8)
    test[2] = train[7]
    test[5] = train[31]
    test[8] = np.clip(train[40].astype(int) + rng.integers(-3, 4, (12, 12, 1)), 0, 255)
    exact, other_label = leaks.exact_duplicates(train, np.zeros(50, int), test, np.eye(9, dtype=int)[5])
    assert exact.tolist() == [2, 5]
    assert other_label == 1
    nearest, pixels, perceptual = leaks.nearest_neighbours(train, test)
    assert nearest[[2, 5, 8]].tolist() == [7, 31, 40]
    assert np.flatnonzero((pixels > 0.99) & (perceptual > 0.99)).tolist() == [2, 5, 8]
    assert leaks.writers(np.array([1, 1, 2]), np.array([2, 3])) == {"train": 2, "test": 2, "both": 1}
    assert leaks.writers(None, np.array([2])) is None


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A network trained for one epoch on the digits that scikit-learn brings along, and its record."""
    folder = tmp_path_factory.mktemp("recorded")
    runs = [
        training.train(training.plan("lenet5", "optdigits", seed=seed, epochs=1), folder / "runs") for seed in (0, 1)
    ]
    return folder, runs, recording.record(runs, folder / "records")


def test_a_training_becomes_a_row_with_its_provenance(recorded):
    folder, runs, result = recorded
    assert results.read_all(folder / "records") == [result]
    assert result.shipped_seed == recording.shipped(runs).job.seed
    assert result.stale is None
    assert len(result.seeds) == 2
    assert set(result.corruptions) == set(corruptions.CORRUPTIONS)
    assert result.shipped("robustness") == pytest.approx(np.mean(list(result.corruptions.values())))
    answers = results.predictions(result, folder / "records")
    assert int((~answers.right).sum()) == result.errors == 360 - round(result.shipped("accuracy") * 360)
    assert result.shipped("multiply_adds") > 100_000


def test_the_test_set_is_read_once_until_a_metric_changes(recorded, monkeypatch):
    folder, runs, result = recorded
    stored = runs[0].folder / recording.EVALUATION
    before = stored.stat().st_mtime_ns
    assert recording.record(runs, folder / "records") == dataclasses.replace(result)
    assert stored.stat().st_mtime_ns == before
    values = json.loads(stored.read_text())
    values["metric_versions"]["robustness"] = 0  # as if an earlier version had measured it
    stored.write_text(json.dumps(values))
    recording.evaluated(runs[0])
    assert json.loads(stored.read_text())["metric_versions"]["robustness"] == metrics.versions()["robustness"]


def test_a_row_can_be_measured_again(recorded):
    folder, _, result = recorded
    published = recording.published(result, folder / "runs")
    evaluation, predictions = measure(published)
    assert checking.record_of(published, folder / "records") == result
    check = checking.compare(result, results.predictions(result, folder / "records"), evaluation, predictions)
    assert check.agrees, check.sentence
    assert check.changed == 0
    other = dataclasses.replace(predictions, predicted=(predictions.predicted + 1) % 10)
    assert not checking.compare(result, predictions, evaluation, other).agrees
    claimed = dataclasses.replace(result, revision="0" * 64)
    assert "The weights differ" in checking.compare(claimed, predictions, evaluation, predictions).sentence


@pytest.mark.parametrize("where", ["given away", "another seed", "a link", "the runs of somebody else"])
def test_a_folder_that_calls_itself_a_row_changes_no_record(recorded, tmp_path, where):
    """Its metadata alone said which row its scores were written into, whatever its weights."""
    folder, _, result = recorded
    published, runs = recording.published(result, folder / "runs"), tmp_path / "runs"
    pair = f"runs/{result.architecture}.{result.dataset}/{result.recipe['name']}"
    place = tmp_path / {
        "another seed": f"{pair}/seed-9/export",
        "the runs of somebody else": f"x/{pair}/seed-{result.shipped_seed}/export",
    }.get(where, result.model)
    shutil.copytree(published, place)
    recording.check_folder(result, place, runs)  # the same weights
    recording.check_folder(dataclasses.replace(result, revision="0" * 64), published, folder / "runs")  # exported again
    said = read_json(place / "preprocessor_config.json")
    view = data.get("pages70").view.to_dict()
    write_json(place / "preprocessor_config.json", said | {"contract": None, "view": view})
    with pytest.raises(ZooError, match="by another view"):
        recording.check_folder(result, place, runs)
    write_json(place / "preprocessor_config.json", said)
    network = onnx.load(place / "model.onnx")
    network.producer_name = "somebody"
    onnx.save(network, place / "model.onnx")
    assert checking.record_of(place, folder / "records") == result
    if where == "a link":
        (tmp_path / "link").symlink_to(place)
        place = tmp_path / "link"
    with pytest.raises(ZooError, match="holds other weights than those of the row"):
        recording.check_folder(result, place, runs)


def checked(measured, stored=None, as_trained=None, **changes) -> checking.Check:
    """Compare a made-up row whose seed lacks what only the shipped one was measured by with a new measurement."""
    said, scores = answers(100, 10_000), {"accuracy": 0.99, "macro_f1": 0.99, "expected_calibration_error": 0.0012}
    scores |= {"parameters": 278_474, "negative_log_likelihood": 0.02, "efficiency_score": 355.5}
    confusion = confusion_matrix(said.labels.astype(int), said.predicted.astype(int), 10)
    values = {
        "seeds": [results.SeedResult(0, 0.98, 3, {**scores, "training_time": 5.0})],
        "shipped_metrics": {"unseen_robustness": 0.8, "unknown_accepted": 0.1},
        "confusion": confusion.tolist(),
        "accuracy_interval": list(wilson_interval(9_900, 10_000)),
        "macro_f1_interval": list(macro_f1_interval(confusion)),
        "parameters_as_trained": 279_722,
    }
    row = made_up("lenet5.mnist", [0.99], **{**values, **changes})
    evaluation = Evaluation(
        row.revision, row.dataset_fingerprint, {}, {**scores, **row.shipped_metrics, "training_time": 9.0, **measured},
        {}, {}, {}, [], row.confusion, {}, row.date,
    )  # fmt: skip
    return checking.compare(row, stored or said, evaluation, said, as_trained=as_trained)


def test_a_measurement_of_the_same_file_agrees_up_to_one_sample():
    assert checked({}, as_trained=279_722).sentence.endswith("0 test samples have another prediction than recorded.")
    assert checked({"accuracy": 0.9901, "macro_f1": 0.99015, "efficiency_score": 355.53}).agrees
    assert "Not compared, since not measured here: parameters_as_trained." in checked({}).sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parameters", 278_196),
        ("accuracy", 0.9892),
        ("macro_f1", 0.9895),
        ("expected_calibration_error", 0.0003),
        ("negative_log_likelihood", 0.0203),
        ("efficiency_score", 355.7),
        ("unseen_robustness", 0.7995),
        ("unknown_accepted", 0.101),
    ],
)
def test_a_record_that_another_machine_does_not_explain_does_not_agree(name, value):
    check = checked({name: value})
    assert [score.name for score in check.scores if not score.agrees] == [name]
    assert not check.agrees


def test_intervals_mistakes_and_parameters_as_trained_are_compared():
    assert not checked({}, accuracy_interval=[0.9878, 0.9918]).agrees
    assert not checked({}, macro_f1_interval=[0.98, 0.999]).agrees
    assert not checked({}, as_trained=279_721).agrees
    assert "confusion matrix" in checked({}, confusion=np.diag([1000] * 10).tolist()).sentence
    assert not checked({}, stored=answers(102, 10_000)).agrees


def test_every_metric_says_how_far_a_new_measurement_may_differ():
    stated = metrics.tolerances()
    assert stated.keys() == metrics.versions().keys()
    kinds = {value for value in stated.values() if isinstance(value, str)}
    assert kinds == checking.allowed(made_up("lenet5.mnist", [0.99]), 0.99).keys()


def test_sums_in_another_order_change_no_more_predictions_than_a_check_allows():
    """The browser and C sum otherwise than ONNX Runtime; int8 is another network."""
    rows = [row for path in precisions.FOLDER.glob("*.json") for row in precisions.read(path.stem).rows]
    others = [row.others for row in rows if row.precision != "int8" and row.others is not None]
    assert len(others) > 50
    assert max(others) <= checking.SAMPLES


def test_the_zoo_counts_what_keras_counted_in_training(recorded):
    _, _, result = recorded
    assert recording.parameters_as_trained(result) == result.parameters_as_trained
    assert recording.parameters_as_trained(dataclasses.replace(result, architecture="bob~net")) is None


def test_a_new_measurement_goes_into_the_record(recorded, tmp_path):
    folder, _, result = recorded
    before = dataclasses.replace(result, revision="0" * 64, speed={"latency": 1.0}, confusion=[[1]])
    given = shutil.copytree(recording.published(result, folder / "runs"), tmp_path / result.model)
    said = read_json(given / "preprocessor_config.json")
    write_json(given / "preprocessor_config.json", said | {"labels": [f"not {label}" for label in said["labels"]]})
    write_json(given / "history.json", {"validation": {"accuracy": 1.0}, "training_seconds": 0.001})
    evaluation, _ = measure(given)
    again = recording.measured_again(before, evaluation)
    assert again.per_class == result.per_class  # what a folder only tells changes no record
    assert again.score("training_time") == result.score("training_time") > 1
    assert again.revision == result.revision == again.of_seed(result.shipped_seed).revision
    assert (again.speed, again.confusion) == (None, result.confusion)
    assert again.means == pytest.approx(result.means)
    former = dataclasses.replace(result, metric_versions={"accuracy": 0})
    with pytest.raises(ZooError, match="other seeds of lenet5"):
        recording.measured_again(former, evaluation)


@pytest.mark.parametrize(
    ("file", "said", "sentence"),
    [
        ("history.json", {"validation": {"accuracy": 1.0}, "training_seconds": "soon"}, "'training_seconds' must be"),
        ("history.json", {"validation": {"accuracy": 1.0}, "training_seconds": -1}, "must be 0 or more"),
        ("preprocessor_config.json", {"dataset": "alnum"}, "10 classes, but alnum has 36"),
    ],
)
def test_a_folder_that_cannot_be_measured_gets_a_sentence(recorded, tmp_path, file, said, sentence):
    folder, _, result = recorded
    given = shutil.copytree(recording.published(result, folder / "runs"), tmp_path / result.model)
    write_json(given / file, read_json(given / file) | said)
    with pytest.raises(ZooError, match=sentence):
        measure(given)


def test_every_seed_is_measured_again(recorded):
    folder, runs, result = recorded
    (other,) = (run for run in runs if run.job.seed != result.shipped_seed)
    evaluation, predictions = measure(recording.exported(result, folder / "runs", other.job.seed))
    check = checking.compare(result, predictions, evaluation, predictions, other.job.seed)
    assert check.agrees, check.sentence
    assert check.changed is None
    assert not checking.compare(result, predictions, evaluation, predictions).agrees
    with pytest.raises(ZooError, match="no seed 7: it has 0, 1"):
        checking.compare(result, None, evaluation, predictions, 7)


@pytest.mark.slow
def test_evaluate_script_checks_a_row(recorded, run_script):
    folder, _, result = recorded
    published, records = recording.published(result, folder / "runs"), folder / "records"
    done = run_script("measure.py", str(published), "--check", "--records", str(records))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agrees" in done.stdout
    streamed = run_script("measure.py", str(published), "--stream")
    assert streamed.returncode == 0, streamed.stdout + streamed.stderr
    assert f"{result.shipped('accuracy'):.6g}" in streamed.stdout


def test_speed_is_measured_in_one_run(recorded):
    folder, _, result = recorded
    published = recording.published(result, folder / "runs")
    found = speed.measure({"a": published, "b": published})
    assert found["a"]["latency"] > 0
    assert found["a"]["throughput"] > 0
    assert found["a"]["date"] == found["b"]["date"]
    assert recording.record_speed(folder / "runs", folder / "records") == []
    (again,) = results.read_all(folder / "records")
    assert again.speed["images"] == speed.ROUNDS * speed.SINGLE
    assert again.stale is None


def test_predictions_are_small_and_keep_every_mistake(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 10_000)
    probabilities = rng.dirichlet(np.full(10, 0.02), 10_000).astype(np.float32)
    right = rng.random(10_000) < 0.995
    probabilities[right] = np.eye(10, dtype=np.float32)[labels[right]] * 0.9 + 0.01
    kept = Predictions.of(probabilities, labels, np.zeros((10_000, 28, 28, 1), np.uint8))
    kept.save(tmp_path / "x.npz")
    assert (tmp_path / "x.npz").stat().st_size < 40_000
    read = Predictions.load(tmp_path / "x.npz")
    np.testing.assert_array_equal(read.right, probabilities.argmax(axis=1) == labels)
    assert set(np.flatnonzero(~read.right)) <= set(read.hardest.tolist())


def test_the_published_board_takes_rows_of_committed_code_only(monkeypatch, tmp_path):
    monkeypatch.setattr(recording, "commit", lambda: "0123456789ab+")
    with pytest.raises(ZooError, match="commit them, or train with --uncommitted"):
        recording.require_commit(results.RECORDS)
    recording.require_commit(results.RECORDS, uncommitted=True)
    recording.require_commit(tmp_path)  # rows of this machine alone
    monkeypatch.setattr(recording, "commit", lambda: "0123456789ab")
    recording.require_commit(results.RECORDS)
    elsewhere = SimpleNamespace(environment={"commit": "ba9876543210+"})
    with pytest.raises(ZooError, match="commit them, or train with --uncommitted"):
        recording.require_commit(results.RECORDS, runs=[elsewhere])


def test_a_row_of_several_seeds_keeps_what_only_the_shipped_one_was_measured_by(tmp_path):
    row = made_up("lenet5.mnist", [0.94, 0.95])
    for seed in row.seeds:
        del seed.metrics["unseen_robustness"]
    found = row.of_seed(row.shipped_seed).metrics | {"accuracy": 0.96, "unseen_robustness": 0.7}
    evaluation = Evaluation(
        row.revision, row.dataset_fingerprint, {name: metrics.versions()[name] for name in found}, found, {},
        {"fog": 0.7}, {"unipen_digits": 0.9}, row.per_class, row.confusion, {}, row.date,
    )  # fmt: skip
    again = recording.measured_again(row, evaluation)
    assert (again.score("accuracy"), again.score("unseen_robustness")) == (pytest.approx(0.95), 0.7)
    said = dataclasses.replace(answers(10), transfers={"unipen_digits": np.array([True, False, True])})
    results.write(again, said, tmp_path)
    assert results.read_all(tmp_path) == [again]
    kept = results.predictions(again, tmp_path)
    assert kept.transfers["unipen_digits"].tolist() == [True, False, True]
