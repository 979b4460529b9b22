"""Multiply-adds: multiplications with a weight or between activations that one image costs, counted in the ONNX graph.

Convolutions and matrix products count; what works value by value (activations, scaling, pooling) does not, as is usual.
"""

import math

import datasets
import evaluate
import onnx

VERSION = 1  # a record that another version measured is stale


class MultiplyAdds(evaluate.Metric):
    """`compute(predictions=…, references=…, onnx_path=…)` -> {"multiply_adds": count}."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references, onnx_path):
        graph = single_image_graph(onnx_path)
        shapes = {value.name: dimensions(value) for value in (*graph.input, *graph.value_info, *graph.output)}
        shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
        return {"multiply_adds": sum(cost(node, shapes) for node in graph.node)}


def single_image_graph(path):
    """Return the graph with a batch of 1 and every shape inferred."""
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph


def dimensions(value):
    """Return a tensor's shape; an unknown dimension is 0."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


def cost(node, shapes):
    """Return the multiply-adds of one node; ValueError where a product's shape could not be inferred."""
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return 0
    out, first, second = (shapes.get(name) for name in (node.output[0], *node.input[:2]))
    if not (out and first and second and all(out)):
        raise ValueError(f"{node.op_type} {node.name}: the shape of {node.output[0]} is unknown")
    if node.op_type == "Conv":  # weights (filters, channels a group, height, width): each output sums over the rest
        return math.prod(out) * math.prod(second[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(out) * first[-2 if transposed else -1]
