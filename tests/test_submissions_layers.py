"""The table of layers against Keras itself: shapes, parameters, settings, and that a clean copy is the same network."""

import json
from copy import deepcopy

import numpy as np
import pytest

from zoo import registry
from zoo.backend import keras
from zoo.strict import allowed_layers, keras_config, layer_costs
from zoo.strict.layer_settings import Misfit
from zoo.strict.problems import Refused
from zoo.trainers import Stepwise

SAME = {"padding": "same"}
CASES = {  # layer -> its arguments, and the shapes that it is given
    "Rescaling": ({"scale": 0.5}, [(8, 8, 3)]),
    "Flatten": ({}, [(4, 5, 3)]),
    "Reshape": ({"target_shape": (6, -1)}, [(4, 3, 2)]),
    "Permute": ({"dims": (2, 1)}, [(4, 3)]),
    "RepeatVector": ({"n": 3}, [(5,)]),
    "Dense": ({"units": 7}, [(4, 5)]),
    "Conv1D": ({"filters": 6, "kernel_size": 3, "strides": 2, "groups": 2}, [(9, 4)]),
    "Conv2D": ({"filters": 6, "kernel_size": (3, 2), "strides": 2, "groups": 2}, [(9, 8, 4)]),
    "Conv2DTranspose": ({"filters": 5, "kernel_size": 3, "strides": 2, **SAME}, [(4, 5, 3)]),
    "DepthwiseConv2D": ({"kernel_size": 3, "depth_multiplier": 2}, [(7, 6, 3)]),
    "SeparableConv2D": ({"filters": 5, "kernel_size": 3, "depth_multiplier": 2, **SAME}, [(7, 6, 3)]),
    "MaxPooling2D": ({"pool_size": 3, "strides": 2, **SAME}, [(8, 7, 2)]),
    "AveragePooling2D": ({"pool_size": 2}, [(8, 7, 2)]),
    "GlobalAveragePooling2D": ({"keepdims": True}, [(8, 7, 2)]),
    "GlobalMaxPooling2D": ({}, [(8, 7, 2)]),
    "GlobalAveragePooling1D": ({}, [(8, 7)]),
    "GlobalMaxPooling1D": ({}, [(8, 7)]),
    "BatchNormalization": ({"scale": False}, [(8, 7, 2)]),
    "LayerNormalization": ({}, [(8, 7)]),
    "GroupNormalization": ({"groups": 2}, [(8, 7, 4)]),
    "UnitNormalization": ({}, [(8,)]),
    "Activation": ({"activation": "gelu"}, [(8,)]),
    "ReLU": ({"max_value": 6.0}, [(8,)]),
    "LeakyReLU": ({}, [(8,)]),
    "ELU": ({}, [(8,)]),
    "PReLU": ({"shared_axes": [1, 2]}, [(8, 7, 2)]),
    "Softmax": ({}, [(8,)]),
    "Dropout": ({"rate": 0.1}, [(8,)]),
    "SpatialDropout1D": ({"rate": 0.1}, [(8, 2)]),
    "SpatialDropout2D": ({"rate": 0.1}, [(8, 7, 2)]),
    "GaussianDropout": ({"rate": 0.1}, [(8,)]),
    "GaussianNoise": ({"stddev": 0.1}, [(8,)]),
    "AlphaDropout": ({"rate": 0.1}, [(8,)]),
    "ActivityRegularization": ({"l1": 0.1}, [(8,)]),
    "ZeroPadding2D": ({"padding": ((1, 2), (0, 3))}, [(8, 7, 2)]),
    "Cropping2D": ({"cropping": ((1, 2), (0, 3))}, [(8, 7, 2)]),
    "UpSampling2D": ({"size": (2, 3)}, [(4, 5, 2)]),
    "Add": ({}, [(4, 5, 2), (4, 5, 2)]),
    "Subtract": ({}, [(4, 5, 2), (4, 5, 2)]),
    "Multiply": ({}, [(4, 5, 2), (1, 1, 2)]),
    "Average": ({}, [(4,), (4,), (4,)]),
    "Maximum": ({}, [(4,), (4,)]),
    "Minimum": ({}, [(4,), (4,)]),
    "Concatenate": ({"axis": -1}, [(4, 5, 2), (4, 5, 3)]),
    "LSTM": ({"units": 6, "return_sequences": True}, [(5, 4)]),
    "GRU": ({"units": 6}, [(5, 4)]),
    "SimpleRNN": ({"units": 6}, [(5, 4)]),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3, "value_dim": 5}, [(6, 8), (6, 8)]),
}


def test_every_layer_has_a_case():
    assert CASES.keys() == allowed_layers.LAYERS.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_as_keras_has_it(name):
    arguments, shapes = CASES[name]
    layer = getattr(keras.layers, name)(**arguments)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))["config"]
    assert config.keys() - allowed_layers.COMMON <= allowed_layers.LAYERS[name].settings
    inputs = [keras.Input(shape) for shape in shapes]
    output = layer(*inputs) if name == "MultiHeadAttention" else layer(inputs if len(inputs) > 1 else inputs[0])
    cost = allowed_layers.cost(name, config, shapes, name)
    assert cost.shape == output.shape[1:]
    assert cost.parameters == layer.count_params()


# A network that is fitted or put together from others cannot be trained by the board; of those that can, AlexNet takes
# minutes.
SUBMITTABLE = [
    name
    for name, known in registry.architectures().items()
    if known.minimum_size <= 28 and name != "alexnet" and isinstance(known.trainer, Stepwise)
]


