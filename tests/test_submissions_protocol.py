"""The measuring protocol, attacked with networks that read more than the one image they are asked about."""

from pathlib import Path

import numpy as np
import pytest
from conftest import real_data
from networks import node, onnx_file
from onnx import TensorProto, helper, numpy_helper

from leaderboard.memorization import MemorizationGap, drawn_again, fall_of
from leaderboard.submissions import checks, measuring, scoring
from leaderboard.submissions.checks import guard, onnx_graph
from leaderboard.submissions.sandbox import Box, Unfit, inputs, protocol
from leaderboard.submissions.sandbox.protocol import ALONE, IN_A_BATCH, Questions
from zoo import data

AXES = {"axes": np.array([1, 2, 3]), "eps": np.float32(1e-3), "zero": np.int64(0), "one": np.int64(1)}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return inputs.prepare("optdigits", tmp_path_factory.mktemp("inputs"))


def measured(data: bytes, images) -> np.ndarray:
    """Return the counted answers of an ONNX file, float32 (count, 10)."""
    with Box("onnx") as box:
        return protocol.measure(box, measuring.job_of("onnx", "optdigits"), data, images).answers


def offset(*nodes, **constants) -> bytes:
    """Return a network that adds "o", made by the nodes, to its pixels."""
    return onnx_file(nodes=[*nodes, node("Add", ["x", "o"], "y", "add")], constants={**AXES, **constants})


def by_cumsum() -> bytes:
    """A network that counts the images before the one it is asked about."""
    ones = [node("Mul", ["x", "nought"], "noughts", "m"), node("Exp", "noughts", "ones", "e")]
    place = node("CumSum", ["ones", "zero"], "place", "c")
    return offset(*ones, place, node("Mul", ["place", "five"], "o", "s"), nought=np.float32(0), five=np.float32(0.05))


def by_range() -> bytes:
    """The same, by numbering the batch."""
    nodes = [
        node("Shape", "x", "sides", "s"), node("Gather", ["sides", "zero"], "n", "g"),
        node("Range", ["zero", "n", "one"], "places", "r"), node("Cast", "places", "float", "f", to=TensorProto.FLOAT),
        node("Reshape", ["float", "column"], "o", "c"),
    ]  # fmt: skip
    return offset(*nodes, column=np.array([-1, 1, 1, 1]))


def by_mean() -> bytes:
    """A network that subtracts the mean image of the batch, as BatchNorm does in training."""
    return offset(node("ReduceMean", ["x", "batch"], "mean", "r"), node("Neg", "mean", "o", "n"), batch=np.array([0]))


def by_batch_norm() -> bytes:
    """BatchNorm in training mode: the runtime also updates its statistics with every call."""
    scale = dict.fromkeys(("gain", "shift", "mean", "var"), np.zeros(8, np.float32)) | {"gain": np.ones(8, np.float32)}
    norm = helper.make_node(
        "BatchNormalization", ["x", "gain", "shift", "mean", "var"], ["y", "m", "v"], name="norm", training_mode=1
    )
    return onnx_file(nodes=[norm], constants=scale)


def by_neighbor() -> bytes:
    """A network that reads the images of the batch in another order: each answers for its neighbor."""
    nodes = [node("Slice", ["x", "from", "to", "first", "back"], "y", "s")]
    ends = {"from": np.array([-1]), "to": np.array([-(2**31)]), "first": np.array([0]), "back": np.array([-1])}
    return onnx_file(nodes=nodes, constants=ends)


def rare(*attacks):
    """Leave relatives of an attack to `make slow`."""
    return [pytest.param(attack, marks=pytest.mark.slow) for attack in attacks]


@pytest.mark.parametrize("attack", [by_neighbor, *rare(by_cumsum, by_range, by_mean)])
def test_networks_that_read_the_batch_are_refused(attack, images):
    with pytest.raises(Unfit, match="depend on other images of the batch"):
        measured(attack(), images)


def by_noise() -> bytes:
    return offset(node("RandomNormalLike", "x", "o", "r", scale=1.0))


def by_seeded_noise() -> bytes:
    """The runtime advances a seeded generator with every call, so it counts the calls."""
    return offset(node("RandomNormalLike", "x", "o", "r", scale=1.0, seed=1.0))


@pytest.mark.parametrize("attack", [by_noise, *rare(by_seeded_noise, by_batch_norm)])
def test_networks_that_answer_at_random_or_remember_are_refused(attack, images, monkeypatch):
    """The static checks refuse random operators, so for this test they are made here, with a longer list."""
    monkeypatch.setattr(guard, "read_onnx", onnx_graph.read_graph)
    monkeypatch.setattr(onnx_graph, "OPERATORS", onnx_graph.OPERATORS | {"RandomNormalLike"})
    with pytest.raises(Unfit, match=r"depend on (randomness|other images)|answers otherwise"):
        measured(attack(), images)


