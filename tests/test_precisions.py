"""What was measured of a network in several precisions and runtimes, as it is kept."""

import json
import re

import pytest
from records import answers, made_up

from leaderboard import precisions, results, service, snapshot
from leaderboard.evaluation import revision
from leaderboard.precisions import Precisions, Row
from leaderboard.tabs import model_page
from zoo import hub
from zoo.errors import ZooError
from zoo.published import PublishedFolder

MODEL = "glyphnet_5k.mnist"
ROWS = [Row("float32", "ONNX Runtime", 0.99, 20_000, 0.125), Row("float32", "browser", 0.99, 15_000, 0.5, 2e-6, 0)]


def measured(**changes):
    """Return made-up figures of a network, of the weights of `made_up`."""
    values = {
        "model": MODEL, "revision": "0" * 64, "dataset": "mnist", "dataset_fingerprint": "f", "split": "test",
        "samples": 10_000, "rows": ROWS, "date": "2026-11-26T00:00:00+00:00", "commit": "abc", "machine": "a processor",
        "load": 0.5, "versions": {"onnxruntime": "1.31"},
    }  # fmt: skip
    return Precisions(**{**values, **changes})


def test_figures_are_kept_and_belong_to_the_weights_that_were_measured(tmp_path):
    precisions.write(measured(), tmp_path)
    assert precisions.read(MODEL, tmp_path) == measured()
    assert precisions.of(MODEL, "0" * 64, tmp_path) == measured()
    assert precisions.of(MODEL, "1" * 64, tmp_path) is None  # trained again
    assert precisions.of("lenet5.mnist", "0" * 64, tmp_path) is None


def test_a_damaged_or_foreign_file_is_left_out(tmp_path):
    path = precisions.write(measured(), tmp_path)
    said = json.loads(path.read_text())
    said["rows"][0]["speed"] = 1
    path.write_text(json.dumps(said))
    with pytest.raises(ZooError, match=r"unknown rows\.0\.speed"):
        precisions.read(MODEL, tmp_path)
    assert precisions.of(MODEL, "0" * 64, tmp_path) is None


def test_the_page_of_a_model_and_the_api_show_them(tmp_path, monkeypatch):
    monkeypatch.setattr(precisions, "FOLDER", tmp_path / "precisions")
    precisions.write(measured(revision=revision(hub.resolve(MODEL))))
    assert service.measured(MODEL)["precisions"]["rows"][1]["milliseconds"] == 0.5
    assert service.measured("lenet5.mnist")["precisions"] is None
    precisions.write(measured())
    assert service.measured(MODEL)["precisions"] is None
    results.write(made_up(MODEL, [0.99]), answers(10), tmp_path / "records")
    page = model_page.page(MODEL, snapshot.build(tmp_path / "records").rows, tmp_path / "records")
    assert re.search(r"browser</td><td>99\.00</td>\s*<td>15\.0</td><td>0\.500</td>", page)
    assert "On all 10,000 test samples" in page
    precisions.write(measured(revision="1" * 64))
    page = model_page.page(MODEL, snapshot.build(tmp_path / "records").rows, tmp_path / "records")
    assert "Precisions and runtimes" not in page


def test_what_is_committed_can_be_read_and_keeps_what_it_promises():
    """Every answer of the browser's engine and of C is that of model.onnx in float32 and float16."""
    for path in sorted(precisions.FOLDER.glob("*.json")):
        found = precisions.read(path.stem)
        assert found.model == path.stem
        assert PublishedFolder(hub.resolve(found.model)).onnx.is_file()
        for row in found.rows:
            assert row.runtime in precisions.RUNTIMES
            if row.difference is not None and row.precision != "int8":
                assert row.others == 0
                assert row.difference <= {"float32": 1e-5, "float16": 1e-3}[row.precision]
