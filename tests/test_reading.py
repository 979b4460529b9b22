"""Several glyphs in one picture, folders of pictures, and why a network says what it says."""

import base64
import dataclasses
import io
import os
import re
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import cv2
import gradio_client
import numpy as np
import pytest
from conftest import ROOT
from gradio_client.exceptions import AppError
from PIL import Image
from space import serve
from strokes import ARABIC_SEVEN, DOT, FOUR, SEVEN, THREE

import zoo
from zoo import ink
from zoo.ink import decoding, segmentation
from zoo.ink.turns import Turns
from zoo.ink.writing import find_writing
from zoo.serving import by_script, engine, explain, reading, reading_budget, voting
from zoo.serving.reading_budget import Budget, Spent, Unwanted
from zoo.serving.seen import see
from zoo.tabs import choice, draw, read

pytestmark = pytest.mark.usefixtures("own_uploads")


def written(lines, pen=14, size=160, step=220):
    """Lines of sketches as a photo: dark ink on light gray paper, uint8 (H, W, 3)."""
    page = np.full((260 * len(lines) + 80, step * max(map(len, lines)) + 120, 3), 225, np.uint8)
    for row, line in enumerate(lines):
        for column, strokes in enumerate(line):
            corner = np.array([60 + step * column + 17 * (row % 2), 60 + 260 * row + 9 * (column % 3)])
            for stroke in strokes:
                points = np.int32(np.array(stroke) * size * 1.3 + corner)
                cv2.polylines(page, [np.repeat(points, 2, axis=0)], False, (40, 40, 90), pen, cv2.LINE_AA)
    return page


def ink_of(page):
    return find_writing(decoding.pixels(page)).ink


def saved(page, form="JPEG", **options):
    file = io.BytesIO()
    Image.fromarray(page).save(file, form, **options)
    return file.getvalue()


def test_glyphs_are_read_line_by_line():
    page = zoo.read(written([[THREE, SEVEN, FOUR], [SEVEN, FOUR]]), "hdr_cnn.mnist")
    assert page.text == str(page) == "374\n74"
    assert len(repr(page)) < 1000  # no pixels: people print it
    assert all(0 < value < 1 for glyph in page.glyphs for value in glyph.box)


def test_a_number_with_a_dot_for_zero_runs_left_to_right():
    assert zoo.read(written([[ARABIC_SEVEN, DOT, ARABIC_SEVEN]], pen=22), "resco_mini.ahdd").text == "٧٠٧"


@pytest.mark.parametrize(
    ("changes", "wanted", "sentence"),
    [
        ({"MOST_PAGES": 3}, True, "At most 3 pages"),
        ({"MOST_SECONDS": -1.0}, True, "takes more than"),
        ({}, False, "Nobody waits"),
    ],
)
def test_a_call_reads_few_pages_whatever_it_sends(tmp_path, monkeypatch, changes, wanted, sentence):
    """A zip of TIFFs, a TIFF alone, and one picture that several networks read."""
    for name, value in changes.items():
        monkeypatch.setattr(reading_budget, name, value)
    monkeypatch.setattr(read.gate, "listening", lambda: wanted)
    page = Image.fromarray(written([[SEVEN]]))
    file = io.BytesIO()
    page.save(file, "TIFF", save_all=True, append_images=[page])
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in "ab":
            archive.writestr(f"{name}.tif", file.getvalue())
    assert sentence in read.respond([str(tmp_path / "two.zip")], {"script": "digits", "models": ["lenet5.mnist"]})
    own = Budget(lambda: wanted)
    with pytest.raises(Spent, match=sentence):
        [list(see(io.BytesIO(file.getvalue()), own)) for _ in range(2)]


@pytest.mark.parametrize(
    "asked",
    [{"script": "digits", "models": ["lenet5.mnist"]}, {"script": "anything"}, {"models": ["lenet5.mnist"] * 3}],
    ids=["a script", "anything", "one by name"],
)
def test_pages_that_are_read_when_the_time_ends_are_shown(tmp_path, monkeypatch, asked):
    """Of a TIFF, by whatever networks; the picture behind it is left out."""
    monkeypatch.setattr(reading_budget, "MOST_PAGES", 2)
    for name in "ab":
        (tmp_path / f"{name}.tif").write_bytes(tiff(*[written([[SEVEN]])] * 3))
    answer = read.respond([str(tmp_path / f"{name}.tif") for name in "ab"], asked)
    assert answer.count('data-text="7"') == 2
    assert "At most 2 pages are read" in answer


