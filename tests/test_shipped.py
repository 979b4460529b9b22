"""The networks that come with the repository: what they score on the real data is what their records say."""

import math

import numpy as np
import pytest
from conftest import ROOT, real_data

import zoo
from leaderboard import checking, other_seeds, report_store, results, writers
from leaderboard.evaluation import evaluate, revision
from leaderboard.submissions.checks import onnx_graph
from zoo import data, stored_numbers
from zoo.export import onnx_writer
from zoo.hub import resolve
from zoo.published import PublishedFolder
from zoo.serving import opening
from zoo.serving.predictor import Predictor
from zoo.settings import PRETRAINED

RECORDS = {result.model: result for result in results.read_all()}
DOCUMENTED = {
    "lenet5.ahdd": 0.9876,
    "resco_mini.ahdd": 0.9924,
    "hdr_cnn.mnist": 0.9954,
    "mnist_cnn.mnist": 0.9930,
    "ahcd_cnn.ahcd": 0.92,
}


def test_what_the_documents_promise_is_shipped():
    assert set(zoo.list_models()) >= {*DOCUMENTED, "lenet5.mnist"}


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(zoo.ZooError, match=r"'lenet5.mnits'.*did you mean lenet5\.mnist"):
        zoo.load_predictor("lenet5.mnits")


