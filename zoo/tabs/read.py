"""The *Read* tab: photos, a folder of them in a zip, or the camera; every glyph is boxed, read and put in order.

`read` and `models` are also the Space's endpoints `/read` and `/models`.
"""

import base64
import html
import io
import logging
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import gradio as gr
import numpy as np

import zoo
from zoo import gate
from zoo.errors import InkError, ZooError
from zoo.gate.uploads import UPLOADS
from zoo.ink.decoding import FILES, pixels
from zoo.serving import reading
from zoo.tabs import draw
from zoo.tabs.space import api
from zoo.types import Json

log = logging.getLogger(__name__)

PAGE_SIDE = 2400  # pixels that are kept of a page: its networks see it at the size of a scan
MOST_FILES = 40  # pictures answered at a time
MOST_BYTES = 20_000_000  # a picture within a zip, unpacked
MOST_ENTRIES = 1000  # of a zip
ENTRIES, SIZE = 4, 5  # in what `zipfile` finds at the end of a zip: how many entries, and bytes of their list
WELCOME = "Choose a photo of handwritten digits or letters: every glyph is boxed and read here."
UNSURE = "?"  # for a page by none of a network's writers
STEP_SIDE = 480  # pixels of a step's picture
MOST_SHOWN = 60  # glyphs that are shown as the network saw them


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
            shown = gr.HTML(
                draw.message(WELCOME), css_template=draw.asset("read.css"), js_on_load=draw.asset("read.js"),
                apply_default_css=False,
            )  # fmt: skip
    quiet = {"show_progress": "hidden", "api_visibility": "private", "outputs": shown}
    for control in (files.upload, files.clear, model.input):
        control(respond, [files, model], trigger_mode="always_last", concurrency_limit=2, **quiet)
    camera.stream(
        respond_live, [camera, model], stream_every=0.4, time_limit=300, concurrency_limit=4, preprocess=False, **quiet
    )  # Gradio would decode any format of any size
    api(read, draw.ANSWERERS)
    api(models)
    return model


def respond(files: Sequence[str] | None, model: str) -> str:
    """Return the HTML that answers uploaded files; problems of a file are shown in its place."""
    if not files:
        return draw.message(WELCOME)
    answers = []
    try:
        for name, source in pictures_in([Path(file) for file in files]):
            try:
                answers.append(answer(source, model, name))
            except ZooError as error:
                answers.append(draw.message(f"{name}: {error}"))
            except Exception:  # a fault in one picture never costs the answers to the others
                log.exception("%s could not be read", name)
                answers.append(draw.message(f"{name}: this picture could not be read. Please report it."))
    except ZooError as error:
        answers.append(draw.message(str(error)))
    return f'<div class="pages" role="status">{"".join(answers)}</div>'


def respond_live(frame: object, model: str) -> str:
    """Return the HTML that answers one frame of the camera: a file or a data URI, as the page sends it."""
    if frame is None:
        return draw.message(WELCOME)
    try:
        return f'<div class="pages">{answer(_frame(frame), model, "camera")}</div>'
    except ZooError as error:
        return draw.message(str(error))


def _frame(value: object) -> object:
    """Return the source of a frame; the gate has checked that a path is an upload of the caller."""
    said = value if isinstance(value, Mapping) else {}
    path = str(said.get("path") or "")
    if path and not path.startswith("data:"):
        return Path(path)
    return UPLOADS.opened(said.get("url") or path, gate.caller()).open()


def answer(picture: object, model: str, name: str) -> str:
    """Return the HTML that answers one picture: glyph by glyph, or for a network of pages with its patches' votes."""
    predictor = draw.predictor_of(model)
    if predictor.view is not None:
        return render_votes(vote(picture, model, name))
    first = reading.read(picture, predictor)
    pages = (first, *first.following)
    return "".join(render(page, name) for page in pages)


@gate.endpoint
def read(image: gate.Upload, model: str | None = None) -> Json:
    """Read every handwritten digit or letter in a photo, in reading order.

    Args:
        image: a picture with one glyph or many: a file (`handle_file("page.jpg")`) or its bytes as text,
            "data:image/jpeg;base64,...". JPEG, PNG, WebP or HEIC; any light, paper and color of ink.
        model: the network, for example "lenet5.mnist" for Latin digits or "resco_mini.ahdd" for Arabic-Indic ones.

    Returns:
        {"model", "text" (the likeliest labels, line by line, with an empty line between the pages of a TIFF), "glyphs",
        "notes" (what was done to the picture, for example that it was turned)}; each glyph is {"box": [x, y, width,
        height] as fractions of the picture, "page", "line", "label", "confidence" (0 to 1), "sure" (whether that is at
        least the network's threshold)}. A network of pages finds no glyphs: "text" is its label, "?" where it knows the
        hand of none, and "votes" how many views of the page chose each.
    """
    name = model or draw.first_choice()[0]
    predictor = draw.predictor_of(name)
    if predictor.view is not None:
        found = vote(image.open(), name)
        return {
            "model": name,
            "text": found.label,
            "glyphs": [],
            "votes": dict(zip(found.labels, found.votes.tolist(), strict=True)),
        }
    first = reading.read(image.open(), predictor)
    return {
        "model": name,
        "text": first.text,
        "glyphs": [
            {
                "box": [round(value, 4) for value in glyph.box],
                "page": number,
                "line": glyph.line,
                "label": glyph.label,
                "confidence": round(glyph.confidence, 6),
                "sure": glyph.sure,
            }
            for number, page in enumerate((first, *first.following))
            for glyph in page.glyphs
        ],
        "notes": [note for page in (first, *first.following) for note in page.notes],
    }


