"""A network's ONNX graph for one image: every shape known, everything folded that depends on constants only."""

import functools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UnknownName, ZooError
from zoo.serving.opening import bounded
from zoo.serving.runtimes import installed
from zoo.types import Shape

# Values from which on a constant is stored in less than float32. Published weights of 1,000 and more values are float16
# already (`zoo.export.half_precision`), so that the file of a shipped network in float16 loses next to nothing.
LEAST = {"float16": 1_000, "int8": 64}
PRECISIONS = ("float32", *LEAST)


@dataclass(frozen=True)
class Graph:
    """A simplified graph.

    nodes: of ONNX, in the order of computation.
    constants: by name.
    input: name of the image, uint8 (1, height, width, channels).
    shape: height, width and channels of the image.
    output: name of the probabilities, float32 (1, classes).
    opset: version of the standard operators.
    model: the same graph as an ONNX file, for ONNX Runtime.
    """

    nodes: tuple[Any, ...]
    constants: dict[str, np.ndarray]
    input: str
    shape: Shape
    output: str
    opset: int
    model: bytes = field(repr=False)

    @functools.cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # one image is too little to share
        return onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])

    def values(self, images: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Return what ONNX Runtime makes of uint8 images: for each the value of every node, by the name of its output.

        Raises:
            ZooError: it cannot be run.
        """
        import onnx
        import onnxruntime

        model = onnx.load_from_string(self.model)
        names = sorted({name for node in model.graph.node for name in node.output if name} - {self.output})
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # fatal: the outputs that were added have no type
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            found = [output.name for output in session.get_outputs()]
            return [dict(zip(found, session.run(found, {self.input: i[None]}), strict=True)) for i in images]
        except Exception as error:  # ONNX Runtime has no common class of error
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ZooError(f"This network cannot be exported: ONNX Runtime cannot run it: {reason}") from error

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return what ONNX Runtime computes of uint8 images (N, height, width, channels): float32 (N, classes)."""
        return np.concatenate([self._session.run(None, {self.input: image[None]})[0] for image in images])


def read(path: Path, precision: str = "float32") -> Graph:
    """Read an ONNX file and simplify it for a batch of one image.

    Args:
        path: the file.
        precision: its weights are rounded to, one of `PRECISIONS`; the arithmetic stays in float32.

    Raises:
        UnknownName: no such precision.
        ZooError: ONNX is not installed, or it is not a network that takes one uint8 image with its channels last.
    """
    import onnxruntime

    onnx = installed("onnx")
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    try:
        model = onnx.load_from_string(bounded(path))
        for value in (*model.graph.input, *model.graph.output):
            batch = value.type.tensor_type.shape.dim[0]
            batch.Clear()
            batch.dim_value = 1
        del model.graph.value_info[:]  # shapes that were inferred for a free batch
        with tempfile.TemporaryDirectory() as scratch:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3  # errors
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            options.optimized_model_filepath = str(Path(scratch) / "simple.onnx")
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            model = onnx.load(options.optimized_model_filepath)
        _round(model, precision)
        constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
        (image,) = [one for one in model.graph.input if one.name not in constants]
        (answer,) = model.graph.output
        tensor = image.type.tensor_type
        sides = [side.dim_value for side in tensor.shape.dim]
        (opset,) = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    except ZooError:
        raise
    except Exception as error:  # ONNX, protobuf and ONNX Runtime share no class of error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ZooError(f"{path} is not an ONNX network for one image: {reason}") from error
    if tensor.elem_type != onnx.TensorProto.UINT8 or len(sides) != 4 or min(sides) < 1:
        raise ZooError(f"{path} takes {sides} or no bytes; only uint8 (1, height, width, channels) can be exported.")
    shape = sides[1], sides[2], sides[3]
    return Graph(tuple(model.graph.node), constants, image.name, shape, answer.name, opset, model.SerializeToString())


def _round(model: Any, precision: str) -> None:
    """Round the weights of a simplified model, in place; those of int8 have one scale for each output channel."""
    from onnx import numpy_helper

    outputs_first = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    outputs_first |= {n.input[1] for n in model.graph.node if n.op_type == "Gemm" and attributes(n).get("transB")}
    for one in model.graph.initializer:
        values = numpy_helper.to_array(one)
        if is_rounded(values, precision):
            axis = 0 if one.name in outputs_first else -1
            one.CopyFrom(numpy_helper.from_array(rounded(values, precision, axis), one.name))


def is_rounded(values: np.ndarray, precision: str) -> bool:
    """Return whether a constant is stored in less than float32 in a file of a precision."""
    if precision == "float32" or values.dtype != np.float32 or values.size < LEAST[precision]:
        return False
    rows = values.ndim > 1 and values.shape[0] < values.size
    return bool(rows and np.abs(values).max() <= np.finfo(np.float16).max)


def rounded(values: np.ndarray, precision: str, axis: int = -1) -> np.ndarray:
    """Return float32 values as a precision leaves them; `axis` is that of the output channels."""
    if precision == "int8":
        columns = np.moveaxis(values, axis, -1)
        whole, scale = quantized(columns.reshape(-1, columns.shape[-1]))
        return np.ascontiguousarray(np.moveaxis((whole * scale).reshape(columns.shape), -1, axis))
    return values.astype(np.dtype(precision)).astype(np.float32)


def quantized(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 (rows, columns) as int8 (rows, columns) and the scale of each column, float32 (columns,)."""
    scale = (np.abs(values).max(axis=0) / 127).astype(np.float32)
    scale[scale == 0] = 1
    return np.round(values / scale).astype(np.int8), scale


def attributes(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name; text as `str`."""
    import onnx

    found = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}
