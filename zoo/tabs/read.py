"""The *Read* tab: photos, a folder of them in a zip, or the camera; every glyph is boxed, read and put in order.

`read` and `models` are also the Space's endpoints `/read` and `/models`.
"""

import base64
import html
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import gradio as gr
import numpy as np

import zoo
from zoo import gate, ink
from zoo.errors import InkError, ZooError
from zoo.ink import segmentation
from zoo.ink.decoding import FILES, pixels
from zoo.ink.paper import find_ink
from zoo.tabs import draw
from zoo.tabs.space import api

SURE = 0.6  # probability below which "?" stands for "don't know", of a network that brings no threshold of its own
PAGE_SIDE = 2400  # pixels that are kept of a page: its networks see it at the size of a scan
MOST_FILES = 40  # pictures answered at a time
MOST_BYTES = 20_000_000  # a picture within a zip, unpacked
WELCOME = "Choose a photo of handwritten digits or letters: every glyph is boxed and read here."
UNSURE = "?"


@dataclass(frozen=True)
class Page:
    """What a network makes of one picture.

    name: of the picture's file.
    picture: uint8 (H, W, 4), as it was searched.
    glyphs: in reading order.
    labels: of the glyphs; `UNSURE` where the network is not.
    guesses: the likeliest labels, sure or not.
    confidences: their probabilities.
    script: of the labels.
    right_to_left: as the lines are read.
    """

    name: str
    picture: np.ndarray
    glyphs: list[segmentation.Glyph]
    labels: list[str]
    guesses: list[str]
    confidences: list[float]
    script: str
    right_to_left: bool

    @property
    def lines(self) -> list[str]:
        """The text, line by line."""
        count = 1 + max((glyph.line for glyph in self.glyphs), default=-1)
        said = list(zip(self.glyphs, self.labels, strict=True))
        return ["".join(label for glyph, label in said if glyph.line == line) for line in range(count)]


def tab() -> gr.Radio:
    """Build the tab inside a `gr.Blocks`, with its endpoints; return the choice of the network."""
    with gr.Row(elem_id="read"):
        with gr.Column(elem_id="read-side", scale=4, min_width=280):
            files = gr.File(
                label="Photos, or a zip of them",
                file_count="multiple",
                file_types=["image", *FILES, ".zip"],
                elem_id="read-files",
                height=150,
            )
            with gr.Accordion("Camera", open=False, elem_id="read-camera"):
                camera = gr.Image(
                    sources=["webcam"], streaming=True, type="numpy", show_label=False, height=260,
                    webcam_options=gr.WebcamOptions(mirror=False), elem_id="read-webcam",
                )  # fmt: skip
            model = gr.Radio(
                list(zoo.list_models()), value=draw.first_choice()[0], label="Network", elem_id="read-model"
            )
        with gr.Column(elem_id="read-answer", scale=6, min_width=280):
            shown = gr.HTML(draw.message(WELCOME), css_template=draw.asset("read.css"), apply_default_css=False)
    quiet = {"show_progress": "hidden", "api_visibility": "private", "outputs": shown}
    for control in (files.upload, files.clear, model.input):
        control(respond, [files, model], trigger_mode="always_last", concurrency_limit=2, **quiet)
    camera.stream(respond_live, [camera, model], stream_every=0.4, time_limit=300, concurrency_limit=4, **quiet)
    api(read, draw.ANSWERERS)
    api(models)
    return model


def respond(files: Sequence[str] | None, model: str) -> str:
    """Return the HTML that answers uploaded files; whatever is wrong with one is said in its place."""
    if not files:
        return draw.message(WELCOME)
    answers = []
    try:
        for name, source in pictures_in([Path(file) for file in files]):
            try:
                answers.append(answer(source, model, name))
            except ZooError as error:
                answers.append(draw.message(f"{name}: {error}"))
    except ZooError as error:
        answers.append(draw.message(str(error)))
    return f'<div class="pages" role="status">{"".join(answers)}</div>'


def respond_live(frame: np.ndarray | None, model: str) -> str:
    """Return the HTML that answers one frame of the camera."""
    if frame is None:
        return draw.message(WELCOME)
    try:
        return f'<div class="pages">{answer(frame, model, "camera")}</div>'
    except ZooError as error:
        return draw.message(str(error))


