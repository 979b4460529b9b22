"""Ensembles as one model that averages the probabilities of its members (Hansen and Salamon, 1990)."""

from collections.abc import Sequence

from zoo import registry
from zoo.backend import keras
from zoo.types import Shape


def build(members: Sequence[str], name: str, input_shape: Shape, num_classes: int) -> "keras.Model":
    """Return an ensemble of untrained members; its output is the mean of theirs."""
    inputs = keras.Input(input_shape, dtype="uint8")
    answers = []
    for number, member in enumerate(members):
        network = registry.create_model(member, input_shape, num_classes)
        network.name = f"{member}_{number}"
        answers.append(network(inputs))
    return keras.Model(inputs, keras.layers.Average(dtype="float32")(answers), name=name)
