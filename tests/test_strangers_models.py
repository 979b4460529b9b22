"""Published folders of strangers: what their files make Keras and the runtimes do."""

import json
import shutil

import numpy as np
import pytest

import zoo
from zoo import data, files, registry
from zoo.backend import keras
from zoo.errors import ZooError
from zoo.keras_weights import CONSTANTS
from zoo.settings import PRETRAINED


@pytest.fixture
def published(tmp_path):
    """A published folder that may be spoiled."""
    return shutil.copytree(PRETRAINED / "lenet5.mnist", tmp_path / "model")


def changed(folder, change):
    """Change a folder's configuration for Keras."""
    path = folder / "config.json"
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))


def layer(name, **config):
    """Return a serialized layer of Keras."""
    return {
        "module": "keras.layers",
        "class_name": name,
        "config": {"name": "extra", **config},
        "registered_name": None,
    }


def function(module, name):
    """Return a serialized function of Keras."""
    return {"class_name": "function", "module": module, "config": name, "registered_name": name}


GALLERY = function("keras.visualization", "plot_image_gallery")
CALLING = {
    "Lambda": lambda path: layer("Lambda", function=GALLERY, arguments={"path": path}, output_shape=[28, 28, 1]),
    "nested": lambda path: {
        **layer("Sequential", layers=[layer("Lambda", function=GALLERY, arguments={"path": path})]),
        "module": "keras",
    },
    "activation": lambda path: layer("Activation", activation=GALLERY),
    "wrapped": lambda path: layer("TimeDistributed", layer=layer("Lambda", function=GALLERY)),
    "initializer": lambda path: layer("Dense", units=3, kernel_initializer=function("keras.utils", "save_img")),
    "vocabulary": lambda path: layer("StringLookup", vocabulary=path),
}


@pytest.mark.parametrize("how", CALLING)
def test_keras_calls_no_function_that_a_configuration_names(published, tmp_path, how, monkeypatch):
    """A Lambda of a registered function made a picture of any path, when the model was called."""
    layers = [layer("InputLayer", batch_shape=[None, 28, 28, 1], dtype="uint8"), CALLING[how](str(tmp_path / "a.png"))]
    config = {"name": "all", "layers": [*layers, layer("Flatten"), layer("Dense", units=10, activation="softmax")]}
    changed(
        published,
        lambda said: said.update(class_name="Sequential", module="keras", registered_name=None, config=config),
    )
    monkeypatch.setattr(keras.saving, "load_model", None)
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", None)
    with pytest.raises(ZooError, match=r"not a model that Keras can load here: (?i:.*(layer|configuration))"):
        zoo.load_model(published)


def test_how_a_model_is_to_be_compiled_is_nothing_that_a_folder_says(published):
    changed(
        published, lambda said: said.update(compile_config={"optimizer": "sgd", "loss": "mse", "run_eagerly": True})
    )
    assert not zoo.load_model(published).compiled


SIZES = {
    "Dense": layer("Dense", units=10**6),
    "Conv2D": layer("Conv2D", filters=10**6, kernel_size=[3, 3], strides=[9, 9]),
    "SeparableConv2D": layer("SeparableConv2D", filters=4, kernel_size=[3, 3], depth_multiplier=10**5, strides=[9, 9]),
    "PReLU": layer("PReLU"),
}


@pytest.mark.parametrize("kind", SIZES)
def test_a_layer_is_as_large_as_the_weights_that_the_file_holds(published, kind, monkeypatch):
    """9 kB that said Dense(units=1e6) took 2 GB, in proportion."""
    start = layer("InputLayer", batch_shape=[None, 28, 28, 1], dtype="uint8")
    config = {"name": "all", "layers": [start, SIZES[kind], layer("Flatten"), layer("Dense", units=10)]}
    for number, one in enumerate(config["layers"]):
        one["config"]["name"] = f"layer_{number}"
    changed(
        published,
        lambda said: said.update(class_name="Sequential", module="keras", registered_name=None, config=config),
    )
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", None)
    with pytest.raises(ZooError, match=r"parameters|output values"):
        zoo.load_model(published)


def test_weights_are_not_made_larger_than_arrays_may_be(published, monkeypatch):
    stored = published / "keras_weights.npz"
    places = json.loads(files.read_arrays(stored)[CONSTANTS].tobytes())
    one = max(places.values(), key=lambda place: np.prod(place[2]))
    text = json.dumps({f"layers/{n}": one for n in range(100)}).encode()
    np.savez(stored, **{CONSTANTS: np.frombuffer(text, np.uint8)})
    monkeypatch.setattr("zoo.keras_weights.MOST_ARRAYS", 1_000_000)
    with pytest.raises(ZooError, match="more than 1 MB"):
        zoo.load_model(published)


@pytest.mark.parametrize("architecture", ["ahcd_cnn", "lenet5", "hdr_cnn"])
def test_a_network_of_the_zoo_that_can_be_read_is_not_built_from_its_code(published, monkeypatch, architecture):
    """Else 1024 x 1024 pixels, which a folder may say, would be 7 GB of weights."""
    changed(published, lambda said: said["config"]["layers"].append(layer("Lambda")))
    for file, more in (
        ("metadata.json", {"architecture": architecture}),
        ("preprocessor_config.json", {"contract": {"height": 1024, "width": 1024}}),
    ):
        path = published / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    create, shapes = registry.create_model, []
    monkeypatch.setattr(registry, "create_model", lambda *asked: shapes.append(asked[1]) or create(*asked))
    with pytest.raises(ZooError, match="Lambda"):
        zoo.load_model(published)
    assert shapes == [data.get("mnist").image_shape]


def test_a_network_of_the_zoo_with_other_layers_loads_from_its_own_code(tmp_path):
    """Whatever its configuration says; AlexNet resizes, networks of descriptors compute."""
    folder = shutil.copytree(PRETRAINED / "rootsift_vlad.pages70", tmp_path / "model")
    model = zoo.load_model(folder)
    assert model.count_params() == json.loads((folder / "metadata.json").read_text())["parameters_as_trained"]