@gate.endpoint
def models() -> list[Json]:
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
    assert predictor.view is not None  # only networks of pages are asked
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
    if len(files) > MOST_FILES:
        raise InkError(f"At most {MOST_FILES} files are read at a time; these are {len(files):,}.")
    for path in dict.fromkeys(files):  # one that is named twice is read once
        for name, source in _unpacked(path) if path.suffix.lower() == ".zip" else [(path.name, path)]:
            count += 1
            if count > MOST_FILES:
                raise InkError(f"{MOST_FILES} pictures are read at a time; the rest were left out.")
            yield name, source


def _check_entries(path: Path) -> None:
    """Refuse a zip of many entries before their list is read, by what its end says, as `ZipFile` finds and reads it."""
    with path.open("rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # private
    if end and (end[ENTRIES] > MOST_ENTRIES or end[SIZE] > MOST_ENTRIES * 300):
        raise InkError(f"{path.name} has more than {MOST_ENTRIES:,} entries: pack the pictures alone.")


def _unpacked(path: Path) -> Iterator[tuple[str, io.BytesIO]]:
    try:
        _check_entries(path)
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


def render(page: reading.Reading, name: str) -> str:
    """Return a page as HTML: the text, the picture with a box around every glyph, and on demand each step between.

    `read.js` lets a visitor correct a glyph or drop it by a tap: a box and its letter in the text share data-glyph.
    """
    height, width = page.seen.picture.shape[:2]
    separator = reading.separator_of(page.labels)
    unsure = sum(not glyph.sure for glyph in page.glyphs)
    found = f"{len(page.glyphs)} found" + (f", {unsure} not sure" if unsure else "")
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in page.notes)
    text = html.escape("|".join(page.lines))
    return (
        f'<article class="page" data-text="{text}" data-separator="{separator}"><h3>{html.escape(name)}'
        f"<span>{found}</span></h3>{_lines(page)}{notes}"
        f'<figure><img src="{_jpeg(page.seen.picture)}" width="{width}" height="{height}" '
        f'alt="The picture that was read"><svg viewBox="0 0 {width} {height}">{_boxes(page)}</svg></figure>'
        f'<p class="hint">Tap a box to correct it or to drop it.</p>{_steps(page)}</article>'
    )


def _lines(page: reading.Reading) -> str:
    arabic = page.script == "arabic"
    attributes = f'class="said{" arabic" * arabic}"{" lang=ar" * arabic} dir="{"rtl" if page.right_to_left else "ltr"}"'
    lines = []
    for number in range(len(page.lines)):
        spans = "".join(
            f'<span data-glyph="{index}" class="{"sure" if glyph.sure else "unsure"}">{html.escape(glyph.label)}</span>'
            for index, glyph in enumerate(page.glyphs)
            if glyph.line == number
        )
        lines.append(f"<p {attributes}>{spans}</p>")
    return "".join(lines)


def _boxes(page: reading.Reading) -> str:
    height, width = page.seen.picture.shape[:2]
    boxes = []
    for index, glyph in enumerate(page.glyphs):
        x, y, wide, high = (v * side for v, side in zip(glyph.box, (width, height, width, height), strict=True))
        likeliest = [page.labels[i] for i in np.argsort(-glyph.probabilities, kind="stable")[:3]]
        boxes.append(
            f'<g class="{"sure" if glyph.sure else "unsure"}" data-glyph="{index}" role="button" tabindex="0" '
            f'data-likeliest="{html.escape(" ".join(likeliest))}" aria-label="{html.escape(glyph.label)}">'
            f"<title>{html.escape(glyph.label)} {draw.percent(glyph.confidence)}</title>"
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{high:.0f}" rx="4"/>'
            f'<text x="{x + wide / 2:.0f}" y="{max(y - 0.012 * width, 0.03 * width):.0f}" '
            f'font-size="{0.04 * width:.0f}" text-anchor="middle">{html.escape(glyph.label)}</text></g>'
        )
    return "".join(boxes)


def _steps(page: reading.Reading) -> str:
    """Each step from the picture to what the network saw, folded away until it is asked for."""
    writing = page.seen.writing
    figures = [
        ("1. The paper", _jpeg(_at_most(writing.page))),
        ("2. What stands out from it", draw._data_uri(_at_most(_negative(writing.all_ink)))),
        ("3. What was written", draw._data_uri(_at_most(_negative(writing.ink)))),
    ]
    shown = "".join(
        f'<figure><img src="{source}" alt=""><figcaption>{title}</figcaption></figure>' for title, source in figures
    )
    glyphs = "".join(
        f'<figure data-glyph="{index}"><img src="{draw._data_uri(glyph.image)}" alt="">'
        f"<figcaption>{html.escape(glyph.label)}</figcaption></figure>"
        for index, glyph in enumerate(page.glyphs[:MOST_SHOWN])
    )
    return (
        f'<details class="steps"><summary>How it was read</summary><div class="found">{shown}</div>'
        f'<p>4. What the network saw</p><div class="saw">{glyphs}</div></details>'
    )


def _negative(ink: np.ndarray) -> np.ndarray:
    return (255 * (1 - ink)).astype(np.uint8)[..., None]


def _at_most(picture: np.ndarray) -> np.ndarray:
    """A picture of at most `STEP_SIDE` pixels a side."""
    factor = STEP_SIDE / max(picture.shape[:2])
    if factor >= 1:
        return picture
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    image: np.ndarray = small if small.ndim == 3 else small[..., None]
    return image


def _jpeg(picture: np.ndarray) -> str:
    opaque = picture[..., 3:] / np.float32(255)
    shown = (picture[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    encoded = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")
