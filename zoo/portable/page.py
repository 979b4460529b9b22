"""A network as one HTML file: a pad, the network, what is known of it. It asks no server for anything."""

import json
from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup

from zoo import registry
from zoo.data import DATASETS
from zoo.portable.javascript import HERE, engine, network_file, without_comments
from zoo.published import PublishedFolder
from zoo.templates import Templates
from zoo.types import Json

PAD = HERE.parent / "tabs"  # the pad is the one of the *Draw* tab
SIDE, PEN = 1000, 0.045  # of the pad: units of its side, and the pen's width as a share of it
LICENCE = "Apache-2.0"
WHOLE, LIKELIEST = 10, 5  # classes that an answer shows at first: all of up to so many, else the likeliest
LIMITS = "It always names one of its classes, whatever is drawn"


def write(folder: Path, target: Path, precision: str = "float16", measured: Json | None = None) -> None:
    """Write a published network as an HTML file.

    Args:
        folder: the published folder of a network for single glyphs.
        target: the file.
        precision: of its weights, "float32", "float16" or "int8".
        measured: {"accuracy" (0 to 1), "test_samples", "split"} of this precision; None: the page does not say.

    Raises:
        ZooError: the network cannot be exported.
    """
    target.write_text(page(network_file(folder, precision), card_facts(folder, measured)), encoding="utf-8")


def page(file: Json, facts: Iterable[tuple[str, str]]) -> str:
    """Return the HTML of a network's file (`javascript.network_file`) and of facts, each a term and a text."""
    pad = (PAD / "pad.html").read_text(encoding="utf-8")
    pad = pad.replace("${side}", str(SIDE)).replace("${pen * side}", f"{PEN * SIDE:g}")
    style = "".join((PAD / name).read_text(encoding="utf-8") for name in ("pad.css", "answer.css"))
    network = json.dumps(file, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return TEMPLATES("page.page", file, list(facts), *map(Markup, (network, style, pad, script())))


def shown(classes: int) -> int:
    """Return how many of its classes an answer shows at first; the others unfold."""
    return classes if classes <= WHOLE else LIKELIEST


def script() -> str:
    """Return the JavaScript of the page."""
    answer, main = ((HERE / name).read_text(encoding="utf-8") for name in ("answer.js", "page.js"))
    for part in ("pad", "bars"):
        main = main.replace(f"{{{part}}}", (PAD / f"{part}.js").read_text(encoding="utf-8"))
    return without_comments("\n".join((engine(), answer, main)))


def card_facts(folder: Path, measured: Json | None = None) -> list[tuple[str, str]]:
    """Return what is known of a published network, as terms and texts."""
    published = PublishedFolder(folder)
    about, reading = published.metadata, published.preprocessor
    architecture, dataset = about["architecture"], DATASETS.get(reading["dataset"])
    known = [("Network", folder.name)]
    if architecture in registry.architectures():
        known.append(("Architecture", registry.get(architecture).title))
    known += [("Classes", " ".join(reading["labels"])), ("Parameters", f"{about['parameters']:,}")]
    if measured:
        share = f"{measured['accuracy']:.2%} of {measured['test_samples']:,} {measured['split']} samples"
        known.append(("Accuracy", share))
    if dataset:
        known += [("Data", dataset.title), ("Cite", dataset.source)]
    known.append(("Recipe", f"{about.get('recipe', 'unknown')}, seed {about.get('seed', 'unknown')}"))
    accepts = reading.get("accepts")
    doubted = "." if accepts is None else f"; below {accepts:.0%} the drawing is perhaps none of them."
    known.append(("Limits", LIMITS + doubted))
    return [*known, ("License", f"Weights and code: {LICENCE}. The data have their own terms.")]


TEMPLATES = Templates(HERE, shown)
