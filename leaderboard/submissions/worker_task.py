"""A submission worker as a task for `zoo.executors`, so that several run where trainings run.

A worker that dies is restarted elsewhere; its submission returns to the queue when its lease expires.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leaderboard.submissions.sandbox import NotReached, check_isolation
from leaderboard.submissions.store import StoreFailed, open_store
from leaderboard.submissions.worker import Worker
from zoo.executors import Task
from zoo.types import Json

log = logging.getLogger(__name__)

OPTIONS = ("need_isolation", "keep_warm", "epochs", "seeds", "lease")  # of a `Worker`, that may be given


def task_of(number: int, store: str | None, records: Path, cache: Path, watch: bool = False, **options: Any) -> Task:
    """Return the task of one worker: it ends when nothing waits or runs, or never with `watch`."""
    if wrong := set(options) - set(OPTIONS):
        raise TypeError(f"a worker has no option {', '.join(sorted(wrong))}")
    arguments = {"store": store, "records": str(records.resolve()), "cache": str(cache.resolve()), "watch": watch}
    return Task(f"worker {number}", "leaderboard.submissions.worker_task:work", {**arguments, "options": options})


def work(arguments: Json, progress: Callable[[float], None], rest: float = 1.0) -> int:
    """Work as long as there is something to do; return the number of submissions processed."""
    store = open_store(arguments["store"])
    worker = Worker(store, Path(arguments["records"]), Path(arguments["cache"]), **arguments["options"])
    if worker.need_isolation:
        with contextlib.suppress(NotReached), worker.box("onnx") as box:  # each measurement checks its own sandbox too
            check_isolation(box.isolation())
    if arguments["watch"]:
        worker.watch(threading.Event())
    done = 0
    try:
        while True:
            if submission := worker.claim():
                log.info("%s takes %s", worker.name, submission.id)
                try:
                    worker.see_through(submission, threading.Event())
                    done += 1
                except (StoreFailed, OSError, NotReached) as error:  # it was put back
                    log.warning("%s: %s", submission.id, error)
                    time.sleep(rest)
            elif any(submission.open for submission in store.all()):
                time.sleep(rest)  # another worker's; if that one is gone, it is ours when the lease is over
            else:
                break
        worker.publish()
    finally:
        worker.close()
    return done
