"""Transfer learning: start from the weights of a published network, with a new head if the classes differ."""

import hashlib
import json
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import data, hub, ink, keras_weights, registry
from zoo.errors import ZooError
from zoo.published import PublishedFolder
from zoo.recipes import Recipe
from zoo.regular_files import read_bytes
from zoo.training import keras_models
from zoo.training.batch_norm_folding import folded
from zoo.types import Json

if TYPE_CHECKING:
    import keras

SHORTER = 3  # times fewer epochs than from random weights; see `fine_tuning`


@dataclass(frozen=True)
class Start:
    """A published model, as far as another can start from it; its own code and configuration are never run."""

    model: str
    architecture: str
    labels: tuple[str, ...]
    contract: ink.Contract
    folder: Path

    @classmethod
    def read(cls, name: str) -> "Start":
        """Read a published model, see `hub.resolve`; ZooError if it is not one that can be started from."""
        folder = hub.resolve(name)
        try:
            published = PublishedFolder(folder)
            metadata, preprocessor = published.metadata, published.preprocessor
            if preprocessor["contract"] is None:
                raise ZooError(f"{name} reads pages, not glyphs: start from a model whose images have one size.")
            model = registry.ModelName(metadata["architecture"], metadata["dataset"], metadata["recipe"])
            labels = tuple(preprocessor["labels"])
            contract = ink.Contract.from_dict(preprocessor["contract"])
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ZooError(f"{folder} is not a published model of the zoo: {error!r}.") from error
        return cls(str(model), model.architecture, labels, contract, folder)

    @property
    def revision(self) -> str:
        """SHA-256 of its model.onnx, as in the records."""
        return hashlib.sha256(read_bytes(PublishedFolder(self.folder).onnx)).hexdigest()

    def build(self) -> "keras.Model":
        """Return the zoo's own architecture, BatchNorm folded, with the published weights; ZooError if they differ."""
        shape = self.contract.height, self.contract.width, self.contract.channels
        try:
            with keras_weights.keras_folder(self.folder) as whole, warnings.catch_warnings():
                path = PublishedFolder(whole).weights
                model = keras_models.built(self.architecture, shape, len(self.labels), read_bytes(path))
                # Keras leaves a layer fresh that it does not find, and warns.
                warnings.simplefilter("error", UserWarning)
                model.load_weights(path)
        except (OSError, ValueError, KeyError, UserWarning) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise ZooError(
                f"{PublishedFolder(self.folder).weights} does not fit {self.architecture} at {shape} and "
                f"{len(self.labels)} classes ({reason})."
            ) from error
        return folded(model)


def start(model: "keras.Model", architecture: str, dataset: str, name: str) -> Json:
    """Give a fresh model the weights of a published one, in place.

    The last layer keeps its fresh weights unless both know the same classes in the same order.

    Args:
        model: of `architecture`, for the images and classes of `dataset`.
        name: the published model, see `hub.resolve`.

    Returns:
        What a history says of it: model, revision (SHA-256 of model.onnx), head ("kept" or "new").

    Raises:
        ZooError: another architecture, other images, or weights that do not fit; names the first that does not.
    """
    found = Start.read(name)
    if found.architecture != architecture:
        raise ZooError(f"{name} is a {found.architecture}, so a {architecture} cannot start from its weights.")
    published = found.build()
    same = found.labels == data.get(dataset).labels
    pairs = list(zip(model.layers, published.layers, strict=True))
    for ours, theirs in pairs if same else pairs[:-1]:
        shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise ZooError(
                f"The weights of {name} do not fit images of {model.input_shape[1:]}: {ours.name} takes {shapes[0]}, "
                f"they are {shapes[1]}."
            )
        ours.set_weights(theirs.get_weights())
    return {"model": found.model, "revision": found.revision, "head": "kept" if same else "new"}


def fine_tuning(recipe: Recipe) -> Recipe:
    """Return the recipe for a network that starts from published weights: the same, in a third of the epochs.

    Measured on 500 digits of ahdd from the weights of lenet5.mnist, accuracy on its 5,000 validation samples: from
    scratch 91.6%; started, in all epochs 95.3%, in a third of them 95.3%, and with a third of the learning rate 89.2%:
    a new head needs a high learning rate.
    """
    return replace(recipe, name="finetune", epochs=max(1, recipe.epochs // SHORTER))
