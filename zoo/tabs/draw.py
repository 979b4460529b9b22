"""The *Draw* tab: a sketch pad and the predictions of each chosen network.

`predict` is also the Space's `/predict` endpoint. Everything between the browser and the networks is a pure function:
`read` turns a sketch and model names into readings, `render` turns readings into HTML (answer.html).
"""

import base64
import contextlib
import dataclasses
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import gradio as gr
import numpy as np

from zoo import gate, ink
from zoo.errors import ZooError
from zoo.portable.page import shown
from zoo.serving import by_script
from zoo.serving.model_cache import MODELS
from zoo.serving.predictor import likeliest
from zoo.serving.reading import read_seen
from zoo.serving.reading_budget import EXPLAINERS, Budget, Spent
from zoo.serving.seen import see
from zoo.tabs import choice, why
from zoo.tabs.choice import Asked, Board
from zoo.tabs.space import PLACES, api
from zoo.tabs.visit import VISIT, visit
from zoo.templates import Templates
from zoo.types import Json

SIDE = 1000  # units of the pad's side: finer than any screen, and integers are short to send
EXPLAINING = 5.0  # seconds in which answers are explained; a network takes up to one
WELCOME = "The pad is empty. Draw a digit or a letter: it is read when you lift the pen."


EMPTY = "There is nothing on the pad yet: draw something and lift the pen."
OFFLINE = "There is no connection, and this network is not in the browser yet: draw again once there is one."


@dataclass(frozen=True)
class Reading:
    """The prediction of one network for one sketch.

    model: its name.
    script: of its labels, "latin" or "arabic".
    labels: what its classes are called.
    probabilities: float32 (len(labels),), of each class.
    image: uint8 (H, W, 1), the image it received.
    certainty: see `by_script.certainty`; below 0 the network takes the image for none of its classes.
    alike: labels that are written like the most likely one, and likely too.
    why: pictures that explain it, (caption, uint8 picture, gray or RGB); empty unless requested.
    """

    model: str
    script: str
    labels: tuple[str, ...]
    probabilities: np.ndarray
    image: np.ndarray
    certainty: float = 1.0
    alike: tuple[str, ...] = ()
    why: tuple[tuple[str, np.ndarray], ...] = ()

    @property
    def best(self) -> int:
        """Index of the most likely class."""
        return int(self.probabilities.argmax())

    @property
    def label(self) -> str:
        """The most likely class."""
        return self.labels[self.best]

    @property
    def confidence(self) -> float:
        """The probability of the most likely class."""
        return float(self.probabilities[self.best])

    @property
    def accepted(self) -> bool:
        """Whether the network takes the image for one of its classes."""
        return self.certainty >= 0

    @property
    def title(self) -> str:
        """The script of the most likely class, in words."""
        return by_script.TITLES[by_script.script_of([self.label])]

    @property
    def known(self) -> str:
        """What it reads, in words within a sentence."""
        script = by_script.script_of(self.labels)
        title = "Characters" if script == by_script.OTHER else by_script.TITLES[script]
        return title if title.startswith("Arabic") else title.lower()

    @property
    def arabic(self) -> bool:
        """Whether its labels are Arabic."""
        return self.script == "arabic"

    @property
    def words(self) -> bool:
        """Whether its labels are names: letters are set large, names are not."""
        return any(len(text) > 2 for text in self.labels)

    @property
    def chances(self) -> list[tuple[str, float, int]]:
        """Every label with its probability and its rank by it, from 0."""
        ranks = np.argsort(np.argsort(-self.probabilities, kind="stable"))
        return list(zip(self.labels, self.probabilities.tolist(), ranks.tolist(), strict=True))

    @property
    def shown(self) -> int:
        """How many labels are shown at first."""
        return shown(len(self.labels))

    @property
    def folded(self) -> bool:
        """Whether that is fewer than there are."""
        return self.shown < len(self.labels)

    @property
    def value(self) -> int | None:
        """The value of a digit that is not one of 0 to 9."""
        return unicodedata.digit(self.label, None) if len(self.label) == 1 and not self.label.isascii() else None


def tab(board: Board = dict, local: Json | None = None) -> tuple[gr.HTML, gr.HTML]:
    """Build the tab inside a `gr.Blocks`, with its endpoint `/predict`; return the question and the answer.

    Args:
        board: what was measured of the networks.
        local: what local.js needs to answer in the browser, see `zoo.tabs.local.settings`; None: the server answers.
    """
    local = local or {"networks": [], "alike": []}
    asked = choice.question("draw", board)
    behavior = asset("live.js") + asset("steady.js") + asset("bars.js") + VISIT + asset("local.js")
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
        with gr.Column(elem_id="draw-answer", scale=6, min_width=280):
            answer = gr.HTML(
                message(WELCOME), css_template=asset("answer.css"),
                js_on_load=behavior, apply_default_css=False,
                local=local, empty=message(EMPTY), offline=message(OFFLINE),
            )  # fmt: skip

    shown = {
        "fn": respond,
        "inputs": [pad, asked, explain],
        "outputs": answer,
        "trigger_mode": "always_last",
        "show_progress": "hidden",
        "concurrency_limit": PLACES,
        "api_visibility": "private",
    }
    pad.input(**shown)
    asked.input(**shown)
    explain.input(**shown)
    api(predict)
    return asked, answer


