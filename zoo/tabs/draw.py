"""The *Draw* tab: a sketch pad and the predictions of each chosen network.

`predict` is also the Space's `/predict` endpoint. Everything between the browser and the networks is a pure function:
`read` turns a sketch and model names into readings, `render` turns readings into HTML.
"""

import base64
import dataclasses
import functools
import html
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import gradio as gr
import numpy as np

import zoo
from zoo import gate, hub, ink
from zoo.errors import UnknownName, ZooError
from zoo.published import PublishedFolder
from zoo.serving.predictor import Predictor
from zoo.serving.reading import read_seen, see
from zoo.settings import PRETRAINED
from zoo.tabs import why
from zoo.tabs.space import api
from zoo.types import Json

SIDE = 1000  # units of the pad's side: finer than any screen, and integers are short to send
ANSWERERS = 4  # sketches answered at the same time; more would only share the cores
WELCOME = "The pad is empty. Draw a digit: the networks answer when you lift the pen."
MOST_FIRST = 3  # models of `ZOO_MODELS` that are used by default
FIRST_CHOICE = ("mnist", "ahdd")  # datasets whose best model is used by default


@dataclass(frozen=True)
class Reading:
    """The prediction of one network for one sketch.

    model: its name.
    script: of its labels, "latin" or "arabic".
    labels: what its classes are called.
    probabilities: float32 (len(labels),), of each class.
    image: uint8 (H, W, 1), the image it received.
    why: pictures that explain it, (caption, uint8 picture, gray or RGB); empty unless requested.
    """

    model: str
    script: str
    labels: tuple[str, ...]
    probabilities: np.ndarray
    image: np.ndarray
    why: tuple[tuple[str, np.ndarray], ...] = ()

    @property
    def best(self) -> int:
        """Index of the most likely class."""
        return int(self.probabilities.argmax())


def tab() -> gr.CheckboxGroup:
    """Build the tab inside a `gr.Blocks`, with its endpoint `/predict`; return the choice of networks."""
    with gr.Row(elem_id="draw"):
        with gr.Column(elem_id="draw-side", scale=4, min_width=280):
            pad = gr.HTML(
                html_template=asset("pad.html"),
                css_template=asset("pad.css"),
                js_on_load=asset("pad.js"),
                apply_default_css=False,
                elem_id="draw-pad",
                side=SIDE,
                pen=ink.PEN,
            )
            explain = gr.Checkbox(label="Show why", elem_id="draw-why", container=False)
            models = gr.CheckboxGroup(glyph_models(), value=first_choice(), label="Networks", elem_id="draw-models")
        with gr.Column(elem_id="draw-answer", scale=6, min_width=280):
            answer = gr.HTML(message(WELCOME), css_template=asset("answer.css"), apply_default_css=False)

    asked = {
        "fn": respond,
        "inputs": [pad, models, explain],
        "outputs": answer,
        "trigger_mode": "always_last",
        "show_progress": "hidden",
        "concurrency_limit": ANSWERERS,
        "api_visibility": "private",
    }
    pad.input(**asked)
    models.input(**asked)
    explain.input(**asked)
    api(predict, ANSWERERS)
    return models


def warm() -> threading.Thread:
    """Load the shipped networks in the background, so that the first stroke is answered quickly too."""

    def load() -> None:
        for name in glyph_models():
            predictor = predictor_of(name)
            predictor(np.zeros((1, predictor.contract.height, predictor.contract.width, 1), np.uint8))

    thread = threading.Thread(target=load, name="warm", daemon=True)
    thread.start()
    return thread


def respond(sketch: Json | None, models: Sequence[str], explain: bool = False) -> str:
    """Return the HTML that answers a sketch; problems of the sketch are shown there as a sentence."""
    try:
        readings = read(_strokes(sketch), models)
        return render([_explained(reading) for reading in readings] if explain else readings)
    except ZooError as error:
        return message(str(error))


