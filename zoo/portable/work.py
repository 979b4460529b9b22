"""How long a program takes: what its calls make `kernels.c` do, and `computing.py`, which takes longer.

Whoever wrote the network chose the numbers of a call: a window of some bytes may have billions of places.
"""

import math
from collections.abc import Callable, Sequence

from zoo.portable.reach import Unsupported

MOST = 1_000_000_000  # operations of a program for one image; the published networks take up to 0.1 billion
# In operations, what takes NumPy longer than the product of two numbers and a sum:
MOVED = 10  # a number that is read from memory or written there
FUNCTION = 30  # one exp, or erf
TAP = 10_000  # to begin with one place of a window, or with one row of a maximum


def check(calls: Sequence[tuple[str, Sequence[int | float]]]) -> None:
    """Raise Unsupported if calls, each the name of a kernel and its numbers, take too long together."""
    if sum(KERNELS[kernel](*numbers) for kernel, numbers in calls) > MOST:
        raise Unsupported(f"more than {MOST:,} operations for an image")


def _conv(
    height: int, width: int, channels: int, inner: int, y_height: int, y_width: int, y_channels: int, outputs: int,
    kernel_height: int, kernel_width: int, *more: int,
) -> int:  # fmt: skip
    products = inner * outputs + MOVED * (inner + outputs)
    return MOVED * height * width * inner + kernel_height * kernel_width * (TAP + y_height * y_width * products)


def _depthwise(
    height: int, width: int, channels: int, y_height: int, y_width: int, kernel_height: int, kernel_width: int,
    *more: int,
) -> int:  # fmt: skip
    read, written = height * width * channels, y_height * y_width * channels
    return MOVED * read + kernel_height * kernel_width * (TAP + MOVED * written)


def _reduce(kind: int, outer: int, n: int, inner: int) -> int:
    return n * (MOVED * outer * inner + (TAP if kind == 2 else 0))


KERNELS: dict[str, Callable[..., int]] = {
    "load": lambda n: MOVED * n,
    "conv": _conv,
    "depthwise": _depthwise,
    "pool": lambda kind, *sizes: _depthwise(*sizes),
    "reduce": _reduce,
    "softmax": lambda rows, n: FUNCTION * rows * n,
    "matmul": lambda m, k, n, *strides: m * k * n + MOVED * (m * k + k * n + m * n),
    "unary": lambda f, n, p, q: FUNCTION * n,
    "binary": lambda f, *numbers: MOVED * math.prod(numbers[:3]),
    "copy": lambda *numbers: MOVED * math.prod(numbers[:3]),
}
