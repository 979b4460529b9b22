"""A published folder: a trained network as it is served, measured and pushed.

The same files lie in a run's `export`, in `zoo/pretrained/<model>` and in a repo on the Hub.
"""

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, NoReturn

from zoo.errors import ZooError
from zoo.regular_files import MOST_JSON, read_bytes
from zoo.types import Json, Shape

NOT_SERVED = "is not a published model that can be served"


class WrongField(ZooError):
    """A field of a model's JSON that is missing or of another type."""


MOST_LABELS = 10_000  # all Chinese characters that datasets of handwriting have are 7,356
LARGEST = 2**53  # of whole numbers: above it, a double does not have them all
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # a terminal obeys some


def parse_json(text: str) -> Any:
    """Return the value of JSON that anybody may have written.

    Raises:
        WrongField: it holds a number that a program cannot compute with, or text that is more than letters: control
            characters, ends of lines, changes of direction.
        ValueError, RecursionError: it is not JSON, or nested too deeply.
    """
    found = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_no_number)
    _check_text(found)
    return found


def _check_text(found: Any) -> None:
    """Refuse a control character in any text of a JSON value."""
    if isinstance(found, str) and (control := CONTROLS.search(found)):
        raise WrongField(f"it holds the control character U+{ord(control[0]):04X}")
    if isinstance(found, list | dict):
        for part in found:
            _check_text(part)
    if isinstance(found, dict):
        for part in found.values():
            _check_text(part)


def _whole(digits: str) -> int:
    if len(digits) > len(str(-LARGEST)) or abs(int(digits)) > LARGEST:
        raise WrongField(f"it holds a whole number of {len(digits.lstrip('-'))} digits; the largest is 2^53")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise WrongField(f"it holds {digits:.40}; the largest number is about 1.8e308")
    return value


def _no_number(name: str) -> NoReturn:
    raise WrongField(f"it holds {name}, which is not a number in JSON")


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

    Parts that a network need not have are checked where they are there; a contract has all its fields.
    """
    said = _object(values)
    fields = {"labels": (list,), "script": (str,), "dataset": (str,), "view": (str, dict), "contract": (dict, NoneType)}
    optional = {"threshold": (float, int, NoneType), "accepts": (float, int, NoneType), "serving": (dict,)}
    there = {key: kinds for key, kinds in optional.items() if key in said}
    found = {key: field_of(said, key, *kinds) for key, kinds in {**fields, **there}.items()}
    labels = found["labels"]
    if not labels or not all(isinstance(label, str) for label in labels):
        raise WrongField("its 'labels' must be a list of str, one a class")
    if len(labels) > MOST_LABELS:
        raise WrongField(f"its 'labels' must be at most {MOST_LABELS:,}, not {len(labels):,}")
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twice is not None:
        raise WrongField(f"its 'labels' must differ; {twice!r:.40} is there twice")
    for key in ("threshold", "accepts"):
        if found.get(key) is not None and not 0 <= found[key] <= 1:
            raise WrongField(f"its {key!r} must be from 0 to 1, not {found[key]}")
    return said | {"contract": _whole_contract(found["view"], found["contract"])}


def image_shape(preprocessor: Json) -> Shape:
    """Return height, width and channels of what a checked preprocessor_config.json makes of a picture."""
    contract, view = preprocessor["contract"], preprocessor["view"]
    if contract is None:
        from zoo.pages import views  # OpenCV is needed for pages

        return views.from_dict(view).input_shape
    from zoo.ink.contract import Contract

    made = Contract.from_dict(contract)
    return made.height, made.width, made.channels


def _whole_contract(view: str | Json, contract: Json | None) -> Json | None:
    """Return a contract with all its fields; refuse it, or a view, that is none.

    Glyphs have a contract, pages have a view of more than one part.
    """
    if (view == "glyph") != (contract is not None):
        raise WrongField(
            "it must have a 'contract' where its 'view' is 'glyph', and null where its 'view' is an object"
        )
    try:
        if contract is not None:
            from zoo.ink.contract import Contract

            return Contract.from_dict(contract).to_dict()
        if isinstance(view, dict):
            from zoo.pages import views  # OpenCV is needed for pages

            views.from_dict(view)
    except ZooError as error:
        raise WrongField(f"its {'view' if contract is None else 'contract'!r} is none. {error}") from None
    return None


def check_metadata(values: object) -> Json:
    """Return what a metadata.json holds, as `check_preprocessor` does."""
    fields = {"architecture": (str,), "dataset": (str,), "recipe": (str,), "parameters": (int,)}
    said = _object(values)
    for key, kinds in fields.items():
        field_of(said, key, *kinds)
    if said["parameters"] < 0:
        raise WrongField(f"its 'parameters' must be 0 or more, not {said['parameters']}")
    return said


def check_history(values: object) -> Json:
    """Return what a history.json holds, as `check_preprocessor` does."""
    accuracy = field_of(field_of(values, "validation", dict), "accuracy", float, int)
    if not 0 <= accuracy <= 1:
        raise WrongField(f"its 'accuracy' on 'validation' must be from 0 to 1, not {accuracy}")
    said = _object(values)
    if "training_seconds" in said and field_of(said, "training_seconds", float, int) < 0:
        raise WrongField(f"its 'training_seconds' must be 0 or more, not {said['training_seconds']}")
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
    CARD: ClassVar = "README.md"
    HISTORY: ClassVar = "history.json"  # of its training
    NEEDED: ClassVar = (CONFIG, METADATA, WEIGHTS, ONNX, PREPROCESSOR)
    MEASURED: ClassVar = (METADATA, ONNX, PREPROCESSOR, HISTORY)  # what is kept of a training that is not shipped
    SEEDS: ClassVar = "seeds"  # folder in a repo on the Hub: those trainings, each in a folder named by its seed

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
        return self._checked(self.CONFIG, _object)

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
        """Epochs and validation scores of its training; ZooError where they are not."""
        return self._checked(self.HISTORY, check_history)

    @property
    def card(self) -> str:
        """Its card, which anybody may have written, as Markdown; "" where there is none that can be read."""
        with contextlib.suppress(OSError):
            return read_bytes(self.path / self.CARD, MOST_JSON).decode("utf-8", "replace")
        return ""

    def _checked(self, name: str, check: Callable[[object], Json]) -> Json:
        try:
            return check(parse_json(read_bytes(self.path / name, MOST_JSON).decode("utf-8")))
        except (WrongField, ValueError, RecursionError) as error:  # not what it must be, not JSON, not UTF-8
            raise ZooError(f"{self.path} {NOT_SERVED}: {str(error).splitlines()[0].rstrip('.')}.") from None

    @property
    def missing(self) -> list[str]:
        """Names of the files that it needs and lacks."""
        there = {self.WEIGHTS} if self.stored.is_file() else set()
        return [name for name in self.NEEDED if name not in there and not (self.path / name).is_file()]
