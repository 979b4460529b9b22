"""Train what a bundle is for, on the machine that it was brought to; `run.sh` calls it.

    python scripts/run_bundle.py bundle.json --runs work/runs --out results [--minutes 9]

After every run its scores, history and, where they fit, weights are in the folder of the results, in pieces of at most
15 MB. When time is up, or it is stopped, the same command goes on after the last complete epoch.
"""

import argparse
import itertools
import logging
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import cli

from leaderboard import bundles, recording
from zoo import backend, data, training
from zoo.errors import ZooError
from zoo.files import read_json
from zoo.training import many_seeds

STARTED = time.monotonic()
UNFINISHED = 3  # exit status: there is more to do


class Stopped(Exception):
    """Time is up, or somebody wants the machine back."""


def main() -> int:
    """Run the command; return 3 if it was stopped and 1 if a training failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="bundle.json")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, help="stop by itself after as many (default: as planned)")
    arguments = parser.parse_args()
    cli.show_log(logging.StreamHandler(sys.stdout))
    signal.signal(signal.SIGTERM, stop)
    plan = read_json(arguments.plan)
    minutes = plan["minutes"] if arguments.minutes is None else arguments.minutes
    pairs = [[training.Job.from_dict(job) for job in pair] for pair in plan["jobs"]]
    folders = [job.folder(arguments.runs) for pair in pairs for job in pair]
    print(f"{len(folders)} trainings on {', '.join(backend.devices())}, {minutes:g} minutes.", flush=True)
    failed, stopped = 0, False
    for jobs in in_turn(pairs, plan["side_by_side"]):
        try:
            for _ in train(jobs, arguments.runs, minutes):
                bundles.pack(arguments.runs, folders, arguments.out)
        except (Stopped, KeyboardInterrupt):
            stopped = True
            break
        except Exception:  # one training that fails leaves time for the others
            logging.getLogger("zoo").exception("%s failed", jobs[0].model)
            failed += 1
    left_out = bundles.pack(arguments.runs, folders, arguments.out)
    done = sum(training.read_run(job, arguments.runs) is not None for pair in pairs for job in pair)
    print(f"{done} of {len(folders)} trainings are finished; the results are in {arguments.out}.")
    if left_out:
        print(f"Too large to travel, so left here: {', '.join(left_out)}")
    if stopped:
        print("Stopped. The same command goes on from here.")
    return UNFINISHED if stopped else int(failed > 0)


def stop(number: int, frame: FrameType | None) -> None:
    """Stop as if time were up."""
    raise Stopped


def in_turn(pairs: list[list[training.Job]], side_by_side: bool) -> Iterator[list[training.Job]]:
    """Yield what is trained one after the other: a seed of every pair in the order of their worth, then the next."""
    for turn in itertools.zip_longest(*(together(pair, side_by_side) for pair in pairs)):
        yield from filter(None, turn)


def together(jobs: list[training.Job], side_by_side: bool) -> list[list[training.Job]]:
    """Return which jobs are trained in one program: all seeds where the recipe allows it, else one each."""
    if side_by_side and fused(jobs):
        return [jobs]
    return [[job] for job in jobs]


def fused(jobs: list[training.Job]) -> bool:
    """Return whether jobs can be trained as one program for all steps and seeds."""
    try:
        many_seeds.check(jobs)
    except ZooError as error:
        print(error)
        return False
    return True


def train(jobs: list[training.Job], runs: Path, minutes: float) -> Iterator[training.Run]:
    """Train jobs of one pair, then export, measure and yield one after the other; raise Stopped when time is up.

    What was trained side by side and is not measured then is small: its weights travel, and it is measured at home.
    """

    def tell(share: float) -> None:
        if time.monotonic() - STARTED > 60 * minutes:
            raise Stopped

    tell(0.0)
    data.load(jobs[0].dataset, data.get(jobs[0].dataset).scored)  # report broken data before training
    on_accelerator = "cpu" not in backend.devices()[0].lower()
    if len(jobs) > 1 or (on_accelerator and fused(jobs)):
        finished = many_seeds.train(jobs, runs, tell)
    else:
        finished = [training.train(jobs[0], runs, tell)]
    for number, run in enumerate(finished):
        if number:
            tell(1.0)
        scores = recording.evaluated(run)
        seconds = time.monotonic() - STARTED
        print(
            f"{run.job.model} seed {run.job.seed}: {scores.metrics['accuracy']:.2%} of the test set, trained in "
            f"{run.history['training_seconds']:,.1f} s; {seconds:,.0f} s since the start.",
            flush=True,
        )
        yield run


if __name__ == "__main__":
    cli.run(main)
