"""Constants of an ONNX model: each must be complete, in this file and finite; clean copies are made.

A constant has a type, at most eight dimensions and its numbers, in one of two encodings; a clean copy uses raw bytes.
"""

import math
from typing import Any

import numpy as np

from zoo.strict.problems import Refused, short

MOST_SIDES = 8
LARGEST_SIDE = 2**40
BFLOAT16 = 16
FLOATS = (1, 10, 11, BFLOAT16)
TYPES = {  # TensorProto.DataType -> how NumPy reads the raw bytes, and the field of numbers that are not raw
    1: ("<f4", "float_data"), 2: ("u1", "int32_data"), 3: ("i1", "int32_data"), 4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"), 6: ("<i4", "int32_data"), 7: ("<i8", "int64_data"), 9: ("?", "int32_data"),
    10: ("<f2", "int32_data"), 11: ("<f8", "double_data"), 12: ("<u4", "uint64_data"), 13: ("<u8", "uint64_data"),
    BFLOAT16: ("<u2", "int32_data"),
}  # fmt: skip
AGAIN = "Export it again."


def clean(tensor: Any, name: str) -> Any:
    """Return a checked copy of a TensorProto, without a name; `name` is for sentences.

    Raises:
        Refused: it is in another file, its type is not allowed, its size is wrong, or it contains NaN.
    """
    import onnx

    if tensor.data_location or tensor.external_data:
        what = f"The constant {short(name)} is in another file."
        fix = "Export into one file: `torch.onnx.export(…, external_data=False)` or `onnx.save(model, path)`."
        raise Refused("onnx-external", what, fix)
    if tensor.data_type not in TYPES:
        raise Refused("onnx-type", f"The constant {short(name)} is of a type that is not allowed.", "Use float32.")
    if len(tensor.dims) > MOST_SIDES or not all(0 <= side < LARGEST_SIDE for side in tensor.dims):
        what = f"The constant {short(name)} has the shape {short(list(tensor.dims[:9]))}."
        raise Refused("onnx-size", what, f"A constant has at most {MOST_SIDES} sides. {AGAIN}")
    kind, field = TYPES[tensor.data_type]
    size = math.prod(tensor.dims)
    try:
        values = np.frombuffer(tensor.raw_data, kind) if tensor.raw_data else _listed(tensor, kind, field)
    except (ValueError, OverflowError):
        what = f"The constant {short(name)} holds a part of a number, or one that does not fit its type."
        raise Refused("onnx-size", what, AGAIN) from None
    if len(values) != size:
        what = f"The constant {short(name)} claims {size:,} values but has {len(values):,}."
        raise Refused("onnx-size", what, AGAIN)
    if not _finite(values, tensor.data_type):
        raise Refused("nan", f"The constant {short(name)} holds NaN or infinity.", "Train with a lower learning rate.")
    if kind == "?":
        values = values.view(np.uint8) != 0  # any other byte is undefined
    return onnx.TensorProto(data_type=tensor.data_type, dims=tensor.dims, raw_data=values.tobytes())


def _listed(tensor: Any, kind: str, field: str) -> np.ndarray:
    """Return the numbers of a constant in the field encoding; half precision is stored as bits."""
    listed = np.array(getattr(tensor, field))
    if tensor.data_type == 10:
        return listed.astype(np.uint16).view(kind)
    return listed.astype(kind)


def _finite(values: np.ndarray, data_type: int) -> bool:
    if data_type == BFLOAT16:
        return not ((values & 0x7F80) == 0x7F80).any()  # all bits of the exponent are set
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def from_attribute(attribute: Any, name: str) -> Any:
    """Return the clean constant of an attribute of a Constant node."""
    import onnx

    kinds = {"value_float": ("f", 1, "<f4"), "value_floats": ("floats", 1, "<f4"),
             "value_int": ("i", 7, "<i8"), "value_ints": ("ints", 7, "<i8")}  # fmt: skip
    if attribute.name == "value" and attribute.HasField("t"):
        return clean(attribute.t, name)
    if attribute.name not in kinds:
        what = f"The Constant node of {short(name)} has the attribute {short(attribute.name)}."
        raise Refused("onnx-type", what, "Constants are dense arrays of numbers.")
    field, data_type, dtype = kinds[attribute.name]
    values = np.asarray(getattr(attribute, field), dtype)
    made = onnx.TensorProto(data_type=data_type, dims=values.shape, raw_data=values.tobytes())
    return clean(made, name)


def whole_numbers(tensor: Any) -> list[int] | None:
    """Return the values of a clean constant of whole numbers; None if it is of another type."""
    kind, _ = TYPES[tensor.data_type]
    if tensor.data_type == BFLOAT16 or np.dtype(kind).kind not in "iu":
        return None
    numbers: list[int] = np.frombuffer(tensor.raw_data, kind).tolist()
    return numbers
