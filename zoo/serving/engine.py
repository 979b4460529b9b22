"""What a server reads for many callers at the same time: sketches in batches, pictures in a pool of threads.

Nothing of it runs on the event loop. The answers are plain JSON types, in the terms of `docs/programs.md`.
"""

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo import hub, ink
from zoo.errors import ZooError
from zoo.ink.contract import Contract
from zoo.serving import by_script, reading, voting
from zoo.serving.batches import SHARE, BatchQueue
from zoo.serving.model_cache import MODELS
from zoo.serving.predictor import Predictor, likeliest
from zoo.serving.reading_budget import Budget
from zoo.serving.runtimes import threads
from zoo.serving.seen import Seen, see
from zoo.types import Json

SKETCHES = 256  # that wait: about a quarter of a second of work
PICTURES = 64  # that wait: some seconds of work
BATCH = 32  # sketches that are read together
LONGEST = 0.01  # seconds that their networks take together: whoever asks meanwhile waits for all of them
UNKNOWN = 0.01  # seconds that a network is taken to need for an image before it has read one
POINTS = 500  # of a sketch; one of more waits in another queue, so that it delays none of the usual size, and so does
# one for a network that takes more than `LONGEST` for an image, or came with no package and has read none yet
STROKE = 10  # points that take as long as a stroke, each of which is drawn alone