def test_a_network_whose_answers_drift_is_refused():
    """No ONNX operator knows the time; this is what one would do whose answers change slowly."""
    questions = Questions.draw(2000, np.random.default_rng(0))
    drift = np.linspace(0, 0.9, len(questions.images), dtype=np.float32)
    with pytest.raises(Unfit, match=r"depend on (time|randomness) or on earlier calls"):
        questions.settled(np.stack([drift, 1 - drift], axis=1))


@pytest.mark.parametrize(("purpose", "what"), [(1, "at once"), (2, "later"), (3, "in a batch")])
@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-6])
def test_answers_that_lie_close_together_are_told_apart(purpose, what, size):
    """A network may answer by the order of its probabilities alone, and keep all of them alike."""
    questions = Questions.draw(2000, np.random.default_rng(0))
    label = questions.images % 10
    right = np.full((len(label), 10), 0.1, np.float32)
    right[np.arange(len(label)), label] += size
    assert (questions.settled(right).argmax(axis=1) == np.arange(2000) % 10).all()
    other = np.where(questions.purposes == purpose, (label + 1) % 10, label)
    wrong = np.full((len(label), 10), 0.1, np.float32)
    wrong[np.arange(len(label)), other] += size
    with pytest.raises(Unfit, match=what):
        questions.settled(wrong)


def test_honest_networks_pass_and_their_answers_return_in_the_order_of_the_set(images):
    import onnxruntime

    data = onnx_file()
    session = onnxruntime.InferenceSession(data)
    expected = session.run(None, {"image": np.ascontiguousarray(images.images)})[0]
    np.testing.assert_allclose(measured(data, images), expected, atol=1e-5)


@pytest.fixture(scope="module")
def lenet5() -> Path:
    return Path(__file__).parents[1] / "zoo" / "pretrained" / "lenet5.mnist" / "model.onnx"


@real_data
@pytest.mark.parametrize("form", ["float", "static", "dynamic"])
def test_honest_rounding_is_no_dependence(form, lenet5, tmp_path):
    """LeNet-5 in float32 and in both int8 forms of ONNX Runtime, on digits: batched answers differ, but little."""
    import onnxruntime
    from onnxruntime import quantization

    digits = data.load("mnist", "test").images[:3000]

    class Samples(quantization.CalibrationDataReader):
        batches = iter([digits[:200]])

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {feed: batch}

    feed, path = onnxruntime.InferenceSession(lenet5).get_inputs()[0].name, tmp_path / "int8.onnx"
    if form == "static":
        quantization.quantize_static(lenet5, path, Samples())
    elif form == "dynamic":
        quantization.quant_pre_process(lenet5, tmp_path / "folded.onnx", skip_symbolic_shape=True)
        quantization.quantize_dynamic(tmp_path / "folded.onnx", path)
    session = onnxruntime.InferenceSession(lenet5 if form == "float" else path)
    questions, answers, end = Questions.draw(len(digits), np.random.default_rng(0)), [], 0
    for size in questions.sizes:
        answers.append(session.run(None, {feed: digits[questions.images[end : end + size]]})[0])
        end += size
    counted = questions.settled(np.concatenate(answers))
    assert (counted.argmax(axis=1) == data.load("mnist", "test").labels[:3000]).mean() > 0.9


def test_questions_hide_order_and_company():
    one, other = (Questions.draw(5000, np.random.default_rng(seed)) for seed in range(2))
    assert not np.array_equal(one.images, other.images)
    for drawn in (one, other):
        assert sorted(drawn.images[drawn.purposes == ALONE]) == list(range(5000))
        assert drawn.sizes.sum() == len(drawn.images)
        places = np.repeat(drawn.sizes, drawn.sizes)  # the size of the call in which each image is asked
        assert (places[drawn.purposes == ALONE] == 1).all()
        assert (places[drawn.purposes == IN_A_BATCH] > 1).all()
        asked_again = np.unique(drawn.images[drawn.purposes == IN_A_BATCH])
        assert len(asked_again) >= protocol.AGAIN


def test_nothing_of_the_dataset_reaches_the_sandbox(images):
    job = measuring.job_of("onnx", "optdigits")
    assert set(job) == {"kind", "classes", "seconds", "share"}
    with Box("onnx") as box:
        protocol.measure(box, job, onnx_file(), images)
        seen = [path.read_bytes() for path in box.folder.iterdir() if path.is_file()]
        sent = np.fromfile(box.folder / "images.u8", np.uint8).reshape(-1, 8, 8, 1)
    assert not any(b"optdigits" in content for content in seen)
    assert (sent[: images.count] != images.images).any(axis=(1, 2, 3)).mean() > 0.9


