"""Compute a program with NumPy, as `kernels.c` does, and compare it with ONNX Runtime before it is handed out."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from zoo.portable.operators import BINARY, UNARY
from zoo.portable.program import Program
from zoo.portable.reach import Unsupported

SURE, OTHERS = 0.9, 0.05  # a probability, and the share of the images with one that may get another class
SHARE = 1e-3  # of the largest answer that two answers differ by at most


def compare(program: Program, images: np.ndarray, expected: np.ndarray) -> None:
    """Raise Unsupported if a program gives other answers than ONNX Runtime.

    Args:
        program: of a network.
        images: uint8 (N, height, width, channels).
        expected: its answer to each, float32 (N, classes).
    """
    for image, right in zip(images, expected, strict=True):
        found = answer(program, image)
        if not np.allclose(found, right.ravel(), rtol=0, atol=SHARE * max(1.0, float(np.abs(right).max()))):
            raise Unsupported("a graph of which ONNX Runtime gives other answers")


def compare_labels(program: Program, images: np.ndarray, expected: np.ndarray) -> None:
    """Raise Unsupported if a program often gives another class where the file is sure, whatever its weights lost.

    Args:
        program: of a network, its weights rounded.
        images: uint8 (N, height, width, channels).
        expected: the answers of the file, float32 (N, classes).
    """
    sure = np.flatnonzero(expected.max(axis=1) >= SURE)
    wrong = sum(answer(program, images[place]).argmax() != expected[place].argmax() for place in sure)
    if wrong > len(sure) * OTHERS:
        raise Unsupported(f"another answer to {wrong} of {len(sure)} images than model.onnx, of which that is sure")


def answer(program: Program, image: np.ndarray) -> np.ndarray:
    """Return the answer of a program to one image, uint8 (height, width, channels): float32 (classes,)."""
    memory = np.zeros(program.memory, np.float32)
    for weight in program.weights:
        memory[weight.at : weight.at + weight.values.size] = weight.values.ravel()
    with np.errstate(all="ignore"):
        for kernel, places, numbers in program.calls():
            if kernel == "load":
                memory[places[1] : places[1] + numbers[0]] = image.ravel()
            else:
                KERNELS[kernel](*(memory[place:] for place in places), *numbers)
    start = program.answer[0].at + program.answer[1]
    return memory[start : start + program.classes]


def _view(memory: np.ndarray, sides: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """Return numbers of a memory; strides are not negative, or the numbers before it are its base's."""
    return as_strided(memory, sides, [4 * stride for stride in strides])


