"""The products of an ONNX graph: multiplications with a weight or between activations that one image costs.

It imports no metrics package, so that a sandbox can import it.

Matrix products, convolutions and recurrent layers count, in floating point or in whole numbers, and so does a Mul by a
stored matrix, which is a part of a matrix product. Elementwise operations (activations, scaling by a number or
one number per channel, pooling, normalization) do not count, as is usual, as long as there are fewer of them: a matrix
product that is built from divisions, sums of squares or other elementwise operations needs one value per product.

What computes in eight bytes counts twice, as such numbers do (`zoo.stored_numbers`): there is room for two in them.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from zoo.strict.onnx_costs import PRODUCTS, cost


def count(path: Path | str) -> int:
    """Return the multiply-adds of one image in an ONNX file; raise what ONNX Runtime raises if it cannot be run.

    These are its products, or the values that all its other nodes make of an image if there are more of them. They are
    counted in a run: inference from the graph alone stops at shapes that are computed, as in attention.
    """
    graph = onnx.load(path).graph
    made = next(values(path, 1))
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes |= {name: value.shape for name, value in made.items()}
    constant = constants(graph)
    products = [node for node in graph.node if _is_product(node, constant, shapes)]
    multiplied = {name for node in products for name in node.output}
    others = {name for node in graph.node for name in node.output if name} - multiplied - constant
    return max(
        sum(cost(node, shapes) * _numbers(made[node.output[0]]) for node in products),
        sum(made[name].size * _numbers(made[name]) for name in others),
    )


def whole(path: Path | str) -> Any:
    """Return the network of an ONNX file as an `onnxruntime.InferenceSession` that can give every value of its graph.

    It is counted and measured in such a one. What a runtime computes together, and how it rounds then, depends on which
    values a session can give: a network could see by it in which of two it is, and be small in one and large in the
    other. Its first outputs are those of the file.
    """
    import onnxruntime  # not where strangers' files are only read, see `leaderboard.submissions.checks.onnx_work`

    model = onnx.load(path)
    there = {value.name for value in model.graph.output}
    names = {name for node in model.graph.node for name in node.output if name} - there
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in sorted(names))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # otherwise it warns about outputs without a type
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _numbers(value: np.ndarray) -> int:
    """Return how many numbers each number of an array counts as."""
    return 2 if value.dtype.itemsize > 4 else 1


def values(path: Path | str, images: int, more: Iterable[np.ndarray] = ()) -> Iterator[dict[str, np.ndarray]]:
    """Yield the image and every value that the nodes of a graph make of it, by name, for each of several images.

    The first image is empty, the others are random, always the same; `more`, uint8 (height, width, channels), follow.

    Raises:
        ValueError: a value has no numbers. Whoever runs the graph without naming all values may leave out what makes
            it, and then it has some.
    """
    session = whole(path)
    given_empty = {name for node in onnx.load(path).graph.node if node.op_type == "Constant" for name in node.output}
    (image,) = session.get_inputs()
    outputs = [output.name for output in session.get_outputs()]
    rng, sides = np.random.default_rng(0), image.shape[1:]
    shown = (rng.integers(0, 256 if number else 1, sides, np.uint8) for number in range(images))
    for given in itertools.chain(shown, more):
        feed = {image.name: np.asarray(given)[None]}
        made = dict(zip(outputs, session.run(outputs, feed), strict=True))
        if empty := {name for name, value in made.items() if not value.size} - given_empty:
            raise ValueError(f"it makes {len(empty)} values of no numbers")
        yield feed | made


def _is_product(node: onnx.NodeProto, stored: set[str], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the products of a node count; those of a Mul do if it is by a stored matrix."""
    return node.op_type in PRODUCTS and (node.op_type != "Mul" or _by_matrix(node, stored, shapes))


def _by_matrix(node: onnx.NodeProto, stored: set[str], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a Mul is by a stored matrix and not only a scale (a number, or one number per channel)."""
    return any(name in stored and sum(side > 1 for side in shapes[name]) > 1 for name in node.input)


def constants(graph: onnx.GraphProto) -> set[str]:
    """Return the names of what is stored, and of what is computed from that alone."""
    names = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if all(name in names for name in node.input if name):
            names |= set(node.output)
    return names


_FREE = (
    "Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape "
    "Cos CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Elu Equal Erf Exp Expand Flatten "
    "Floor Gather GatherElements GatherND Gelu GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual "
    "GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization LRN LayerNormalization LeakyRelu Less "
    "LessOrEqual Log LogSoftmax LpNormalization LpPool Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Neg "
    "Not Or PRelu Pad Pow QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean "
    "ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round Selu Shape Shrink Sigmoid Sign Sin Size "
    "Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK "
    "Transpose Unsqueeze Upsample Where Xor"
)
FREE = frozenset(_FREE.split())  # elementwise operations, or operations that only move values
