"""Networks of others run in processes with limits: whatever a file does to a runtime, who asks gets a sentence."""

import gc
import io
import shutil
import struct
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from conftest import ROOT
from onnx import numpy_helper
from test_strangers_models import network, node, total

import zoo
from zoo.errors import ZooError
from zoo.processes import conversation, spawning
from zoo.serving import opening
from zoo.settings import PRETRAINED

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing limits a process")
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
FOUR_GB = [node("ConstantOfShape", "k", "c", value=numpy_helper.from_array(np.ones(1, np.float32))), total("c")]
DIVIDED = [node("Div", "b m", "e"), node("Cast", "e", "a", to=1), total("a")]  # the smallest number by -1
OF_IMAGES = [node("Cast", "image", "c", to=7), node("Mul", "c z", "d"), node("Add", "d n", "b")]
NUMBERS = {"n": np.array([-(2**63)]), "m": np.array([-1]), "z": np.array([0])}
HARM = {  # to whoever opens it, or computes it
    "takes memory": ([*FOUR_GB], {"k": np.array([10**9])}),
    "crashes when it is opened": ([node("Identity", "n", "b"), *DIVIDED], NUMBERS),
    "crashes when it is computed": ([*OF_IMAGES, *DIVIDED], NUMBERS),
}


@pytest.fixture
def published(tmp_path):
    """A published folder that may be spoiled."""
    return shutil.copytree(PRETRAINED / "lenet5.mnist", tmp_path / "model")


def processes():
    """The processes that compute networks now; others wait for one, and have one thread."""
    spawner = psutil.Process(opening._SPAWNERS.started().process.pid)
    return {one for one in spawner.children() if one.num_threads() > 1}


@pytest.mark.parametrize("how", HARM)
def test_what_the_checks_miss_costs_one_process(published, monkeypatch, how):
    served = zoo.load_predictor(published)
    right = served(IMAGES)
    spoiled = shutil.copytree(published, published.with_name("spoiled"))
    network(spoiled / "model.onnx", *HARM[how])
    with pytest.raises(ZooError, match=r"is not opened|not by stored numbers"):
        zoo.load_predictor(spoiled)
    monkeypatch.setattr(opening, "_bounds", lambda path, runtime: False)
    for _ in range(2):
        with pytest.raises(ZooError, match=r"ended its process|its ConstantOfShape failed"):
            zoo.load_predictor(spoiled)(IMAGES)
    np.testing.assert_array_equal(served(IMAGES), right)


def test_a_process_that_ends_is_started_again_for_the_same_network(published):
    before = processes()
    served = zoo.load_predictor(published)
    (one,) = processes() - before
    right = served(IMAGES)
    one.kill()
    with pytest.raises(
        ZooError, match=r"model.onnx ended its process: it takes more than 3 GB of memory or 60 seconds, or onnxruntime"
    ):
        served(IMAGES)
    np.testing.assert_array_equal(served(IMAGES), right)
    (one,) = processes() - before
    one.kill()
    shutil.copyfile(PRETRAINED / "glyphnet_2k.mnist" / "model.onnx", published / "model.onnx")
    with pytest.raises(ZooError, match="ended its process"):
        served(IMAGES)
    with pytest.raises(ZooError, match="has become another network: load it again"):
        served(IMAGES)


@pytest.mark.parametrize("open_", [zoo.load_predictor, lambda folder: opening.bounded(folder / "model.onnx")])
def test_a_file_that_says_it_is_larger_than_any_network_is_not_read(published, open_):
    with (published / "model.onnx").open("ab") as file:
        file.truncate(opening.LARGEST + 1)
    with pytest.raises((ZooError, OSError), match="500,000,001 bytes"):
        open_(published)


