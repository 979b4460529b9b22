"""Check the parts of a serialized Keras model one by one, and return a clean copy of each.

Everything that is not known to be harmless is rejected, with its own reason and a replacement if there is one.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.strict import allowed_layers
from zoo.strict.layer_settings import Shape
from zoo.strict.problems import Refused, short
from zoo.types import Json

LARGEST = 8_000_000  # values of one layer's output, for one image: AlexNet's largest has 0.3 million
KNOWN_MODULES = {"keras.layers", "keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"}
DANGEROUS = {
    "Lambda": ("lambda", "A Lambda layer contains code."),
    "TFSMLayer": ("tfsm", "A TFSMLayer runs a TensorFlow program from a file."),
    "TorchModuleWrapper": ("torch-module", "A TorchModuleWrapper unpickles a PyTorch module, which can run any code."),
    "JaxLayer": ("jax-layer", "A JaxLayer contains code."),
    "FlaxLayer": ("jax-layer", "A FlaxLayer contains code."),
    "StringLookup": ("lookup", "A StringLookup layer may read its vocabulary from a file."),
    "IntegerLookup": ("lookup", "An IntegerLookup layer may read its vocabulary from a file."),
    "TextVectorization": ("lookup", "A TextVectorization layer may read its vocabulary from a file."),
}
UNSAFE_KEYS = {"safe_mode", "custom_objects", "py_lambda", "closure", "call_endpoint", "filepath", "vocabulary"}
ONLY_KERAS = "Build it from the layers that the Submit page lists."


OPERATIONS = "keras.src.ops.", "keras.ops"  # modules of the classes that Python operators and keras.ops create
REPLACEMENTS = {  # operation -> equivalent layer
    "TrueDivide": "keras.layers.Rescaling(1 / 255)",
    "Divide": "keras.layers.Rescaling(1 / 255)",
    "Multiply": "keras.layers.Multiply()([a, b]), or keras.layers.Rescaling(scale) for a constant",
    "Add": "keras.layers.Add()([a, b]), or keras.layers.Rescaling(1, offset) for a constant",
    "Subtract": "keras.layers.Subtract()([a, b]), or keras.layers.Rescaling(1, -offset) for a constant",
    "Maximum": "keras.layers.Maximum()([a, b])",
    "Minimum": "keras.layers.Minimum()([a, b])",
    "Concatenate": "keras.layers.Concatenate()([a, b])",
    "Reshape": "keras.layers.Reshape(shape)",
    "Transpose": "keras.layers.Permute(dims)",
    "Mean": "keras.layers.GlobalAveragePooling2D()",
    "Max": "keras.layers.GlobalMaxPooling2D()",
    "Matmul": "keras.layers.Dense(units) or keras.layers.MultiHeadAttention(…)",
    "Cast": "keras.Input(shape, dtype='uint8') and keras.layers.Rescaling(1 / 255), which gives float32",
    "Pad": "keras.layers.ZeroPadding2D(padding)",
    "Softmax": "keras.layers.Softmax()",
    "Relu": "keras.layers.ReLU()",
    "Sigmoid": "keras.layers.Activation('sigmoid')",
    "Tanh": "keras.layers.Activation('tanh')",
    "Gelu": "keras.layers.Activation('gelu')",
    "Silu": "keras.layers.Activation('silu')",
}
AUGMENTATION = re.compile(r"Random\w+|RandAugment|MixUp|CutMix|AugMix|AutoContrast|Equalization|Solarization")


@dataclass(frozen=True)
class Tensor:
    """A layer's output."""

    shape: Shape
    probabilities: bool  # whether it is a softmax or a mean of softmaxes


UNKNOWN = Tensor((-1,), True)  # the output of a layer that has a problem


def no_unsafe_keys(document: Json) -> None:
    """Reject anything in a document that controls loading or contains code."""
    rest: list[Any] = [document]
    while rest:
        item = rest.pop()
        if isinstance(item, list):
            rest += item
        elif isinstance(item, dict):
            rest += item.values()
            if bad := UNSAFE_KEYS & item.keys():
                what = f"The configuration sets {short(min(bad))}, which controls what is loaded."
                raise Refused("unsafe-key", what, "Remove it.")
            name = item.get("class_name")
            if isinstance(name, str) and name in DANGEROUS:
                code, what = DANGEROUS[name]
                raise Refused(code, what, ONLY_KERAS)
            if name in ("__lambda__", "function") or item.get("module") == "builtins":
                raise Refused("lambda", "The configuration contains a function.", ONLY_KERAS)


