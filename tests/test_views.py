"""Pages: what a network sees of them, and the training of a pretrained backbone on it."""

from dataclasses import replace

import numpy as np
import pytest

import zoo
from leaderboard.evaluation import evaluate
from zoo import data, registry, training
from zoo.backend import keras
from zoo.data import loading
from zoo.export import export
from zoo.pages.patches import Patches
from zoo.recipes import FineTuning
from zoo.serving.predictor import Predictor
from zoo.training import backbones, loop

VIEW = Patches(side=32, step=8, held_out_patches=2, even=3, random=4)


def page(seed: int, width: int = 90, height: int = 64) -> np.ndarray:
    """Dark waves on light paper, uint8 (height, width, 1): how long they are tells the writer."""
    x = np.arange(width)
    rows = np.sin(x / (1 + seed) + np.arange(height)[:, None] / 3)
    return (230 - 90 * (rows > 0.3)).astype(np.uint8)[..., None]


@pytest.fixture
def pages(monkeypatch):
    """`pages70` with two small pages to train on and four strips to read, in the place of the real one."""
    labels = np.arange(2)
    splits = {
        "train": data.Split((page(0), page(5)), labels, None, "t"),
        "test": data.Split(tuple(page(n, 70 + 5 * n, 32) for n in (0, 5, 0, 5)), labels[[0, 1, 0, 1]], None, "e"),
    }
    spec = replace(data.get("pages70"), labels=("01", "02"), view=VIEW)
    monkeypatch.setattr(loading, "DATASETS", {**data.DATASETS, "pages70": spec})
    monkeypatch.setattr(data, "load", lambda name, split: splits[split])


def test_a_page_is_read_by_patches_of_its_top_and_bottom():
    whole = page(3, 200, 100)
    seen = VIEW.views(whole)
    assert seen.shape == (2 * 7, 32, 32, 1)
    assert np.array_equal(seen, VIEW.views(whole[..., 0]))  # the same patches every time
    assert len(np.unique(seen.reshape(14, -1), axis=0)) > 8
    answers = np.float32([[0.9, 0.1]] * 7 + [[0.5, 0.5]] * 7)
    np.testing.assert_allclose(VIEW.pool(answers), [0.7, 0.3], atol=1e-6)


@pytest.mark.parametrize("size", [(10, 300), (300, 10), (20, 20), (32, 32)])
def test_a_small_page_is_enlarged(size):
    assert VIEW.views(np.full(size, 200, np.uint8)).shape == (14, 32, 32, 1)


def test_held_out_strips_do_not_train():
    marked = np.full((64, 90, 1), 250, np.uint8)
    marked[-4:] = 0  # only the last strip reaches down to here
    strips = VIEW.training_strips([marked])[0]
    patches, labels = VIEW.validation([marked], np.array([7]))
    assert min(strip.min() for strip in strips) > 100
    assert patches.min() < 100
    assert patches.shape == (4, 32, 32, 1)
    assert labels.tolist() == [7] * 4
    with pytest.raises(zoo.DataError, match="at least 48"):
        VIEW.training_strips([np.zeros((40, 90), np.uint8)])


@pytest.mark.slow
def test_two_phases_train_the_head_then_the_end_of_the_backbone(pages, tmp_path, monkeypatch):
    fresh = zoo.create_model("mobilenet_v2", VIEW.input_shape, 2)
    pretrained = backbones.of(fresh)
    pretrained.save_weights(tmp_path / "mobilenet_v2_imagenet_no_top.weights.h5")
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path))
    job = training.plan("mobilenet_v2", "pages70")
    second = FineTuning(layers=3, epochs=1, learning_rate=1e-3)
    short = replace(job.recipe, epochs=1, views=16, batch_size=8, fine_tuning=second)
    run = training.train(replace(job, recipe=short), tmp_path / "runs")
    assert [epoch["learning_rate"] for epoch in run.history["epochs"]] == pytest.approx([3e-3, 1e-3])
    assert run.history["backbone"]["source"] == "mobilenet_v2_imagenet_no_top.weights.h5"

    model = training.build(run.job)
    model.load_weights(run.weights)
    moved = {
        layer.name: any(not np.array_equal(a, b) for a, b in zip(layer.get_weights(), old.get_weights(), strict=True))
        for layer, old in zip(backbones.of(model).layers, pretrained.layers, strict=True)
    }
    assert {name for name, changed in moved.items() if changed} == {"Conv_1"}  # of the last three, what may learn

    folder = export(run, tmp_path / "export")
    predictor = Predictor.load(folder)
    answers = predictor(data.load("pages70", "test").images)
    assert answers.shape == (4, 2)
    by_keras = model.predict(VIEW.views(page(0, 70, 32)), verbose=0).mean(axis=0)
    np.testing.assert_allclose(answers[0], by_keras, atol=1e-4)
    with pytest.raises(zoo.ZooError, match="takes pages as uint8"):
        predictor([np.zeros((40, 40, 3), np.uint8)])
    evaluation, predictions = evaluate(folder)
    assert evaluation.corruptions == {}
    assert "robustness" not in evaluation.metrics
    assert predictions.images.shape[1:] == (60, 300)


@pytest.mark.slow
def test_statistics_of_patches_are_taken_in_batches_that_fit(pages, tmp_path, monkeypatch):
    """BatchNorm's statistics are re-estimated outside of the graph of training, where more memory is taken."""
    monkeypatch.setattr(loop, "EVALUATION_PIXELS", 10 * 32 * 32)
    computed, sizes = keras.layers.Dense.call, set()

    def call(self, inputs, training=None):
        sizes.add(inputs.shape[0])
        return computed(self, inputs, training)

    monkeypatch.setattr(keras.layers.Dense, "call", call)
    job = training.plan("efficientnet", "pages70")
    training.train(replace(job, recipe=replace(job.recipe, epochs=1, views=40, batch_size=4)), tmp_path)
    assert sizes == {None, 10}  # None: while the graph is built
    assert job.recipe.batch_size == data.get("pages70").batch_size == 32


def test_backbone_weights_that_do_not_fit_are_told_before_any_epoch(pages, tmp_path, monkeypatch):
    zoo.create_model("lenet5").save_weights(tmp_path / "mobilenet_v2_imagenet_no_top.weights.h5")
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path))
    with pytest.raises(zoo.ZooError, match="does not fit the backbone of mobilenet_v2"):
        training.train(training.plan("mobilenet_v2", "pages70"), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(zoo.ZooError, match="no layer named 'backbone'"):
        backbones.load(zoo.create_model("lenet5"), registry.get("lenet5"), "imagenet")
