"""The checks of submissions at their very edges: what is just taken, what just not, and what a taken file becomes."""

import hashlib
import io
import json
import zipfile

import numpy as np
import onnx
import pytest
from networks import METADATA, archive, image, keras_file, layer, members, model, node, onnx_file, perceptron, weights
from onnx import TensorProto, helper, numpy_helper

from leaderboard.submissions import budget, checks
from leaderboard.submissions.checks import keras_archive as archives
from zoo.strict import hdf5, untrusted_json
from zoo.strict.problems import Refused

ONE = ("optdigits",)


def codes(data: bytes, name: str = "model", wanted: tuple[str, ...] = ONE) -> list[str]:
    return [problem.code for problem in checks.check(data, name, wanted).problems]


def as_json(value) -> bytes:
    return json.dumps(value).encode()


# JSON


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"a": "x" * 512, "y" * 512: 0}, None),
        ({"a": "x" * 513}, "json-text"),
        ({"x" * 513: 0}, "json-text"),
        ([2**53, -(2**53), 1.5, True, None], None),
        ([2**53 + 1], "json-number"),
        ([-(2**53) - 1], "json-number"),
    ],
)
def test_what_json_may_say(document, code):
    if code is None:
        assert untrusted_json.parse(as_json(document), "It") == document
        return
    with pytest.raises(Refused) as refused:
        untrusted_json.parse(as_json(document), "It")
    assert refused.value.problem.code == code


def test_how_large_and_deep_json_may_be(monkeypatch):
    nested = b"[" * untrusted_json.DEEPEST + b"]" * untrusted_json.DEEPEST
    untrusted_json.parse(nested + b" " * (untrusted_json.MOST_BYTES - len(nested)), "It")
    untrusted_json.parse(b"[" + b",".join([b"[{}]"] * 100) + b"]", "It")  # what is closed is not deeper
    for data, sentence in (
        (
            nested + b" " * (untrusted_json.MOST_BYTES - len(nested) + 1),
            "It has 1,000,001 bytes; the most is 1,000,000",
        ),
        (b"[" + nested + b"]", "It is nested 41 levels deep; the most is 40"),
        (b"[[]," + nested + b"]", "It is nested 41 levels deep; the most is 40"),
        (b'{"a": 1, "b": 2, "b": 3}', "It has the key 'b' twice"),
        (b"[-Infinity]", "It holds -Infinity, which is not a JSON number"),
        (b"", "It is not JSON"),
    ):
        with pytest.raises(Refused, match=sentence):
            untrusted_json.parse(data, "It")
    monkeypatch.setattr(untrusted_json, "MOST_VALUES", 5)
    untrusted_json.parse(b'{"a": [1, 2]}', "It")  # the object, its key, the list and two numbers
    with pytest.raises(Refused, match="more than 5 values"):
        untrusted_json.parse(b'{"a": [1, 2, 3]}', "It")


# The archive


