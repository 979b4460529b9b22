"""Input and output of an ONNX model: uint8 images with channels last, and one probability per class."""

from collections.abc import Sequence
from typing import Any

from zoo.strict.problems import Findings, Refused, short

UINT8, FLOAT = 2, 1  # TensorProto.DataType
MOST_SIDES = 8
LARGEST_SIDE = 100_000
EXAMPLE = (
    "In PyTorch, wrap it: `forward(self, x): return softmax(net(x.permute(0, 3, 1, 2).float() / 255), 1)`, and export "
    "with a uint8 (1, height, width, 1) example and `dynamic_axes` for the batch."
)


def _sides(value: Any) -> list[int | str | None]:
    """Return the sides of an input or output: a number, or a name or None where one is free."""
    if value.type.WhichOneof("value") != "tensor_type":
        raise Refused("onnx-type", f"{short(value.name)} is not a tensor.", EXAMPLE)
    sides = value.type.tensor_type.shape.dim
    if len(sides) > MOST_SIDES:
        raise Refused("onnx-type", f"{short(value.name)} has {len(sides):,} sides.", EXAMPLE)
    return [side.dim_value if side.WhichOneof("value") == "dim_value" else side.dim_param or None for side in sides]


def _written(sides: list[int | str | None]) -> str:
    return f"({', '.join(short(side, 20).strip(chr(39)) if side else 'any' for side in sides)})"


def image_of(graph: Any) -> Any:
    """Return the one input that is not a constant."""
    known = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]
    if len(inputs) != 1:
        raise Refused("input", f"The model has {len(inputs)} inputs.", "It should take one array of images.")
    return inputs[0]


def input_shape(graph: Any) -> tuple[int, ...]:
    """Return height, width and channels; raise Refused with all problems of type, channel order and shape."""
    image = image_of(graph)
    sides, found = _sides(image), Findings()
    with found.next():
        if image.type.tensor_type.elem_type != UINT8:
            what = (
                "The model does not take uint8: a network gets raw pixels here, 0 to 255, and must scale them itself."
            )
            raise Refused("input-type", what, EXAMPLE)
    with found.next():
        if sides and isinstance(sides[0], int):
            what = f"The model takes batches of {sides[0]} images only."
            raise Refused("input-batch", what, "Leave the size of the batch free: `dynamic_axes={'image': {0: 'n'}}`.")
    with found.next():
        if len(sides) == 4 and sides[1] in (1, 3) and sides[3] not in (1, 3, None):
            what = f"The model takes {_written(sides)}: channels first (NCHW). Here images have channels last (NHWC)."
            raise Refused("input-order", what, "Begin it with a transpose: `x.permute(0, 3, 1, 2)` in PyTorch.")
        if len(sides) != 4 or not all(isinstance(side, int) and 0 < side <= LARGEST_SIDE for side in sides[1:]):
            what = f"The model takes {_written(sides)}, not (any, height, width, channels) with the last three fixed."
            raise Refused("input", what, EXAMPLE)
    found.check()
    return tuple(side for side in sides[1:] if isinstance(side, int))


def output_classes(graph: Any) -> int:
    """Return the number of classes of the output; raise Refused with all its problems."""
    if len(graph.output) != 1:
        raise Refused("output", f"The model has {len(graph.output)} outputs.", "It should give probabilities only.")
    sides, found = _sides(graph.output[0]), Findings()
    with found.next():
        if graph.output[0].type.tensor_type.elem_type != FLOAT:
            raise Refused("output-type", "The model does not give float32.", "End it with a cast to float32.")
    with found.next():
        if len(sides) != 2 or not isinstance(sides[1], int) or not 0 < sides[1] <= LARGEST_SIDE:
            what = f"The model gives {_written(sides)}, not (any, classes)."
            raise Refused("output", what, "Its output should be one probability per class.")
        if isinstance(sides[0], int):
            what = f"The model returns batches of {sides[0]} only."
            raise Refused("output", what, "Leave the size of the batch free in its output, as in its input.")
    found.check()
    return int(sides[1] or 0)


def check_end(nodes: Sequence[Any], output: str) -> None:
    """Reject a network whose probabilities are quantized after the softmax: they do not sum to 1."""
    made_by = {name: node for node in nodes for name in node.output}
    chain = [made_by.get(output)]
    while chain[-1] is not None and chain[-1].op_type in ("DequantizeLinear", "QuantizeLinear"):
        chain.append(made_by.get(chain[-1].input[0]))
    if len(chain) > 1:
        softmax = chain[-1]
        name = short(softmax.name) if softmax is not None and softmax.name else "the name of the softmax node"
        what = "The output is quantized after the softmax, so it has steps of 1/256 and does not sum to 1."
        fix = f"Quantize all but the softmax: `quantize_static(…, nodes_to_exclude=[{name}])`."
        raise Refused("quantized-output", what, fix)
