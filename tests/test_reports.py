"""Reports: when to say "don't know", what is inside a network, and the files that `scripts/report.py` writes."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from records import made_up

import zoo
from leaderboard import report_store, reproductions, results, snapshot
from leaderboard.tabs import model_page
from zoo import ZooError, data, reports, training
from zoo.backend import keras

MODEL = "mnist_cnn.optdigits"
FIGURES = {
    "architecture", "classes", "confidence", "confusion", "confusions", "coverage", "curves", "filters", "gap", "maps",
    "right", "wrong",
}  # fmt: skip


@pytest.mark.parametrize(
    ("confidence", "right", "cost", "threshold"),
    [
        ([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 10, 0.8),  # one right answer is given up for a mistake
        ([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 1, 0.0),  # and not where a mistake is as good as nothing
        ([0.9, 0.8, 0.8, 0.6], [True, True, False, True], 2, 0.0),  # equal confidences go together
        ([0.9, 0.6], [True, True], 10, 0.0),
    ],
)
def test_the_threshold_costs_least(confidence, right, cost, threshold):
    assert reports.choose_threshold(np.array(confidence), np.array(right), cost) == threshold


def test_the_threshold_is_the_best_of_all_and_the_curve_what_it_does():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.2, 1, 3000).astype(np.float16).astype(float)
    right = rng.random(3000) < sure

    def cost(threshold):
        given = reports.coverage(sure, right, threshold)
        return reports.COST * given["wrong"] + given["withheld_wrong"] + given["withheld_right"]

    chosen = reports.choose_threshold(sure, right)
    assert cost(chosen) == min(map(cost, [0.0, *np.unique(sure)]))
    curve = reports.coverage_curve(sure, right)
    assert (curve["coverage"][0], curve["coverage"]) == (1, sorted(curve["coverage"], reverse=True))
    assert len(curve["coverage"]) == len(curve["threshold"]) <= 120
    for threshold, share, accuracy in zip(*(curve[key] for key in ("threshold", "coverage", "accuracy")), strict=True):
        given = reports.coverage(sure, right, np.nextafter(threshold, 0) - 1e-4)  # it is kept to four digits
        assert given["coverage"] == pytest.approx(share, abs=2e-3)
        assert given["accuracy"] == pytest.approx(accuracy, abs=2e-3)


def branching():
    """A network with a backbone that has a way around a layer."""
    layers = keras.layers
    inside = keras.Input((12, 12, 4))
    x = layers.Conv2D(4, 3, padding="same")(inside)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(layers.Add()([x, inside]))
    backbone = keras.Model(inside, x, name="backbone")
    inputs = keras.Input((12, 12, 1), dtype="uint8")
    x = layers.Concatenate()([layers.Rescaling(1 / 255)(inputs)] * 4)
    x = layers.GlobalAveragePooling2D()(backbone(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dropout(0.5)(x)))


def test_a_network_with_a_backbone_is_opened():
    network = branching()
    example = np.random.default_rng(0).integers(0, 256, (12, 12, 1), np.uint8)
    inside = reports.look(network, example)
    assert [row["kind"] for row in inside.rows] == ["image", "other", "convolution", "pooling", "dense"]
    assert sum(row["parameters"] for row in inside.rows) == network.count_params()
    assert inside.rows[3]["text"] == "global average pool, dropout 0.5"
    (maps,) = inside.maps
    assert maps.images.shape == (4, 12, 12)
    assert maps.images.max() == 255
    first = np.asarray(network.get_layer("backbone").layers[1].kernel).sum(axis=2)
    drawn = inside.filters[0].images
    assert np.abs(drawn).max() == 127
    np.testing.assert_allclose(drawn[2] / 127, first[..., 2] / np.abs(first).max(), atol=0.005)
    with pytest.raises(ZooError, match=r"should be an image of \(12, 12, 1\)"):
        reports.look(network, example[:8])


def test_ways_around_layers_are_known():
    rows = reports.look(zoo.create_model("resco_mini")).rows
    sums = [row for row in rows if row["text"] == "sum, ReLU"]
    assert [row["sources"] for row in sums][:2] == [[3, 1], [6, 7]]
    assert rows[7]["sources"] == [4]  # the shortcut reads what the block reads


@pytest.mark.slow
def test_every_report_is_written_once(published, run_script, tmp_path):
    records = shutil.copytree(published / "records", tmp_path / "records")
    (records / "optdigits" / f"{MODEL}.report.npz").write_bytes(b"half")  # as if it had been stopped
    command = "report.py", "--records", str(records), "--runs", str(published / "runs"), "--out", str(tmp_path / "out")
    done = run_script(*command)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / MODEL
    figures = {path.stem: path for path in (folder / "figures").iterdir()}
    assert FIGURES - {"wrong"} <= figures.keys() <= FIGURES  # there is one of mistakes where there are any
    for path in figures.values():
        with Image.open(path) as image:
            assert min(image.info["dpi"]) > 199
            assert np.asarray(image.convert("L")).std() > 5, f"{path.name} is blank"
    final, summary = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("final_report", "training_summary")
    )
    record = results.read_record(results.path_of(MODEL, "optdigits", records))
    assert final["errors"] == record.errors
    assert final["per_class"][3]["accuracy"] == record.per_class[3]["recall"]
    assert final["confidence"]["when_right"] > final["confidence"]["when_wrong"]
    assert summary["kept"]["gap"] == summary["kept"]["accuracy"] - summary["kept"]["validation_accuracy"]
    assert (tmp_path / "out" / "optdigits" / "networks.png").exists()

    chosen, test = final["dont_know"]["threshold"], final["dont_know"]["test"]
    served = zoo.load_predictor(published / "models" / MODEL)
    assert served.threshold == chosen
    split = data.load("optdigits", "test")
    probabilities = served(split.images)
    given = probabilities.max(axis=1).astype(np.float16) >= chosen
    assert given.mean() == pytest.approx(test["coverage"])
    assert (probabilities.argmax(axis=1) == split.labels)[given].mean() == pytest.approx(test["accuracy"])

    before = {path: path.stat().st_mtime_ns for path in figures.values()}
    assert run_script(*command).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in figures.values()} == before


def test_bad_input_is_one_sentence(published, run_here, tmp_path):
    records = shutil.copytree(published / "records", tmp_path / "records")
    out = "--records", str(records), "--runs", str(tmp_path), "--out", str(tmp_path / "out")
    done = run_here("report.py", "mnist_cnn.optdigit", *out)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean mnist_cnn.optdigits?" in done.stderr
    (records / "optdigits" / f"{MODEL}.npz").unlink()
    done = run_here("report.py", MODEL, *out)
    assert done.returncode == 1
    assert "test predictions of mnist_cnn.optdigits are not stored" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_page_shows_the_report(published):
    page = model_page.page(MODEL, snapshot.build(published / "records").rows, published / "records")
    titles = ("Correct predictions", "Confidence", "don’t know", "Gap between", "Layers", "Learned filters", "Feature")
    for title in titles:
        assert title in page, title
    pictures = re.findall(r"<img [^>]*>", page)
    assert all(re.search(r'alt="[^"]+"', picture) for picture in pictures)
    assert "3×3 convolution, 32 filters, ReLU" in page
    size = report_store.path_of(results.read_all(published / "records")[0], published / "records").stat().st_size
    assert size < 150_000  # twenty of them are to stay below 3 MB


def test_a_report_of_other_weights_is_none(published, tmp_path):
    folder = shutil.copytree(published / "records", tmp_path / "records")
    (result,) = results.read_all(folder)
    assert report_store.read_report(result, folder) is not None
    path = results.path_of(MODEL, "optdigits", folder)
    path.write_text(path.read_text().replace(result.revision, "0" * 64))
    (result,) = results.read_all(folder)
    assert report_store.read_report(result, folder) is None
    assert "There is no report yet" in model_page.page(MODEL, snapshot.build(folder).rows, folder)


def test_documents_stand_beside_what_was_measured():
    recipes = {(name, kind): training.plan(name, "ahdd", kind).recipe for name, kind in (
        ("lenet5", "zoo"), ("resco_mini", "zoo"), ("alexnet", "paper"))}  # fmt: skip
    short = recipes["alexnet", "paper"].shortened(3).to_dict() | {"precision": "mixed_bfloat16"}
    short.pop("outliers")  # what a record does not have was not there when it was made
    former = recipes["resco_mini", "zoo"].to_dict() | {"augmentation": {"rotation": 12}}
    measured = [
        made_up("lenet5.ahdd", [0.995] * 5, recipe=recipes["lenet5", "zoo"].to_dict()),
        made_up("resco_mini.ahdd", [0.99], recipe=former),
        made_up("alexnet.ahdd", [0.98], recipe=short),
    ]
    rows = {(row.claim.model, row.recipe): row for row in reproductions.rows(measured)}
    assert len(rows) == 14
    ours, theirs = rows["lenet5.ahdd", "zoo"], rows["lenet5.ahdd", "paper"]
    assert (ours.missed_by, ours.lacks) == (0, [])
    assert (ours.beyond(0.988), ours.beyond(0.987)) == (True, False)
    assert (theirs.result, theirs.missed_by, theirs.goal) == (None, None, 0.9876)
    resco = rows["resco_mini.ahdd", "zoo"]
    assert resco.missed_by == 0.004
    assert resco.lacks == ["1 of 3 seeds", "trained before augmentation changed"]
    expected = ["1 of 3 seeds", "3 of 50 epochs", "trained before precision changed"]
    assert rows["alexnet.ahdd", "paper"].lacks == expected
    assert {"ahcd_cnn", "hdr_cnn", "lenet5", "mnist_cnn", "resco_mini"} < set(reproductions.networks())
    assert not {"alexnet", "mobilenet_v2", "rootsift_vlad"} & set(reproductions.networks())