def test_networks_that_have_read_a_picture_when_the_time_ends_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(reading_budget, "MOST_PAGES", 1)
    (tmp_path / "a.tif").write_bytes(tiff(written([[SEVEN]])))
    answer = read.respond([str(tmp_path / "a.tif")], {"models": ["lenet5.mnist", "hdr_cnn.mnist"]})
    assert answer.count('data-text="7"') == 1
    assert "At most 1 pages" in answer


@pytest.mark.parametrize("networks", [["lenet5.ahdd"], ["lenet5.mnist", "lenet5.unipen_letters"]])
def test_steps_of_reading_take_turns(monkeypatch, networks):
    """Ten pictures at a time made everybody's sketches forty times slower; who sends many has one step at a time."""
    running, most, lock, free = Counter(), Counter(), threading.Lock(), Turns(2)

    def step(*arguments, asks=reading._classified):
        with lock:
            running[sender.get()] += 1
            most["all"] = max(most["all"], running.total())
            most["one"] = max(most["one"], *running.values())
        time.sleep(0.01)
        with lock:
            running[sender.get()] -= 1
        return asks(*arguments)

    def read_one(name: str) -> str:
        sender.set(name)
        return reading.read_any(written([[SEVEN, SEVEN, SEVEN]]), predictors, Budget(sender=name)).text

    sender: ContextVar[str] = ContextVar("sender")
    predictors = [zoo.load_predictor(name) for name in networks]
    monkeypatch.setattr(reading, "_classified", step)
    monkeypatch.setattr(reading_budget, "READERS", free)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read_one, "aaaabbbc"))) == 1
    assert (most["all"], most["one"]) == (2, 1)
    assert free._free == 2


def test_what_can_be_read_of_a_picture_is_the_answer_and_a_note_says_what_is_missing(monkeypatch):
    """For programs, too: a page that cannot be read costs no other one, and who has gone gets nothing."""
    page = written([[SEVEN]])
    monkeypatch.setattr(segmentation, "MOST", 3)
    found = zoo.read(tiff(page, written([[SEVEN] * 3, [SEVEN] * 3]), page), "lenet5.mnist")
    assert (found.text, len(found.notes)) == ("7\n\n7", 2)
    assert "at most" in found.notes[-1].lower()
    monkeypatch.setattr(reading_budget, "MOST_PAGES", 1)
    predictors = [zoo.load_predictor(name) for name in ("lenet5.mnist", "hdr_cnn.mnist")]
    said = engine.of_picture(tiff(page, page), predictors, Budget())
    assert (said["text"], "At most 1 pages" in said["notes"][-1]) == ("7", True)
    left = iter([True, True, False])
    with pytest.raises(Unwanted):
        engine.of_picture(tiff(page, page), predictors, Budget(lambda: next(left, False)))


@pytest.mark.parametrize("said", [{"models": ["lenet5.ahcd"]}, {"script": by_script.ANYTHING}], ids=["one", "several"])
@pytest.mark.parametrize("route", ["engine", "page", "endpoint"])
def test_a_server_keeps_no_page_while_it_reads_the_next(monkeypatch, route, said):
    """A page of a network of 10,000 labels has 8 MB of probabilities."""
    kept, alive = [], []

    def found(*arguments, asks=reading._read_glyph):
        alive.append(sum(one() is not None for one in kept))
        glyph = asks(*arguments)
        kept.append(weakref.ref(glyph))
        return glyph

    monkeypatch.setattr(reading, "_read_glyph", found)
    content, asked = tiff(*[written([[THREE]])] * 6), choice.Asked.of(said)
    if route == "engine":
        engine.of_picture(content, [zoo.load_predictor(name) for name in asked.models], Budget())
    elif route == "page":
        assert len(list(read.answer(content, asked, "a.tif"))) == 6
    else:
        image = "data:image/tiff;base64," + base64.b64encode(content).decode()
        assert read.read({"image": image, "model": asked.models[0]})["text"].count("\n\n") == 5
    assert len(alive) >= 6
    assert max(alive) <= len(asked.models)


