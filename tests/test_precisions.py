"""What was measured of a network in several precisions and runtimes, as it is kept."""

import json

import pytest
from records import made_up

from leaderboard import precisions
from leaderboard.precisions import Precisions, Row
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
    assert precisions.of(made_up(MODEL, [0.99]), tmp_path) == measured()
    assert precisions.of(made_up(MODEL, [0.99], revision="1" * 64), tmp_path) is None  # trained again
    assert precisions.of(made_up("lenet5.mnist", [0.99]), tmp_path) is None


def test_a_damaged_or_foreign_file_is_left_out(tmp_path):
    path = precisions.write(measured(), tmp_path)
    said = json.loads(path.read_text())
    said["rows"][0]["speed"] = 1
    path.write_text(json.dumps(said))
    with pytest.raises(ZooError, match=r"unknown rows\.0\.speed"):
        precisions.read(MODEL, tmp_path)
    assert precisions.of(made_up(MODEL, [0.99]), tmp_path) is None


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
