"""Compare training seeds in parallel in one program with training them one after the other, in one run.

    KERAS_BACKEND=jax python -m scripts.bench.seeds --pair lenet5.mnist --seeds 8 --epochs 2

The first epoch of each is excluded, because it includes the compilation.
"""

import argparse
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

from scripts import cli
from zoo import registry, training
from zoo.backend import devices
from zoo.training import many_seeds


def main() -> int:
    """Train the seeds both ways into a folder of no consequence, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="lenet5.mnist", help="architecture.dataset (%(default)s)")
    parser.add_argument("--seeds", type=int, default=8, help="how many side by side (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="at least 2 (%(default)s)")
    arguments = parser.parse_args()
    if arguments.epochs < 2 or arguments.seeds < 2:
        parser.error("--epochs and --seeds should be at least 2")
    pair = registry.ModelName.parse(arguments.pair)
    job = training.plan(pair.architecture, pair.dataset, pair.recipe, epochs=arguments.epochs)
    jobs = [replace(job, seed=seed) for seed in range(arguments.seeds)]
    many_seeds.check(jobs)
    with tempfile.TemporaryDirectory() as scratch:
        alone = _epoch_seconds([training.train(jobs[0], Path(scratch) / "alone")])
        together = _epoch_seconds(many_seeds.train(jobs, Path(scratch) / "together")[-1:])
    gain = arguments.seeds * alone / together
    print(
        f"{arguments.pair} on {devices()[0]}: an epoch of one seed {alone:.2f} s, of {arguments.seeds} {together:.2f} s"
    )
    print(f"side by side: {gain:.2f} times the throughput of one after the other")
    return 0


def _epoch_seconds(runs: list[training.Run]) -> float:
    """Return the median time of an epoch after the first; side by side, the last run's epochs span all of them."""
    return statistics.median(epoch["seconds"] for run in runs for epoch in run.history["epochs"][1:])


if __name__ == "__main__":
    cli.run(main)
