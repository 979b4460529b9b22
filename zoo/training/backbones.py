"""Pretrained backbones: where their weights come from, and which of their layers learn.

An architecture has a backbone if it registers the Keras application that it is, and gives that layer the name
`registry.BACKBONE`.
"""

import hashlib
from pathlib import Path

from zoo import settings
from zoo.backend import keras
from zoo.errors import ZooError
from zoo.registry import BACKBONE, Architecture


def of(model: "keras.Model") -> "keras.Model":
    """Return a model's backbone; ZooError if it has none."""
    found = next((layer for layer in model.layers if layer.name == BACKBONE), None)
    if found is None:
        raise ZooError(f"{model.name} has no layer named {BACKBONE!r}, so there is no backbone to fine-tune.")
    return found


def imagenet(architecture: Architecture) -> Path | None:
    """Return the file with the ImageNet weights of a backbone in the folder `ZOO_WEIGHTS`; None if there is none."""
    folder = settings.folder("ZOO_WEIGHTS")
    path = folder and folder / f"{architecture.name}_imagenet_no_top.weights.h5"
    return path if path and path.exists() else None


def load(model: "keras.Model", architecture: Architecture, source: str) -> dict[str, str]:
    """Put pretrained weights into a model's backbone.

    Args:
        model: of that architecture.
        architecture: names the Keras application that its backbone is.
        source: "imagenet" (a file in the folder `ZOO_WEIGHTS`, else Keras' download), or a `.weights.h5` file.

    Returns:
        {"source", "sha256"} of what was loaded; of a download only its name.

    Raises:
        ZooError: there are none, or they do not fit.
    """
    backbone = of(model)
    path = imagenet(architecture) if source == "imagenet" else Path(source)
    if path is None:
        return _download(backbone, architecture)
    if not path.exists():
        raise ZooError(f"There are no backbone weights at {path}.")
    try:
        backbone.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ZooError(f"{path} does not fit the backbone of {architecture.name} ({reason}).") from error
    return {"source": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _download(backbone: "keras.Model", architecture: Architecture) -> dict[str, str]:
    build = getattr(keras.applications, str(architecture.backbone))
    try:
        pretrained = build(input_shape=backbone.input_shape[1:], include_top=False, weights="imagenet")
    except Exception as error:  # Keras passes on whatever its downloader met
        raise ZooError(
            f"The ImageNet weights of {architecture.backbone} cannot be downloaded here: set ZOO_WEIGHTS to a folder "
            f"that holds {architecture.name}_imagenet_no_top.weights.h5."
        ) from error
    backbone.set_weights(pretrained.get_weights())
    return {"source": "keras.applications"}


def set_learning(model: "keras.Model", last: int) -> None:
    """Let the last `last` layers of the backbone learn, and what follows it; BatchNorm never.

    Args:
        model: a model with a backbone.
        last: how many; 0 freezes the whole backbone.
    """
    backbone = of(model)
    backbone.trainable = last > 0
    if last:
        for number, layer in enumerate(reversed(backbone.layers)):
            layer.trainable = number < last and not isinstance(layer, keras.layers.BatchNormalization)
