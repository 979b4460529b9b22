"""Networks as files, made by hand: small ones that are fit to be submitted, and pieces to make others of."""

import io
import json
import zipfile

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE, CLASSES = (8, 8, 1), 10  # those of optdigits


def layer(kind: str, name: str, after: str | list | None = None, **settings) -> dict:
    """Return a serialized layer; `after` names the layers that feed it."""
    entry = {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": "float32", **settings},
        "registered_name": None,
        "name": name,
        "inbound_nodes": [],
    }
    if after is not None:
        fed = [tensor(one) for one in after] if isinstance(after, list) else tensor(after)
        entry["inbound_nodes"] = [{"args": [fed], "kwargs": {}}]
    return entry


def tensor(name: str) -> dict:
    config = {"shape": [None], "dtype": "float32", "keras_history": [name, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def model(*layers: dict) -> dict:
    """Return the configuration of a functional model of these layers, the input first and the output last."""
    config = {
        "name": "net",
        "trainable": True,
        "layers": list(layers),
        "input_layers": [layers[0]["name"], 0, 0],
        "output_layers": [layers[-1]["name"], 0, 0],
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
    }


def image(shape=SHAPE, dtype="uint8") -> dict:
    return layer("InputLayer", "image", batch_shape=[None, *shape], dtype=dtype)


def perceptron(shape=SHAPE, classes=CLASSES, activation="softmax", extra: list | None = None) -> dict:
    """Return the configuration of one Dense layer on scaled pixels, with layers between that change no shape."""
    between = extra or []
    layers = [image(shape), layer("Rescaling", "scale", "image", scale=1 / 255, offset=0.0)]
    last = "scale"
    for entry in between:
        layers.append({**entry, "inbound_nodes": [{"args": [tensor(last)], "kwargs": {}}]})
        last = entry["name"]
    layers += [layer("Flatten", "flat", last), layer("Dense", "dense", "flat", units=classes, activation=activation)]
    return model(*layers)


def weights(shape=SHAPE, classes=CLASSES, change=lambda file: None, seed: int = 0) -> bytes:
    """Return the weights of `perceptron` as Keras writes them; `change` is done to the open file."""
    rng, size, packed = np.random.default_rng(seed), int(np.prod(shape)), io.BytesIO()
    with h5py.File(packed, "w") as file:
        file["layers/dense/vars/0"] = rng.normal(0, 0.1, (size, classes)).astype(np.float32)
        file["layers/dense/vars/1"] = np.zeros(classes, np.float32)
        change(file)
    return packed.getvalue()


METADATA = {"keras_version": "3.15.1", "date_saved": "2026-11-21@00:00:00"}


def archive(members: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return packed.getvalue()


def members(config: dict | bytes | None = None, h5: bytes | None = None, metadata=METADATA) -> dict[str, bytes]:
    config = perceptron() if config is None else config
    return {
        "metadata.json": json.dumps(metadata).encode(),
        "config.json": config if isinstance(config, bytes) else json.dumps(config).encode(),
        "model.weights.h5": weights() if h5 is None else h5,
    }


def keras_file(config: dict | bytes | None = None, h5: bytes | None = None, metadata=METADATA) -> bytes:
    """Return a `.keras` archive."""
    return archive(members(config, h5, metadata))


def onnx_file(
    shape=SHAPE, classes=CLASSES, nodes: list | None = None, constants: dict | None = None, change=lambda m: None,
    seed: int = 0, opset: int = 18, kind=TensorProto.UINT8, end: str = "Softmax",
) -> bytes:  # fmt: skip
    """Return an ONNX file of one dense layer; `nodes` stand between pixels "x" and its input "y"."""
    rng, size = np.random.default_rng(seed), int(np.prod(shape))
    known = {
        "weights": rng.normal(0, 0.1, (size, classes)).astype(np.float32),
        "scale": np.float32(1 / 255),
        "flat": np.array([-1, size], np.int64),
        **(constants or {}),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["raw"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["raw", "scale"], ["x"]),
            *(nodes or [helper.make_node("Identity", ["x"], ["y"])]),
            helper.make_node("Reshape", ["y", "flat"], ["z"]),
            helper.make_node("MatMul", ["z", "weights"], ["logits"]),
            helper.make_node(end, ["logits"], ["probabilities"]),
        ],
        "net",
        [helper.make_tensor_value_info("image", kind, ["n", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in known.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    change(made)
    return made.SerializeToString()


def node(kind: str, before="x", after="y", name="odd", domain="", **attributes) -> onnx.NodeProto:
    """Return a node between the pixels and the layer of `onnx_file`."""
    inputs = [before] if isinstance(before, str) else before
    return helper.make_node(kind, inputs, [after], name=name, domain=domain, **attributes)