def test_weights_are_few_and_small():
    sizes = {path: path.stat().st_size for path in PRETRAINED.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 40e6
    assert max(sizes.values()) < 10e6
    assert max(size for path, size in sizes.items() if path.name == "keras_weights.npz") < 20e3  # no number twice
    assert not [path for path in sizes if path.name == "model.weights.h5"]  # the numbers of model.onnx once more


def test_published_rows_are_those_whose_weights_are_here():
    for model, record in RECORDS.items():
        folder = PublishedFolder(PRETRAINED / model)
        here = folder.onnx.exists() and revision(folder.path) == record.revision
        assert record.weights == (f"zoo/pretrained/{model}" if here else None), model
    assert {model for model, record in RECORDS.items() if record.published} == set(zoo.list_models())


def test_the_other_trainings_that_are_published_are_here():
    places = {}
    for model, record in RECORDS.items():
        for seed in record.seeds:
            if seed.weights is None:
                continue
            places[seed.weights] = folder = other_seeds.folder(record, seed.seed)
            assert seed.weights == f"leaderboard/seeds/{model}/{seed.seed}" == folder.relative_to(ROOT).as_posix()
            assert revision(folder) == seed.revision, model
            assert PublishedFolder(folder).metadata["seed"] == seed.seed != record.shipped_seed
            assert PublishedFolder(folder).metadata["parameters"] == seed.metrics["parameters"]
    there = {path.parent.relative_to(ROOT).as_posix() for path in other_seeds.KEPT.glob("*/*/model.onnx")}
    assert there == places.keys()


@pytest.mark.slow
@real_data
@pytest.mark.parametrize("model", sorted({path.parent.name for path in other_seeds.KEPT.glob("*/*")}))
def test_the_other_trainings_read_the_test_set_as_recorded(model):
    record = RECORDS[model]
    split = data.load(record.dataset, "test")
    for seed in record.seeds:
        if seed.weights is not None:
            right = Predictor.load(ROOT / seed.weights)(split.images).argmax(axis=1) == split.labels
            assert abs(right.mean() - seed.metrics["accuracy"]) <= 1 / len(right)


def test_parameters_are_what_the_files_store_by_the_rule_of_submissions():
    for model in zoo.list_models():
        folder, record = PublishedFolder(PRETRAINED / model), RECORDS[model]
        stored = stored_numbers.of_file(folder.onnx)
        assert stored == folder.metadata["parameters"] == record.shipped("parameters"), model
        assert folder.metadata["parameters_as_trained"] == record.parameters_as_trained >= stored - 6, model
        if stored < 100_000:
            assert onnx_graph.read_graph(folder.onnx.read_bytes()).parameters == stored, model


def test_the_writers_of_test_samples_are_known():
    for record in RECORDS.values():
        found = writers.of(record)
        assert found is not None, record.model
        assert len(found) == record.samples


@real_data
def test_the_writers_are_those_of_the_datasets():
    for name, found in writers.listed(("ahcd", "pages70", "unipen_letters")).items():
        record = next(record for record in RECORDS.values() if record.dataset == name)
        np.testing.assert_array_equal(writers.of(record), found)


def test_every_shipped_model_has_its_report():
    for model in zoo.list_models():
        report = report_store.read_report(RECORDS[model])
        assert report is not None, f"run python scripts/report.py {model}"
        assert zoo.load_predictor(model).threshold == report.threshold is not None
    assert sum(path.stat().st_size for path in results.RECORDS.glob("*/*.report.npz")) < 3e6  # the Space carries them


# A page takes a second, a larger network many: `scripts/measure.py --check` measures these on every sample.
LARGE = [model for model in zoo.list_models() if RECORDS[model].means["multiply_adds"] > 2e6]
SMALL = [model for model in zoo.list_models() if model not in LARGE]
# The least work of each dataset that is not put together from others: these are measured whole by `make test`, too.
LEAST = {
    RECORDS[model].dataset: model for model in sorted(SMALL, key=lambda model: -RECORDS[model].means["multiply_adds"])
}
WHOLE = [model for dataset, model in LEAST.items() if not data.get(dataset).parts]


def marked_slow(models, quick):
    return [pytest.param(model, marks=[] if model in quick else [pytest.mark.slow]) for model in models]


@real_data
@pytest.mark.parametrize("model", marked_slow([model for model in zoo.list_models() if model not in WHOLE], SMALL))
def test_every_tenth_sample_is_read_as_recorded(model):
    rows = slice(None, None, 20 if RECORDS[model].dataset == "pages70" else 10)
    images = data.load(RECORDS[model].dataset, "test").images[rows]
    kept = results.predictions(RECORDS[model])
    probabilities = zoo.load_predictor(model)(images)
    assert (probabilities.argmax(axis=1) != kept.predicted[rows]).sum() <= 1
    np.testing.assert_allclose(probabilities.max(axis=1), kept.confidence[rows], atol=5e-3)  # kept in half precision


@real_data
@pytest.mark.parametrize("model", marked_slow(SMALL, WHOLE))
def test_a_new_measurement_agrees_with_the_record(model):
    record = RECORDS[model]
    measured = evaluate(resolve(model), under_corruption=False)
    check = checking.compare(record, results.predictions(record), *measured)
    assert check.agrees, check.sentence
    assert "accuracy" in {score.name for score in check.scores}
    assert check.changed is not None


@real_data
@pytest.mark.parametrize("model", DOCUMENTED)
def test_no_worse_than_its_document(model):
    documented, samples = DOCUMENTED[model], RECORDS[model].samples
    interval = 1.96 * math.sqrt(documented * (1 - documented) / samples)
    assert RECORDS[model].shipped("accuracy") >= documented - interval


@pytest.mark.parametrize("model", zoo.list_models())
def test_keras_the_served_model_and_what_is_written_without_tensorflow_agree(model, tmp_path):
    predictor, network = zoo.load_predictor(model), zoo.load_model(model)
    count = 16 if predictor.view is None else 4  # what is seen of a page is large
    images = np.random.default_rng(0).integers(0, 256, (count, *predictor.input_shape), np.uint8)
    served = predictor.classify(images)
    np.testing.assert_allclose(network(images, training=False), served, atol=1e-5)
    onnx_writer.write(network, tmp_path / "model.onnx")
    np.testing.assert_allclose(opening.load(tmp_path / "model.onnx")(images), served, atol=1e-5)
    with pytest.raises(zoo.ZooError, match="takes uint8"):
        predictor.classify(images.astype(np.float32))