@pytest.mark.parametrize("count", [100, 101, 10_000])
def test_an_answer_has_so_many_labels_the_likeliest(count):
    labels = tuple(chr(0x4E00 + number) for number in range(count))
    chances = np.linspace(0, 1, count, dtype=np.float32)
    predictor = dataclasses.replace(zoo.load_predictor("lenet5.mnist"), labels=labels)
    (glyph,) = engine.of_sketch(engine.Sketch(SEVEN, 1.0, 0.05, ()), 1.0, chances, predictor)["glyphs"]
    page = engine.of_page(voting.Votes("", "", labels, chances, np.arange(count), 0.5), predictor)
    drawn = draw._as_json(draw.Reading("", "", labels, chances, np.zeros((28, 28, 1), np.uint8)))
    for said in (glyph["probabilities"], page["probabilities"], page["votes"], drawn["probabilities"]):
        assert tuple(said) == labels[-100:]
    assert drawn["confidence"] == drawn["probabilities"][labels[-1]] == glyph["confidence"] == 1
    assert page["votes"][labels[-1]] == count - 1


def tiff(*pages):
    """Return pages as the bytes of a TIFF."""
    file = io.BytesIO()
    first, *others = map(Image.fromarray, pages)
    first.save(file, "TIFF", save_all=True, append_images=others)
    return file.getvalue()


def test_letters_are_ordered_right_to_left_and_keep_their_dots():
    found = segmentation.find_glyphs(ink_of(written([[THREE, SEVEN]])), right_to_left=True)
    assert found[0].x > found[1].x
    page = written([[SEVEN]])
    cv2.circle(page, (170, 50), 9, (40, 40, 90), -1)  # a dot above
    assert len(segmentation.find_glyphs(ink_of(page))) == 1


def test_what_a_network_is_not_sure_of_is_said():
    page = written([[THREE, [[(0.1, 0.1), (0.9, 0.9)], [(0.9, 0.1), (0.1, 0.9)], [(0.5, 0), (0.5, 1)]]]])
    found = zoo.read(page, "hdr_cnn.mnist")
    assert found.glyphs[0].label == "3"
    least = zoo.load_predictor("hdr_cnn.mnist").threshold  # its own, chosen on validation
    assert [glyph.sure for glyph in found.glyphs] == [glyph.confidence >= least for glyph in found.glyphs]
    answer = read.render(found, "page.png")
    assert answer.count("<rect") == len(found.glyphs)
    assert answer.count('class="unsure"') == sum(not glyph.sure for glyph in found.glyphs) * 2  # box and letter


