"""Estimate the multiply-adds of an ONNX graph without running it: for the queue, where a submission waits unmeasured.

Every node counts by the shapes of its values, see `onnx_shapes`; products of two values as those by weights. A graph
whose shapes cannot be known counts as the longest. What the board shows is counted in a run (`leaderboard.products`).
"""

import math
from collections.abc import Mapping
from typing import Any

from leaderboard import products
from leaderboard.submissions.checks import onnx_shapes

MOST = 10**15  # the estimate of a graph whose shapes are not known
FREE_NODES = 400  # nodes that cost nothing to be started: as many as the largest network of the zoo has
START = 10_000  # multiply-adds that take as long as to start a node
VALUE = 5  # multiply-adds that take as long as to move or to compute a value
KEPT = ("Cast", "DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")  # of weights
TAPS = {"LRN": 5, "Resize": 16, "Upsample": 4, "TopK": 20}  # values that each output takes; a window: its size


def estimate(model: Any, shape: tuple[int, ...]) -> int:
    """Return about how many multiply-adds one image takes, and values where nothing is multiplied.

    Args:
        model: a rebuilt ModelProto.
        shape: of an image: height, width, channels.
    """
    shapes = onnx_shapes.of_one_image(model, shape)
    if shapes is None:
        return MOST
    stored = {tensor.name for tensor in model.graph.initializer}  # and what is made of them once, by moving or casting
    multiplied = values = 0
    for node in model.graph.node:
        if node.op_type in KEPT and all(name in stored for name in node.input):
            stored |= set(node.output)
            continue
        try:
            if node.op_type in products.PRODUCTS and node.op_type != "Mul":
                multiplied += products.cost(node, shapes)
        except (ValueError, IndexError, KeyError):
            return MOST
        values += _values(node, shapes, stored)
    started = max(len(model.graph.node) - FREE_NODES, 0) * START
    return min(max(multiplied, VALUE * values) + started, MOST)


def _values(node: Any, shapes: Mapping[str, tuple[int, ...]], stored: set[str]) -> int:
    """Return how many values a node takes or makes, whichever are more."""
    taken = sum(math.prod(shapes[name]) for name in node.input if name and name not in stored)
    made = sum(math.prod(shapes[name]) for name in node.output if name)
    window = next((math.prod(attribute.ints) for attribute in node.attribute if attribute.name == "kernel_shape"), 1)
    if node.op_type in products.PRODUCTS:
        return made
    return max(taken, made * max(window, TAPS.get(node.op_type, 1)))
