"""A stranger's graph becomes a program by the rules of ONNX, or none; no call of a program leaves its memory."""

import copy
import ctypes
import dataclasses
import shutil
import subprocess

import numpy as np
import onnx
import pytest
from conftest import ROOT
from onnx import helper
from test_portable import network, weights

import zoo
from zoo import hub
from zoo.portable import computing, operators, reach, rules, strided, work
from zoo.portable.compiling import compiled
from zoo.portable.graph import read
from zoo.portable.program import Program
from zoo.portable.reach import Unsupported
from zoo.published import PublishedFolder

NONE, DENSE = np.zeros(0, np.int64), ("dense", weights(64, 3) / 999)
SMALL = ("small", np.float32(1 / 255))
LINE = helper.make_node("Flatten", ["x"], ["line"])
FIRST = helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])
END = [helper.make_node("Flatten", ["z"], ["f"]), helper.make_node("MatMul", ["f", "dense"], ["y"])]


def node(kind, read, made="z", **given):
    return helper.make_node(kind, read.split(), [made], **given)


RULED = {  # what is not what it seems: nodes, constants and opset
    "a sum over an empty list of axes, which are all": (
        [LINE, node("ReduceSum", "line none", "sum"), node("MatMul", "sum wide", "h"), node("MatMul", "h narrow", "y")],
        [("none", NONE), ("wide", weights(1, 400) / 9), ("narrow", weights(400, 3) / 9)], 18),
    "the same, of no axes": (
        [node("ReduceSum", "x none", "z", noop_with_empty_axes=1), *END], [("none", NONE), DENSE], 18),
    "a mean without axes that is none": ([node("ReduceMean", "x", "z", noop_with_empty_axes=1), *END], [DENSE], 18),
    "axes as an attribute": (
        [node("ReduceMean", "x", "m", axes=[1], keepdims=1), node("Sub", "x m"), *END], [DENSE], 11),
    "a softmax whose axis was 1": (
        [LINE, node("Mul", "line small", "l"), node("Softmax", "l"), *END], [SMALL, DENSE], 11),
    "slices with steps but no axes": (
        [helper.make_node("Slice", ["x", "starts", "ends", "", "steps"], ["z"]), *END],
        [("starts", np.array([0, 7, 0, 0])), ("ends", np.array([1, -9, 8, 1])), ("steps", np.array([1, -1, 2, 1])),
         ("dense", weights(32, 3) / 999)], 18),
    "a swish of another slope": ([node("Swish", "x", alpha=0.01), *END], [DENSE], 24),
}  # fmt: skip
REFUSED = {
    "a squeeze of an empty list of axes": (
        [node("Squeeze", "x none", "s"), node("Unsqueeze", "s ends"), *END],
        [("none", NONE), ("ends", np.array([0, 3])), DENSE], 18),
    "the weights of a convolution are not of its kernel_shape": (
        [FIRST, node("Conv", "t w", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), *END],
        [("w", weights(1, 1, 1, 1)), DENSE], 18),
    "a softmax over several sides": (
        [node("Mul", "x small", "l"), node("Softmax", "l"), *END], [SMALL, DENSE], 11),
    "statistics of the image itself": (
        [FIRST, helper.make_node("BatchNormalization", ["t", *"ssss"], ["z", "m", "v"], training_mode=1), *END],
        [("s", np.ones(1, np.float32)), DENSE], 15),
    "a clip whose limits are the wrong way round": (
        [node("Clip", "x high low"), *END], [("low", np.float32(1)), ("high", np.float32(9)), DENSE], 18),
    "a bias for each row": (
        [node("Reshape", "x square", "s"), node("Gemm", "s w column"), node("Reshape", "z all", "f"), END[1]],
        [("square", np.array([8, 8])), ("all", np.array([1, 64])), ("w", weights(8, 8)), ("column", weights(8, 1)),
         DENSE], 18),
    "an answer that is the same for all images": (
        [node("Mul", "a b", "y")], [("a", weights(1, 3)), ("b", weights(1, 3))], 18),
}  # fmt: skip


