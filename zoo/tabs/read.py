"""The *Read* tab: photos, a folder of them in a zip, or the camera; every glyph is boxed, read and put in order.

`read` and `models` are also the Space's endpoints `/read` and `/models`.
"""

import base64
import functools
import io
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import gradio as gr
import numpy as np
from markupsafe import Markup

import zoo
from zoo import gate, hub
from zoo.errors import InkError, ZooError
from zoo.files import opened_zip
from zoo.gate.uploads import UPLOADS
from zoo.ink.decoding import FILES
from zoo.published import PublishedFolder
from zoo.serving import by_script, engine, reading
from zoo.serving.model_cache import MODELS
from zoo.serving.reading_budget import Budget, Spent
from zoo.serving.seen import Seen, see
from zoo.serving.voting import UNSURE, Votes, vote
from zoo.tabs import choice, draw
from zoo.tabs.choice import Asked, Board
from zoo.tabs.space import PLACES, api
from zoo.tabs.visit import VISIT, visit
from zoo.templates import Templates
from zoo.types import Json

log = logging.getLogger(__name__)

MOST_FILES = 40  # pictures answered at a time
MOST_BYTES = 20_000_000  # a picture within a zip, unpacked
MOST_ENTRIES = 1000  # of a zip
WELCOME = "Choose a photo of handwritten digits or letters: every glyph is boxed and read here."
STEP_SIDE = 480  # pixels of a step's picture
MOST_SHOWN = 60  # glyphs that are shown as the network saw them


def tab(board: Board = dict) -> tuple[gr.HTML, gr.HTML]:
    """Build the tab inside a `gr.Blocks`, with its endpoints; return the question and the answer.

    Args:
        board: what was measured of the networks.
    """
    asked = choice.question("read", board, pages=True)
    with gr.Row(elem_id="read"):
        with gr.Column(elem_id="read-side", scale=4, min_width=280):
            files = gr.File(
                label="JPEG, PNG, WebP, HEIC, TIFF, or a zip",
                file_count="multiple",
                file_types=["image", *FILES, ".zip"],
                elem_id="read-files",
                elem_classes="drop",
                height=150,
            )
            with gr.Accordion("Camera", open=False, elem_id="read-camera"):
                camera = gr.Image(
                    sources=["webcam"], streaming=True, type="numpy", show_label=False, height=260,
                    webcam_options=gr.WebcamOptions(mirror=False), elem_id="read-webcam",
                )  # fmt: skip
        with gr.Column(elem_id="read-answer", scale=6, min_width=280):
            shown = gr.HTML(
                draw.message(WELCOME), css_template=draw.asset("read.css"), apply_default_css=False,
                js_on_load=draw.asset("live.js") + draw.asset("read.js") + VISIT,
            )  # fmt: skip
    quiet = {"show_progress": "hidden", "api_visibility": "private", "outputs": shown}
    for control in (files.upload, files.clear, asked.input):
        control(respond, [files, asked], trigger_mode="always_last", concurrency_limit=PLACES, **quiet)
    camera.stream(
        respond_live,
        [camera, asked],
        stream_every=0.4,
        time_limit=300,
        concurrency_limit=PLACES,
        preprocess=False,
        **quiet,
    )  # Gradio would decode any format of any size
    api(read)
    api(models)
    return asked, shown


def respond(files: Sequence[str] | None, said: Json | None) -> str:
    """Return the HTML that answers uploaded files; problems of a file are shown in its place.

    Args:
        files: paths.
        said: whom the visitor asks, as `choice.Asked.of` reads it.
    """
    if not files:
        return draw.message(WELCOME)
    answers = []
    budget = draw.callers_budget()
    try:
        asked = Asked.of(said)
        for file in files:
            UPLOADS.check(file, gate.caller())  # what Gradio made of what the gate has let in
        for name, source in pictures_in([Path(file) for file in files]):
            try:
                for page in answer(source, asked, name, budget):
                    answers.append(page)  # at once: what is ready when the budget ends is shown
            except Spent:
                raise
            except ZooError as error:
                answers.append(draw.message(f"{name}: {error}"))
            except Exception:  # a fault in one picture never costs the answers to the others
                log.exception("%s could not be read", name)
                answers.append(draw.message(f"{name}: this picture could not be read. Please report it."))
    except ZooError as error:
        answers.append(draw.message(str(error)))
    return str(TEMPLATES("read.pages", map(Markup, answers)))