def test_a_process_that_takes_too_long_is_ended(published, monkeypatch):
    before = processes()
    monkeypatch.setattr(opening, "SECONDS", 0.5)
    served = zoo.load_predictor(published)
    (one,) = processes() - before
    one.suspend()
    began = time.monotonic()
    with pytest.raises(ZooError, match="ended its process"):
        served(IMAGES)
    assert time.monotonic() - began < 5
    one.wait(5)


def test_a_process_ends_with_its_network(published):
    before = processes()
    served = zoo.load_predictor(published)
    (one,) = processes() - before
    del served
    gc.collect()
    one.wait(5)


def test_a_process_ends_with_whoever_asked(published):
    code = f"import time, zoo; one = zoo.load_predictor({str(published)!r}); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as asking:
        asking.stdout.readline()
        others = psutil.Process(asking.pid).children(recursive=True)
        (one,) = [one for one in others if one.num_threads() > 1]
        one.suspend()  # it ends by itself no more
        asking.kill()
    assert psutil.wait_procs(others, timeout=10)[1] == []


PEEK = """
import os
from zoo.processes import spawning
def look(request, content):
    found = []
    for name in ("maps", "mem", "fd", "environ", "status", "task", *(f"fd/{n}" for n in range(2, 20))):
        for how in (os.O_RDONLY, os.O_WRONLY):
            try:
                os.close(os.open(f"/proc/{os.getppid()}/{name}", how))
                found.append(name)
            except OSError:
                pass
    held = []
    for number in range(3, 64):
        try:
            held.append(os.fstat(number).st_mode and number)
        except OSError:
            pass
    os.write(2, b"forged")
    return {"found": found, "held": held}, ()
spawning.serve({"look": look})
"""


def test_a_process_sees_nothing_of_its_spawner(capfd):
    """Its pipes tell the spawner to fork or to end, and its log is that of the server."""
    spawners = spawning.Spawners(PEEK)
    try:
        answer = spawners.run({"task": "look"}, b"", spawning.Limits())
        answer.file.close()
    finally:
        spawners.close()
    assert answer.header.get("found") == [], answer.header
    assert len(answer.header["held"]) == 3, "nothing, what is made, and the pipe for the answer"
    assert "forged" not in capfd.readouterr().err


def test_a_fork_asks_a_process_of_its_own(published):
    served = zoo.load_predictor(published)
    right = served(IMAGES)
    served.runtime._process._asked._owner = 1  # as a fork finds it
    np.testing.assert_array_equal(served(IMAGES), right)


@pytest.mark.parametrize("count", [0, 2])
def test_an_answer_is_one_array(published, monkeypatch, count):
    served = zoo.load_predictor(published)
    monkeypatch.setattr(served.runtime._process, "ask", lambda images: [np.zeros((3, 10), np.float32)] * count)
    with pytest.raises(ZooError, match=f"answered with {count} arrays; expected one"):
        served(IMAGES)


def test_an_answer_is_not_believed():
    """What a process sends in place of an answer is no array, or too many bytes."""
    texts = [b"[", b"{}", b'{"arrays": 1}', b"[" * 100_000]
    texts += [
        b'{"arrays": [["%s", [%s]]]}' % one for one in ((b"object", b"1"), (b"uint8", b"-1"), (b"uint8", b"true"))
    ]
    texts += [b'{"arrays": [["float32", [%s]]]}' % b",".join([b"9" * 4000] * count) for count in (2, 400)]
    texts += [b'{"arrays": [["float32", [%s]]]}' % b",".join([b"0"] * 100)]
    for text in [*texts, b'{"arrays": [["uint8", [1000000000]]]}']:
        sent = io.BytesIO(struct.pack("<I", len(text)) + text)
        with pytest.raises((ValueError, TypeError, KeyError, RecursionError)):
            conversation._read(sent.readinto)
    with pytest.raises(EOFError):
        conversation._read(io.BytesIO(b"").readinto)
    with pytest.raises(ValueError, match="too long"):
        conversation._read(io.BytesIO(b"\xff" * 9).readinto)
