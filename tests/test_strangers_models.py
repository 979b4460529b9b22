"""Published folders of strangers: what their files make Keras and the runtimes do."""

import itertools
import json
import shutil

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import zoo
from leaderboard.submissions.checks import onnx_graph
from zoo import data, files, keras_weights, registry
from zoo.backend import keras
from zoo.errors import ZooError
from zoo.export import formats
from zoo.keras_weights import CONSTANTS
from zoo.portable import compiling
from zoo.serving import explain, opening, runtimes
from zoo.settings import PRETRAINED
from zoo.strict import hdf5, onnx_attributes, onnx_costs, onnx_limits, onnx_wire
from zoo.strict.problems import Refused
from zoo.training import keras_models, transfer


@pytest.fixture
def published(tmp_path):
    """A published folder that may be spoiled."""
    return shutil.copytree(PRETRAINED / "lenet5.mnist", tmp_path / "model")


def changed(folder, change):
    """Change a folder's configuration for Keras."""
    path = folder / "config.json"
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))


def layer(name, **config):
    """Return a serialized layer of Keras."""
    return {
        "module": "keras.layers",
        "class_name": name,
        "config": {"name": "extra", **config},
        "registered_name": None,
    }


def function(module, name):
    """Return a serialized function of Keras."""
    return {"class_name": "function", "module": module, "config": name, "registered_name": name}


GALLERY = function("keras.visualization", "plot_image_gallery")
CALLING = {
    "Lambda": lambda path: layer("Lambda", function=GALLERY, arguments={"path": path}, output_shape=[28, 28, 1]),
    "nested": lambda path: {
        **layer("Sequential", layers=[layer("Lambda", function=GALLERY, arguments={"path": path})]),
        "module": "keras",
    },
    "activation": lambda path: layer("Activation", activation=GALLERY),
    "wrapped": lambda path: layer("TimeDistributed", layer=layer("Lambda", function=GALLERY)),
    "initializer": lambda path: layer("Dense", units=3, kernel_initializer=function("keras.utils", "save_img")),
    "vocabulary": lambda path: layer("StringLookup", vocabulary=path),
}


@pytest.mark.parametrize("how", CALLING)
def test_keras_calls_no_function_that_a_configuration_names(published, tmp_path, how, monkeypatch):
    """A Lambda of a registered function made a picture of any path, when the model was called."""
    layers = [layer("InputLayer", batch_shape=[None, 28, 28, 1], dtype="uint8"), CALLING[how](str(tmp_path / "a.png"))]
    config = {"name": "all", "layers": [*layers, layer("Flatten"), layer("Dense", units=10, activation="softmax")]}
    changed(
        published,
        lambda said: said.update(class_name="Sequential", module="keras", registered_name=None, config=config),
    )
    monkeypatch.setattr(keras.saving, "load_model", None)
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", None)
    with pytest.raises(ZooError, match=r"not a model that Keras can load here: (?i:.*(layer|configuration))"):
        zoo.load_model(published)


def test_how_a_model_is_to_be_compiled_is_nothing_that_a_folder_says(published):
    changed(
        published, lambda said: said.update(compile_config={"optimizer": "sgd", "loss": "mse", "run_eagerly": True})
    )
    assert not zoo.load_model(published).compiled


SIZES = {
    "Dense": layer("Dense", units=10**6),
    "Conv2D": layer("Conv2D", filters=10**6, kernel_size=[3, 3], strides=[9, 9]),
    "SeparableConv2D": layer("SeparableConv2D", filters=4, kernel_size=[3, 3], depth_multiplier=10**5, strides=[9, 9]),
    "PReLU": layer("PReLU"),
}


@pytest.mark.parametrize("kind", SIZES)
def test_a_layer_is_as_large_as_the_weights_that_the_file_holds(published, kind, monkeypatch):
    """9 kB that said Dense(units=1e6) took 2 GB, in proportion."""
    start = layer("InputLayer", batch_shape=[None, 28, 28, 1], dtype="uint8")
    config = {"name": "all", "layers": [start, SIZES[kind], layer("Flatten"), layer("Dense", units=10)]}
    for number, one in enumerate(config["layers"]):
        one["config"]["name"] = f"layer_{number}"
    changed(
        published,
        lambda said: said.update(class_name="Sequential", module="keras", registered_name=None, config=config),
    )
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", None)
    with pytest.raises(ZooError, match=r"parameters|output values"):
        zoo.load_model(published)


def test_weights_are_not_made_larger_than_arrays_may_be(published, monkeypatch):
    stored = published / "keras_weights.npz"
    places = json.loads(files.read_arrays(stored)[CONSTANTS].tobytes())
    one = max(places.values(), key=lambda place: np.prod(place[2]))
    text = json.dumps({f"layers/{n}": one for n in range(100)}).encode()
    np.savez(stored, **{CONSTANTS: np.frombuffer(text, np.uint8)})
    monkeypatch.setattr("zoo.keras_weights.MOST_ARRAYS", 1_000_000)
    with pytest.raises(ZooError, match="more than 1 MB"):
        zoo.load_model(published)