def respond_live(frame: object, said: Json | None) -> str:
    """Return the HTML that answers one frame of the camera: a file or a data URI, as the page sends it."""
    if frame is None:
        return draw.message(WELCOME)
    try:
        pages = answer(_frame(frame), Asked.of(said), "camera", draw.callers_budget())
        return str(TEMPLATES("read.pages", map(Markup, pages)))
    except ZooError as error:
        return draw.message(str(error))


def _frame(value: object) -> object:
    """Return the source of a frame: an upload of the caller, or a data URI."""
    said = value if isinstance(value, Mapping) else {}
    path = said.get("path")
    return UPLOADS.opened({"path": path} if path else said.get("url"), gate.caller()).open()


def answer(picture: object, asked: Asked, name: str, budget: Budget | None = None) -> Iterator[str]:
    """Yield the HTML of every answer to one picture: glyph by glyph, or for a network of pages with its votes.

    The networks that were chosen answer one after the other; for `by_script.ANYTHING` the surest of them does.
    """
    budget = budget or Budget()
    predictors = [MODELS(model) for model in dict.fromkeys(asked.models)]
    if asked.script == by_script.ANYTHING:
        yield from _pages(see(picture, budget), lambda seen: reading.surest(seen, predictors, budget), name)
        return
    if isinstance(picture, io.BytesIO):
        picture = picture.getvalue()  # every network reads it
    for predictor in predictors:
        if predictor.view is not None:
            yield render_votes(vote(picture, predictor, name, budget))
        else:
            read_page = functools.partial(reading.read_seen, predictor=predictor, budget=budget)
            yield from _pages(see(picture, budget), read_page, name)


