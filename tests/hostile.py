"""Hostile files, made by hand: name -> (bytes, the reason for which they have to be refused)."""

import io
import json
import pickle
import stat
import struct
import zipfile

import h5py
import numpy as np
import onnx
from networks import archive, image, keras_file, layer, members, model, node, onnx_file, perceptron, tensor, weights
from onnx import StringStringEntryProto, TensorProto, helper, numpy_helper

SECRET = "/etc/passwd"


def changed(config: dict, /, **changes) -> dict:
    """Return a configuration whose last layer is changed."""
    config = json.loads(json.dumps(config))
    config["config"]["layers"][-1].update(changes)
    return config


def setting(**settings) -> dict:
    """Return a perceptron whose last layer has other settings."""
    config = perceptron()
    last = config["config"]["layers"][-1]
    return changed(config, config={**last["config"], **settings})


def between(kind: str, **settings) -> dict:
    return perceptron(extra=[layer(kind, "odd", **settings)])


def nested(depth: int) -> dict:
    """Return models within models around a Lambda."""
    inner = model(image(), layer("Lambda", "code", "image", function="os.system"))
    for level in range(depth):
        wrapped = {**inner, "name": f"m{level}", "inbound_nodes": [{"args": [tensor("image")], "kwargs": {}}]}
        inner = model(image(), wrapped)
    return inner


def deep(levels: int) -> dict:
    """Return models within models, with nothing wrong but that."""
    inner = model(image(), layer("Dense", "dense", "image", units=1))
    for level in range(levels):
        inner = model(
            image(), {**inner, "name": f"m{level}", "inbound_nodes": [{"args": [tensor("image")], "kwargs": {}}]}
        )
    return inner


