"""An ONNX model, read as data: standard operators only, nothing from other files, nothing that loops or allocates.

The file is parsed as the protocol buffer that it is, which runs nothing; no shape is inferred and no graph optimised
here: that is the sandbox's business.
"""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard.submissions.checks.problems import Refused, short

DOMAINS = ("", "ai.onnx")
IMPORTED = (*DOMAINS, "ai.onnx.ml")  # tf2onnx names the last in every file, and uses it in none
OPSETS = range(8, 27)  # what ONNX Runtime 1.31 runs
MOST_NODES = 5000
MOST_PARAMETERS = 60_000_000
LARGEST = 8_000_000  # values that a constant may ask an operator to make
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
REFUSED_OPERATORS = {
    "Loop": ("onnx-loop", "a Loop, which may never end"),
    "Scan": ("onnx-loop", "a Scan, which runs a graph of its own"),
    "If": ("onnx-loop", "an If, which runs graphs of its own"),
}
SHAPED_BY = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Reshape": 1, "Pad": 1, "Range": 1, "Resize": 3}
EXAMPLE = (
    "In PyTorch, wrap it: `forward(self, x): return softmax(net(x.permute(0, 3, 1, 2).float() / 255), 1)`, and export "
    "with a uint8 (1, height, width, 1) example and `dynamic_axes` for the batch."
)


@dataclass(frozen=True)
class Report:
    """What is known of an ONNX model without running it.

    input_shape: height, width, channels.
    classes: length of the output.
    parameters: numbers in its constants of floating point.
    operators: how many nodes there are, by operator.
    """

    input_shape: tuple[int, ...]
    classes: int
    parameters: int
    operators: dict[str, int]


