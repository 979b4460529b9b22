"""Estimate the multiply-adds of an ONNX graph without running it: for the queue, where a submission waits unmeasured.

Of each value the places of an image and the channels are followed: strides and pooling leave fewer places, a product
makes as many channels as its stored weights say. Products of two values, as in attention, are left out. What the board
shows is counted in a run, see `leaderboard.products`.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from leaderboard.submissions.checks.onnx_structure import IMAGE, OF_SHAPES

CONVOLUTIONS = ("Conv", "ConvInteger", "QLinearConv")
MATRICES = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "Einsum")
RECURRENT = ("RNN", "GRU", "LSTM")
ONE_PLACE = ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "ReduceSum")  # is left by these
LARGEST, MOST = 10**8, 10**15  # numbers of a value, and the estimate: whatever a graph says

Size = tuple[int, int]  # places and channels of a value


def estimate(nodes: Iterable[Any], constants: Mapping[str, Any], shape: tuple[int, ...]) -> int:
    """Return about how many multiply-adds one image takes, and values where nothing is multiplied.

    Args:
        nodes: NodeProto of a rebuilt graph, in their order.
        constants: name -> TensorProto of every initializer that they use.
        shape: of an image: height, width, channels.
    """
    sides = {name: tuple(tensor.dims) for name, tensor in constants.items()}  # also of what is made of them alone
    sizes: dict[str, Size] = {IMAGE: (shape[0] * shape[1], shape[2])}
    total = 0
    for node in nodes:
        weights = max((sides[name] for name in node.input if name in sides), key=math.prod, default=())
        given = [sizes[name] for name in node.input if name in sizes]
        if not given or node.op_type in OF_SHAPES:
            sides |= dict.fromkeys(node.output, weights)
            continue
        cost, made = _made(node, given, weights)
        sizes |= dict.fromkeys(node.output, made)
        total += cost
    return min(total, MOST)


def _made(node: Any, given: list[Size], weights: tuple[int, ...]) -> tuple[int, Size]:
    """Return what a node costs, and the size of what it makes of values and its largest stored value."""
    places, channels = max(given, key=math.prod)
    strides = max(math.prod(next((list(a.ints) for a in node.attribute if a.name == "strides"), [])), 1)
    numbers, fewer = math.prod(weights), max(places // strides, 1)
    if node.op_type in CONVOLUTIONS and weights:
        if not any(a.name in ("pads", "auto_pad") and (any(a.ints) or a.s[:4] == b"SAME") for a in node.attribute):
            fewer = max(round(math.sqrt(places)) - weights[-1] + 1, 1) ** 2 // strides or 1  # without a margin
        return fewer * numbers, (fewer, weights[0])
    if node.op_type == "ConvTranspose" and len(weights) > 1:
        return places * numbers, (min(places * strides, LARGEST), weights[1])
    if node.op_type in MATRICES and len(weights) > 1:
        rows = weights[-1] if any(a.name == "transB" and a.i for a in node.attribute) else weights[-2]
        times = max(places * channels // max(rows, 1), 1)
        return times * numbers, (min(times, LARGEST), numbers // max(rows, 1))
    if node.op_type in RECURRENT and weights:
        steps = math.isqrt(places)
        return steps * numbers, (steps, weights[-1])
    if node.op_type == "Concat":
        channels = sum(channels for _, channels in given)
    made = (1 if node.op_type in ONE_PLACE else fewer), channels
    return math.prod(made), made
