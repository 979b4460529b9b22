"""Count the parameters of an ONNX model: every stored number of any type, each once.

A number of eight bytes counts as two: two could be packed into it. Not counted are, within limits,

    scales and zero points      of quantization, as long as they are fewer than the quantized weights that they scale
    the structure of the graph  its nodes, what each reads, attributes, scalars and shapes (see `onnx_structure`), up to
                                1,000 bytes and a hundredth of the parameters; each byte beyond that counts

and there are never fewer parameters than bytes of the structure. A network could hide weights there otherwise.
"""

import math
from collections.abc import Iterable
from typing import Any

from leaderboard.submissions.checks import onnx_structure
from leaderboard.submissions.checks.onnx_tensors import FLOATS

FREE = 1000  # bytes of the structure
LONGEST_SHAPE = 16  # numbers, for example the two sides of a padding of eight axes
INT64 = 7  # TensorProto.DataType: the type of shapes
WIDE = (INT64, 11, 13)  # types of eight bytes: float64 and uint64 too
SCALES = {  # operator -> inputs that are scales and zero points
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "ConvInteger": (2, 3),
    "MatMulInteger": (2, 3),
}


def count(nodes: Iterable[Any], constants: dict[str, Any]) -> int:
    """Return the parameters of a graph.

    Args:
        nodes: NodeProto, those that the output depends on.
        constants: name -> TensorProto of every initializer that they use.
    """
    nodes = list(nodes)
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
    learned += max(0, scales_held - quantized)
    structure = onnx_structure.size(nodes, constants, described)
    return max(structure, learned + max(0, structure - FREE - learned // 100))
