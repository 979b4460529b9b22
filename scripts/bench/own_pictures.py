"""Whether a network that is trained on one's own few pictures survives damage as the zoo's networks do.

    python -m scripts.bench.own_pictures [--pictures 30] [--seeds 1]

The set is made of UNIPEN's symbols: folders of PNG files, so many pictures of a class to train on, as anybody has them.
A network is trained on them as `scripts/train.py` does, and once more without damage in training; both are measured on
the writers of UNIPEN's test set.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from leaderboard import recording
from scripts import cli
from zoo import data, ink, training
from zoo.ingest import labelled_folders, user_data
from zoo.training import transfer

MADE_OF, NAME = "unipen_symbols", "own_symbols"
STARTS = (("glyphnet_10k", None), ("glyphnet_100k", "glyphnet_100k.unipen_letters"))
MOST_TESTED = 50  # pictures of a class


def main() -> None:
    """Print a line a training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=30, help="of each class, to train on (default: 30)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each kind (default: 1)")
    arguments = parser.parse_args()
    table = Table("network", "starts from", "seed", "damage in training", "accuracy %", "eight corruptions %")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["ZOO_USER_DATASETS"] = str(Path(scratch) / "datasets")
        write(Path(scratch) / "pictures", arguments.pictures)
        source = labelled_folders.read_folders(str(Path(scratch) / "pictures"))
        user_data.keep(user_data.prepare(source, NAME, ink.MNIST))
        for job in jobs(arguments.seeds):
            damage = job.recipe.augmentation is not None and job.recipe.augmentation.damage
            run = training.train(job, Path(scratch) / "runs" / ("damage" if damage else "none"))
            scores = recording.evaluated(run).metrics
            table.add_row(
                job.architecture, job.start or "", str(job.seed), "yes" if damage else "no",
                f"{100 * scores['accuracy']:.2f}", f"{100 * scores['robustness']:.2f}",
            )  # fmt: skip
    Console(width=120).print(table)


def write(folder: Path, pictures: int) -> None:
    """Write the set as PNG files, dark ink on white paper: train/CLASS/N.png and test/CLASS/N.png."""
    spec, rng = data.get(MADE_OF), np.random.default_rng(0)
    for split, most in (("train", pictures), ("test", MOST_TESTED)):
        found = data.load(MADE_OF, split)
        for label in range(len(spec.labels)):
            place = folder / split / f"symbol{label:02d}"
            place.mkdir(parents=True)
            for number, row in enumerate(rng.permutation(np.flatnonzero(found.labels == label))[:most]):
                cv2.imwrite(str(place / f"{number}.png"), 255 - found.images[row])


def jobs(seeds: int) -> Iterator[training.Job]:
    """Yield the trainings, each as `scripts/train.py` plans it and without damage."""
    for architecture, start in STARTS:
        for seed in range(seeds):
            job = training.plan(architecture, NAME, seed=seed)
            if start:
                job = replace(job, recipe=transfer.fine_tuning(job.recipe), start=start)
            yield job
            augmentation = job.recipe.augmentation
            if augmentation is not None:
                yield replace(job, recipe=replace(job.recipe, augmentation=replace(augmentation, damaged=0.0)))


if __name__ == "__main__":
    cli.run(main)
