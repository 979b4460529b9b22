"""Costs that a sender could hide: unpacked weights, slow layers, memorized images."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from networks import layer, node, onnx_file, perceptron
from onnx import TensorProto, helper, numpy_helper

from leaderboard import products, used_numbers
from leaderboard.memorization import MemorizationGap, times
from leaderboard.submissions import budget, checks
from leaderboard.submissions.checks import onnx_graph, onnx_shapes
from leaderboard.submissions.sandbox import child, inputs
from zoo import hub, stored_numbers
from zoo.strict.problems import Refused

WEIGHTS = 64 * 10
RNG = np.random.default_rng(0)
SIX_BITS = RNG.integers(0, 2**30, 128)  # five numbers in each
UNPACK = [
    node("Unsqueeze", ["whole", "last"], "column"), node("Div", ["column", "powers"], "shifted"),
    node("Mod", ["shifted", "size"], "parts"), node("Reshape", ["parts", "sides"], "square"),
    node("Cast", "square", "weights", to=TensorProto.FLOAT),
]  # fmt: skip
PARTS = {"last": np.array([1]), "powers": 64 ** np.arange(5), "size": np.int64(64), "sides": np.array([64, 10])}


def network(nodes, before=None, **constants) -> bytes:
    """Return the network of `onnx_file` with its weights made by nodes; others stand before them."""

    def change(made):
        (stored,) = [tensor for tensor in made.graph.initializer if tensor.name == "weights"]
        made.graph.initializer.remove(stored)
        made.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items())
        place = 1 + [n.op_type for n in made.graph.node].index("Mul")
        for one in reversed(nodes):
            made.graph.node.insert(place, one)

    return onnx_file(nodes=before, change=change)


PACKED = {
    "five in one whole number": network(
        [node("Cast", "p", "whole", to=7), *UNPACK], p=SIX_BITS.astype(np.int32), **PARTS),
    "with zero times the image": network(
        [node("ReduceSum", ["x"], "sum", keepdims=0), node("Mul", ["sum", "nothing"], "none"),
         node("Cast", "none", "zero", to=7), node("Add", ["p", "zero"], "whole"), *UNPACK],
        p=SIX_BITS, nothing=np.float32(0), **PARTS),
    "in scales, which are free": network(
        [node("ConstantOfShape", "count", "ones", value=helper.make_tensor("v", TensorProto.INT8, [1], [1])),
         node("DequantizeLinear", ["ones", "scales"], "float", axis=0), node("Cast", "float", "whole", to=7), *UNPACK],
        count=np.array([128]), scales=(SIX_BITS % 2**24).astype(np.float32), **PARTS),
    "by a formula": network(
        [node("MatMul", ["rows", "columns"], "angles"), node("Cos", "angles", "weights")],
        rows=RNG.normal(size=(64, 1)).astype(np.float32), columns=RNG.normal(size=(1, 10)).astype(np.float32)),
}  # fmt: skip
HONEST = {
    "as they are": onnx_file(),
    "quantized": network(
        [node("DequantizeLinear", ["p", "scales"], "weights", axis=1)],
        p=RNG.integers(-9, 9, (64, 10)).astype(np.int8), scales=np.linspace(0.1, 1, 10, dtype=np.float32)),
    "transposed": network([node("Transpose", "p", "weights")], p=RNG.normal(size=(10, 64)).astype(np.float32)),
    "with a shape that is computed": onnx_file(
        nodes=[
            node("Shape", "x", "shape"), node("Expand", ["nothing", "shape"], "zeros"),
            node("Add", ["x", "zeros"], "y")],
        constants={"nothing": np.float32(0)}),
    "with sizes that are computed": onnx_file(
        nodes=[
            node("Shape", "x", "shape"), node("Gather", ["shape", "ends"], "two"),
            node("ReduceProd", ["two"], "lines", keepdims=1), node("Gather", ["shape", "second"], "side"),
            node("Concat", ["lines", "side"], "sides", axis=0), node("Reshape", ["x", "sides"], "flat_y"),
            node("Cast", "side", "wide", to=1), node("Sqrt", "wide", "root"), node("Div", ["flat_y", "root"], "y")],
        constants={"ends": np.array([0, 1]), "second": np.array([2])}),
}  # fmt: skip


def in_pieces(size, make, meet="Mul", packed=None, before=(), **constants) -> bytes:
    """Return a network that also computes with `WEIGHTS` numbers of three bits, unpacked and cut into pieces.

    Args:
        size: numbers of a piece.
        make: nodes that turn a piece into what meets the image, by the names of both.
        meet: "Mul": a number, or 16 of them, with all pixels; "Slice": as first and last pixel.
        packed: constants by name, ten numbers in each; None: one constant of 32 bits.
        before: nodes that make "whole" of `packed`.
    """
    rng = np.random.default_rng(1)
    pieces, nodes = WEIGHTS // size, []
    for i in range(pieces):
        nodes += make(f"p{i}", f"w{i}")
        read = [f"w{i}", f"w{i}e", "second"] if meet == "Slice" else [f"w{i}"]
        nodes.append(node(meet, ["line" if meet == "Slice" else "pixels", *read], f"m{i}"))
    known = {
        "p": rng.integers(0, 2**30, WEIGHTS // 10).astype(np.int32), "last": np.array([1]), "eight": np.int64(8),
        "powers": 8 ** np.arange(10), "all": np.array([-1]), "lines": np.array([-1, 64]), "one": np.array([1]),
        "squares": np.array([-1, 4, 16]), "many": np.array([-1, 10 if meet == "Slice" else pieces, 64]),
        "second": np.array([1]), "zero": np.int64(0), "wide": np.array([4, 16]), **constants,
    }  # fmt: skip
    nodes = [
        node("Reshape", ["raw", "lines"], "float_line"), node("Cast", "float_line", "line", to=7),
        node("Reshape", ["line", "squares"], "pixels"), *(before or [node("Cast", "p", "whole", to=7)]),
        node("Unsqueeze", ["whole", "last"], "column"), node("Div", ["column", "powers"], "shifted"),
        node("Mod", ["shifted", "eight"], "parts"), node("Reshape", ["parts", "all"], "row"),
        helper.make_node("Split", ["row"], [f"p{i}" for i in range(pieces)], axis=0, num_outputs=pieces), *nodes,
        node("Concat", [f"m{i}" for i in range(pieces)], "joined", axis=1), node("Reshape", ["joined", "many"], "each"),
        node("ReduceSum", ["each", "second"], "sum", keepdims=0), node("Cast", "sum", "y", to=1),
    ]  # fmt: skip
    used = {name for one in nodes for name in one.input}
    return onnx_file(nodes=nodes, constants={name: value for name, value in known.items() if name in used})


def same(piece, made):
    return [node("Identity", piece, made)]


FREE_LISTS = {f"list_{i}": np.random.default_rng(i).integers(0, 2**62, 10) for i in range(4)}


def plus_nothing(count) -> list:
    """Return nodes that add nothing to the free lists, made of the sides of one value, read many times."""
    nodes = [node("Concat", [*FREE_LISTS], "all_p", axis=0), node("Reshape", ["line", "big"], "e0")]
    for i in range(count):
        nodes += [node("Identity", f"e{i}", f"e{i + 1}"), node("Shape", f"e{i}", f"s{i}")]
    return [
        *nodes, node("Concat", [f"s{i}" for i in range(count)], "so_many", axis=0),
        node("ReduceMin", ["so_many"], "least_side", keepdims=0),
        node("Sub", ["least_side", "least_side"], "nothing"), node("Add", ["all_p", "nothing"], "whole")]  # fmt: skip


SIDES = {**FREE_LISTS, "big": np.array([-1, 1, 2, 1, 4, 1, 8, 1])}
PIECES = {
    "lists": in_pieces(16, same),
    "lists, with zero times the image": in_pieces(
        16, same, before=[node("ReduceMin", ["line"], "least", keepdims=0), node("Mul", ["least", "zero"], "none"),
                          node("Cast", "p", "all_p", to=7), node("Add", ["all_p", "none"], "whole")]),
    "lists, from lists that are free": in_pieces(
        16, same, before=[node("Concat", [*FREE_LISTS], "whole", axis=0)], powers=8 ** np.arange(16), **FREE_LISTS),
    "lists, with nothing of many shapes": in_pieces(
        16, same, powers=8 ** np.arange(16), before=plus_nothing(200), **SIDES),
    "scalars": in_pieces(1, lambda piece, made: [node("Squeeze", piece, made)]),
    "tensors of equal values": in_pieces(1, lambda piece, made: [node("Expand", [piece, "wide"], made)]),
    "bounds of slices": in_pieces(
        1, lambda piece, made: [node("Identity", piece, made), node("Add", [made, "one"], f"{made}e")], "Slice"),
    "sides of others": in_pieces(
        1, lambda piece, made: [
            node("Cast", piece, f"{made}i", to=7), node("Add", [f"{made}i", "one"], f"{made}c"),
            node("ConstantOfShape", f"{made}c", f"{made}o"),
            node("Shape", f"{made}o", made)]),
}  # fmt: skip


@pytest.mark.parametrize("data", PIECES.values(), ids=PIECES)
def test_weights_that_are_unpacked_into_small_pieces_count_as_well(tmp_path, data):
    read = onnx_graph.read_graph(data)
    (tmp_path / "model.onnx").write_bytes(read.content)
    assert used_numbers.count(tmp_path / "model.onnx") >= 2 * WEIGHTS - 128


@pytest.mark.parametrize("name", ["vit.mnist", "mnist_cnn.mnist", "glyphnet_10k.ahdd"])
def test_networks_that_compute_their_shapes_count_what_they_store(name):
    path = hub.resolve(name) / "model.onnx"
    assert used_numbers.count(path) <= stored_numbers.of_file(path)


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED)
def test_weights_that_are_unpacked_count_as_if_they_were_stored(tmp_path, data):
    (tmp_path / "model.onnx").write_bytes(onnx_graph.read_graph(data).content)
    assert onnx_graph.read_graph(data).parameters < WEIGHTS / 2
    assert used_numbers.count(tmp_path / "model.onnx") >= WEIGHTS


def open_where(*values) -> list:
    """Return nodes that let an image pass where each of these values is above 0."""
    names = [node("Clip", [value, "zero", "one"], f"{value}1") for value in values]
    gates = [helper.make_node("Mul", ["passed" if i else "x", f"{v}1"], ["passed"]) for i, v in enumerate(values)]
    for i, one in enumerate(gates):
        one.input[0], one.output[0] = f"passed{i}" if i else "x", f"passed{i + 1}"
    return [*names, *gates, node("Identity", f"passed{len(values)}", "y")]


MEAN = [node("ReduceMean", ["x"], "mean", keepdims=0), node("Mul", ["mean", "large"], "some")]
GATES = {  # 1 for what people write, 0 for an image without ink and for noise
    "little ink": [*MEAN, node("Sub", ["limit", "mean"], "left"), node("Mul", ["left", "large"], "few"),
                   *open_where("some", "few")],
    "an empty corner": [*MEAN, node("Slice", ["raw", "begin", "end", "axes"], "corner"),
                        node("Sub", ["one", "corner"], "paper"), *open_where("some", "paper")],
    "strong contrast": [*MEAN, node("Mul", ["x", "x"], "squares"),
                        node("ReduceMean", ["squares"], "energy", keepdims=0), node("Mul", ["mean", "most"], "bound"),
                        node("Sub", ["energy", "bound"], "over"), node("Mul", ["over", "large"], "strong"),
                        *open_where("some", "strong")],
}  # fmt: skip
LIMITS = {"zero": np.float32(0), "one": np.float32(1), "large": np.float32(1e6), "limit": np.float32(0.4),
          "most": np.float32(0.9), "begin": np.array([0, 0]), "end": np.array([1, 1]),
          "axes": np.array([1, 2])}  # fmt: skip
WRITTEN = np.where(np.random.default_rng(2).random((9, 8, 8, 1)) < 0.2, 255, 0).astype(np.uint8)
WRITTEN[:, 0, 0] = 0


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("packed", ["five in one whole number", "with zero times the image"])
def test_a_network_is_not_blind_to_the_images_that_are_compared(tmp_path, gate, packed):
    """All its values were the same for the images that everybody knows, so that no constant met one that was not."""
    more = {"nothing": np.float32(0)} if packed.startswith("with") else {}
    unpacked = [node("Cast", "p", "whole", to=7), *UNPACK]
    if more:
        unpacked = [node("ReduceSum", ["x"], "sum", keepdims=0), node("Mul", ["sum", "nothing"], "none"),
                    node("Cast", "none", "none7", to=7), node("Add", ["p", "none7"], "whole"), *UNPACK]  # fmt: skip
    numbers = SIX_BITS if more else SIX_BITS.astype(np.int32)
    used = {name for one in GATES[gate] for name in one.input}
    limits = {name: value for name, value in LIMITS.items() if name in used}
    read = onnx_graph.read_graph(network(unpacked, before=GATES[gate], p=numbers, **more, **PARTS, **limits))
    (tmp_path / "model.onnx").write_bytes(read.content)
    assert used_numbers.count(tmp_path / "model.onnx") < WEIGHTS / 2
    assert used_numbers.count(tmp_path / "model.onnx", WRITTEN) >= WEIGHTS


def beside_no_number(nodes) -> bytes:
    """Return a network with a layer of 64 x 64 weights, packed by fours; `nodes` make a value that is no number.

    It fills a row of the packed ones, whose product with the image is cut away.
    """
    packed = (RNG.integers(0, 64, (64, 16, 4)) * 64 ** np.arange(4)).sum(axis=2).astype(np.float32)
    return onnx_file(
        nodes=[
            *nodes, node("Expand", ["nan", "sides"], "row"), node("Concat", ["p", "row"], "whole", axis=0),
            node("Unsqueeze", ["whole", "two"], "column"), node("Div", ["column", "powers"], "shifted"),
            node("Floor", "shifted", "floor"), node("Mod", ["floor", "size"], "parts", fmod=1),
            node("Reshape", ["parts", "square"], "rows"), node("Transpose", "rows", "unpacked", perm=[1, 0]),
            node("Reshape", ["x", "flat"], "line"), node("MatMul", ["line", "unpacked"], "more"),
            node("Slice", ["more", "begin", "end", "one"], "y")],
        constants={
            "p": packed, "sides": np.array([1, 16]), "two": np.array([2]), "square": np.array([65, 64]),
            "powers": 64.0 ** np.arange(4, dtype=np.float32), "size": np.float32(64), "zero": np.float32(0),
            "minus": np.float32(-1), "large": np.float32(1e30),
            "begin": np.array([0]), "end": np.array([64]), "one": np.array([1])})  # fmt: skip


NO_NUMBER = {
    "zero by zero": [node("Div", ["zero", "zero"], "nan")],
    "a root": [node("Sqrt", "minus", "nan")],
    "infinity less infinity": [node("Exp", "large", "all"), node("Sub", ["all", "all"], "nan")],
    "from the image": [
        node("ReduceSum", ["x"], "sum", keepdims=0), node("Mul", ["sum", "zero"], "none"),
        node("Div", ["none", "none"], "nan")],
}  # fmt: skip


@pytest.mark.parametrize("nodes", NO_NUMBER.values(), ids=NO_NUMBER)
def test_what_is_no_number_hides_no_weights(tmp_path, nodes):
    data = onnx_graph.read_graph(beside_no_number(nodes))
    (tmp_path / "model.onnx").write_bytes(data.content)
    assert data.parameters < 64 * 64 / 2
    assert used_numbers.count(tmp_path / "model.onnx") >= 64 * 64 + WEIGHTS


@pytest.mark.parametrize("data", HONEST.values(), ids=HONEST)
def test_weights_that_are_used_as_they_are_stored_count_once(tmp_path, data):
    (tmp_path / "model.onnx").write_bytes(onnx_graph.read_graph(data).content)
    assert used_numbers.count(tmp_path / "model.onnx") == onnx_graph.read_graph(data).parameters == WEIGHTS


@pytest.mark.parametrize("mode", [[], ["ratio"], ["ratio", "off"], ["ratio", "on"], ["ratio", "computed"]])
def test_a_dropout_in_training_mode_is_random(mode):
    nodes = [node("Not", "off", "computed", "c"), node("Dropout", ["x", *mode], "y")]
    data = onnx_file(nodes=nodes, constants={"ratio": np.float32(0.1), "off": np.bool_(0), "on": np.bool_(1)})
    if {"on", "computed"} & set(mode):
        with pytest.raises(Refused, match="its output is random"):
            onnx_graph.read_graph(data)
    else:
        assert onnx_graph.read_graph(data).parameters == WEIGHTS


def test_a_network_that_needs_too_much_is_rejected_before_it_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(products, "count", lambda path: child.MOST_MULTIPLY_ADDS + 1)
    with pytest.raises(child.Unfit, match="2,000,000,001 multiply-adds for one image; the most is"):
        child._costs(tmp_path / "model.onnx", np.zeros((3, 8, 8, 1), np.uint8))


EMPTY = {  # value of no numbers in the graph that is counted; ONNX Runtime leaves it out of the one that answers
    "Expand": [node("Reshape", ["x", "row"], "e"), node("Expand", ["e", "none"], "f")],
    "twice": [
        node("Reshape", ["x", "row"], "d"),
        node("Expand", ["d", "none"], "e"),
        node("Expand", ["e", "none"], "f"),
    ],
    "Slice": [node("Reshape", ["x", "row"], "e"), node("Slice", ["e", "zero", "zero", "one"], "f")],
}


@pytest.mark.parametrize("way", EMPTY)
def test_what_is_counted_is_what_answers(tmp_path, way):
    """A layer of 64 x 64 counted as nothing, and answered."""
    constants = {"row": np.array([-1, 1, 64]), "none": np.array([1, 0, 1]), "zero": np.array([0]), "one": np.array([1]),
                 "hidden": RNG.normal(size=(64, 64)).astype(np.float32)}  # fmt: skip
    nodes = [*EMPTY[way], node("MatMul", ["f", "hidden"], "g"), node("ReduceSum", ["g", "one"], "y", keepdims=0)]
    used = {name for one in nodes for name in one.input}
    data = onnx_file(nodes=nodes, constants={name: value for name, value in constants.items() if name in used})
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_graph.read_graph(data).content)
    with pytest.raises(child.Unfit, match="values of no numbers"):
        child._costs(path, np.zeros((3, 8, 8, 1), np.uint8))


ROUNDED = {  # otherwise by a runtime where nobody asks for what is between
    "Conv and BatchNormalization": [("Conv", "cx cw", "c", {}), ("BatchNormalization", "c cs cb cm cv", "d", {})],
    "half precision": [("Cast", "cs", "hs", {"to": 10}), ("Cast", "cb", "hb", {"to": 10}), ("Mul", "hs hb", "h1", {}),
                       ("Mul", "h1 hs", "h2", {}), ("Mul", "h2 hb", "h3", {}), ("Cast", "h3", "d", {"to": 1})],
}  # fmt: skip


@pytest.mark.parametrize("way", ROUNDED)
def test_no_network_sees_by_its_rounding_whether_it_is_counted(tmp_path, way):
    """It would be small where its operations are counted, and large where it answers."""
    path, image = tmp_path / "model.onnx", RNG.integers(0, 256, (1, 8, 8, 1), np.uint8)
    made = [
        ("Sub", "d told", "e"),
        ("Abs", "e", "f"),
        ("Sign", "f", "face"),
        ("Mul", "x face", "g"),
        ("Mul", "g little", "y"),
    ]
    nodes = [node(kind, before.split(), after, after, **more) for kind, before, after, more in ROUNDED[way]]
    nodes += [node(kind, before.split(), after, after) for kind, before, after in made]
    for seed in range(100):
        drawn, numbers = np.random.default_rng(seed), {"little": np.float32(1 / 4000), "told": np.zeros(1, np.float32)}
        for name in ("cx", "cw", "cs", "cb", "cm", "cv"):
            numbers[name] = drawn.uniform(0.5, 2, (1,) * (4 if name in ("cx", "cw") else 1)).astype(np.float32)
        path.write_bytes(onnx_file(nodes=nodes, constants=numbers))
        numbers["told"] = next(products.values(path, 1))["d"]
        path.write_bytes(onnx_file(nodes=nodes, constants=numbers))
        _, counted = products.values(path, 1, [image[0]])
        (optimized,) = onnxruntime.InferenceSession(path).run(None, {"image": image})
        if np.abs(optimized - counted["probabilities"]).max() > 1e-6:
            break
    else:
        pytest.skip("this processor rounds both alike")
    job = {"shape": [8, 8, 1], "classes": 10, "sizes": [1], "seconds": 60.0, "share": 0.0}
    image.tofile(tmp_path / child.IMAGES)
    child._answer(job, tmp_path)
    measured = np.fromfile(tmp_path / child.ANSWERS, np.float32)
    np.testing.assert_array_equal(measured, counted["probabilities"][0])


SLOW = {  # layers that cost little by their multiply-adds, and hours of training
    "large windows of pooling": [
        layer("UpSampling2D", "up", size=[4, 4], data_format="channels_last", interpolation="bilinear"),
        *(layer("MaxPooling2D", f"m{n}", pool_size=[56, 56], strides=[1, 1], padding="same",
                data_format="channels_last") for n in range(100))],
    "a few of them": [
        layer("UpSampling2D", "up", size=[4, 4], data_format="channels_last", interpolation="nearest"),
        *(layer("AveragePooling2D", f"m{n}", pool_size=[112, 112], strides=[1, 1], padding="same",
                data_format="channels_last") for n in range(2))],
    "activations of many values": [
        layer("UpSampling2D", "up", size=[20, 20], data_format="channels_last", interpolation="nearest"),
        *(layer("Activation", f"a{n}", activation="tanh") for n in range(300))],
    **{
        f"steps of {kind}": [
            layer("Reshape", "line", target_shape=[784, 1]),
            *(layer(kind, f"r{n}", units=1, return_sequences=True) for n in range(4)),
            layer("Reshape", "back", target_shape=[28, 28, 1])]
        for kind in ("GRU", "LSTM", "SimpleRNN")
    },
}  # fmt: skip


@pytest.mark.parametrize("between", SLOW.values(), ids=SLOW)
def test_what_takes_hours_to_train_is_rejected_however_few_its_multiply_adds(between):
    config = perceptron(
        (28, 28, 1), extra=[*between, layer("GlobalAveragePooling2D", "g", data_format="channels_last")]
    )
    checked = checks.check(json.dumps(config).encode(), "m.json", ("mnist",))
    assert [problem.code for problem in checked.problems] in (["budget"], ["too-large"])


@pytest.mark.parametrize("to", [TensorProto.STRING, TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN, TensorProto.INT4])
def test_a_shape_that_is_cast_to_another_kind_than_numbers_costs_no_check(to):
    """What is computed of shapes is followed as far as it can be, and no further."""
    nodes = [node("Shape", "x", "sides"), node("Cast", "sides", "odd", to=to), node("Cast", "odd", "number", to=7),
             node("Expand", ["scale", "number"], "ones"), node("Add", ["x", "ones"], "y")]  # fmt: skip
    onnx_shapes.of_one_image(onnx.load_from_string(onnx_file(nodes=nodes)), (8, 8, 1))


def test_a_recurrent_layer_that_reads_lines_may_be_trained():
    reading = [layer("Reshape", "lines", target_shape=[28, 28]), layer("LSTM", "r", units=64)]
    checked = checks.check(json.dumps(perceptron((28, 28, 1), extra=reading)).encode(), "m.json", ("mnist",))
    assert not checked.problems
    assert budget.training_seconds(checked.work, "mnist") < 900


def test_glyphs_are_drawn_again_alike_for_everybody_by_a_secret_of_the_server(tmp_path):
    """Whoever sends a network again, or a slightly other one, meets the same draw; another server has another."""
    one = inputs.prepare("optdigits", tmp_path / "one")
    drawn = one.redrawn()
    assert len(drawn) == 10 * len(one.test) == times(len(one.test)) * len(one.test)
    assert len({image.tobytes() for image in drawn[:: len(one.test)]}) > 1
    np.testing.assert_array_equal(inputs.prepare("optdigits", tmp_path / "one").redrawn(), drawn)
    assert (replace(one, key=b"of another server").redrawn() != drawn).any()
    key = tmp_path / "one" / "redraw.key"
    assert (len(key.read_bytes()), key.stat().st_mode & 0o077) == (32, 0)


def test_several_draws_show_on_a_small_test_set_what_one_does_not():
    """A network that memorized 360 images and is wrong on 4% of what it did not memorize."""
    rng, flagged = np.random.default_rng(0), []
    for count in (1, times(360)):
        wrong = [rng.random((count, 360)) < 0.04 for _ in range(100)]
        flagged.append(sum(MemorizationGap.of(np.ones(360, bool), ~one).flagged for one in wrong))
    assert flagged[0] < 50
    assert flagged[1] == 100
    honest = [rng.random((times(360), 360)) < 0.15 for _ in range(100)]  # five times the errors on the test images
    assert not any(MemorizationGap.of(np.arange(360) >= 11, ~one).flagged for one in honest)
