"""A published folder: a trained network as it is served, measured and pushed.

The same files lie in a run's `export`, in `zoo/pretrained/<model>` and in a repo on the Hub.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar

from zoo.errors import ZooError
from zoo.files import read_json
from zoo.types import Json

NOT_SERVED = "is not a published model that can be served"


class WrongField(ZooError):
    """A field of a model's JSON that is missing or of another type."""


def field_of(values: object, key: str, *kinds: type) -> Any:
    """Return a field of a JSON object; WrongField unless it is there and of one of the types."""
    if not isinstance(values, dict) or key not in values:
        raise WrongField(f"its JSON has no {key!r}")
    found = values[key]
    if not isinstance(found, kinds) or (isinstance(found, bool) and bool not in kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise WrongField(f"its {key!r} must be {expected}, not {type(found).__name__}")
    return found


def _object(values: object) -> Json:
    if not isinstance(values, dict):
        raise WrongField("its JSON is no object")
    return values


def check_preprocessor(values: object) -> Json:
    """Return what a preprocessor_config.json holds, whoever wrote it; WrongField where a part is not what it must be.

    Parts that a network need not have are checked where they are there.
    """
    from zoo.ink.contract import Contract

    said = _object(values)
    fields = {"labels": (list,), "script": (str,), "dataset": (str,), "view": (str, dict), "contract": (dict, NoneType)}
    optional = {"threshold": (float, int, NoneType), "accepts": (float, int, NoneType), "serving": (dict,)}
    there = {key: kinds for key, kinds in optional.items() if key in said}
    found = {key: field_of(said, key, *kinds) for key, kinds in {**fields, **there}.items()}
    if not all(isinstance(label, str) for label in found["labels"]):
        raise WrongField("its 'labels' must be a list of str")
    for key in ("threshold", "accepts"):
        if found.get(key) is not None and not 0 <= found[key] <= 1:
            raise WrongField(f"its {key!r} must be from 0 to 1, not {found[key]}")
    if found["contract"] is not None:
        try:
            Contract.from_dict(found["contract"])
        except ZooError as error:
            raise WrongField(f"its 'contract' is none. {error}") from None
    return said


def check_metadata(values: object) -> Json:
    """Return what a metadata.json holds, as `check_preprocessor` does."""
    fields = {"architecture": (str,), "dataset": (str,), "recipe": (str,), "parameters": (int,)}
    said = _object(values)
    for key, kinds in fields.items():
        field_of(said, key, *kinds)
    return said


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
        """Architecture, dataset, recipe, seed, parameters, and what else is known of it; ZooError where it is not."""
        return self._checked(self.METADATA, check_metadata)

    @property
    def preprocessor(self) -> Json:
        """Image contract, labels, script, dataset, view and thresholds; ZooError where they are not."""
        return self._checked(self.PREPROCESSOR, check_preprocessor)

    @property
    def history(self) -> Json:
        """Epochs and validation scores of its training."""
        return self._read(self.HISTORY)

    def _checked(self, name: str, check: Callable[[object], Json]) -> Json:
        try:
            return check(self._read(name))
        except (WrongField, ValueError, RecursionError) as error:  # not what it must be, not JSON, not UTF-8
            raise ZooError(f"{self.path} {NOT_SERVED}: {str(error).splitlines()[0].rstrip('.')}.") from None

    def _read(self, name: str) -> Json:
        values: Json = read_json(self.path / name)
        return values

    @property
    def missing(self) -> list[str]:
        """Names of the files that it needs and lacks."""
        there = {self.WEIGHTS} if self.stored.is_file() else set()
        return [name for name in self.NEEDED if name not in there and not (self.path / name).is_file()]