@pytest.mark.parametrize("name", ["a\\b", "C:evil", "a/./b", "a//b", "..", "/a", "a/.."])
def test_paths_that_lead_elsewhere(name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for member, content in (*members().items(), (name, b"")):
            file.writestr(zipfile.ZipInfo(member), content)
    assert codes(packed.getvalue()) == ["zip-path"]


def test_how_much_an_archive_may_hold(monkeypatch):
    data = keras_file()
    sizes = [len(content) for content in members().values()]
    for limit, least in (("MOST_MEMBERS", 3), ("MOST_BYTES", sum(sizes))):
        monkeypatch.setattr(archives, limit, least)
        assert codes(data) == []
        monkeypatch.setattr(archives, limit, least - 1)
        assert codes(data)[0].startswith("zip-")
        monkeypatch.undo()
    for free, expansion, taken in ((0, 1, True), (max(sizes), 0, True), (max(sizes) - 1, 0, False), (0, 0, False)):
        monkeypatch.setattr(archives, "FREE", free)
        monkeypatch.setattr(archives, "MOST_EXPANSION", expansion)
        assert codes(data) == ([] if taken else ["zip-bomb"])
    monkeypatch.undo()
    packed = io.BytesIO(data)
    with zipfile.ZipFile(packed, "a") as file:
        file.comment = b"hello"
    assert codes(packed.getvalue()) == ["zip-members"]


def test_every_missing_member_is_named():
    whole = members()
    for name in whole:
        (problem,) = checks.check(archive({k: v for k, v in whole.items() if k != name}), "m", ONE).problems
        assert (problem.code, problem.what) == ("zip-members", f"The archive lacks {name}.")


def test_a_member_of_another_size_than_it_says():
    def claiming(file_size: int) -> bytes:
        """Return an archive whose directory says that the unpacked weights have another size."""
        data = bytearray(archive(members(), zipfile.ZIP_DEFLATED))
        place = data.rindex(b"PK\x01\x02") + 24
        data[place : place + 4] = file_size.to_bytes(4, "little")
        return bytes(data)

    size = len(members()["model.weights.h5"])
    assert codes(claiming(size)) == []
    for wrong in (size - 1, size + 1):
        assert codes(claiming(wrong))[0] in ("zip", "zip-bomb")


# What a file is


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (hdf5.SIGNATURE, "model.bin", "legacy-h5"),
        (b"x", "model.HDF5", "legacy-h5"),
        (b"\x08x", "model.h5", "legacy-h5"),
        (b"x", "model.pbtxt", "saved-model"),
        (b"\x12x", "model", "saved-model"),
        (b"\x08x", "saved_model.pb", "saved-model"),
        (b"\x08x", "model.pkl", "pickle"),
        (b"x", "model.joblib", "pickle"),
        (b"\x80x", "model", "pickle"),
        (b"\x08x", "model.keras", "unknown"),
        (b"\x08x", "model.json", "unknown"),
        (b"x", "model.onnx", "unknown"),
        (b"\x08x", "model.onnx", "onnx"),
        (b"\x08x", "model", "onnx"),
        (b"PK", "model.onnx", "zip"),
        (b" \n{", "model.onnx", "json"),
        (b"", "model.keras", "empty"),
    ],
)
def test_bytes_decide_what_a_file_is(data, name, code):
    checked = checks.check(data, name, ONE)
    assert [problem.code for problem in checked.problems] == [code]
    assert checked.digest == hashlib.sha256(data).hexdigest()
    assert (checked.content, checked.parameters, checked.multiply_adds) == (None, None, None)


def test_how_large_a_file_may_be(monkeypatch):
    assert (checks.MOST_BYTES, archives.MOST_BYTES, archives.FREE) == (50_000_000, 100_000_000, 1_000_000)
    assert (archives.MOST_MEMBERS, archives.MOST_EXPANSION, untrusted_json.MOST_VALUES) == (16, 100, 200_000)
    data = onnx_file()
    monkeypatch.setattr(checks, "MOST_BYTES", len(data))
    assert codes(data) == []
    monkeypatch.setattr(checks, "MOST_BYTES", len(data) - 1)
    assert codes(data) == ["too-large"]


@pytest.mark.parametrize("version", ["2.15.0", "31.0", "", None, 3, ["3."]])
def test_archives_are_of_keras_3(version):
    assert codes(keras_file(metadata={**METADATA, "keras_version": version})) == ["keras2"]
    assert codes(keras_file(metadata=["3.15.1"])) == ["keras2"]


# What a taken file becomes


def test_equal_models_have_equal_digests_however_they_were_packed():
    checked = checks.check(keras_file(), "m.keras", ONE)
    other = archive(members(metadata={**METADATA, "date_saved": "2001-01-01@00:00:00"}), zipfile.ZIP_DEFLATED)
    again = checks.check(other, "another name", ONE)
    assert (again.digest, again.content) == (checked.digest, checked.content)
    assert checked.digest == hashlib.sha256(checked.content).hexdigest() != hashlib.sha256(keras_file()).hexdigest()
    assert archives.read_members(checked.content)["model.weights.h5"] == weights()
    assert (
        json.loads(archives.read_members(checked.content)["config.json"])["config"]["layers"][-1]["config"]["units"]
        == 10
    )
    assert (checked.kind, checked.track, checked.parameters, checked.multiply_adds) == ("keras", "weights", 650, 640)
    assert checked.notes == ()
    onnx = checks.check(onnx_file(), "m.onnx", ONE)
    assert (onnx.track, onnx.parameters, onnx.multiply_adds) == ("weights", 640, None)


def test_what_an_optimizer_and_a_seed_left_is_no_weight():
    def more(file) -> None:
        file["optimizer/vars/0"] = np.full(5, np.nan, np.float32)
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.float32)
        file["layers/count/vars/0"] = np.zeros(3, np.int32)

    assert codes(keras_file(h5=weights(change=more))) == []

    def one_too_many(file) -> None:
        file["layers/other/vars/0"] = np.zeros(1, np.float32)

    (problem,) = checks.check(keras_file(h5=weights(change=one_too_many)), "m", ONE).problems
    assert problem.what.startswith("The configuration has 650 parameters, the weights 651")


