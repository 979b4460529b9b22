"""A published model as it is served: without Keras or TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import ZooError
from zoo.published import (
    NOT_SERVED,
    PublishedFolder,
    WrongField,
    check_metadata,
    check_preprocessor,
    field_of,
    image_shape,
)
from zoo.registry import ModelName
from zoo.serving import fastest, opening, runtimes
from zoo.serving.runtimes import DEFAULT
from zoo.strict import onnx_limits
from zoo.types import Json

if TYPE_CHECKING:
    from zoo import ink
    from zoo.pages.views import View

BATCH = onnx_limits.TOGETHER  # glyphs a call of the runtime
MOST_SAID = 100  # labels of a network whose probabilities an answer of the server gives
LARGE = 10_000_000  # parameters: what a whole batch makes inside a larger network does not fit into memory
OF_FILES = {".onnx": "onnxruntime", ".xml": "openvino", ".tflite": "litert"}  # what runs a file that export wrote


def _served(published: PublishedFolder, preprocessor: Json, runtime: str | None) -> tuple[Path, str]:
    """Return the file of a published folder that is served, and what runs it.

    Its preprocessor may say `"serving": {"runtime": "openvino", "precision": "int8"}`. A runtime that is named there
    and not installed is replaced by ONNX Runtime, which runs the same file; so is each that somebody's folder names,
    since OpenVINO trusts a network more than a stranger should be.
    """
    serving = preprocessor.get("serving", {})
    precision = field_of(serving, "precision", str) if "precision" in serving else "float32"
    named = field_of(serving, "runtime", str) if "runtime" in serving else DEFAULT
    if precision not in published.FILES or named not in fastest.CANDIDATES:
        raise WrongField(f"its 'serving' must name one of {', '.join(fastest.CANDIDATES)} and float32 or int8")
    file = published.path / published.FILES[precision]
    if runtime == fastest.FASTEST:
        return file, fastest.choose(file)
    if runtime is not None:
        return published.onnx, runtime
    return file, named if opening.is_shipped(file) and runtimes.is_installed(named) else DEFAULT


def _check_fits(opened: runtimes.Runtime, preprocessor: Json) -> None:
    """Refuse a network whose input or answer has another size than its preprocessor says."""
    expected, labels = image_shape(preprocessor), preprocessor["labels"]
    if opened.input_shape != expected:
        raise WrongField(f"its network sees {opened.input_shape}, its preprocessor makes {expected}")
    if opened.classes not in (None, len(labels)):
        raise WrongField(f"its network has {opened.classes} classes, its 'labels' are {len(labels)}")


def likeliest(probabilities: np.ndarray) -> list[int]:
    """Return the classes whose probabilities are in an answer, in order: all, of more than `MOST_SAID` the likeliest.

    Args:
        probabilities: float (classes,).
    """
    first = np.argsort(-probabilities, kind="stable")[:MOST_SAID]
    found: list[int] = np.sort(first).tolist()
    return found


@dataclass(frozen=True)
class Predictor:
    """Raw uint8 glyphs or pages in, class probabilities out; may be shared by threads.

    Attributes:
        name: the model's, for example "lenet5.mnist".
        labels: what its classes are called, in the order of its output.
        script: "latin" or "arabic".
        dataset: what it was trained on.
        parameters: the numbers that its ONNX file stores.
        runtime: what computes it.
        threshold: the probability of the most probable class below which to abstain, chosen on validation samples (see
            `zoo.reports.choose_threshold`); None where none was chosen.
        accepts: the probability of the most probable class below which an image counts as none of the classes:
            99% of the validation samples reach it; None where it was not measured.
    """

    name: str
    labels: tuple[str, ...]
    script: str
    dataset: str
    parameters: int
    runtime: runtimes.Runtime
    contract_fields: Json | None  # None: pages are taken as they are
    view_fields: Json | None = None  # None: an image is seen whole
    threshold: float | None = None
    accepts: float | None = None

    @classmethod
    def load(cls, path: Path, runtime: str | None = None, here: bool = False) -> "Predictor":
        """Open a published folder, or one file that `scripts/export.py` wrote.

        Args:
            path: the folder or the file.
            runtime: of a folder, "onnxruntime" or "openvino" for its model.onnx, or "fastest": the one of them that is
                fastest here, which is measured once; None: what its preprocessor names as `serving`, else
                "onnxruntime". A file says itself what runs it.
            here: compute in this process what did not come with the package: a network that you trust, to time it.

        Raises:
            ZooError: a file is missing or broken, or the runtime is not installed.
        """
        if path.name == "model.onnx" and (path.parent / "preprocessor_config.json").is_file():
            path = path.parent  # the file that a published folder serves from
        try:
            if path.is_dir():
                published = PublishedFolder(path)
                preprocessor, metadata = published.preprocessor, published.metadata
                opened = opening.load(*_served(published, preprocessor, runtime), here)
            else:
                opened = opening.load(path, runtime or OF_FILES.get(path.suffix, DEFAULT), here)
                metadata = check_metadata(opened.said)
                preprocessor = check_preprocessor(field_of(opened.said, "preprocessor", dict))
            _check_fits(opened, preprocessor)
            return cls(
                name=str(ModelName(metadata["architecture"], metadata["dataset"], metadata["recipe"])),
                labels=tuple(preprocessor["labels"]),
                script=preprocessor["script"],
                dataset=preprocessor["dataset"],
                parameters=metadata["parameters"],
                runtime=opened,
                contract_fields=preprocessor["contract"],
                view_fields=None if preprocessor["view"] == "glyph" else preprocessor["view"],
                threshold=preprocessor.get("threshold"),
                accepts=preprocessor.get("accepts"),
            )
        except OSError as error:
            raise ZooError(f"{path} {NOT_SERVED}: {error.strerror}.") from error
        except (WrongField, ValueError, RecursionError) as error:  # not JSON, not UTF-8, or not what it says
            reason = str(error).splitlines()[0].rstrip(".")
            raise ZooError(f"{path} {NOT_SERVED}: {reason}.") from error

    @classmethod
    def measured(cls, folder: Path, here: bool = False) -> "Predictor":
        """Open the network of a published folder that is counted, hashed and compared: its `model.onnx`.

        A folder may say that another of its files is served; what that one answers is no score of this one.
        """
        return cls.load(folder, DEFAULT, here)

    @cached_property
    def contract(self) -> "ink.Contract":
        """How ink becomes this model's input; ZooError for a model of pages, which has none."""
        if self.contract_fields is None:
            raise ZooError(f"{self.name} takes pages as they are: it has no contract for ink.")
        from zoo import ink  # OpenCV is needed for pictures, not for arrays

        return ink.Contract.from_dict(self.contract_fields)

    @cached_property
    def view(self) -> "View | None":
        """How a page becomes inputs and their answers one; None for glyphs, which are seen whole."""
        if self.view_fields is None:
            return None
        from zoo.pages import views

        return views.from_dict(self.view_fields)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what the network sees."""
        return self.runtime.input_shape

    def __call__(self, images: "np.ndarray | Sequence[np.ndarray]") -> np.ndarray:
        """Return the probabilities of the classes.

        Args:
            images: glyphs, uint8 (N, H, W, C), 0 is background and 255 full ink; for a model of pages N pages of any
                size, uint8 (H, W) or (H, W, 1), dark ink on light paper.

        Returns:
            float32 (N, len(labels)), rows sum to 1.

        Raises:
            ZooError: another shape or dtype.
        """
        if self.view is None:
            return self.classify(np.asarray(images))
        if wrong := [page for page in images if page.dtype != np.uint8 or page.shape[2:] not in ((), (1,))]:
            raise ZooError(f"{self.name} takes pages as uint8 (H, W), not {wrong[0].dtype} {wrong[0].shape}.")
        answers = [self.view.pool(self.classify(self.view.views(page))) for page in images]
        return np.stack(answers) if answers else np.empty((0, len(self.labels)), np.float32)

    @property
    def batch(self) -> int:
        """Images a call of the runtime: more are no faster and need more memory, large ones the more."""
        height, width, _ = self.input_shape
        most = onnx_limits.together(height, width)
        return most if self.parameters < LARGE else max(1, most // 16)

    def classify(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of what the network itself sees, float32 (N, len(labels)).

        Args:
            images: uint8 (N, *input_shape).
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.runtime.input_shape:
            shape = ", ".join(map(str, self.runtime.input_shape))
            raise ZooError(f"{self.name} takes uint8 (N, {shape}), not {images.dtype} {images.shape}.")
        outputs = [self.runtime(images[start : start + self.batch]) for start in range(0, len(images), self.batch)]
        answers = np.concatenate(outputs) if outputs else np.empty((0, len(self.labels)), np.float32)
        if answers.shape != (len(images), len(self.labels)):  # its file did not say how many classes it has
            raise ZooError(f"{self.name} has {len(self.labels)} labels, and answers with {answers.shape[1:]} numbers.")
        return answers