def in_another_file(tensor, **where):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in where.items():
        tensor.external_data.add(key=key, value=value)


CONSTANTS_OF = {
    "a secret": lambda graph, bias: in_another_file(bias, location=".env", offset="0", length="40"),
    "all of a file": lambda graph, bias: in_another_file(bias, location=".env"),
    "of no name": lambda graph, bias: in_another_file(bias),
    "larger than it is": lambda graph, bias: bias.dims.append(10**9),
    "many nodes": lambda graph, bias: graph.MergeFromString(300_001 * b"\x0a\x00"),
}


@pytest.mark.parametrize("how", CONSTANTS_OF)
def test_weights_are_made_of_what_their_file_holds_alone(published, tmp_path, how, monkeypatch):
    """`onnx` read a constant from any file below the folder in which somebody was, into weights to be published."""
    path = published / "model.onnx"
    model = onnx.load(path)
    bias = next(one for one in model.graph.initializer if one.dims == [10])
    CONSTANTS_OF[how](model.graph, bias)
    path.write_bytes(model.SerializeToString())
    (tmp_path / ".env").write_text("HF_TOKEN=hf_".ljust(40, "x"))
    monkeypatch.chdir(tmp_path)
    for way in (zoo.load_model, lambda folder: transfer.Start.read(str(folder)).build()):
        with pytest.raises(ZooError, match=r"does not say how Keras' weights are made of model\.onnx|not a model"):
            way(published)


@pytest.mark.parametrize("architecture", ["ahcd_cnn", "lenet5", "hdr_cnn"])
def test_a_network_of_the_zoo_that_can_be_read_is_not_built_from_its_code(published, monkeypatch, architecture):
    """Else 1024 x 1024 pixels, which a folder may say, would be 7 GB of weights."""
    changed(published, lambda said: said["config"]["layers"].append(layer("Lambda")))
    for file, more in (
        ("metadata.json", {"architecture": architecture}),
        ("preprocessor_config.json", {"contract": {"height": 1024, "width": 1024}}),
    ):
        path = published / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    create, shapes = registry.create_model, []
    monkeypatch.setattr(registry, "create_model", lambda *asked: shapes.append(asked[1]) or create(*asked))
    with pytest.raises(ZooError, match="Lambda"):
        zoo.load_model(published)
    assert shapes == [data.get("mnist").image_shape]


def test_a_network_of_the_zoo_with_other_layers_loads_from_its_own_code(tmp_path):
    """Whatever its configuration says; AlexNet resizes, networks of descriptors compute."""
    folder = shutil.copytree(PRETRAINED / "rootsift_vlad.pages70", tmp_path / "model")
    model = zoo.load_model(folder)
    assert model.count_params() == json.loads((folder / "metadata.json").read_text())["parameters_as_trained"]


# Networks