WIDE = [node("ReduceMean", "line one", "m", keepdims=1), node("Unsqueeze", "m one", "u"), node("Mul", "u tall", "t0")]
LONG = {  # small files whose programs would compute for minutes, or for a day
    "a window of billions of places": [
        FIRST, node("MaxPool", "t", kernel_shape=[40_000] * 2, strides=[40_000] * 2, pads=[39_992, 39_992, 0, 0])],
    "a mean over one": [FIRST, node("AveragePool", "t", kernel_shape=[8, 65_536], pads=[0, 65_528, 0, 0])],
    "the largest of many rows": [*WIDE, node("ReduceMax", "t0 one", "z", keepdims=0)],
    "functions of many numbers": [
        *WIDE, *[node("Tanh", f"t{n}", f"t{n + 1}") for n in range(340)],
        node("ReduceMean", "t340 one", "z", keepdims=0)],
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_what_takes_too_long_is_refused_before_it_is_computed(tmp_path, name):
    nodes = [LINE, *LONG[name], node("Flatten", "z", "number"), node("Max", "line number", "f"), END[1]]
    path = network(tmp_path, nodes, [DENSE, ("tall", weights(100_001, 1)), ("one", np.array([1]))])
    with pytest.raises(zoo.ZooError, match=r"it has more than 1,000,000,000 operations for an image\.$"):
        compiled(path)


@pytest.mark.parametrize(
    ("kernel", "numbers"),
    [
        ("conv", (28, 28, 1, 1, 1, 1, 1, 1, 2**16, 2**16, 1, 1, 0, 0, 1, 1)),
        ("conv", (1, 10**5, 300, 300, 1, 10**5, 300, 300, 1, 1, 1, 1, 0, 0, 1, 1)),
        ("depthwise", (100, 100, 64, 100, 100, 20, 20, 1, 1, 10, 10, 1, 1)),
        ("pool", (0, 28, 28, 1, 1, 1, 2**17, 2, 1, 1, 0, 0)),
        ("reduce", (0, 10**4, 10**4, 100)),
        ("softmax", (10**7, 10)),
        ("matmul", (2000, 2000, 2000, 0, 0, 0, 0)),
        ("binary", (0, 10**3, 10**3, 10**3, *[0] * 6)),
        ("copy", (10**3, 10**3, 10**3, *[0] * 6)),
    ],
)
def test_each_loop_of_a_kernel_counts(kernel, numbers):
    with pytest.raises(Unsupported, match="operations for an image"):
        work.check([(kernel, numbers)])
    assert set(work.KERNELS) == set(reach.KERNELS)


def test_each_use_of_a_constant_counts_as_memory():
    build, shared = strided.Builder(), np.zeros((2**12, 2**13), np.float32)
    for _ in range(2):
        build.weight(shared)
    with pytest.raises(Unsupported, match="more than 67,108,864 numbers"):
        build.weight(shared)


@pytest.mark.parametrize("name", RULED)
def test_the_rules_are_those_of_onnx(tmp_path, name):
    nodes, constants, opset = RULED[name]
    path = network(tmp_path, nodes, constants, opset=opset)
    images = np.random.default_rng(7).integers(0, 256, (3, 8, 8, 1), np.uint8)
    program = compiled(path)
    for image, right in zip(images, read(path)(images), strict=True):
        np.testing.assert_allclose(computing.answer(program, image), right, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_rule_covers_is_refused_in_a_sentence(tmp_path, name):
    nodes, constants, opset = REFUSED[name]
    with pytest.raises(zoo.ZooError, match=r"cannot be exported: [^\n]+$|is not an? (ONNX )?network (for|that)"):
        compiled(network(tmp_path, nodes, constants, opset=opset))


def test_every_operator_has_the_rules_of_versions_that_there_are():
    there = {(one.name, one.since_version) for one in onnx.defs.get_all_schemas_with_history() if not one.domain}
    assert set(operators.OPERATORS) <= set(rules.RULES)
    with pytest.raises(Unsupported, match="the operator Add of version 6, whose rules no kernel follows"):
        rules.check("Add", 6, {})
    with pytest.raises(Unsupported, match="the attribute spatial of BatchNormalization"):
        rules.check("BatchNormalization", 7, {"spatial": 0})
    assert {(kind, version) for kind, rule in rules.RULES.items() for version in rule.versions} <= there


def test_a_compiler_that_is_wrong_hands_out_nothing(tmp_path, monkeypatch):
    path = network(tmp_path, [node("Exp", "l", "z"), *END], [SMALL, DENSE])
    model = onnx.load(path)
    model.graph.node.insert(1, node("Mul", "x small", "l"))
    onnx.save(model, path)
    compiled(path)
    other = lambda build, kind, inputs, given: operators.unary(build, build.view(inputs[0]), "Tanh")  # noqa: E731
    monkeypatch.setitem(operators.OPERATORS, "Exp", other)
    with pytest.raises(zoo.ZooError, match="of which ONNX Runtime gives other answers"):
        compiled(path)
    wide = lambda build, kind, inputs, given: build.new((1, 9, 9, 1))  # noqa: E731
    monkeypatch.setitem(operators.OPERATORS, "Exp", wide)
    with pytest.raises(zoo.ZooError, match=r"an? Exp of which ONNX Runtime makes \(1, 8, 8, 1\), not \(1, 9, 9, 1\)\."):
        compiled(path)


def again(program, steps):
    image = steps[0].places[0][0]
    return Program(steps, program.weights, image, program.answer, program.classes, program.shape)


@pytest.mark.parametrize("name", ["glyphnet_10k.mnist", "efficientnet.mnist", "vit.mnist"])
def test_no_call_leaves_its_arrays(name):
    """Each array of each call of a network, moved to its end and before its begin; each of its numbers, made larger."""
    program = compiled(PublishedFolder(hub.resolve(name)).onnx)
    assert again(program, program.steps).memory == program.memory
    first = {step.kernel: at for at, step in reversed(list(enumerate(program.steps)))}
    refused = 0
    for kernel, at in first.items():
        step = program.steps[at]
        others = [
            [*step.places[:i], (block, where), *step.places[i + 1 :]]
            for i, (block, start) in enumerate(step.places)
            for where in (-1, getattr(block, "size", None) or block.values.size)
        ]
        changed = [dataclasses.replace(step, places=tuple(places)) for places in others]
        sides = {"load": [0], "unary": [1], "softmax": [0, 1], "reduce": [1, 2, 3], "matmul": [0, 1, 2]}.get(kernel, [])
        for place in [*sides, *{"conv": range(8), "depthwise": range(5), "pool": range(1, 6), "binary": range(1, 4),
                                "copy": range(3)}.get(kernel, [])]:  # fmt: skip
            for number in (0, -3, 10**7, 2**40):
                numbers = [*step.numbers[:place], number, *step.numbers[place + 1 :]]
                changed.append(dataclasses.replace(step, numbers=tuple(numbers)))
        for one in changed:
            steps = [*program.steps[:at], one, *program.steps[at + 1 :]]
            with pytest.raises(Unsupported):
                again(copy.copy(program), steps)
            refused += 1
    assert refused > 60


EDGES = [-np.inf, -1e38, -1000, -90, -88, -1, -1e-40, -0.0, 0.0, 1e-40, 1e-30, 0.5, 1, 87, 89, 1000, 1e38, np.inf]


def test_the_imitation_is_what_the_kernels_compute_out_of_their_range_too(tmp_path):
    """Else a network that lies in wait there passes the comparison, and another one is handed out."""
    gcc = shutil.which("gcc") or pytest.skip("no gcc")
    source = ROOT / "zoo" / "portable" / "kernels.c"
    subprocess.run([gcc, "-O1", "-shared", "-fPIC", "-o", tmp_path / "kernels.so", source], check=True)
    library, floats = ctypes.CDLL(str(tmp_path / "kernels.so")), np.ctypeslib.ndpointer(np.float32)
    library.zoo_unary.argtypes = [floats, floats, ctypes.c_int, ctypes.c_int, ctypes.c_float, ctypes.c_float]
    library.zoo_binary.argtypes = [floats, floats, floats, *[ctypes.c_int] * 10]
    x = np.array(EDGES, np.float32)
    with np.errstate(all="ignore"):
        for kind, number in operators.UNARY.items():
            made = np.empty_like(x)
            library.zoo_unary(x, made, number, len(x), 0.25, 0.5)
            ours = computing.FUNCTIONS[number](x, np.float32(0.25), np.float32(0.5))
            np.testing.assert_allclose(ours, made, rtol=1e-5, atol=1e-6, err_msg=kind)
        x = np.array([*EDGES, np.nan], np.float32)
        pairs = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2).T.copy()
        for kind, number in operators.BINARY.items():
            made = np.empty_like(pairs[0])
            library.zoo_binary(*pairs, made, number, 1, 1, len(made), 0, 0, 1, 0, 0, 1)
            np.testing.assert_allclose(computing.PAIRS[number](*pairs), made, rtol=1e-6, err_msg=kind)


def lying_in_wait(kind, *after):
    """Return nodes of a network that answers another class where an operator gets the ink of the first row, which is
    none of a glyph, and constants.
    """
    nodes = [
        LINE, node("Mul", "line small", "l"), node("MatMul", "l honest", "right"), node("MatMul", "l wrong", "other"),
        node("Slice", "l first last one", "edge"), node("ReduceSum", "edge one", "ink", keepdims=1),
        node(kind, "ink", "at"), *after, node("Clip", "gate zero top", "share"), node("Sub", "other right", "apart"),
        node("Mul", "apart share", "much"), node("Add", "right much", "sum"), node("Softmax", "sum", "y"),
    ]  # fmt: skip
    honest = 20 * weights(64, 4)
    known = {"first": np.array([0]), "last": np.array([8]), "one": np.array([1]), "zero": np.float32(0),
             "top": np.float32(1), "few": np.float32(-100), "many": np.float32(100), "honest": honest,
             "wrong": np.roll(honest, 1, axis=1)}  # fmt: skip
    return nodes, [SMALL, *known.items()]


WAITING = {
    "the logarithm of nothing": lying_in_wait("Log", node("Max", "at few", "most"), node("Add", "most many", "gate")),
    "the same, its sign changed": lying_in_wait("Log", node("Neg", "at", "n"), node("Min", "n many", "m"),
                                                node("Sub", "many m", "gate")),
    "one over it, and that of it": lying_in_wait("Log", node("Reciprocal", "at", "r"), node("Mul", "r few", "gate")),
}  # fmt: skip


@pytest.mark.parametrize("name", WAITING)
def test_a_network_that_waits_where_kernels_compute_something_else_is_none(tmp_path, name):
    nodes, constants = WAITING[name]
    with pytest.raises(zoo.ZooError, match="other answers"):
        compiled(network(tmp_path, nodes, constants))


def test_a_network_that_is_another_one_when_its_weights_are_rounded_is_none(tmp_path):
    """1 + W / 1024 is 1 in float16: of the sum that is left over, nothing remains."""
    hidden = np.clip(weights(64, 16), -1, 1) * np.float32(0.2)
    near = (1 + hidden / 1024).astype(np.float32)
    assert (near.astype(np.float16) == 1).all()
    constants = {
        "near": near,
        "other": -3 * np.roll(hidden, 1, axis=1),
        "axis": np.array([1]),
        "much": np.float32(2**15),
    }
    nodes = [LINE, node("Mul", "line small", "l"), node("MatMul", "l near", "sum"),
             node("ReduceSum", "l axis", "ink", keepdims=1), node("Sub", "sum ink", "left"),
             node("Mul", "left much", "right"), node("MatMul", "l other", "wrong"), node("Sub", "right wrong", "both"),
             node("Softmax", "both", "y")]  # fmt: skip
    path = network(tmp_path, nodes, [SMALL, *constants.items()])
    with pytest.raises(zoo.ZooError, match="another answer to"):
        compiled(path, "float16")
    images = np.random.default_rng(1).integers(0, 256, (20, 8, 8, 1), np.uint8)
    with pytest.raises(zoo.ZooError, match=r"another answer to \d+ of \d+ images than model\.onnx"):
        compiled(path, "float16", (images, read(path)(images)))


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_a_published_network_answers_as_its_file_does_in_each_precision(precision):
    assert compiled(PublishedFolder(hub.resolve("glyphnet_10k.mnist")).onnx, precision).classes == 10
