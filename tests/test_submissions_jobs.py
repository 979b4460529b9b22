"""Sandboxes on Hugging Face Jobs: the real client against a Hub and a machine on loopback."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import TOKEN
from networks import onnx_file
from sandbox_machine import Machine

from leaderboard.submissions import worker
from leaderboard.submissions.sandbox import Box, Unfit, Unsafe, inputs, open_box, protocol
from leaderboard.submissions.sandbox.hub_jobs import JobBox, NotReached
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return inputs.prepare("optdigits", tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def machine(hub, token, monkeypatch):
    """Measure on a machine on loopback, whose Python is this one."""
    monkeypatch.setenv("ZOO_SANDBOX", "jobs")
    monkeypatch.setenv("ZOO_SANDBOX_IMAGE", "hf.co/spaces/me/zoo")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with Machine().serving() as machine:
        hub.machines = machine.url
        yield machine


def measured(data: bytes, images, **options):
    with open_box("onnx") as box:
        assert isinstance(box, JobBox)
        try:
            return protocol.measure(box, worker.job_of("onnx", "optdigits"), data, images, **options)
        finally:
            shutil.rmtree(box.there)
            assert box.base.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux isolates")
def test_a_machine_measures_as_a_process_here_does(machine, hub, images):
    outcome = measured(onnx_file(), images)
    with Box("onnx") as box:
        here = protocol.measure(box, worker.job_of("onnx", "optdigits"), onnx_file(), images)
    np.testing.assert_allclose(outcome.answers, here.answers, atol=1e-6)
    assert (outcome.model, outcome.parameters) == (here.model, here.parameters)
    assert outcome.isolation["got_through"] == ""
    assert outcome.isolation["machine"] == "Hugging Face Jobs"
    (job,) = hub.jobs
    assert (job["dockerImage"] if "dockerImage" in job else job["spaceId"]) == "me/zoo"
    assert job["status"]["stage"] == "CANCELED"  # nothing goes on that costs money
    assert TOKEN not in str(machine.commands) + str({k: v for k, v in job.items() if k != "owner"})


def test_what_cannot_be_measured_gets_its_reason_from_there(machine, images):
    with pytest.raises(Unfit, match="not probabilities"):
        measured(onnx_file(end="Relu"), images)


def test_nothing_is_sent_to_a_machine_that_does_not_confine(machine, hub, images, monkeypatch):
    monkeypatch.setattr(JobBox, "isolation", lambda box, cancelled: {"got_through": "fork"})
    with pytest.raises(Unsafe, match="in it one can fork"):
        measured(onnx_file(), images)
    assert hub.jobs[0]["status"]["stage"] == "CANCELED"


def test_a_machine_that_cannot_be_had_is_no_fault_of_the_submission(hub, token, monkeypatch):
    from hub_server import Fault

    monkeypatch.setenv("ZOO_SANDBOX", "jobs")
    with pytest.raises(ZooError, match="needs ZOO_SANDBOX_IMAGE"):
        open_box("onnx")
    monkeypatch.setenv("ZOO_SANDBOX_IMAGE", "python:3.11")
    hub.fail(Fault(status=402, message="Payment required"), on="POST /api/jobs/.*", times=1)
    with pytest.raises(NotReached, match=r"could be started from python:3\.11.*402"):
        open_box("onnx")
    monkeypatch.setenv("ZOO_SANDBOX", "docker")
    with pytest.raises(ZooError, match='can be "local" or "jobs"'):
        open_box("onnx")
