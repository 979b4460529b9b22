"""The Space without a browser: its pure functions, its endpoint, what it costs to run."""

import base64
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import gradio as gr
import gradio_client
import numpy as np
import pytest
from conftest import ROOT
from gradio_client.exceptions import AppError
from records import answers, made_up, write_board, write_report
from space import serve
from strokes import ARABIC_SEVEN, DOT, SEVEN, THREE, sketch

import zoo
from leaderboard import results, snapshot, table
from leaderboard.tabs import compare, datasets, model_page, table_html
from zoo import data, gate
from zoo.serving import by_script
from zoo.tabs import choice, draw, read

HEAVY = {"keras", "tensorflow", "jax", "torch", "datasets", "evaluate", "sklearn", "matplotlib"}


@pytest.fixture(scope="module")
def space():
    with serve() as space:
        yield space


@pytest.fixture(scope="module")
def predict(space):
    """Return a function that calls `/predict` and returns its predictions."""
    client = gradio_client.Client(space.url, verbose=False)
    return lambda **inputs: client.predict(**inputs, api_name="/predict")["predictions"]


def reading(**changes):
    fields = {
        "model": "lenet5.ahdd",
        "script": "arabic",
        "labels": tuple("٠١٢"),
        "probabilities": np.array([0.0002, 0.9997, 0.0001], np.float32),
        "image": np.zeros((28, 28, 1), np.uint8),
    }
    return draw.Reading(**{**fields, **changes})


def test_a_card_says_what_was_read_and_how_surely():
    page = draw.render([reading()])
    assert 'data-label="١"' in page
    assert "the digit 1" in page
    assert "&gt; 99.9%" in page
    assert page.count("<li") == 3


@pytest.mark.parametrize(("classes", "shown"), [(3, 3), (10, 10), (26, 5), (242, 5)])
def test_of_many_classes_the_likeliest_are_shown_first_and_all_on_request(classes, shown):
    chances = np.linspace(0, 1, classes, dtype=np.float32)
    labels = tuple(f"c{number}" for number in range(classes))
    page = draw.render([reading(labels=labels, probabilities=chances / chances.sum())])
    rows = re.findall(r'<li class="([^"]*)"(?: style="order:(\d+)")?', page)
    assert [css.split() for css, _ in rows].count(["rest"]) == classes - shown
    assert rows[-1][0] == "top"
    if shown < classes:
        assert [int(order) for _, order in rows] == [*range(classes)][::-1]
        assert f"All {classes}<" in page
    else:
        assert "All" not in page


def test_what_comes_from_files_is_escaped():
    page = draw.render([reading(model="<script>x.mnist", labels=("<b>", "&", '"'))])
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;x" in page


@pytest.mark.parametrize("payload", [None, "", [], 7, {}, {"strokes": []}, {"strokes": None, "size": None}, "{}"])
def test_a_bad_payload_is_answered_in_words(payload):
    answer = draw.respond(payload, {"models": zoo.list_models()})
    assert answer.startswith('<div class="message"')
    assert "Traceback" not in answer


@pytest.mark.parametrize(
    "said", ["letters", 7, [], {"script": "runes"}, {"script": None, "models": []}, {"models": [7]}]
)
def test_a_bad_choice_is_answered_in_words(said):
    assert draw.respond(sketch(THREE), said).startswith('<div class="message"')


def test_anything_names_script_glyph_and_what_is_written_alike():
    page = draw.respond(sketch(THREE), {"script": "anything"})
    assert 'data-label="3"' in page
    assert "No picture can tell" not in page
    assert page.count("<li") == 3
    assert '<span class="script">Digits</span>' in page
    assert "?tab=models&amp;model=" in page
    circle = [[(0.5 + 0.3 * np.sin(a), 0.5 - 0.4 * np.cos(a)) for a in np.linspace(0, 6.3, 30)]]
    page = draw.respond(sketch(circle), {"script": "anything"})
    assert re.search("No picture can tell <b[^>]*>[0O٥]</b> from <b[^>]*>[^<]*[0O٥]", page)
    turns = np.arange(6) * 4 * np.pi / 5
    star = [[(0.5 + 0.4 * np.sin(a), 0.5 - 0.4 * np.cos(a)) for a in turns]]
    page = draw.respond(sketch(star), {"script": "anything"})
    assert "This looks like none of the characters I know." in page
    assert 'data-label=""' in page


