"""A published model as it is served: `model.onnx` on ONNX Runtime, without Keras or TensorFlow."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime

from zoo.errors import ZooError
from zoo.registry import ModelName

BATCH = 256  # images a call of the runtime: larger ones are no faster and need more memory


@dataclass(frozen=True)
class Predictor:
    """Raw uint8 images in, class probabilities out; may be shared by threads.

    Attributes:
        name: the model's, for example "lenet5.mnist".
        labels: what its classes are called, in the order of its output.
        script: "latin" or "arabic".
        dataset: what it was trained on.
        parameters: as Keras' `count_params()` counts them.
        threshold: the least probability of the likeliest class at which it had better be believed, chosen on validation
            samples (see `zoo.reports.choose_threshold`); None where none was chosen.
    """

    name: str
    labels: tuple[str, ...]
    script: str
    dataset: str
    parameters: int
    session: onnxruntime.InferenceSession
    contract_fields: dict
    threshold: float | None = None

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Open a published folder; ZooError if a file of it is missing or broken."""
        try:
            preprocessor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
            metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
            session = _session(folder / "model.onnx")
            return cls(
                name=str(ModelName(metadata["architecture"], metadata["dataset"], metadata["recipe"])),
                labels=tuple(preprocessor["labels"]),
                script=preprocessor["script"],
                dataset=preprocessor["dataset"],
                parameters=metadata["parameters"],
                session=session,
                contract_fields=preprocessor["contract"],
                threshold=preprocessor.get("threshold"),
            )
        except (OSError, KeyError, json.JSONDecodeError, onnxruntime.capi.onnxruntime_pybind11_state.Fail) as error:
            raise ZooError(f"{folder} is not a published model that can be served: {error!r}.") from error

    @cached_property
    def contract(self):
        """How ink becomes this model's input, an `ink.Contract`."""
        from zoo import ink  # OpenCV is needed for pictures, not for arrays

        return ink.Contract.from_dict(self.contract_fields)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        return tuple(self.session.get_inputs()[0].shape[1:])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes.

        Args:
            images: uint8 (N, H, W, C), 0 is background and 255 full ink.

        Returns:
            float32 (N, len(labels)), rows sum to 1.

        Raises:
            ZooError: another shape or dtype.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.input_shape:
            shape = ", ".join(map(str, self.input_shape))
            raise ZooError(f"{self.name} takes uint8 (N, {shape}), not {images.dtype} {images.shape}.")
        feed = self.session.get_inputs()[0].name
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        outputs = [self.session.run(None, {feed: batch})[0] for batch in batches]
        return np.concatenate(outputs) if outputs else np.empty((0, len(self.labels)), np.float32)


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    # Waiting threads sleep: a served model is idle most of the time, and several share the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
