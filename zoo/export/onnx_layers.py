"""How each layer and operation of the zoo is written as ONNX; any other gets one sentence."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.backend import keras
from zoo.errors import ZooError
from zoo.export.onnx_nodes import Graph, Value

Arguments = list[Any]  # of a call: values, lists of values, numbers
Write = Callable[[Graph, Any, Arguments, Any], Value]  # graph, operation, arguments, Keras' output -> the value
WRITERS: dict[str, Write] = {}  # by the class of a layer or operation


def _writes(*kinds: str) -> Callable[[Write], Write]:
    """Register the decorated function for classes of layers and operations."""

    def decorate(write: Write) -> Write:
        WRITERS.update(dict.fromkeys(kinds, write))
        return write

    return decorate


def _known(layer: Any, right: bool) -> None:
    if not right:
        raise ZooError(
            f"{layer.name} has a setting that only TensorFlow writes as ONNX: install TensorFlow and set "
            "KERAS_BACKEND=tensorflow."
        )


def _activated(graph: Graph, name: str, activation: Any) -> str:
    """Return the name of a value after one of Keras' activations."""
    kind = keras.activations.serialize(activation)
    if kind == "linear":
        return name
    if kind in ("relu", "tanh", "sigmoid"):
        return graph.op(kind.title(), name)
    if kind in ("silu", "swish"):
        return graph.op("Mul", name, graph.op("Sigmoid", name))
    if kind == "gelu":  # by the error function
        error = graph.op("Erf", graph.op("Mul", name, graph.constant(math.sqrt(0.5))))
        half = graph.op("Mul", name, graph.constant(0.5))
        return graph.op("Mul", half, graph.op("Add", error, graph.constant(1)))
    if kind == "softmax":
        return graph.op("Softmax", name, axis=-1)
    raise ZooError(f"The activation {kind} is written as ONNX by TensorFlow alone: set KERAS_BACKEND=tensorflow.")


# --- Convolutions and pools: channels first ------------------------------------------------------