def _taps(x: np.ndarray, y: np.ndarray, window: Sequence[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield, of each tap of a window, its number, what it reads of an image and where that goes in another.

    x, y: (height, width, channels). window: kernel, strides, pads and dilations, each of both sides.
    """
    for row in range(window[0]):
        rows, to_rows = _visited(0, row, x, y, window)
        for column in range(window[1] if len(rows) else 0):
            columns, to_columns = _visited(1, column, x, y, window)
            if len(columns):
                yield row * window[1] + column, x[np.ix_(rows, columns)], y[_box(to_rows), _box(to_columns)]


def _visited(
    side: int, number: int, x: np.ndarray, y: np.ndarray, window: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return where a row or column of a window reads within an image, and where that goes in another."""
    visited = np.arange(y.shape[side]) * window[2 + side] - window[4 + side] + number * window[6 + side]
    inside = (visited >= 0) & (visited < x.shape[side])
    return visited[inside], np.flatnonzero(inside)


def _box(places: np.ndarray) -> slice:
    return slice(int(places[0]), int(places[-1]) + 1)


def _conv(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, zeros: np.ndarray, y: np.ndarray, height: int, width: int,
    channels: int, inner: int, y_height: int, y_width: int, y_channels: int, outputs: int, *window: int,
) -> None:  # fmt: skip
    image = _view(x, (height, width, inner), (width * channels, channels, 1)).copy()
    made = _view(y, (y_height, y_width, outputs), (y_width * y_channels, y_channels, 1))
    rows = w[: window[0] * window[1] * inner * outputs].reshape(-1, inner, outputs)
    made[:] = b[:outputs]
    for tap, read, written in _taps(image, made, window):
        written += read @ rows[tap]


def _depthwise(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, y: np.ndarray, height: int, width: int, channels: int, y_height: int,
    y_width: int, *window: int,
) -> None:  # fmt: skip
    image, made = _image(x, height, width, channels).copy(), _image(y, y_height, y_width, channels)
    made[:] = b[:channels]
    for tap, read, written in _taps(image, made, window):
        written += read * w[tap * channels : (tap + 1) * channels]


def _image(memory: np.ndarray, *sides: int) -> np.ndarray:
    return memory[: int(np.prod(sides))].reshape(sides)


def _pool(
    x: np.ndarray, y: np.ndarray, kind: int, height: int, width: int, channels: int, y_height: int, y_width: int,
    *window: int,
) -> None:  # fmt: skip
    image, made = _image(x, height, width, channels).copy(), _image(y, y_height, y_width, channels)
    seen = np.zeros((y_height, y_width, 1), np.float32)
    made[:] = 0 if kind else np.finfo(np.float32).min
    window = (*window, 1, 1)
    for (_, read, written), (_, one, counted) in zip(
        _taps(image, made, window), _taps(np.ones((height, width, 1), np.float32), seen, window), strict=True
    ):
        counted += one
        if kind:
            written += read
        else:
            written[:] = _larger(read, written)
    if kind:
        made /= window[0] * window[1] if kind == 2 else seen


def _reduce(x: np.ndarray, y: np.ndarray, kind: int, outer: int, n: int, inner: int) -> None:
    rows = _image(x, outer, n, inner)
    if kind == 2:
        y[: outer * inner] = functools.reduce(lambda most, row: _larger(row, most), rows.swapaxes(0, 1)).ravel()
    else:
        y[: outer * inner] = (np.mean, np.sum)[kind](rows, axis=1).ravel()


def _softmax(x: np.ndarray, y: np.ndarray, rows: int, n: int) -> None:
    lines = _image(x, rows, n)
    powers = _exp(lines - lines.max(axis=1, keepdims=True))
    y[: rows * n] = (powers / powers.sum(axis=1, keepdims=True)).ravel()


def _matmul(
    a: np.ndarray, b: np.ndarray, y: np.ndarray, m: int, k: int, n: int, a_m: int, a_k: int, b_k: int, b_n: int
) -> None:
    y[: m * n] = (_view(a, (m, k), (a_m, a_k)) @ _view(b, (k, n), (b_k, b_n))).ravel()


def _unary(x: np.ndarray, y: np.ndarray, f: int, n: int, p: float, q: float) -> None:
    y[:n] = FUNCTIONS[f](x[:n], np.float32(p), np.float32(q))


def _binary(a: np.ndarray, b: np.ndarray, y: np.ndarray, f: int, n0: int, n1: int, n2: int, *strides: int) -> None:
    sides = n0, n1, n2
    y[: n0 * n1 * n2] = PAIRS[f](_view(a, sides, strides[:3]), _view(b, sides, strides[3:])).ravel()


def _copy(x: np.ndarray, y: np.ndarray, n0: int, n1: int, n2: int, *strides: int) -> None:
    sides = n0, n1, n2
    _view(y, sides, strides[3:])[:] = _view(x, sides, strides[:3])


# The functions of `kernels.c`, also where their argument is out of their range: a network may lie in wait there.


def _larger(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The second one where either is no number."""
    return np.where(s > t, s, t)


def _exp(t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(np.where(t < -87, -87, np.where(t > 88, 88, t))))


def _log(t: np.ndarray) -> np.ndarray:
    bits = np.asarray(t, np.float32).view(np.uint32)
    power = (bits >> 23).astype(np.int32) - 127
    return np.asarray(power * np.float32(0.69314718) + np.log(((bits & 0x7FFFFF) | 0x3F800000).view(np.float32)))


def _sqrt(t: np.ndarray) -> np.ndarray:
    root: np.ndarray = ((np.asarray(t, np.float32).view(np.uint32) >> 1) + 0x1FBB4000).view(np.float32)
    for _ in range(3):
        root = np.float32(0.5) * (root + t / root)
    return np.where(t <= 0, 0, root)


def _logistic(t: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + _exp(-t)))


def _erf(t: np.ndarray) -> np.ndarray:
    """Abramowitz and Stegun, 7.1.26, as in `kernels.c`."""
    a = np.abs(t)
    u = 1 / (1 + np.float32(0.3275911) * a)
    p = ((((1.061405429 * u - 1.453152027) * u + 1.421413741) * u - 0.284496736) * u + 0.254829592) * u
    return np.asarray(np.where(t < 0, -1, 1) * (1 - p * _exp(-a * a)))


KERNELS: Mapping[str, Callable[..., None]] = {
    "conv": _conv,
    "depthwise": _depthwise,
    "pool": _pool,
    "reduce": _reduce,
    "softmax": _softmax,
    "matmul": _matmul,
    "unary": _unary,
    "binary": _binary,
    "copy": _copy,
}
FUNCTIONS: Mapping[int, Callable[..., np.ndarray]] = {
    UNARY["Relu"]: lambda t, p, q: np.where(t > 0, t, 0),
    UNARY["Sigmoid"]: lambda t, p, q: _logistic(t),
    UNARY["Tanh"]: lambda t, p, q: 1 - 2 / (1 + _exp(2 * t)),
    UNARY["Erf"]: lambda t, p, q: _erf(t),
    UNARY["Neg"]: lambda t, p, q: -t,
    UNARY["Sqrt"]: lambda t, p, q: _sqrt(t),
    UNARY["Reciprocal"]: lambda t, p, q: 1 / t,
    UNARY["Exp"]: lambda t, p, q: _exp(t),
    UNARY["Abs"]: lambda t, p, q: np.abs(t),
    UNARY["Clip"]: lambda t, p, q: np.where(t < p, p, np.where(t > q, q, t)),
    UNARY["LeakyRelu"]: lambda t, p, q: np.where(t < 0, p * t, t),
    UNARY["Elu"]: lambda t, p, q: np.where(t < 0, p * (_exp(t) - 1), t),
    UNARY["HardSigmoid"]: lambda t, p, q: np.where(p * t + q < 0, 0, np.where(p * t + q > 1, 1, p * t + q)),
    UNARY["Softplus"]: lambda t, p, q: np.where(t > 0, t, 0) + _log(1 + _exp(np.where(t < 0, t, -t))),
    UNARY["Log"]: lambda t, p, q: _log(t),
    UNARY["Swish"]: lambda t, p, q: t * _logistic(t),
}
PAIRS: Mapping[int, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    BINARY["Add"]: np.add,
    BINARY["Mul"]: np.multiply,
    BINARY["Sub"]: np.subtract,
    BINARY["Div"]: np.divide,
    BINARY["Max"]: _larger,
    BINARY["Min"]: lambda s, t: np.where(s < t, s, t),
}
