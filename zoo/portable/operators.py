"""How each operator of ONNX becomes calls of kernels.

Convolutions ask for channels last, and get a copy where a view has them elsewhere.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.portable.program import Block
from zoo.portable.reach import Unsupported
from zoo.portable.strided import Builder, Value, View, dense_strides, loops

UNARY = {
    "Relu": 0, "Sigmoid": 1, "Tanh": 2, "Erf": 3, "Neg": 4, "Sqrt": 5, "Reciprocal": 6, "Exp": 7, "Abs": 8,
    "Clip": 9, "LeakyRelu": 10, "Elu": 11, "HardSigmoid": 12, "Softplus": 13, "Log": 14, "Swish": 15,
}  # fmt: skip
BINARY = {"Add": 0, "Mul": 1, "Sub": 2, "Div": 3, "Max": 4, "Min": 5}


# --- one number at a time ------------------------------------------------------------------------


def unary(build: Builder, x: View, name: str, p: float = 0.0, q: float = 0.0) -> View:
    """Add a function of every number."""
    x = build.dense(x, x.order)
    y = build.new(x.shape, x.order)
    build.call("unary", x, y, numbers=(UNARY[name], x.size, float(p), float(q)), in_place=True)
    return y


def binary(build: Builder, name: str, a: Value, b: Value) -> View:
    """Add a function of pairs of numbers; sides of one are repeated, as in NumPy."""
    a, b = build.view(a), build.view(b)
    shape = np.broadcast_shapes(a.shape, b.shape)
    order = next((view.order for view in (a, b) if view.shape == shape and isinstance(view.block, Block)), None)
    y = build.new(shape, order)
    a, b = repeated(a, shape), repeated(b, shape)
    same = all(side == 1 or one == other for side, one, other in zip(shape, a.strides, y.strides, strict=True))
    for sides, places, strides in loops(y.order, a, b, y):
        numbers = (BINARY[name], *sides, *strides[0], *strides[1])
        build.step("binary", places, numbers, in_place=same and a.size == y.size)
    return y


def repeated(view: View, shape: Sequence[int]) -> View:
    """Return a view under a larger shape, its sides of one repeated."""
    missing = len(shape) - len(view.shape)
    sides, strides = (1,) * missing + view.shape, (0,) * missing + view.strides
    steps = tuple(0 if side == 1 else stride for side, stride in zip(sides, strides, strict=True))
    return View(view.block, view.start, tuple(shape), steps)


def _named_unary(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    limits = {
        "LeakyRelu": (given.get("alpha", 0.01), 0.0),
        "Elu": (given.get("alpha", 1.0), 0.0),
        "HardSigmoid": (given.get("alpha", 0.2), given.get("beta", 0.5)),
    }
    return unary(build, build.view(inputs[0]), node, *limits.get(node, (0.0, 0.0)))


def _clip(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    bounds = [given.get("min"), given.get("max")]
    for at, value in enumerate(inputs[1:]):
        bounds[at] = bounds[at] if value is None else float(known(value, "limits of Clip"))
    largest = float(np.finfo(np.float32).max)
    low, high = (-largest if bounds[0] is None else bounds[0]), (largest if bounds[1] is None else bounds[1])
    low, high = max(low, -largest), min(high, largest)  # the file of a program has no infinity
    if not low <= high:
        raise Unsupported("a Clip without numbers between its limits")
    return unary(build, build.view(inputs[0]), node, low, high)


def _binary(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    found = inputs[0]
    for other in inputs[1:]:
        found = binary(build, node, found, other)
    return build.view(found)


def _power(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    exponent = float(known(inputs[1], "exponent of Pow"))
    if exponent == 0.5:
        return unary(build, build.view(inputs[0]), "Sqrt")
    if exponent not in (2.0, 3.0):
        raise Unsupported(f"a power of {exponent:g}")
    square = binary(build, "Mul", inputs[0], inputs[0])
    return square if exponent == 2 else binary(build, "Mul", square, inputs[0])


def _prelu(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    below = unary(build, unary(build, x, "Neg"), "Relu")
    return binary(build, "Sub", unary(build, x, "Relu"), binary(build, "Mul", below, inputs[1]))


def _hard_swish(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    return binary(build, "Mul", unary(build, build.view(inputs[0]), "HardSigmoid", 1 / 6, 0.5), inputs[0])


def _batch_norm(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    scale, bias, mean, variance = (known(value, "statistics of BatchNormalization") for value in inputs[1:5])
    factor = scale / np.sqrt(variance + given.get("epsilon", 1e-5))
    x = build.view(inputs[0])
    sides = (-1, *[1] * (len(x.shape) - 2))
    scaled = binary(build, "Mul", x, factor.reshape(sides))
    return binary(build, "Add", scaled, (bias - mean * factor).reshape(sides))


# --- images --------------------------------------------------------------------------------------


CHANNELS_LAST = (0, 2, 3, 1)  # order of (1, channels, height, width) in memory


def _conv(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    weights = known(inputs[1], "weights of Conv")
    if weights.ndim != 4:
        raise Unsupported(f"a convolution of {weights.ndim - 2} dimensions")
    if tuple(given.get("kernel_shape", weights.shape[2:])) != weights.shape[2:]:
        raise Unsupported("a Conv whose kernel_shape is not that of its weights")
    outputs, inner, kernel_height, kernel_width = weights.shape
    bias = known(inputs[2], "bias of Conv") if given_input(inputs, 2) else np.zeros(outputs, np.float32)
    x = build.dense(build.view(inputs[0]), CHANNELS_LAST)
    _, channels, height, width = x.shape
    groups = given.get("group", 1)
    if groups < 1 or outputs % groups or channels != inner * groups or bias.shape != (outputs,):
        raise Unsupported("a Conv whose weights do not fit its image")
    (top, left), (y_height, y_width), strides, dilations = _windows(
        given, (height, width), (kernel_height, kernel_width)
    )
    y = build.new((1, outputs, y_height, y_width), CHANNELS_LAST)
    geometry = (kernel_height, kernel_width, *strides, top, left, *dilations)
    if groups == channels == outputs and groups > 1:
        taps = build.weight(weights.reshape(outputs, -1).T)
        numbers = (height, width, channels, y_height, y_width, *geometry)
        build.call("depthwise", x, taps, build.weight(bias[None]), y, numbers=numbers)
        return y
    each = outputs // groups
    zeros = build.zeros(inner)
    for group in range(groups):
        rows = weights[group * each : (group + 1) * each].transpose(2, 3, 1, 0).reshape(-1, each)
        part = bias[group * each : (group + 1) * each]
        source = View(x.block, x.start + group * inner, x.shape, x.strides)
        target = View(y.block, group * each, y.shape, y.strides)
        sizes = (height, width, channels, inner, y_height, y_width, outputs, each)
        build.call(
            "conv", source, build.weight(rows), build.weight(part[None]), zeros, target, numbers=(*sizes, *geometry)
        )
    return y


def _windows(
    given: dict[str, Any], sides: tuple[int, int], kernel: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return the pads at top and left, the sides of the output, strides and dilations of a convolution or pooling."""
    strides, dilations = tuple(given.get("strides", (1, 1))), tuple(given.get("dilations", (1, 1)))
    if given.get("ceil_mode"):
        raise Unsupported("a pooling with ceil_mode")
    automatic = given.get("auto_pad", "NOTSET")
    if automatic not in ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"):
        raise Unsupported("an unknown auto_pad")
    before, found = [], []
    for axis in range(2):
        covered = (kernel[axis] - 1) * dilations[axis] + 1
        pads = given.get("pads", (0, 0, 0, 0))
        first, both = pads[axis], pads[axis] + pads[axis + 2]
        if automatic.startswith("SAME"):
            both = max(0, (-(-sides[axis] // strides[axis]) - 1) * strides[axis] + covered - sides[axis])
            first = both // 2 if automatic == "SAME_UPPER" else both - both // 2
        elif automatic == "VALID":
            first = both = 0
        before.append(first)
        found.append((sides[axis] + both - covered) // strides[axis] + 1)
    return (before[0], before[1]), (found[0], found[1]), (strides[0], strides[1]), (dilations[0], dilations[1])


def _pool(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    kernel = tuple(given["kernel_shape"])
    x = build.view(inputs[0])
    if len(kernel) != 2 or tuple(given.get("dilations", (1, 1))) != (1, 1):
        raise Unsupported(f"a {node} of other than two plain sides")
    x = build.dense(x, CHANNELS_LAST)
    _, channels, height, width = x.shape
    pads, (y_height, y_width), strides, _ = _windows(given, (height, width), (kernel[0], kernel[1]))
    y = build.new((1, channels, y_height, y_width), CHANNELS_LAST)
    kind = 0 if node == "MaxPool" else 2 if given.get("count_include_pad") else 1
    build.call("pool", x, y, numbers=(kind, height, width, channels, y_height, y_width, *kernel, *strides, *pads))
    return y


def _global_pool(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    return _reduced(build, x, range(2, len(x.shape)), {"GlobalAveragePool": 0, "GlobalMaxPool": 2}[node], True)


def _reduce(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    axes = _axes(node, inputs, given)
    kind = {"ReduceMean": 0, "ReduceSum": 1, "ReduceMax": 2}[node]
    if not axes:  # none are named: all of them, or with noop_with_empty_axes none
        axes = [] if given.get("noop_with_empty_axes") else list(range(len(x.shape)))
    return _reduced(build, x, axes, kind, bool(given.get("keepdims", 1)))


def _reduced(build: Builder, x: View, axes: Sequence[int], kind: int, keep: bool) -> View:
    axes = _places(axes, len(x.shape))
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    order = [axis for axis in x.order if x.shape[axis] != 1]
    inside = [at for at, axis in enumerate(order) if axis in axes]
    if not x.is_dense(x.order) or (inside and inside != list(range(inside[0], inside[-1] + 1))):
        x = build.dense(x, (*kept, *axes))
        order = [axis for axis in (*kept, *axes) if x.shape[axis] != 1]
        inside = [at for at, axis in enumerate(order) if axis in axes]
    first, last = (inside[0], inside[-1] + 1) if inside else (len(order), len(order))
    outer, n, inner = (math.prod(x.shape[i] for i in part) for part in (order[:first], order[first:last], order[last:]))
    shape = tuple(1 if axis in axes else side for axis, side in enumerate(x.shape))
    y = build.new(shape, x.order)
    build.call("reduce", x, y, numbers=(kind, outer, n, inner))
    return y if keep else _without(y, axes)


# --- matrices ------------------------------------------------------------------------------------


def dense_layer(build: Builder, x: View, weights: np.ndarray, bias: np.ndarray) -> View:
    """Add x (…, inner) times weights (inner, outputs) plus bias (outputs): a convolution of 1 x 1."""
    inner, outputs = weights.shape
    if x.shape[-1] != inner:
        raise Unsupported("a product of matrices that do not fit each other")
    x = build.dense(x)
    rows = x.size // inner
    y = build.new((*x.shape[:-1], outputs))
    sizes = (1, rows, inner, inner, 1, rows, outputs, outputs, 1, 1, 1, 1, 0, 0, 1, 1)
    build.call("conv", x, build.weight(weights), build.weight(bias[None]), build.zeros(inner), y, numbers=sizes)
    return y


def _gemm(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    a = build.view(inputs[0])
    weights = known(inputs[1], "second matrix of Gemm") * np.float32(given.get("alpha", 1.0))
    weights = weights.T if given.get("transB") else weights
    a = a.transposed((1, 0)) if given.get("transA") else a
    bias = np.zeros(1, np.float32)
    if len(a.shape) != 2 or weights.ndim != 2:
        raise Unsupported("a Gemm of other than two sides")
    if given_input(inputs, 2):
        bias = known(inputs[2], "bias of Gemm") * np.float32(given.get("beta", 1.0))
    if bias.size not in (1, weights.shape[1]) or (bias.ndim and bias.shape[-1] != bias.size):
        raise Unsupported("a Gemm whose bias differs from row to row")
    return dense_layer(build, a, weights, np.broadcast_to(bias.reshape(-1), (weights.shape[1],)))


def _matmul(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    a, b = inputs
    if isinstance(b, np.ndarray) and b.ndim == 2:
        return dense_layer(build, build.view(a), b, np.zeros(b.shape[1], np.float32))
    a, b = build.view(a), build.view(b)
    if min(len(a.shape), len(b.shape)) < 2:
        raise Unsupported("a product with a vector")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    (m, k), n = a.shape[-2:], b.shape[-1]
    if b.shape[-2] != k:
        raise Unsupported("a product of matrices that do not fit each other")
    a, b = repeated(a, (*batch, m, k)), repeated(b, (*batch, k, n))
    y = build.new((*batch, m, n))
    for index in np.ndindex(*batch):
        parts = [
            (one.block, one.start + sum(i * step for i, step in zip(index, one.strides, strict=False)))
            for one in (a, b, y)
        ]
        build.step("matmul", parts, (m, k, n, *a.strides[-2:], *b.strides[-2:]))
    return y


def _softmax(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    (axis,) = _places([given.get("axis", -1 if given["version"] >= 13 else 1)], len(x.shape))
    if given["version"] < 13 and math.prod(x.shape[axis + 1 :]) != 1:  # it was over all sides from the axis on
        raise Unsupported("a Softmax over several sides")
    order = [*(i for i in range(len(x.shape)) if i != axis), axis]
    x = build.dense(x, order)
    y = build.new(x.shape, order)
    build.call("softmax", x, y, numbers=(x.size // x.shape[axis], x.shape[axis]), in_place=True)
    return y


# --- shapes --------------------------------------------------------------------------------------


def _reshape(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    if node == "Flatten":
        axis = given.get("axis", 1)
        wanted = [math.prod(x.shape[:axis]), -1]
    else:
        wanted = [int(side) for side in known(inputs[1], "shape of Reshape")]
        if not given.get("allowzero"):
            wanted = [x.shape[at] if side == 0 else side for at, side in enumerate(wanted)]
    known_part = math.prod(side for side in wanted if side != -1)
    shape = [x.size // known_part if side == -1 else side for side in wanted]
    if math.prod(shape) != x.size or min(shape, default=1) < 1:
        raise Unsupported(f"a {node} to other than as many numbers")
    x = build.dense(x)
    return View(x.block, x.start, tuple(shape), dense_strides(shape))


def _without(x: View, axes: Sequence[int]) -> View:
    gone = _places(axes, len(x.shape))
    if any(x.shape[axis] != 1 for axis in gone):
        raise Unsupported("a side that is dropped with its numbers")
    return x.transposed([axis for axis in range(len(x.shape)) if axis not in gone])


def _squeeze(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    axes = _axes(node, inputs, given)
    return _without(x, axes or [i for i, side in enumerate(x.shape) if side == 1])


def _unsqueeze(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    axes = _axes(node, inputs, given) or []
    rank = len(x.shape) + len(axes)
    new, rest = _places(axes, rank), iter(zip(x.shape, x.strides, strict=True))
    pairs = [(1, 0) if axis in new else next(rest) for axis in range(rank)]
    return View(x.block, x.start, tuple(side for side, _ in pairs), tuple(step for _, step in pairs))


def _axes(node: str, inputs: list[Any], given: dict[str, Any]) -> list[int] | None:
    """Return the axes of a node: an input since opset 13, an attribute before; None where it names none."""
    found = known(inputs[1], f"axes of {node}") if given_input(inputs, 1) else given.get("axes")
    return None if found is None else [int(axis) for axis in np.ravel(found)]


def _places(axes: Sequence[int], rank: int) -> list[int]:
    """Return axes counted from the first; `Unsupported` if one is not there, or there twice."""
    found = [axis + rank if axis < 0 else axis for axis in axes]
    if len(set(found)) < len(found) or not all(0 <= axis < rank for axis in found):
        raise Unsupported(f"axes {list(axes)} where it has {rank}")
    return found


def given_input(inputs: Sequence[Any], place: int) -> bool:
    """Return whether a node has an optional input."""
    return len(inputs) > place and inputs[place] is not None


def _transpose(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    order = list(given.get("perm", range(len(x.shape))[::-1]))
    if sorted(order) != list(range(len(x.shape))):
        raise Unsupported(f"a Transpose to {order} where it has {len(x.shape)} sides")
    return x.transposed(order)


def _slice(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    x = build.view(inputs[0])
    starts, ends = (known(value, "bounds of Slice") for value in inputs[1:3])
    named = known(inputs[3], "axes of Slice") if given_input(inputs, 3) else np.arange(len(starts))
    steps = known(inputs[4], "steps of Slice") if given_input(inputs, 4) else [1] * len(starts)
    axes = _places([int(axis) for axis in named], len(x.shape))
    shape, strides, start = list(x.shape), list(x.strides), x.start
    for low, high, axis, step in zip(starts, ends, axes, steps, strict=True):
        first, last, by = slice(int(low), int(high), int(step)).indices(x.shape[axis])
        shape[axis] = len(range(first, last, by))
        start += first * x.strides[axis]
        strides[axis] = by * x.strides[axis]
    return View(x.block, start, tuple(shape), tuple(strides))


def _concat(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    views = [build.view(value) for value in inputs]
    (axis,) = _places([given["axis"]], len(views[0].shape))
    shape = list(views[0].shape)
    if any([*view.shape[:axis], *view.shape[axis + 1 :]] != [*shape[:axis], *shape[axis + 1 :]] for view in views):
        raise Unsupported("a Concat of arrays that do not fit each other")
    shape[axis] = sum(view.shape[axis] for view in views)
    y, at = build.new(shape, views[0].order), 0
    for view in views:
        build.copy(view, View(y.block, at * y.strides[axis], view.shape, y.strides))
        at += view.shape[axis]
    return y


def _dropout(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    if given_input(inputs, 2) and known(inputs[2], "training_mode of Dropout").any():
        raise Unsupported("a Dropout in training mode")
    return build.view(inputs[0])


def _pass(build: Builder, node: str, inputs: list[Any], given: dict[str, Any]) -> View:
    return build.view(inputs[0])


def known(value: Any, what: str) -> np.ndarray:
    """Return a constant; `Unsupported` if it is computed."""
    if not isinstance(value, np.ndarray):
        raise Unsupported(f"{what} that depend on the image")
    return value


Operator = Callable[[Builder, str, list[Any], dict[str, Any]], View]
OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(UNARY, _named_unary),
    **dict.fromkeys(BINARY, _binary),
    "Clip": _clip,
    "Pow": _power,
    "PRelu": _prelu,
    "HardSwish": _hard_swish,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "ReduceMax": _reduce,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Softmax": _softmax,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Slice": _slice,
    "Concat": _concat,
    "Identity": _pass,
    "Dropout": _dropout,
}