def test_pictures_of_a_zip_are_read_one_by_one(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/three.jpg", saved(written([[THREE]])))
        archive.writestr("a/blank.png", saved(np.full((50, 50, 3), 255, np.uint8), "PNG"))
        archive.writestr("__MACOSX/._three.jpg", b"no picture")
        archive.writestr("notes.txt", b"no picture")
    answer = read.respond([str(path)], {"models": ["hdr_cnn.mnist"]})
    assert re.findall('data-text="([^"]*)"', answer) == ["3"]
    assert answer.count("blank.png: Nothing stands out") == 1
    path.write_bytes(b"no zip")
    assert "not a zip that can be opened" in read.respond([str(path)], {"models": ["hdr_cnn.mnist"]})
    assert read.respond(None, {"models": ["hdr_cnn.mnist"]}).count(read.WELCOME) == 1


def test_a_zip_bomb_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large.png", bytes(200_000_000))
    assert "larger than 20 MB" in read.respond([str(path)], {"models": ["hdr_cnn.mnist"]})
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(read.MOST_FILES + 1):
            archive.writestr(f"{index}.png", b"no picture")
    assert f"{read.MOST_FILES} pictures are read at a time" in read.respond([str(path)], {"models": ["hdr_cnn.mnist"]})


def test_what_explains_a_large_image_takes_little_memory():
    image = np.zeros((128, 128, 1), np.uint8)
    tracemalloc.start()
    try:
        explain.saliency(lambda images: np.full((len(images), 2), 0.5, np.float32), image)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


LARGE_BATCH = """
import sys, numpy, psutil, zoo
predictor = zoo.load_predictor(sys.argv[1])
blank = numpy.zeros((256, *predictor.input_shape), numpy.uint8)
predictor(blank[:1])
before = psutil.Process().memory_info().rss
predictor(blank)
print(psutil.Process().memory_info().rss - before)
"""


@pytest.mark.parametrize("name", ["resco_mini.mnist", "glyphnet_1m.mnist"])
def test_a_large_batch_leaves_no_memory_behind(name):
    """ONNX Runtime would keep the most that a run ever took, for each network.

    In a process of its own, like a server: that of the tests holds gigabytes of trainings, among which it fits or not.
    """
    done = subprocess.run([sys.executable, "-c", LARGE_BATCH, name], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40e6


def test_a_phone_photo_is_decoded_small():
    page = cv2.resize(written([[THREE]]), (4000, 3000))
    file = saved(page, quality=85)
    started = time.process_time()
    small = decoding.pixels(io.BytesIO(file))
    assert max(small.shape) == decoding.SIDE
    assert time.process_time() - started < 5  # seconds of the processor; scripts/bench/space.py holds it to 0.3


def test_occlusion_finds_the_ink_that_matters():
    predictor = zoo.load_predictor("hdr_cnn.mnist")
    image = ink.from_strokes(SEVEN, predictor.contract, 1.0)
    found = explain.saliency(predictor, image)
    assert found.shape == (28, 28)
    assert found[image[..., 0] > 127].mean() > 5 * abs(found[:3]).mean()  # the margin says nothing
    other = explain.saliency(predictor, image, label=1)
    seen = []
    whole = explain.saliency(lambda images: seen.append(len(images)) or predictor(images), image)
    np.testing.assert_allclose(whole, found, atol=1e-4)
    assert max(seen) <= explain.TOGETHER < sum(seen)
    assert other[image[..., 0] > 127].mean() < found[image[..., 0] > 127].mean()


def test_feature_maps_are_what_keras_gives():
    folder = zoo.settings.PRETRAINED / "lenet5.mnist"
    image = ink.from_strokes(THREE, ink.MNIST, 1.0)
    maps = explain.feature_maps(folder, image)
    model = zoo.load_model("lenet5.mnist")
    layers = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert [m.shape[-1] for m in maps] == [layer.filters for layer in layers]
    from zoo.backend import keras

    first = keras.Model(model.inputs, layers[0].output).predict(image[None], verbose=0)[0]
    np.testing.assert_allclose(np.tanh(maps[0]), first, atol=1e-4)  # ONNX has the activation as a node of its own


# --- the endpoints -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def space():
    with serve() as space:
        yield space


def test_endpoints_read_a_page_and_list_the_networks(space, tmp_path):
    client = gradio_client.Client(space.url, verbose=False)
    path = tmp_path / "page.jpg"
    path.write_bytes(saved(written([[THREE, SEVEN], [FOUR]])))
    answer = client.predict(image=gradio_client.handle_file(path), model="lenet5.mnist", api_name="/read")
    assert answer["text"] == "37\n4"
    assert [glyph["line"] for glyph in answer["glyphs"]] == [0, 0, 1]
    listed = client.predict(api_name="/models")
    assert [row["model"] for row in listed] == list(zoo.list_models())
    assert {row["script"] for row in listed} == {"latin", "arabic"}
    for inputs, words in (({"image": "no"}, "this is neither"), ({"image": "data:image/png;base64,AA=="}, "be read")):
        with pytest.raises(AppError, match=words):
            client.predict(**inputs, api_name="/read")


def test_agents_find_the_same_as_tools(space):
    import asyncio

    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def tools():
        async with (
            streamable_http_client(f"{space.url}/gradio_api/mcp/") as (reading, writing, *_),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return (await session.list_tools()).tools

    # In a thread of its own: the browser's tests leave a loop running in this one.
    with ThreadPoolExecutor() as pool:
        listed = pool.submit(lambda: asyncio.run(tools())).result()
    found = {tool.name.rpartition("_")[2]: tool.description for tool in listed}
    assert {"predict", "read", "models", "leaderboard"} <= set(found)
    assert "in reading order" in found["read"]


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_documented_snippets_run(space, language, tmp_path):
    """Each as it is written, one after the other."""
    text = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
    snippets = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 3
    (tmp_path / "page.jpg").write_bytes(saved(written([[THREE, SEVEN]])))
    (tmp_path / "7.png").write_bytes(saved(written([[SEVEN]]), "PNG"))
    run = [sys.executable, "-c"] if language == "python" else ["bash", "-euc"]
    printed = []
    for snippet in snippets:
        done = subprocess.run(
            [*run, snippet.replace("http://localhost:7860", space.url)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"},
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert '"text":"7"' in printed[0] or "37" in printed[0]
    assert "37" in printed[1]
    assert "37" in printed[2]
    assert "hdr_cnn.mnist" in printed[2]
