"""A submission that is taken along: compiled in its sandbox, kept in the store, and a page that any browser opens."""

import json
import re
import shutil

import numpy as np
import onnxruntime
import pytest
from networks import node, onnx_file
from submitting import send

from leaderboard import results
from leaderboard.submissions import taking
from leaderboard.submissions.measuring import job_of
from leaderboard.submissions.sandbox import Box, inputs, protocol
from leaderboard.submissions.store import LocalStore
from leaderboard.submissions.taking import Compiled
from leaderboard.submissions.worker import Worker
from leaderboard.tabs import model_page
from scripts.bench.node import answer
from zoo.errors import ZooError
from zoo.portable import page

NODE = pytest.mark.skipif(not shutil.which("node"), reason="no Node: install nodejs")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A store; the board is a folder of its own."""
    monkeypatch.setattr(results, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(results, "LOCAL", tmp_path / "records")
    return LocalStore(tmp_path / "store")


@NODE
def test_a_measured_submission_is_a_page_that_answers_as_it_was_measured(place, tmp_path):
    sent = send(place)
    Worker(place, tmp_path / "records", tmp_path / "cache", need_isolation=False).step()
    model = sent.row("optdigits")
    assert place.get(sent.id).status == "FINISHED"
    network, facts = taking.network(model, place)
    images = np.random.default_rng(0).integers(0, 17, (20, 8, 8, 1), np.uint8)
    (tmp_path / "node").mkdir()
    (found,) = answer(tmp_path / "node", [(network, images)])["probabilities"]
    session = onnxruntime.InferenceSession(place.content(sent))
    (expected,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(found, expected, atol=1e-3)
    made = page.page(network, facts)
    assert "bob" in made
    assert "Weights: mit" in made
    before = taking.version(model)
    assert taking.version(model) == before
    results.write(results.read_record(results.path_of(model, "optdigits")))
    assert taking.version(model) != before
    shown = model_page._take(results.read_record(results.path_of(model, "optdigits")))
    assert f'href="networks/{model}.html"' in shown
    with pytest.raises(ZooError, match="the board has no such row"):
        taking.network("nobody~net.optdigits", place)
    with pytest.raises(ZooError, match="the board has no such row"):
        taking.version("nobody~net.optdigits")


def test_an_operator_that_no_kernel_computes_is_said(tmp_path):
    images = inputs.prepare("optdigits", tmp_path)
    with Box("onnx") as box:
        outcome = protocol.measure(
            box, job_of("onnx", "optdigits"), onnx_file(nodes=[node("Sin")]), images, need_isolation=False
        )
    assert outcome.portable.program is None
    assert outcome.portable.reason.startswith("This network cannot be exported: it has the operator Sin, which")


def test_more_steps_than_a_program_has_are_refused():
    program = {"memory": 1, "image": 0, "answer": 0, "weights": [], "data": "", "steps": [["copy", [0, 0], [1]]]}
    assert Compiled.from_json(json.dumps({"program": program}).encode()).program
    program["steps"] *= 10_000
    with pytest.raises(ZooError, match="more than 5,000 steps"):
        Compiled.from_json(json.dumps({"program": program}).encode())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"program": {"memory": -1}}', b'{"reason": 1}', b'{"program": null, "other": 1}']
)
def test_what_is_no_compiled_network_is_refused(content):
    with pytest.raises(ZooError, match=re.escape("This is not a compiled network")):
        Compiled.from_json(content)
