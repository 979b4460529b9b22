"""Estimate the multiply-adds of an ONNX graph without running it: for the queue, where a submission waits unmeasured.

Every node counts by the shapes of its values, see `onnx_shapes`; products of two values as those by weights. A graph
whose shapes cannot be known counts as the longest. What the board shows is counted in a run (`leaderboard.products`).
"""

from typing import Any

from leaderboard.submissions.checks import onnx_shapes
from zoo.strict import onnx_costs

MOST = 10**15  # the estimate of a graph whose shapes are not known
FREE_NODES = 400  # nodes that cost nothing to be started: as many as the largest network of the zoo has
START = 10_000  # multiply-adds that take as long as to start a node
VALUE = 5  # multiply-adds that take as long as to move or to compute a value
KEPT = ("Cast", "DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")  # of weights


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
            if node.op_type in onnx_costs.PRODUCTS and node.op_type != "Mul":
                multiplied += onnx_costs.cost(node, shapes)
        except (ValueError, IndexError, KeyError):
            return MOST
        values += onnx_costs.values(node, shapes, stored)
    started = max(len(model.graph.node) - FREE_NODES, 0) * START
    return min(max(multiplied, VALUE * values) + started, MOST)