def answer(picture: object, model: str, name: str) -> str:
    """Return the HTML that answers one picture: glyph by glyph, or for a network of pages with its patches' votes."""
    if draw.predictor_of(model).view is None:
        return render(read_page(picture, model, name))
    return render_votes(vote(picture, model, name))


@gate.endpoint
def read(image: gate.Upload, model: str | None = None) -> dict:
    """Read every handwritten digit or letter in a photo, in reading order.

    Args:
        image: a picture with one glyph or many: a file (`handle_file("page.jpg")`) or its bytes as text,
            "data:image/jpeg;base64,...". JPEG, PNG, WebP or HEIC; any light, paper and colour of ink.
        model: the network, for example "lenet5.mnist" for Latin digits or "resco_mini.ahdd" for Arabic-Indic ones.

    Returns:
        {"model", "text" (lines of labels, "?" where the network is not sure), "glyphs"}; each glyph is {"box": [x, y,
        width, height] as fractions of the picture, "line", "label", "confidence" (0 to 1), "sure"}. A network of pages
        finds no glyphs: "text" is its label, "?" where it knows the hand of none, and "votes" how many views of the
        page chose each.
    """
    name = model or draw.first_choice()[0]
    if draw.predictor_of(name).view is not None:
        found = vote(image.open(), name)
        return {
            "model": name,
            "text": found.label,
            "glyphs": [],
            "votes": dict(zip(found.labels, found.votes.tolist(), strict=True)),
        }
    page = read_page(image.open(), name, "image")
    return {
        "model": name,
        "text": "\n".join(page.lines),
        "glyphs": [
            {
                "box": [round(value, 4) for value in (glyph.x, glyph.y, glyph.width, glyph.height)],
                "line": glyph.line,
                "label": guess,
                "confidence": round(confidence, 6),
                "sure": label != UNSURE,
            }
            for glyph, label, guess, confidence in zip(
                page.glyphs, page.labels, page.guesses, page.confidences, strict=True
            )
        ],
    }


@gate.endpoint
def models() -> list[dict]:
    """List the networks that this Space serves.

    Returns:
        One object a network: "model" (its name, as the other endpoints take it), "dataset", "script" ("latin" or
        "arabic"), "labels" (its classes, in order) and "parameters".
    """
    served = map(draw.predictor_of, zoo.list_models())
    return [
        {
            "model": p.name,
            "dataset": p.dataset,
            "script": p.script,
            "labels": list(p.labels),
            "parameters": p.parameters,
        }
        for p in served
    ]


def read_page(picture: object, model: str, name: str = "") -> Page:
    """Find and read the glyphs of a picture.

    Raises:
        UnknownName: no such model is shipped.
        InkError: not a picture, nothing on it, or more glyphs than `segmentation.MOST`.
    """
    predictor = draw.predictor_of(model)
    right_to_left = predictor.script == "arabic" and not any(label.isdigit() for label in predictor.labels)
    picture = pixels(picture)
    found = segmentation.find_glyphs(find_ink(picture), right_to_left)
    probabilities = predictor(np.stack([ink.from_ink(glyph.ink, predictor.contract) for glyph in found]))
    guesses = [predictor.labels[index] for index in probabilities.argmax(axis=1)]
    confidences = [float(p) for p in probabilities.max(axis=1)]
    least = SURE if predictor.threshold is None else predictor.threshold
    labels = [guess if p >= least else UNSURE for guess, p in zip(guesses, confidences, strict=True)]
    return Page(name, picture, found, labels, guesses, confidences, predictor.script, right_to_left)


@dataclass(frozen=True)
class Votes:
    """What a network of pages makes of one: its labels, their pooled probabilities, and how many views chose each."""

    name: str
    labels: tuple[str, ...]
    probabilities: np.ndarray  # float32 (classes,)
    votes: np.ndarray  # int64 (classes,)
    threshold: float  # the least probability at which the likeliest label is believed

    @property
    def label(self) -> str:
        """The likeliest label; `UNSURE` where the page is by none of them, or too little of it is seen."""
        best = int(self.probabilities.argmax())
        return self.labels[best] if self.probabilities[best] >= self.threshold else UNSURE