def test_the_list_of_networks_shows_what_the_board_says():
    board = {"lenet5.mnist": choice.Measured(0.9912, 0.07)}
    with gr.Blocks():
        asked = choice.question("draw", lambda: board)
    row = asked.html_template.partition('value="lenet5.mnist"')[2].partition("</tr>")[0]
    assert re.findall("<td>(.*?)</td>", row) == ["99.1%", "130 kB", "0.07 ms"]
    assert [*re.findall("<caption>(.*?)</caption>", asked.html_template)] == [
        title for script, title in by_script.TITLES.items() if script in by_script.networks() and script != "pages"
    ]


def test_a_network_without_convolutions_is_explained_too(monkeypatch):
    monkeypatch.setattr(draw.why, "map_pictures", lambda model, image: [])
    said = draw.respond(sketch(SEVEN), {"models": ["lenet5.mnist"]}, explain=True)
    assert said.count("what speaks for it") == 1
    assert "convolution 1" not in said


@pytest.mark.parametrize(
    ("seconds", "listening", "explained"), [(60, True, 3), (0.25, True, 1), (-1, True, 0), (60, False, 0)]
)
def test_why_is_shown_as_long_as_there_is_time_and_somebody_waits(monkeypatch, seconds, listening, explained):
    """All networks answer; those that come later are not explained."""
    names, shown = ["lenet5.mnist", "glyphnet_2k.mnist", "glyphnet_15k.mnist"], []
    monkeypatch.setattr(draw, "EXPLAINING", seconds)
    monkeypatch.setattr(draw, "_explained", lambda one: time.sleep(0.5) or shown.append(one.model) or one)
    with gate.entered(gate.Caller("192.0.2.1"), lambda: listening):
        said = draw.respond(sketch(SEVEN), {"models": names}, explain=True)
    assert all(name in said for name in names)
    assert shown == names[:explained]


@pytest.mark.parametrize("said", [{"models": ["lenet5.mnist", "glyphnet_2k.mnist"]}, {"script": by_script.ANYTHING}])
def test_one_network_is_explained_at_a_time_and_senders_take_turns(monkeypatch, said):
    """Sixteen calls that explained all networks at once let everybody wait for ten seconds."""
    at_once, most, order = [0], [0], []

    def explained(one):
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        order.append(gate.caller().address)
        time.sleep(0.05)
        at_once[0] -= 1
        return one

    def ask(sender):
        with gate.entered(gate.Caller(sender)):
            return draw.respond(sketch(SEVEN), said, explain=True)

    monkeypatch.setattr(draw, "_explained", explained)
    ask("192.0.2.1")  # what is loaded once is there
    order.clear()
    with ThreadPoolExecutor(7) as pool:
        list(pool.map(ask, ["192.0.2.1"] * 6 + ["192.0.2.2"]))
    assert most == [1]
    assert order.index("192.0.2.2") <= 3  # not after all of the other's


def test_any_script_is_read_in_a_picture(tmp_path):
    page = np.full((400, 700, 3), 240, np.uint8)
    for place in (0, 320):
        cv2.polylines(page, [np.int32(np.array(THREE[0]) * 300 + (place, 30))], False, (60, 40, 30), 14, cv2.LINE_AA)
    path = tmp_path / "33.png"
    cv2.imwrite(str(path), page)
    (said,) = read.answer(path, choice.Asked.of({"script": "anything"}), path.name)
    assert 'data-text="33"' in said
    assert "<span>Digits</span>" in said
    several = read.answer(path, choice.Asked.of({"models": ["lenet5.mnist", "glyphnet_5k.mnist"]}), path.name)
    assert len(list(several)) == 2


