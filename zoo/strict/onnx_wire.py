"""Read what matters of an ONNX file without the package `onnx`, and write a smaller one of its parts.

A protocol buffer may name a field twice, and readers differ in which one they believe: here each that should be there
once is there once, or the file is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from zoo.strict.wire_format import BYTES, VARINT, BadWireFormat, fields

MANY, ONCE, NUMBERS = "many", "once", "numbers"
Schema = dict[int, tuple[str, int, str]]  # number -> name, wire type, how often it may be there
MODEL: Schema = {
    1: ("ir_version", VARINT, ONCE),
    7: ("graph", BYTES, ONCE),
    8: ("opset", BYTES, MANY),
    14: ("metadata", BYTES, MANY),
    20: ("training", BYTES, MANY),
    25: ("functions", BYTES, MANY),
}
GRAPH: Schema = {
    1: ("nodes", BYTES, MANY),
    5: ("initializers", BYTES, MANY),
    11: ("inputs", BYTES, MANY),
    12: ("outputs", BYTES, MANY),
    15: ("sparse", BYTES, MANY),
}
OPSET: Schema = {1: ("domain", BYTES, ONCE), 2: ("version", VARINT, ONCE)}
NODE: Schema = {
    1: ("input", BYTES, MANY),
    2: ("output", BYTES, MANY),
    4: ("op_type", BYTES, ONCE),
    5: ("attribute", BYTES, MANY),
    7: ("domain", BYTES, ONCE),
    8: ("overload", BYTES, ONCE),
}
ATTRIBUTE: Schema = {
    1: ("name", BYTES, ONCE),
    3: ("i", VARINT, ONCE),
    4: ("s", BYTES, ONCE),
    5: ("t", BYTES, ONCE),
    6: ("g", BYTES, MANY),
    8: ("ints", VARINT, NUMBERS),
    10: ("tensors", BYTES, MANY),
    11: ("graphs", BYTES, MANY),
    21: ("reference", BYTES, MANY),
    22: ("sparse", BYTES, MANY),
    23: ("sparse_list", BYTES, MANY),
}
TENSOR: Schema = {
    1: ("dims", VARINT, NUMBERS),
    2: ("data_type", VARINT, ONCE),
    8: ("name", BYTES, ONCE),
    13: ("external", BYTES, MANY),
    14: ("location", VARINT, ONCE),
}
WHOLE_NUMBERS: Schema = {  # of a tensor of int32 or int64
    2: ("data_type", VARINT, ONCE),
    5: ("int32", VARINT, NUMBERS),
    7: ("int64", VARINT, NUMBERS),
    9: ("raw", BYTES, ONCE),
}
VALUE: Schema = {1: ("name", BYTES, ONCE), 2: ("type", BYTES, ONCE)}
TYPE: Schema = {1: ("tensor", BYTES, ONCE)}
TENSOR_TYPE: Schema = {1: ("kind", VARINT, ONCE), 2: ("shape", BYTES, ONCE)}
SHAPE: Schema = {1: ("sides", BYTES, MANY)}
SIDE: Schema = {1: ("size", VARINT, ONCE), 2: ("name", BYTES, ONCE)}


@dataclass(frozen=True)
class Node:
    """A node: what it is, and its bytes in the file."""

    raw: bytes
    op_type: str
    domain: str
    input: list[str]
    output: list[str]
    attribute: list[Any] = field(repr=False)


def read(data: bytes, schema: Schema) -> SimpleNamespace:
    """Return the fields of a message that a schema names; BadWireFormat if one is of another type, or there twice."""
    found: dict[str, Any] = {
        name: [] if often != ONCE else 0 if kind == VARINT else b"" for name, kind, often in schema.values()
    }
    seen = set()
    for number, kind, value in fields(data):
        if number not in schema:
            continue
        name, expected, often = schema[number]
        if often == NUMBERS and kind == BYTES:  # packed: all in one field
            found[name] += [_signed(one) for _, _, one in fields(value, packed=True)]
            continue
        if kind != expected or (often == ONCE and number in seen):
            raise BadWireFormat(f"has the field {number} twice, or of another type")
        seen.add(number)
        value = _signed(value) if kind == VARINT else value
        if often == ONCE:
            found[name] = value
        else:
            found[name].append(value)
    return SimpleNamespace(**found)


def node(raw: bytes) -> Node:
    """Return a node of its bytes."""
    found = read(raw, NODE)
    if found.overload:
        raise BadWireFormat("has a node of a function")
    attributes = [read(one, ATTRIBUTE) for one in found.attribute]
    for one in attributes:
        one.name = text(one.name)
    inputs, outputs = ([text(name) for name in part] for part in (found.input, found.output))
    return Node(raw, text(found.op_type), text(found.domain), inputs, outputs, attributes)


def text(value: bytes) -> str:
    """Return a name; BadWireFormat unless it is UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadWireFormat("has a name that is not UTF-8") from None


def _signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


# Writing


def written(number: int, value: int | bytes | str) -> bytes:
    """Return a field: a whole number of at least 0, bytes, a message or a text."""
    if isinstance(value, int):
        return _varint(number << 3 | VARINT) + _varint(value)
    value = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | BYTES) + _varint(len(value)) + value


def all_written(number: int, values: Iterable[bytes | str | int]) -> bytes:
    """Return a field that is there many times."""
    return b"".join(written(number, value) for value in values)


def value_info(name: str, kind: int | None = None, sides: Iterable[int | str] = ()) -> bytes:
    """Return a ValueInfoProto: a tensor of a type and shape, or, without a type, one that is to be inferred."""
    if kind is None:
        return written(1, name)
    shape = all_written(1, (written(1 if isinstance(side, int) else 2, side) for side in sides))
    return written(1, name) + written(2, written(1, written(1, kind) + written(2, shape)))


def tensor(name: str, kind: int, dims: Iterable[int], data: bytes) -> bytes:
    """Return a TensorProto."""
    return all_written(1, dims) + written(2, kind) + written(8, name) + written(9, data)


def model(
    opset: int, nodes: Iterable[bytes], initializers: Iterable[bytes], inputs: Iterable[bytes], outputs: Iterable[bytes]
) -> bytes:
    """Return a ModelProto whose initializers are no inputs."""
    graph = all_written(1, nodes) + written(2, "network")
    graph += all_written(5, initializers) + all_written(11, inputs) + all_written(12, outputs)
    return written(1, 10) + written(8, written(2, opset)) + written(7, graph)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
