"""Count the numbers that an ONNX file stores: the parameters of a network, trained here or sent, by one rule.

Every number of every constant counts once, whatever its type; one of eight bytes counts as two, since two could be
packed into it. Not counted are scalars, lists of at most `LONGEST_SHAPE` int64 numbers (the type of shapes), and the
scales and zero points of quantization as far as there is at most one for `PER_SCALE` quantized weights.

A size that a converter wrote as int32, to be cast later, counts like any other number: one to five numbers of some
networks here. An exception for what ends in a shape would have to hold against weights that take the same way.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LONGEST_SHAPE = 16  # numbers, for example the two sides of a padding of eight axes
PER_SCALE = 16  # quantized weights: a channel or a block has at least as many; a weight of its own needs no scale
FLOATS = (1, 10, 11, 16)  # TensorProto.DataType: float32, float16, float64, bfloat16
INT64 = 7  # the type of shapes
WIDE = (INT64, 11, 13)  # types of eight bytes: float64 and uint64 too
SCALES = {  # operator -> inputs that are scales and zero points
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "ConvInteger": (2, 3),
    "MatMulInteger": (2, 3),
}


def of_file(path: Path) -> int:
    """Return the parameters of an ONNX file."""
    import onnx

    graph = onnx.load(path).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {tensor.values.name: tensor.values for tensor in graph.sparse_initializer}
    constants |= {
        node.output[0]: _of_attribute(attribute)
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
    }
    return count(graph.node, constants)[0]


def _of_attribute(attribute: Any) -> Any:
    """Return sides and type of what a Constant holds, in whichever of its attributes."""
    lists = {"value_floats": (attribute.floats, FLOATS[0]), "value_ints": (attribute.ints, INT64)}
    if attribute.name in lists:
        numbers, kind = lists[attribute.name]
        return SimpleNamespace(dims=(len(numbers),), data_type=kind)
    return attribute.sparse_tensor.values if attribute.name == "sparse_value" else attribute.t


def count(nodes: Iterable[Any], constants: Mapping[str, Any]) -> tuple[int, set[str]]:
    """Return the parameters of a graph, and the names of the scalars and shapes, which do not count.

    Args:
        nodes: NodeProto, those that the output depends on.
        constants: name -> TensorProto of every constant that they use.
    """
    scaled: set[str] = set()  # constants used as a scale or a zero point
    dynamic: set[str] = set()  # scales that DynamicQuantizeLinear computes
    other: set[str] = set()  # constants used in any other way
    for node in nodes:
        if node.op_type == "DynamicQuantizeLinear":
            dynamic |= set(node.output[1:2])
        scales = SCALES.get(node.op_type, ())
        for place, name in enumerate(node.input):
            by_dynamic = node.op_type == "Mul" and any(one in dynamic for one in node.input)
            (scaled if place in scales or by_dynamic else other).add(name)
    learned = scales_held = quantized = 0
    described: set[str] = set()
    for name, tensor in constants.items():
        size = math.prod(tensor.dims) * (2 if tensor.data_type in WIDE else 1)
        if name in scaled - other:
            scales_held += size
        elif not tensor.dims or (
            tensor.data_type == INT64 and math.prod(tensor.dims) <= LONGEST_SHAPE and len(tensor.dims) == 1
        ):
            described.add(name)
        else:
            learned += size
            quantized += size if tensor.data_type not in FLOATS else 0
    return learned + max(0, scales_held - quantized // PER_SCALE), described
