"""Count the parameters of an ONNX model: every stored number, whatever its type, each once.

Not counted are numbers that describe rather than learn:

    scales and zero points      of quantization, as long as they are fewer than the quantized weights that they scale
    scalars and shapes          up to 100 and a tenth of the parameters; what is beyond that counts

Both have a limit, since a network could hide weights there otherwise.
"""

import math
from collections.abc import Iterable
from typing import Any

from leaderboard.submissions.checks.onnx_tensors import FLOATS

FREE = 100  # scalars and numbers of shapes
LONGEST_SHAPE = 16  # numbers, as the two sides of a padding of eight axes
INTEGERS = (2, 3, 4, 5, 6, 7, 12, 13)  # TensorProto.DataType: 8 to 64 bits
INT64 = 7  # the type of shapes
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
    scaled: set[str] = set()  # what is a scale or a zero point in any use
    dynamic: set[str] = set()  # scales that DynamicQuantizeLinear computes
    other: set[str] = set()  # what is used as anything else
    for node in nodes:
        if node.op_type == "DynamicQuantizeLinear":
            dynamic |= set(node.output[1:2])
        scales = SCALES.get(node.op_type, ())
        for place, name in enumerate(node.input):
            by_dynamic = node.op_type == "Mul" and any(one in dynamic for one in node.input)
            (scaled if place in scales or by_dynamic else other).add(name)
    learned = described = scales_held = quantized = 0
    for name, tensor in constants.items():
        size = math.prod(tensor.dims)
        if name in scaled - other:
            scales_held += size
        elif not tensor.dims or (tensor.data_type == INT64 and size <= LONGEST_SHAPE and len(tensor.dims) == 1):
            described += size
        else:
            learned += size
            quantized += size if tensor.data_type not in FLOATS else 0
    learned += max(0, scales_held - quantized)
    return learned + max(0, described - FREE - learned // 10)