@dataclass(frozen=True)
class Sketch:
    """Pen strokes of one character, as `ink.from_strokes` takes them.

    models: the names of the networks to ask; of several the most certain one answers.
    """

    strokes: Sequence[Sequence[Sequence[float]]]
    size: float
    pen: float
    models: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A picture of one glyph or many, as `seen.see` takes it.

    content: returns the file's bytes; called by the thread that reads it.
    models: as for a sketch.
    wanted: whether somebody waits for the answer.
    sender: who sent it.
    """

    content: Callable[[], bytes]
    models: tuple[str, ...]
    wanted: Callable[[], bool] = lambda: True
    sender: str = ""


class Engine:
    """The queues of a server.

    Args:
        models: returns the predictor of a network's name.
        threads: for pictures; a picture keeps one busy. There are more than processors, since one may wait for a place
            where it is decoded, or take a minute.
    """

    def __init__(self, models: Callable[[str], Predictor] = MODELS, threads: int = max(16, SHARE * threads())):
        self._models = models
        self._best: dict[str, tuple[str, ...]] = {}
        self._seconds: dict[str, float] = {}  # the least that a network has taken for an image, others' work aside
        # One thread: sketches are short, and more threads would wait for each other.
        self.sketches: BatchQueue[Sketch, Json] = BatchQueue(
            self._sketches, "sketches", 1, BATCH, SKETCHES, self._cost, LONGEST
        )
        self.long_sketches: BatchQueue[Sketch, Json] = BatchQueue(self._sketches, "long sketches", 1, 1, PICTURES)
        self.pictures: BatchQueue[Picture, Json] = BatchQueue(self._pictures, "pictures", threads, 1, PICTURES)
        self.closing = False

    @property
    def queues(self) -> tuple[BatchQueue[Any, Json], ...]:
        """All queues."""
        return self.sketches, self.long_sketches, self.pictures

    def best(self, script: str) -> tuple[str, ...]:
        """Return the networks to ask for a script; see `by_script.best`, which looks through all folders."""
        if script not in self._best:
            self._best[script] = by_script.best(script)
        return self._best[script]

    def load(self, script: str) -> None:
        """Load the networks for a script, and run each once."""
        for name in self.best(script):
            predictor = self._models(name)
            predictor.classify(np.zeros((1, *predictor.input_shape), np.uint8))

    async def read(self, asked: Sketch | Picture, sender: str = "") -> Json:
        """Return what networks read. A call that is cancelled is not read further than its next page or network.

        Returns:
            {"model", "script", "text", "confidence" (of the least certain glyph), "accepted" (whether every glyph is),
            "glyphs", "notes"}; each glyph is {"label", "confidence", "accepted", "sure", "probabilities", "box",
            "line", "page"}. A network of pages finds no glyphs and adds "probabilities" and "votes". Both are of each
            label, where there are more than 100 of the 100 likeliest.

        Raises:
            Busy: the queue is full, or the server shuts down.
            ZooError: it cannot be read; no such network.
        """
        if isinstance(asked, Sketch):
            usual = sum(STROKE + len(stroke) for stroke in asked.strokes) <= POINTS
            quick = all(self._is_quick(name) for name in asked.models)
            return await (self.sketches if usual and quick else self.long_sketches).ask(asked, sender)
        waits = threading.Event()
        waits.set()
        try:
            return await self.pictures.ask(replace(asked, wanted=waits.is_set, sender=sender), sender)
        finally:
            waits.clear()

    def close(self) -> None:
        """Answer what was asked, and take no more."""
        self.closing = True
        for queue in self.queues:
            queue.close()

    def _pictures(self, pictures: Sequence[Picture]) -> list[Json | Exception]:
        return [_tried(self._picture, picture) for picture in pictures]

    def _picture(self, picture: Picture) -> Json:
        predictors = [self._models(name) for name in picture.models]
        budget = Budget(picture.wanted, sender=picture.sender)
        content = picture.content()
        of_pages = [one for one in predictors if one.view is not None]
        if of_pages:
            return of_page(voting.vote(content, of_pages[0], budget=budget), of_pages[0])
        return of_picture(content, predictors, budget)

    def _is_quick(self, name: str) -> bool:
        """Whether a network holds up no others: it has read an image in little time, or comes with the package."""
        return self._seconds[name] <= LONGEST if name in self._seconds else name in hub.shipped()

    def _cost(self, sketch: Sketch) -> float:
        """Return the seconds that the networks of a sketch need."""
        return sum(self._seconds.get(name, UNKNOWN) for name in sketch.models)

    def _sketches(self, sketches: Sequence[Sketch]) -> list[Json | Exception]:
        """Read a batch: each network sees all images that are for it at once."""
        shown: dict[str, list[tuple[int, np.ndarray]]] = {}
        failed: dict[int, Exception] = {}
        for index, sketch in enumerate(sketches):
            try:
                images: dict[Contract, np.ndarray] = {}
                for name in sketch.models:
                    predictor = self._models(name)
                    if predictor.view is not None:
                        raise ZooError(f"{name} reads whole pages, not sketches: send a picture.")
                    contract = predictor.contract
                    if contract not in images:
                        images[contract] = ink.from_strokes(sketch.strokes, contract, sketch.size, sketch.pen)
                    shown.setdefault(name, []).append((index, images[contract]))
            except Exception as error:
                failed[index] = error
        found: dict[int, list[tuple[float, np.ndarray, Predictor]]] = {}
        for name, together in shown.items():
            predictor = self._models(name)
            began = time.perf_counter()
            answers = predictor(np.stack([image for _, image in together]))
            took = (time.perf_counter() - began) / len(together)
            self._seconds[name] = min(took, self._seconds.get(name, took))
            for (index, _), answer in zip(together, answers, strict=True):
                found.setdefault(index, []).append((float(by_script.certainty(predictor, answer)), answer, predictor))
        return [
            failed[index] if index in failed else of_sketch(sketch, *max(found[index], key=lambda one: one[0]))
            for index, sketch in enumerate(sketches)
        ]


@functools.lru_cache(maxsize=512)
def _script_of(labels: tuple[str, ...]) -> str:
    return by_script.script_of(labels)


def script_of(predictor: Predictor) -> str:
    """Return the script of a network, a key of `by_script.TITLES`."""
    return _script_of(predictor.labels) if predictor.view is None else by_script.PAGES


def _tried(call: Callable[[Picture], Json], asked: Picture) -> Json | Exception:
    try:
        return call(asked)
    except Exception as error:
        return error


def of_picture(content: bytes, predictors: Sequence[Predictor], budget: Budget) -> Json:
    """Return what a network reads in a picture, of several on each page the surest one, as JSON."""
    by_name = {one.name: one for one in predictors}

    def made(seen: Seen) -> Json:
        if len(predictors) > 1:
            page = reading.surest(seen, predictors, budget)
        else:
            page = reading.read_seen(seen, predictors[0], budget=budget)
        of_it = by_name[page.model]
        glyphs = [_glyph(one.probabilities, of_it, one.box, one.line, 0) for one in page.glyphs]
        return {"model": page.model, "text": page.text, "glyphs": glyphs, "notes": page.notes}

    pages, problems = reading.each_page(see(content, budget), made)
    first = pages[0]
    first["notes"] = reading.noted(first["notes"], problems)
    glyphs = [{**glyph, "page": number} for number, page in enumerate(pages) for glyph in page["glyphs"]]
    text = "\n\n".join(page["text"] for page in pages)
    return _answer(by_name[first["model"]], text, glyphs, [note for page in pages for note in page["notes"]])


def of_sketch(sketch: Sketch, certainty: float, probabilities: np.ndarray, predictor: Predictor) -> Json:
    """Return the reading of a sketch as JSON: one glyph, with the box of its points."""
    xs, ys = zip(*(point for stroke in sketch.strokes for point in stroke), strict=True)
    x0, x1, y0, y1 = (min(max(edge / sketch.size, 0.0), 1.0) for edge in (min(xs), max(xs), min(ys), max(ys)))
    glyph = _glyph(probabilities, predictor, (x0, y0, x1 - x0, y1 - y0), 0, 0)
    return _answer(predictor, glyph["label"], [glyph], [])


def of_page(found: voting.Votes, predictor: Predictor) -> Json:
    """Return what a network of pages says of one as JSON."""
    sure = found.label != voting.UNSURE
    return {
        "model": predictor.name,
        "script": script_of(predictor),
        "text": found.label,
        "confidence": _rounded(found.probabilities.max()),
        "accepted": sure,
        "glyphs": [],
        "notes": [],
        "probabilities": _by_label(found.probabilities, predictor),
        "votes": votes_of(found),
    }


def votes_of(found: voting.Votes) -> dict[str, int]:
    """Return how many views of a page chose each label that is in an answer."""
    return {found.labels[index]: int(found.votes[index]) for index in likeliest(found.probabilities)}


def _answer(predictor: Predictor, text: str, glyphs: list[Json], notes: list[str]) -> Json:
    return {
        "model": predictor.name,
        "script": by_script.script_of([glyph["label"] for glyph in glyphs]),
        "text": text,
        "confidence": min(glyph["confidence"] for glyph in glyphs),
        "accepted": all(glyph["accepted"] for glyph in glyphs),
        "glyphs": glyphs,
        "notes": notes,
    }


def _glyph(
    probabilities: np.ndarray,
    predictor: Predictor,
    box: tuple[float, float, float, float],
    line: int,
    page: int,
) -> Json:
    best = int(probabilities.argmax())
    confidence = float(probabilities[best])
    least = reading.SURE if predictor.threshold is None else predictor.threshold
    return {
        "label": predictor.labels[best],
        "confidence": _rounded(confidence),
        "accepted": bool(by_script.certainty(predictor, probabilities) >= 0),
        "sure": confidence >= least,
        "probabilities": _by_label(probabilities, predictor),
        "box": [round(float(value), 4) for value in box],
        "line": int(line),
        "page": page,
    }


def _by_label(probabilities: np.ndarray, predictor: Predictor) -> dict[str, float]:
    return {predictor.labels[index]: _rounded(probabilities[index]) for index in likeliest(probabilities)}


def _rounded(probability: float) -> float:
    return round(float(probability), 6)
