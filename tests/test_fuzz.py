"""Every parser of strangers' bytes answers or refuses, whatever it is given: files with random edits, random JSON.

A few dozen examples each in the tests; with ZOO_FUZZ_SECONDS as many as fit (`make fuzz`).
"""

import contextlib
import json
import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from hostile import HOSTILE
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from networks import archive, keras_file, layer, members, node, onnx_file, perceptron, weights

from leaderboard.submissions import checks
from leaderboard.submissions.checks import keras_archive, onnx_graph
from zoo.strict import hdf5, keras_config, untrusted_json
from zoo.strict.problems import Refused

SECONDS = float(os.environ.get("ZOO_FUZZ_SECONDS", 0))
ONE = ("optdigits",)
SMALL = [data for data, _ in HOSTILE.values() if 0 < len(data) < 20_000]
NUMBERS = [0, 1, 7, 8, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]
CORPUS = {  # what a parser is given to begin with
    "archive": [keras_file(), archive(members(), 8), *(data for data in SMALL if data[:2] == b"PK")],
    "weights": [weights(), weights(change=lambda file: file.create_group("layers/empty"))],
    "onnx": [
        onnx_file(),
        onnx_file(opset=13, nodes=[node("Clip", ["x", "low"], "y")], constants={"low": np.float32(0)}),
        onnx_file(nodes=[node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Relu", "t", "y")]),
        *(data for data in SMALL if data[:1] == b"\x08"),
    ],
    "configuration": [json.dumps(perceptron(extra=[layer("Permute", "p", dims=[1, 2, 3])])).encode()],
    "any": [keras_file(), onnx_file(), weights(), json.dumps(perceptron()).encode(), *SMALL],
}  # fmt: skip
PARSERS = {
    "archive": keras_archive.read_members,
    "weights": hdf5.read_weights,
    "onnx": onnx_graph.read_graph,
    "configuration": lambda data: keras_config.read_config(untrusted_json.parse(data, "It")),
    "any": lambda data: checks.check(data, "model", ONE),
}


@st.composite
def edited(draw, kind: str) -> bytes:
    """Return a file of the corpus with up to six edits: bytes and numbers written over, cut out, repeated, put in."""
    data = bytearray(draw(st.sampled_from(CORPUS[kind])))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(["over", "number", "cut", "again", "end", "flip"])):
            case "over":
                data[place : place + length] = draw(st.binary(min_size=length, max_size=length))
            case "number":
                size = draw(st.sampled_from([1, 2, 4, 8]))
                data[place : place + size] = (draw(st.sampled_from(NUMBERS)) % 256**size).to_bytes(size, "little")
            case "cut":
                del data[place : place + length]
            case "again":
                data[place:place] = data[place : place + length] * draw(st.integers(1, 20))
            case "end":
                del data[place + length :]
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


def examples(check: Callable, strategy: st.SearchStrategy) -> None:
    """Check a few dozen examples, or thousands, with new seeds, for SECONDS."""
    started, number = time.monotonic(), 0
    while number == 0 or time.monotonic() < started + SECONDS:
        quick = settings(max_examples=500 if SECONDS else 50, deadline=None, database=None,
                         suppress_health_check=list(HealthCheck))  # fmt: skip
        seed(number)(quick(given(strategy)(check)))()
        number += 1


@pytest.mark.parametrize("kind", PARSERS)
def test_a_parser_answers_or_refuses(kind):
    def property_of(data):
        with contextlib.suppress(Refused):
            PARSERS[kind](data)

    examples(property_of, edited(kind))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["Dense", "flat", []]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def test_a_configuration_may_hold_any_value_anywhere():
    def property_of(data):
        config = perceptron(extra=[layer("Conv2D", "c", filters=2, kernel_size=[3, 3]), layer("PReLU", "p")])
        place = config
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], (dict, list)) or data.draw(st.integers(0, 3)) == 0:
                place[key] = data.draw(VALUES)
                break
            place = place[key]
        checks.check(json.dumps(config).encode(), "m.json", ONE)

    examples(property_of, st.data())


def test_a_rebuilt_file_is_rebuilt_as_itself():
    def property_of(data):
        try:
            report = onnx_graph.read_graph(data)
        except Refused:
            return
        assert onnx_graph.read_graph(report.content) == report

    examples(property_of, edited("onnx"))
