"""Simulate many jobs on many workers, as the executors schedule them, with recorded durations.

    python -m scripts.bench.executors_simulated                              1,000 jobs on 100 workers
    python -m scripts.bench.executors_simulated --jobs 200 --workers 16 --lost 5

Nothing is trained: the duration of each job is that of a randomly drawn recorded training. The queue is that of the
executors. The exit status is 1 if less than 90% of the workers' time is spent on jobs that finish.
"""

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leaderboard import results
from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from zoo.errors import ZooError
from zoo.executors.tasks import Problem, Queue, Task

START = 20.0  # seconds for a worker to start and to import Keras
HAND_OVER = 1.0  # seconds between the end of a job and the beginning of the next
NOTICED = 30.0  # seconds until a lost worker is known to be lost
LEAST = 90  # % of the time in jobs that finish, where the longest start first


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
    """Simulate; 1 if a target is missed."""
    parser = measurements.parser(__doc__)
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
    head = f"{arguments.jobs:,} jobs, {arguments.workers:,} workers, durations of {len(recorded)} recorded rows"
    cells = [cell for name, account in accounts.items() for cell in spent(name, account)]
    return measurements.conclude("executors_simulated", arguments, [Table(head, cells)])


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


def spent(name: str, account: Account) -> Iterator[Measurement]:
    """Yield how long a simulation took, and how the time of its workers was spent."""
    yield Measurement(name, account.makespan / 3600, "h", column="takes")
    least = LEAST if name.startswith("longest") else None
    yield Measurement(name, 100 * account.utilisation, "%", least=least, column="in jobs")
    for what, seconds in (
        ("lost jobs", account.lost),
        ("starting", account.starting),
        ("handing over", account.handing_over),
        ("idle at the end", account.idle),
    ):
        yield Measurement(name, 100 * seconds / account.total, "%", column=what)
    yield Measurement(name, account.attempts, column="attempts")


if __name__ == "__main__":
    cli.run(main)
