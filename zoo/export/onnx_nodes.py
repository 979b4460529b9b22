"""An ONNX graph while it is written: its nodes, its constants, and the order of the axes of its values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.backend import keras


@dataclass(frozen=True)
class Value:
    """What a tensor of the network is called in the graph.

    name: of the value.
    shape: of the tensor as Keras has it, (batch, ..., channels).
    channels_first: whether the graph holds it as (batch, channels, ...), as its convolutions want it.
    """

    name: str
    shape: tuple[int | None, ...]
    channels_first: bool = False

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)


@dataclass
class Graph:
    """The nodes and constants that are written so far."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Append a node and return the name of its first output."""
        import onnx

        name = f"{kind}_{len(self.nodes)}"
        made = [name, *(f"{name}:{number}" for number in range(1, outputs))]
        self.nodes.append(onnx.helper.make_node(kind, inputs, made, name, **attributes))
        return name

    def constant(self, values: Any, name: str = "constant", dtype: Any = np.float32) -> str:
        """Return the name of a constant; the same values under one name are stored once."""
        array, number, free = np.asarray(values, dtype), 0, name
        while free in self.constants:
            there = self.constants[free]
            if there.dtype == array.dtype and there.shape == array.shape and np.array_equal(there, array):
                return free
            number += 1
            free = f"{name}_{number}"
        self.constants[free] = array
        return free

    def weight(self, variable: "keras.Variable", order: Sequence[int] = (), shape: Sequence[int] = ()) -> str:
        """Return the name of a constant that holds a weight, its axes in that order, in that shape."""
        values = np.asarray(keras.ops.convert_to_numpy(variable), np.float32)
        values = values.transpose(order) if order else values
        return self.constant(values.reshape(shape) if shape else values, variable.path)

    def last(self, value: Value) -> str:
        """Return the name of a value with its axes in Keras' order."""
        if not value.channels_first:
            return value.name
        return self.op("Transpose", value.name, perm=[0, *range(2, value.rank), 1])

    def first(self, value: Value) -> str:
        """Return the name of a value with its channels first."""
        if value.channels_first or value.rank < 3:
            return value.name
        return self.op("Transpose", value.name, perm=[0, value.rank - 1, *range(1, value.rank - 1)])

    def reshaped(self, name: str, shape: Sequence[int | None]) -> str:
        """Return the name of a value in another shape; None is the axis that is as long as it has to be."""
        sizes = [-1 if size is None else size for size in shape]
        return self.op("Reshape", name, self.constant(sizes, "shape", np.int64))
