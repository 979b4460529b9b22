"""A network as one HTML file: a pad, the network, what is known of it. It asks no server for anything."""

import html
import json
import re
from collections.abc import Iterable
from pathlib import Path

from zoo import registry
from zoo.data import DATASETS
from zoo.portable.javascript import HERE, engine, network_file, without_comments
from zoo.published import PublishedFolder
from zoo.types import Json

PAD = HERE.parent / "tabs"  # the pad is the one of the *Draw* tab
SIDE, PEN = 1000, 0.045  # of the pad: units of its side, and the pen's width as a share of it
LICENCE = "Apache-2.0"


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
    style = (PAD / "pad.css").read_text(encoding="utf-8") + (PAD / "answer.css").read_text(encoding="utf-8")
    pad = (PAD / "pad.html").read_text(encoding="utf-8")
    pad = pad.replace("${side}", str(SIDE)).replace("${pen * side}", f"{PEN * SIDE:g}")
    network = json.dumps(file, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "title": html.escape(file["name"]),
        "style": style,
        "pad": pad,
        "card": _card(file),
        "facts": "".join(f"<dt>{html.escape(term)}</dt><dd>{html.escape(text)}</dd>" for term, text in facts),
        "network": network,
        "script": script(),
    }
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], (HERE / "page.html").read_text(encoding="utf-8"))


def script() -> str:
    """Return the JavaScript of the page."""
    answer, main = ((HERE / name).read_text(encoding="utf-8") for name in ("answer.js", "page.js"))
    pad = (PAD / "pad.js").read_text(encoding="utf-8")
    return without_comments("\n".join((engine(), answer, main.replace("{pad}", pad))))


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
    limit = "It always names one of its classes, whatever is drawn"
    doubted = f"; below {reading['accepts']:.0%} the drawing is perhaps none of them." if "accepts" in reading else "."
    known.append(("Limits", limit + doubted))
    return [*known, ("License", f"Weights and code: {LICENCE}. The data have their own terms.")]


def _card(file: Json) -> str:
    """Return the empty card of a network, with the classes that answer.css knows."""
    arabic = file["script"] == "arabic"
    name = f' class="{{}}{" arabic" * arabic}"{" lang=ar" * arabic} translate="no"'
    rows = "".join(
        f"<li><span{name.format('label')}>{html.escape(label)}</span>"
        '<span class="track"><i></i></span><span class="value">0%</span></li>'
        for label in file["labels"]
    )
    words = " words" * any(len(label) > 2 for label in file["labels"])
    height, width = file["contract"]["height"], file["contract"]["width"]
    return (
        f'<article class="reading{words}" aria-live="polite" hidden>'
        f'<div class="verdict"><div{name.format("glyph")}></div>'
        f'<div class="sure">0%</div><figure class="seen"><img width="{width}" height="{height}" alt="">'
        '<figcaption data-ar="ما رأته الشبكة">what it saw</figcaption></figure></div>'
        f'<ul class="bars">{rows}</ul>'
        '<p class="note" hidden data-ar="ربما ليس هذا من أصنافها.">Perhaps this is none of its classes.</p></article>'
    )
