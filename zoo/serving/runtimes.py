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
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import onnxruntime

from zoo.errors import UnknownName, ZooError
from zoo.published import parse_json
from zoo.regular_files import read_bytes
from zoo.settings import PRETRAINED
from zoo.strict import onnx_limits
from zoo.types import Json

FEW = 8  # images that are served together so often that what they take in memory is kept
METADATA_KEY = "handwriting_zoo"  # under which an exported file says what it is, as JSON


class Runtime(Protocol):
    """A loaded network; may be shared by threads."""

    input_shape: tuple[int, int, int]  # height, width, channels
    classes: int | None  # how many it answers with; None where its file does not say
    said: Json  # what the file says of itself; {} for a file that `zoo.export.formats` did not write

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return float32 probabilities (N, classes) of uint8 images (N, H, W, C); ZooError where ONNX Runtime fails."""


def load(path: Path, runtime: str = "onnxruntime") -> Runtime:
    """Open a network's file.

    Args:
        path: model.onnx (ONNX Runtime or OpenVINO), model.xml (OpenVINO) or model.tflite (LiteRT).
        runtime: a key of `RUNTIMES`.

    Raises:
        UnknownName: no such runtime.
        ZooError: the runtime is not installed, the file is not what it reads, or an ONNX file is not bounded, see
            `zoo.strict.onnx_limits`; those that come with the package are. Files for LiteRT and the .xml of OpenVINO
            are opened as they are: only those of people whom you trust should be.
    """
    if runtime not in RUNTIMES:
        raise UnknownName("runtime", runtime, RUNTIMES)
    if not path.is_file():
        raise ZooError(f"There is no file {path}.")
    try:
        unchecked = is_shipped(path) or (runtime != "onnxruntime" and path.suffix != ".onnx")
        return RUNTIMES[runtime](path) if unchecked else _Bounded(path, runtime)
    except ZooError:
        raise
    except Exception as error:  # the three share no class of error
        reason = str(error).strip().splitlines()[0]
        raise ZooError(f"{path} is not a network that {runtime} can run: {reason}") from error


def is_shipped(path: Path) -> bool:
    """Return whether a file came with the package: others may be anybody's."""
    return path.resolve().is_relative_to(PRETRAINED.resolve())


def bounded(path: Path, runtime: str = "onnxruntime") -> bytes:
    """Return what a runtime may open of an ONNX file, see `zoo.strict.onnx_limits`; all of one that came with the
    package.

    Raises:
        ZooError: it may not be opened.
    """
    return read_bytes(path) if is_shipped(path) else _limits(path, runtime).model


def _limits(path: Path, runtime: str) -> onnx_limits.Bounded:
    try:
        return onnx_limits.Bounded(read_bytes(path), indices=runtime == "onnxruntime")
    except onnx_limits.TooMuch as error:
        raise ZooError(f"{path} is not opened: {error}.") from None


def threads() -> int:
    """Return how many processors this process may use; `OMP_NUM_THREADS` makes it fewer, as for other libraries."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(there, int(asked)) if asked.isdigit() and int(asked) else there


class _Bounded:
    """A network of anybody's: no number of images is computed together that was not checked."""

    def __init__(self, path: Path, runtime: str):
        self._limits = _limits(path, runtime)
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
    def __init__(self, path: Path | bytes):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = threads()
        # Waiting threads sleep: a served model is idle most of the time, and several share the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
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

    def __init__(self, path: Path | bytes):
        openvino = installed("openvino")
        core = openvino.Core()
        model = core.read_model(path)
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
    def __init__(self, path: Path):
        interpreter = installed("ai_edge_litert.interpreter")
        content = read_bytes(path)
        self._interpreter = interpreter.Interpreter(model_content=content, num_threads=threads())
        self._input = self._interpreter.get_input_details()[0]
        answer = self._interpreter.get_output_details()[0]
        self._output = answer["index"]
        self.classes: int | None = int(answer["shape"][-1])
        height, width, channels = map(int, self._input["shape"][1:])
        self.input_shape = height, width, channels
        self._batch: int | None = None
        self._lock = threading.Lock()
        self.said = parse_json(litert_metadata(content) or "{}")

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
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0].replace("_", "-")
        raise ZooError(f"{package} is not installed: pip install {package}.") from None


def is_installed(runtime: str) -> bool:
    """Return whether a runtime's package is installed, without importing it."""
    return importlib.util.find_spec(runtime) is not None


RUNTIMES: Mapping[str, Callable[[Any], Runtime]] = {
    "onnxruntime": _OnnxRuntime,
    "openvino": _OpenVino,
    "litert": _LiteRT,
}
