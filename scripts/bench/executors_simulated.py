"""Simulate many jobs on many workers, as the executors schedule them, with recorded durations.

    python -m scripts.bench.executors_simulated                              1,000 jobs on 100 workers
    python -m scripts.bench.executors_simulated --jobs 200 --workers 16 --lost 5

Nothing is trained: the duration of each job is that of a randomly drawn recorded training. The queue is that of the
executors. The exit status is 1 if less than 90% of the workers' time is spent on jobs that finish.
"""

import argparse
import heapq
import itertools
import random
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from leaderboard import results
from scripts import cli
from zoo.errors import ZooError
from zoo.executors.tasks import Problem, Queue, Task

START = 20.0  # seconds for a worker to start and to import Keras
HAND_OVER = 1.0  # seconds between the end of a job and the beginning of the next
NOTICED = 30.0  # seconds until a lost worker is known to be lost
BAR = 0.9


@dataclass(frozen=True)
class Account:
    """How the time of all workers was spent, in seconds, until the last job was done."""

    makespan: float
    workers: int
    jobs: float  # in jobs that finished
    lost: float  # in jobs that were lost with their worker, and until that was noticed
    starting: float
    handing_over: float
    attempts: int

    @property
    def total(self) -> float:
        """Of all workers together."""
        return self.makespan * self.workers

    @property
    def idle(self) -> float:
        """At the end, when no job is waiting."""
        return self.total - self.jobs - self.lost - self.starting - self.handing_over

    @property
    def utilisation(self) -> float:
        """Fraction of the time spent on jobs that finished."""
        return self.jobs / self.total


def main() -> int:
    """Print how the time is spent; return 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="how many (%(default)s)")
    parser.add_argument("--workers", type=int, default=100, help="how many (%(default)s)")
    parser.add_argument("--lost", type=int, default=10, help="number of workers that are lost (%(default)s)")
    parser.add_argument("--records", type=Path, default=results.RECORDS, help="whose durations are used")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    arguments = parser.parse_args()
    if min(arguments.jobs, arguments.workers) < 1 or arguments.lost < 0:
        parser.error("--jobs and --workers should be at least 1, --lost at least 0")
    recorded = durations(arguments.records)
    accounts = {
        f"{order}, {lost} workers lost": simulate(draw(recorded, arguments.jobs, arguments.seed), arguments.workers,
                                                 lost, order == "longest first", arguments.seed)
        for order in ("longest first", "as it comes")
        for lost in sorted({0, arguments.lost})
    }  # fmt: skip
    show(accounts, arguments, len(recorded))
    return 0 if all(a.utilisation > BAR for name, a in accounts.items() if name.startswith("longest")) else 1


def durations(records: Path) -> list[list[float]]:
    """Return the seconds of every recorded training, a list a row of the board."""
    found = [
        [seed.metrics["training_time"] for seed in result.seeds if seed.metrics.get("training_time")]
        for result in results.read_all(records)
        if result.submission is None
    ]
    if not any(found):
        raise ZooError(f"No training time is recorded in {records}: choose another --records.")
    return [times for times in found if times]


def draw(recorded: list[list[float]], jobs: int, seed: int) -> list[tuple[float, float]]:
    """Return (expected, true) seconds of jobs: the mean of a row, and one of its seeds within a tenth."""
    rng = random.Random(seed)
    rows = [rng.choice(recorded) for _ in range(jobs)]
    return [(sum(row) / len(row), rng.choice(row) * rng.uniform(0.9, 1.1)) for row in rows]


def simulate(
    jobs: list[tuple[float, float]], workers: int, lost: int = 0, longest_first: bool = True, seed: int = 0
) -> Account:
    """Return where the time goes when the queue is worked off; lost workers are replaced."""
    now = 0.0
    tasks = [Task(f"job {n}", "none:none", {"seconds": true}, expected) for n, (expected, true) in enumerate(jobs)]
    queue = Queue(tasks, attempts=10, longest_first=longest_first, clock=lambda: now)
    rng, order = random.Random(seed), itertools.count()
    spread = sum(true for _, true in jobs) / workers  # about how long it takes: when workers may be lost
    doomed = dict(zip(rng.sample(range(workers), min(lost, workers)), iter(lambda: rng.uniform(0, spread), None),
                      strict=False))  # fmt: skip
    done = wasted = handing = 0.0
    starting, attempts = START * workers, 0
    events: list[tuple] = [
        (START, next(order), worker, None, 0.0) for worker in range(workers)
    ]  # free at, by which task, since
    last = 0.0
    while events and queue.open:
        now, _, worker, task, since = heapq.heappop(events)
        if task is not None and worker in doomed and since <= doomed[worker] < now:
            del doomed[worker]
            queue.failed(task, Problem("the worker was lost", final=False))
            wasted, starting = wasted + now - since, starting + START
            heapq.heappush(events, (now + START, next(order), worker, None, 0.0))
            continue
        if task is not None:
            queue.done(task, None)
            done, last = done + now - since - HAND_OVER, now
            handing += HAND_OVER
        if (following := queue.take(str(worker))) is None:
            continue
        attempts += 1
        ends = now + HAND_OVER + following.arguments["seconds"]
        if worker in doomed and now <= doomed[worker] < ends:
            ends = doomed[worker] + NOTICED
        heapq.heappush(events, (ends, next(order), worker, following, now))
    return Account(last, workers, done, wasted, starting, handing, attempts)


def show(accounts: dict[str, Account], arguments: argparse.Namespace, rows: int) -> None:
    """Print one line per simulation."""
    table = Table(title=f"{arguments.jobs:,} jobs, {arguments.workers:,} workers, durations of {rows} recorded rows")
    for title in ("", "hours", "in jobs", "lost jobs", "starting", "handing over", "idle at the end", "attempts"):
        table.add_column(title, justify="right" if title else "left")
    for name, account in accounts.items():
        spent = account.jobs, account.lost, account.starting, account.handing_over, account.idle
        table.add_row(
            name, f"{account.makespan / 3600:.2f}", *(f"{100 * part / account.total:.2f}%" for part in spent),
            f"{account.attempts:,}",
        )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    cli.run(main)