def vote(picture: object, model: str, name: str = "") -> Votes:
    """Show a page to a network of pages, view by view."""
    predictor = draw.predictor_of(model)
    page = cv2.cvtColor(np.ascontiguousarray(pixels(picture, PAGE_SIDE)[..., :3]), cv2.COLOR_RGB2GRAY)
    each = predictor.classify(predictor.view.views(page))
    votes = np.bincount(each.argmax(axis=1), minlength=len(predictor.labels))
    return Votes(name, predictor.labels, predictor.view.pool(each), votes, predictor.threshold or 0.0)


def render_votes(found: Votes) -> str:
    """Return the three likeliest labels of a page as HTML, with the votes of its patches where it is seen in some."""
    best = np.argsort(-found.probabilities, kind="stable")[:3]
    bars = "".join(
        f"<li><b>{html.escape(found.labels[i])}</b><span>{draw.percent(found.probabilities[i])}"
        f"{f', {found.votes[i]} of {found.votes.sum()} patches' if found.votes.sum() > 1 else ''}</span></li>"
        for i in best
    )
    label = html.escape(found.label)
    said = "none of these" if found.label == UNSURE else label
    return (
        f'<article class="page" data-text="{label}"><h3>{html.escape(found.name)}<span>a whole page</span></h3>'
        f'<p class="said">{said}</p><ol class="votes">{bars}</ol></article>'
    )


def pictures_in(files: Sequence[Path]) -> Iterator[tuple[str, object]]:
    """Yield the name and the source of every picture in files; those of a zip are unpacked one at a time, in memory.

    Raises:
        InkError: a zip that is broken, too large, or more pictures than `MOST_FILES`.
    """
    count = 0
    for path in files:
        for name, source in _unpacked(path) if path.suffix.lower() == ".zip" else [(path.name, path)]:
            count += 1
            if count > MOST_FILES:
                raise InkError(f"{MOST_FILES} pictures are read at a time; the rest were left out.")
            yield name, source


def _unpacked(path: Path) -> Iterator[tuple[str, io.BytesIO]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = entry.filename.rpartition("/")[2]
                if entry.is_dir() or name.startswith(".") or not name.lower().endswith(FILES):
                    continue
                with archive.open(entry) as file:
                    data = file.read(MOST_BYTES + 1)  # what the zip says of its size may be wrong
                if len(data) > MOST_BYTES:
                    raise InkError(f"{name} is larger than {MOST_BYTES // 10**6} MB: please send a smaller picture.")
                yield name, io.BytesIO(data)
    except InkError:
        raise
    except Exception:  # a damaged zip raises whatever its compression or its names do: zlib, lzma, struct, Unicode
        raise InkError(
            f"{path.name} is not a zip that can be opened: please pack it again, without a password."
        ) from None


def render(page: Page) -> str:
    """Return a page as HTML: the text, and the picture with a box around every glyph."""
    height, width = page.picture.shape[:2]
    arabic = " arabic" * (page.script == "arabic")
    boxes = "".join(
        f'<g class="{"sure" if label != UNSURE else "unsure"}"><title>{html.escape(guess)} '
        f"{draw.percent(confidence)}</title>"
        f'<rect x="{g.x * width:.0f}" y="{g.y * height:.0f}" width="{g.width * width:.0f}" '
        f'height="{g.height * height:.0f}" rx="4"/>'
        f'<text x="{(g.x + g.width / 2) * width:.0f}" y="{max(g.y * height - 0.012 * width, 0.03 * width):.0f}" '
        f'font-size="{0.04 * width:.0f}" text-anchor="middle">{html.escape(label)}</text></g>'
        for g, label, guess, confidence in zip(page.glyphs, page.labels, page.guesses, page.confidences, strict=True)
    )
    lines = "".join(
        f'<p class="said{arabic}"{" lang=ar" if arabic else ""} dir="{"rtl" if page.right_to_left else "ltr"}">'
        f"{html.escape(line)}</p>"
        for line in page.lines
    )
    unsure = page.labels.count(UNSURE)
    note = f"{len(page.glyphs)} found" + (f", {unsure} not sure (?)" if unsure else "")
    return (
        f'<article class="page" data-text="{html.escape("|".join(page.lines))}"><h3>{html.escape(page.name)}'
        f"<span>{note}</span></h3>{lines}"
        f'<figure><img src="{_jpeg(page.picture)}" width="{width}" height="{height}" alt="The picture that was read">'
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{boxes}</svg></figure></article>'
    )


def _jpeg(picture: np.ndarray) -> str:
    opaque = picture[..., 3:] / np.float32(255)
    shown = (picture[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    encoded = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")