def class_of(item: object, where: str) -> str:
    """Return the class of a serialized object of Keras; Refused if it is anything else."""
    if not isinstance(item, dict) or not isinstance(item.get("class_name"), str):
        raise Refused("config", f"{where} is not an object of Keras.", "Send the file as Keras wrote it.")
    name: str = item["class_name"]
    module, registered = item.get("module"), item.get("registered_name")
    if isinstance(module, str) and module.startswith(OPERATIONS):
        what = f"{where} is the operation {short(name)}, from a Python operator or keras.ops, not a layer."
        raise Refused("operation", what, f"Use {REPLACEMENTS.get(name, 'layers of Keras')} instead.")
    if not isinstance(module, str) or module not in KNOWN_MODULES:
        what = f"{where} is a {short(name)} of the module {short(module)}."
        raise Refused("module", what, f"Only classes of keras.layers are built here. {ONLY_KERAS}")
    if registered not in (None, name):
        what = f"{where} is registered as {short(registered)}, a custom class."
        raise Refused("registered", what, f"Custom objects cannot be sent. {ONLY_KERAS}")
    return name


def unknown_layer(name: str, where: str) -> Refused:
    """Return why a layer of Keras is not allowed, and what to use instead."""
    if AUGMENTATION.fullmatch(name):
        what = f"{where} is a {short(name)}: augmentation, which has no effect at inference."
        fix = "Build the network without it and copy the weights: `bare.set_weights(model.get_weights())`."
        return Refused("augmentation", what, fix)
    near = difflib.get_close_matches(name[:60], allowed_layers.LAYERS, 1)
    fix = f"Did you mean {near[0]}?" if near else "The Submit page lists the layers that are allowed."
    return Refused("layer", f"{where} is a {short(name)}, which is not one of the allowed layers.", fix)


def plain(value: object, where: str, listed: bool = False) -> object:
    """Return a setting that is a number, a short text or null, or a short list of whole numbers where one is due.

    A list of any numbers would be weights that nobody counts.
    """
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        if len(value) > 64 or not all(c.isalnum() or c in "_-. " for c in value):
            raise Refused("text", f"{where} is the text {short(value)}.", "Settings are numbers and names.")
        return value
    if listed and isinstance(value, list) and len(value) <= 8:
        if not all(item is None or isinstance(item, (int, list)) for item in value):
            raise Refused("setting", f"{where} is {short(value)}, not a list of whole numbers.", ONLY_KERAS)
        return [plain(item, where, listed) for item in value]
    raise Refused("setting", f"{where} is {short(value)}, not a plain setting.", ONLY_KERAS)


PARTS = {
    "initializer": ("keras.initializers", allowed_layers.INITIALIZERS),
    "regularizer": ("keras.regularizers", allowed_layers.REGULARIZERS),
    "constraint": ("keras.constraints", allowed_layers.CONSTRAINTS),
}


def part(value: object, kind: str, where: str) -> object:
    """Return an initializer, regularizer or constraint."""
    module, allowed = PARTS[kind]
    if value is None:
        return None
    if isinstance(value, str):
        return plain(value, where)
    if not isinstance(value, dict):
        raise Refused("setting", f"{where} is {short(value)}.", ONLY_KERAS)
    name = value.get("class_name")
    if value.get("module") != module or not isinstance(name, str) or name not in allowed:
        what = f"{where} is a {short(name)} of the module {short(value.get('module'))}."
        raise Refused("module", what, f"Use one of Keras' own: {', '.join(sorted(allowed))}.")
    if value.get("registered_name") not in (None, name):
        what = f"{where} is registered as {short(value['registered_name'])}."
        raise Refused("registered", what, "Custom objects cannot be sent.")
    inner = value.get("config") or {}
    if not isinstance(inner, dict):
        raise Refused("setting", f"{where} has no settings that can be read.", ONLY_KERAS)
    config = {key: plain(item, f"{where}, {short(key)}") for key, item in inner.items()}
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def dtype_of(value: object, where: str) -> str:
    """Return the dtype that a layer computes in."""
    if isinstance(value, dict):
        if value.get("class_name") != "DTypePolicy" or value.get("module") != "keras":
            raise Refused("dtype", f"{where} has the type {short(value.get('class_name'))}.", "Use float32.")
        inner = value.get("config")
        value = inner.get("name") if isinstance(inner, dict) else None
    if value not in ("float32", "uint8"):
        fix = "Call `keras.config.set_dtype_policy('float32')`, build the network again and copy the weights."
        raise Refused("dtype", f"{where} computes in {short(value)}, not in float32.", fix)
    return value


def name_of(value: object, where: str) -> str:
    """Return the name of a layer, which must not be a path or markup."""
    if not isinstance(value, str) or not 0 < len(value) <= 100 or not all(c.isalnum() or c in "_-." for c in value):
        raise Refused("name", f"{where} has the name {short(value)}.", "Use letters, digits and underscores.")
    if ".." in value or not value.isascii():
        raise Refused("name", f"{where} has the name {short(value)}.", "Use letters, digits and underscores.")
    return value


