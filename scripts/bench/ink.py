"""Measure what reading from pictures costs: test glyphs rendered as people photograph them, through the whole path.

    python -m scripts.bench.ink                      2,000 samples of every dataset that has a shipped network
    python -m scripts.bench.ink --samples 10000      the whole test sets
    python -m scripts.bench.ink --models ./runs/…/export

Every rendering may cost at most one point of accuracy, as a mean over the networks of its dataset. Exit status 1 if one
costs more.
"""

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

import zoo
from scripts import cli
from zoo import data, ink
from zoo.ink.renderings import RENDERINGS

MOST_LOST = 0.01  # of accuracy


def main() -> int:
    """Print a table a dataset; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(zoo.list_models()), help="default: all that are shipped")
    parser.add_argument("--samples", type=int, default=2000, help="of each test set, evenly drawn (default: 2,000)")
    arguments = parser.parse_args()
    groups: dict[str, list] = {}
    for predictor in map(zoo.load_predictor, arguments.models):
        if predictor.view is None:
            groups.setdefault(predictor.dataset, []).append(predictor)
    missed = [measure(name, predictors, arguments.samples) for name, predictors in sorted(groups.items())]
    return int(any(missed))


def measure(name: str, predictors: list, samples: int) -> bool:
    """Print the table of a dataset; whether a rendering costs too much."""
    test = data.load(name, "test")
    rows = np.random.default_rng(0).permutation(len(test))[:samples]
    images, labels = test.images[rows], test.labels[rows]
    table = Table(title=f"{name}: accuracy in % of {len(rows):,} test samples, as pictures")
    for title in ("rendering", *(p.name for p in predictors), "lost", "ms a picture", ""):
        table.add_column(title, justify="left" if title == "rendering" else "right")
    plain = accuracy(predictors, images, labels)
    table.add_row("none", *(f"{100 * p:.2f}" for p in plain), "", "", "")
    missed = False
    for title, render in RENDERINGS.items():
        pictures, seconds = np.empty_like(images), []
        for index, image in enumerate(images):
            picture = render(image)
            started = time.perf_counter()
            try:
                pictures[index] = ink.from_picture(picture, predictors[0].contract)
            except ink.Blank:  # counts as an error: nothing is drawn on it
                pictures[index] = 0
            seconds.append(time.perf_counter() - started)
        found = accuracy(predictors, pictures, labels)
        lost = float(np.mean(plain) - np.mean(found))
        missed |= lost > MOST_LOST
        verdict = "MISSED" if lost > MOST_LOST else "met"
        milliseconds = f"{1000 * np.median(seconds):.0f}"
        table.add_row(title, *(f"{100 * p:.2f}" for p in found), f"{100 * lost:.2f}", milliseconds, verdict)
    Console(width=140).print(table)
    return missed


def accuracy(predictors: list, images: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return the accuracy of every network."""
    return [float((predictor(images).argmax(axis=1) == labels).mean()) for predictor in predictors]


if __name__ == "__main__":
    cli.run(main)
