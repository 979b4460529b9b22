"""The Keras model of a published folder, whoever wrote it.

Keras calls functions that a config.json names, also those that write files, and allocates what it asks for before it
looks at the weights. So Keras is given a clean copy of it, of known layers with settings that were checked one by one,
whose weights are as many as the file holds. A network of the zoo that has other layers is built from its own code.
"""

import json
import math
from pathlib import Path

from zoo import data, keras_weights, registry
from zoo.backend import keras
from zoo.errors import ZooError
from zoo.published import PublishedFolder, image_shape
from zoo.regular_files import MOST_JSON, read_bytes
from zoo.strict import hdf5, keras_config, untrusted_json
from zoo.strict.problems import Refused
from zoo.training.batch_norm_folding import folded
from zoo.training.job import input_shape
from zoo.types import Shape

MOST_CLASSES = 10_000  # of a network that is built from its own code


def load(folder: Path) -> "keras.Model":
    """Return the Keras model of a published folder, not compiled.

    Raises:
        Refused: its configuration has other layers or settings than those of `zoo.strict.allowed_layers`, and is no
            network of the zoo, or its weights are others than its configuration has.
        ZooError: a file is missing or broken.
    """
    with keras_weights.keras_folder(folder) as whole:
        path = PublishedFolder(whole).weights
        weights = read_bytes(path)
        document = untrusted_json.parse(read_bytes(folder / PublishedFolder.CONFIG, MOST_JSON), "config.json")
        try:
            report = keras_config.read_config(document)
        except Refused:
            if (model := _of_the_zoo(folder, weights)) is None:
                raise
        else:
            hdf5.check_parameters(weights, report.parameters)
            model = keras.saving.deserialize_keras_object(report.config)
        model.load_weights(path)
    return model


def built(architecture: str, shape: Shape, classes: int, weights: bytes) -> "keras.Model":
    """Return a network of the zoo with fresh weights, BatchNorm folded if the weights of a file are.

    Raises:
        Refused: the file has a structure that Keras does not write.
        ZooError: there is no such architecture, or it cannot take the shape.
    """
    numbers = sum(math.prod(weight.shape) for weight in hdf5.read_weights(weights) if weight.counts)
    if classes > MOST_CLASSES:
        raise ZooError(f"It has {classes:,} classes; the most is {MOST_CLASSES:,}.")
    model = registry.create_model(architecture, shape, classes)
    return model if numbers == model.count_params() else folded(model)  # some were published before all were folded


def _of_the_zoo(folder: Path, weights: bytes) -> "keras.Model | None":
    """Return a network with fresh weights if the zoo has its code, and its layers are none of those that are known."""
    published = PublishedFolder(folder)
    name, reading = published.metadata["architecture"], published.preprocessor
    known = registry.architectures().get(name)
    if known is None:
        return None
    spec = data.get(known.datasets[0])
    shape, classes = input_shape(name, spec), len(spec.labels)
    model = built(name, shape, classes, weights)
    try:
        keras_config.read_config(json.loads(json.dumps(keras.saving.serialize_keras_object(model))))
    except Refused:
        pass
    else:
        return None  # what the zoo exports of it can be read
    asked = image_shape(reading), len(reading["labels"])
    return model if asked == (shape, classes) else built(name, *asked, weights)
