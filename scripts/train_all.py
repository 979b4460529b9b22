"""Train, export, evaluate and record every row of the board.

    python scripts/train_all.py                                  every registered pair, and what the documents claim
    python scripts/train_all.py --only lenet5.ahdd,hdr_cnn.mnist  these
    python scripts/train_all.py --only lenet5.mnist --epochs 1 --seeds 1

It may be stopped at any moment: the same command goes on where it stopped, and what is finished is not repeated. Where
records or the board's kept table are missing, it writes them anew from the finished runs.
"""

import argparse
import logging
import shutil
import sys
from pathlib import Path

import cli
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from leaderboard import recording, reporting, results, snapshot
from leaderboard.claims import claims
from zoo import backend, data, registry, training
from zoo.files import replacing
from zoo.settings import PRETRAINED

log = logging.getLogger("zoo.train_all")


def main() -> int:
    """Do what the command line says; 1 if a pair failed."""
    arguments = parse()
    if arguments.deterministic:
        backend.make_deterministic()
    pairs = [plan_pair(name, arguments) for name in chosen(arguments)]
    for dataset in sorted({jobs[0].dataset for jobs in pairs}):
        data.load(dataset, "train")  # broken data is told before any epoch is spent
        data.load(dataset, "test")
    failed = train_pairs(pairs, arguments)
    if any(result.speed is None for result in results.read_all(arguments.records) if result.submission is None):
        recording.record_speed(arguments.runs, arguments.records)  # of all rows, for only one run's figures compare
    snapshot.write(arguments.records)
    for model, error in failed.items():
        print(f"{model} failed: {error}", file=sys.stderr)
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="architecture.dataset pairs, comma-separated")
    parser.add_argument(
        "--recipe", help="zoo or paper (default: zoo; without --only also the paper recipe of every pair with a claim)"
    )
    parser.add_argument("--seeds", type=int, help="trainings a pair (default: as the architecture says, 3 or 5)")
    parser.add_argument("--epochs", type=int, help="at most so many epochs; the result gets a name of its own")
    parser.add_argument("--runs", type=Path, default=cli.ROOT / "runs", help="folder of the runs (default: runs)")
    parser.add_argument(
        "--records", type=Path, default=results.RECORDS, help="folder of the records (default: leaderboard/records)"
    )
    parser.add_argument("--ship", action="store_true", help="put the chosen model into zoo/pretrained")
    parser.add_argument("--deterministic", action="store_true", help="bit-equal on the same machine, but slower")
    arguments = parser.parse_args()
    for option in ("seeds", "epochs"):
        if (value := getattr(arguments, option)) is not None and value < 1:
            parser.error(f"--{option} should be at least 1, not {value}")
    return arguments


def chosen(arguments: argparse.Namespace) -> list[str]:
    """Return the pairs to train: those named, else all that are registered, what takes longest last."""
    if arguments.only is not None:
        return [name.strip() for name in arguments.only.split(",")]
    known = registry.architectures()
    pairs = [f"{a.name}.{dataset}" for a in known.values() for dataset in a.datasets]
    if arguments.recipe is None:
        pairs += [f"{c.model}-paper" for c in claims() if c.network in known and "paper" in known[c.network].recipes]
    return sorted(pairs, key=lambda pair: known[pair.partition(".")[0]].for_accelerators)


def plan_pair(name: str, arguments: argparse.Namespace) -> list[training.Job]:
    """Return a pair's jobs, one a seed."""
    pair = registry.ModelName.parse(name)
    seeds = arguments.seeds or registry.get(pair.architecture).seeds
    recipe = pair.recipe if pair.recipe != "zoo" else arguments.recipe or "zoo"
    plan = training.plan
    return [plan(pair.architecture, pair.dataset, recipe, seed=n, epochs=arguments.epochs) for n in range(seeds)]


def train_pairs(pairs: list[list[training.Job]], arguments: argparse.Namespace) -> dict[str, Exception]:
    """Train and publish pair by pair; return what failed. One that fails does not stop the others."""
    failed = {}
    with Bars(total=sum(map(len, pairs))) as bars:
        for jobs in pairs:
            model = jobs[0].model
            try:
                runs = [training.train(job, arguments.runs, bars.start(f"{model} seed {job.seed}")) for job in jobs]
                bars.start(f"{model} export and evaluation")
                publish(runs, arguments)
            except Exception as error:
                log.exception("%s failed", model)
                failed[model] = error
            bars.finish(len(jobs))
    return failed


class Bars:
    """A progress bar for the run at hand and one for all, with the log above them."""

    def __init__(self, total: int):
        console = Console()
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")
        self.progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self.everything = self.progress.add_task("all runs", total=total)
        self.current = self.progress.add_task("")
        self.finished = self.started = 0
        cli.show_log(RichHandler(console=console, show_path=False))

    def __enter__(self) -> "Bars":
        self.progress.start()
        return self

    def __exit__(self, *error) -> None:
        self.progress.stop()

    def start(self, description: str) -> training.Progress:
        """Show what begins; return the function that tells which share of it is done."""
        before = self.finished + self.started
        self.started += 1
        self.progress.reset(self.current, description=description, total=1.0)
        self.progress.update(self.everything, completed=before)

        def tell(share: float) -> None:
            self.progress.update(self.current, completed=share)
            self.progress.update(self.everything, completed=before + share)

        return tell

    def finish(self, runs: int) -> None:
        """Count a pair's runs as done, whatever became of them."""
        self.finished += runs
        self.started = 0
        self.progress.update(self.everything, completed=self.finished)
        self.progress.update(self.current, completed=1.0)


def publish(runs: list[training.Run], arguments: argparse.Namespace) -> None:
    """Export and measure every seed and write the row's record and report; ship the chosen one if that is asked for."""
    result = recording.record(runs, arguments.records)
    chosen = recording.shipped(runs).folder / "export"
    reporting.keep(result, chosen, arguments.records)
    if arguments.ship:
        with replacing(PRETRAINED / result.model) as staged:
            shutil.copytree(chosen, staged)


if __name__ == "__main__":
    cli.run(main)