def test_every_shipped_network_answers_a_sketch():
    models = choice.glyph_models()
    readings = draw.read(sketch(THREE), models)
    assert [r.model for r in readings] == models
    for r in readings:
        assert r.probabilities.sum() == pytest.approx(1, abs=1e-4)
        if "3" in r.labels:
            assert r.labels[r.best] == "3", r.model


def test_the_endpoint_reads_a_sketch(predict):
    first, second, _ = predict(sketch=sketch(SEVEN))  # one of digits and letters, and of each other script
    assert (first["model"].rpartition(".")[2], first["label"]) == ("alnum", "7")
    assert first["confidence"] == first["probabilities"]["7"] > 0.5
    assert first["image"].startswith("data:image/png;base64,")
    (arabic,) = predict(sketch=sketch(ARABIC_SEVEN), models=[second["model"]])
    assert arabic["label"] == "٧"
    (zero,) = predict(sketch=sketch(DOT), models=[second["model"]])
    assert zero["label"] == "٠"


def test_the_endpoint_reads_a_file_and_a_data_uri(predict, tmp_path):
    page = np.full((400, 300, 3), 240, np.uint8)
    cv2.polylines(page, [np.int32(np.array(THREE[0]) * 250)], False, (160, 60, 30), 12)
    path = tmp_path / "three.png"
    cv2.imwrite(str(path), page)
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    for image in (gradio_client.handle_file(path), uri):
        assert predict(image=image)[0]["label"] == "3"


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, "Send either a sketch or an image: got neither"),
        ({"sketch": sketch([])}, "nothing on the pad yet"),
        ({"sketch": {"strokes": "x", "size": 1}}, "list of strokes"),
        ({"sketch": sketch(THREE), "models": ["lenet5.mnits"]}, "did you mean lenet5.mnist"),
        ({"sketch": sketch(THREE), "models": ["../zoo"]}, "There is no network"),
        ({"sketch": sketch(THREE), "models": []}, "at least one network"),
        ({"image": str(ROOT / "README.md")}, "this is neither"),
        ({"image": {"path": str(ROOT / "README.md")}}, "this is neither"),
        ({"image": "data:image/png;base64,???"}, "not base64"),
        ({"image": "data:image/png;base64,AAAA"}, "cannot be read"),
    ],
)
def test_the_endpoint_says_what_is_wrong(predict, inputs, sentence):
    with pytest.raises(AppError, match=sentence):
        predict(**inputs)


def test_the_space_starts_light_and_stays_small(space, predict):
    assert space.start_cpu < 9  # seconds of processor time until the first page: 4 on a quiet machine, 12 with Keras
    predict(sketch=sketch(THREE), models=choice.glyph_models())
    assert space.process.memory_info().rss < 500e6


def test_the_space_imports_no_framework():
    served = "import sys, spaces_app; spaces_app.service.application().engine.load('anything')"
    code = f"{served}; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_board_is_an_endpoint(space):
    client = gradio_client.Client(space.url, verbose=False)
    rows = client.predict(dataset="mnist", sort="accuracy", descending=True, api_name="/leaderboard")
    assert {row["dataset"] for row in rows} == {"mnist"}
    scores = [row["accuracy"] for row in rows if row["accuracy"] is not None]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(AppError, match="did you mean accuracy"):
        client.predict(sort="acuracy", api_name="/leaderboard")


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """A folder of made-up records and its frame."""
    folder = write_board(tmp_path_factory.mktemp("records"))
    return folder, snapshot.load(folder)


