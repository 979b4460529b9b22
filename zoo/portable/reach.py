"""What each kernel of `kernels.c` reads and writes: no program has a call that leaves its arrays.

Whoever wrote the network chose the numbers of a call, and a C program checks none of them.
"""

import math
from collections.abc import Callable, Sequence

Reach = tuple[int, int]  # of the numbers from a place on: the first that is used, and the one after the last
MOST = 2**31 - 1  # of an `int` of C


class Unsupported(Exception):
    """What no program does; its text completes "This network cannot be exported: it has …"."""


def of_call(kernel: str, numbers: Sequence[int | float]) -> list[Reach]:
    """Return what a call with these arguments reaches of each of its arrays; `Unsupported` if they make no sense."""
    if not all(-MOST <= number <= MOST for number in numbers if isinstance(number, int)):
        raise Unsupported(f"a call of {kernel} with numbers out of range")
    if not all(math.isfinite(number) for number in numbers):
        raise Unsupported(f"a call of {kernel} with what is no number")
    return KERNELS[kernel](*numbers)


def _several(*sizes: int | float) -> int:
    """Return how many numbers an array of these sides has; each is at least one."""
    count = 1
    for size in sizes:
        if not isinstance(size, int) or size < 1:
            raise Unsupported("an array without numbers")
        count *= size
    return count


def _strided(sides: Sequence[int], strides: Sequence[int]) -> Reach:
    """Return what a walk over sides reaches; strides may be negative."""
    _several(*sides)
    ends = [(side - 1) * stride for side, stride in zip(sides, strides, strict=True)]
    return sum(end for end in ends if end < 0), sum(end for end in ends if end > 0) + 1


def _window(count: int, stride: int, pad: int, kernel: int, dilation: int = 1) -> None:
    """Raise Unsupported if the places that a window visits along a side are no `int`, or it does not move on."""
    _several(stride, dilation)
    if (count - 1) * stride + (kernel - 1) * dilation + abs(pad) > MOST:
        raise Unsupported("a window beyond all images")


def _load(n: int) -> list[Reach]:
    return [(0, -(-_several(n) // 4)), (0, n)]  # four bytes in the place of a number


def _conv(
    height: int, width: int, channels: int, inner: int, y_height: int, y_width: int, y_channels: int, outputs: int,
    kernel_height: int, kernel_width: int, stride_y: int, stride_x: int, pad_y: int, pad_x: int, dilation_y: int,
    dilation_x: int,
) -> list[Reach]:  # fmt: skip
    _window(y_height, stride_y, pad_y, kernel_height, dilation_y)
    _window(y_width, stride_x, pad_x, kernel_width, dilation_x)
    if inner > channels or outputs > y_channels:
        raise Unsupported("a convolution of more channels than there are")
    read = (_several(height, width, channels) // channels - 1) * channels + _several(inner)
    written = (_several(y_height, y_width, y_channels) // y_channels - 1) * y_channels + _several(outputs)
    return [(0, read), (0, _several(kernel_height, kernel_width, inner, outputs)), (0, outputs), (0, inner),
            (0, written)]  # fmt: skip


def _depthwise(
    height: int, width: int, channels: int, y_height: int, y_width: int, kernel_height: int, kernel_width: int,
    stride_y: int, stride_x: int, pad_y: int, pad_x: int, dilation_y: int, dilation_x: int,
) -> list[Reach]:  # fmt: skip
    _window(y_height, stride_y, pad_y, kernel_height, dilation_y)
    _window(y_width, stride_x, pad_x, kernel_width, dilation_x)
    return [(0, _several(height, width, channels)), (0, _several(kernel_height, kernel_width, channels)),
            (0, channels), (0, _several(y_height, y_width, channels))]  # fmt: skip


def _pool(
    kind: int, height: int, width: int, channels: int, y_height: int, y_width: int, kernel_height: int,
    kernel_width: int, stride_y: int, stride_x: int, pad_y: int, pad_x: int,
) -> list[Reach]:  # fmt: skip
    _several(kernel_height, kernel_width)
    _window(y_height, stride_y, pad_y, kernel_height)
    _window(y_width, stride_x, pad_x, kernel_width)
    return [(0, _several(height, width, channels)), (0, _several(y_height, y_width, channels))]


def _reduce(kind: int, outer: int, n: int, inner: int) -> list[Reach]:
    return [(0, _several(outer, n, inner)), (0, _several(outer, inner))]


def _softmax(rows: int, n: int) -> list[Reach]:
    return [(0, _several(rows, n))] * 2


def _matmul(m: int, k: int, n: int, a_m: int, a_k: int, b_k: int, b_n: int) -> list[Reach]:
    return [_strided((m, k), (a_m, a_k)), _strided((k, n), (b_k, b_n)), (0, _several(m, n))]


def _unary(f: int, n: int, p: float, q: float) -> list[Reach]:
    return [(0, _several(n))] * 2


def _binary(f: int, n0: int, n1: int, n2: int, *strides: int) -> list[Reach]:
    sides = n0, n1, n2
    return [_strided(sides, strides[:3]), _strided(sides, strides[3:]), (0, _several(*sides))]


def _copy(n0: int, n1: int, n2: int, *strides: int) -> list[Reach]:
    return [_strided((n0, n1, n2), strides[:3]), _strided((n0, n1, n2), strides[3:])]


KERNELS: dict[str, Callable[..., list[Reach]]] = {
    "load": _load,
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
