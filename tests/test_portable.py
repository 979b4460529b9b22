"""Networks without a server: the same answers in JavaScript as in ONNX Runtime, of the same ink."""

import os
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from strokes import ARABIC_SEVEN, DOT, FOUR, SEVEN, THREE

import zoo
from scripts.bench.node import answer
from scripts.chores import wasm
from zoo import hub, ink
from zoo.portable import javascript
from zoo.portable.compiling import compiled
from zoo.portable.graph import read
from zoo.published import PublishedFolder
from zoo.serving import by_script

pytestmark = pytest.mark.skipif(not (shutil.which("node") or "CI" in os.environ), reason="no Node: install nodejs")
SMALL = "glyphnet_10k.mnist", "lenet5.ahdd", "vit.mnist", "efficientnet.mnist"
SEEN = 8  # images that every network is shown; `python -m scripts.bench.portable` shows it its whole test set


def test_the_committed_kernels_are_what_their_source_gives():
    if wasm.compiler() is None:
        pytest.skip("no clang 14 with lld")
    assert wasm.build() == wasm.TARGET.read_bytes()


def sketches(rng):
    """(contract, strokes, pen) of digits turned and squeezed, of dots, and of lines without a meaning."""
    contracts = ink.MNIST, ink.AHDD, ink.contract.AHCD, ink.contract.OPTDIGITS
    for index in range(120):
        shape = (THREE, SEVEN, FOUR, ARABIC_SEVEN, DOT)[index % 5]
        if index % 3 == 2:
            shape = [np.cumsum(rng.normal(0.5, 0.06, (rng.integers(1, 30), 2)) - 0.5, axis=0) + 0.5 for _ in range(2)]
        turn = np.eye(2) * rng.uniform(0.1, 1.1) + rng.normal(0, 0.15, (2, 2))
        strokes = [np.round(((np.array(stroke) - 0.5) @ turn + 0.5) * 1000).tolist() for stroke in shape]
        yield contracts[index % 4], strokes, ink.PEN * (1, 2, 0.5)[index % 7 % 3]


@pytest.mark.slow
def test_a_page_computes_what_the_server_computes(tmp_path):
    """Every shipped network for glyphs, in float16 as published and some in float32; and ink that a page draws."""
    drawn = list(sketches(np.random.default_rng(0)))
    asked = [{"contract": c.to_dict(), "strokes": s, "size": 1000, "pen": pen} for c, s, pen in drawn]
    images = {}
    for contract, strokes, pen in drawn:
        images.setdefault(contract, []).append(ink.from_strokes(strokes, contract, 1000, pen))
    served = by_script.networks()
    predictors = [zoo.load_predictor(one.model) for key in served if key != by_script.PAGES for one in served[key]]
    networks = [
        (javascript.network_file(hub.resolve(one.name), precision), np.stack(images[one.contract][:SEEN]))
        for one in predictors
        for precision in ("float32", "float16")
        if precision == "float16" or "_100k." in one.name or one.name in SMALL
    ]
    said = answer(tmp_path, networks, asked)
    for (file, shown), found in zip(networks, said["probabilities"], strict=True):
        expected = zoo.load_predictor(file["name"])(shown)
        tolerance = {"float32": 1e-5, "float16": 1e-3}[file["precision"]]
        np.testing.assert_allclose(found, expected, atol=tolerance, err_msg=file["name"])
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).all(), file["name"]
    apart = [
        np.abs(np.array(pixels, int) - ink.from_strokes(strokes, contract, 1000, pen).ravel())
        for pixels, (contract, strokes, pen) in zip(said["drawn"], drawn, strict=True)
    ]
    assert np.mean(np.concatenate(apart) > 8) <= 0.01  # of the pixels
    assert max(one.max() for one in apart) <= 64


def test_int8_is_what_its_accuracy_was_measured_with(tmp_path):
    folder = hub.resolve("glyphnet_10k.mnist")
    shown = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), np.uint8)
    file = javascript.network_file(folder, "int8")
    (found,) = answer(tmp_path, [(file, shown)])["probabilities"]
    np.testing.assert_allclose(found, read(PublishedFolder(folder).onnx, "int8")(shown), atol=1e-5)
    assert len(file["program"]["data"]) < 0.6 * len(javascript.network_file(folder)["program"]["data"])