def network(path, nodes, constants, opset=18):
    """Write a network of images of 28 x 28 to ten probabilities, with other nodes whose value "s" is added."""
    rest = [
        helper.make_node("Flatten", ["image"], ["f"]), helper.make_node("Cast", ["f"], ["g"], to=1),
        helper.make_node("MatMul", ["g", "w"], ["h"]), helper.make_node("Add", ["h", "s"], ["i"]),
        helper.make_node("Softmax", ["i"], ["y"]),
    ]  # fmt: skip
    tensor = helper.make_tensor_value_info
    image, answer = tensor("image", TensorProto.UINT8, ["n", 28, 28, 1]), tensor("y", TensorProto.FLOAT, ["n", 10])
    arrays = {"w": np.zeros((784, 10), np.float32), **constants}
    stored = [numpy_helper.from_array(np.asarray(values), name) for name, values in arrays.items()]
    graph = helper.make_graph([*nodes, *rest], "network", [image], [answer], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return model


def node(operator, inputs, output, **settings):
    return helper.make_node(operator, inputs.split(), [output], **settings)


def total(name):
    return node("ReduceSum", name, "s", keepdims=0)


def pixels():
    return [node("Cast", "image", "c", to=1), node("Transpose", "c", "d", perm=[0, 3, 1, 2])]


QUIET = onnxruntime.SessionOptions()
QUIET.log_severity_level = 4
ONES = {"value": numpy_helper.from_array(np.ones(1, np.float32))}
BOMBS = {
    "constant": ([node("ConstantOfShape", "k", "c", **ONES), total("c")], {"k": [10**9]}),
    "range": ([node("Range", "a k b", "c"), node("Cast", "c", "d", to=1), total("d")], {"a": 0, "k": 10**10, "b": 1}),
    "tile": ([node("Tile", "x k", "c"), total("c")], {"x": np.ones(1000, np.float32), "k": [10**7]}),
    "outer": ([node("Mul", "x z", "c"), total("c")],
              {"x": np.ones((30_000, 1), np.float32), "z": np.ones((1, 30_000), np.float32)}),
    "products": ([node("ConstantOfShape", "k", "c", **ONES), node("MatMul", "c c", "d"), node("MatMul", "d d", "e"),
                  total("e")], {"k": [2048, 2048]}),
    "of a shape": ([node("Shape", "image", "a", start=1), node("ReduceProd", "a", "b", keepdims=0),
                    node("Mul", "b k", "c"), node("Unsqueeze", "c x", "d"), node("ConstantOfShape", "d", "e", **ONES),
                    total("e")], {"k": 10**6, "x": [0]}),
    "of an image": ([node("Cast", "image", "a", to=1), node("Expand", "a k", "b"), node("ReduceSum", "b x", "s",
                     keepdims=0)], {"k": [1, 1, 1, 10**5], "x": [0, 1, 2, 3]}),
    "of its ink": ([node("NonZero", "image", "a"), node("Cast", "a", "b", to=1), total("b")], {}),
    "images by images": ([node("Flatten", "image", "a"), node("Cast", "a", "b", to=1), node("Transpose", "b", "c"),
                          node("Tile", "b k", "d"), node("MatMul", "d c", "e"), total("e")], {"k": [30_000, 1]}),
    "blocks of channels": ([*pixels(), helper.make_node("Resize", ["d", "", "k"], ["u"]), node("Conv", "u x", "v"),
                            total("v")], {"k": np.float32([1, 1, 12, 12]), "x": np.ones((1, 1, 1, 1), np.float32)}),
    "antialias": ([*pixels(), helper.make_node("Resize", ["d", "", "", "k"], ["u"], mode="linear", antialias=1),
                   total("u")], {"k": [1, 1, 1, 100_000]}),
    "steps that are left out": ([*pixels(), node("Reshape", "d x", "e"), node("Tile", "e k", "u"),
                                 helper.make_node("GRU", ["u", "a", "b"], ["", "v"], hidden_size=64), total("v")],
                                {"x": [784, -1, 1], "k": [20, 1, 1],
                                 "a": np.ones((1, 192, 1), np.float32),
                                 "b": np.ones((1, 192, 64), np.float32)}),
    "no numbers": ([*pixels(), node("ReduceMax", "d all", "e"), node("Expand", "e zero", "u"),
                    node("Expand", "u k", "v"),
                    total("v")], {"all": [1, 2, 3], "zero": [1, 1, 0, 1], "k": [1, 1, 1, 10**9]}),
    "range that overflows": ([node("Range", "a b k", "u"), node("Cast", "u", "v", to=1), total("v")],
                             {"a": -(2**63), "b": 2**63 - 1, "k": 2**36}),
    "slice to the largest number": ([*pixels(), node("ReduceMax", "d all", "e"), node("Slice", "e a b zero by", "u"),
                                     node("Expand", "u k", "v"), total("v")],
                                    {"all": [1, 2, 3], "a": [0], "b": [2**63 - 1], "zero": [0], "by": [-1],
                                     "k": [1, 1, 1, 10**9]}),
    "three sides": ([*pixels(), node("Unsqueeze", "d last", "e"),
                     node("ConvTranspose", "e k", "u", pads=[1, 0, 0, 0, 0, 0], output_shape=[27, 261, 261],
                          strides=[1, 20, 20]), total("u")],
                    {"last": [4], "k": np.ones((1, 1, 3, 3, 3), np.float32)}),
    "windows": ([*pixels(), node("MaxPool", "d", "u", kernel_shape=[2, 2], auto_pad="SAME_UPPER", dilations=[3, 3]),
                 total("u")], {}),
    "chain": ([*pixels(), node("Tile", "d k", "v0"), *(node("Sin", f"v{n}", f"v{n + 1}") for n in range(400)),
               total("v400")], {"k": [1, 400, 1, 1]}),
    "window": ([node("Cast", "image", "a", to=1), node("LRN", "a", "b", size=10**8 + 1), total("b")], {}),
    "sums": ([node("ConstantOfShape", "k", "c", **ONES), node("Einsum", "c c c c", "s", equation="a,b,c,d->")],
             {"k": [500]}),
    "scratch": ([node("Cast", "image", "a", to=1), node("Transpose", "a", "b", perm=[0, 3, 1, 2]),
                 node("ConstantOfShape", "k", "c", **ONES),
                 node("Conv", "b c", "d", pads=[500, 500, 500, 500], kernel_shape=[500, 500]), total("d")],
                {"k": [1, 1, 500, 500]}),
    "squeezed": ([node("ConstantOfShape", "x", "c", **ONES), node("Squeeze", "c none", "d"), node("Add", "c d", "a"),
                  total("a")], {"x": [30_000, 1], "none": np.zeros(0, np.int64)}),
    "unsqueezed": ([node("ConstantOfShape", "x", "c", **ONES), node("Unsqueeze", "c", "d", axes=[-1]),
                    node("Add", "c d", "a"), total("a")], {"x": [30_000]}, 10),
    "slope": ([node("ConstantOfShape", "x", "c", **ONES), node("ConstantOfShape", "k", "d", **ONES),
               node("PRelu", "c d", "e"), total("e")], {"x": [30_000], "k": [30_000, 1]}),
    "slope of pixels": ([node("Cast", "image", "a", to=1), node("Reshape", "a x", "c"),
                         node("ConstantOfShape", "k", "d", **ONES), node("PRelu", "c d", "e"), total("e")],
                        {"x": [-1], "k": [300_000, 1]}),
    "slope of three sides": ([*pixels(), node("ReduceSum", "d axes", "e", keepdims=0),
                              node("ConstantOfShape", "k", "a", **ONES), node("PRelu", "e a", "b"), total("b")],
                             {"axes": [1], "k": [3_000, 1, 1, 1]}),
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_a_network_is_bounded_before_a_runtime_opens_it(published, monkeypatch, kind):
    """32 kB took 4 GB when they were opened, in proportion, or minutes."""
    network(published / "model.onnx", *BOMBS[kind])
    monkeypatch.setattr(runtimes, "RUNTIMES", {"onnxruntime": lambda file: pytest.fail("it was opened")})
    sentence = r"model.onnx is not opened: its? .*(GB|MB|billion|operator|size|antialias|numbers)"
    with pytest.raises(ZooError, match=sentence):
        opening.load(published / "model.onnx", here=True)
    with pytest.raises(ZooError, match=sentence):
        zoo.load_predictor(published)


def test_each_step_of_a_recurrent_layer_takes_its_time(published):
    """Whatever it multiplies: layers of one unit took a minute."""
    numbers = {
        "line": np.array([784, -1, 1]),
        "rw": np.ones((1, 1, 1), np.float32),
        "rr": np.ones((1, 1, 1), np.float32),
    }

    def layers(count):
        made = [node("RNN", "l rw rr", f"o{n}", hidden_size=1) for n in range(count)]
        nodes = [*pixels(), node("Reshape", "d line", "l"), *made, total("o0")]
        return network(published / "model.onnx", nodes, numbers).SerializeToString()

    assert onnx_limits.checked(layers(1))
    with pytest.raises(ValueError, match="billion operations for an image"):
        onnx_limits.checked(layers(3_500))


FITTING = [((4,), (3, 1)), ((3, 1), (4,)), ((4,), (2, 1, 1)), ((1,), (4,))]


@pytest.mark.parametrize(
    ("version", "settings", "inputs"),
    [(18, {}, (2, 3)), (8, {"axes": [-1]}, (1,)), (10, {"axes": [-1], "keepdims": 0}, (1,)), (8, {"axis": -1}, (1, 2))],
)
def test_what_a_runtime_makes_is_no_larger_than_what_is_inferred(version, settings, inputs):
    tensor, compared = helper.make_tensor_value_info, 0
    for (first, second), operator, count in itertools.product(FITTING, sorted(onnx_costs.OPERATORS), inputs):
        sides = dict(zip("xyz", (first, second, second)[:count], strict=False))
        one = helper.make_node(operator, list(sides), ["out"], **settings)
        given = [tensor(name, TensorProto.FLOAT, shape) for name, shape in sides.items()]
        graph = helper.make_graph([one], "one", given, [helper.make_empty_tensor_value_info("out")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=9)
        try:
            session = onnxruntime.InferenceSession(model.SerializeToString(), QUIET)
            (made,) = session.run(None, {name: np.ones(shape, np.float32) for name, shape in sides.items()})
        except Exception:  # it takes other inputs, or has no such setting
            continue
        inferred = tuple(session.get_outputs()[0].shape)
        known = inferred and None not in inferred  # else it is refused, or a scalar
        compared += bool(known)
        assert not known or made.shape == inferred or onnx_costs.has_another_shape(one, sides, version), operator
    assert compared > 10


BETWEEN = {  # makes what is small for 1 and for 256 images, and huge for others: nodes from "m" - 1 and 256 - "m"
    "product": [node("Mul", "a b", "p"), node("Mul", "p K", "q")],
    "remainder": [node("Mod", "a last1", "p"), node("Mul", "p K", "q")],
    "choice": [node("Min", "a b", "p"), node("Equal", "p zero", "e"), node("Where", "e one K", "q")],
}


@pytest.mark.parametrize("way", BETWEEN)
def test_each_number_of_images_is_bounded(published, way):
    """2 images took 4 GB and 76 s of a network that 1 and 256 images take nothing of."""
    start = [node("Shape", "image", "m4"), node("Gather", "m4 zero", "m"), node("Sub", "m one", "a"),
             node("Sub", "last m", "b")]  # fmt: skip
    end = [node("Max", "q one", "r"), node("ConstantOfShape", "r", "c", **ONES), total("c")]
    constants = {"zero": [0], "one": [1], "last": [256], "last1": [255], "K": [10**9]}
    network(published / "model.onnx", [*start, *BETWEEN[way], *end], constants)
    predictor = zoo.load_predictor(published)
    assert len(predictor(np.zeros((1, 28, 28, 1), np.uint8))) == 1
    with pytest.raises(ZooError, match=r"not computed for 44 images: it .* GB"):
        predictor(np.zeros((300, 28, 28, 1), np.uint8))


ENDS = {"from": [2], "to": [-3], "side": [3], "by": [-2]}


def test_a_number_of_images_that_does_not_fit_gets_a_sentence(published):
    start = [node("Shape", "image", "m4"), node("Gather", "m4 zero", "m"), node("Sub", "m one", "a"),
             node("Sub", "last m", "b"), node("Mul", "a b", "p"), node("Add", "p one", "q")]  # fmt: skip
    end = [node("ConstantOfShape", "q", "c", **ONES), node("Add", "c two", "d"), total("d")]
    constants = {"zero": [0], "one": [1], "last": [256], "two": np.ones(2, np.float32)}
    network(published / "model.onnx", [*start, *end], constants)
    with pytest.raises(ZooError, match="not computed for 44 images"):
        zoo.load_predictor(published)(np.zeros((300, 28, 28, 1), np.uint8))


SHRUNK = {  # what makes a side of 28 one below 0
    "Conv": (node("Conv", "d k", "e"), np.ones((1, 1, 30, 30), np.float32)),
    "MaxPool": (node("MaxPool", "d", "e", kernel_shape=[30, 30]), 0),
    "Pad": (node("Pad", "d k", "e"), [0, 0, 0, 0, 0, 0, 0, -30]),
    "Split": (helper.make_node("Split", ["d", "k"], ["e", "rest"], axis=3), [-1, 29]),
    "Tile": (node("Tile", "d k", "e"), [1, 1, 1, -1]),
    "Resize": (helper.make_node("Resize", ["d", "", "", "k"], ["e"]), [1, 1, 1, -1]),
}


@pytest.mark.parametrize("after", [[], [node("Relu", "e", "f")], [node("Slice", "e zero one zero", "f")]])
@pytest.mark.parametrize("operator", SHRUNK)
def test_a_slice_of_a_side_below_nothing_does_not_end_the_process(published, operator, after):
    shrinking, constant = SHRUNK[operator]
    cut = node("Slice", f"{'f' if after else 'e'} from to side by", "g")
    constants = {"k": constant, "zero": [0], "one": [1], **ENDS}
    network(published / "model.onnx", [*pixels(), shrinking, *after, cut, total("g")], constants)
    with pytest.raises(ZooError, match=r"model\.onnx"):
        zoo.load_predictor(published)


def test_slices_of_slices_are_looked_at_once(published, monkeypatch):
    """As in recurrent networks that are unrolled: each would be an inference of its own."""
    opened, sessions = [], onnx_limits._session
    monkeypatch.setattr(onnx_limits, "_session", lambda model: opened.append(1) or sessions(model))
    constants = {"from": [0], "to": [27], "side": [3], "by": [1]}
    chain = [node("Slice", f"{'d' if n == 0 else f'v{n}'} from to side by", f"v{n + 1}") for n in range(60)]
    model = network(published / "model.onnx", [*pixels(), *chain, total("v60")], constants)
    onnx_limits.checked(model.SerializeToString())
    assert len(opened) < 8


NAMELESS = {  # whose kernels write all of their outputs
    "Split": helper.make_node("Split", ["c"], ["", "s"], num_outputs=2),
    "BatchNormalization": helper.make_node("BatchNormalization", ["c"] * 5, ["s", "", ""], training_mode=1),
    "MaxPool": helper.make_node("MaxPool", ["c"], ["s", ""], kernel_shape=[1]),
    "Dropout": helper.make_node("Dropout", ["c"], ["", "s"]),
}


@pytest.mark.parametrize("operator", NAMELESS)
def test_an_output_without_a_name_does_not_end_the_process(published, operator):
    network(published / "model.onnx", [NAMELESS[operator]], {"c": np.ones(2, np.float32)})
    with pytest.raises(ZooError, match=f"its {operator} has an output without a name"):
        zoo.load_predictor(published)


@pytest.mark.parametrize("said", [0, 1, 3, 2**31])
def test_a_split_into_another_number_of_parts_does_not_end_the_process(published, said):
    split = helper.make_node("Split", ["c"], ["a", "b"], axis=0, num_outputs=said)
    model = network(published / "model.onnx", [split, total("a")], {"c": np.ones(2, np.float32)})
    with pytest.raises(ZooError, match="its Split says another number of outputs than it has"):
        zoo.load_predictor(published)
    with pytest.raises(Refused, match="another number of outputs"):
        onnx_graph.read_graph(model.SerializeToString())


ENDING = {  # in ONNX Runtime 1.32
    "batch_dims": ([node("GatherND", "d at", "a", batch_dims=-1), total("a")], "batch_dims beyond 0 to 7"),
    "far batch_dims": ([node("GatherND", "d at", "a", batch_dims=-(2**31)), total("a")], "batch_dims beyond"),
    "an axis": ([node("Softmax", "d", "a", axis=2**31), total("a")], "axis beyond -8 to 8"),
    "a stride": ([node("MaxPool", "d", "a", kernel_shape=[2, 2], strides=[-1, 2**62]), total("a")], "strides beyond"),
    "two kinds": ([node("MaxPool", "d", "a", kernel_shape=2), total("a")], "kernel_shape beyond 1"),
    "a list": ([node("Softmax", "d", "a", axis=[1, 1]), total("a")], "axis beyond"),
    "the smallest number by -1": ([node("Div", "n m", "b"), node("Cast", "b", "a", to=1), total("a")], "above 0"),
    "by what is computed": (
        [node("Neg", "p", "m2"), node("Div", "n m2", "b"), node("Cast", "b", "a", to=1), total("a")],
        "above 0",
    ),
    "by a pixel": (
        [node("Cast", "d", "e", to=6), node("Div", "e e", "b"), node("Cast", "b", "a", to=1), total("a")],
        "above 0",
    ),
    "a missing bias": ([node("LayerNormalization", "d k", "a"), total("a")], "input without a name"),
}


@pytest.mark.parametrize("kind", ENDING)
def test_what_a_runtime_should_not_believe_is_not_told(published, kind):
    """300 bytes ended the process, some already while their shapes were inferred."""
    nodes, sentence = ENDING[kind]
    if kind == "a missing bias":
        nodes[0].input.append("")
    numbers = {"at": np.zeros(0, np.int64), "n": np.array([-(2**63)]), "m": np.array([-1]), "p": np.array([1])}
    network(published / "model.onnx", [*pixels(), *nodes], {**numbers, "k": np.ones(28, np.float32)})
    with pytest.raises(ZooError, match=sentence):
        zoo.load_predictor(published)


def test_every_whole_number_of_the_standard_has_a_range():
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.name in onnx_costs.OPERATORS:
            for name, said in schema.attributes.items():
                kind = str(said.type).rpartition(".")[2]
                assert kind not in ("INT", "INTS") or name in {**onnx_attributes.ONE, **onnx_attributes.MANY}, schema
                if kind == "INT" and said.default_value.name:
                    low, high = onnx_attributes.ONE[name]
                    assert low <= said.default_value.i <= high, (schema.name, name)


@pytest.mark.parametrize("stored", [np.array([2]), np.array([2, 3], np.int32), np.array(7)])
def test_whole_numbers_are_divided_by_stored_ones(published, stored):
    for tensor in (numpy_helper.from_array(stored), helper.make_tensor("t", 7, stored.shape, stored.ravel())):
        nodes = [node("Constant", "", "k", value=tensor), node("Cast", "n", "o", to=tensor.data_type)]
        nodes += [node("Div", "o k", "b"), node("Cast", "b", "a", to=1), total("a")]
        network(published / "model.onnx", nodes, {"n": np.array([9])})
        assert zoo.load_predictor(published)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_honest_network_of_somebody_answers_as_ever(published, tmp_path, runtime):
    if runtime == "openvino":
        pytest.importorskip("openvino")
    images = np.random.default_rng(0).integers(0, 256, (9, 28, 28, 1), np.uint8)
    served = zoo.load_predictor(published, runtime)(images)
    np.testing.assert_allclose(served, zoo.load_predictor("lenet5.mnist", runtime)(images), atol=1e-6)
    assert compiling.compiled(published / "model.onnx", "float32").classes == 10
    assert explain.feature_maps(published, images[0])[0].shape[-1] == 6


def of_pixels():
    """Ten whole numbers of an image's first pixels."""
    return [node("Cast", "image", "p", to=7), node("Reshape", "p flat", "q"), node("Slice", "q zero ten one", "r")]


INDEXED = {  # what OpenVINO, which checks no index, reads elsewhere or ends the process with; no shape tells
    "GatherND of pixels": [*of_pixels(), node("Add", "r far", "a"), node("Reshape", "a column", "b"),
                           node("GatherND", "v b", "o"), node("Reshape", "o row", "s")],
    "GatherND of a stored index": [node("GatherND", "v index", "o"), total("o")],
    "GatherElements of pixels": [*of_pixels(), node("Reshape", "r row", "a"), node("Add", "a far", "b"),
                                 node("Reshape", "b long", "k"), node("GatherElements", "v k", "o"),
                                 node("Reshape", "o row", "s")],
    "Gather of pixels": [*of_pixels(), node("Add", "r far", "a"), node("Gather", "v a", "s")],
    "CumSum along no axis": [node("CumSum", "v axis", "o"), total("o")],
    "Clip without bounds": [*pixels(), node("Clip", "d", "o"), total("o")],
    "Clip by a list": [*pixels(), node("Clip", "d one_number one_number", "o"), total("o")],
    "Gather beyond a shape": [node("Shape", "image", "n"), node("Gather", "n beyond", "o"),
                              node("Cast", "o", "p", to=1), total("p")],
}  # fmt: skip
PLACES = {"v": np.ones(8, np.float32), "flat": [-1, 784], "zero": [0], "ten": [10], "one": [1], "far": np.int64(1000),
          "column": [-1, 1], "row": [-1, 10], "long": [-1], "index": [[2**31]], "beyond": [7],
          "one_number": np.ones(1, np.float32), "axis": np.int64(7)}  # fmt: skip


@pytest.mark.parametrize("how", INDEXED)
def test_a_runtime_that_checks_no_indices_gets_none(published, how):
    pytest.importorskip("openvino")
    used = {name for one in INDEXED[how] for name in one.input}
    model = network(published / "model.onnx", INDEXED[how], {name: PLACES[name] for name in used & PLACES.keys()})
    with pytest.raises(ValueError, match=r"which only ONNX Runtime is trusted"):
        onnx_limits.checked(model.SerializeToString(), indices=False)
    with pytest.raises(ZooError, match="is not opened: it has the operator"):
        opening.load(published / "model.onnx", "openvino")
    with pytest.raises(ZooError, match="is not opened: it has the operator"):
        formats.convert(published, published / "model.xml", "openvino")
    assert not (published / "model.xml").exists()


@pytest.mark.parametrize("how", ["Gather of pixels", "GatherElements of pixels", "GatherND of pixels"])
def test_what_a_runtime_cannot_compute_gets_a_sentence(published, how):
    used = {name for one in INDEXED[how] for name in one.input}
    network(published / "model.onnx", INDEXED[how], {name: PLACES[name] for name in used & PLACES.keys()})
    with pytest.raises(ZooError, match=rf"cannot be computed for these images: its {how.split()[0]} failed \(\w+\)\.$"):
        zoo.load_predictor(published)(np.zeros((2, 28, 28, 1), np.uint8))


def test_a_folder_does_not_choose_a_runtime_that_would_have_to_be_trusted(published):
    pytest.importorskip("openvino")
    said = json.loads((published / "preprocessor_config.json").read_text())
    (published / "preprocessor_config.json").write_text(json.dumps(said | {"serving": {"runtime": "openvino"}}))
    assert zoo.load_predictor(published).runtime.name == "onnxruntime"
    assert zoo.load_predictor(published, "openvino").runtime.name == "openvino"  # the caller's word


@pytest.mark.parametrize("name", ["mnist_cnn.mnist", "vit.mnist", "resco_mini.ahdd", "glyphnet_100k.mnist"])
def test_networks_of_today_may_run_where_indices_are_not_checked(name):
    assert onnx_limits.checked((PRETRAINED / name / "model.onnx").read_bytes(), indices=False)


def test_every_shipped_network_could_be_somebodys():
    for path in sorted(PRETRAINED.glob("*/model.onnx")):
        opened = onnxruntime.InferenceSession(onnx_limits.checked(path.read_bytes()))
        assert len(opened.get_inputs()) == len(opened.get_outputs()) == 1, path


def repeated(model):
    """A second graph, which some readers merge with the first and others take instead of it."""
    return model.SerializeToString() + onnx_wire.written(7, model.graph.SerializeToString())


def changed_network(change):
    def make(model):
        change(model)
        return model.SerializeToString()

    return make


def elsewhere(model):
    in_another_file(model.graph.initializer[0], location="other.bin")


def unrolled(model):
    """Functions that call each other twice are nodes beyond number once they are in place."""
    model.functions.add(name="f", domain="d").node.add(op_type="Relu", input=["x"], output=["y"])


HIDDEN = {
    "twice": (repeated, "twice"),
    "shape": (changed_network(lambda model: model.graph.initializer[0].dims.append(10**9)), "another number"),
    "file": (changed_network(elsewhere), "another file"),
    "function": (changed_network(unrolled), "functions"),
    "sparse": (changed_network(lambda model: model.graph.sparse_initializer.add(dims=[10**10])), "sparse"),
    "branch": (changed_network(lambda model: model.graph.node[0].attribute.add(name="g").graphs.add()), "attribute"),
    "names": (changed_network(lambda model: model.graph.node[2].output.append("h")), "makes one again"),
    "cut": (lambda model: model.SerializeToString()[:-5], "middle"),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_file_that_readers_read_differently_is_not_opened(published, how):
    change, sentence = HIDDEN[how]
    model = network(published / "model.onnx", [node("Identity", "k", "s")], {"k": np.zeros(10, np.float32)})
    assert onnx_limits.checked(model.SerializeToString())
    with pytest.raises(ValueError, match=sentence):
        onnx_limits.checked(change(model))


def test_what_a_file_says_of_its_shapes_is_not_believed(published):
    """The shape of what depends on an image is whatever the file says of it, where nobody infers it."""
    model = network(published / "model.onnx", [node("Identity", "k", "s")], {"k": np.zeros(10, np.float32)})
    nodes = [node("Squeeze", "image", "q"), node("Cast", "q", "r", to=7), node("ReduceSum", "r", "t", keepdims=0)]
    nodes += [node("Range", "zero t one", "u"), node("Cast", "u", "v", to=1), total("v")]
    model = network(published / "model.onnx", nodes, {"zero": 0, "one": 1})
    model.graph.value_info.append(helper.make_tensor_value_info("u", TensorProto.INT64, [10]))
    with pytest.raises(ValueError, match="size depends on the image"):
        onnx_limits.checked(model.SerializeToString())


def test_every_way_to_open_a_network_asks_the_same(published):
    nodes, constants = BOMBS["constant"]
    network(published / "model.onnx", nodes, constants)
    ways = [
        lambda: opening.load(published / "model.onnx"),
        lambda: opening.load(published / "model.onnx", "openvino"),
        lambda: explain.feature_maps(published, np.zeros((28, 28, 1), np.uint8)),
        lambda: compiling.compiled(published / "model.onnx", "float32"),
        lambda: formats.FORMATS["onnx"].write(published, published / "out.onnx", None),
    ]
    for way in ways:
        with pytest.raises(ZooError, match="is not opened: it computes 4,000 MB of constants"):
            way()


# Weights


@pytest.fixture
def with_weights(published):
    """The same folder as others publish it, with weights for Keras that have attributes in every place."""
    path = published / "model.weights.h5"
    keras_weights.restore(published, path)
    (published / "keras_weights.npz").unlink()
    with h5py.File(path, "r+") as file:
        kernel = file["layers/dense/vars/0"]
        for item in (file, file["layers"], kernel):
            item.attrs["dtype"] = "float32"  # of variable length: it leads through a heap, wherever that may be
        file["optimizer/vars/0"] = np.ones(3, np.float32)
    return published


@pytest.mark.parametrize("way", ["load", "start", "format"])
def test_no_library_reads_the_weights_of_strangers(with_weights, monkeypatch, way):
    """One changed byte ended the process, or kept it busy for ever: in attributes, groups and their trees."""
    opened, file = [], h5py.File
    monkeypatch.setattr(h5py, "File", lambda path, *how, **more: opened.append(str(path)) or file(path, *how, **more))
    if way == "load":
        model = zoo.load_model(with_weights)
    elif way == "start":
        model = transfer.Start.read(str(with_weights)).build()
    else:
        model = keras_models.load(with_weights)
    images = np.random.default_rng(0).integers(0, 256, (9, 28, 28, 1), np.uint8)
    np.testing.assert_allclose(model(images), zoo.load_predictor("lenet5.mnist")(images), atol=1e-4)
    assert opened
    assert not [path for path in opened if path.startswith(str(with_weights))]


def test_weights_are_written_anew_without_what_is_not_known(with_weights, tmp_path):
    path, data = tmp_path / "clean.h5", (with_weights / "model.weights.h5").read_bytes()
    hdf5.rewrite(data, path)
    with h5py.File(path) as clean, h5py.File(with_weights / "model.weights.h5") as sent:
        clean.visititems(lambda name, item: pytest.fail(name) if len(item.attrs) else None)
        kernel = clean["layers/dense/vars/0"]
        np.testing.assert_array_equal(kernel, sent["layers/dense/vars/0"])
    again = tmp_path / "again.h5"
    hdf5.rewrite(path.read_bytes(), again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", [b"dense", b".", b"dense/v"])
def test_a_name_that_is_there_twice_or_none_gets_a_sentence(with_weights, tmp_path, name):
    data = (with_weights / "model.weights.h5").read_bytes()
    assert data.count(b"dense_1\0") == 1
    with pytest.raises(ZooError, match="in the weights"):
        hdf5.rewrite(data.replace(b"dense_1\0", name.ljust(8, b"\0")), tmp_path / "clean.h5")
