"""Measure submissions in sandboxes, and put the results on the board.

    python scripts/evaluate_submissions.py                 measure what is waiting, then stop
    python scripts/evaluate_submissions.py --watch         keep running, and restart after a crash
    python scripts/evaluate_submissions.py --show          print the queue
    python scripts/evaluate_submissions.py --again ID      measure a row again; exit status 1 if the score differs
    python scripts/evaluate_submissions.py --store hf://me the submissions of a Space whose store is on the Hub
    python scripts/evaluate_submissions.py --executor ray --workers 4    several at a time, here or with --address

You can stop it at any time: a submission that is being measured returns to the queue. Several may run at the same time.
The isolation of this machine is reported at the start; if it cannot confine a sandbox, nothing is measured.
"""

import argparse
import sys
import threading
from pathlib import Path

import cli
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from leaderboard import results
from leaderboard.submissions import budget, intake, sandbox, supervision, worker_task
from leaderboard.submissions.lifecycle import Submission
from leaderboard.submissions.measuring import measured_again
from leaderboard.submissions.store import SCHEME, open_store
from leaderboard.submissions.worker import Worker
from zoo import executors, settings


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watch", action="store_true", help="keep running when the queue is empty")
    parser.add_argument("--unsupervised", action="store_true", help="with --watch: work in this process")
    parser.add_argument("--show", action="store_true", help="only show the queue")
    parser.add_argument("--store", help="a folder, or hf://<namespace> (default: ZOO_SUBMISSIONS)")
    parser.add_argument("--again", metavar="ID", help="measure the rows of a submission again, and compare")
    parser.add_argument("--records", type=Path, default=results.LOCAL, help="folder that rows are written to")
    parser.add_argument("--cache", type=Path, default=cli.ROOT / "runs" / "inputs", help="folder of prepared images")
    parser.add_argument("--seeds", type=int, default=budget.SEEDS, help="trainings of an architecture (%(default)s)")
    parser.add_argument("--epochs", type=int, help="shorten trainings, for trials: such rows are not comparable")
    parser.add_argument("--warm", action="store_true", help="keep a sandbox ready: saves 10 s, needs 1 GB of memory")
    parser.add_argument(
        "--without-isolation",
        action="store_true",
        help="measure even if a sandbox is not confined: for trusted files only",
    )
    where = parser.add_argument_group("where it runs")
    where.add_argument("--executor", choices=executors.EXECUTORS, default="local", help="default: this process")
    where.add_argument("--address", help="address of a running Ray, host:port or auto (default: start one here)")
    where.add_argument("--workers", type=int, default=2, help="on Ray, at a time (%(default)s)")
    arguments = parser.parse_args()
    for name in ("workers", "seeds", "epochs"):
        if (number := getattr(arguments, name)) is not None and number < 1:
            parser.error(f"--{name} is {number}; the least is 1.")
    store = open_store(arguments.store)
    if arguments.show:
        show(intake.queue(store))
        return 0
    console = Console(stderr=True)
    cli.show_log(RichHandler(console=console, show_path=False))
    if arguments.executor == "ray" and not arguments.again:
        return on_ray(arguments, console)
    stop = threading.Event()
    supervision.stop_on_signals(stop)
    if arguments.watch and not arguments.unsupervised and not arguments.again:
        return supervision.keep_running([sys.executable, *sys.argv, "--unsupervised"], stop)
    if arguments.unsupervised:
        supervision.stop_with_parent(stop)
    worker = Worker(
        store,
        records=arguments.records,
        cache=arguments.cache,
        need_isolation=not arguments.without_isolation,
        keep_warm=arguments.warm and arguments.watch,
        seeds=arguments.seeds,
        epochs=arguments.epochs,
    )
    if arguments.again:
        return again(worker, store.get(arguments.again))
    try:
        with worker.box("onnx") as box:
            isolation = box.isolation()
        if not arguments.without_isolation:
            sandbox.check_isolation(isolation)
        console.print("Sandboxes here: " + ", ".join(f"{kind} {how}" for kind, how in isolation.items() if how))
    except sandbox.NotReached as error:
        if not arguments.watch:
            raise
        console.print(f"{error} It will be tried again.")  # each measurement checks its own sandbox too
    console.print(f"{worker.name} takes from {getattr(store, 'root', arguments.store)}")
    if arguments.watch:
        worker.watch(stop)
    else:
        while not stop.is_set() and worker.step(stop):
            pass
    return 0


def on_ray(arguments: argparse.Namespace, console: Console) -> int:
    """Process the queue with several workers; return 1 if one failed."""
    options = {
        "need_isolation": not arguments.without_isolation,
        "keep_warm": arguments.warm and arguments.watch,
        "seeds": arguments.seeds,
        "epochs": arguments.epochs,
    }
    place = arguments.store or settings.value("ZOO_SUBMISSIONS")
    if place and not place.startswith(SCHEME):
        place = str(Path(place).resolve())
    tasks = [
        worker_task.task_of(number + 1, place, arguments.records, arguments.cache, arguments.watch, **options)
        for number in range(arguments.workers)
    ]
    failed = 0
    with executors.opened(
        "ray", address=arguments.address, workers=arguments.workers, attempts=10, shared=arguments.cache
    ) as executor:
        for outcome in executor.run(tasks):
            if outcome.problem:
                failed += 1
            console.print(f"{outcome.task.name}: {outcome.problem or f'{outcome.value} submissions processed'}")
    return 1 if failed else 0


def again(worker: Worker, submission: Submission) -> int:
    """Measure every row of a submission again; return 1 if a score differs."""
    agree = True
    for dataset in submission.results:
        check = measured_again(worker, submission, dataset)
        for score in check.scores:
            mark = "" if score.agrees else "  DIFFERS"
            print(f"{dataset} {score.name}: {score.recorded:.6g} recorded, {score.measured:.6g} measured{mark}")
        print(f"{dataset}: {check.sentence}")
        agree &= check.agrees
    if not submission.results:
        print(f"{submission.id} has no rows: it is {submission.status}.")
    return 0 if agree else 1


def show(places: list[intake.Place]) -> None:
    """Print the queue."""
    table = Table(title=f"{len(places)} submissions wait or run")
    for title in ("id", "name", "by", "track", "datasets", "status", "done in about"):
        table.add_column(title)
    for place in places:
        s = place.submission
        state = f"{s.status} {s.progress:.0%}" if s.progress else s.status
        wait = "no worker is running" if place.wait is None else f"{place.wait / 60:.0f} min"
        table.add_row(s.id, s.name, s.user, s.track, ", ".join(s.datasets), state, wait)
    Console().print(table)


if __name__ == "__main__":
    cli.run(main)
