"""The datasets of the board, and the overlap of their test sets with their training sets."""

from pathlib import Path

from leaderboard.leaks import LEAKS
from leaderboard.tabs.markup import esc, facts
from zoo import data
from zoo.files import read_json
from zoo.types import Json

WHY = """A score is only meaningful if the test set is new to the model. Two people can draw the same simple stroke,
so a near duplicate is not always a leak. A copied sample, or a writer who is in both sets, makes a score too high."""


def page(folder: Path = LEAKS) -> str:
    """Return the report of every dataset that has one, as HTML."""
    reports = [read_json(path) for path in sorted(folder.glob("*.json"))]
    if not reports:
        return '<p class="quiet">No report yet: python -m scripts.chores.find_leaks writes them.</p>'
    return f'<article class="page"><p>{WHY}</p>{"".join(map(_report, reports))}</article>'


def _report(report: Json) -> str:
    spec = data.get(report["dataset"])
    samples, writers = report["samples"], report["writers"]
    current = report["fingerprints"] == dict(spec.fingerprints)
    stale = "" if current else '<p class="warning">Stale: this report is of another version of the dataset.</p>'
    if writers is None:
        shared = "unknown: the dataset has no writers"
    else:
        column = f"<code>{esc(spec.group or '')}</code>"
        shared = f"<b>{writers['both']}</b> of {writers['test']} (column {column}; {writers['train']} in training)"
    near = ", ".join(f"<b>{count:,}</b> at {level}" for level, count in report["near"].items())
    pairs = [
        ("Samples", f"{samples['train']:,} for training, {samples['test']:,} for testing"),
        ("Exact duplicates", f"<b>{report['exact']:,}</b> test samples are identical to training samples"
                             f" ({report['exact_other_label']} with another label)"),
        ("Near duplicates", f"{near} (correlation of the pixels, and a perceptual one of at least "
                            f"{report['perceptual']}){_classes(report['near_classes'])}"),
        ("Duplicates within the test set", f"<b>{report['within_test']:,}</b>"),
        ("Writers in both", shared),
        ("Test fingerprint", f"<code>{esc(report['fingerprints']['test'][:16])}</code>"),
    ]  # fmt: skip
    return (
        f'<section class="leaks"><h3>{esc(spec.title)}</h3><p class="quiet">{esc(spec.source)}</p>{stale}{facts(pairs)}'
        f"{_examples(report)}</section>"
    )


def _classes(counts: dict[str, int]) -> str:
    if not counts:
        return ""
    said = ", ".join(f"{count} of {esc(label)}" for label, count in list(counts.items())[:3])
    return f". By class: {said}{', …' if len(counts) > 3 else ''}"


def _examples(report: Json) -> str:
    if not report["examples"]:
        return ""
    figures = []
    for pair in report["examples"]:
        kinds = ("test", "training"), (pair["test"], pair["train"])
        images = "".join(
            _image(png, f"{kind} sample {number}") for png, kind, number in zip(pair["images"], *kinds, strict=True)
        )
        labels = " · ".join(map(esc, pair["labels"]))
        caption = f"{labels} <small>{pair['correlation']:.3f}</small>"
        figures.append(f"<figure>{images}<figcaption>{caption}</figcaption></figure>")
    pictures = "".join(figures)
    return f'<p class="quiet">The nearest pairs, test and training:</p><div class="samples twins">{pictures}</div>'


def _image(png: str, alt: str) -> str:
    return f'<img src="data:image/png;base64,{esc(png)}" alt="{esc(alt)}">'
