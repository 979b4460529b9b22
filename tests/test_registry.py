"""Architectures, names and recipes: over everything that is registered."""

import functools
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import zoo
from zoo import data, registry, training
from zoo.backend import keras
from zoo.recipes import Recipe
from zoo.trainers import Ensemble, Stepwise

DOCUMENTED = {
    "lenet5": 61_706,
    "hdr_cnn": 242_954,
    "mnist_cnn": 421_642,
    "resco_mini": 606_282,
    "alexnet": 58_327_818,
}
TRAINABLE = {"hdr_cnn": 242_250, "resco_mini": 604_426}


def test_parameters_are_the_documents():
    for name, parameters in DOCUMENTED.items():
        assert zoo.create_model(name).count_params() == parameters
    for name, parameters in TRAINABLE.items():
        assert sum(np.prod(w.shape) for w in zoo.create_model(name).trainable_weights) == parameters
    assert zoo.create_model("ahcd_cnn", (32, 32, 1), 28).count_params() == 1_720_220
    assert zoo.create_model("mobilenet_v2", (300, 300, 1), 70).count_params() == 2_347_654
    assert zoo.create_model("rootsift_vlad", (2048, 128, 1), 70).count_params() == 1_864_704


# An ensemble is built of networks that stand here by themselves: of those with many members, one is always tested.
LARGE_ENSEMBLES = {
    name for name, known in registry.architectures().items()
    if isinstance(known.trainer, Ensemble) and len(known.trainer.members) > 3 and name != "mixed_x5"
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE_ENSEMBLES)) for name in zoo.list_architectures()],
)
def test_takes_any_sensible_shape(name):
    for shape, classes in (((32, 32, 1), 28), ((40, 64, 3), 2)):
        model = zoo.create_model(name, shape, classes)
        images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
        probabilities = keras.ops.convert_to_numpy(model(images))
        assert probabilities.shape == (2, classes)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_what_it_cannot_build_is_said_in_a_sentence():
    with pytest.raises(zoo.UnknownName, match="did you mean lenet5"):
        zoo.create_model("lenet")
    with pytest.raises(zoo.ZooError, match="hdr_cnn needs images of at least 18 x 18 pixels, not 8 x 8"):
        zoo.create_model("hdr_cnn", (8, 8, 1))
    with pytest.raises(zoo.ZooError, match="height, width, channels"):
        zoo.create_model("lenet5", (28, 28))
    with pytest.raises(zoo.ZooError, match="at least 2"):
        zoo.create_model("lenet5", num_classes=1)
    with pytest.raises(zoo.UnknownName, match="did you mean mnist"):
        training.plan("lenet5", "mnits")
    with pytest.raises(zoo.UnknownName, match="did you mean paper"):
        training.plan("lenet5", "mnist", "papers")


def test_a_second_architecture_of_the_same_name_is_refused():
    def lenet5(input_shape, num_classes):
        """Somebody else's."""

    with pytest.raises(zoo.ZooError, match="Two architectures are named"):
        registry.register()(lenet5)


def test_the_readmes_architecture_is_all_that_a_new_one_takes(monkeypatch):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "@register()" in block)
    monkeypatch.setattr(registry, "_ARCHITECTURES", {})
    exec(compile(example, "README.md", "exec"), {"__name__": "perceptron"})
    (added,) = registry._ARCHITECTURES.values()
    assert added.title == "Perceptron (Rosenblatt, 1958): one hidden layer"
    assert added.build((28, 28, 1), 10).count_params() == 784 * 64 + 64 + 64 * 10 + 10


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lenet5.mnist", ("lenet5", "mnist", "zoo", None)),
        ("resco_mini.ahdd-paper", ("resco_mini", "ahdd", "paper", None)),
        ("resco_mini.ahdd@3f2a1b", ("resco_mini", "ahdd", "zoo", "3f2a1b")),
    ],
)
def test_names_read_back(text, parts):
    name = registry.ModelName.parse(text)
    assert (name.architecture, name.dataset, name.recipe, name.revision) == parts
    assert str(name) == text


@pytest.mark.parametrize("text", ["lenet5", "../etc/passwd", "a.b.c", "lenet5.mnist@", ""])
def test_what_is_no_name(text):
    with pytest.raises(zoo.ZooError, match="expected architecture"):
        registry.ModelName.parse(text)


