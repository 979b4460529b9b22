"""A model zoo for handwriting.

    from zoo import load_model
    model = load_model("lenet5.mnist")  # a Keras model from raw uint8 images to probabilities

Importing this package is cheap: functions import the frameworks that they need.
"""

import os
from typing import TYPE_CHECKING

from zoo.errors import DataError, UnknownName, ZooError

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from zoo.serving.predictor import Predictor
    from zoo.serving.reading import Reading

os.environ.setdefault(
    "ORT_DISABLE_TELEMETRY", "1"
)  # else ONNX Runtime reports about its users, from when it is imported

__version__ = "0.2.0"
__all__ = [
    "DataError",
    "UnknownName",
    "ZooError",
    "create_model",
    "list_architectures",
    "list_models",
    "load_model",
    "load_predictor",
    "read",
]


def list_models() -> tuple[str, ...]:
    """Return the names of the trained models that come with the package or lie in `ZOO_MODELS`: "lenet5.mnist", …"""
    from zoo import hub

    return hub.list_models()


def list_architectures() -> tuple[str, ...]:
    """Return the names of the networks that the zoo defines, for example "lenet5"."""
    from zoo import registry

    return tuple(registry.architectures())


def create_model(name: str, input_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 10) -> "keras.Model":
    """Build an architecture with fresh weights; see `zoo.registry.create_model`."""
    from zoo import registry

    return registry.create_model(name, input_shape, num_classes)


def load_model(name: "str | Path") -> "keras.Model":
    """Load a trained model.

    Args:
        name: a shipped model ("lenet5.mnist"), a folder, or a repo on the Hub; see `zoo.hub.resolve`.

    A folder may be anybody's. Its network is of the layers that a submission may have, or one that the zoo has the code
    of, and has the weights that its file holds; others are refused. What it costs to run is bounded by the limits of
    `zoo.strict.keras_config`. Another one of somebody whom you trust is for `keras.saving.load_model`.

    Returns:
        A `keras.Model` from raw uint8 images (N, H, W, C), 0 background and 255 full ink, to float32 probabilities; not
        compiled.

    Raises:
        ZooError: there is no such model, or it is not one that can be loaded.
    """
    from zoo import hub

    folder = hub.resolve(name)
    try:
        from zoo.training import keras_models

        return keras_models.load(folder)
    except ModuleNotFoundError as error:
        raise ZooError(
            f"load_model needs {error.name}, which is not installed: pip install 'handwriting-zoo[train]'. To read "
            "pictures, load_predictor needs nothing more."
        ) from error
    except Exception as error:  # Keras raises errors of many kinds
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ZooError(f"{folder} is not a model that Keras can load here: {reason[0].rstrip('.')[:200]}.") from error


def load_predictor(name: "str | Path", runtime: str | None = None) -> "Predictor":
    """Load a trained model for serving only: no Keras, thousands of times faster to start and call.

    Args:
        name: as `load_model` takes it, or a file that `scripts/export.py` wrote.
        runtime: "onnxruntime", "openvino" (where it is installed), or "fastest": measured once on this machine, and
            remembered. None: what the model's preprocessor_config.json names, else "onnxruntime".

    A folder may be anybody's: a network that does not come with the package runs in a process of its own, which has
    limits on Linux, see `zoo.serving.opening`; an ONNX file is opened if what it takes is bounded. Within these bounds
    a network is a program of its author.

    Raises:
        ZooError: there is no such model, or it is not one that may be opened.
    """
    from pathlib import Path

    from zoo import hub
    from zoo.serving.predictor import OF_FILES, Predictor

    exported = Path(name).suffix in OF_FILES
    return Predictor.load(Path(name) if exported else hub.resolve(name), runtime)


def read(picture: object, model: "str | Path | Predictor" = "glyphnet_1m.mnist") -> "Reading":
    """Read any picture of handwriting: `zoo.read("photo.jpg").text`.

    One glyph or many, on a sheet, a form, a board or a canvas: the picture decides.

    Args:
        picture: a path, bytes, a PIL image, or an array (gray, RGB or RGBA).
        model: a network as `load_predictor` takes it, or one that is loaded. It reads its own script only; the default
            takes everything for digits 0 to 9.

    Raises:
        ZooError: no picture, nothing written on it, or no such network.
    """
    from zoo.serving import reading
    from zoo.serving.predictor import Predictor

    return reading.read(picture, model if isinstance(model, Predictor) else load_predictor(model))