def _window(layer: Any, value: Value, kernel: Sequence[int]) -> dict[str, Any]:
    """Return the attributes of a window that moves over a value: its strides, and the pads that "same" means."""
    strides = list(layer.strides)
    dilations = list(getattr(layer, "dilation_rate", [1] * len(strides)))
    before, after = [0] * len(strides), [0] * len(strides)
    if layer.padding == "same":
        for axis, size in enumerate(value.shape[1:-1]):
            _known(layer, size is not None)
            reach = (math.ceil(size / strides[axis]) - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
            pad = max(reach - int(size or 0), 0)
            before[axis], after[axis] = pad // 2, pad - pad // 2
    return {"kernel_shape": list(kernel), "strides": strides, "dilations": dilations, "pads": before + after}


@_writes("Conv1D", "Conv2D", "DepthwiseConv2D")
def _convolution(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    _known(layer, layer.data_format == "channels_last" and layer.padding in ("same", "valid"))
    kernel, sides = layer.kernel, len(layer.kernel_size)
    order = (sides + 1, sides, *range(sides))
    if type(layer).__name__ == "DepthwiseConv2D":
        group, filters = kernel.shape[-2], kernel.shape[-2] * kernel.shape[-1]
        weight = graph.weight(kernel, (2, 3, 0, 1), (filters, 1, *kernel.shape[:2]))
    else:
        group, weight = layer.groups, graph.weight(kernel, order)
    bias = [graph.weight(layer.bias)] if layer.use_bias else []
    attributes = _window(layer, value, layer.kernel_size)
    name = graph.op("Conv", graph.first(value), weight, *bias, group=group, **attributes)
    return replace(value, name=_activated(graph, name, layer.activation), channels_first=True)


@_writes("MaxPooling2D", "AveragePooling2D")
def _pooling(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    _known(layer, layer.data_format == "channels_last")
    attributes = _window(layer, value, layer.pool_size)
    del attributes["dilations"]
    kind = "MaxPool" if type(layer).__name__ == "MaxPooling2D" else "AveragePool"
    return replace(value, name=graph.op(kind, graph.first(value), **attributes), channels_first=True)


@_writes("GlobalAveragePooling1D", "GlobalAveragePooling2D")
def _means(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    _known(layer, layer.data_format == "channels_last" and all(more is None for more in arguments[1:]))
    axes, keeps = list(range(2, value.rank)), layer.keepdims
    name = graph.op("ReduceMean", graph.first(value), axes=axes, keepdims=int(keeps))
    return replace(value, name=name, channels_first=keeps)


@_writes("ZeroPadding2D")
def _padded(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    (top, bottom), (left, right) = layer.padding
    pads = graph.constant([0, 0, top, left, 0, 0, bottom, right], "pads", np.int64)
    return replace(value, name=graph.op("Pad", graph.first(value), pads), channels_first=True)


@_writes("Resizing")
def _resized(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    plain = not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or layer.antialias)
    _known(layer, plain and layer.interpolation == "bilinear" and layer.data_format == "channels_last")
    name = graph.first(value)
    start, end = graph.constant([0], "shape", np.int64), graph.constant([2], "shape", np.int64)
    kept = graph.op("Slice", graph.op("Shape", name), start, end)  # the batch is free, so sizes are computed
    sizes = graph.op("Concat", kept, graph.constant([layer.height, layer.width], "shape", np.int64), axis=0)
    mode: Any = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return replace(value, name=graph.op("Resize", name, "", "", sizes, **mode), channels_first=True)


@_writes("BatchNormalization")
def _batch_norm(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    _known(layer, layer.axis in (-1, value.rank - 1) and all(more is None for more in arguments[1:]))
    mean, variance = (keras.ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance))
    scale = 1 / np.sqrt(variance + np.float32(layer.epsilon))  # two numbers a channel, as the converter writes
    if layer.scale:
        scale = scale * keras.ops.convert_to_numpy(layer.gamma)
    shift = (keras.ops.convert_to_numpy(layer.beta) if layer.center else 0) - mean * scale
    shape = (1, -1, *[1] * (value.rank - 2))
    constants = [
        graph.constant(numbers.reshape(shape), f"{layer.path}/{name}")
        for name, numbers in (("scale", scale), ("shift", shift))
    ]
    name = graph.op("Add", graph.op("Mul", graph.first(value), constants[0]), constants[1])
    return replace(value, name=name, channels_first=value.rank > 2)


# --- What works value by value, in either order --------------------------------------------------


@_writes("Rescaling")
def _rescaled(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    name = graph.op("Cast", value.name, to=1)
    scale, offset = np.asarray(layer.scale, np.float32), np.asarray(layer.offset, np.float32)
    _known(layer, scale.ndim == offset.ndim == 0)
    name = name if scale == 1 else graph.op("Mul", name, graph.constant(scale))
    return replace(value, name=name if offset == 0 else graph.op("Add", name, graph.constant(offset)))


@_writes("Dropout", "Identity")
def _same(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    return value


@_writes("Activation")
def _activation(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    softmax = keras.activations.serialize(layer.activation) == "softmax"  # over channels, wherever they are
    value = replace(value, name=graph.last(value), channels_first=False) if softmax else value
    return replace(value, name=_activated(graph, value.name, layer.activation))


@_writes("Softmax")
def _softmax(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    _known(layer, isinstance(layer.axis, int) and all(more is None for more in arguments[1:]))
    return Value(graph.op("Softmax", graph.last(value), axis=layer.axis), value.shape)


@_writes("ReLU")
def _relu(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    _known(layer, not layer.negative_slope and not layer.threshold)
    if layer.max_value is None:
        return replace(value, name=graph.op("Relu", value.name))
    return replace(value, name=graph.op("Clip", value.name, graph.constant(0), graph.constant(layer.max_value)))


_ONE = {"Absolute": "Abs", "Sqrt": "Sqrt", "Sign": "Sign", "Square": "Mul"}
_TWO = {
    "Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "TrueDivide": "Div", "Maximum": "Max",
    "Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "Average": "Mean", "Matmul": "MatMul",
}  # fmt: skip


@_writes(*_ONE)
def _unary(graph: Graph, operation: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    kind = _ONE[type(operation).__name__]
    return replace(value, name=graph.op(kind, *[value.name] * (2 if kind == "Mul" else 1)))


@_writes(*_TWO)
def _binary(graph: Graph, operation: Any, arguments: Arguments, output: Any) -> Value:
    kind = _TWO[type(operation).__name__]
    parts = arguments[0] if isinstance(arguments[0], list) else arguments  # a layer takes one list
    values = [part for part in parts if isinstance(part, Value)]
    mixed = len({value.rank for value in values}) > 1 or kind == "MatMul"
    first = not mixed and any(value.channels_first for value in values)
    order = graph.first if first else graph.last
    names = [order(part) if isinstance(part, Value) else graph.constant(part) for part in parts]
    name = names[0]
    if kind == "Mean":
        name = graph.op(kind, *names)
    else:
        for other in names[1:]:
            name = graph.op(kind, name, other)
    return Value(name, (), first)


@_writes("Cast")
def _cast(graph: Graph, operation: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    _known(operation, output.dtype == "float32")
    return replace(value, name=graph.op("Cast", value.name, to=1))


# --- What needs Keras' order ---------------------------------------------------------------------


@_writes("Dense")
def _dense(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    name = graph.op("MatMul", graph.last(value), graph.weight(layer.kernel))
    name = graph.op("Add", name, graph.weight(layer.bias)) if layer.use_bias else name
    return Value(_activated(graph, name, layer.activation), ())


@_writes("EinsumDense")
def _einsum_dense(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    name = graph.op("Einsum", graph.last(value), graph.weight(layer.kernel), equation=layer.equation)
    name = graph.op("Add", name, graph.weight(layer.bias)) if layer.bias is not None else name
    return Value(_activated(graph, name, layer.activation), ())


@_writes("Flatten", "Reshape")
def _reshape(graph: Graph, operation: Any, arguments: Arguments, output: Any) -> Value:
    return Value(graph.reshaped(graph.last(arguments[0]), output.shape), ())


@_writes("Transpose")
def _transpose(graph: Graph, operation: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    order = list(operation.axes or reversed(range(value.rank)))
    return Value(graph.op("Transpose", graph.last(value), perm=order), ())


@_writes("Concatenate")
def _concatenate(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    return Value(graph.op("Concat", *(graph.last(value) for value in arguments[0]), axis=layer.axis), ())


@_writes("Sum", "Max", "Mean")
def _reduced(graph: Graph, operation: Any, arguments: Arguments, output: Any) -> Value:
    value, kind = arguments[0], type(operation).__name__
    axis = operation.axis
    axes = list(range(value.rank)) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    keeps, name = int(operation.keepdims), graph.last(value)
    if kind == "Sum":
        return Value(graph.op("ReduceSum", name, graph.constant(axes, "axes", np.int64), keepdims=keeps), ())
    return Value(graph.op(f"Reduce{kind}", name, axes=axes, keepdims=keeps), ())


@_writes("TopK")
def _top_k(graph: Graph, operation: Any, arguments: Arguments, output: Any) -> Value:
    count = graph.constant([operation.k], "count", np.int64)
    return Value(graph.op("TopK", graph.last(arguments[0]), count, outputs=2), ())


@_writes("GetItem")
def _slice(graph: Graph, operation: Any, arguments: Arguments, output: Any) -> Value:
    value, key = arguments[0], arguments[1]
    *before, part = key
    _known(operation, before == [Ellipsis] and isinstance(part, slice) and part.step is None)
    start, stop, _ = part.indices(int(value.shape[-1] or 0))
    bounds = [graph.constant([number], "bounds", np.int64) for number in (start, stop, -1)]
    return Value(graph.op("Slice", graph.last(value), *bounds), ())


@_writes("UnitNormalization")
def _unit(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    name = graph.last(arguments[0])
    axes = graph.constant([layer.axis] if isinstance(layer.axis, int) else layer.axis, "axes", np.int64)
    squares = graph.op("ReduceSum", graph.op("Mul", name, name), axes, keepdims=1)
    length = graph.op("Sqrt", graph.op("Max", squares, graph.constant(1e-24)))
    return Value(graph.op("Div", name, length), ())


@_writes("LayerNormalization")
def _layer_norm(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    value: Value = arguments[0]
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    _known(layer, axes in ([-1], [value.rank - 1]) and layer.scale and layer.center and not layer.rms_scaling)
    name = graph.last(value)
    centred = graph.op("Sub", name, graph.op("ReduceMean", name, axes=[-1], keepdims=1))
    variance = graph.op("ReduceMean", graph.op("Mul", centred, centred), axes=[-1], keepdims=1)
    deviation = graph.op("Sqrt", graph.op("Add", variance, graph.constant(layer.epsilon)))
    scaled = graph.op("Mul", graph.op("Div", centred, deviation), graph.weight(layer.gamma))
    return Value(graph.op("Add", scaled, graph.weight(layer.beta)), ())


@_writes("MultiHeadAttention")
def _attention(graph: Graph, layer: Any, arguments: Arguments, output: Any) -> Value:
    query, value, *others = arguments
    _known(layer, query.rank == value.rank == 3 and all(more is None or more is False for more in others))
    heads, size, tokens = layer._num_heads, layer._key_dim, query.shape[1]

    def projected(dense: Any, source: Value, order: list[int]) -> str:
        kernel = graph.weight(dense.kernel, shape=(dense.kernel.shape[0], -1))
        name = graph.op("MatMul", graph.last(source), kernel)
        name = graph.op("Add", name, graph.weight(dense.bias, shape=(-1,)))
        return graph.op("Transpose", graph.reshaped(name, (None, source.shape[1], heads, size)), perm=order)

    queries = projected(layer._query_dense, query, [0, 2, 1, 3])
    keys = projected(layer._key_dense, value, [0, 2, 3, 1])
    values = projected(layer._value_dense, value, [0, 2, 1, 3])
    queries = graph.op("Mul", queries, graph.constant(1 / math.sqrt(size)))
    shares = graph.op("Softmax", graph.op("MatMul", queries, keys), axis=-1)
    found = graph.op("Transpose", graph.op("MatMul", shares, values), perm=[0, 2, 1, 3])
    found = graph.reshaped(found, (None, tokens, heads * size))
    dense = layer._output_dense
    found = graph.op("MatMul", found, graph.weight(dense.kernel, shape=(heads * size, -1)))
    return Value(graph.op("Add", found, graph.weight(dense.bias)), ())