@pytest.mark.parametrize("axis", [[1, 2], [-1, 1], [1, 2, 3]])
def test_inputs_are_joined_along_one_axis(axis):
    with pytest.raises(Misfit, match=f"it takes one axis, not {len(axis)}"):
        layer_costs.concatenate({"axis": axis}, [(4, 5, 2), (4, 5, 3)])


@pytest.mark.parametrize("name", SUBMITTABLE)
def test_every_network_of_the_zoo_could_be_submitted(name):
    """The clean copy of its configuration is the same network: as many parameters, and the same answers."""
    shape = (28, 28, 1)
    model = registry.create_model(name, shape, 10)
    report = keras_config.read_config(json.loads(model.to_json()))
    assert (report.input_shape, report.output.shape) == (shape, (10,))
    assert report.output.probabilities
    assert report.scaled
    assert report.parameters == model.count_params()
    copy = keras.saving.deserialize_keras_object(deepcopy(report.config))  # Keras takes it apart
    copy.set_weights(model.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    np.testing.assert_allclose(copy(images), model(images), atol=1e-6)
    fitted = keras.saving.deserialize_keras_object(keras_config.retarget(report.config, (32, 32, 1), 28))
    assert fitted.output_shape == (None, 28)


def test_a_model_of_models_with_shared_layers_and_float_inputs():
    inner = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(4)], name="inner")
    shared = keras.layers.Dense(4, name="shared")
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    a, b = inner(shared(x)), keras.layers.Dropout(0.1)(shared(x), training=False)
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Concatenate()([a, b]))
    model = keras.Model(inputs, outputs)
    report = keras_config.read_config(json.loads(model.to_json()))
    assert report.parameters == model.count_params()
    assert not report.scaled
    copy = keras.saving.deserialize_keras_object(deepcopy(report.config))  # Keras takes it apart
    assert copy.input.dtype == "uint8"  # raw pixels, whatever it was built for
    copy.set_weights(model.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    np.testing.assert_allclose(copy(images), model(images.astype(np.float32)), atol=1e-5)


def test_multiply_adds_are_those_of_the_board():
    report = keras_config.read_config(json.loads(registry.create_model("lenet5").to_json()))
    assert report.multiply_adds == 416_520


# What people send by accident, and the sentence that they get


def read(inputs, outputs) -> list[str]:
    """Return what is said of a functional model: nothing, or every problem."""
    try:
        keras_config.read_config(json.loads(keras.Model(inputs, outputs).to_json()))
    except Refused as error:
        return [str(problem) for problem in error.problems]
    return []


def head(x):
    return keras.layers.Dense(10, activation="softmax", name="head")(keras.layers.Flatten(name="flat")(x))


@pytest.mark.parametrize(
    ("between", "words"),
    [
        (lambda x: keras.layers.RandomRotation(0.1)(x), "augmentation"),
        (lambda x: keras.layers.RandomFlip()(x), "bare.set_weights"),
        (lambda x: keras.layers.GaussianNoise(0.1)(x), None),
        (lambda x: x / 255.0, "keras.layers.Rescaling(1 / 255)"),
        (lambda x: x * 0.5, "keras.layers.Rescaling(scale)"),
        (lambda x: keras.ops.relu(x), "keras.layers.ReLU()"),
        (lambda x: x + keras.layers.Conv2D(1, 3, padding="same")(x), "keras.layers.Add()([a, b])"),
        (lambda x: x - keras.layers.ReLU()(x), "keras.layers.Subtract()([a, b])"),
        (lambda x: keras.ops.reshape(x, (-1, 64)), "keras.layers.Reshape(shape)"),
        (lambda x: keras.layers.Conv2D(1, 3, dtype="mixed_float16")(x), "set_dtype_policy('float32')"),
        (lambda x: keras.layers.MaxPooling1D(2)(keras.layers.Reshape((8, 8))(x)), "Did you mean MaxPooling2D?"),
    ],
)
def test_an_accident_gets_its_replacement(between, words):
    inputs = keras.Input((8, 8, 1))
    problems = read(inputs, head(between(inputs)))
    if words is None:
        assert problems == []
    else:
        (problem,) = problems
        assert words in problem
        assert len(problem) < 300


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Rescaling([0.5] * 8),
        keras.layers.Rescaling(1.0, offset=[3] * 8),
        keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant([[0.5]])),
        keras.layers.ELU(alpha=[0.5] * 8),
    ],
)
def test_weights_in_settings_are_refused(layer):
    """They would count as no parameters, and a network that is trained from scratch would begin with them."""
    inputs = keras.Input((8, 8, 1))
    (problem,) = read(inputs, head(layer(inputs)))
    assert "not a plain setting" in problem


def test_all_problems_of_the_layers_are_told_at_once():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.RandomRotation(0.1)(inputs / 255.0)
    x = keras.layers.Conv2D(4, 3, dtype="mixed_float16")(x)
    problems = read(inputs, head(x + x))
    for word in ("augmentation", "Rescaling(1 / 255)", "float32", "Add()"):
        assert sum(word in problem for problem in problems) == 1
    assert len(problems) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dims": ["1", "2", "3"]}, "whole numbers"),
        ({"dims": [1, 1, 2]}, "every dimension"),
        ({"dims": None}, "whole numbers"),
    ],
)
def test_settings_of_another_type_are_misfits(change, words):
    with pytest.raises(Refused, match=words):
        allowed_layers.cost("Permute", change, [(4, 3, 2)], "It")
    with pytest.raises(Refused, match="at least one axis"):
        allowed_layers.cost("GroupNormalization", {}, [()], "It")
