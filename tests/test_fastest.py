"""The runtime that serves a network: named by its folder, or measured once on this machine."""

import contextlib
import json
import shutil

import numpy as np
import pytest

import zoo
from leaderboard.checking import record_of
from leaderboard.evaluation import evaluate
from zoo.published import PublishedFolder
from zoo.serving import fastest, opening, runtimes
from zoo.serving.predictor import Predictor
from zoo.serving.validated import validated
from zoo.settings import PRETRAINED, cache_folder

IMAGES = np.random.default_rng(1).integers(0, 256, (8, 28, 28, 1), np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A published folder, and a function that sets what it says of serving; the cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = shutil.copytree(PRETRAINED / "lenet5.mnist", tmp_path / "lenet5.mnist")

    def says(**serving: object):
        path = copy / PublishedFolder.PREPROCESSOR
        path.write_text(json.dumps({**json.loads(path.read_text()), "serving": serving}))
        return copy

    return says


@pytest.fixture
def opened(monkeypatch):
    """What was opened, as (file, runtime)."""
    load, found = opening.load, []
    monkeypatch.setattr(
        opening, "load", lambda path, name, *how: found.append((path.name, name)) or load(path, name, *how)
    )
    return found


def test_fastest_measures_once_and_remembers(folder, opened, monkeypatch):
    first = zoo.load_predictor(folder(), runtime="fastest")
    assert {name for _, name in opened} == set(fastest.CANDIDATES)
    kept = json.loads((cache_folder() / fastest.MEMORY).read_text())
    (choice,) = kept.values()
    assert choice["images_per_second"][choice["runtime"]] == max(choice["images_per_second"].values()) > 0
    opened.clear()
    again = zoo.load_predictor(folder(), runtime="fastest")
    assert opened == [("model.onnx", choice["runtime"])]
    assert np.allclose(first(IMAGES), again(IMAGES), atol=1e-6)
    monkeypatch.setattr(fastest, "processor", lambda: "another")
    zoo.load_predictor(folder(), runtime="fastest")
    assert len(json.loads((cache_folder() / fastest.MEMORY).read_text())) == 2
    (cache_folder() / fastest.MEMORY).write_text("[")  # damaged: measured again
    assert zoo.load_predictor(folder(), runtime="fastest").name == "lenet5.mnist"


def test_a_folder_names_its_runtime_and_precision(folder, opened, monkeypatch):
    named = folder(runtime="openvino", precision="int8")
    with pytest.raises(zoo.ZooError, match=r"There is no file .*model.int8.onnx"):
        zoo.load_predictor(named)
    shutil.copy(named / "model.onnx", named / "model.int8.onnx")
    opened.clear()
    zoo.load_predictor(named)  # somebody's: not with a runtime that trusts it
    monkeypatch.setattr(opening, "is_shipped", lambda path: True)
    zoo.load_predictor(named)
    zoo.load_predictor(named, runtime="onnxruntime")  # what was measured
    monkeypatch.setattr(runtimes, "is_installed", lambda name: name == "onnxruntime")
    zoo.load_predictor(named)
    assert opened == [
        ("model.int8.onnx", "onnxruntime"),
        ("model.int8.onnx", "openvino"),
        ("model.onnx", "onnxruntime"),
        ("model.int8.onnx", "onnxruntime"),
    ]


@pytest.mark.parametrize("measure", [evaluate, record_of, validated, Predictor.measured])
def test_what_is_measured_is_the_network_that_is_counted(folder, opened, monkeypatch, measure):
    """A folder with 690 parameters in model.onnx served a million from another file, which answered for them."""
    monkeypatch.setenv("ZOO_DATASETS", str(folder().parent))  # no data: it ends after the network was opened
    for serving in ({"precision": "int8"}, {"runtime": "openvino"}, {"runtime": "openvino", "precision": "int8"}):
        named = folder(**serving)
        shutil.copy(PRETRAINED / "glyphnet_700.mnist" / "model.onnx", named / "model.int8.onnx")
        opened.clear()
        with contextlib.suppress(zoo.ZooError):
            measure(named)
        assert opened == [("model.onnx", "onnxruntime")]


@pytest.mark.parametrize("serving", [{"runtime": "tensorrt"}, {"precision": "int4"}, {"runtime": 1}])
def test_another_runtime_or_precision_gets_a_sentence(folder, serving):
    with pytest.raises(zoo.ZooError, match="is not a published model that can be served: its '"):
        zoo.load_predictor(folder(**serving))
