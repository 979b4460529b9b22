"""Count the numbers that a network computes with: the constants that meet the image, stored or made from others.

A file could store its weights packed, several in one number, and unpack them by arithmetic. So a value that is the same
for every image counts, as if it were stored, where it enters an operation whose result is not. The same are values
that are computed without the image, and those that a run of the network gives alike for several images: adding zero
times the image to a constant hides nothing.

It imports no metrics package, so that a sandbox can import it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from leaderboard import products
from zoo import stored_numbers

IMAGES = 3  # that are compared: one without ink, and random ones


@dataclass(frozen=True)
class Constant:
    """What `stored_numbers.count` reads of an initializer."""

    dims: tuple[int, ...]
    data_type: int  # of TensorProto


def count(path: Path | str) -> int:
    """Return how many numbers an ONNX file computes with; raise what ONNX Runtime raises if it cannot be run.

    For a network whose weights are stored as they are used, these are the numbers that are stored. A tensor of equal
    values is one number.
    """
    graph = onnx.load(path).graph
    constants = {tensor.name: Constant(tuple(tensor.dims), tensor.data_type) for tensor in graph.initializer}
    constants |= _computed(products.values(path, IMAGES), products.constants(graph))
    meeting = [node for node in graph.node if any(name not in constants for name in node.output if name)]
    met = {name for node in meeting for name in node.input}
    return stored_numbers.count(meeting, {name: constants[name] for name in met if name in constants})[0]


def _computed(runs: Sequence[Mapping[str, np.ndarray]], fixed: Collection[str]) -> dict[str, Constant]:
    """Return the values that need no image, `fixed`, and those that are the same in all runs."""
    first, *others = runs
    return {
        name: Constant(() if (value == value.flat[0]).all() else value.shape, _type(value))
        for name, value in first.items()
        if value.size and (name in fixed or all(_same(value, other[name]) for other in others))
    }


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two values are equal; what is not a number equals itself."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _type(value: np.ndarray) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(value.dtype))
