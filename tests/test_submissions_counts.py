"""Parameters and multiply-adds of submitted ONNX files: every stored number, every operator, every type."""

import json
import math
import re
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import ROOT
from networks import node, onnx_file
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from leaderboard import products
from leaderboard.submissions import measuring
from leaderboard.submissions.checks import onnx_graph, onnx_parameters
from leaderboard.submissions.sandbox import Box
from zoo import stored_numbers
from zoo.strict.problems import Refused

BOARD = ROOT / "docs" / "board.md"
DENSE = 64 * 10  # multiply-adds of the layer that `onnx_file` ends with
F, INT8 = np.float32, np.int8
RNG = np.random.default_rng(0)


def ones(*shape: int, dtype=F) -> np.ndarray:
    return np.ones(shape, dtype)


def test_every_allowed_operator_has_a_cost():
    priced = products.PRODUCTS.keys() | products.FREE
    assert priced == onnx_graph.OPERATORS
    assert not products.PRODUCTS.keys() & products.FREE


def images(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return nodes with the image as (1, 1, 8, 8) before them, as "i"."""
    return [node("Transpose", "x", "i", perm=[0, 3, 1, 2]), *nodes]


def sequences(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return nodes with the image as 8 steps of 1 sample with 8 features before them, as "s"."""
    return [node("Squeeze", ["x", "last"], "t"), node("Transpose", "t", "s", perm=[1, 0, 2]), *nodes]


SCALES = {"one": F(1), "zero": np.uint8(0), "zero_w": np.int8(0), "last": np.array([3])}
QUANTIZED = node("QuantizeLinear", ["x", "one", "zero"], "q")
FLAT = {"flat": np.array([-1, 64]), "w": ones(64, 64), "w8": ones(64, 64, dtype=INT8)}
CASES = {  # operator -> nodes from "x" (1, 8, 8, 1) to "y" of 64 values, constants, multiply-adds
    "Conv": (images(node("Conv", ["i", "k"], "y", pads=[1, 1, 1, 1])), {"k": ones(1, 1, 3, 3)}, 64 * 9),
    "ConvTranspose": (
        images(node("ConvTranspose", ["i", "k"], "y", pads=[1, 1, 1, 1])), {"k": ones(1, 1, 3, 3)}, 64 * 9),
    "ConvInteger": (
        [QUANTIZED, node("Transpose", "q", "i", perm=[0, 3, 1, 2]),
         node("ConvInteger", ["i", "k"], "c", pads=[1, 1, 1, 1]), node("Cast", "c", "y", to=1)],
        {"k": ones(1, 1, 3, 3, dtype=INT8)}, 64 * 9),
    "QLinearConv": (
        [QUANTIZED, node("Transpose", "q", "i", perm=[0, 3, 1, 2]),
         node("QLinearConv", ["i", "one", "zero", "k", "one", "zero_w", "one", "zero"], "c", pads=[1, 1, 1, 1]),
         node("DequantizeLinear", ["c", "one", "zero"], "y")],
        {"k": ones(1, 1, 3, 3, dtype=INT8)}, 64 * 9),
    "MatMul": ([node("Reshape", ["x", "flat"], "f"), node("MatMul", ["f", "w"], "y")], FLAT, 64 * 64),
    "Gemm": ([node("Reshape", ["x", "flat"], "f"), node("Gemm", ["f", "w"], "y", transB=1)], FLAT, 64 * 64),
    "MatMulInteger": (
        [QUANTIZED, node("Reshape", ["q", "flat"], "f"), node("MatMulInteger", ["f", "w8"], "m"),
         node("Cast", "m", "y", to=1)], FLAT, 64 * 64),
    "QLinearMatMul": (
        [QUANTIZED, node("Reshape", ["q", "flat"], "f"),
         node("QLinearMatMul", ["f", "one", "zero", "w8", "one", "zero_w", "one", "zero"], "m"),
         node("DequantizeLinear", ["m", "one", "zero"], "y")], FLAT, 64 * 64),
    "Einsum": ([node("Einsum", ["x", "e"], "y", equation="nhwc,h...k->n...wk")], {"e": ones(8, 8, 1)}, 8 * 8 * 8),
    "Mul": (
        [node("Reshape", ["x", "flat"], "f"), node("Mul", ["f", "w"], "m"),
         node("ReduceSum", ["m", "last0"], "r"),
         node("Unsqueeze", ["r", "last0"], "y")], {**FLAT, "last0": np.array([0])}, 64 * 64),
    "RNN": (
        sequences(node("RNN", ["s", "w", "r"], "y", hidden_size=8)),
        {"w": ones(1, 8, 8), "r": ones(1, 8, 8)}, 8 * 128),
    "GRU": (
        sequences(node("GRU", ["s", "w", "r"], "y", hidden_size=8)),
        {"w": ones(1, 24, 8), "r": ones(1, 24, 8)}, 8 * 384),
    "LSTM": (
        sequences(node("LSTM", ["s", "w", "r"], "y", hidden_size=8)),
        {"w": ones(1, 32, 8), "r": ones(1, 32, 8)}, 8 * 512),
}  # fmt: skip


def test_every_product_has_a_case():
    assert CASES.keys() == products.PRODUCTS.keys()


@pytest.mark.parametrize("operator", CASES)
def test_multiply_adds_of(operator, tmp_path):
    nodes, constants, expected = CASES[operator]
    report = onnx_graph.read_graph(onnx_file(nodes=nodes, constants={**SCALES, **constants}))
    (tmp_path / "model.onnx").write_bytes(report.content)
    assert products.count(tmp_path / "model.onnx") == expected + DENSE


@pytest.mark.parametrize("scale", [ones(), ones(1), ones(1, 8, 1)])
def test_a_scaling_by_one_number_a_channel_is_free(scale, tmp_path):
    (tmp_path / "model.onnx").write_bytes(onnx_file(nodes=[node("Mul", ["x", "s"], "y")], constants={"s": scale}))
    assert products.count(tmp_path / "model.onnx") == DENSE


def as_division() -> list[onnx.NodeProto]:
    return [node("Div", ["f", "w"], "p"), node("ReduceSum", ["p", "first"], "y", keepdims=0)]


def as_squares() -> list[onnx.NodeProto]:
    sums = [node("Add", ["f", "w"], "a"), node("Sub", ["f", "w"], "b")]
    sums += [node("ReduceSumSquare", [name, "first"], name * 2, keepdims=0) for name in "ab"]
    return [*sums, node("Sub", ["aa", "bb"])]


def as_activations() -> list[onnx.NodeProto]:
    zeros = [node("Min", ["f", "zero"], "o"), node("Add", ["o", "w"], "v")]
    return [*zeros, node("Mul", ["f", "v"], "p"), node("ReduceSum", ["p", "first"], "y", keepdims=0)]


def as_channels() -> list[onnx.NodeProto]:
    wide = [node("Expand", ["f", "square"], "e"), node("Reshape", ["e", "row"], "c")]
    scaled = node("BatchNormalization", ["c", "flat_w", "nothing", "nothing", "flat_w"], "s")
    return [*wide, scaled, node("Reshape", ["s", "square"], "p"), node("ReduceSum", ["p", "first"], "y", keepdims=0)]


def as_logarithms() -> list[onnx.NodeProto]:
    return [node("Log", "f", "l"), node("Add", ["l", "w"], "s"), node("Exp", "s", "p"),
            node("ReduceSum", ["p", "first"], "y", keepdims=0)]  # fmt: skip


def as_pairs() -> list[onnx.NodeProto]:
    wide = [node("Expand", ["f", "square"], "e"), node("Unsqueeze", ["e", "first"], "u")]
    pairs = [node("Unsqueeze", ["w", "first"], "v"), node("Concat", ["u", "v"], "c", axis=0)]
    return [*wide, *pairs, node("ReduceProd", ["c", "first"], "p", keepdims=0),
            node("ReduceSum", ["p", "first"], "y", keepdims=0)]  # fmt: skip


def as_columns() -> list[onnx.NodeProto]:
    """Each output for itself: no value is larger than the image."""
    columns = [helper.make_node("Split", ["w"], [f"w{n}" for n in range(64)], axis=1, num_outputs=64)]
    for n in range(64):
        columns += [node("PRelu", ["f", f"w{n}"], f"p{n}"), node("ReduceSum", [f"p{n}", "first"], f"y{n}")]
    return [*columns, node("Concat", [f"y{n}" for n in range(64)], "y", axis=0)]


@pytest.mark.parametrize(
    "way", [as_division, as_squares, as_activations, as_channels, as_logarithms, as_pairs, as_columns]
)
def test_a_matrix_product_that_is_made_value_by_value_counts(way, tmp_path):
    constants = {"w": ones(64, 64), "column": np.array([64, 1]), "first": np.array([0]), "zero": F(0),
                 "square": np.array([64, 64]), "row": np.array([1, 64 * 64]), "flat_w": ones(64 * 64),
                 "nothing": np.zeros(64 * 64, F)}  # fmt: skip
    nodes = [node("Reshape", ["x", "column"], "f"), *way()]
    report = onnx_graph.read_graph(onnx_file(nodes=nodes, constants=constants))
    (tmp_path / "model.onnx").write_bytes(report.content)
    assert products.count(tmp_path / "model.onnx") >= 64 * 64


def lanes(dtype, way: str) -> bytes:
    """Return a network whose products, or values, are of a type: several small numbers have room in each."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = {
        "MatMul": [node("MatMul", ["f", "w"], "p")],
        "Einsum": [node("Einsum", ["f", "w"], "p", equation="ij,jk->ik")],
        "Mul": [node("Reshape", ["f", "column"], "c"), node("Mul", ["c", "w"], "m"),
                node("ReduceSum", ["m", "first"], "p")],
        "values": [node("Reshape", ["f", "column"], "c"), node("Add", ["c", "w"], "m"),
                   node("ReduceSum", ["m", "first"], "p")],
    }[way]  # fmt: skip
    ends = [node("Reshape", ["x", "flat"], "g"), node("Cast", "g", "f", to=kind)], [node("Cast", "p", "y", to=1)]
    known = {"w": ones(64, 64, dtype=dtype), "column": np.array([64, 1]), "first": np.array([0])}
    used = {name for one in nodes for name in one.input}
    return onnx_file(nodes=[*ends[0], *nodes, *ends[1]], constants={n: v for n, v in known.items() if n in used})


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
@pytest.mark.parametrize("way", ["MatMul", "Einsum", "Mul", "values"])
def test_what_computes_in_eight_bytes_counts_twice(dtype, way, tmp_path):
    """Six products in one of uint64 counted as one."""
    found = []
    for kind in (np.dtype(dtype).kind + "4", dtype):
        (tmp_path / "model.onnx").write_bytes(onnx_graph.read_graph(lanes(kind, way)).content)
        found.append(products.count(tmp_path / "model.onnx"))
    assert found[1] - found[0] >= 64 * 64


# Parameters


def with_constant(values: np.ndarray, kind: str = "initializer") -> bytes:
    """Return the small network with a stored array of 64 numbers that is added to the pixels, behind casts."""
    nodes = [node("Reshape", ["x", "flat"], "f"), node("Cast", "stored", "s", to=1), node("Add", ["f", "s"], "y")]
    if kind == "node":
        constant = helper.make_node("Constant", [], ["stored"], value=numpy_helper.from_array(values))
        return onnx_file(nodes=[constant, *nodes])
    return onnx_file(nodes=nodes, constants={"stored": values})


@pytest.mark.parametrize("kind", ["initializer", "node"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64])
def test_stored_numbers_count_whatever_their_type(dtype, kind):
    numbers = 64 * max(np.dtype(dtype).itemsize // 4, 1)  # one of eight bytes could hold two
    assert onnx_graph.read_graph(with_constant(np.arange(64).astype(dtype), kind)).parameters == DENSE + numbers


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        ({"value_floats": [0.5] * 64}, 64),
        ({"value_ints": [3] * 64}, 128),  # of eight bytes
        ({"value_ints": [3] * 16}, 0),  # as long as a shape may be
        ({"value_float": 0.5}, 0),
        ({"value": numpy_helper.from_array(np.ones(64, F))}, 64),
        ({"sparse_value": helper.make_sparse_tensor(
            numpy_helper.from_array(np.ones(7, F), "v"), numpy_helper.from_array(np.arange(7), "i"), [64])}, 7),
    ],
    ids=str,
)  # fmt: skip
def test_a_constant_counts_in_whichever_attribute_it_is(tmp_path, given, counted):
    """A network of 7,840 weights in a list of an attribute had none."""
    found = []
    for values in ({"value_float": 1.0}, given):
        one = helper.make_node("Constant", [], ["stored"], **values)
        nodes = [one, node("Cast", "stored", "s", to=1), node("ReduceSum", ["s"], "t", keepdims=0)]
        (tmp_path / "model.onnx").write_bytes(onnx_file(nodes=[*nodes, node("Mul", ["x", "t"], "y")]))
        found.append(stored_numbers.of_file(tmp_path / "model.onnx"))
    assert found[1] - found[0] == counted


@pytest.mark.parametrize(("dtype", "counted"), [(np.int64, 0), (np.int32, 2), (np.int16, 2)])
def test_a_shape_counts_unless_it_is_int64(dtype, counted):
    nodes = [node("Cast", "sides", "s", to=7), node("Reshape", ["x", "s"])]
    data = onnx_file(nodes=nodes, constants={"sides": np.array([-1, 64], dtype)})
    assert onnx_graph.read_graph(data).parameters == DENSE + counted


def test_the_board_says_which_networks_store_sizes_that_count():
    said = re.search(r"stores sizes as int32, and a factor, which count: (.*?)\. ", BOARD.read_text(), re.DOTALL)[1]
    listed, number = {}, 0
    for digits, name in re.findall(r"(\d+) |`(\w+)`", said):
        number = int(digits or number)
        listed |= {name: number} if name else {}
    found: dict[str, int] = {}
    for path in (ROOT / "zoo" / "pretrained").glob("*/model.onnx"):
        arrays = [t for t in onnx.load(path).graph.initializer if t.dims]
        stored = [t for t in arrays if t.data_type == TensorProto.INT32]
        stored += [t for t in arrays if t.name.startswith("const_fold") and list(t.dims) == [1] * 4]  # the factor
        if stored:
            found[path.parent.name.partition(".")[0]] = sum(math.prod(tensor.dims) for tensor in stored)
    assert listed.pop("alexnet") == 1  # its weights are not here
    assert listed == found


def test_numbers_count_once_however_often_they_are_used():
    nodes = [node("Add", ["x", "stored"], "a"), node("Add", ["a", "stored"], "y")]
    data = onnx_file(nodes=nodes, constants={"stored": ones(8, 8, 1)})
    assert onnx_graph.read_graph(data).parameters == DENSE + 64


def test_numbers_that_hide_as_scales_or_single_values_count():
    nodes = [node("Reshape", ["x", "flat"], "f"), node("Cast", "f", "i", to=TensorProto.INT32),
             node("DequantizeLinear", ["i", "scales"], "y", axis=1)]  # fmt: skip
    scales = onnx_file(nodes=nodes, constants={"scales": RNG.random(64, F)})
    assert onnx_graph.read_graph(scales).parameters == DENSE + 64  # there are no quantized weights that they scale
    matrix, quantized = RNG.random((64, 10), F), RNG.integers(-9, 9, (64, 10), np.int8)
    begin = [
        node("Reshape", ["x", "flat"], "f"), helper.make_node("DynamicQuantizeLinear", ["f"], ["q", "s", "zero"]),
        node("MatMulInteger", ["q", "quantized", "zero"], "i"), node("Cast", "i", "p", to=TensorProto.FLOAT),
    ]  # fmt: skip
    for nodes, more in (
        ([node("Mul", ["s", "m"], "h"), node("MatMul", ["f", "h"], "o")], {"m": matrix}),
        ([node("Mul", ["m", "s"], "h"), node("Mul", ["p", "h"], "o")], {"m": matrix[:, 0]}),
        ([node("DequantizeLinear", ["quantized", "m"], "h", axis=0), node("MatMul", ["f", "h"], "o")],
         {"m": matrix[:, 0]}),
        ([node("DequantizeLinear", ["quantized", "m", "v"], "h", axis=0), node("MatMul", ["f", "h"], "o")],
         {"m": matrix[:, 0], "v": quantized[:, 0]}),
    ):  # fmt: skip
        hidden = sum(values.size for values in more.values())
        made = [*begin, *nodes, node("Add", ["o", "p"], "y")]
        counted = onnx_graph.read_graph(onnx_file(nodes=made, constants={"quantized": quantized, **more}))
        assert counted.parameters >= DENSE + quantized.size + hidden - quantized.size // 16, nodes
    many = [node("Add", ["x" if n == 0 else f"a{n - 1}", f"s{n}"], f"a{n}" if n < 999 else "y") for n in range(1000)]
    singles = onnx_file(nodes=many, constants={f"s{n}": F(RNG.random()) for n in range(1000)})
    assert onnx_graph.read_graph(singles).parameters > DENSE + 1000


SECRET = RNG.integers(0, 256, 3000, np.uint8).tobytes()  # weights that are hidden
UNARY = ("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "Identity", "Neg", "Relu", "Round", "Sigmoid", "Sign", "Sin",
         "Tan", "Softsign", "Tanh")  # fmt: skip


def as_references() -> tuple[list[onnx.NodeProto], dict]:
    values = [f"v{n}" for n in range(256)]
    split = helper.make_node("Split", ["range"], values, axis=0, num_outputs=256)
    read = node("Concat", [values[byte] for byte in SECRET], "b", axis=0)
    return [node("Range", ["zero", "many", "one"], "range"), split, read], {"many": F(256)}


def as_chain(kind: Callable, step: int) -> tuple[list[onnx.NodeProto], dict]:
    """Return a chain of nodes to "b", each made of the value before it, its name and the next bytes."""
    parts = [SECRET[n : n + step] for n in range(0, len(SECRET), step)]
    names = ["zero", *(f"b{n}" for n in range(1, len(parts))), "b"]
    return [kind(names[n], names[n + 1], part) for n, part in enumerate(parts)], {}


def as_shapes() -> tuple[list[onnx.NodeProto], dict]:
    numbers = np.frombuffer(SECRET, np.int64).reshape(-1, 15)
    return [node("Concat", [f"c{n}" for n in range(len(numbers))], "b", axis=0)], {
        f"c{n}": row for n, row in enumerate(numbers)
    }


def number(before: str, after: str, part: bytes) -> onnx.NodeProto:
    return node("LeakyRelu", before, after, alpha=int.from_bytes(part, "little") / 2**32)


def fill(before: str, after: str, part: bytes) -> onnx.NodeProto:
    return node("ConstantOfShape", before, after, value=numpy_helper.from_array(np.frombuffer(part, np.int64)))


def axes(before: str, after: str, part: bytes) -> onnx.NodeProto:
    return node("ReduceSum", before, after, axes=list(part))


def text(before: str, after: str, part: bytes) -> onnx.NodeProto:
    return node("Einsum", before, after, equation=part.hex())


def operator(before: str, after: str, part: bytes) -> onnx.NodeProto:
    return node(UNARY[part[0] % 16], before, after)


HIDDEN = {
    "references": as_references,
    "numbers of attributes": lambda: as_chain(number, 4),
    "values of attributes": lambda: (as_chain(fill, 8)[0], {"zero": np.array([1])}),
    "lists of attributes": lambda: as_chain(axes, 60),
    "texts of attributes": lambda: as_chain(text, 50),
    "shapes": as_shapes,
}


@pytest.mark.parametrize("way", HIDDEN)
def test_what_is_hidden_in_the_structure_counts(way):
    nodes, constants = HIDDEN[way]()
    data = onnx_file(
        nodes=[*nodes, node("Add", ["x", "b"], "y")], constants={"zero": F(0), "one": F(1), **constants},
        opset=18 if way == "references" else 12,
    )  # fmt: skip
    assert onnx_graph.read_graph(data).parameters > DENSE + len(SECRET) - onnx_parameters.FREE


@pytest.mark.parametrize("way", HIDDEN)
def test_what_is_hidden_in_the_structure_counts_on_top_of_what_is_unpacked(tmp_path, way):
    """The larger of the two counts would leave the other free."""
    nodes, constants = HIDDEN[way]()
    data = onnx_file(
        nodes=[*nodes, node("Add", ["x", "b"], "y")], constants={"zero": F(0), "one": F(1), **constants},
        opset=18 if way == "references" else 12,
    )  # fmt: skip
    box, used = Box.__new__(Box), 5000
    box.folder = tmp_path
    (tmp_path / "answers.f32").write_bytes(np.full((7, 10), 0.1, F).tobytes())
    (tmp_path / "outcome.json").write_text(json.dumps({"multiply_adds": 640, "used_numbers": used}))
    outcome = box._outcome(measuring.job_of("onnx", "optdigits"), 7, data, {})
    assert outcome.parameters > used + len(SECRET) // 2


def test_operators_that_are_chosen_count():
    nodes, constants = as_chain(operator, 1)
    data = onnx_file(nodes=[*nodes, node("Add", ["x", "b"], "y")], constants={"zero": F(0), **constants})
    assert onnx_graph.read_graph(data).parameters > len(SECRET) // 2  # four bits each


def test_a_network_has_as_many_parameters_as_bytes_of_its_structure():
    """Else a network of ten parameters could hold another in the structure that is free."""
    nodes = [
        number("x" if n == 0 else f"b{n}", f"b{n + 1}" if n < 199 else "y", SECRET[4 * n :][:4]) for n in range(200)
    ]
    report = onnx_graph.read_graph(onnx_file(classes=2, shape=(2, 1, 1), nodes=nodes))
    assert 800 <= report.parameters < onnx_parameters.FREE + 500


def test_the_test_set_stored_as_bytes_is_not_one_parameter():
    """SECURITY 8: pictures as uint8, compared by Einsum."""
    nodes = [node("Cast", "stored", "s", to=1), node("Einsum", ["x", "s"], "e", equation="nhwc,khw->nk"),
             node("MatMul", ["e", "back"], "y")]  # fmt: skip
    data = onnx_file(nodes=nodes, constants={"stored": RNG.integers(0, 256, (500, 8, 8)).astype(np.uint8),
                                             "back": np.zeros((500, 64), F)})  # fmt: skip
    assert onnx_graph.read_graph(data).parameters == DENSE + 500 * 64 * 2


SHAPED = {  # operator -> nodes from a number that depends on the image, "n" (1), to "y"
    "Slice": [node("Slice", ["x", "none", "n", "none"])],
    "Reshape": [node("Reshape", ["x", "n"])],
    "Tile": [node("Tile", ["x", "n"])],
    "TopK": [helper.make_node("TopK", ["x", "n"], ["y", ""])],
    "Range": [node("Squeeze", "n", "m"), node("Range", ["m", "m", "m"])],
    "ConstantOfShape": [node("ConstantOfShape", "n", "f"), node("Expand", ["x", "f"])],
    "ReduceSum": [node("ReduceSum", ["x", "n"])],
    "Resize": [node("Cast", "n", "s", to=1), node("Resize", ["x", "", "s"])],
}


@pytest.mark.parametrize("way", SHAPED)
def test_a_graph_whose_shapes_depend_on_the_image_is_refused(way):
    """A black image would cost nothing, and a written one everything."""
    depends = [node("ReduceMax", "x", "max"), node("Reshape", ["max", "all"], "one"), node("Cast", "one", "n", to=7)]
    data = onnx_file(nodes=[*depends, *SHAPED[way]], constants={"none": np.array([0]), "all": np.array([1])})
    with pytest.raises(Refused, match="values of the image") as refused:
        onnx_graph.read_graph(data)
    assert refused.value.problem.code == "onnx-shape"


def test_shapes_that_depend_on_the_shape_of_the_image_are_no_harm():
    nodes = [node("Abs", "x", "a"), node("Shape", "a", "s"), node("Reshape", ["a", "s"])]
    assert onnx_graph.read_graph(onnx_file(nodes=nodes)).parameters == DENSE


@pytest.mark.parametrize("name", ["lenet5.mnist", "glyphnet_700.mnist", "glyphnet_2k.mnist", "glyphnet_100k_x3.mnist"])
def test_a_shipped_network_has_the_parameters_of_its_keras_model(name):
    folder = ROOT / "zoo" / "pretrained" / name
    report = onnx_graph.read_graph((folder / "model.onnx").read_bytes())
    assert report.parameters == json.loads((folder / "metadata.json").read_text())["parameters"]


# Quantization by the tools of ONNX Runtime


class Pictures(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = [{"image": RNG.integers(0, 256, (8, 28, 28, 1), np.uint8)} for _ in range(2)]

    def get_next(self) -> dict | None:
        return self.left.pop() if self.left else None


LENET = ROOT / "zoo" / "pretrained" / "lenet5.mnist" / "model.onnx"
PARAMETERS, MULTIPLY_ADDS = 61_706, 416_520


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    """Return LeNet-5 as the quantizers need it: weights in single precision, an input that is called "image"."""
    folder = tmp_path_factory.mktemp("lenet")
    (folder / "clean.onnx").write_bytes(onnx_graph.read_graph(LENET.read_bytes()).content)
    quant_pre_process(folder / "clean.onnx", folder / "lenet.onnx", skip_symbolic_shape=True)
    return folder / "lenet.onnx"


def static(lenet, to, **options) -> bytes:
    quantize_static(lenet, to, Pictures(), weight_type=QuantType.QInt8, **options)
    return to.read_bytes()


@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_in_int8_count_as_those_in_float(lenet, tmp_path, per_channel):
    named = onnx.load(lenet)
    named.graph.node[-1].name = "softmax"
    onnx.save(named, tmp_path / "named.onnx")
    options = {"per_channel": per_channel, "quant_format": QuantFormat.QDQ, "nodes_to_exclude": ["softmax"]}
    report = onnx_graph.read_graph(static(tmp_path / "named.onnx", tmp_path / "static.onnx", **options))
    assert report.parameters == PARAMETERS
    (tmp_path / "clean.onnx").write_bytes(report.content)
    assert products.count(tmp_path / "clean.onnx") == MULTIPLY_ADDS


def test_dynamic_quantization_of_a_whole_network(lenet, tmp_path):
    quantize_dynamic(lenet, tmp_path / "dynamic.onnx")
    report = onnx_graph.read_graph((tmp_path / "dynamic.onnx").read_bytes())
    assert report.parameters == PARAMETERS
    (tmp_path / "clean.onnx").write_bytes(report.content)
    assert products.count(tmp_path / "clean.onnx") == MULTIPLY_ADDS
    images = Pictures().left[0]["image"]
    sent, rebuilt = (
        onnxruntime.InferenceSession(path).run(None, {"image": images})[0]
        for path in (tmp_path / "dynamic.onnx", tmp_path / "clean.onnx")
    )
    np.testing.assert_array_equal(sent, rebuilt)


def test_a_softmax_that_is_quantized_too_is_refused_with_what_to_change(lenet, tmp_path):
    with pytest.raises(Refused, match="nodes_to_exclude") as refused:
        onnx_graph.read_graph(static(lenet, tmp_path / "static.onnx", quant_format=QuantFormat.QDQ))
    assert refused.value.problem.code == "quantized-output"