def read(data: bytes) -> Report:
    """Return what an ONNX file is; Refused names the first thing that it may not be."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        raise Refused("onnx", "This is not an ONNX model.", "Send the file as your framework exported it.") from None
    if not model.HasField("graph") or not model.graph.node:
        raise Refused("onnx", "This is not an ONNX model: it has no graph.", "Send the file as it was exported.")
    _check_model(model)
    graph = model.graph
    constants = _constants(graph)
    operators: dict[str, int] = {}
    for node in graph.node:
        _check_node(node, constants)
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    parameters = sum(
        math.prod(t.dims) for t in constants.values() if t.dims and t.data_type in _FLOATS
    )  # scalars are not learned
    if parameters > MOST_PARAMETERS:
        raise Refused("too-large", f"The model has {parameters:,} parameters.", "This board is for small networks.")
    return Report(_input(graph), _output(graph), parameters, operators)


_FLOATS = (1, 10, 11, 16)  # TensorProto: float, float16, double, bfloat16
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16,
          11: np.float64, 16: np.uint16, 12: np.uint32, 13: np.uint64, 4: np.uint16}  # fmt: skip


def _check_model(model) -> None:
    for opset in model.opset_import:
        if opset.domain not in IMPORTED:
            what = f"The model uses operators of the domain {short(opset.domain)}."
            raise Refused("onnx-domain", what, "Export it with standard operators only.")
        if opset.domain in DOMAINS and opset.version not in OPSETS:
            what = f"The model is of operator set {opset.version}."
            raise Refused("onnx-version", what, f"Export it with one of {OPSETS[0]} to {OPSETS[-1]}; 18 is a good one.")
    if not model.opset_import:
        raise Refused("onnx-version", "The model names no operator set.", "Export it again.")
    if model.functions:
        raise Refused("onnx-function", "The model defines functions of its own.", "Export it with them inlined.")
    if model.training_info:
        raise Refused("onnx-training", "The model carries a training graph.", "Export it for inference.")
    if model.graph.sparse_initializer:
        raise Refused("onnx-sparse", "The model has sparse constants.", "Export it with dense ones.")
    if len(model.graph.node) > MOST_NODES:
        raise Refused("too-large", f"The graph has {len(model.graph.node):,} nodes.", f"The most is {MOST_NODES:,}.")


def _constants(graph) -> dict:
    """Return every constant by its name, each checked to be whole, here, and made of numbers."""
    found = {}
    for tensor in graph.initializer:
        if tensor.name in found:
            raise Refused("onnx-name", f"Two constants are named {short(tensor.name)}.", "Export it again.")
        found[tensor.name] = tensor
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value" and node.output:
                    found[node.output[0]] = attribute.t
    for name, tensor in found.items():
        _check_tensor(tensor, name)
    return found


def _check_tensor(tensor, name: str) -> None:
    if tensor.data_location or tensor.external_data:
        what = f"The constant {short(name)} lies in another file."
        raise Refused("onnx-external", what, "Export it into one file.")
    if tensor.data_type not in _TYPES:
        raise Refused("onnx-type", f"The constant {short(name)} is of a type that is not taken.", "Use float32.")
    if any(n < 0 for n in tensor.dims):
        raise Refused("onnx", f"The constant {short(name)} has a negative side.", "Export it again.")
    size, width = math.prod(tensor.dims), np.dtype(_TYPES[tensor.data_type]).itemsize
    held = len(tensor.raw_data) // width
    if not tensor.raw_data:
        fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
        held = max(map(len, fields))
    if held != size:
        what = f"The constant {short(name)} says that it has {size:,} values, and has {held:,}."
        raise Refused("onnx-size", what, "Export it again.")
    values = _values(tensor)
    if values is not None and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Refused("nan", f"The constant {short(name)} holds NaN or infinity.", "Train it again, more gently.")


def _values(tensor) -> np.ndarray | None:
    """Return the values of a constant, flat; None for a type that NumPy has not."""
    if tensor.data_type == 16:
        return None
    if tensor.raw_data:
        return np.frombuffer(tensor.raw_data, _TYPES[tensor.data_type])
    for values in (tensor.float_data, tensor.int64_data, tensor.int32_data, tensor.double_data, tensor.uint64_data):
        if len(values):
            return np.array(values)
    return np.zeros(0)


def _check_node(node, constants: dict) -> None:
    operator = node.op_type
    if node.domain not in DOMAINS:
        what = f"The node {short(node.name)} is of the domain {short(node.domain)}."
        raise Refused("onnx-domain", what, "Export it with standard operators only.")
    if operator in REFUSED_OPERATORS:
        code, what = REFUSED_OPERATORS[operator]
        raise Refused(code, f"The graph has {what}.", "Export the network unrolled and without branches.")
    if operator not in OPERATORS:
        raise Refused("onnx-operator", f"The operator {short(operator)} is not on the list.", "Build it from others.")
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            raise Refused("onnx-loop", f"The node {short(node.name)} carries a graph of its own.", "Unroll it.")
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors or attribute.tensors:
            raise Refused("onnx-sparse", f"The node {short(node.name)} carries odd constants.", "Use dense ones.")
        if attribute.HasField("t") and operator != "Constant":
            _check_tensor(attribute.t, node.name)
        if attribute.ref_attr_name:
            raise Refused("onnx-function", f"The node {short(node.name)} belongs to a function.", "Inline it.")
        sizes = [attribute.i, *attribute.ints]
        if any(abs(n) > 2**40 for n in sizes if attribute.name not in ("ends", "starts")):
            raise Refused("onnx-size", f"The node {short(node.name)} asks for {max(sizes):,}.", "Make it smaller.")
    place = SHAPED_BY.get(operator)
    if place is not None and len(node.input) > place and node.input[place] in constants:
        found = _values(constants[node.input[place]])
        if found is None:
            raise Refused("onnx-size", f"The node {short(node.name or operator)} asks for no whole numbers.", EXAMPLE)
        values = [int(n) for n in found]
        asked = sum(map(abs, values)) if operator == "Pad" else math.prod(n for n in values if n > 1)
        if asked > LARGEST:
            what = f"The node {short(node.name or operator)} makes {asked:,} values; the most is {LARGEST:,}."
            raise Refused("too-large", what, "Make it smaller.")


def _dimensions(value) -> list[int | None]:
    """Return the sides of an input or output, None where one is free."""
    if value.type.WhichOneof("value") != "tensor_type":
        raise Refused("onnx-type", f"{short(value.name)} is not a tensor.", EXAMPLE)
    sides = value.type.tensor_type.shape.dim
    return [side.dim_value if side.WhichOneof("value") == "dim_value" else None for side in sides]


def _input(graph) -> tuple[int, ...]:
    known = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]
    if len(inputs) != 1:
        raise Refused("input", f"The model has {len(inputs)} inputs.", "It should take one array of images.")
    sides, kind = _dimensions(inputs[0]), inputs[0].type.tensor_type.elem_type
    if kind != 2:
        what = "The model does not take uint8: here a network gets raw pixels, 0 to 255, and scales them itself."
        raise Refused("input-type", what, EXAMPLE)
    if len(sides) != 4 or sides[0] is not None or not all(sides[1:]):
        what = f"The model takes {short(sides)}, not (any number, height, width, channels)."
        raise Refused("input", what, EXAMPLE)
    return tuple(side for side in sides[1:] if side)


def _output(graph) -> int:
    if len(graph.output) != 1:
        raise Refused("output", f"The model has {len(graph.output)} outputs.", "It should give probabilities only.")
    sides, kind = _dimensions(graph.output[0]), graph.output[0].type.tensor_type.elem_type
    if kind != 1 or len(sides) != 2 or sides[0] is not None or not sides[1]:
        what = f"The model gives {short(sides)}, not float32 (any number, classes)."
        raise Refused("output", what, "Its output should be one probability a class, with a free batch.")
    return sides[1]