def respond(sketch: Json | None, said: Json | None, explain: bool = False) -> str:
    """Return the HTML that answers a sketch; problems of the sketch are shown there as a sentence.

    Args:
        sketch: as the pad sends it.
        said: whom the visitor asks, as `choice.Asked.of` reads it.
        explain: whether to show why.
    """
    try:
        asked = Asked.of(said)
        readings = read(_strokes(sketch), asked.models)
        if asked.script == by_script.ANYTHING:
            chosen = by_script.choose([one.certainty for one in readings])
            if explain and chosen is not None:
                (readings[chosen],) = _all_explained([readings[chosen]])
            return render_any(readings, chosen)
        return render(_all_explained(readings) if explain else readings)
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
        models: names of networks, for example ["lenet5.mnist"]; without any, one of each script, as the page starts.

    Returns:
        {"predictions": [...]}, one for each network in the order asked: "model", "label" (the most likely class),
        "confidence" (its probability, 0 to 1), "probabilities" ({label: probability}, of more than 100 labels the
        likeliest 100) and "image" (what the network saw, a PNG as a data URI). An input that cannot be read is an error
        with one sentence that says why.
    """
    if (sketch is None) == (image is None):
        raise ink.InkError("Send either a sketch or an image: got " + ("neither." if sketch is None else "both."))
    drawn = _strokes(sketch) if image is None else image.open()
    readings = read(drawn, Asked.of(None).models if models is None else models)
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
    budget = callers_budget()
    seen = None if isinstance(drawn, dict) else next(see(drawn, budget))
    readings = []
    images: dict[ink.Contract, np.ndarray] = {}
    for predictor in [MODELS(name) for name in dict.fromkeys(map(str, models))]:
        if predictor.view is not None:
            raise ZooError(f"{predictor.name} reads whole pages, not sketches: use the Read tab or /read.")
        if seen is not None:
            (glyph,) = read_seen(seen, predictor, True, budget).glyphs
            image, probabilities = glyph.image, glyph.probabilities
        else:
            assert isinstance(drawn, dict)
            contract = predictor.contract
            with budget.step():
                if contract not in images:  # networks of one dataset see the same image
                    images[contract] = ink.from_strokes(
                        drawn["strokes"], contract, drawn["size"], drawn.get("pen", ink.PEN)
                    )
                image = images[contract]
                probabilities = predictor(image[None])[0]
        certainty = float(by_script.certainty(predictor, probabilities))
        readings.append(Reading(predictor.name, predictor.script, predictor.labels, probabilities, image, certainty))
    answers = [(one.labels, one.probabilities) for one in readings]
    return [dataclasses.replace(one, alike=by_script.rivals(one.label, answers)) for one in readings]


def render(readings: Sequence[Reading]) -> str:
    """Return readings as HTML cards: the most probable class, the network's input, and a bar for every class."""
    return str(TEMPLATES("answer.cards", readings))


def render_any(readings: Sequence[Reading], chosen: int | None) -> str:
    """Return the answers of networks of several scripts as one HTML card; `chosen` as `by_script.choose` gives it."""
    return str(TEMPLATES("answer.anything", readings, None if chosen is None else readings[chosen]))


def callers_budget(seconds: float | None = None) -> Budget:
    """Return the budget of who calls now."""
    return Budget(gate.listening, seconds, gate.caller().network)


# --- from the client -----------------------------------------------------------------------------


def _strokes(sketch: object) -> Json:
    """What the pad sent, as {"strokes", "size"}; their contents are checked by `ink`."""
    if sketch is None or sketch == "":
        raise ink.Blank(WELCOME)
    if not isinstance(sketch, dict) or not {"strokes", "size"} <= set(sketch):
        raise ink.InkError('A sketch is {"strokes": [[[x, y], ...], ...], "size": side}; this is something else.')
    return {"strokes": sketch["strokes"], "size": sketch["size"], "pen": sketch.get("pen", ink.PEN)}


def _all_explained(readings: Sequence[Reading]) -> list[Reading]:
    """Return readings with what explains them, as many as there is time for."""
    found = list(readings)
    budget = callers_budget(EXPLAINING)
    with contextlib.suppress(Spent):
        for index, one in enumerate(readings):
            budget.take()
            with budget.step(EXPLAINERS):
                found[index] = _explained(one)
    return found


def _explained(reading: Reading) -> Reading:
    predictor = MODELS(reading.model)
    maps = why.map_pictures(reading.model, reading.image)
    pictures = [("what speaks for it (blue) and against it (orange)", why.saliency_picture(predictor, reading.image))]
    pictures += [(f"convolution {i}", maps[i - 1]) for i in sorted({1, len(maps)} if maps else ())]
    return dataclasses.replace(reading, why=tuple(pictures))


# --- to the client -------------------------------------------------------------------------------


def _as_json(reading: Reading) -> Json:
    chances = reading.probabilities
    return {
        "model": reading.model,
        "label": reading.label,
        "confidence": round(reading.confidence, 6),
        "probabilities": {reading.labels[index]: round(float(chances[index]), 6) for index in likeliest(chances)},
        "image": data_uri(reading.image),
    }


def percent(p: float) -> str:
    """Format a probability: never exactly 100%, and without meaningless digits."""
    if p >= 0.9995:
        return "> 99.9%"
    return "0%" if p < 0.0005 else f"{p:.1%}"


def message(text: str) -> str:
    """Return a sentence in place of an answer, as HTML."""
    return str(TEMPLATES("answer.message", text))


def data_uri(image: np.ndarray) -> str:
    """Return a picture, uint8 (H, W, 1) or RGB (H, W, 3), as a PNG in a data URI."""
    shown = image[..., ::-1] if image.shape[-1] == 3 else image  # OpenCV writes BGR
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", shown)[1]).decode("ascii")


def asset(name: str) -> str:
    """Return the text of a file of this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


TEMPLATES = Templates(Path(__file__).parent, percent, data_uri, visit)
