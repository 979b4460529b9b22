"""What our own networks need apart from layers: folding, ensembles, teachers, and seeds trained in one program."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

import zoo
from leaderboard.jobs import task_of, waves
from zoo import data, registry, training
from zoo.architectures import _ensemble
from zoo.backend import batches, fused_batch_normalization, keras
from zoo.export import export, export_onnx
from zoo.recipes import Augmentation, Distillation, Recipe
from zoo.serving import opening
from zoo.serving.predictor import Predictor
from zoo.trainers import Ensemble
from zoo.training import many_seeds
from zoo.training.batch_norm_folding import folded

RECIPE = Recipe("zoo", epochs=2, batch_size=32, learning_rate=3e-3)


def with_random_weights(model):
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1, w.shape) * rng.choice([-1, 1], w.shape[-1:]) ** (w.ndim > 1) for w in
                       model.get_weights()])  # fmt: skip
    return model


def test_a_folded_network_is_the_same_function_without_what_it_could_fold():
    layers = keras.layers
    inputs = x = keras.Input((12, 12, 3))
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))  # folds
    x = layers.BatchNormalization(scale=False)(layers.Conv2D(5, 3, use_bias=False)(x))  # folds
    x = layers.BatchNormalization(center=False)(layers.Conv2D(5, 3, activation="relu")(x))  # is not linear: stays
    y = layers.Conv2D(4, 1)(x)
    x = layers.Add()([y, layers.BatchNormalization()(y)])  # what it follows is read by others too: stays
    x = layers.BatchNormalization()(layers.Dense(7)(layers.Flatten()(x)))  # folds
    outer = keras.Input((12, 12, 3))
    model = with_random_weights(keras.Model(outer, keras.layers.Softmax()(keras.Model(inputs, x, name="inner")(outer))))
    whole = folded(model)
    copy = whole.get_layer("inner")
    left = [layer for layer in copy.layers if isinstance(layer, layers.BatchNormalization)]
    assert len(left) == 2
    images = np.random.default_rng(1).normal(size=(4, 12, 12, 3)).astype(np.float32)
    expected = np.array(model.get_layer("inner")(images))
    np.testing.assert_allclose(np.array(copy(images)), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(np.array(whole(images)), np.array(model(images)), atol=1e-3)


@pytest.mark.slow
def test_a_network_is_published_folded_and_others_start_from_that(tmp_path):
    recipe = replace(RECIPE, epochs=8, learning_rate=1e-2, weight_average=0.9, keep="last")
    job = training.Job("glyphnet_700", "optdigits", recipe, seed=0)
    run = training.train(job, tmp_path / "runs")
    folder = export(run, tmp_path / "export")
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["parameters"] == zoo.load_model(folder).count_params() == 690
    assert metadata["parameters_as_trained"] == training.build(job).count_params() > 690
    trained = training.build(job)
    trained.load_weights(run.weights)
    images = data.load("optdigits", "test").images[:50]
    calibrated = trained.predict(images, verbose=0) ** (1 / metadata["temperature"])
    calibrated /= calibrated.sum(axis=1, keepdims=True)
    predictor = Predictor.load(folder)
    np.testing.assert_allclose(predictor(images), calibrated, atol=1e-4)
    confidence = predictor(data.load("optdigits", "validation").images).max(axis=1)
    assert (confidence < predictor.accepts).mean() == pytest.approx(0.01, abs=0.007)
    started = training.train(
        replace(job, recipe=replace(recipe, name="finetune", epochs=1), start=str(folder)), tmp_path / "runs"
    )
    assert started.history["start"]["head"] == "kept"
    assert started.history["epochs"][0]["loss"] < run.history["epochs"][0]["loss"]


def test_every_glyphnet_keeps_within_its_name():
    limits = {"700": 700, "2k": 2000, "5k": 5000, "10k": 10_000, "15k": 15_000}
    for name, limit in {**limits, "100k": 100_000, "300k": 300_000, "1m": 1_000_000}.items():
        assert 0.85 * limit < folded(zoo.create_model(f"glyphnet_{name}")).count_params() <= limit
    assert folded(zoo.create_model("glyphnet_100k", (32, 32, 1), 28)).count_params() <= 100_000


@pytest.mark.parametrize(
    "name", [pytest.param("vit", marks=pytest.mark.slow), "efficientnet", "glyphnet_2k"]
)  # of layers that no other network here has
def test_onnx_answers_as_keras_does(name, tmp_path):
    model = zoo.create_model(name)
    export_onnx(model, tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    answers = opening.load(tmp_path / "model.onnx")(images)
    np.testing.assert_allclose(answers, np.array(model(images)), atol=1e-5)


@pytest.mark.parametrize(("policy", "loose"), [("float32", 1), ("mixed_bfloat16", 100)])  # 8 bits of 24
def test_fused_batch_normalization_takes_the_same_steps(policy, loose):
    rng = np.random.default_rng(0)
    images, targets = rng.integers(0, 256, (32, 8, 8, 1), np.uint8), np.eye(10)[rng.integers(0, 10, 32)]

    def after_two_steps():
        keras.utils.set_random_seed(0)
        job = training.Job("glyphnet_5k", "optdigits", replace(RECIPE, precision=policy), seed=0)
        model = training.build(job)
        model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", jit_compile=False)
        losses = [float(model.train_on_batch(images, targets)) for _ in range(2)]
        return losses, model.get_weights()

    composed = keras.layers.BatchNormalization.call
    losses, weights = after_two_steps()
    with fused_batch_normalization():
        assert keras.layers.BatchNormalization.call is not composed
        fused_losses, fused_weights = after_two_steps()
    assert keras.layers.BatchNormalization.call is composed
    np.testing.assert_allclose(fused_losses, losses, rtol=1e-4 * loose)
    for one, other in zip(fused_weights, weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3 * loose)


@pytest.fixture
def small_zoo(monkeypatch):
    """Let the registry hold a small network and an ensemble of two of it, and nothing else."""

    def small(input_shape, num_classes):
        """One layer."""
        inputs = keras.Input(input_shape, dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        return keras.Model(inputs, keras.layers.Dense(num_classes, activation="softmax")(x), name="small")

    def pair(input_shape, num_classes):
        """Two of them."""
        return _ensemble.build(("small", "small"), "pair", input_shape, num_classes)

    monkeypatch.setattr(registry, "_ARCHITECTURES", {})
    registry.register(zoo=RECIPE)(small)
    registry.register(trainer=Ensemble(("small", "small")))(pair)
    known = dict(registry._ARCHITECTURES)
    monkeypatch.setattr(registry, "architectures", lambda: known)


def test_a_vote_is_the_mean_of_networks_of_seeds_of_their_own(small_zoo, tmp_path):
    with pytest.raises(zoo.ZooError, match="pair is not trained step by step"):
        training.train(replace(training.plan("pair", "optdigits"), start="lenet5.mnist"), tmp_path)
    run = training.train(training.plan("pair", "optdigits", seed=1), tmp_path)
    assert [(member["model"], member["seed"]) for member in run.history["members"]] == [
        ("small.optdigits", 2), ("small.optdigits", 3)
    ]  # fmt: skip
    images = data.load("optdigits", "test").images[:20]
    answers = []
    for seed in (2, 3):
        job = training.plan("small", "optdigits", seed=seed)
        member = training.build(job)
        member.load_weights(training.read_run(job, tmp_path).weights)
        answers.append(np.array(member(images)))
    folder = export(run, tmp_path / "export")
    temperature = json.loads((folder / "metadata.json").read_text())["temperature"]  # one for all members
    calibrated = np.stack(answers) ** (1 / temperature)
    expected = (calibrated / calibrated.sum(axis=2, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(Predictor.load(folder)(images), expected, atol=1e-3)
    assert run.history["training_seconds"] > 0


@pytest.mark.slow
def test_a_teacher_is_trained_first_and_answers_the_images_that_its_student_sees(small_zoo, tmp_path, monkeypatch):
    lessons = []
    monkeypatch.setattr(
        "zoo.training.loop.batches",
        lambda images, targets, size: lessons.append((images, targets)) or batches(images, targets, size),
    )
    distillation = Distillation("pair", share=0.5, temperature=2)
    recipe = replace(RECIPE, name="taught", distillation=distillation, augmentation=Augmentation(rotation=30))
    run = training.train(training.Job("small", "optdigits", recipe, seed=0), tmp_path)
    teacher = training.read_run(training.plan("pair", "optdigits"), tmp_path)
    model = training.build(teacher.job)
    model.load_weights(teacher.weights)
    images, targets = max(lessons[-4:], key=lambda lesson: len(lesson[0]))  # of the last epoch, not of its validation
    answers = np.sqrt(np.array(model(images)))
    labels = np.eye(10)[(targets - 0.5 * answers / answers.sum(axis=1, keepdims=True)).argmax(axis=1)]
    np.testing.assert_allclose(targets, 0.5 * labels + 0.5 * answers / answers.sum(axis=1, keepdims=True), atol=1e-5)
    assert not any(np.array_equal(images[0], image) for image in data.load("optdigits", "train").images)
    assert Recipe.from_dict(json.loads((run.folder / "config.json").read_text())["recipe"]) == recipe


SEEDS_SIDE_BY_SIDE = """
import json, sys
from dataclasses import replace
from pathlib import Path
import jax
import numpy as np
from zoo import training
from zoo.recipes import Augmentation
from zoo.training import many_seeds, samples
from zoo.training.augmentation import Draws
from zoo.training.device_augmentation import augmented, prepared
from zoo.training.loop import Loop

