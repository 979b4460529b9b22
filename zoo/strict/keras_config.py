"""Check the configuration of a Keras model as data, compute its costs, and write a clean copy of it.

No name from the file is looked up: classes are compared with `allowed_layers.LAYERS`. The sandbox
builds the clean copy, which holds only values that were checked one by one, so an unknown setting never gets there.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from zoo.strict import allowed_layers, keras_calls
from zoo.strict import keras_parts as parts
from zoo.strict.keras_parts import Tensor
from zoo.strict.layer_costs import Cost
from zoo.strict.layer_settings import Shape
from zoo.strict.problems import Findings, Refused, short
from zoo.types import Json

MOST_LAYERS = 400
DEEPEST = 4  # models within models
MOST_PARAMETERS = 60_000_000  # AlexNet has 58 million
MOST_MULTIPLY_ADDS = 2_000_000_000  # of one image
MODELS = ("Functional", "Sequential")


@dataclass
class Report:
    """What the configuration alone says about a model.

    config: the clean copy, for `keras.saving.deserialize_keras_object`.
    input_shape: height, width, channels.
    output: its output; `parts.UNKNOWN` if an earlier layer has a problem.
    parameters, multiply_adds: as Keras and the board count them.
    others: operations of one image that are no multiply-adds, such as those of pooling.
    layers: number of layers by class.
    found: problems of its layers; the report is valid only if there are none.
    """

    config: Json
    input_shape: Shape
    output: Tensor
    parameters: int = 0
    multiply_adds: int = 0
    others: int = 0
    layers: dict[str, int] = field(default_factory=dict)
    found: Findings = field(default_factory=Findings)

    @property
    def work(self) -> int:
        """Operations that decide how long an image takes: the multiply-adds, or the others if they are more."""
        return max(self.multiply_adds, self.others)

    @property
    def scaled(self) -> bool:
        """Whether a layer scales raw pixels to about one."""
        return bool(self.layers.keys() & {"Rescaling", "BatchNormalization", "LayerNormalization"})


def read_config(document: object) -> Report:
    """Return the report of a serialized model; raise Refused with every problem of its layers."""
    report = read_on(document)
    report.found.check()
    return report


def read_on(document: object) -> Report:
    """Return the report of a serialized model, with the problems of its layers in `found`, so that a caller can add
    others.

    Raises:
        Refused: its parts cannot be identified, so nothing else can be checked.
    """
    if not isinstance(document, dict):
        raise Refused(
            "config", "This is not the configuration of a Keras model.", "Send the output of `model.to_json()`."
        )
    if "class_name" in document and "module" not in document:
        what = "This configuration is of Keras 2: its layers name no module."
        raise Refused(
            "keras2", what, "Load it with Keras 3 on your own machine, and send the output of `model.to_json()`."
        )
    parts.no_unsafe_keys(document)
    walk = _Walk()
    name = parts.class_of(document, "The model")
    if name not in MODELS:
        raise Refused("class", f"The model is a {short(name)}.", "Send a Functional or a Sequential model.")
    config, (shape, dtype, output) = walk.model(document, depth=1, shapes=None)
    if dtype != "uint8" and output != parts.UNKNOWN:
        config = from_bytes(config, shape)
    return Report(config, shape, output, walk.parameters, walk.multiply_adds, walk.others, walk.counts, walk.found)


def from_bytes(config: Json, shape: Shape) -> Json:
    """Return a clean configuration that takes uint8: a Rescaling by 1 after the input converts it to float32."""
    inner = config["config"]
    name = "pixels"
    while any(layer["config"]["name"] == name for layer in inner["layers"]):
        name += "_"
    rescaling = {
        "module": "keras.layers",
        "class_name": "Rescaling",
        "config": {"name": name, "trainable": True, "scale": 1.0, "offset": 0.0},
        "registered_name": None,
    }
    start = next(layer for layer in inner["layers"] if layer["class_name"] == "InputLayer")
    taking = {**start, "config": {**start["config"], "dtype": "uint8"}}
    if config["class_name"] == "Sequential":
        return {**config, "config": {**inner, "layers": [taking, rescaling, *inner["layers"][1:]]}}

    def fed(item: Any) -> Any:
        if isinstance(item, list):
            return [fed(part) for part in item]
        history = [name, *item["config"]["keras_history"][1:]]
        own = item["config"]["keras_history"][0] == start["name"]
        return {**item, "config": {**item["config"], "keras_history": history}} if own else item

    others = [
        {**layer, "inbound_nodes": [{**node, "args": fed(node["args"])} for node in layer["inbound_nodes"]]}
        for layer in inner["layers"]
        if layer is not start
    ]
    node = {"args": [parts.tensor((start["name"], 0), shape)], "kwargs": {}}
    layer_list = [taking, {**rescaling, "name": name, "inbound_nodes": [node]}, *others]
    return {**config, "config": {**inner, "layers": layer_list}}


def retarget(config: Json, input_shape: Shape, classes: int) -> Json:
    """Return a clean configuration for images of another size and another number of classes.

    The input layer takes `input_shape`, and the last Dense layer gets `classes` units.
    """
    layer_list = [dict(layer) for layer in config["config"]["layers"]]
    first = next(n for n, layer in enumerate(layer_list) if layer["class_name"] == "InputLayer")
    layer_list[first]["config"] = {**layer_list[first]["config"], "batch_shape": [None, *input_shape]}
    last = max((n for n, layer in enumerate(layer_list) if layer["class_name"] == "Dense"), default=None)
    if last is None:
        what = "The last layer with weights is not a Dense layer, so it cannot be adapted to another number of classes."
        raise Refused("retarget", what, "End the model with Dense(classes, activation='softmax').")
    layer_list[last]["config"] = {**layer_list[last]["config"], "units": classes}
    return {**config, "config": {**config["config"], "layers": layer_list}}


Signature = tuple[Shape, str, Tensor]  # shape and type of a model's input, and its output


class _Walk:
    """One pass over a model: adds up its costs, writes the clean copy, and collects the problems of layers.

    A layer with a problem has an unknown output, and so have the layers after it, of which only settings are checked.
    """

    def __init__(self) -> None:
        self.parameters = self.multiply_adds = self.others = 0
        self.counts: dict[str, int] = {}
        self.found = Findings()

    def model(self, item: Json, depth: int, shapes: list[Shape] | None) -> tuple[Json, Signature]:
        """Return a clean Functional or Sequential model and its input shape, input type and output."""
        if depth > DEEPEST:
            raise Refused("nested", f"Models are nested more than {DEEPEST} deep.", "Flatten them.")
        name, inner = item["class_name"], item.get("config")
        if not isinstance(inner, dict) or not isinstance(inner.get("layers"), list) or not inner["layers"]:
            raise Refused("config", f"The {name} model has no layers.", "Send the output of `model.to_json()`.")
        walked = self._sequential(inner, depth, shapes) if name == "Sequential" else self._functional(inner, depth)
        config, signature = walked
        config["name"], config["trainable"] = parts.name_of(inner.get("name"), "The model"), True
        module = "keras" if name == "Sequential" else "keras.src.models.functional"
        return {"module": module, "class_name": name, "config": config, "registered_name": None}, signature

    def _sequential(self, inner: Json, depth: int, shapes: list[Shape] | None) -> tuple[Json, Signature]:
        entries, clean = inner["layers"], []
        self._count_layers(entries)
        first = entries[0] if isinstance(entries[0], dict) else {}
        start = parts.input_layer(first, "The first layer") if first.get("class_name") == "InputLayer" else None
        if start is None and not shapes:
            what = "The Sequential model has no input shape: its first layer is not an Input."
            raise Refused("input", what, "Begin it with keras.Input((height, width, channels), dtype='uint8').")
        input_shape, dtype = (start[1], start[2]) if start else ((shapes or [()])[0], "float32")
        if start:
            clean.append(start[0])
        tensor, names = Tensor(input_shape, False), set()
        for number, entry in enumerate(entries[len(clean) :], start=len(clean)):
            layer, tensor = self._tried(entry, [tensor], depth, f"Layer {number + 1}")
            if layer is None:
                continue
            if layer["config"]["name"] in names:
                raise Refused("name", f"Two layers are named {short(layer['config']['name'])}.", "Rename one.")
            names.add(layer["config"]["name"])
            clean.append(layer)
        return {"layers": clean}, (input_shape, dtype, tensor)

    def _functional(self, inner: Json, depth: int) -> tuple[Json, Signature]:
        entries = inner["layers"]
        self._count_layers(entries)
        by_name = keras_calls.by_name(entries)
        (first,) = parts.ends(inner.get("input_layers"), "input")
        (last,) = parts.ends(inner.get("output_layers"), "output")
        start, input_shape, dtype = self._input(by_name, first[0])
        clean = {first[0]: {**start, "name": first[0], "inbound_nodes": []}}
        outputs = {(first[0], 0): Tensor(input_shape, False)}
        for call in keras_calls.ordered(by_name, first[0]):
            fed, reused = [outputs[source] for source in call.sources], call.index > 0  # its weights count once
            layer, output = self._tried(by_name[call.layer], fed, depth, f"Layer {short(call.layer)}", reused)
            outputs[call.layer, call.index] = output
            if layer is not None and not reused:
                clean[call.layer] = {**layer, "name": call.layer, "inbound_nodes": []}
            if call.layer in clean:
                with self.found.next():
                    clean[call.layer]["inbound_nodes"].append(parts.node_of(call.node, call.sources, fed, call.layer))
        if last not in outputs:
            raise Refused(
                "output", "The model's output is not the output of a layer.", "Send the file as Keras wrote it."
            )
        config = {
            "layers": [clean[name] for name in by_name if name in clean],
            "input_layers": [*first, 0],
            "output_layers": [*last, 0],
        }
        return config, (input_shape, dtype, outputs[last])

    def _input(self, by_name: dict[str, Json], first: str) -> tuple[Json, Shape, str]:
        """Return the clean input layer, its shape and its type."""
        inputs = [name for name, entry in by_name.items() if entry.get("class_name") == "InputLayer"]
        if first not in inputs:
            raise Refused("input", "The model has no input layer.", "Begin it with keras.Input(…).")
        if len(inputs) > 1:
            raise Refused("input", "The model has more than one input.", "It should take one image.")
        return parts.input_layer(by_name[first], f"Layer {short(first)}")

    def _tried(
        self, entry: Json, fed: list[Tensor], depth: int, where: str, reused: bool = False
    ) -> tuple[Json | None, Tensor]:
        """Return a clean layer and its output; None and an unknown output where it has a problem, which is kept."""
        with self.found.next():
            return self._layer(entry, fed, depth, where, reused)
        return None, parts.UNKNOWN

    def _layer(self, entry: Json, fed: list[Tensor], depth: int, where: str, reused: bool) -> tuple[Json, Tensor]:
        """Return a clean layer and its output."""
        name = parts.class_of(entry, where)
        shapes = [tensor.shape for tensor in fed]
        if name in MODELS:
            before = self.parameters
            clean, (takes, _, tensor) = self.model(entry, depth + 1, shapes)
            if parts.UNKNOWN not in fed and shapes != [takes]:
                given = ", ".join(map(str, shapes))
                raise Refused("shape", f"{where} takes {takes} but gets {given}.", "Make the shapes equal.")
            self.parameters = before if reused else self.parameters
            return clean, tensor
        if name not in allowed_layers.LAYERS:
            raise parts.unknown_layer(name, where)
        settings = entry.get("config")
        if not isinstance(settings, dict):
            raise Refused("config", f"{where} has no settings.", "Send the file as Keras wrote it.")
        clean = self._settings(name, settings, where)
        module = {"module": "keras.layers", "class_name": name, "config": clean, "registered_name": None}
        self.counts[name] = self.counts.get(name, 0) + 1
        if parts.UNKNOWN in fed:
            return module, parts.UNKNOWN
        cost = allowed_layers.cost(name, clean, shapes, where)
        self._charge(cost, reused, where)
        soft = clean.get("activation") == "softmax" if name in ("Dense", "Activation") else name == "Softmax"
        soft = soft and clean.get("axis", -1) == -1
        kept = name in ("Flatten", "Reshape", "Average", "Dropout") and all(tensor.probabilities for tensor in fed)
        return module, Tensor(cost.shape, soft or kept)

    def _settings(self, name: str, settings: Json, where: str) -> Json:
        allowed = allowed_layers.LAYERS[name].settings
        clean = {"name": parts.name_of(settings.get("name"), where), "trainable": True}
        for key, value in settings.items():
            if key == "dtype":
                clean["dtype"] = parts.dtype_of(value, where)
            elif key in allowed_layers.COMMON:
                continue
            elif key not in allowed:
                raise Refused("setting", f"{where} ({name}) has the unknown setting {short(key)}.", "Remove it.")
            elif (kind := key.rpartition("_")[2]) in parts.PARTS:
                clean[key] = parts.part(value, kind, f"{where}, {key}")
            elif key.endswith("activation"):
                if value is not None and (not isinstance(value, str) or value not in allowed_layers.ACTIVATIONS):
                    what = f"{where} has the activation {short(value)}."
                    raise Refused("activation", what, f"Use one of {', '.join(sorted(allowed_layers.ACTIVATIONS))}.")
                clean[key] = value
            else:
                clean[key] = parts.plain(value, f"{where}, {key}", key in allowed_layers.LISTS)
        return clean

    def _charge(self, cost: Cost, reused: bool, where: str) -> None:
        if math.prod(cost.shape) > parts.LARGEST:
            what = f"{where} has {math.prod(cost.shape):,} output values for one image; the most is {parts.LARGEST:,}."
            raise Refused("too-large", what, "Make it smaller.")
        self.parameters += 0 if reused else cost.parameters
        self.multiply_adds += cost.multiply_adds
        self.others += max(cost.others, math.prod(cost.shape))
        if self.parameters > MOST_PARAMETERS:
            what = f"The model has more than {MOST_PARAMETERS:,} parameters."
            raise Refused("too-large", what, "This board is for small networks: make it smaller.")
        if max(self.multiply_adds, self.others) > MOST_MULTIPLY_ADDS:
            what = f"The model needs more than {MOST_MULTIPLY_ADDS:,} multiply-adds per image."
            raise Refused("too-large", what, "This board is for small networks: make it smaller.")

    def _count_layers(self, entries: list[Any]) -> None:
        self.counts["all"] = self.counts.get("all", 0) + len(entries)
        if self.counts["all"] > MOST_LAYERS:
            raise Refused("too-large", f"The model has more than {MOST_LAYERS} layers.", "Send a smaller one.")
