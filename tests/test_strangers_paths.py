"""What a stranger's archive may bring in place of a file: pipes, links to devices, holes."""

import json
import os
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pandas
import pytest

import zoo
from leaderboard import evaluation, for_agents
from leaderboard.tabs.board_frame import Live
from zoo import hub
from zoo.errors import ZooError
from zoo.ingest import labelled_folders
from zoo.published import PublishedFolder
from zoo.regular_files import read_bytes
from zoo.serving import by_script, opening
from zoo.settings import PRETRAINED
from zoo.training import transfer

PNG = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()


@pytest.fixture
def published(tmp_path):
    """A published folder that may be spoiled."""
    return shutil.copytree(PRETRAINED / "lenet5.mnist", tmp_path / "model")


@pytest.fixture
def pictures(tmp_path):
    """A folder of a class."""
    (tmp_path / "pictures" / "a").mkdir(parents=True)


PIPES = {
    "a picture that a table names": ("pictures/a/9.png", lambda folder: _named_by_a_table(folder)),
    "a picture that went": (
        "pictures/a/0.png",
        lambda folder: labelled_folders._read_file([folder / "pictures/a/0.png"], 0),
    ),
    "a network in int8": ("model/model.int8.onnx", lambda folder: zoo.load_predictor(folder / "model", "fastest")),
    "its revision": ("model/model.onnx", lambda folder: transfer.Start("a", "b", (), None, folder / "model").revision),
}


def _of_a_class(folder):
    labelled_folders._read_file([folder / "pictures/a/0.png"], 0)  # it was a file when the folder was listed


def _named_by_a_table(folder):
    rows = [{"bytes": None, "path": "a/9.png"}, {"bytes": PNG, "path": None}]
    pandas.DataFrame({"image": rows, "label": [0, 1]}).to_parquet(folder / "pictures" / "train.parquet")
    labelled_folders.read_folders(str(folder / "pictures" / "train.parquet")).splits["train"].encoded(0)


@pytest.mark.parametrize("where", PIPES)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(pictures, published, tmp_path, where):
    name, use = PIPES[where]
    said = published / "preprocessor_config.json"
    said.write_text(json.dumps({**json.loads(said.read_text()), "serving": {"precision": "int8"}}))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    signal.alarm(20)  # else the test would wait for ever
    try:
        with pytest.raises((ZooError, OSError), match="a pipe or a device"):
            use(tmp_path)
    finally:
        signal.alarm(0)


LINKS = {
    "a device": (lambda path: path.symlink_to("/dev/zero"), "a pipe or a device"),
    "a pipe": (os.mkfifo, "a pipe or a device"),
    "a hole": (lambda path: (path.touch(), os.truncate(path, 10**8)), "are stored"),
    "a large hole": (lambda path: (path.touch(), os.truncate(path, 10**13)), "the most is"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_what_is_no_file_or_is_not_stored_is_not_read(published, tmp_path, kind):
    """4 kB on the disk said that they were 2 GB, and a link to a device never ends."""
    make, sentence = LINKS[kind]
    for path, use in (
        (tmp_path / "picture.png", zoo.read),
        (published / "preprocessor_config.json", lambda path: PublishedFolder(published).preprocessor),
        (published / "model.onnx", opening.bounded),
        *((published / name, lambda path: zoo.load_model(published)) for name in ("metadata.json", "config.json")),
        (published / "model.tflite", lambda path: opening.load(path, "litert")),
        (published / "history.json", lambda path: evaluation.facts(published)),
        (published / "model.onnx", lambda path: evaluation.revision(published)),
    ):
        before = path.read_bytes() if path.is_file() else None
        path.unlink(missing_ok=True)
        make(path)
        others = "is a link to|the most is|cannot be read as one|there is no (metadata|config)|There is no file"
        with pytest.raises((ZooError, OSError), match=rf"{sentence}|{others}"):
            use(path)
        path.unlink()
        if before is not None:
            path.write_bytes(before)


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="this system has no such files")
@pytest.mark.parametrize("file", ["pagemap", "maps", "mem"])
def test_what_the_system_makes_while_it_is_read_holds_nothing(published, file):
    """A link to the first is 256 GB, which `load_model` copied."""
    assert read_bytes(Path("/proc/self", file)) == b""
    (published / "config.json").unlink()
    (published / "config.json").symlink_to(f"/proc/self/{file}")
    with pytest.raises(ZooError, match=r"config\.json is a link to a file outside"):
        zoo.load_model(published)


@pytest.mark.parametrize("file", ["README.md", "model.onnx", "preprocessor_config.json", "history.json", "figures"])
def test_nothing_is_shown_that_a_link_in_a_folder_of_networks_leads_to(published, tmp_path, monkeypatch, file):
    """Agents read `/proc/self/environ`, with a token in it, as the card of a network."""
    name = "gift.mnist"
    shutil.copytree(published, tmp_path / "models" / name)
    (tmp_path / "secret").mkdir()
    link = tmp_path / "models" / name / file
    if link.is_file():
        shutil.move(link, tmp_path / "secret" / file)
    elif "." in file:
        (tmp_path / "secret" / file).write_text("PRIVATE KEY")
    link.symlink_to(tmp_path / "secret" / file if "." in file else tmp_path / "secret")
    monkeypatch.setenv("ZOO_MODELS", str(tmp_path / "models"))
    for named in (name, str(link.parent), link.parent):
        with pytest.raises(ZooError, match=f"{file} is a link to a file outside"):
            hub.resolve(named)
    assert name not in [one.model for of_it in by_script.networks().values() for one in of_it]
    assert f"zoo://models/{name}" not in [one.uri for one in for_agents.resources(Live())()]


def test_links_within_a_folder_and_those_of_the_cache_are_followed(published, tmp_path):
    """As the Hub's client makes it; a folder that only says so has no contents next to it."""
    cached = tmp_path / "models--me--x" / "snapshots" / "0"
    shutil.copytree(published, cached)
    (cached / "README.md").symlink_to("../../blobs/a")
    (tmp_path / "models--me--x" / "blobs").mkdir()
    (tmp_path / "models--me--x" / "blobs" / "a").write_text("A card")
    assert PublishedFolder(hub.resolve(cached)).card == "A card"
    (cached / "README.md").unlink()
    (cached / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(ZooError, match=r"README\.md is a link to a file outside"):
        hub.resolve(cached)
    (published / "README.md").symlink_to("metadata.json")
    assert hub.resolve(published) == published
