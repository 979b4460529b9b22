"""Measure "Anything": one network of each script is asked, and their answers are compared.

    python -m scripts.bench.any_script                    1,300 validation samples of each script
    python -m scripts.bench.any_script --samples 300

Every sample goes to every network, placed as its contract says. Characters of other alphabets, which nothing was
trained on, should be refused by all.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

import zoo
from leaderboard import unknown
from zoo import data, ink
from zoo.serving import by_script
from zoo.serving.predictor import Predictor

INKED = 127  # of 255: a sample without a darker pixel is not asked about


def main() -> None:
    """Print a row for each script, and one for characters of no script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1300, help="of each validation set (default: 1,300)")
    most = parser.parse_args().samples
    asked = [zoo.load_predictor(model) for model in by_script.best(by_script.ANYTHING)]
    table = Table(title=f"Anything, by {', '.join(one.name for one in asked)}: % of validation samples")
    for title in ("samples of", "n", "right", "right or written alike", "none of mine"):
        table.add_column(title, justify="left" if title == "samples of" else "right")
    rng = np.random.default_rng(0)
    for one in asked:
        split = data.load(one.dataset, "validation")
        rows = rng.permutation(len(split))[:most]
        labels = [one.labels[number] for number in split.labels[rows]]
        found = [answer(asked, image) for image in split.images[rows]]
        right = np.mean([got == label for got, label in zip(found, labels, strict=True)])
        alike = np.mean(
            [
                got is not None and (got == label or bool(by_script.look_alikes(got, label)))
                for got, label in zip(found, labels, strict=True)
            ]
        )
        refused = np.mean([got is None for got in found])
        table.add_row(one.dataset, f"{len(rows):,}", *(f"{100 * share:.1f}" for share in (right, alike, refused)))
    others = unknown.for_choosing(asked[0].dataset)
    if others is not None:
        others = others[rng.permutation(len(others))[:most]]
        refused = np.mean([answer(asked, image) is None for image in others])
        table.add_row("other alphabets", f"{len(others):,}", "", "", f"{100 * refused:.1f}")
    Console(width=140).print(table)


def answer(asked: list[Predictor], image: np.ndarray) -> str | None:
    """Return the label that the believed network reads in an image, uint8 (H, W, 1); None where none accepts it."""
    if image.max() <= INKED:
        return None
    found = [one(ink.from_ink(image[..., 0] / 255, one.contract)[None])[0] for one in asked]
    chosen = by_script.choose([float(by_script.certainty(*pair)) for pair in zip(asked, found, strict=True)])
    return None if chosen is None else asked[chosen].labels[int(found[chosen].argmax())]


if __name__ == "__main__":
    main()
