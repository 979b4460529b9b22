"""Train what a bundle is for, on the machine that it was brought to; `run.sh` calls it.

    python scripts/run_bundle.py bundle.json --runs work/runs --out results [--minutes 9]

After every run its scores, history and, where they fit, weights are in the folder of the results, in pieces of at most
15 MB. When time is up, or it is stopped, the same command goes on after the last complete epoch.
"""

import argparse
import contextlib
import functools
import itertools
import logging
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
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
GRACE = 20  # seconds that a program has to end by itself when time is up: it may be compiling
LOOK = 3  # seconds between two looks at what other programs have finished


class Stopped(Exception):
    """Time is up, or somebody wants the machine back."""


def main() -> int:
    """Run the command; return 3 if it was stopped and 1 if a training failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="bundle.json")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, help="stop by itself after as many (default: as planned)")
    parser.add_argument("--workers", type=int, help="programs that train at a time (default: as planned)")
    parser.add_argument("--claims", type=Path, help=argparse.SUPPRESS)  # where the programs agree who trains what
    arguments = parser.parse_args()
    cli.show_log(logging.StreamHandler(sys.stdout))
    signal.signal(signal.SIGTERM, stop)
    plan = read_json(arguments.plan)
    minutes = plan["minutes"] if arguments.minutes is None else arguments.minutes
    workers = plan["workers"] if arguments.workers is None else arguments.workers
    if workers < 1:
        parser.error(f"--workers should be at least 1, not {workers}")
    pairs = [[training.Job.from_dict(job) for job in pair] for pair in plan["jobs"]]
    turns = list(in_turn(pairs, plan["side_by_side"]))
    if arguments.claims is not None:
        return work(claimed(turns, arguments.claims), arguments.runs, minutes, lambda: None)
    folders = [job.folder(arguments.runs) for pair in pairs for job in pair]
    print(f"{len(folders)} trainings, {minutes:g} minutes.", flush=True)
    pack = functools.partial(bundles.pack, arguments.runs, folders, arguments.out)
    if workers == 1:
        status = work(turns, arguments.runs, minutes, pack)
    else:
        status = together(arguments, workers, minutes, folders, pack)
    left_out = pack()
    done = sum(training.read_run(job, arguments.runs) is not None for pair in pairs for job in pair)
    print(f"{done} of {len(folders)} trainings are finished; the results are in {arguments.out}.")
    if left_out:
        print(f"Too large to travel, so left here: {', '.join(left_out)}")
    if status == UNFINISHED:
        print("Stopped. The same command goes on from here.")
    return status


def stop(number: int, frame: FrameType | None) -> None:
    """Stop as if time were up."""
    raise Stopped


def in_turn(pairs: list[list[training.Job]], side_by_side: bool) -> Iterator[list[training.Job]]:
    """Yield what is trained one after the other: a seed of every pair in the order of their worth, then the next."""
    for turn in itertools.zip_longest(*(programs(pair, side_by_side) for pair in pairs)):
        yield from filter(None, turn)


def programs(jobs: list[training.Job], side_by_side: bool) -> list[list[training.Job]]:
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


def claimed(turns: list[list[training.Job]], claims: Path) -> Iterator[list[training.Job]]:
    """Yield what no other program of this machine has taken."""
    for number, jobs in enumerate(turns):
        with contextlib.suppress(FileExistsError):
            (claims / str(number)).touch(exist_ok=False)
            yield jobs


def work(turns: Iterable[list[training.Job]], runs: Path, minutes: float, after: Callable[[], object]) -> int:
    """Train one after the other, with a call of `after` after every run; return the exit status."""
    failed = 0
    print(f"Training on {', '.join(backend.devices())}.", flush=True)
    for jobs in turns:
        try:
            for _ in train(jobs, runs, minutes):
                after()
        except (Stopped, KeyboardInterrupt):
            return UNFINISHED
        except Exception:  # one training that fails leaves time for the others
            logging.getLogger("zoo").exception("%s failed", jobs[0].model)
            failed += 1
    return int(failed > 0)


def together(
    arguments: argparse.Namespace, workers: int, minutes: float, folders: list[Path], pack: Callable[[], object]
) -> int:
    """Let several programs share the trainings and the device; return the exit status."""
    with tempfile.TemporaryDirectory() as claims:
        command = [sys.executable, __file__, str(arguments.plan), "--runs", str(arguments.runs)]
        command += ["--out", str(arguments.out), "--minutes", str(minutes), "--claims", claims]
        children = [subprocess.Popen(command) for _ in range(workers)]
        packed = 0
        try:
            while any(child.poll() is None for child in children):
                time.sleep(LOOK)
                if time.monotonic() - STARTED > 60 * minutes + GRACE:
                    raise Stopped
                if (done := sum((folder / "history.json").exists() for folder in folders)) > packed:
                    pack()
                    packed = done
        except (Stopped, KeyboardInterrupt):
            for child in children:
                child.kill()  # what is on disk is whole: the last complete epoch of each
            return UNFINISHED
        statuses = {child.wait() for child in children}
    return UNFINISHED if UNFINISHED in statuses else int(statuses != {0})


def train(jobs: list[training.Job], runs: Path, minutes: float) -> Iterator[training.Run]:
    """Train jobs of one pair and yield one after the other; raise Stopped when time is up.

    Weights that are too large to travel are exported and measured here.
    """

    def tell(share: float) -> None:
        if time.monotonic() - STARTED > 60 * minutes:
            raise Stopped

    tell(0.0)
    at_home = bundles.travels(training.build(jobs[0]))
    data.load(jobs[0].dataset, "train" if at_home else data.get(jobs[0].dataset).scored)  # report broken data first
    on_accelerator = "cpu" not in backend.devices()[0].lower()
    if len(jobs) > 1 or (on_accelerator and fused(jobs)):
        finished = many_seeds.train(jobs, runs, tell)
    else:
        finished = [training.train(jobs[0], runs, tell)]
    for run in finished:
        measured = "" if at_home else f", {recording.evaluated(run).metrics['accuracy']:.2%} of the test set"
        print(
            f"{run.job.model} seed {run.job.seed}: {run.history['validation']['accuracy']:.2%} of the validation "
            f"samples{measured}, trained in {run.history['training_seconds']:,.1f} s; "
            f"{time.monotonic() - STARTED:,.0f} s since the start.",
            flush=True,
        )
        yield run


if __name__ == "__main__":
    cli.run(main)