def test_raw_pixels_are_remarked_on():
    bare = model(
        image(), layer("Flatten", "flat", "image"), layer("Dense", "dense", "flat", units=10, activation="softmax")
    )
    assert len(checks.check(as_json(bare), "m.json", ONE).notes) == 1
    assert checks.check(as_json(perceptron()), "m.json", ONE).notes == ()


def test_a_configuration_is_fitted_to_every_dataset():
    for document in (perceptron(), {"model_config": perceptron()}):
        checked = checks.check(as_json(document), "m.json", ("optdigits", "ahcd", "mnist"))
        assert (checked.problems, checked.kind, checked.track) == ((), "json", "architecture")
        assert checked.multiply_adds == 32 * 32 * 28  # of the largest, on ahcd
        assert checked.parameters == (32 * 32 + 1) * 28
    nowhere = checks.check(as_json(perceptron()), "m.json", ())
    assert (nowhere.parameters, nowhere.multiply_adds) == (650, 640)
    no_weights = model(image(), layer("Flatten", "flat", "image"), layer("Softmax", "end", "flat"))
    assert codes(as_json(no_weights), wanted=()) == ["empty"]
    assert codes(as_json(perceptron(activation="relu"))) == ["probabilities"]
    of_every_pixel = model(image(), layer("Dense", "dense", "image", units=10, activation="softmax"))
    assert codes(as_json(of_every_pixel)) == ["output"]
    wide = perceptron((28, 28, 1), extra=[layer("Conv2D", "wide", filters=1, kernel_size=[9, 9], padding="valid")])
    assert codes(as_json(wide), wanted=("mnist",)) == []
    (problem,) = checks.check(as_json(wide), "m.json", ("mnist", "optdigits")).problems
    assert problem.what.startswith("Adapted to optdigits (images of (8, 8, 1), 10 classes): ")
    assert problem.fix == "Or send it without optdigits."


def test_the_budget_is_what_may_be_spent(monkeypatch):
    most = budget.SEEDS * budget.BUDGET
    monkeypatch.setattr(budget, "training_seconds", lambda multiply_adds, dataset: most)
    assert codes(as_json(perceptron())) == []
    monkeypatch.setattr(budget, "training_seconds", lambda multiply_adds, dataset: 4 * most)
    (problem,) = checks.check(as_json(perceptron()), "m.json", ONE).problems
    assert (problem.code, problem.what) == ("budget", "Its 3 trainings on optdigits would take about 12 hours.")
    assert problem.fix == "The most is 3: make it smaller, or choose fewer datasets."


def test_nothing_but_what_was_checked_is_stored_of_an_onnx_file():
    def marked(made) -> None:
        made.producer_name = made.doc_string = made.graph.name = made.graph.doc_string = "SECRET"
        made.metadata_props.add(key="SECRET", value="SECRET")
        made.opset_import.add(domain="SECRET", version=1)  # no operator is of it
        made.graph.initializer.append(numpy_helper.from_array(np.frombuffer(b"SECRET", np.uint8), "SECRET"))
        made.graph.value_info.append(made.graph.output[0])
        for number, one in enumerate(made.graph.node):
            one.name = one.doc_string = f"SECRET{number}"
        made.graph.node.append(helper.make_node("Relu", ["x"], ["SECRET?"]))  # the output does not depend on it

    checked, plain = (checks.check(onnx_file(change=one), "m.onnx", ONE) for one in (marked, lambda made: None))
    assert b"SECRET" in onnx_file(change=marked)
    assert checked == plain  # equal networks are equal files, with equal digests
    assert b"SECRET" not in checked.content
    again = checks.check(checked.content, "m.onnx", ONE)
    assert again.content == checked.content
    onnx.checker.check_model(onnx.load_from_string(checked.content), full_check=True)


def test_every_problem_of_an_onnx_file_is_told_at_once():
    data = onnx_file(
        shape=(1, 8, 8), kind=TensorProto.FLOAT, nodes=[node("NonZero", "x", "a"), node("Add", ["a", "bad"])],
        constants={"bad": np.array([np.nan], np.float32)},
    )  # fmt: skip
    assert codes(data) == ["onnx-operator", "input-type", "input-order", "nan"]