def test_random_operators_are_refused_before_anything_runs():
    (problem,) = checks.check(by_noise(), "m.onnx", ("optdigits",)).problems
    assert problem.code == "onnx-operator"


def memorizing(images, linear) -> bytes:
    """Return a linear network that knows the test images by heart: where one matches, its label is the answer."""
    stored = images.test.images.reshape(len(images.test), -1).astype(np.float32) / 255
    nodes = [
        node("Reshape", ["x", "rows"], "flat_x", "f"), node("Mul", ["flat_x", "flat_x"], "squares", "q"),
        node("ReduceSum", ["squares", "last"], "length", "l"), node("MatMul", ["flat_x", "stored"], "products", "p"),
        node("Sub", ["products", "half_lengths"], "near", "n"), node("Mul", ["length", "half"], "half_length", "h"),
        node("Sub", ["half_length", "near"], "distance", "d"), node("Less", ["distance", "small"], "same", "s"),
        node("Cast", "same", "found", "c", to=TensorProto.FLOAT), node("MatMul", ["found", "answers"], "known", "k"),
    ]  # fmt: skip
    constants = {
        "rows": np.array([-1, 64]), "last": np.array([1]), "stored": stored.T.copy(), "half": np.float32(0.5),
        "half_lengths": (stored**2).sum(axis=1) / 2, "small": np.float32(1e-3),
        "answers": 100 * np.eye(10, dtype=np.float32)[images.test.labels],
    }  # fmt: skip

    def change(model) -> None:
        graph = model.graph
        logits = next(n for n in graph.node if n.op_type == "MatMul" and n.output[0] == "logits")
        logits.output[0] = "honest"
        end = graph.node.pop()
        graph.node.extend([*nodes, node("Add", ["honest", "known"], "logits", "a"), end])
        for tensor in graph.initializer:
            if tensor.name == "weights":
                tensor.CopyFrom(numpy_helper.from_array(linear, "weights"))

    return onnx_file(constants=constants, change=change)


@pytest.fixture(scope="module")
def linear():
    """Weights of an honest linear network, float32 (64, 10), by least squares."""
    train = data.load("optdigits", "train+validation")
    pixels = train.images.reshape(len(train), -1).astype(np.float32) / 255
    return (20 * np.linalg.lstsq(pixels, np.eye(10)[train.labels], rcond=None)[0]).astype(np.float32)


def test_a_network_that_knows_the_test_images_by_heart_is_flagged(tmp_path, linear, monkeypatch):
    """It reads all of them, and what it does not know by heart as the linear network does that it is made of.

    Other hands, here the validation samples, and images of no class are among what it is asked.
    """
    monkeypatch.setattr(inputs, "transfers_of", lambda dataset: ("others",))
    load, rng = data.load, np.random.default_rng(0)
    others = {"others": ("optdigits", "validation")}
    monkeypatch.setattr(inputs.data, "load", lambda name, split: load(*others.get(name, (name, split))))
    monkeypatch.setattr(inputs.unknown, "for_testing", lambda dataset: rng.integers(0, 256, (40, 8, 8, 1), np.uint8))
    images = inputs.prepare("optdigits", tmp_path)
    with Box("onnx") as box:
        outcome = protocol.measure(box, measuring.job_of("onnx", "optdigits"), memorizing(images, linear), images)
    found = scoring.score(0, outcome, images)
    parts = images.parts(outcome.answers)
    np.testing.assert_array_equal(parts.others["others"], parts.validation)
    assert found.scores["other_hands"] == found.validation_accuracy < 0.97
    assert len(parts.strangers) == 40
    assert 0 <= found.scores["unknown_accepted"] <= 1
    right = parts.test.argmax(axis=1) == images.test.labels
    elsewhere = scoring.right_elsewhere(parts, images)["others"]
    assert "as from memorized test images" in fall_of(right, elsewhere, most=-0.05)
    assert "For the zoo's own networks it is at most 30.00 points less." in fall_of(right, elsewhere, most=0.3)
    gap = found.memorization
    assert gap.plain == 1
    assert gap.again < 0.97
    assert gap.flagged
    assert "as from memorized test images" in gap.sentence


@real_data
def test_an_honest_network_is_not_flagged(lenet5):
    import onnxruntime

    test = data.load("mnist", "test")
    session = onnxruntime.InferenceSession(lenet5)
    feed = session.get_inputs()[0].name
    again = drawn_again(test.images, np.random.default_rng(0))
    plain, drawn = (session.run(None, {feed: images})[0].argmax(axis=1) for images in (test.images, again))
    honest = MemorizationGap.of(plain == test.labels, drawn == test.labels)
    assert not honest.flagged
    assert 0 < honest.gap < 0.005
    assert MemorizationGap.of(np.ones(len(test), bool), drawn == test.labels).flagged
