"""`scripts/train.py` as a person runs it: from pictures to a model that works everywhere a shipped one does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import cv2
import numpy as np
import pytest
from conftest import ROOT, run_in_this_process
from hub_server import Account
from sklearn.datasets import load_digits
from space import serve

import zoo
from leaderboard import results
from zoo import data, keras_weights, training
from zoo.files import read_json, write_json
from zoo.recipes import Recipe
from zoo.training import transfer
from zoo.training.memory import Memory

DIGITS = load_digits()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `pictures/train` and `pictures/test`, 500 and 200 digits, dark on light."""
    root = tmp_path_factory.mktemp("own")
    write(root / "pictures" / "train", range(500))
    write(root / "pictures" / "test", range(500, 700))
    return root


def write(root, rows):
    for row in rows:
        path = root / f"zahl {DIGITS.target[row]}" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), 255 - np.round(DIGITS.images[row] * (255 / 16)).astype(np.uint8))


def options(place):
    return ["train.py", "--data", str(place / "pictures"), "--name", "zahlen",
            "--out", str(place / "models"), "--runs", str(place / "runs")]  # fmt: skip


def command(place, *arguments):
    script, *given = options(place)
    return [sys.executable, str(ROOT / "scripts" / script), *given, *arguments]


def train(place, *arguments, **settings):
    environment = {**os.environ, "ZOO_USER_DATASETS": str(place / "datasets"), "COLUMNS": "200", **settings}
    return subprocess.run(command(place, *arguments), capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture(scope="module")
def tuned(place, tmp_path_factory):
    """The published folder of a LeNet-5 that began with the weights of the shipped one."""
    arguments = *options(place), "--from", "lenet5.mnist", "--epochs", "4"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = run_in_this_process(elsewhere, *arguments, ZOO_USER_DATASETS=str(place / "datasets"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 test samples are read right" in done.stdout
    assert f"ZOO_MODELS={place / 'models'} python scripts/export.py lenet5.zahlen-finetune-4epochs\n" in done.stdout
    return place / "models" / "lenet5.zahlen-finetune-4epochs"


@pytest.fixture
def known(place, monkeypatch):
    """Make the dataset and the models known to this process."""
    monkeypatch.setenv("ZOO_USER_DATASETS", str(place / "datasets"))
    monkeypatch.setenv("ZOO_MODELS", str(place / "models"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(place / "cache"))


def test_a_model_starts_from_a_published_one_and_is_loaded_as_every_other(tuned, known):
    test = data.load("zahlen", "test")
    for name in (tuned, tuned.name):  # as a folder, and by its name
        served = zoo.load_predictor(name)(test.images)
        np.testing.assert_allclose(served, zoo.load_model(name).predict(test.images, verbose=0), atol=1e-5)
    assert np.mean(served.argmax(1) == test.labels) > 0.8  # 0.9 and more; chance is 0.10
    assert zoo.load_predictor(tuned).labels == tuple(f"zahl {n}" for n in range(10))
    assert tuned.name in zoo.list_models()
    metadata = read_json(tuned / "metadata.json")
    network = zoo.settings.PRETRAINED / "lenet5.mnist" / "model.onnx"
    assert metadata["start"] == {"model": "lenet5.mnist", "revision": sha256(network), "head": "new"}
    assert metadata["dataset_fingerprint"] == data.get("zahlen").fingerprints["train"]


def sha256(path):
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_it_is_measured_carded_and_pushed(tuned, known, place, run_script, hub, monkeypatch):
    hub.tokens["hf_of_this_test"] = Account("me")
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_test")
    environment = {"ZOO_USER_DATASETS": str(place / "datasets")}
    records = place / "models" / "records"
    done = run_script("measure.py", str(tuned), "--check", "--records", str(records), **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The record agrees" in done.stdout
    staging = place / "staging"
    push = "push_all.py", "--models", str(place / "models"), "--records", str(records), "--staging", str(staging)
    done = run_script(*push, "--namespace", "me", "--only", tuned.name, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    card = (staging / tuned.name / "README.md").read_text()
    assert "--data <pictures> --name zahlen --architecture lenet5 --from lenet5.mnist" in card
    assert "datasets:" not in card  # they are on no Hub
    pulled = zoo.load_predictor(f"hf://me/{tuned.name}")
    assert pulled.labels == zoo.load_predictor(tuned).labels


@pytest.mark.slow
def test_the_space_reads_with_it(tuned, known, place):
    import gradio_client
    from strokes import THREE, sketch

    with serve(ZOO_MODELS=str(place / "models")) as space:
        client = gradio_client.Client(space.url, verbose=False)
        (reading,) = client.predict(sketch=sketch(THREE), api_name="/predict")["predictions"]  # asked without a choice
        assert (reading["model"], reading["label"]) == (tuned.name, "zahl 3")


@pytest.mark.slow
def test_folds_are_stopped_resumed_and_written(place, tmp_path):
    """On the training pictures alone: there is no test split, and every score says so."""
    arguments = ["--architecture", "mnist_cnn", "--epochs", "3", "--folds", "2"]
    place = shutil.copytree(place / "pictures" / "train", tmp_path / "pictures").parent
    environment = {**os.environ, "ZOO_USER_DATASETS": str(place / "datasets"), "COLUMNS": "200"}
    first = subprocess.Popen(
        command(place, *arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    second = place / "runs" / "mnist_cnn.zahlen_fold2of2" / "zoo-3epochs" / "seed-0"
    deadline = time.monotonic() + 240
    while first.poll() is None and not (second / "config.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    said = first.communicate()[0].decode()
    assert (second / "config.json").exists(), said
    done = train(place, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fold1of2-zoo-3epochs seed 0 epoch" not in done.stdout  # nothing is trained twice
    folds = json.loads((place / "models" / "mnist_cnn.zahlen-zoo-3epochs" / "folds.json").read_text())
    scores = [fold["accuracy"] for fold in folds["folds"]]
    assert sum(fold["samples"] for fold in folds["folds"]) == 500
    assert folds["accuracy"] == {"mean": pytest.approx(np.mean(scores)), "sd": pytest.approx(np.std(scores, ddof=1))}
    assert f"accuracy, 2 folds: {100 * np.mean(scores):.2f}" in done.stdout
    assert "VALIDATION (there is no test split) samples" in done.stdout
    assert folds["held_out_by"] == "class"
    (result,) = results.read_all(place / "models" / "records")
    assert result.samples == pytest.approx(50, abs=5)


def test_a_head_is_kept_where_the_classes_are_the_same(known):
    model = training.build(training.plan("mnist_cnn", "mnist"))
    told = transfer.start(model, "mnist_cnn", "mnist", "mnist_cnn.mnist")
    assert told["head"] == "kept"
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8)
    np.testing.assert_allclose(model(images), zoo.load_model("mnist_cnn.mnist")(images), atol=1e-6)


@pytest.fixture
def spoilt(tmp_path):
    """Return a function that copies a shipped model and spoils it."""

    def spoil(how):
        folder = shutil.copytree(zoo.settings.PRETRAINED / "lenet5.mnist", tmp_path / "lenet5.mnist")
        weights = folder / "model.weights.h5"
        if how == "another network's weights":
            keras_weights.restore(zoo.settings.PRETRAINED / "mnist_cnn.mnist", weights)
        elif how == "cut off":
            keras_weights.restore(folder, weights)
            weights.write_bytes(weights.read_bytes()[:5000])
        elif how == "of another graph":
            shutil.copy(zoo.settings.PRETRAINED / "mnist_cnn.mnist" / "keras_weights.npz", folder)
        elif how == "missing":
            (folder / "keras_weights.npz").unlink()
        elif how == "pages":
            of_pages = zoo.settings.PRETRAINED / "mobilenet_v2.pages70" / "preprocessor_config.json"
            shutil.copy(of_pages, folder)
        elif how == "unknown network":
            write_json(folder / "metadata.json", {**read_json(folder / "metadata.json"), "architecture": "lenet7"})
        return folder

    return spoil


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("another network's weights", r"model\.weights\.h5 does not fit lenet5 at \(28, 28, 1\) and 10 classes"),
        ("cut off", r"model\.weights\.h5 cannot be read\. The weights end in the middle"),
        ("of another graph", r"keras_weights\.npz does not say how Keras' weights are made of model\.onnx"),
        ("missing", r"is not a published model: there is no model\.weights\.h5 in it"),
        ("pages", r"reads pages, not glyphs"),
        ("unknown network", r"There is no architecture 'lenet7'; did you mean lenet5"),
    ],
)
def test_a_model_that_cannot_be_started_from_is_named(spoilt, how, sentence):
    with pytest.raises(zoo.ZooError, match=sentence):
        transfer.Start.read(spoilt(how)).build()


def test_weights_of_another_shape_are_named():
    model = zoo.create_model("mnist_cnn", (8, 8, 1))
    with pytest.raises(zoo.ZooError, match=r"mnist_cnn\.mnist do not fit images of \(8, 8, 1\): dense\S* takes"):
        transfer.start(model, "mnist_cnn", "optdigits", "mnist_cnn.mnist")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--architecture", "lenet"], "There is no architecture 'lenet'; did you mean lenet5"),
        (["--architecture", "lenet5", "--recipe", "papr"], "There is no recipe of lenet5 'papr'; did you mean paper"),
        (["--from", "lenet5.mnits"], "did you mean lenet5.mnist"),
        (["--from", "lenet5.mnist", "--architecture", "hdr_cnn"], "is a lenet5: a hdr_cnn cannot start from it"),
        (["--architecture", "hdr_cnn", "--size", "12"], "hdr_cnn needs images of at least 18 x 18 pixels"),
        (["--from", "lenet5.mnist", "--size", "32"], "lenet5.mnist takes 28 x 28 pixels: leave out --size"),
        (["--architecture", "lenet5", "--name", "mnist"], "'mnist' is a name of the zoo's own"),
        (["--architecture", "lenet5", "--group", "author"], "has no metadata.csv: expected one with a column 'author'"),
        (["--architecture", "lenet5", "--folds", "60"], "has too few samples for 60 folds"),
        ([], "name a network with --architecture"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(place, tmp_path, run_here, arguments, sentence):
    elsewhere = "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "models")
    done = run_here(*options(place), *arguments, *elsewhere, ZOO_USER_DATASETS=str(place / "datasets"))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


EPOCH = dict.fromkeys(("loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds"), 0.5)
FALSE = (  # what a checkpoint says of itself
    {"phase": 7}, {"phase_start": 2}, {"epochs": [EPOCH] * 5}, {"best_epoch": 3}, {"plateau_wait": -1}, {"unknown": 1},
    {"fingerprint": 1}, {"backbone": {"source": ["<b>"]}}, {"best_score": "high"},
    # and of an epoch
    *({"epochs": [{**EPOCH, **change}]} for change in (
        {"seconds": -7777.0}, {"seconds": float("nan")}, {"accuracy": 1.1}, {"loss": "<b>"}, {"note": "<b>"},
    )),
)  # fmt: skip


@pytest.mark.parametrize("change", FALSE)
def test_a_training_goes_on_from_epochs_that_it_can_have_had(change):
    """A borrowed machine made up epochs of -7,777 seconds, and a phase that was an IndexError."""
    phases, memory = Recipe("zoo", epochs=4).phases(), Memory(epochs=[EPOCH], best_epoch=1, fingerprint="data")
    assert Memory.restored(json.dumps(asdict(memory)), phases) == memory
    with pytest.raises(
        zoo.ZooError, match=r"^it(s memory is not that of this version| is in phase 8| has other epochs)"
    ):
        Memory.restored(json.dumps({**asdict(memory), **change}), phases)


def test_a_run_on_other_data_is_not_gone_on_with(tmp_path):
    job = training.Job("mnist_cnn", "optdigits", Recipe("zoo", epochs=4, batch_size=32), 0)

    class Stopped(Exception):
        pass

    def stop(share):
        if share > 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        training.train(job, tmp_path, stop)
    checkpoint = job.folder(tmp_path) / "checkpoint.npz"
    with np.load(checkpoint) as saved:
        arrays = dict(saved)
    memory = json.loads(arrays["memory"].item())
    np.savez(checkpoint, **{**arrays, "memory": json.dumps({**memory, "fingerprint": "another"})})
    with pytest.raises(zoo.ZooError, match="was begun on other data"):
        training.train(job, tmp_path)
    for change, save in (  # what a borrowed machine may send
        ({"variable-0": np.zeros(10**7)}, np.savez_compressed),  # in 80 kB, and any more in proportion
        ({"variable-0": np.zeros((1, 1))}, np.savez),
        ({"memory": "[]"}, np.savez),
        ({"memory": json.dumps({"epoch": 1})}, np.savez),
        ({"memory": "[" * 10**5}, np.savez),
        ({"kept-0": np.zeros((1, 1))}, np.savez),
    ):
        save(checkpoint, **{**arrays, **change})
        with pytest.raises(zoo.ZooError, match=r"checkpoint\.npz cannot be gone on from: .* Remove it to begin again"):
            training.train(job, tmp_path)
    checkpoint.write_bytes(b"PK")
    with pytest.raises(zoo.ZooError, match="cannot be gone on from"):
        training.train(job, tmp_path)
