"""Runtimes for a network's file: ONNX Runtime, OpenVINO or LiteRT, with the same interface.

`zoo.serving.predictor` serves on ONNX Runtime; OpenVINO is its option for large batches; LiteRT runs what
`scripts/export.py` writes for a phone, so that its accuracy is measured on the file itself. None of them imports Keras
or TensorFlow; the two that need not be installed are imported when they are asked for.
"""

import importlib
import importlib.util
import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import onnxruntime

from zoo.errors import ZooError
from zoo.published import parse_json
from zoo.strict import onnx_limits
from zoo.types import Json

DEFAULT = "onnxruntime"
FEW = 8  # images that are served together so often that what they take in memory is kept
METADATA_KEY = "handwriting_zoo"  # under which an exported file says what it is, as JSON


class Runtime(Protocol):
    """A loaded network; may be shared by threads."""

    input_shape: tuple[int, int, int]  # height, width, channels
    classes: int | None  # how many it answers with; None where its file does not say
    said: Json  # what the file says of itself; {} for a file that `zoo.export.formats` did not write

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return float32 probabilities (N, classes) of uint8 images (N, H, W, C); ZooError where ONNX Runtime fails."""


def threads() -> int:
    """Return how many processors this process may use; `OMP_NUM_THREADS` makes it fewer, as for other libraries."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(there, int(asked)) if asked.isdecimal() and int(asked) else there


class Bounded:
    """A network of anybody's: no number of images is computed together that was not checked.

    Raises:
        onnx_limits.TooMuch: it may not be opened.
    """

    def __init__(self, data: bytes, runtime: str):
        self._limits = onnx_limits.Bounded(data, indices=runtime == DEFAULT)
        self._runtime = RUNTIMES[runtime](self._limits.model)
        self.input_shape, self.classes = self._runtime.input_shape, self._runtime.classes
        self.said = self._runtime.said

    def __call__(self, images: np.ndarray) -> np.ndarray:
        try:
            self._limits.check(len(images))
        except Exception as error:  # TooMuch, or what ONNX Runtime raises while it infers: its errors share no class
            reason = str(error).splitlines()[0].rstrip(".")
            raise ZooError(f"The network is not computed for {len(images)} images: {reason}.") from error
        return self._runtime(images)


class _OnnxRuntime:
    def __init__(self, data: bytes):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = threads()
        # Waiting threads sleep: a served model is idle most of the time, and several share the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._large = onnxruntime.RunOptions()  # its arena keeps the most that a run ever took: it is to give it back
        self._large.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        source = self._session.get_inputs()[0]
        self._feed, self.input_shape = source.name, tuple(source.shape[1:])
        *_, classes = self._session.get_outputs()[0].shape or [None]
        self.classes: int | None = classes if isinstance(classes, int) else None
        self.said = parse_json(self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}"))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        options = self._large if len(images) > FEW else None
        try:
            probabilities: np.ndarray = self._session.run(None, {self._feed: images}, options)[0]
        except Exception as error:  # its errors share no class
            node = re.search(r"running (\w+) node", str(error))
            failed = f"its {node[1]} failed" if node else "it failed"
            raise ZooError(
                f"The network cannot be computed for these images: {failed} ({type(error).__name__})."
            ) from error
        return probabilities


class _OpenVino:
    """Compiles for this processor when it is loaded; where that has bfloat16, it computes in it."""

    def __init__(self, data: bytes, weights: bytes = b""):
        openvino = installed("openvino")
        core = openvino.Core()
        model = core.read_model(data, weights) if weights else core.read_model(data)
        self.said = parse_json(model.get_rt_info(METADATA_KEY).value) if model.has_rt_info(METADATA_KEY) else {}
        self.input_shape = tuple(side.get_length() for side in list(model.input(0).partial_shape)[1:])
        answer = list(model.output(0).partial_shape)[-1]
        self.classes: int | None = answer.get_length() if answer.is_static else None
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads()}
        self._model = core.compile_model(model, "CPU", hints)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()  # a request serves one call at a time

    def __call__(self, images: np.ndarray) -> np.ndarray:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._model.create_infer_request()
        result: np.ndarray = request.infer({0: images}, share_inputs=True)[0].copy()
        self._idle.put(request)
        return result


class _LiteRT:
    def __init__(self, data: bytes):
        interpreter = installed("ai_edge_litert.interpreter")
        self._interpreter = interpreter.Interpreter(model_content=data, num_threads=threads())
        self._input = self._interpreter.get_input_details()[0]
        answer = self._interpreter.get_output_details()[0]
        self._output = answer["index"]
        self.classes: int | None = int(answer["shape"][-1])
        height, width, channels = map(int, self._input["shape"][1:])
        self.input_shape = height, width, channels
        self._batch: int | None = None
        self._lock = threading.Lock()
        self.said = parse_json(litert_metadata(data) or "{}")

    def __call__(self, images: np.ndarray) -> np.ndarray:
        with self._lock:
            if len(images) != self._batch:
                self._interpreter.resize_tensor_input(self._input["index"], images.shape)
                self._interpreter.allocate_tensors()
                self._batch = len(images)
            self._interpreter.set_tensor(self._input["index"], images)
            self._interpreter.invoke()
            result: np.ndarray = self._interpreter.get_tensor(self._output)
            return result


def litert_metadata(file: bytes) -> str | None:
    """Return what a .tflite file says under `METADATA_KEY`."""
    schema = installed("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(file)
    for entry in map(model.Metadata, range(model.MetadataLength())):
        if entry.Name() == METADATA_KEY.encode():
            data: np.ndarray = model.Buffers(entry.Buffer()).DataAsNumpy()
            return data.tobytes().decode()
    return None


def installed(module: str) -> ModuleType:
    """Import a runtime's module; ZooError says how to install it."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # absent: OpenVINO reports nothing
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0].replace("_", "-")
        raise ZooError(f"{package} is not installed: pip install {package}.") from None


def is_installed(runtime: str) -> bool:
    """Return whether a runtime's package is installed, without importing it."""
    return importlib.util.find_spec(runtime) is not None


class Probe:
    """Gives what the convolutions of an ONNX network give."""

    def __init__(self, data: bytes):
        import onnx

        model = onnx.load_from_string(data)
        self._names = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = 1  # one image: a second thread costs more than it brings
        options.enable_cpu_mem_arena = False  # which would keep what one image took
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Return the value of each convolution for uint8 images (N, H, W, C), from first to last."""
        return self._session.run(self._names, {self._session.get_inputs()[0].name: images}) if self._names else []


RUNTIMES: Mapping[str, Callable[..., Runtime]] = {  # of the content of a file, and of OpenVINO's second one
    DEFAULT: _OnnxRuntime,
    "openvino": _OpenVino,
    "litert": _LiteRT,
}
