"""The shape of every value of an untrusted ONNX graph for one image, without running it.

ONNX infers the outputs of one node at a time. Numbers that are computed from shapes decide other shapes, as in
attention, so they are followed where they are few. No weights are read, so the time depends on the nodes alone.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from leaderboard.submissions.checks.onnx_structure import IMAGE
from zoo.strict.onnx_costs import has_another_shape

FEW = 64  # numbers of a value that are followed
MOST_SIDES = 16
LARGEST = 2**40  # numbers of a value, and each number that is followed

Shapes = dict[str, tuple[int, ...]]


def of_one_image(model: Any, shape: tuple[int, ...]) -> Shapes | None:
    """Return the shapes of all values by name; None where one cannot be known, or is beyond any that can be run.

    Args:
        model: a rebuilt ModelProto.
        shape: of an image: height, width, channels.
    """
    import onnx

    graph, typed = model.graph, onnx.helper.make_tensor_type_proto
    version = model.opset_import[0].version
    types = {tensor.name: typed(tensor.data_type, tensor.dims) for tensor in graph.initializer}
    types[IMAGE] = typed(onnx.TensorProto.UINT8, (1, *shape))
    shapes: Shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer} | {IMAGE: (1, *shape)}
    numbers = {tensor.name: tensor for tensor in graph.initializer if math.prod(tensor.dims) <= FEW}
    for node in graph.node:
        used = [name for name in node.input if name]
        try:
            found = onnx.shape_inference.infer_node_outputs(
                onnx.defs.get_schema(node.op_type, version, ""),
                node,
                {name: types[name] for name in used},
                {name: numbers[name] for name in used if name in numbers},
                opset_imports=list(model.opset_import),
                ir_version=model.ir_version,
            )
            made = {name: found[name] for name in node.output if name}
        except Exception:  # of many kinds, whatever ONNX finds wrong with a stranger's node
            return None
        for name, kind in made.items():
            sides = kind.tensor_type.shape.dim
            if not kind.tensor_type.HasField("shape") or not all(side.HasField("dim_value") for side in sides):
                return None
            shapes[name] = tuple(side.dim_value for side in sides)
            if len(sides) > MOST_SIDES or min(shapes[name], default=0) < 0 or math.prod(shapes[name]) > LARGEST:
                return None
        if has_another_shape(node, shapes, version):
            return None
        types |= made
        if (computed := _computed(node, shapes, numbers, types)) is not None:
            numbers[node.output[0]] = computed
    return shapes


def _computed(node: Any, shapes: Shapes, numbers: Mapping[str, Any], types: Mapping[str, Any]) -> Any | None:
    """Return the tensor that a node makes of shapes or of numbers that are known; None where they are not."""
    import onnx

    compute = _COMPUTED.get(node.op_type)
    if compute is None or math.prod(shapes[node.output[0]]) > FEW:
        return None
    if node.op_type not in ("Shape", "Size") and not all(name in numbers for name in node.input if name):
        return None
    try:
        if node.op_type in ("Shape", "Size"):
            given = [np.array(shapes[node.input[0]], np.int64)]
        else:
            given = [onnx.numpy_helper.to_array(numbers[name]) for name in node.input if name]
        settings = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        with np.errstate(all="ignore"):
            made = np.asarray(compute(settings, *given))
            few = made.shape == shapes[node.output[0]] and bool((np.abs(made.astype(np.float64)) < LARGEST).all())
        kind = onnx.helper.tensor_dtype_to_np_dtype(types[node.output[0]].tensor_type.elem_type)
        return onnx.numpy_helper.from_array(made.astype(kind)) if few else None
    except Exception:  # of many kinds, whatever NumPy and ONNX find wrong with a stranger's numbers
        return None


Settings = Mapping[str, Any]


def _sliced(settings: Settings, values: np.ndarray, *bounds: np.ndarray) -> np.ndarray:
    """Slice by inputs, or before version 10 by attributes."""
    starts, ends = (settings["starts"], settings["ends"]) if not bounds else (bounds[0].tolist(), bounds[1].tolist())
    axes = bounds[2].tolist() if len(bounds) > 2 else settings.get("axes", range(len(starts)))
    steps = bounds[3].tolist() if len(bounds) > 3 else [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = values.shape[axis]
        first, last = (n + size if n < 0 else n for n in (start, end))
        if step < 0:
            first, last = min(first, size - 1), (None if last < 0 else last)
        cut: list[Any] = [slice(None)] * values.ndim
        cut[axis] = slice(max(first, 0), last if last is None else max(last, 0), step)
        values = values[tuple(cut)]
    return values


def _axes(settings: Settings, axes: Iterable[np.ndarray]) -> tuple[int, ...] | None:
    """Return axes that are an input, or in earlier versions an attribute."""
    found = next(iter(axes), settings.get("axes"))
    return None if found is None else tuple(int(axis) for axis in np.ravel(found))


def _unsqueezed(settings: Settings, values: np.ndarray, *axes: np.ndarray) -> np.ndarray:
    return np.expand_dims(values, _axes(settings, axes) or ())


def _reshaped(settings: Settings, values: np.ndarray, sides: np.ndarray) -> np.ndarray:
    zero = settings.get("allowzero", 0)
    return values.reshape([values.shape[n] if side == 0 and not zero else side for n, side in enumerate(sides)])


def _divided(settings: Settings, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    made: np.ndarray = np.trunc(a / b).astype(a.dtype) if a.dtype.kind in "iu" else a / b
    return made


def _cast(settings: Settings, values: np.ndarray) -> np.ndarray:
    import onnx

    made: np.ndarray = values.astype(onnx.helper.tensor_dtype_to_np_dtype(settings["to"]))
    return made


_COMPUTED: dict[str, Callable[..., Any]] = {
    "Shape": lambda settings, sides: sides[settings.get("start", 0) : settings.get("end")],
    "Size": lambda settings, sides: np.prod(sides),
    "Identity": lambda settings, values: values,
    "Cast": _cast,
    "Gather": lambda settings, values, places: np.take(values, places, settings.get("axis", 0)),
    "Slice": _sliced,
    "Concat": lambda settings, *parts: np.concatenate(parts, settings["axis"]),
    "Squeeze": lambda settings, values, *axes: np.squeeze(values, _axes(settings, axes)),
    "Unsqueeze": _unsqueezed,
    "Reshape": _reshaped,
    "Add": lambda settings, a, b: a + b,
    "Sub": lambda settings, a, b: a - b,
    "Mul": lambda settings, a, b: a * b,
    "Div": _divided,
    "Min": lambda settings, *parts: np.minimum.reduce(np.broadcast_arrays(*parts)),
    "Max": lambda settings, *parts: np.maximum.reduce(np.broadcast_arrays(*parts)),
    "Neg": lambda settings, values: -values,
    "Floor": lambda settings, values: np.floor(values),
    "Ceil": lambda settings, values: np.ceil(values),
    "Sqrt": lambda settings, values: np.sqrt(values),
    "Equal": lambda settings, a, b: a == b,
    "Less": lambda settings, a, b: a < b,
    "Greater": lambda settings, a, b: a > b,
    "Not": lambda settings, values: ~values,
    "Where": lambda settings, which, a, b: np.where(which, a, b),
    "Expand": lambda settings, values, sides: np.broadcast_to(
        values, np.broadcast_shapes(values.shape, tuple(sides.tolist()))
    ),
    "ReduceProd": lambda settings, values, *axes: np.prod(
        values, _axes(settings, axes), keepdims=bool(settings.get("keepdims", 1))
    ),
    "Transpose": lambda settings, values: np.transpose(values, settings.get("perm")),
}