root = Path(sys.argv[1])
job = training.plan("glyphnet_700", "optdigits", epochs=2)  # the first is augmented
quiet = replace(job.recipe.augmentation, damaged=0.6, pen=0.1, noise=0.0)  # its grain is another on a device
job = replace(job, recipe=replace(job.recipe, augmentation=quiet))
jobs = [replace(job, seed=seed) for seed in (0, 1)]
class Stopped(Exception): pass
def stop(share):
    raise Stopped
try:
    many_seeds.train(jobs, root / "together", stop)  # after the first epoch
except Stopped:
    pass
together = many_seeds.train(jobs, root / "together")
alone = training.train(jobs[1], root / "alone")

flat, noisy = np.full((500, 12, 12, 1), 128, np.uint8), Augmentation(damaged=1, noise=0.1)
rng = np.random.default_rng(0)
drawn = prepared(Draws.draw(500, (12, 12), noisy, rng), rng)
grain = np.where(drawn["hit"][:, 3], drawn["grain"], 0)
found = np.asarray(jax.jit(lambda images, drawn: augmented(images, drawn, noisy))(flat, drawn))
assert np.allclose(found.std(axis=(1, 2, 3)), grain, rtol=0.3, atol=0.5)

def sure():
    model = training.build(job)
    weights, bias = model.layers[-1].get_weights()
    bias[3] = 40  # the probability of the fourth class is rounded to 1
    model.layers[-1].set_weights([weights, bias])
    return model
