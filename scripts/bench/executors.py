"""Measure small trainings on Ray's workers of this machine against one process, in one run.

    python -m scripts.bench.executors              24 jobs, 2 workers

A job is LeNet-5 on optdigits from its data to its scores: trained, exported and evaluated. Each side is a fresh
process, with all that starts in it. Exit status 1 where Ray is not 1.6 times as fast.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from leaderboard.jobs import task_of
from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from zoo import executors, training

LEAST = 1.6  # times as fast


def main() -> int:
    """Measure; 1 if the target is missed."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=24, help="how many (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of Ray (%(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of a job (%(default)s)")
    parser.add_argument("--side", choices=executors.EXECUTORS, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        return run(arguments)
    seconds = {side: side_by_itself(side, arguments) for side in executors.EXECUTORS}
    ratio = seconds["local"] / seconds["ray"]
    cells = [
        Measurement("one process", seconds["local"], "s", n=1),
        Measurement(f"Ray, {arguments.workers} workers", seconds["ray"], "s", n=1),
        Measurement("Ray over one process", ratio, "times", least=LEAST, n=1),
    ]
    return measurements.conclude("executors", arguments, [Table(f"{arguments.jobs} small trainings", cells)])


def side_by_itself(side: str, arguments: argparse.Namespace) -> float:
    """Return the seconds that a fresh process takes for all jobs."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "scripts.bench.executors", "--side", side, "--runs", runs]
        for option in ("jobs", "workers", "epochs"):
            command += [f"--{option}", str(getattr(arguments, option))]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - started


def run(arguments: argparse.Namespace) -> int:
    """Do all jobs; 1 if one failed."""
    jobs = [training.plan("lenet5", "optdigits", seed=n, epochs=arguments.epochs) for n in range(arguments.jobs)]
    tasks = [task_of(job, arguments.runs) for job in jobs]
    workers = arguments.workers if arguments.side == "ray" else None
    with executors.opened(arguments.side, workers=workers, shared=arguments.runs) as executor:
        failed = [outcome for outcome in executor.run(tasks) if outcome.problem]
    for outcome in failed:
        print(f"{outcome.task.name} failed: {outcome.problem}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    cli.run(main)
