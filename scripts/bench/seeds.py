"""Compare training seeds in parallel in one program with training them one after the other, in one run.

    KERAS_BACKEND=jax python -m scripts.bench.seeds --pairs lenet5.mnist --seeds 8 --epochs 2

The first epoch of each is excluded, because it includes the compilation.
"""

import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from zoo import registry, training
from zoo.backend import devices
from zoo.training import many_seeds

PAIRS = ["lenet5.optdigits", "glyphnet_700.optdigits"]


def main() -> int:
    """Train the seeds of each pair both ways into a folder of no consequence."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--pairs", nargs="+", default=PAIRS, help=f"architecture.dataset ({' '.join(PAIRS)})")
    parser.add_argument("--seeds", type=int, default=8, help="how many side by side (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="at least 2 (%(default)s)")
    arguments = parser.parse_args()
    if arguments.epochs < 2 or arguments.seeds < 2:
        parser.error("--epochs and --seeds should be at least 2")
    cells = [cell for pair in arguments.pairs for cell in compared(pair, arguments.seeds, arguments.epochs)]
    return measurements.conclude("seeds", arguments, [Table(f"an epoch on {devices()[0]}, medians", cells)])


def compared(model: str, seeds: int, epochs: int) -> Iterator[Measurement]:
    """Yield the seconds of an epoch of one seed and of all in one program, and how much more is done in a second."""
    pair = registry.ModelName.parse(model)
    job = training.plan(pair.architecture, pair.dataset, pair.recipe, epochs=epochs)
    jobs = [replace(job, seed=seed) for seed in range(seeds)]
    many_seeds.check(jobs)
    with tempfile.TemporaryDirectory() as scratch:
        alone = _epoch_seconds([training.train(jobs[0], Path(scratch) / "alone")])
        together = _epoch_seconds(many_seeds.train(jobs, Path(scratch) / "together")[-1:])
    yield Measurement(f"`{model}`", alone, "s", n=epochs - 1, column="one seed")
    yield Measurement(f"`{model}`", together, "s", column=f"{seeds} seeds side by side")
    yield Measurement(f"`{model}`", seeds * alone / together, "times", column="throughput")


def _epoch_seconds(runs: list[training.Run]) -> float:
    """Return the median time of an epoch after the first; side by side, the last run's epochs span all of them."""
    return statistics.median(epoch["seconds"] for run in runs for epoch in run.history["epochs"][1:])


if __name__ == "__main__":
    cli.run(main)
