"""Which whole numbers a node may get: ONNX Runtime believes some that it should not, or ends the process.

With a negative `batch_dims`, for example, it reads memory that is not its own, already while it infers shapes.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from zoo.strict import onnx_wire

Range = tuple[int, int]
ANY: Range = (-(2**63), 2**63 - 1)
AXIS: Range = (-8, 8)  # of at most as many
FLAG: Range = (0, 1)
SIDE: Range = (1, 2**16)  # pixels of a window, and between windows
PAD: Range = (0, 2**16)
COUNT: Range = (1, 2**31 - 1)
KIND: Range = (0, 64)  # TensorProto.DataType
FLAGS = (
    "allowzero broadcast ceil_mode count_include_pad exclude_outside exclusive fmod input_forget is_test "
    "keepdims largest layout linear_before_reset noop_with_empty_axes output_sequence reverse saturate "
    "select_last_index sorted spatial storage_order training_mode transA transB"
)


def _by_name(*ranges: tuple[str, Range]) -> Mapping[str, Range]:
    return {name: span for names, span in ranges for name in names.split()}


ONE = _by_name(
    (FLAGS, FLAG),
    ("output_dtype precision stash_type to", KIND),
    ("blocksize group hidden_size k num_groups num_outputs size", COUNT),
    ("axis", AXIS),
    ("batch_dims", (0, 7)),
    ("antialias", (0, 0)),  # keeps all sides of an image at once
    ("block_size", (0, 2**31 - 1)),  # 0: there are none
    ("p", (1, 64)),
    ("seed start end value_int", ANY),
)
MANY = _by_name(
    ("dilations kernel_shape output_shape strides", SIDE),
    ("output_padding pads", PAD),
    ("starts ends value_ints", ANY),
    ("axes", AXIS),
    ("consumed_inputs", FLAG),
    ("paddings", (-(2**16), 2**16)),
    ("perm", (0, 7)),
    ("shape", (-1, 2**31 - 1)),
    ("split", (0, 2**31 - 1)),
)
CUTTING: Range = (-(2**16), 2**16)  # `pads` of Pad, which takes away where they are negative
WHOLE: Mapping[int, "np.dtype[np.signedinteger]"] = {6: np.dtype("<i4"), 7: np.dtype("<i8")}  # TensorProto.DataType
NONE: Range = (0, 0)  # of an attribute that is no whole number
LEFT_OUT = ("GRU", "LSTM", "RNN")  # whose outputs may have no name: others write them all the same


def wrong(node: onnx_wire.Node) -> Iterator[str]:
    """Yield what is wrong with the attributes and inputs of a node."""
    for one in node.attribute:
        many = one.name in MANY
        low, high = MANY[one.name] if many else ONE.get(one.name, NONE)
        if (node.op_type, one.name) == ("Pad", "pads"):
            low, high = CUTTING
        if (one.i if many else one.ints) or not all(low <= value <= high for value in (one.ints if many else [one.i])):
            yield f"its {node.op_type} has the attribute {one.name:.40} beyond {low} to {high}"
    if node.op_type == "LayerNormalization" and "" in node.input:
        yield "its LayerNormalization has an input without a name"
    if node.op_type not in LEFT_OUT and "" in node.output:
        yield f"its {node.op_type} has an output without a name"


def whole_numbers(raw: bytes) -> list[int]:
    """Return the whole numbers of a stored tensor; none if it has others, or says them in several ways."""
    stored = onnx_wire.read(raw, onnx_wire.WHOLE_NUMBERS)
    kind = WHOLE.get(stored.data_type)
    if kind is None or bool(stored.raw) + bool(stored.int32) + bool(stored.int64) != 1:
        return []
    if len(stored.raw) % kind.itemsize:
        return []
    numbers: list[int] = np.frombuffer(stored.raw, kind).tolist() if stored.raw else stored.int32 or stored.int64
    return numbers


def is_small(raw: bytes) -> bool:
    """Return whether a stored tensor is whole numbers of at most 2^31 that cannot overflow when they are added."""
    numbers = whole_numbers(raw)
    return bool(numbers) and max(map(abs, numbers)) <= 2**31


def above_zero(raw: bytes) -> bool:
    """Return whether a stored tensor is whole numbers above 0: the smallest one by -1 ends the process."""
    numbers = whole_numbers(raw)
    return bool(numbers) and min(numbers) > 0