unaugmented = replace(job, recipe=replace(job.recipe, augmentation=None, weight_average=None))
loop = Loop(unaugmented, sure, root / "sure", samples.of("optdigits", job.recipe), lambda share: None)
slopes = [epoch["loss"] for epoch in loop.run()["epochs"]]
print(json.dumps([*(run.history for run in (*together, alone)), slopes]))
"""


@pytest.mark.slow
def test_a_seed_ends_with_others_where_it_ends_alone(tmp_path, without):
    pytest.importorskip("jax")
    path = os.pathsep.join(map(str, (without("tensorflow", "tf2onnx"), ROOT)))  # Keras would import it, for 8 s
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": path, **cache}
    command = [sys.executable, "-c", SEEDS_SIDE_BY_SIDE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    another, one, alone, (first, last) = json.loads(done.stdout.splitlines()[-1])
    assert last < first - 5  # a network that is sure of a wrong answer still learns
    assert another["epochs"][0]["loss"] != one["epochs"][0]["loss"]
    assert len(another["epochs"]) == len(one["epochs"]) == len(alone["epochs"]) == 2
    for key in ("loss", "accuracy", "validation_loss", "learning_rate"):
        together, by_itself = ([epoch[key] for epoch in history["epochs"]] for history in (one, alone))
        np.testing.assert_allclose(together, by_itself, rtol=2e-2, atol=1e-4)


def test_what_cannot_be_trained_side_by_side_is_said():
    if keras.backend.backend() == "jax":
        pytest.skip("on JAX they can be trained side by side")
    with pytest.raises(zoo.ZooError, match="need KERAS_BACKEND=jax, not tensorflow"):
        many_seeds.check([training.plan("lenet5", "optdigits")])


def test_votes_wait_for_their_members_and_students_for_their_teachers(tmp_path):
    student = replace(RECIPE, name="taught", distillation=Distillation("glyphnet_100k_x3", share=0.5))
    jobs = [training.Job("lenet5", "optdigits", student, 0)]
    jobs += [training.plan(network, "optdigits") for network in ("glyphnet_100k_x3", "lenet5", "resco_mini")]
    found = waves([task_of(job, tmp_path) for job in jobs], jobs)
    assert [[task.name.split(".")[0] for task in wave] for wave in found] == [
        ["lenet5", "resco_mini"], ["glyphnet_100k_x3"], ["lenet5"]
    ]  # fmt: skip
