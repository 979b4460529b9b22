"""What a phone, a browser or another runtime gets: one file that says what it is and what it scores."""

import json
import threading

import numpy as np
import pytest

import zoo
from zoo import data
from zoo.backend import keras
from zoo.export import export_onnx, formats
from zoo.export.half_precision import halve, pack_onnx, pack_weights
from zoo.serving import opening

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}


@pytest.fixture
def model(published):
    return published / "models" / "mnist_cnn.optdigits"


@pytest.mark.parametrize("name", SUFFIXES)
def test_an_int8_file_says_its_accuracy_and_holds_it(model, tmp_path, name):
    path = tmp_path / f"small{SUFFIXES[name]}"
    said = formats.convert(model, path, name, int8=True)
    served, test = zoo.load_predictor(path), data.load("optdigits", "test")
    assert served.runtime.said == said
    assert (served(test.images).argmax(axis=1) == test.labels).mean() == pytest.approx(said["accuracy"], abs=1e-9)
    whole = zoo.load_predictor(model)
    assert (whole(test.images).argmax(axis=1) == test.labels).mean() <= said["accuracy"] + 0.01
    assert (served.name, served.labels, served.contract) == (whole.name, whole.labels, whole.contract)
    assert said["precision"] == "int8"
    parameters = json.loads((model / "metadata.json").read_text())["parameters"]
    (weights,) = [file for file in tmp_path.iterdir() if file.suffix != ".xml"]  # OpenVINO's own file
    assert weights.stat().st_size < 1.5 * parameters  # bytes
    assert {file.suffix for file in tmp_path.iterdir()} <= {*SUFFIXES.values(), ".bin"}


def test_the_optional_runtime_agrees_and_is_shared_by_threads(model):
    images = data.load("optdigits", "test").images
    expected = zoo.load_predictor(model)(images)
    served, found = zoo.load_predictor(model, runtime="openvino"), []
    crowd = [threading.Thread(target=lambda: found.append(served(images))) for _ in range(4)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert len(found) == 4
    for probabilities in found:  # bfloat16 where the processor has it: 8 bits of mantissa
        np.testing.assert_allclose(probabilities, expected, atol=0.03)


def test_the_script_writes_what_it_says(model, run_script, tmp_path):
    done = run_script("export.py", str(model), "--int8")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "mnist_cnn.optdigits.int8.onnx"
    assert done.stdout.startswith(f"{path.name}: {path.stat().st_size:,} bytes, int8, ")
    accuracy = zoo.load_predictor(path).runtime.said["accuracy"]
    assert f"{accuracy:.2%} of 360 test samples" in done.stdout


def test_what_cannot_be_written_or_read_is_said(model, tmp_path):
    with pytest.raises(zoo.ZooError, match=r"ends in \.tflite; model\.onnx does not"):
        formats.convert(model, tmp_path / "model.onnx", "litert")
    with pytest.raises(zoo.ZooError, match="no format 'onx'; did you mean onnx"):
        formats.convert(model, tmp_path / "model.onnx", "onx")
    with pytest.raises(zoo.ZooError, match="no runtime 'tensorrt'"):
        zoo.load_predictor(model, runtime="tensorrt")
    for suffix in SUFFIXES.values():
        broken = tmp_path / f"broken{suffix}"
        broken.write_bytes(b"no network")
        with pytest.raises(zoo.ZooError, match="broken"):
            zoo.load_predictor(broken)
    with pytest.raises(zoo.ZooError, match="There is no file"):
        zoo.load_predictor(tmp_path / "none.onnx")


def test_an_image_is_resized_to_the_very_pixel(tmp_path):
    """28 times the float32 of 227 / 28 is less than 227: a scale would lose a row, and AlexNet with it."""
    layers = keras.layers
    inputs = keras.Input((28, 28, 1), dtype="uint8")
    model = keras.Model(inputs, layers.Resizing(227, 227)(layers.Rescaling(1 / 255)(inputs)))
    export_onnx(model, tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1), np.uint8)
    enlarged = opening.load(tmp_path / "model.onnx")(images)
    np.testing.assert_allclose(enlarged, np.array(model(images)), atol=1e-5)


def test_large_weights_are_stored_in_half_and_answer_the_same(tmp_path):
    inputs = keras.Input((28, 28, 1), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(64, activation="relu", bias_initializer="glorot_normal", name="large")(x)
    x = keras.layers.Dense(32, kernel_initializer=keras.initializers.Constant(1e5), name="beyond")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, bias_initializer="glorot_normal", name="small")(x))
    before = [weight.numpy() for weight in model.weights]
    halve(model)
    large, bias, beyond, *small = [weight.numpy() for weight in model.weights]
    np.testing.assert_allclose(large, before[0], rtol=2**-11, atol=2**-25)
    for kept, was in zip((bias, beyond, *small), before[1:], strict=True):
        np.testing.assert_array_equal(kept, was)

    model.save_weights(weights := tmp_path / "model.weights.h5")
    export_onnx(model, graph := tmp_path / "model.onnx")
    sizes = [path.stat().st_size for path in (weights, graph)]
    pack_weights(weights)
    pack_onnx(graph)
    saved = 2 * large.size  # bytes
    for path, size in zip((weights, graph), sizes, strict=True):
        assert size - saved - 3000 < path.stat().st_size < size - saved + 3000
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8)
    answers = np.array(model(images))
    np.testing.assert_allclose(opening.load(graph)(images), answers, rtol=1e-5, atol=1e-5 * np.abs(answers).max())
    fresh = keras.models.clone_model(model)
    fresh.load_weights(weights)
    np.testing.assert_array_equal(np.array(fresh(images)), answers)
    assert {weight.dtype for weight in fresh.weights} == {"float32"}
    assert {path.name for path in tmp_path.iterdir()} == {"model.weights.h5", "model.onnx"}
