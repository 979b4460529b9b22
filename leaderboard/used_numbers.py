"""Count the numbers that a network computes with: the constants that meet the image, stored or made from others.

A file could store its weights packed, several in one number, and unpack them by arithmetic. So a value that is the same
for every image counts, as if it were stored, where it enters an operation whose result is not. The same are values
that are computed without the image, and those that a run of the network gives alike for several images: adding zero
times the image to a constant hides nothing. Some of the images are drawn in secret from those that are measured, so
that a network cannot be blind to them and read the others.

A stored scalar or short list is free (`stored_numbers`), because its bytes count with the structure of the graph.
Nobody counts the bytes of what is computed, so a computed scalar or list counts like a weight. Two kinds are free, if
they are made of nothing but free numbers and the shapes of other values, as the batch size of a Reshape is: numbers
that are only moved, and results of arithmetic as long as they are not many more than the different numbers that they
are made of. Stored whole numbers that count by their type may be moved into shapes, too.

It imports no metrics package, so that a sandbox can import it.
"""

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from leaderboard import products
from zoo import stored_numbers

FEW = 32  # results that are free beyond that: attention computes some sizes again in each layer
IMAGES = 3  # that are compared: one without ink, and random ones
OF_SHAPES = ("Shape", "Size")
KEEPING = ("Cast", "DequantizeLinear", "Identity", "Transpose")  # operators whose output has the sides of their input
_MOVING = (
    "Cast Concat ConstantOfShape Expand Flatten Gather GatherElements GatherND Identity Reshape Slice Split "
    "Squeeze Tile Transpose Unsqueeze"
)
MOVING = frozenset(_MOVING.split())  # operators without arithmetic
WHOLE = (6, 7)  # TensorProto.DataType: int32, int64
SHAPING = {  # operator -> inputs that say where numbers go and change none; of all that reduce: the axes
    "CumSum": (1,), "Expand": (1,), "Pad": (1, 3), "Reshape": (1,), "Resize": (3,), "Slice": (1, 2, 3, 4),
    "Split": (1,), "Squeeze": (1,), "Tile": (1,), "TopK": (1,), "Unsqueeze": (1,),
}  # fmt: skip


@dataclass(frozen=True)
class Constant:
    """What `stored_numbers.count` reads of an initializer."""

    dims: tuple[int, ...]
    data_type: int  # of TensorProto


def count(path: Path | str, seen: Iterable[np.ndarray] = ()) -> int:
    """Return how many numbers an ONNX file computes with; raise what ONNX Runtime raises if it cannot be run.

    For a network whose weights are stored as they are used, these are the numbers that are stored. A tensor of equal
    values is one number.

    Args:
        path: the file.
        seen: images that are compared as well, uint8 (height, width, channels).
    """
    graph = onnx.load(path).graph
    stored = {tensor.name: Constant(tuple(tensor.dims), tensor.data_type) for tensor in graph.initializer}
    runs = products.values(path, IMAGES, seen)
    first = next(runs)
    computed = _computed(first, runs, products.constants(graph))
    constants = stored | computed
    meeting = [node for node in graph.node if any(name not in constants for name in node.output if name)]
    met = {name for node in meeting for name in node.input}
    weighing = {name for node in meeting for place, name in enumerate(node.input) if place not in _shaping(node)}
    made_from, typed, results = _made_of_free(graph, constants, first)
    used, free = {name: stored[name] for name in met if name in stored}, []
    for name in met & set(computed):
        if _is_free(computed[name]) and name in made_from and not (name in typed and name in weighing):
            free.append(name)
        else:
            used[name] = _as_weight(computed[name])
    made = results & _reached(free, made_from, results)
    origins = {one for one in _reached(made, made_from) if not isinstance(one, str)}
    more = sum(math.prod(computed[str(name)].dims) for name in made) - len(origins)
    return stored_numbers.count(meeting, used)[0] + max(0, more - FEW)


def _is_free(constant: Constant | onnx.TensorProto) -> bool:
    """Whether a constant would not count if it were stored."""
    return bool(stored_numbers.count([], {"": constant})[1])


def _as_weight(constant: Constant) -> Constant:
    """Return a constant of as many numbers that is no scalar and no list, so that it counts."""
    return Constant((1, 1, *constant.dims), constant.data_type)


def _shaping(node: onnx.NodeProto) -> tuple[int, ...]:
    """Return the inputs of a node that change no number."""
    return (1,) if node.op_type.startswith("Reduce") else SHAPING.get(node.op_type, ())


def _made_of_free(
    graph: onnx.GraphProto, constants: Mapping[str, Constant], values: Mapping[str, np.ndarray]
) -> tuple[dict[str, list[Hashable]], set[str], set[str]]:
    """Follow the constants that are made of nothing but free numbers and shapes.

    Returns:
        What each is made from, by name: names of others, or origins. These are the bytes of a number, stored or of a
        shape, and one for each ConstantOfShape.
        Names of those with short lists in them whose whole numbers count by their type; they are only moved.
        Names of the results of arithmetic.
    """
    made_from: dict[str, list[Hashable]] = {}
    typed: set[str] = set()
    results: set[str] = set()
    sized = {tensor.name for tensor in graph.initializer}  # constants whose sides are stored
    for tensor in graph.initializer:
        if _is_free(tensor):
            made_from[tensor.name] = [number.tobytes() for number in onnx.numpy_helper.to_array(tensor).ravel()]
        elif tensor.data_type in WHOLE and math.prod(tensor.dims) <= stored_numbers.LONGEST_SHAPE:
            made_from[tensor.name] = []
            typed.add(tensor.name)
    for node in graph.node:
        made, read, moves = set(filter(None, node.output)), list(filter(None, node.input)), node.op_type in MOVING
        if not made <= constants.keys():
            continue
        if node.op_type in KEEPING and read[0] in sized:
            sized |= made
        if node.op_type in OF_SHAPES and (read[0] in sized or read[0] not in constants):
            made_from |= {name: [number.tobytes() for number in values[name].ravel()] for name in made}
        elif read and all(name in made_from for name in read) and (moves or not typed & set(read)):
            own = [tuple(made)] if node.op_type == "ConstantOfShape" else []
            made_from |= {name: [*read, *own] for name in made}
            typed |= made if typed & set(read) else set()
            results |= set() if moves else made
    return made_from, typed, results


def _reached(
    names: Iterable[Hashable], made_from: Mapping[str, Sequence[Hashable]], ends: Collection[Hashable] = ()
) -> set[Hashable]:
    """Return all that names are made from, themselves included, up to those where it ends."""
    left, seen = list(names), set()
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left += made_from.get(one, ()) if isinstance(one, str) and one not in ends else ()
    return seen


def _computed(
    first: Mapping[str, np.ndarray], others: Iterable[Mapping[str, np.ndarray]], fixed: Collection[str]
) -> dict[str, Constant]:
    """Return the values that need no image, `fixed`, and those that are the same in all runs."""
    alike = {name for name, value in first.items() if value.size}
    for other in others:
        alike = {name for name in alike if name in fixed or _same(first[name], other[name])}
    return {
        name: Constant(() if (value == value.flat[0]).all() else value.shape, _type(value))
        for name, value in first.items()
        if name in alike
    }


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two values are equal; what is not a number equals itself."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _type(value: np.ndarray) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(value.dtype))