@gate.endpoint
def predict(
    sketch: Json | None = None, image: gate.Upload | None = None, models: list[str] | None = None
) -> dict[str, list[Json]]:
    """Read one handwritten character with one or several networks.

    Args:
        sketch: pen strokes, {"strokes": [[[x, y], ...], ...], "size": side of the square they were drawn on}; x runs
            right, y runs down; "pen", its width as a share of the square, may be left out (0.045). The best input:
            lines are drawn the way each network's training data looks.
        image: instead of a sketch, a picture of one character: a file (`handle_file("three.png")`) or its bytes as
            text, "data:image/png;base64,...". Dark on light, light on dark or colored; PNG, JPEG, WebP or HEIC.
        models: names of networks, for example ["lenet5.mnist"]; without any, the ones that the page starts with.

    Returns:
        {"predictions": [...]}, one for each network in the order asked: "model", "label" (the most likely class),
        "confidence" (its probability, 0 to 1), "probabilities" ({label: probability}) and "image" (what the network
        saw, a PNG as a data URI). An input that cannot be read is an error with one sentence that says why.
    """
    if (sketch is None) == (image is None):
        raise ink.InkError("Send either a sketch or an image: got " + ("neither." if sketch is None else "both."))
    drawn = _strokes(sketch) if image is None else image.open()
    readings = read(drawn, first_choice() if models is None else models)
    return {"predictions": [_as_json(reading) for reading in readings]}


def read(drawn: object, models: Sequence[str]) -> list[Reading]:
    """Show a sketch or picture to networks.

    Args:
        drawn: {"strokes", "size", "pen"} as the pad sends it, or anything that `zoo.ink.decoding.decode` takes.
        models: names of shipped models.

    Raises:
        ink.InkError: the sketch cannot be read, or (`ink.Blank`) is empty.
        ZooError: no model, or one that is not shipped.
    """
    if not isinstance(models, (list, tuple)) or not models:
        raise ZooError("Choose at least one network to read this.")
    seen = None if isinstance(drawn, dict) else next(see(drawn))
    readings = []
    for predictor in [predictor_of(name) for name in dict.fromkeys(map(str, models))]:
        if predictor.view is not None:
            raise ZooError(f"{predictor.name} reads whole pages, not sketches: use the Read tab or /read.")
        if seen is not None:
            (glyph,) = read_seen(seen, predictor, one=True).glyphs
            image, probabilities = glyph.image, glyph.probabilities
        else:
            assert isinstance(drawn, dict)
            image = ink.from_strokes(drawn["strokes"], predictor.contract, drawn["size"], drawn.get("pen", ink.PEN))
            probabilities = predictor(image[None])[0]
        readings.append(Reading(predictor.name, predictor.script, predictor.labels, probabilities, image))
    return readings


def render(readings: Sequence[Reading]) -> str:
    """Return readings as HTML cards: the most probable class, the network's input, and a bar for every class."""
    return f'<div class="readings" role="status">{"".join(map(_card, readings))}</div>'


# --- from the client -----------------------------------------------------------------------------


def _strokes(sketch: object) -> Json:
    """What the pad sent, as {"strokes", "size"}; their contents are checked by `ink`."""
    if sketch is None or sketch == "":
        raise ink.Blank(WELCOME)
    if not isinstance(sketch, dict) or not {"strokes", "size"} <= set(sketch):
        raise ink.InkError('A sketch is {"strokes": [[[x, y], ...], ...], "size": side}; this is something else.')
    return {"strokes": sketch["strokes"], "size": sketch["size"], "pen": sketch.get("pen", ink.PEN)}


@functools.lru_cache(maxsize=64)  # far more than are shipped
def predictor_of(name: str) -> Predictor:
    if name not in zoo.list_models():  # `load_predictor` would also open folders and ask the Hub
        raise UnknownName("network", name, zoo.list_models())
    return zoo.load_predictor(name)


def glyph_models() -> list[str]:
    """The networks for single glyphs by dataset; networks for pages are in the *Read* tab."""
    folders = {name: hub.resolve(name) for name in zoo.list_models()}
    names = [name for name, folder in folders.items() if PublishedFolder(folder).preprocessor["contract"]]
    return sorted(names, key=lambda name: name.split(".")[::-1])


