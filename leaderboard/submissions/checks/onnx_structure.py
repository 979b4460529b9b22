"""The structure of an ONNX graph: everything but the numbers of its weights.

A network could hide weights there: in which value each node reads, in attributes, in the operators themselves. So the
structure is written down as bytes and compressed; whatever is hidden in it takes as many bytes as it holds.

A graph whose shapes depend on the values of an image is refused: its cost for one image would not be that of another.
"""

import lzma
from collections.abc import Iterable
from typing import Any

from zoo.strict.problems import Refused

LARGEST = 1_000_000  # bytes of a structure, before it is compressed
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2**21}]  # a stream without any header
IMAGE = "image"  # the input of a rebuilt graph
REDUCED = range(1, 2)  # axes
SHAPING = {  # operator -> inputs whose values decide the shape of its output; reductions: `REDUCED`
    "ConstantOfShape": range(1),
    "Expand": range(1, 2),
    "Pad": range(1, 4),
    "Range": range(3),
    "Reshape": range(1, 2),
    "Resize": range(1, 4),
    "Slice": range(1, 5),
    "Split": range(1, 2),
    "Squeeze": range(1, 2),
    "Tile": range(1, 2),
    "TopK": range(1, 2),
    "Unsqueeze": range(1, 2),
    "Upsample": range(1, 2),
}
OF_SHAPES = ("Shape", "Size")  # operators whose output depends on the shape of their input only


def size(nodes: Iterable[Any], constants: dict[str, Any], described: set[str]) -> int:
    """Return the bytes that the compressed structure of a graph takes.

    Args:
        nodes: NodeProto of a rebuilt graph, in their order.
        constants: name -> TensorProto of every initializer that they use.
        described: names of the constants whose numbers are part of the structure.

    Raises:
        Refused: the structure is larger than any honest one.
    """
    written = _written(nodes, constants, described)
    if len(written) > LARGEST:
        what = f"The graph without its weights takes {len(written) / 1e6:.1f} MB; the most is {LARGEST / 1e6:.0f} MB."
        raise Refused("too-large", what, "Export it with its weights as constants.")
    return len(lzma.compress(written, lzma.FORMAT_RAW, filters=FILTERS))


def _written(nodes: Iterable[Any], constants: dict[str, Any], described: set[str]) -> bytes:
    """Return a structure as bytes; each value is named by how many values before it was made, so that equal blocks of
    a network are equal bytes."""
    made: dict[str, int] = {IMAGE: 0}
    written = bytearray()
    for node in nodes:
        written += node.op_type.encode() + b"\0"
        for name in node.input:
            if name in constants and name not in made:
                made[name] = len(made)
                tensor = constants[name]
                written += bytes((0, tensor.data_type, len(tensor.dims)))
                written += b"".join(_number(side) for side in tensor.dims)
                written += tensor.raw_data if name in described else b""
            else:
                written += _number(len(made) + 1 - made[name] if name else 1)
        written += b"\0\0"
        for name in node.output:
            written += b"\1" if name else b"\0"
            if name:
                made[name] = len(made)
        for attribute in node.attribute:
            written += attribute.SerializeToString(deterministic=True)
    return bytes(written)


def _number(value: int) -> bytes:
    """Return a whole number in as few groups of seven bits as it needs."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def check_shapes(nodes: Iterable[Any]) -> None:
    """Refuse a rebuilt graph in which a shape depends on the values of the image."""
    values = {IMAGE}  # what depends on the values of the image
    for node in nodes:
        places = REDUCED if node.op_type.startswith("Reduce") else SHAPING.get(node.op_type, range(0))
        if any(node.input[place] in values for place in places if place < len(node.input)):
            what = f"The shape of what a node {node.op_type} makes depends on the values of the image."
            raise Refused("onnx-shape", what, "Export a network that does the same for every image.")
        if node.op_type not in OF_SHAPES and any(name in values for name in node.input):
            values |= set(filter(None, node.output))