def input_layer(entry: Json, where: str) -> tuple[Json, Shape, str]:
    """Return a clean InputLayer, its shape and its type."""
    class_of(entry, where)
    settings = config if isinstance(config := entry.get("config"), dict) else {}
    batch_shape = settings.get("batch_shape")
    shape = batch_shape[1:] if isinstance(batch_shape, list) and batch_shape[:1] == [None] else None
    if not shape or not all(type(n) is int and 0 < n <= LARGEST for n in shape) or math.prod(shape) > LARGEST:
        what = f"{where} takes the shape {short(batch_shape)}."
        raise Refused("input", what, "It should be (None, height, width, channels), with the last three known.")
    if settings.get("sparse") or settings.get("ragged") or settings.get("optional"):
        raise Refused("input", f"{where} takes something other than a dense array.", "Use keras.Input(shape).")
    dtype = dtype_of(settings.get("dtype", "float32"), where)
    config = {"batch_shape": [None, *shape], "dtype": dtype, "name": name_of(settings.get("name"), where)}
    return (
        {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None},
        tuple(shape),
        dtype,
    )


def ends(value: object, which: str) -> list[tuple[str, int]]:
    """Return the model's one input or output as (layer, node)."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if not (isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and value[2] == 0):
        raise Refused(which, f"The model should have one {which}.", "It takes one image and gives one vector.")
    if type(value[1]) is not int:
        raise Refused(which, f"The model should have one {which}.", "It takes one image and gives one vector.")
    return [(value[0], value[1])]


def _tensors(value: object, name: str) -> list[tuple[str, int]]:
    """Return the tensors in the arguments of a call, in order."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        inner = value.get("config")
        source = inner.get("keras_history") if isinstance(inner, dict) else None
        well = isinstance(source, list) and len(source) == 3 and isinstance(source[0], str)
        if source is None or not well or type(source[1]) is not int or source[2] != 0:
            raise Refused("graph", f"Layer {short(name)} has no inputs.", "Send the file as Keras wrote it.")
        return [(source[0], source[1])]
    if isinstance(value, list):
        return [tensor for item in value for tensor in _tensors(item, name)]
    if isinstance(value, dict):
        what = f"Layer {short(name)} is called with {short(value.get('class_name', value))}."
        raise Refused("call", what, "Layers may only be called with outputs of layers.")
    return []


def sources(node: object, name: str) -> list[tuple[str, int]]:
    """Return the inputs of a call of a layer, as (layer, node)."""
    if not isinstance(node, dict) or not isinstance(node.get("args"), list):
        raise Refused("config", f"Layer {short(name)} is not connected.", "Send the file as Keras wrote it.")
    kwargs = node.get("kwargs") or {}
    if not isinstance(kwargs, dict):
        raise Refused("call", f"Layer {short(name)} is called with {short(kwargs)}.", "Send what Keras wrote.")
    found = _tensors(node["args"], name)
    for key in ("query", "value", "key"):
        found += _tensors(kwargs.get(key), name)
    if not found:
        raise Refused("graph", f"Layer {short(name)} has no inputs.", "Send the file as Keras wrote it.")
    return found


_KWARGS: Mapping[str, tuple[object, ...]] = {
    "training": (None, False),
    "mask": (None,),
    "initial_state": (None,),
    "query_mask": (None,),
    "value_mask": (None,),
    "key_mask": (None,),
    "attention_mask": (None,),
    "return_attention_scores": (None, False),
    "use_causal_mask": (None, False),
}


def node_of(node: Json, fed_by: Sequence[tuple[str, int]], fed: list[Tensor], name: str) -> Json:
    """Return a clean call of a layer with these outputs of layers as inputs."""
    kwargs = node.get("kwargs") or {}
    for key, value in kwargs.items():
        if key in ("query", "value", "key"):
            continue
        if key not in _KWARGS or isinstance(value, (list, dict)) or value not in _KWARGS[key]:
            what = f"Layer {short(name)} is called with {short(key)} = {short(value)}."
            raise Refused("call", what, "Layers may only be called with outputs of layers.")
    if any(not isinstance(item, (dict, list)) for item in node["args"]):
        raise Refused("call", f"Layer {short(name)} is called with a constant.", "Use a layer for it.")
    clean = [tensor(source, output.shape) for source, output in zip(fed_by, fed, strict=True)]
    grouped = len(node["args"]) == 1 and isinstance(node["args"][0], list)
    return {"args": [clean] if grouped else clean, "kwargs": {}}


def tensor(source: tuple[str, int], shape: Shape) -> Json:
    """Return the serialized output of a layer."""
    config = {"shape": [None, *shape], "dtype": "float32", "keras_history": [*source, 0]}
    return {"class_name": "__keras_tensor__", "config": config}