def _pages(pages: Generator[Seen], read_page: Callable[[Seen], reading.Reading], name: str) -> list[str]:
    """Return the HTML of each page; that of the first has a note for each that is missing."""
    found, problems = reading.each_page(pages, lambda seen: _shown(read_page(seen), name))
    found[0]["notes"] = reading.noted(found[0]["notes"], problems)
    return [str(TEMPLATES("read.page", **page)) for page in found]


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
        hand of none, and "votes" how many views of the page chose each label, of more than 100 the likeliest 100.
    """
    own = choice.first()["models"]
    name = model or (own or by_script.best(by_script.DIGITS))[0]
    predictor = MODELS(name)
    if predictor.view is not None:
        found = vote(image.open(), predictor, budget=draw.callers_budget())
        return {
            "model": name,
            "text": found.label,
            "glyphs": [],
            "votes": engine.votes_of(found),
        }
    budget = draw.callers_budget()
    pages, problems = reading.each_page(
        see(image.open(), budget), lambda seen: _as_json(reading.read_seen(seen, predictor, budget=budget))
    )
    pages[0]["notes"] = reading.noted(pages[0]["notes"], problems)
    return {
        "model": name,
        "text": "\n\n".join(page["text"] for page in pages),
        "glyphs": [{**glyph, "page": number} for number, page in enumerate(pages) for glyph in page["glyphs"]],
        "notes": [note for page in pages for note in page["notes"]],
    }


def _as_json(page: reading.Reading) -> Json:
    glyphs = [
        {
            "box": [round(value, 4) for value in glyph.box],
            "page": 0,
            "line": glyph.line,
            "label": glyph.label,
            "confidence": round(glyph.confidence, 6),
            "sure": glyph.sure,
        }
        for glyph in page.glyphs
    ]
    return {"text": page.text, "glyphs": glyphs, "notes": page.notes}


@gate.endpoint
def models() -> list[Json]:
    """List the networks that this Space serves.

    Returns:
        One object a network: "model" (its name, as the other endpoints take it), "dataset", "script" ("latin" or
        "arabic"), "labels" (its classes, in order) and "parameters".
    """
    return [_described(name) for name in zoo.list_models()]


@functools.lru_cache(maxsize=512)
def _described(name: str) -> Json:
    """Return what the published folder of a network says of it; the network itself need not be loaded."""
    folder = PublishedFolder(hub.resolve(name))
    said = {key: folder.preprocessor[key] for key in ("dataset", "script", "labels")}
    return {"model": name, **said, "parameters": folder.metadata["parameters"]}


def render_votes(found: Votes) -> str:
    """Return the three likeliest labels of a page as HTML, with the votes of its patches where it is seen in some."""
    best = np.argsort(-found.probabilities, kind="stable")[:3]
    return str(TEMPLATES("read.votes", found, best.tolist(), UNSURE))


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


def _unpacked(path: Path) -> Iterator[tuple[str, io.BytesIO]]:
    try:
        with opened_zip(path, MOST_ENTRIES) as archive:
            for entry in archive.infolist():
                name = entry.filename.rpartition("/")[2]
                if entry.is_dir() or name.startswith(".") or not name.lower().endswith(FILES):
                    continue
                with archive.open(entry) as file:
                    data = file.read(MOST_BYTES + 1)  # what the zip says of its size may be wrong
                if len(data) > MOST_BYTES:
                    raise InkError(f"{name} is larger than {MOST_BYTES // 10**6} MB: please send a smaller picture.")
                yield name, io.BytesIO(data)
    except ZooError as error:
        raise InkError(str(error)) from None
    except Exception:  # a damaged zip raises whatever its compression or its names do: zlib, lzma, struct, Unicode
        raise InkError(
            f"{path.name} is not a zip that can be opened: please pack it again, without a password."
        ) from None


def render(page: reading.Reading, name: str) -> str:
    """Return a page as HTML: the text, the picture with a box around every glyph, and on demand each step between."""
    return str(TEMPLATES("read.page", **_shown(page, name)))


def _shown(page: reading.Reading, name: str) -> Json:
    """Return what the template shows of a page."""
    boxes = [_box(page, index) for index in range(len(page.glyphs))]
    writing = page.seen.writing
    steps = [
        ("1. The paper", jpeg(_at_most(writing.page))),
        ("2. What stands out from it", draw.data_uri(_at_most(_negative(writing.all_ink)))),
        ("3. What was written", draw.data_uri(_at_most(_negative(writing.ink)))),
    ]
    return {
        "name": name,
        "model": page.model,
        "title": by_script.TITLES[by_script.script_of([glyph.label for glyph in page.glyphs])],
        "lines": [[box for box in boxes if box["line"] == number] for number in range(len(page.lines))],
        "arabic": page.script == "arabic",
        "right_to_left": page.right_to_left,
        "separator": reading.separator_of(page.labels),
        "unsure": sum(not glyph.sure for glyph in page.glyphs),
        "notes": page.notes,
        "picture": page.seen.picture,
        "boxes": boxes,
        "steps": steps,
    }


def _box(page: reading.Reading, index: int) -> Json:
    """Return one glyph as the template shows it: places in pixels of the picture."""
    glyph = page.glyphs[index]
    height, width = page.seen.picture.shape[:2]
    x, y, wide, high = (v * side for v, side in zip(glyph.box, (width, height, width, height), strict=True))
    return {
        "index": index,
        "line": glyph.line,
        "label": glyph.label,
        "confidence": glyph.confidence,
        "css": "sure" if glyph.sure else "unsure",
        "likeliest": [page.labels[i] for i in np.argsort(-glyph.probabilities, kind="stable")[:3]],
        **{"x": round(x), "y": round(y), "width": round(wide), "height": round(high)},
        "middle": round(x + wide / 2),
        "top": round(max(y - 0.012 * width, 0.03 * width)),
        "image": glyph.image if index < MOST_SHOWN else None,
    }


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


def jpeg(picture: np.ndarray) -> str:
    """Return a picture, uint8 RGBA, as a JPEG on white in a data URI."""
    opaque = picture[..., 3:] / np.float32(255)
    shown = (picture[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    encoded = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")


TEMPLATES = Templates(Path(__file__).parent, draw.percent, draw.data_uri, visit, jpeg)