def _explained(reading: Reading) -> Reading:
    predictor = predictor_of(reading.model)
    maps = why.map_pictures(reading.model, reading.image)
    pictures = [("what speaks for it (blue) and against it (orange)", why.saliency_picture(predictor, reading.image))]
    pictures += [(f"convolution {i}", maps[i - 1]) for i in sorted({1, len(maps)}) if i]
    return dataclasses.replace(reading, why=tuple(pictures))


def first_choice() -> list[str]:
    """The visitor's own models, else of each script's digits the shipped one that did best on validation.

    One that knows what it does not know goes first.
    """
    names = glyph_models()
    own = [name for name in names if not (PRETRAINED / name).is_dir()]
    if own:
        return own[:MOST_FIRST]
    groups = ([name for name in names if name.endswith(f".{dataset}")] for dataset in FIRST_CHOICE)
    return [max(group, key=_on_validation) for group in groups if group] or names[:1]


def _on_validation(name: str) -> tuple[bool, float]:
    folder = PublishedFolder(hub.resolve(name))
    return "accepts" in folder.preprocessor, folder.history["validation"]["accuracy"]


# --- to the client -------------------------------------------------------------------------------


def _as_json(reading: Reading) -> Json:
    chances = {label: round(float(p), 6) for label, p in zip(reading.labels, reading.probabilities, strict=True)}
    label = reading.labels[reading.best]
    return {
        "model": reading.model,
        "label": label,
        "confidence": chances[label],
        "probabilities": chances,
        "image": _data_uri(reading.image),
    }


def _card(reading: Reading) -> str:
    best = reading.best
    architecture, _, dataset = map(html.escape, reading.model.rpartition("."))
    label = reading.labels[best]
    height, width = reading.image.shape[:2]
    bars = "".join(
        f"<li{' class=top' if index == best else ''}>{label_of(text, reading.script, 'label')}"
        f'<span class="track"><i style="width:{p:.2%}"></i></span><span class="value">{percent(p)}</span></li>'
        for index, (text, p) in enumerate(zip(reading.labels, reading.probabilities, strict=True))
    )
    value = unicodedata.digit(label, None) if len(label) == 1 and not label.isascii() else None
    words = " words" * any(len(text) > 2 for text in reading.labels)  # letters are set large, names are not
    gloss = "" if value is None else f"<small>the digit {value}</small>"
    return (
        f'<article class="reading{words}" data-model="{html.escape(reading.model)}" data-label="{html.escape(label)}">'
        f"<h3>{architecture}<span>.{dataset}</span></h3>"
        f'<div class="verdict">{label_of(label, reading.script, "glyph")}'
        f'<div class="sure">{percent(reading.probabilities[best])}{gloss}</div>'
        f'<figure class="seen"><img src="{_data_uri(reading.image)}" width="{width}" height="{height}" '
        f'alt="The image the network saw"><figcaption>what it saw,<br>{width} × {height} pixels</figcaption></figure>'
        f'</div><ul class="bars">{bars}</ul>{_why(reading)}</article>'
    )


def _why(reading: Reading) -> str:
    figures = "".join(
        f'<figure><img src="{_data_uri(picture)}" width="{picture.shape[1]}" height="{picture.shape[0]}" '
        f'alt=""><figcaption>{caption}</figcaption></figure>'
        for caption, picture in reading.why
    )
    return f'<div class="why">{figures}</div>' if figures else ""


def label_of(text: str, script: str, role: str) -> str:
    arabic = script == "arabic"
    return f'<span class="{role}{" arabic" * arabic}"{" lang=ar" * arabic}>{html.escape(text)}</span>'


def percent(p: float) -> str:
    """Format a probability as HTML: never exactly 100%, and without meaningless digits."""
    if p >= 0.9995:
        return "&gt; 99.9%"
    return "0%" if p < 0.0005 else f"{p:.1%}"


def message(text: str) -> str:
    return f'<div class="message" role="status"><p>{html.escape(text)}</p></div>'


def _data_uri(image: np.ndarray) -> str:
    shown = image[..., ::-1] if image.shape[-1] == 3 else image  # OpenCV writes BGR
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", shown)[1]).decode("ascii")


def asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