def zipped(*entries: tuple) -> bytes:
    """Return an archive of (ZipInfo or name, content) behind the members of a good one."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in (*members().items(), *entries):
            file.writestr(name, content)
    return packed.getvalue()


def link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("assets")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def encrypted() -> bytes:
    data = bytearray(keras_file())
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    return bytes(data)


def lying_size() -> bytes:
    """An archive whose directory says that the weights are smaller than they unpack to."""
    data = bytearray(archive(members(), zipfile.ZIP_DEFLATED))
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 100)
    return bytes(data)


def overlapping() -> bytes:
    data = bytearray(archive({**members(), "metadata.json": members()["metadata.json"]}))
    first, second = data.index(b"PK\x01\x02"), data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 20 : second + 24] = struct.pack("<I", 10**6)
    data[second + 24 : second + 28] = struct.pack("<I", 10**6)
    return bytes(data[:first] + data[first:])


def h5(change) -> bytes:
    return keras_file(h5=weights(change=change))


def external(file) -> None:
    file["layers/elsewhere"] = h5py.ExternalLink(SECRET, "/")


def external_storage(file) -> None:
    file.create_dataset("layers/stolen", (10,), "f4", external=[(SECRET, 0, 40)])


def virtual(file) -> None:
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource(SECRET, "x", (10,))
    file.create_virtual_dataset("layers/virtual", layout)


def soft(file) -> None:
    file["layers/soft"] = h5py.SoftLink("/layers/dense")


def hard(file) -> None:
    file["layers/again"] = file["layers/dense"]


def compressed(file) -> None:
    file.create_dataset("layers/bomb", (10**6,), "f4", compression="gzip")


def chunked(file) -> None:
    file.create_dataset("layers/chunked", (10**9,), "f4", chunks=(1000,))


def text(file) -> None:
    file["layers/text"] = "a text of any length"


def reference(file) -> None:
    file.create_dataset("layers/ref", (1,), h5py.ref_dtype)


def not_a_number(file) -> None:
    file["layers/dense/vars/0"][0, 0] = np.nan


def infinite(file) -> None:
    file["layers/dense/vars/1"][3] = np.inf


def huge_claim() -> bytes:
    """Weights whose dataspace says that they are 2^40 values."""
    data = weights()
    place = data.index(struct.pack("<QQ", 64, 10))
    return keras_file(h5=data[:place] + struct.pack("<QQ", 2**20, 2**20) + data[place + 16 :])


def newer() -> bytes:
    packed = io.BytesIO()
    with h5py.File(packed, "w", libver="latest") as file:
        file["layers/dense/vars/0"] = np.zeros((64, 10), np.float32)
    return keras_file(h5=packed.getvalue())


class Exploit:
    def __reduce__(self):
        return (print, ("run",))


def constant(name: str, **values) -> TensorProto:
    made = numpy_helper.from_array(np.zeros(4, np.float32), name)
    for key, value in values.items():
        setattr(made, key, value)
    return made


def elsewhere(made) -> None:
    tensor_proto = made.graph.initializer[0]
    tensor_proto.data_location = TensorProto.EXTERNAL
    tensor_proto.external_data.append(StringStringEntryProto(key="location", value="../../etc/passwd"))


def body() -> object:
    """A subgraph that doubles what it is given, over and over."""
    values = [helper.make_tensor_value_info(n, k, s) for n, k, s in (
        ("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("v", TensorProto.FLOAT, None))]  # fmt: skip
    out = [
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
    ]
    return helper.make_graph([helper.make_node("Concat", ["v", "v"], ["w"], axis=0)], "body", values, out)


def loop() -> bytes:
    names = {"times": np.int64(2**62), "yes": np.bool_(True)}
    return onnx_file(nodes=[node("Loop", ["times", "yes", "x"], body=body())], constants=names)


def functions(made) -> None:
    made.functions.append(
        helper.make_function("own", "f", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], made.opset_import)
    )


def claims_more(made) -> None:
    made.graph.initializer[0].dims[0] = 2**40


def twice(made) -> None:
    made.graph.initializer.append(made.graph.initializer[0])


def fixed_batch(made) -> None:
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def second_input(made) -> None:
    made.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def attribute_graph(made) -> None:
    made.graph.node[0].attribute.append(helper.make_attribute("body", body()))


def odd_raw_data(made) -> None:
    made.graph.initializer[0].raw_data += b"\0"


def many_sides(made) -> None:
    made.graph.initializer[0].dims.extend([1] * 300)


def input_of_many_sides(made) -> None:
    made.graph.input[0].type.tensor_type.shape.dim.extend([made.graph.input[0].type.tensor_type.shape.dim[1]] * 231)


def external_itself(made) -> None:
    """The weights are in the file "model.onnx", which is how the file itself is stored."""
    made.graph.initializer[0].ClearField("raw_data")
    made.graph.initializer[0].external_data.append(StringStringEntryProto(key="location", value="model.onnx"))


def constant_node(*attributes, output: str = "y") -> onnx.NodeProto:
    made = helper.make_node("Constant", [], [output])
    made.attribute.extend(attributes)
    return made


VALUE = helper.make_attribute("value", numpy_helper.from_array(np.zeros(64, np.float32)))
SHADOW = [constant_node(VALUE, output="weights"), node("Identity")]  # named like an initializer
OF_TEXTS = [constant_node(helper.make_attribute("value_strings", ["a", "b"]), output="t"), node("Add", ["x", "t"])]
OF_TWO = [constant_node(VALUE, helper.make_attribute("odd", [1.0] * 64), output="t"), node("Add", ["x", "t"])]


def zip_64() -> bytes:
    """An archive with a directory at 2^63."""
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, 46, 2**63)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 4, 1)
    return b"PK\3\4" + end + locator + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 3, 3, 46, 2**32 - 1, 0)


REGISTERED = {"module": "evil", "class_name": "Dense", "config": {}, "registered_name": "Custom>Dense"}
INITIALIZER = {"module": "os", "class_name": "system", "config": {"command": "id"}, "registered_name": None}
OTHER_DTYPE = {"module": "evil", "class_name": "Policy", "config": {"name": "float32"}, "registered_name": None}

HOSTILE = {
    # what Keras would build
    "lambda": (keras_file(between("Lambda", function=["code", None, None])), "lambda"),
    "lambda nested in models": (keras_file(nested(2)), "lambda"),
    "lambda in a wrapper": (
        keras_file(between("TimeDistributed", layer=layer("Lambda", "code", function="x"))), "lambda"),
    "a function as activation": (keras_file(setting(activation={
        "module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"})), "lambda"),
    "marshalled code": (
        keras_file(setting(activation={"class_name": "__lambda__", "config": {"value": "4wAA"}})), "lambda"),
    "TFSMLayer": (keras_file(between("TFSMLayer", filepath="/tmp/x", call_endpoint="serve")), "tfsm"),
    "TFSMLayer without a path": (keras_file(between("TFSMLayer")), "tfsm"),
    "TorchModuleWrapper": (keras_file(between("TorchModuleWrapper", module={"value": "gAJ"})), "torch-module"),
    "JaxLayer": (keras_file(between("JaxLayer", call_fn="x")), "jax-layer"),
    "StringLookup with a path": (keras_file(between("StringLookup", vocabulary=SECRET)), "lookup"),
    "StringLookup": (keras_file(between("StringLookup")), "lookup"),
    "TextVectorization": (keras_file(between("TextVectorization")), "lookup"),
    "a foreign module": (keras_file(changed(perceptron(), module="os", class_name="system")), "module"),
    "a foreign module with a layer's name": (keras_file(changed(perceptron(), module="evil.layers")), "module"),
    "a private module of Keras": (keras_file(changed(perceptron(), module="keras.src.utils.file_utils")), "module"),
    "a registered name": (keras_file(changed(perceptron(), registered_name="Custom>Dense")), "registered"),
    "a registered name in a foreign package": (keras_file(changed(perceptron(), **REGISTERED)), "module"),
    "a module that is no text": (keras_file(changed(perceptron(), module=["keras.layers"])), "module"),
    "a class that is no text": (keras_file(changed(perceptron(), class_name={"a": 1})), "config"),
    "a foreign initializer": (keras_file(setting(kernel_initializer=INITIALIZER)), "module"),
    "a registered initializer": (keras_file(setting(kernel_initializer={
        **INITIALIZER, "module": "keras.initializers", "class_name": "Zeros", "registered_name": "Custom>Z"})),
        "registered"),
    "an object as initializer setting": (keras_file(setting(kernel_initializer={
        "module": "keras.initializers", "class_name": "Constant", "registered_name": None,
        "config": {"value": {"module": "os", "class_name": "system", "config": {}}}})), "setting"),
    "a foreign type policy": (keras_file(setting(dtype=OTHER_DTYPE)), "dtype"),
    "an unknown layer": (keras_file(between("Discretization", bin_boundaries=[1])), "layer"),
    "an unknown setting": (keras_file(setting(on_load="x")), "setting"),
    "a path as a setting": (keras_file(setting(quantization_config="../../etc/passwd")), "text"),
    "safe mode off": (keras_file({**perceptron(), "safe_mode": False}), "unsafe-key"),
    "safe mode off within": (keras_file(setting(safe_mode=False)), "unsafe-key"),
    "custom objects": (keras_file({**perceptron(), "custom_objects": {"Dense": "evil"}}), "unsafe-key"),
    "a remote file": (keras_file(setting(filepath="https://evil.example/x")), "unsafe-key"),
    "an unknown activation": (keras_file(setting(activation="os.system")), "activation"),
    "a model of another kind": (keras_file({**perceptron(), "class_name": "Model", "registered_name": None}), "class"),
    "a constant in a call": (keras_file(changed(perceptron(), inbound_nodes=[
        {"args": [tensor("flat"), 7], "kwargs": {}}])), "call"),
    "an object in a call": (keras_file(changed(perceptron(), inbound_nodes=[
        {"args": [{"class_name": "__numpy__", "config": {}}], "kwargs": {}}])), "call"),
    "an odd keyword in a call": (keras_file(changed(perceptron(), inbound_nodes=[
        {"args": [tensor("flat")], "kwargs": {"out": "x"}}])), "call"),
    "a layer that feeds itself": (keras_file(changed(perceptron(), inbound_nodes=[
        {"args": [tensor("dense")], "kwargs": {}}])), "graph"),
    "a name that is a path": (keras_file(changed(perceptron(), config={
        "name": "../../x", "units": 10, "activation": "softmax"})), "name"),
    "a name of markup": (keras_file(changed(perceptron(), config={
        "name": "<script>", "units": 10, "activation": "softmax"})), "name"),
    "Keras 2": (keras_file({"class_name": "Sequential", "config": {"layers": []}}), "keras2"),
    "an archive of Keras 2": (keras_file(metadata={"keras_version": "2.15.0"}), "keras2"),
    "dimensions that are texts": (keras_file(between("Permute", dims=["1", "2", "3"])), "setting"),
    "a softmax over several axes": (keras_file(between("Softmax", axis=[1, 2])), "shape"),
    "channels first": (keras_file(perceptron((1, 8, 8))), "input-order"),
    # sizes
    "a shape bomb": (keras_file(perceptron(shape=(10**9, 10**9, 1))), "input"),
    "a negative shape": (keras_file(perceptron(shape=(-8, 8, 1))), "input"),
    "a dense bomb": (keras_file(setting(units=10**9)), "too-large"),
    "an upsampling bomb": (keras_file(between("UpSampling2D", size=[10**5, 10**5])), "too-large"),
    "a padding bomb": (keras_file(between("ZeroPadding2D", padding=10**9)), "too-large"),
    "a repetition bomb": (keras_file(model(
        image(), layer("Flatten", "flat", "image"), layer("RepeatVector", "many", "flat", n=10**12))), "too-large"),
    "a convolution of too many multiply-adds": (keras_file(between("Conv2D", filters=8000, kernel_size=[99, 99],
                                                                    padding="same")), "too-large"),
    "a convolution of no filters": (keras_file(between("Conv2D", filters=0, kernel_size=[3, 3])), "shape"),
    "too many layers": (keras_file(perceptron(extra=[layer("ReLU", f"r{n}") for n in range(500)])), "too-large"),
    "models nested too deep": (keras_file(deep(6)), "nested"),
    "deep JSON": (keras_file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "json-depth"),
    "wide JSON": (keras_file(b'{"a":[' + b"1," * 300_000 + b"1]}"), "json-size"),
    "long JSON": (keras_file(b'{"a":"' + b"x" * 2_000_000 + b'"}'), "json-size"),
    "a long text": (keras_file({**perceptron(), "note": "x" * 600}), "json-text"),
    "a key twice": (keras_file(b'{"class_name": "Functional", "class_name": "Lambda"}'), "json-key"),
    "NaN in JSON": (keras_file(b'{"a": NaN}'), "json-number"),
    "a number beyond all bounds": (keras_file(b'{"a": 1e999}'), "json-number"),
    "a whole number of 5,000 digits": (keras_file(b'{"a": ' + b"9" * 5000 + b"}"), "json"),
    "JSON that is none": (keras_file(b'{"a": '), "json"),
    "JSON that is no text": (keras_file(b'{"a": "\xff\xfe"}'), "json"),
    # what it takes and gives
    "the wrong input": (keras_file(perceptron((28, 28, 1)), weights((28, 28, 1))), "input-shape"),
    "the wrong number of classes": (keras_file(perceptron(classes=7), weights(classes=7)), "classes"),
    "no probabilities": (keras_file(perceptron(activation="linear")), "probabilities"),
    "no weights at all": (archive({**members(), "model.weights.h5": b""}), "hdf5"),
    "weights of another model": (keras_file(h5=weights(shape=(4, 4, 1))), "weights"),
    # ZIP
    "path traversal": (zipped(("../../evil.py", b"x")), "zip-path"),
    "path traversal in the middle": (zipped(("a/../../evil.py", b"x")), "zip-path"),
    "an absolute member": (zipped(("/etc/cron.d/x", b"x")), "zip-path"),
    "a member of Windows": (zipped(("C:\\evil.py", b"x")), "zip-path"),
    "a symbolic link": (zipped((link(), SECRET.encode())), "zip-link"),
    "a member twice": (zipped(("config.json", b"{}")), "zip-twice"),
    "a member twice but for case": (zipped(("CONFIG.json", b"{}")), "zip-twice"),
    "assets": (zipped(("assets/vocabulary.txt", b"x")), "zip-assets"),
    "a member too many": (zipped(("sitecustomize.py", b"x")), "zip-members"),
    "a thousand members": (zipped(*((f"m{n}", b"") for n in range(1000))), "zip-members"),
    "a member missing": (archive({"metadata.json": b"{}", "config.json": b"{}"}), "zip-members"),
    "a ZIP bomb": (archive({**members(), "model.weights.h5": b"\0" * 60_000_000}, zipfile.ZIP_DEFLATED), "zip-bomb"),
    "an encrypted member": (encrypted(), "zip-encrypted"),
    "a size that lies": (lying_size(), "zip"),
    "members on top of each other": (overlapping(), "zip-bomb"),
    "half an archive": (keras_file()[: len(keras_file()) // 2], "zip"),
    "a ZIP64 directory at 2^63": (zip_64(), "zip"),
    "bzip2": (archive(members(), zipfile.ZIP_BZIP2), "zip-method"),
    # HDF5
    "an external link": (h5(external), "hdf5-link"),
    "external storage": (h5(external_storage), "hdf5-external"),
    "a virtual dataset": (h5(virtual), "hdf5-virtual"),
    "a soft link": (h5(soft), "hdf5-link"),
    "a loop of links": (h5(hard), "hdf5-loop"),
    "a compression bomb": (h5(compressed), "hdf5-filter"),
    "a dataset of nothing but promises": (h5(chunked), "hdf5-filter"),
    "texts among the weights": (h5(text), "hdf5-type"),
    "references among the weights": (h5(reference), "hdf5-type"),
    "a dataset larger than its file": (huge_claim(), "hdf5-size"),
    "the newer layout of HDF5": (newer(), "hdf5-version"),
    "NaN weights": (h5(not_a_number), "nan"),
    "infinite weights": (h5(infinite), "nan"),
    # ONNX
    "external data": (onnx_file(change=elsewhere), "onnx-external"),
    "a custom domain": (onnx_file(nodes=[node("Evil", domain="com.evil")]), "onnx-domain"),
    "an operator of a runtime's own": (onnx_file(nodes=[node("FusedConv", domain="com.microsoft")]), "onnx-domain"),
    "an unknown operator": (onnx_file(nodes=[node("StringNormalizer")]), "onnx-operator"),
    "an operator that draws at random": (onnx_file(nodes=[node("RandomNormalLike")]), "onnx-operator"),
    "a loop that allocates without end": (loop(), "onnx-loop"),
    "a branch": (onnx_file(nodes=[node("If", "yes", then_branch=body(), else_branch=body())],
                           constants={"yes": np.bool_(True)}), "onnx-loop"),
    "a graph in an attribute": (onnx_file(change=attribute_graph), "onnx-loop"),
    "functions": (onnx_file(change=functions), "onnx-function"),
    "a huge constant": (onnx_file(nodes=[node("ConstantOfShape", "big")],
                                  constants={"big": np.array([2**20, 2**20], np.int64)}), "too-large"),
    "a huge tile": (onnx_file(nodes=[node("Tile", ["x", "big"])],
                              constants={"big": np.array([1, 10**6, 10**6, 1], np.int64)}), "too-large"),
    "a huge padding": (onnx_file(nodes=[node("Pad", ["x", "big"])],
                                 constants={"big": np.array([0, 0, 0, 0, 0, 10**9, 10**9, 0], np.int64)}), "too-large"),
    "a constant that claims more than it holds": (onnx_file(change=claims_more), "onnx-size"),
    "a constant twice": (onnx_file(change=twice), "onnx-name"),
    "a sparse constant": (onnx_file(change=lambda m: m.graph.sparse_initializer.add()), "onnx-sparse"),
    "a training graph": (onnx_file(change=lambda m: m.training_info.add()), "onnx-training"),
    "NaN in ONNX": (onnx_file(constants={"weights": np.full((64, 10), np.nan, np.float32)}), "nan"),
    "an old operator set": (onnx_file(opset=3), "onnx-version"),
    "texts as constants": (onnx_file(nodes=[node("Add", ["x", "words"])],
                                     constants={"words": np.array([b"a", b"b"], object)}), "onnx-type"),
    "a float input": (onnx_file(kind=TensorProto.FLOAT), "input-type"),
    "a fixed batch": (onnx_file(change=fixed_batch), "input-batch"),
    "two inputs": (onnx_file(change=second_input), "input"),
    "another image in ONNX": (onnx_file(shape=(28, 28, 1)), "input-shape"),
    "other classes in ONNX": (onnx_file(classes=7), "classes"),
    "raw data of odd length": (onnx_file(change=odd_raw_data), "onnx-size"),
    "a constant of 300 sides": (onnx_file(change=many_sides), "onnx-size"),
    "an input of 231 sides": (onnx_file(change=input_of_many_sides), "onnx-type"),
    "weights in its own file": (onnx_file(change=external_itself), "onnx-external"),
    "a Constant node named like an initializer": (onnx_file(nodes=SHADOW), "onnx-name"),
    "a Constant node of texts": (onnx_file(nodes=OF_TEXTS), "onnx-type"),
    "a Constant node of two values": (onnx_file(nodes=OF_TWO), "onnx-constant"),
    "data in an attribute that is not there": (onnx_file(nodes=[node("Identity", data=[1.0] * 99)]), "onnx-attribute"),
    "a value that is made twice": (onnx_file(nodes=[node("Identity"), node("Neg")]), "onnx-name"),
    "a value that is used before it is made": (
        onnx_file(nodes=[node("Identity", "later", "y"), node("Identity", "x", "later")]), "onnx-graph"),
    "an output that does not depend on the image": (onnx_file(nodes=[node("Identity", "scale", "y")]), "onnx-graph"),
    "channels first in ONNX": (onnx_file(shape=(1, 8, 8)), "input-order"),
    "half an ONNX file": (onnx_file()[:-200], "onnx"),
    "an empty graph": (helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString(), "onnx"),
    # other files
    "nothing": (b"", "empty"),
    "a pickle": (pickle.dumps(Exploit()), "pickle"),
    "a legacy HDF5 model": (weights(), "legacy-h5"),
    "an HTML page": (b"<html><script>alert(1)</script></html>", "unknown"),
    "a list in JSON": (b'{"config": []}', "config"),
    "an architecture with a Lambda": (json.dumps(nested(1)).encode(), "lambda"),
    "an architecture of a foreign module": (json.dumps(changed(perceptron(), module="os")).encode(), "module"),
    "an architecture that would train for days": (json.dumps(
        perceptron((28, 28, 1), extra=[layer("Conv2D", f"c{n}", filters=180, kernel_size=[5, 5], padding="same")
                                       for n in range(3)])).encode(), "budget"),
}  # fmt: skip