@pytest.mark.parametrize("name", ["lenet5", "ahcd_cnn"])
def test_a_network_is_trained_without_damage_where_it_has_no_room_for_it(name):
    letters, digits = (training.plan(name, dataset).recipe for dataset in ("ahcd", "ahdd"))
    assert digits.augmentation.damage
    assert not letters.augmentation.damage
    assert letters.augmentation.rotation == data.get("ahcd").augmentation.rotation
    assert letters.outliers == digits.outliers > 0


def test_every_recipe_survives_json_and_every_pair_has_its_dataset():
    for architecture in registry.architectures().values():
        for dataset in architecture.datasets:
            assert dataset in data.DATASETS
            recipe = training.plan(architecture.name, dataset).recipe
            assert recipe.augmentation is not None or not isinstance(architecture.trainer, Stepwise)
            assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    with pytest.raises(ValueError, match="epoch_count"):
        Recipe.from_dict({"name": "x", "epoch_count": 3})


@functools.cache
def portable() -> list[str]:
    """Return networks that have every layer of the zoo between them, few enough to be built on every backend.

    What is left out takes minutes (made for accelerators, or a network of Keras' own) or is not trained by steps.
    """
    kinds = {
        known.name: {
            type(layer) for layer in zoo.create_model(known.name, (max(28, known.minimum_size),) * 2 + (1,)).layers
        }
        for known in registry.architectures().values()
        if not (known.for_accelerators or known.backbone) and isinstance(known.trainer, Stepwise)
    }
    names: list[str] = []
    missing = set().union(*kinds.values())
    while missing:
        names.append(min(kinds, key=lambda name: (-len(kinds[name] & missing), name)))
        missing -= kinds[names[-1]]
    return names


BACKEND_PROBE = """
import json, sys
import numpy as np
import zoo
from zoo import registry
from zoo.backend import keras

results = {"backend": keras.backend.backend()}
rng = np.random.default_rng(0)
targets = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 16)]
for name in NAMES:
    shape = (max(28, registry.get(name).minimum_size),) * 2 + (1,)
    images = rng.integers(0, 256, (16, *shape), np.uint8)
    model = zoo.create_model(name, shape)
    model.set_weights([rng.uniform(0.01, 0.05, w.shape) * rng.choice([-1, 1], w.shape) if w.ndim > 1 else
                       np.full(w.shape, 0.5) for w in model.get_weights()])
    outputs = keras.ops.convert_to_numpy(model(images)).tolist()
    results[name] = {"outputs": outputs}
    if results["backend"] == "tensorflow":  # every other test trains on it
        continue
    model.compile("adam", "categorical_crossentropy")
    before = model.get_weights()
    loss = float(model.train_on_batch(images, targets))
    results[name] |= {"loss": loss, "moved": max(float(abs(a - b).max()) for a, b in zip(before, model.get_weights()))}
print(json.dumps(results))
"""


def probe_backend(backend: str) -> dict:
    """Build the portable networks under a backend in a fresh process, and take a training step with it."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BACKEND_PROBE.replace("NAMES", repr(portable()))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "package"), [("jax", "jax"), ("torch", "torch")])
def test_backends_agree(backend, package):
    pytest.importorskip(package)
    other, tensorflow = probe_backend(backend), probe_backend("tensorflow")
    assert other["backend"] == backend
    for name in portable():
        np.testing.assert_allclose(other[name]["outputs"], tensorflow[name]["outputs"], atol=1e-4)
        assert np.isfinite(other[name]["loss"])
        assert other[name]["moved"] > 1e-4


def test_seeds_and_members_are_fixed_before_training():
    """To change one of these after the test set was read is a choice on the test set: disclose it then.

    See `leaderboard/disclosures.json`.
    """
    known = registry.architectures()
    five = {"glyphnet_2k", "glyphnet_300k", "lenet5"}  # the 2k by a later choice, which is disclosed
    combined = {name: one.trainer.members for name, one in known.items() if isinstance(one.trainer, Ensemble)}
    assert {name: one.seeds for name, one in known.items()} == {
        name: 5 if name in five else 1 if name in combined else 3 for name in known
    }
    one, three, hundred = "glyphnet_1m", "glyphnet_300k", "glyphnet_100k"
    assert combined == {
        "glyphnet_100k_x3": (hundred,) * 3,
        "glyphnet_300k_x5": (three,) * 5,
        "glyphnet_1m_x3_300k_x5": (one,) * 3 + (three,) * 5,
        "mixed_x5": ("resco_mini", one, three, "hdr_cnn", "ahcd_cnn"),
    }
