"""What the nodes of an ONNX graph cost, by the shapes of their values.

A node is a NodeProto, or anything else with `op_type`, `input`, `output` and `attribute`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

Shape = tuple[int, ...]
Shapes = list[Shape]
Cost = Callable[[Any, Shapes, Shape], int]
_OPERATORS = (
    "Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant Conv ConvTranspose "
    "Cos CumSum DepthToSpace Div Dropout Einsum Elu Equal Erf Exp Expand Flatten Floor GRU Gather GatherElements "
    "GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid "
    "HardSwish Identity InstanceNormalization LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax "
    "LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg Not Or PRelu Pad "
    "Pow QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger DynamicQuantizeLinear "
    "RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare Relu Reshape Resize Round Selu Shape Shrink Sigmoid Sign Sin Size Slice Softmax Softplus Softsign "
    "SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Unsqueeze Upsample "
    "Where Xor ConstantOfShape"
)
OPERATORS = frozenset(_OPERATORS.split())
BLOCK = 16  # channels that ONNX Runtime keeps together for convolutions
STEP = 2_000  # operations that a step of a recurrent layer takes as long as, whatever it multiplies
TAPS = {"LRN": 5, "Resize": 16, "Upsample": 4, "TopK": 20}  # values that each output takes; a window: its size


def cost(node: Any, shapes: Mapping[str, Shape]) -> int:
    """Return the multiply-adds of one product, for the shapes of its inputs and outputs by name."""
    inputs = [shapes.get(name, ()) for name in node.input]
    return PRODUCTS[node.op_type](node, inputs, shapes.get(node.output[0], ()))


def kept(shape: Shape) -> int:
    """Return how many numbers a value takes in memory: channels of images (n, channels, height, width) in blocks."""
    return math.prod(shape) // max(1, shape[1]) * -(-shape[1] // BLOCK) * BLOCK if len(shape) == 4 else math.prod(shape)


def has_another_shape(node: Any, shapes: Mapping[str, Shape], version: int) -> bool:
    """Return whether ONNX Runtime makes a value of another shape than it infers, one that may be much larger.

    It infers that the slope of PRelu is repeated for the values, and repeats the values for the slope, too; that
    Squeeze of no sides leaves all, and takes all; that windows which are padded alike have no other settings; that an
    output_shape is what is made, and that a policy of Resize changes no side; and that sides counted from the end are
    none before version 11, where Squeeze takes and Unsqueeze adds them.
    """
    if node.op_type == "PRelu":
        given, slope = shapes[node.input[0]], shapes[node.input[1]]
        padded = (1,) * (len(given) - len(slope)) + slope
        return len(padded) > len(given) or any(one not in (1, side) for one, side in zip(padded, given, strict=True))
    if _attribute(node, "auto_pad", b"NOTSET") not in (b"", b"NOTSET"):
        return bool(
            any(_attribute(node, "pads", ()))
            or _attribute(node, "ceil_mode", 0)
            or {*_attribute(node, "dilations", ())} - {1}
        )
    if _attribute(node, "output_shape", ()) or _attribute(node, "keep_aspect_ratio_policy", b"stretch") != b"stretch":
        return True
    if node.op_type == "Squeeze" and len(node.input) > 1 and shapes.get(node.input[1]) == (0,):
        return True
    return version < 11 and min(_attribute(node, "axes", ()), default=0) < 0


def _attribute(node: Any, name: str, default: Any) -> Any:
    """Return an attribute of a node, whichever field `default` is kept in."""
    field = {int: "i", bytes: "s", tuple: "ints"}[type(default)]
    return next((getattr(one, field) for one in node.attribute if one.name == name), default)


def _convolution(weights: int) -> Cost:
    """Each output sums over the weights (filters, channels a group, height, width) of its filter."""
    return lambda node, inputs, out: math.prod(out) * math.prod(inputs[weights][1:])


def _transposed(node: Any, inputs: Shapes, out: Shape) -> int:
    """Each input is multiplied with the weights (channels, filters a group, height, width) of its channel."""
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def _matrix_product(node: Any, inputs: Shapes, out: Shape) -> int:
    """Each output sums over the columns of the first matrix."""
    transposed = len(inputs[0]) > 1 and _attribute(node, "transA", 0)
    columns = inputs[0][-2 if transposed else -1]
    return math.prod(out) * columns


def _sum_of_products(node: Any, inputs: Shapes, out: Shape) -> int:
    """Einsum: one product for every combination of all indices and every operand but the first."""
    terms = _attribute(node, "equation", b"").decode().replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, inputs, strict=True):
        before, dots, after = term.partition("...")
        free = len(shape) - len(before) - len(after) if dots else 0
        names = [*before, *(f"...{place}" for place in range(free, 0, -1)), *after]  # broadcast from the right
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(sizes.get(name, 1), size)
    return math.prod(sizes.values()) * (len(terms) - 1)


def _recurrent(node: Any, inputs: Shapes, out: Shape) -> int:
    """Each step of each sample is multiplied with the input's and the state's weights of every direction."""
    return math.prod(inputs[0][:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]))


def _product_of_values(node: Any, inputs: Shapes, out: Shape) -> int:
    """Mul by a stored matrix: one product a value."""
    return math.prod(out)


def values(node: Any, shapes: Mapping[str, Shape], stored: set[str]) -> int:
    """Return how many values a node takes or makes, whichever are more."""
    taken = sum(math.prod(shapes[name]) for name in node.input if name and name not in stored)
    made = sum(math.prod(shapes[name]) for name in node.output if name)
    window: int = math.prod(_attribute(node, "kernel_shape", ()))
    if node.op_type in PRODUCTS:
        return made
    return max(taken, made * max(window, TAPS.get(node.op_type, 1)))


PRODUCTS: dict[str, Cost] = {
    "Conv": _convolution(1), "ConvInteger": _convolution(1), "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed,
    "Gemm": _matrix_product, "MatMul": _matrix_product, "MatMulInteger": _matrix_product,
    "QLinearMatMul": _matrix_product,
    "Einsum": _sum_of_products,
    "RNN": _recurrent, "GRU": _recurrent, "LSTM": _recurrent,
    "Mul": _product_of_values,
}  # fmt: skip


def of_node(node: Any, shapes: Mapping[str, Shape], stored: set[str]) -> tuple[int, int]:
    """Return the operations of a node, and the numbers that it keeps aside while it computes."""
    moved = values(node, shapes, stored)
    if node.op_type == "LRN":
        window = _attribute(node, "size", 1) + 1
        return moved * window, window * moved
    if node.op_type not in PRODUCTS or node.op_type == "Mul":
        return moved, 0
    products = cost(node, shapes)
    if node.op_type == "Einsum":
        return products + moved, products
    if node.op_type in ("RNN", "GRU", "LSTM"):  # the gates of all steps, also where no output has them
        weights, steps = shapes[node.input[1]], math.prod(shapes[node.input[0]][:2])
        return products + moved + steps * weights[0] * STEP, 2 * steps * math.prod(weights[:2]) + 8 * moved
    if "Conv" in node.op_type:  # the windows of an image side by side
        taken, made = shapes[node.input[0]], shapes[node.output[0]]
        sides = taken[:2] if node.op_type == "ConvTranspose" else made[:2]
        return products + moved, products // max(1, math.prod(sides))
    return products + moved, 0
