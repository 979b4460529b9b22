"""A Keras network as ONNX without any framework: its layers, written one by one.

TensorFlow's converter does this where Keras runs on TensorFlow; under JAX and PyTorch, and on a machine that has no
TensorFlow, this module does. Constants are named after the weights that they hold.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.backend import keras
from zoo.errors import ZooError
from zoo.export.onnx_layers import WRITERS
from zoo.export.onnx_nodes import Graph, Value

OPSET, IR_VERSION = 15, 8  # as TensorFlow's converter writes
INPUT, OUTPUT = "images", "probabilities"


def write(model: "keras.Model", path: Path) -> None:
    """Write a functional model as ONNX with a free batch size: uint8 (N, H, W, C) in, float32 probabilities out.

    Raises:
        ZooError: a layer or a setting that this module does not know.
    """
    import onnx

    graph = Graph()
    (inputs,), (outputs,) = model.inputs, model.outputs
    value = _written(graph, model, Value(INPUT, tuple(inputs.shape)))
    graph.op("Identity", graph.last(value))
    graph.nodes[-1].output[0] = OUTPUT
    types = onnx.TensorProto
    element = types.UINT8 if inputs.dtype == "uint8" else types.FLOAT
    made = onnx.helper.make_graph(
        graph.nodes,
        model.name,
        [onnx.helper.make_tensor_value_info(INPUT, element, ["N", *inputs.shape[1:]])],
        [onnx.helper.make_tensor_value_info(OUTPUT, types.FLOAT, ["N", *outputs.shape[1:]])],
        [onnx.numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
    )
    opset = [onnx.helper.make_opsetid("", OPSET)]
    whole = onnx.helper.make_model(made, producer_name="handwriting-zoo", opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(whole)
    onnx.save(whole, path)


def _written(graph: Graph, model: "keras.Model", value: Value) -> Value:
    """Append the nodes of a model that is called with a value; return the value of its output."""
    (inputs,), (outputs,) = model.inputs, model.outputs
    known: dict[int, Value] = {id(inputs): value}

    def named(argument: Any) -> Any:
        if isinstance(argument, list | tuple):
            return [named(part) for part in argument]
        return known[id(argument)] if isinstance(argument, keras.KerasTensor) else argument

    for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if node.is_input:
                continue
            operation, output = node.operation, node.outputs[0]
            arguments = [named(argument) for argument in (*node.arguments.args, *node.arguments.kwargs.values())]
            if isinstance(operation, keras.Model):
                found = _written(graph, operation, arguments[0])
            else:
                kind = type(operation).__name__
                if kind not in WRITERS:
                    raise ZooError(
                        f"{model.name} has a layer {operation.name} of type {kind}, which only TensorFlow writes as "
                        "ONNX: install TensorFlow and set KERAS_BACKEND=tensorflow."
                    )
                found = WRITERS[kind](graph, operation, arguments, output)
            known[id(output)] = replace(found, shape=tuple(output.shape))
    return known[id(outputs)]
