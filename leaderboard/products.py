"""The products in an ONNX graph, which `metrics.multiply_adds` counts; imports no more than a sandbox needs."""

import math

import numpy as np
import onnx
import onnxruntime

PRODUCTS = ("Conv", "Gemm", "MatMul")


def count(path) -> int:
    """Return the multiply-adds of one image in an ONNX file; whatever ONNX Runtime raises if it cannot be run."""
    products, shapes = of_one_image(path)
    return sum(cost(node, shapes) for node in products)


def of_one_image(path):
    """Return the graph's products, and the shape of all that goes into and comes out of them, as one image is read.

    They are those of a run: inference from the graph alone stops at shapes that are computed, as attention's are.
    """
    model = onnx.load(path)
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in PRODUCTS]
    names = {name for node in products for name in (*node.input[:2], *node.output)} - shapes.keys()
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in sorted(names - there))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # else it warns of outputs without a type
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (image,) = session.get_inputs()
    found = session.run(sorted(names), {image.name: np.zeros((1, *image.shape[1:]), np.uint8)})
    return products, shapes | {name: value.shape for name, value in zip(sorted(names), found, strict=True)}


def cost(node, shapes):
    """Return the multiply-adds of one product."""
    out, first, second = (shapes[name] for name in (node.output[0], *node.input[:2]))
    if node.op_type == "Conv":  # weights (filters, channels a group, height, width): each output sums over the rest
        return math.prod(out) * math.prod(second[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(out) * first[-2 if transposed else -1]
