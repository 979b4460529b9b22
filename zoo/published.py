"""A published folder: a trained network as it is served, measured and pushed.

The same files lie in a run's `export`, in `zoo/pretrained/<model>` and in a repo on the Hub.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from zoo.files import read_json
from zoo.types import Json


@dataclass(frozen=True)
class PublishedFolder:
    """The files of one published network, by what they hold."""

    path: Path

    CONFIG: ClassVar = "config.json"  # Keras' configuration of the network
    METADATA: ClassVar = "metadata.json"  # which model it is, and how large
    WEIGHTS: ClassVar = "model.weights.h5"  # for Keras
    STORED: ClassVar = "keras_weights.npz"  # in place of it: how it is made of the ONNX file, see `zoo.keras_weights`
    ONNX: ClassVar = "model.onnx"  # for every other runtime: what is served and measured
    PREPROCESSOR: ClassVar = "preprocessor_config.json"  # what turns a picture into its input, and answers into labels
    INT8: ClassVar = "model.int8.onnx"  # the same network in int8, where its preprocessor names that precision
    FILES: ClassVar = {"float32": ONNX, "int8": INT8}  # what is served, by precision
    HISTORY: ClassVar = "history.json"  # of its training
    NEEDED: ClassVar = (CONFIG, METADATA, WEIGHTS, ONNX, PREPROCESSOR)

    @property
    def onnx(self) -> Path:
        """The network for ONNX Runtime."""
        return self.path / self.ONNX

    @property
    def weights(self) -> Path:
        """The network's weights for Keras."""
        return self.path / self.WEIGHTS

    @property
    def stored(self) -> Path:
        """What stands in place of the weights for Keras where each number is stored once."""
        return self.path / self.STORED

    @property
    def config(self) -> Json:
        """Keras' configuration of the network."""
        return self._read(self.CONFIG)

    @property
    def metadata(self) -> Json:
        """Architecture, dataset, recipe, seed, parameters, and what else is known of it."""
        return self._read(self.METADATA)

    @property
    def preprocessor(self) -> Json:
        """Image contract, labels, script, dataset, view and thresholds."""
        return self._read(self.PREPROCESSOR)

    @property
    def history(self) -> Json:
        """Epochs and validation scores of its training."""
        return self._read(self.HISTORY)

    def _read(self, name: str) -> Json:
        values: Json = read_json(self.path / name)
        return values

    @property
    def missing(self) -> list[str]:
        """Names of the files that it needs and lacks."""
        there = {self.WEIGHTS} if self.stored.is_file() else set()
        return [name for name in self.NEEDED if name not in there and not (self.path / name).is_file()]