def network(tmp_path, nodes, constants=(), side=8, opset=18):
    """Write an ONNX network of nodes from "x", float32 (N, side, side, 1), to "y", (N, classes)."""
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", side, side, 1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", None])]
    cast = helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT)
    known = [onnx.numpy_helper.from_array(np.asarray(values), name) for name, values in constants]
    graph = helper.make_graph([cast, *nodes], "g", inputs, outputs, known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def weights(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


TO_CHANNELS_FIRST = helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])
FLAT = [helper.make_node("Flatten", ["z"], ["f"]), helper.make_node("MatMul", ["f", "dense"], ["y"])]
STRANGERS = {  # what networks of others have and ours do not
    "grouped, strided, dilated, padded on one side": (
        [
            TO_CHANNELS_FIRST,
            helper.make_node("Conv", ["t", "w"], ["a"], strides=[2, 1], pads=[1, 0, 0, 2], dilations=[1, 2]),
            helper.make_node("Conv", ["a", "v"], ["z"], group=2, auto_pad="SAME_LOWER"),
            *FLAT,
        ],
        [("w", weights(6, 1, 3, 2)), ("v", weights(10, 3, 2, 2)), ("dense", weights(320, 3) / 9)],
    ),
    "batch norm, parametric ReLU, hard swish, mean of padded pools": (
        [
            TO_CHANNELS_FIRST,
            helper.make_node("BatchNormalization", ["t", "s", "s", "s", "s"], ["a"]),
            helper.make_node("PRelu", ["a", "slope"], ["b"]),
            helper.make_node("HardSwish", ["b"], ["c"]),
            helper.make_node("AveragePool", ["c"], ["z"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
            *FLAT,
        ],
        [("s", np.array([0.3], np.float32)), ("slope", weights(1, 1, 1)), ("dense", weights(64, 3) / 99)],
    ),
    "halves that are cut, joined and turned": (
        [
            helper.make_node("Slice", ["x", "zero", "four", "one"], ["a"]),
            helper.make_node("Slice", ["x", "four", "eight", "one"], ["b"]),
            helper.make_node("Concat", ["b", "a", "a"], ["c"], axis=2),
            helper.make_node("Transpose", ["c"], ["d"], perm=[0, 2, 1, 3]),
            helper.make_node("Softplus", ["d"], ["z"]),
            *FLAT,
        ],
        [
            *((name, np.array([at], np.int64)) for name, at in (("zero", 0), ("one", 1), ("four", 4), ("eight", 8))),
            ("dense", weights(96, 3) / 99),
        ],
    ),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_strangers_network_is_computed_as_well(tmp_path, name):
    path = network(tmp_path, *STRANGERS[name])
    shown = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), np.uint8)
    expected = read(path)(shown)
    file = {"name": name, "contract": {"height": 8, "width": 8}, "labels": ["a", "b", "c"]}
    file["program"] = javascript.as_json(compiled(path), "float32")
    (found,) = answer(tmp_path, [(file, shown)])["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def reshaped(*shape):
    """Return a node that gives 262,144 numbers, of 64 of the image and 4,096 constants, these sides."""
    return helper.make_node("Reshape", ["wide", "sides"], ["r"]), np.array(shape, np.int64)


UNROLLED = {  # small graphs of which each becomes more than 8,000 calls
    "a transposed array of six sides": (
        (1, 2, 32, 2, 32, 2, 32),
        [helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 4, 6, 1, 3, 5]),
         helper.make_node("Flatten", ["t"], ["y"])],
    ),
    "one that is the answer": (
        (1, 2, 32, 2, 32, 2, 32), [helper.make_node("Transpose", ["r"], ["y"], perm=[0, 2, 4, 6, 1, 3, 5])]
    ),
    "every second side repeated": (
        (64, 2, 64, 2, 8, 2), [helper.make_node("Mul", ["r", "more"], ["y"])]
    ),
    "a batch of products": (
        (8192, 4, 8), [helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
                       helper.make_node("MatMul", ["r", "t"], ["y"])],
    ),
    "groups of a convolution": ((1, 8192, 8, 4), [helper.make_node("Conv", ["r", "taps"], ["y"], group=8192)]),
    "arrays that are joined": (
        (1, 2, 32, 2, 32, 2, 32),
        [helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 4, 6, 1, 3, 5]),
         helper.make_node("Concat", ["t", "t"], ["y"], axis=6)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNROLLED)
def test_a_graph_that_unrolls_without_end_is_no_program(tmp_path, name):
    shape, nodes = UNROLLED[name]
    node, sides = reshaped(*shape)
    column, wide = np.array([1, 64, 1], np.int64), np.zeros((1, 1, 4096), np.float32)
    known = {"column": column, "row": wide, "sides": sides, "more": weights(64, 1, 64, 1, 8, 1),
             "taps": weights(16384, 1, 1, 1)}  # fmt: skip
    used = {name for one in (node, *nodes) for name in one.input}
    begun = [helper.make_node("Reshape", ["x", "column"], ["c"]), helper.make_node("Add", ["c", "row"], ["wide"]), node]
    constants = [(name, values) for name, values in known.items() if name in used | {"column", "row"}]
    with pytest.raises(zoo.ZooError, match=r"cannot be exported: it has more than 5,000 steps\.$"):
        compiled(network(tmp_path, [*begun, *nodes], constants))


REFUSED = {
    "an operator": ([helper.make_node("Sin", ["x"], ["z"]), *FLAT], "the operator Sin, which no kernel"),
    "arithmetic on bytes": (
        [helper.make_node("Add", ["image", "image"], ["u"]), helper.make_node("Cast", ["u"], ["z"], to=1), *FLAT],
        "the operator Add on bytes",
    ),
    "double precision": (
        [helper.make_node("Cast", ["x"], ["h"], to=11), helper.make_node("Exp", ["h"], ["e"]),
         helper.make_node("Cast", ["e"], ["z"], to=1), *FLAT],
        "a cast to another type than float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_computed_is_said_in_a_sentence(tmp_path, name):
    nodes, words = REFUSED[name]
    path = network(tmp_path, nodes, [("dense", weights(64, 3))])
    with pytest.raises(zoo.ZooError, match=rf"cannot be exported: it has {words}[^\n]*\.$"):
        compiled(path)
    path.write_bytes(b"no network")
    with pytest.raises(zoo.ZooError, match="is not opened: it has fields of an unknown kind"):
        compiled(path)
    with pytest.raises(zoo.ZooError, match="no precision 'int4'; did you mean int8"):
        compiled(path, "int4")
