"""A bundle, end to end: packed here, trained without TensorFlow, taken in again. Tiny data, on the CPU."""

import contextlib
import hashlib
import importlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from conftest import ROOT
from packaging.utils import canonicalize_name

import zoo
from leaderboard import bundles, recording, results
from zoo import data, registry, training
from zoo.errors import ZooError
from zoo.files import read_json, write_json
from zoo.training import backbones

MODEL = "mnist_cnn.optdigits"
HISTORY = {"fingerprint": "a", "samples": {"train": 9}, "kept_epoch": 1, "training_seconds": 1.0,
           "epochs": [{"accuracy": 0.9, "validation_accuracy": 0.9}],
           "validation": {"loss": 0.1, "accuracy": 0.9}}  # fmt: skip
SCORES = {
    "revision": "0", "dataset_fingerprint": "0", "metric_versions": {}, "metrics": {"accuracy": 0.5}, "corruptions": {},
    "unseen_damage": {}, "transfers": {}, "per_class": [], "confusion": [], "environment": {}, "date": "",
}  # fmt: skip


@pytest.fixture
def repo(make_repo):
    """The digits of scikit-learn as a folder of datasets."""
    splits = {}
    for split, source in (("train", "train+validation"), ("test", "test")):
        digits = data.load("optdigits", source)
        images = [cv2.imencode(".png", image)[1].tobytes() for image in digits.images]
        splits[split] = {"image": images, "label": digits.labels.tolist()}
    return make_repo(splits)