def test_the_table_shows_what_is_asked_for(frame):
    page = table_html.render(frame[1], table.Query(dataset="mnist"), ["parameters"], limit=2)
    assert re.findall(r'data-column="model"><a href="[^"]*model=([\w.]+)"', page) == [
        "hdr_cnn.mnist",
        "mnist_cnn.mnist",
    ]
    assert "242,954" in page
    assert page.count("<small>=</small>1") == 2  # they share the first rank
    assert 'data-column="accuracy"' not in page
    assert "Show 100 more" in page
    assert "No results. Remove a filter" in table_html.render(frame[1], table.Query(search="nothing"))


@pytest.mark.parametrize(
    "name", ["lenet5.mnist", "old.ahdd", "half.mnist", "two-layer ensemble.mnist", "no.such", None]
)
def test_every_model_has_a_page(frame, name):
    page = model_page.page(name, frame[1], frame[0])
    said = {
        "lenet5.mnist": "python scripts/measure.py lenet5.mnist --check",
        "old.ahdd": "Stale: measured on another version of ahdd",
        "half.mnist": "This record is broken. half.mnist.json: This is not a record",
        "two-layer ensemble.mnist": "99.91% are claimed by arXiv",
        "no.such": "There is no row &#39;no.such&#39;",
        None: "There is no row None",
    }
    assert said[name] in page


def test_a_page_shows_what_it_was_before_and_its_curves(tmp_path):
    for accuracy, date in ((0.9, "2026-11-01T00:00:00+00:00"), (0.95, "2026-11-21T00:00:00+00:00")):
        results.write(made_up("lenet5.mnist", [accuracy], date=date), answers(10), tmp_path)
    write_report(made_up("lenet5.mnist", [0.95]), tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A card\n![a picture](x.png)\nSome text.\n")
    page = model_page.page("lenet5.mnist", snapshot.build(tmp_path).rows, tmp_path)
    assert page.count('<polyline class="accent"') == 5  # reliability, validation, gap, "don't know", over time
    assert "90.00%</strong><br>2026-11-01" in page
    assert model_page.card(tmp_path).strip() == "# A card\nSome text."
    assert model_page.card(None) == ""
    for text, said in ((b"---", ""), (b"\xff\xfe", "\ufffd\ufffd"), (b"x" * 6_000_000, "")):
        (tmp_path / "README.md").write_bytes(text)
        assert model_page.card(tmp_path) == said


def test_what_records_say_is_escaped(frame, tmp_path):
    folder = tmp_path
    bad = "<script>alert(1)</script>"
    results.write(made_up("lenet5.mnist", [0.9], title=bad, licence=bad, selection=bad), answers(10), folder)
    found = snapshot.build(folder).rows
    pages = (
        model_page.page("lenet5.mnist", found, folder),
        model_page.page(bad, found, folder),
        table_html.render(found, table.Query(), table_html.CHOOSABLE),
    )
    assert not any("<script" in page for page in pages)


def test_two_models_are_compared_on_the_same_samples(frame):
    folder, found = frame
    page = compare.page("hdr_cnn.mnist", "lenet5.mnist", found, folder)
    assert re.search("hdr_cnn.mnist</strong> is significantly better than <strong", page)
    assert "(38 samples against 0)" in page
    assert page.count("<figure>") == 12
    assert "do not differ significantly" in compare.page("hdr_cnn.mnist", "mnist_cnn.mnist", found, folder)
    for pair, sentence in (
        (("lenet5.mnist", "lenet5.ahdd"), "no samples in common"),
        (("lenet5.mnist", "lenet5.mnist"), "the same model"),
        (("lenet5.mnist", "half.mnist"), "not a record"),
        ((None, "lenet5.mnist"), "Choose two models"),
    ):
        assert sentence in compare.page(*pair, found, folder)


def test_every_dataset_of_the_zoo_has_a_current_leak_report():
    page = datasets.page(snapshot.build().rows)
    of_glyphs = [
        spec for spec in data.DATASETS.values() if spec.image_shape and not spec.parts and spec.name != "optdigits"
    ]
    assert page.count("Exact duplicates") == len(of_glyphs)
    assert "Stale" not in page
