"""How many images of no class published networks accept, on those that methods are compared on.

    python -m scripts.bench.unknown                                    every shipped network of glyphs
    python -m scripts.bench.unknown glyphnet_100k.mnist runs/…/export  these

Accepted is what reaches the confidence that 99% of the validation samples reach. The images for testing are another
set, which `scripts/measure.py` reads (`leaderboard/unknown.py`).
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

import zoo
from leaderboard import unknown
from scripts import cli
from zoo import data, hub
from zoo.serving.predictor import Predictor


def main() -> None:
    """Print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", help="shipped models, models on the Hub, or folders (default: all shipped)"
    )
    table = Table("network", "validation accuracy", "threshold", "accepted", *unknown.CHOOSING)
    for name in parser.parse_args().models or zoo.list_models():
        predictor = Predictor.load(hub.resolve(name))
        found = [unknown.of_alphabets(predictor.dataset, (alphabet,)) for alphabet in unknown.CHOOSING]
        groups = [images for images in found if images is not None]
        if len(groups) < len(found):
            continue
        validation = data.load(predictor.dataset, "validation")
        answers = predictor(validation.images)
        threshold = np.quantile(answers.max(axis=1), unknown.REJECTED)
        accepted = [predictor(images).max(axis=1) >= threshold for images in groups]
        shares = [np.concatenate(accepted).mean(), *(part.mean() for part in accepted)]
        accuracy = (answers.argmax(axis=1) == validation.labels).mean()
        table.add_row(name, f"{accuracy:.4f}", f"{threshold:.3f}", *(f"{share:.3f}" for share in shares))
    Console(width=160).print(table)


if __name__ == "__main__":
    cli.run(main)