@pytest.fixture
def bundle(repo, run_script, tmp_path):
    """A bundle of one training of two epochs."""
    pytest.importorskip("jax")
    command = "bundle.py", "--only", MODEL, "--out", "bundle", "--seeds", "1", "--epochs", "2", "--has", "all"
    done = run_script(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 trainings" in done.stdout
    return tmp_path / "bundle"


def run(bundle, hidden, **environment):
    """Run a bundle where there is no TensorFlow, no clone and no dataset but its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZOO_")}
    kept |= {"PYTHONPATH": str(hidden), "PYTHON": sys.executable, **environment}
    return subprocess.run(["sh", bundle / "run.sh"], env=kept, cwd="/", capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_bundle_is_trained_without_tensorflow_and_its_results_come_home(
    bundle, without, run_script, tmp_path, monkeypatch
):
    assert {path.name for path in (bundle / "datasets").rglob("*.parquet")} == {
        "train-00000-of-00001.parquet",
    }  # it is measured at home
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    needed = importlib.import_module("bundle")
    there = needed.closure((*needed.NEEDED, "jax"))  # nothing else is sent to another machine
    hidden = without(*(
        name for name, packages in packages_distributions().items()
        if name not in ("zoo", "leaderboard") and not there & set(map(canonicalize_name, packages))
    ))  # fmt: skip
    assert "tensorflow" in (hidden / "sitecustomize.py").read_text()
    stopped = run(bundle, hidden, MINUTES="0")
    assert stopped.returncode == 3, stopped.stdout + stopped.stderr
    assert "0 of 1 trainings are finished" in stopped.stdout
    assert "The same command goes on from here" in stopped.stdout
    done = run(bundle, hidden, WORKERS="2")  # the second finds nothing to do
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("epoch 2/2") == 1
    assert "1 of 1 trainings are finished" in done.stdout

    listing = json.loads((bundle / "results" / "results.json").read_text())
    sizes = [(bundle / "results" / piece["name"]).stat().st_size for piece in listing["pieces"]]
    assert max(sizes) <= 15e6
    home = "unbundle.py", "bundle/results", "--runs", "runs", "--records", "records"
    taken = run_script(*home, KERAS_BACKEND="jax")  # which is imported faster
    assert taken.returncode == 0, taken.stdout + taken.stderr
    (result,) = results.read_all(tmp_path / "records")
    assert result.model == f"{MODEL}-zoo-2epochs"
    assert result.environment["versions"].keys() >= {"jax", "keras"}
    assert result.environment["commit"] == json.loads((bundle / "bundle.json").read_text())["commit"]
    (folder,) = (tmp_path / "runs").glob("*/*/*/export")
    digits = data.load("optdigits", "test")
    served = zoo.load_predictor(folder)(digits.images)
    assert np.mean(served.argmax(axis=1) == digits.labels) == pytest.approx(result.shipped("accuracy"))
    np.testing.assert_allclose(zoo.load_model(folder).predict(digits.images, verbose=0), served, atol=1e-5)

    (folder.parent / "mine").touch()
    (again,), unfinished = bundles.unpack(bundle / "results", tmp_path / "runs")
    assert (again.folder, unfinished) == (folder.parent, [])
    assert (folder.parent / "mine").exists()  # what is here stays as it is

    piece = bundle / "results" / listing["pieces"][-1]["name"]
    piece.write_bytes(piece.read_bytes()[:-1])
    for state in ("damaged", "missing"):
        refused = run_script("unbundle.py", "bundle/results", "--runs", "other", "--records", "others")
        assert refused.returncode == 2
        assert f"{piece.name} is {state}: bring it from the other machine again." in refused.stderr
        assert not (tmp_path / "other").exists()
        piece.unlink(missing_ok=True)
    for listing in (b"[]", b'{"pieces": 1, "left_out": []}', b"{", b""):
        (bundle / "results" / "results.json").write_bytes(listing)
        with pytest.raises(ZooError, match=r"not a list of results \(results.json\)"):
            bundles.unpack(bundle / "results", tmp_path / "other")


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        (["results.zip.00"] * 2, "names more pieces than a bundle has, or one of them twice"),
        ([f"results.zip.{number:02d}" for number in range(100)], "names more pieces than a bundle has"),
        (["hole"], "hole cannot be read: it has 1,000,000,000 bytes"),
        (["../results.zip.00"], "cannot be unpacked"),
    ],
)
def test_pieces_are_few_and_each_is_read_once(tmp_path, pieces, sentence):
    """93 kB of JSON wrote 15 GB."""
    (tmp_path / "results.zip.00").write_bytes(b"x")
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 10**9)
    sha256 = hashlib.sha256(b"x").hexdigest()
    listing = {"pieces": [{"name": name, "sha256": sha256} for name in pieces], "left_out": []}
    write_json(tmp_path / "results.json", listing)
    with pytest.raises(ZooError, match=sentence):
        bundles.unpack(tmp_path, tmp_path / "runs")


@pytest.mark.parametrize("limit", ["UNPACKED", "FILES"])
def test_results_that_unpack_without_end_are_refused(tmp_path, monkeypatch, limit):
    folder = tmp_path / "runs" / "a.b" / "zoo" / "seed-0"
    folder.mkdir(parents=True)
    for name in ("history.json", "evaluation.json"):
        (folder / name).write_bytes(bytes(10**6))
    bundles.pack(tmp_path / "runs", [folder], tmp_path / "out")
    monkeypatch.setattr(bundles, limit, 1)
    with pytest.raises(ZooError, match=r"it is no bundle|has more than 1 entries"):
        bundles.unpack(tmp_path / "out", tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "[]"),
        ("config.json", '{"architecture": "lenet5"}'),
        ("config.json", "{"),
        ("evaluation.json", "[]"),
        ("evaluation.json", '{"metrics": {"accuracy": 1.0}}'),
        ("config.json", "[" + "[]," * 200_001 + "[]]"),  # 58 kB, packed, took 1.6 GB
        ("history.json", " " * 2_000_000 + "{}"),
        ("environment.json", '{"processor": "x\\n## Notice"}'),
        ("environment.json", '{"versions": {"keras": 3}}'),
        ("environment.json", '{"commit": "\\u202eabc"}'),
        ("evaluation.json", json.dumps(SCORES | {"environment": {"processor": ["x"]}})),
        ("history.json", '{"training_seconds": "soon"}'),
        ("history.json", json.dumps(HISTORY | {"kept_epoch": 10**9})),
        ("history.json", json.dumps(HISTORY | {"epochs": []})),
        ("history.json", json.dumps(HISTORY | {"epochs": [{"loss": 1.0}] * 2})),
        ("environment.json", "[" * 100 + "]" * 100),
        ("evaluation.json", '{"metrics": {"accuracy": NaN}}'),
        ("evaluation.json", json.dumps(SCORES | {"metrics": {"accuracy": "1"}})),
        ("evaluation.json", json.dumps(SCORES | {"further": 1})),
        ("evaluation.json", json.dumps(SCORES).replace("0.5", "1e999")),
    ],
)
def test_a_run_that_is_none_is_refused(tmp_path, name, content):
    """Also one of another version, whose files lack something."""
    job = training.plan("lenet5", "mnist")
    folder = job.folder(tmp_path / "runs")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(job.to_dict()))
    (folder / name).write_text(content)
    bundles.pack(tmp_path / "runs", [folder], tmp_path / "out")
    with pytest.raises(ZooError, match="is not a run of this version"):
        bundles.unpack(tmp_path / "out", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_does_not_fit_stays_and_the_scores_come_first(tmp_path):
    for seed, size in ((0, 5000), (1, 3000)):
        folder = tmp_path / "runs" / "a.b" / "zoo" / f"seed-{seed}"
        (folder / "export").mkdir(parents=True)
        for name in ("history.json", "evaluation.json"):
            (folder / name).write_text("{}" * 10)
        (folder / "model.weights.h5").write_bytes(os.urandom(size))
        (folder / "export" / "model.onnx").write_bytes(os.urandom(100))  # does not travel
    runs = tmp_path / "runs"
    left_out = bundles.pack(runs, sorted(runs.glob("*/*/*")), tmp_path / "out", most=4000)
    assert left_out == ["a.b/zoo/seed-0/model.weights.h5"]
    left_out = bundles.pack(runs, sorted(runs.glob("*/*/*")), tmp_path / "out", most=250)
    assert left_out == ["a.b/zoo/seed-1/model.weights.h5", "a.b/zoo/seed-0/model.weights.h5"]
    bundles.pack(runs, sorted(runs.glob("*/*/*")), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "results.zip.00") as archive:
        assert not [name for name in archive.namelist() if "onnx" in name]


def test_a_run_that_comes_without_network_and_scores_is_trained_again(tmp_path):
    job = training.plan("mnist_cnn", "optdigits")
    folder = job.folder(tmp_path / "there")
    write_json(folder / "config.json", job.to_dict())
    write_json(folder / "history.json", HISTORY)
    bundles.pack(tmp_path / "there", [folder], tmp_path / "out")
    assert bundles.unpack(tmp_path / "out", tmp_path / "here") == ([], [f"{MODEL} seed 0"])
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    "change", [{"seed": 7}, {"architecture": "mnist_cnn"}, {"dataset": "optdigits"}, {"epochs": 2}]
)
def test_a_training_that_was_not_asked_for_is_not_taken(tmp_path, change):
    """Three runs of a model that was never sent replaced its row by what they claimed."""
    job = training.plan("lenet5", "mnist")
    named = {"architecture": "lenet5", "dataset": "mnist", **change}
    folder = training.plan(**named).folder(tmp_path / "there")
    write_json(folder / "config.json", training.plan(**named).to_dict())
    bundles.pack(tmp_path / "there", [folder], tmp_path / "out")
    with pytest.raises(ZooError, match="is among the results, and the bundle was not packed for it"):
        bundles.unpack(tmp_path / "out", tmp_path / "here", [job])
    assert bundles.unpack(tmp_path / "out", tmp_path / "here", [job, training.plan(**named)])[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch, and its true accuracy on the test set."""
    run = training.train(training.plan("mnist_cnn", "optdigits", epochs=1), tmp_path_factory.mktemp("there"))
    return run, recording.evaluated(run).metrics["accuracy"]


@pytest.fixture
def sent(trained, tmp_path, monkeypatch):
    """A function that packs the run, changed by another one, export and all, as results; it returns their folder."""

    def send(change) -> Path:
        folder = training.plan("mnist_cnn", "optdigits", epochs=1).folder(tmp_path / "there")
        shutil.copytree(trained[0].folder, folder)
        change(folder)
        with monkeypatch.context() as there:
            there.setattr(bundles, "EXPORT", "left out")
            bundles.pack(tmp_path / "there", [folder], tmp_path / "out")
        return tmp_path / "out"

    return send


def claim(accuracy):
    """Return what writes another score next to a run."""

    def change(folder):
        scores = read_json(folder / recording.EVALUATION)
        scores["metrics"]["accuracy"] = accuracy
        write_json(folder / recording.EVALUATION, scores)

    return change


def send_another_graph(folder):
    """Send the run's network with answers that depend on the place in the batch."""
    claim(0.9999)(folder)
    export = folder / "export"
    model = onnx.load(export / "model.onnx")
    answer = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["honest" if name == answer else name for name in node.output]
    model.graph.node.append(onnx.helper.make_node("CumSum", ["honest", "axis"], [answer]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.int64(0), "axis"))
    onnx.save(model, export / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("change", [claim(0.9999), send_another_graph])
def test_a_network_is_built_and_measured_here_whatever_came_with_it(trained, sent, tmp_path, change):
    (taken,), _ = bundles.unpack(sent(change), tmp_path / "here")
    assert recording.evaluated(taken).metrics["accuracy"] == trained[1]


def say_of_validation(accuracy):
    """Return what lets the history say another accuracy on validation."""

    def change(folder):
        history = read_json(folder / "history.json")
        history["validation"]["accuracy"] = accuracy
        (folder / "history.json").write_text(json.dumps(history))

    return change


def with_weights(content):
    """Return what sends other bytes as the weights."""
    return lambda folder: (folder / "model.weights.h5").write_bytes(content(folder / "model.weights.h5"))


def of_another_network(path):
    """Return the weights of a network with other shapes."""
    zoo.create_model("lenet5", (8, 8, 1), 10).save_weights(path)
    return path.read_bytes()


def started_elsewhere(folder):
    """Say that the run began with weights of somebody else."""
    job = read_json(folder / "config.json")
    write_json(folder / "config.json", job | {"start": "somebody/else"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (say_of_validation(0.9999), "its history says 99.99% of the validation samples, and its network reads"),
        (say_of_validation(float("nan")), "NaN|nan%"),
        (with_weights(lambda path: b"x"), "The weights are not an HDF5 file"),
        (with_weights(lambda path: path.read_bytes()[:-9]), "The weights end in the middle"),
        (with_weights(of_another_network), "its weights are not those of mnist_cnn"),
        (started_elsewhere, "another recipe"),
    ],
)
def test_a_network_that_is_not_what_its_run_says_is_refused(sent, tmp_path, change, sentence):
    with pytest.raises(ZooError, match=sentence):
        bundles.unpack(sent(change), tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.slow
def test_weights_that_stayed_there_leave_a_row_that_nobody_can_measure(sent, tmp_path, monkeypatch, capsys):
    folder = sent(lambda folder: (folder / "model.weights.h5").unlink())
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    runs, records = tmp_path / "runs", tmp_path / "records"
    job = training.plan("mnist_cnn", "optdigits", epochs=1).to_dict()
    asked = [job | {"seed": 1}], [job]
    for number, plan in enumerate(asked):
        write_json(tmp_path / f"plan-{number}.json", {"jobs": [plan]})
    paths = ["--runs", str(runs), "--records", str(records), "--plan"]
    monkeypatch.setattr(sys, "argv", ["unbundle.py", str(folder), *paths, str(tmp_path / "none.json")])
    unbundle = importlib.import_module("unbundle")
    for number, sentence in (
        (None, "There is no .*none"),
        (0, r"seed 0 is among the results, and .* not packed for it"),
    ):
        if number is not None:
            sys.argv[-1] = str(tmp_path / f"plan-{number}.json")
        with pytest.raises(ZooError, match=sentence):
            unbundle.main()
    sys.argv[-1] = str(tmp_path / "plan-1.json")
    with pytest.raises(ZooError, match=r"seed 0 has scores and no weights, .* bring them too"):
        unbundle.main()
    assert not runs.exists()
    monkeypatch.setattr(bundles, "travels", lambda model: False)  # as if they were too large
    unbundle.main()
    assert "What the other machine measured stands." in capsys.readouterr().out
    (result,) = results.read_all(records)
    counted = training.build(training.plan("mnist_cnn", "optdigits")).count_params()
    assert (result.weights, result.parameters_as_trained) == (None, counted)


def test_no_score_of_another_machine_is_in_a_row_with_those_that_were_measured_here(tmp_path):
    """Two trainings without weights said 100%, and their row was ranked by the mean."""
    runs = []
    for seed in range(3):
        job = training.plan("lenet5", "optdigits", seed=seed)
        runs.append(training.Run(job, job.folder(tmp_path), {"validation": {"accuracy": 1.0}}, {}))
        runs[-1].folder.mkdir(parents=True)
    assert recording.counted(runs) == runs
    runs[1].weights.touch()
    assert recording.counted(runs) == [runs[1]]
    (runs[2].folder / "export").mkdir()
    (runs[2].folder / "export" / "model.onnx").touch()
    assert recording.counted(runs) == runs[1:]


@pytest.mark.slow
def test_a_graph_without_weights_is_no_network(sent, tmp_path):
    def change(folder):
        send_another_graph(folder)
        for name in ("model.weights.h5", recording.EVALUATION):
            (folder / name).unlink()

    assert bundles.unpack(sent(change), tmp_path / "here") == ([], [f"{MODEL}-zoo-1epochs seed 0"])


def test_results_write_nothing_elsewhere(tmp_path):
    """Neither by a path that leads out, nor by a link that a later file goes through; nor is any other file a zip."""
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    link = zipfile.ZipInfo("a.b/zoo/seed-0")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = place / "results.zip.00"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../../outside", "x")
        archive.writestr(str(tmp_path / "outside"), "x")
        archive.writestr("c/" * 3000 + "deep", "x")
        archive.writestr(link, str(tmp_path))
        archive.writestr("a.b/zoo/seed-0/outside", "x")
    for content in (packed.read_bytes(), packed.read_bytes()[:-1], b"\x1f\x8b" + bytes(100), b""):
        packed.write_bytes(content)
        piece = {"name": packed.name, "sha256": hashlib.sha256(content).hexdigest()}
        write_json(place / "results.json", {"pieces": [piece], "left_out": []})
        with pytest.raises(ZooError, match=r"cannot be unpacked|is missing"):
            bundles.unpack(place, tmp_path / "runs")
    assert not list(tmp_path.rglob("outside"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"seed": "0/../../../../outside/a/seed-1"}, "outside/a/seed-1"),
        ({"epochs": "1/../../../outside/a"}, "outside/aepochs/seed-0"),  # it is in the name of a shortened recipe
        ({"epochs": 2.0}, "lenet5.optdigits/zoo-2.0epochs/seed-0"),
        ({"seed": True}, "lenet5.optdigits/zoo/seed-True"),
        ({"seed": 0.0}, "lenet5.optdigits/zoo/seed-0.0"),
        ({"batch_size": True}, "lenet5.optdigits/zoo/seed-0"),
        ({"augmentation": {"rotation": 1.0, "colour": 2}}, "lenet5.optdigits/zoo/seed-0"),
    ],
)
def test_a_run_lies_where_its_job_says_and_every_field_has_its_type(tmp_path, changed, place):
    planned = training.plan("lenet5", "optdigits", epochs=changed.get("epochs"), seed=changed.get("seed", 0)).to_dict()
    job = planned | {"recipe": planned["recipe"] | {k: v for k, v in changed.items() if k != "seed"}}
    packed, home = tmp_path / "results" / "results.zip.00", tmp_path / "home"
    packed.parent.mkdir()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{place}/config.json", json.dumps(job))
        archive.writestr(f"{place}/anything", "x")
    piece = {"name": packed.name, "sha256": hashlib.sha256(packed.read_bytes()).hexdigest()}
    write_json(packed.parent / "results.json", {"pieces": [piece], "left_out": []})
    with pytest.raises(ZooError, match="is not a run of this version"):
        bundles.unpack(packed.parent, home / "runs")
    assert not home.exists()


@pytest.mark.parametrize("name", ["..", "a/b", "", ".a", "a\n", "a\\b", "x" * 300])
def test_a_folder_of_a_run_lies_in_the_folder_of_runs(tmp_path, name):
    """Whatever the recipe of a job is called, of a bundle or of a task."""
    job = training.plan("lenet5", "optdigits")
    with pytest.raises(ZooError, match="A folder of a run has letters"):
        replace(job, recipe=replace(job.recipe, name=name)).folder(tmp_path)


def test_the_first_seed_of_every_pair_comes_before_the_second_of_any(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    run_bundle = importlib.import_module("run_bundle")
    pairs = [[training.plan(name, "optdigits", seed=seed) for seed in range(2)] for name in ("lenet5", "mnist_cnn")]
    order = [(job.architecture, job.seed) for (job,) in run_bundle.in_turn([pairs[0], pairs[1][:1]], False)]
    assert order == [("lenet5", 0), ("mnist_cnn", 0), ("lenet5", 1)]


def test_programs_that_share_a_bundle_take_every_training_once(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    run_bundle = importlib.import_module("run_bundle")
    turns = [[training.plan("lenet5", "optdigits", seed=seed)] for seed in range(7)]
    first, second = (run_bundle.claimed(turns, tmp_path) for _ in range(2))
    taken = [next(first), next(second), next(second), *first, *second]
    assert sorted(job.seed for (job,) in taken) == list(range(7))


def test_no_program_at_all_is_refused_before_anything_is_packed(run_here, tmp_path):
    done = run_here("bundle.py", "--only", MODEL, "--out", "bundle", "--has", "all", "--workers", "0")
    assert done.returncode == 2
    assert "--workers should be at least 1, not 0" in done.stderr
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_that_is_too_large_leaves_nothing(run_here, tmp_path):
    done = run_here("bundle.py", "--only", MODEL, "--out", "bundle", "--has", "all", "--most", "0.001")
    assert done.returncode == 2
    assert "The bundle is larger than 0.001 MB (in MB: bundle.json" in done.stderr
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_brings_the_weights_that_a_training_starts_from(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    pack = importlib.import_module("bundle")
    there = tmp_path / "weights"
    jobs = [training.plan("mobilenet_v2", "pages70"), training.plan("lenet5", "mnist")]
    monkeypatch.setenv("ZOO_WEIGHTS", str(there))
    with pytest.raises(ZooError, match="mobilenet_v2 starts from ImageNet weights: set ZOO_WEIGHTS"):
        pack.copy_backbones(jobs, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    there.mkdir()
    (there / "mobilenet_v2_imagenet_no_top.weights.h5").write_bytes(b"pretrained")
    pack.copy_backbones(jobs, tmp_path / "bundle")
    (copied,) = (tmp_path / "bundle").iterdir()
    monkeypatch.setenv("ZOO_WEIGHTS", str(copied.parent))  # as run.sh does
    assert backbones.imagenet(registry.get("mobilenet_v2")).read_bytes() == b"pretrained"
    assert 'ZOO_WEIGHTS="$here/weights"' in pack.RUN


@pytest.mark.parametrize("place", ["test-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "data"])
def test_a_bundle_takes_nothing_along_that_a_mirror_links_to(monkeypatch, tmp_path, place):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    pack = importlib.import_module("bundle")
    secret = tmp_path / "secrets" / "test-00000-of-00001.parquet"
    secret.parent.mkdir()
    secret.write_text("PRIVATE KEY")
    link = tmp_path / "datasets" / "mnist" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(secret.parent if place == "data" else secret)
    monkeypatch.setenv("ZOO_DATASETS", str(tmp_path / "datasets"))
    with contextlib.suppress(ZooError):  # a link to a folder is not followed at all
        pack.copy_dataset("mnist", ("test",), tmp_path / "bundle")
    assert not list(tmp_path.glob("bundle/**/*.parquet"))
