"""What a runtime may run of somebody's network that does not check indices and axes itself, such as OpenVINO.

It reads and writes beyond a value where an operator takes an index or an axis from the file, or from an image. So only
operators run on it that have none, and those that take a part of a shape by stored numbers that are within it.
"""

from collections.abc import Mapping, Sequence

from zoo.strict import onnx_attributes, onnx_wire
from zoo.strict.onnx_costs import Shape

_PLAIN = (  # what they read and write follows from the shapes of their values, which are known
    "Abs Add AveragePool BatchNormalization Cast Clip Concat Conv DequantizeLinear Div Elu Erf Exp Flatten Gelu Gemm "
    "GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid Identity LeakyRelu MatMul Max MaxPool Min Mul "
    "Neg Pow QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceProd ReduceSum Relu Reshape Shape Sigmoid Sign "
    "Softmax Softplus Sqrt Squeeze Sub Tanh Transpose Unsqueeze"
)
PLAIN = frozenset(_PLAIN.split())


def wrong(nodes: Sequence[onnx_wire.Node], stored: Mapping[str, bytes], shapes: Mapping[str, Shape]) -> str | None:
    """Return which operator of a network such a runtime would have to be trusted with; None if there is none.

    Args:
        nodes: of the network.
        stored: its stored tensors, by name.
        shapes: of its values, by name.
    """
    of_shapes: set[str] = set()  # values that are parts of shapes
    for node in nodes:
        if node.op_type == "Shape" or (node.op_type == "Cast" and of_shapes.issuperset(node.input)):
            of_shapes.update(node.output)
        left_out = "" in node.input or (
            node.op_type == "Clip" and [shapes[name] for name in node.input[1:]] != [(), ()]
        )
        if left_out:  # what it would take instead is not looked up safely either
            return node.op_type
        if node.op_type in PLAIN:
            continue
        value, *places = node.input
        numbers = [onnx_attributes.whole_numbers(stored.get(name, b"")) for name in places]
        if value not in of_shapes or not all(numbers):
            return node.op_type
        within = min(numbers[0]) >= 0 and max(numbers[0]) < shapes[value][0]
        along = all(axes == [0] for axes in numbers[2:3])  # what is cut ends where the value does
        if not ((node.op_type == "Gather" and within) or (node.op_type == "Slice" and along)):
            return node.op_type
        of_shapes.update(node.output)
    return None
