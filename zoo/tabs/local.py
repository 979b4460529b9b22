"""Networks that answer in the visitor's browser: their files, which `local.js` runs while the pen moves."""

import functools
import gzip
import json
import time
import unicodedata
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from starlette.types import Receive, Scope, Send

from zoo import gate, hub
from zoo.errors import UnknownName, ZooError
from zoo.gate.traffic import PART
from zoo.portable import javascript, page
from zoo.serving import by_script
from zoo.serving.batches import BatchQueue
from zoo.tabs import choice, draw
from zoo.types import Json

LARGEST = 1_100_000  # parameters: what a page reads within a few frames
TYPES = {"js": "text/javascript; charset=utf-8", "json": "application/json", "html": "text/html; charset=utf-8"}
MOST_SENT = 16  # pages of submissions that are kept, of some megabytes at most
MOST_WAITING = 400  # requests for a file that has to be made
FAILED = 60.0  # seconds for which what cannot be made is not tried again
KEPT = "public, max-age=600"  # a browser asks again after ten minutes


def names() -> list[str]:
    """Return the networks that a browser runs: those for single glyphs, up to `LARGEST`."""
    served = by_script.networks()
    return [one.model for key in served if key != by_script.PAGES for one in served[key] if one.parameters <= LARGEST]


def settings() -> Json:
    """Return what local.js needs to know in addition to the networks' files."""
    return {"networks": names(), "alike": list(by_script.LOOK_ALIKES)}


class Networks:
    """Answers at /networks/: the engine, a network as the page runs it (.json), and one to take away (.html).

    Args:
        scores: returns what was measured of a network, as `page.write` takes it; None where nothing is known.
        sent: returns a network that is not served, but was submitted, and its facts, as `page.page` takes them.
        version: returns what is another value when such a network has been replaced.
    """

    def __init__(
        self,
        scores: Callable[[str], Json | None],
        sent: Callable[[str], tuple[Json, list[tuple[str, str]]]],
        version: Callable[[str], Hashable],
    ):
        self._scores, self._sent, self._version = scores, sent, version
        self._kept: dict[str, bytes] = {}  # of the served networks, which are few
        self._page = functools.lru_cache(maxsize=MOST_SENT)(self._make_page)
        self._failed: dict[Hashable, tuple[float, str]] = {}  # what cannot be made: until when, and why
        # Threads of their own: a shipped network takes up to a second, which nothing else should wait for; one of
        # somebody else takes as long as `zoo.portable.work` allows, and a submission as long as the Hub takes.
        self._queues: dict[bool, BatchQueue[str, bytes]] = {
            of_stranger: BatchQueue(self._contents, name, most_waiting=MOST_WAITING)
            for of_stranger, name in ((False, "networks"), (True, "of-strangers"))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            UnknownName: no such network here.
            ZooError: it has an operator that no kernel computes: the page asks the server instead.
        """
        name = scope["path"].rpartition("/")[2]
        model, _, ending = name.rpartition(".")
        queue = self._queues[ending != "js" and model not in hub.shipped()]
        content = self._kept.get(name) or await queue.ask(name, gate.caller().network)
        # For everybody: all browsers unpack it, and unpacking it here for others would be the largest part of the work.
        headers = {"content-encoding": "gzip", "cache-control": KEPT}
        if name == "worker.js":
            headers["service-worker-allowed"] = "/"
        headers |= {"content-length": str(len(content)), "content-type": TYPES[ending]}
        written = [(key.encode(), value.encode()) for key, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": written})
        # In parts of the same bytes for everybody, which take no memory for each.
        for place in range(0, len(content), PART):
            await send({"type": "http.response.body", "body": content[place : place + PART], "more_body": True})
        await send({"type": "http.response.body"})

    def _contents(self, asked: Sequence[str]) -> list[bytes | Exception]:
        """Return the contents of files, compressed, or why there are none."""
        found: list[bytes | Exception] = []
        for name in asked:
            try:
                found.append(self._content(name))
            except Exception as error:
                found.append(error)
        return found

    def _content(self, name: str) -> bytes:
        model, _, ending = name.rpartition(".")
        if name in self._kept:
            return self._kept[name]
        if ending == "html" and model not in choice.glyph_models():
            version = self._version(model)
            return self._tried((model, version), lambda: self._page(model, version))
        if ending == "json" and model not in names():
            raise UnknownName("network for a browser", model, names())
        self._kept[name] = self._tried(name, lambda: self._pack(name))
        return self._kept[name]

    def _tried(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return what is made; why that cannot be, is known for a while, without another try."""
        now = time.monotonic()
        until, reason = self._failed.get(key, (now, ""))
        if until > now:
            raise ZooError(reason)
        try:
            return make()
        except ZooError as error:
            self._failed = {one: known for one, known in self._failed.items() if known[0] > now}
            self._failed[key] = time.monotonic() + FAILED, str(error)
            raise

    def _make_page(self, model: str, version: Hashable) -> bytes:
        """Return the page of a submission, compressed."""
        return gzip.compress(page.page(*self._sent(model)).encode(), mtime=0)

    def _pack(self, name: str) -> bytes:
        """Return the content of a file that is not a submission's, compressed."""
        model, _, ending = name.rpartition(".")
        if name == "engine.js":
            files = javascript.HERE / "answer.js", choice.HERE / "comparing.js"
            text = "\n".join((javascript.engine(), *(file.read_text(encoding="utf-8") for file in files)))
        elif name == "worker.js":
            text = (choice.HERE / name).read_text(encoding="utf-8")
        elif ending == "json":
            text = json.dumps(file(model), ensure_ascii=False)
        else:
            folder = hub.resolve(model)
            text = page.page(javascript.network_file(folder), page.card_facts(folder, self._scores(model)))
        return gzip.compress(text.encode(), mtime=0)


def file(name: str) -> Json:
    """Return a network as a page runs it, with the HTML of its answers, which the page fills in."""
    network = javascript.network_file(hub.resolve(name))
    labels, contract = network["labels"], network["contract"]
    blank = np.zeros((contract["height"], contract["width"], 1), np.uint8)
    even = np.full(len(labels), 1 / len(labels), np.float32)
    # With every part that an answer may have; the page takes away what does not apply.
    whole = draw.Reading(name, network["script"], tuple(labels), even, blank, certainty=-1.0, alike=("?",))
    return {
        "network": network,
        "card": draw.render([whole]),
        "any": draw.render_any([whole], 0),
        "none": draw.render_any([whole], None),
        "titles": [by_script.TITLES[by_script.script_of([label])] for label in labels],
        "values": [unicodedata.digit(label, None) if len(label) == 1 else None for label in labels],
    }
