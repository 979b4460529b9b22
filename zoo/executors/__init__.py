"""Where jobs run: in this process, or on Ray workers here or in a cluster; `hub` hands a whole command to the Hub.

A `Task` names a function and gives it plain JSON, so that it can be sent anywhere; what a job makes goes into a folder
that all workers see. A job that is done is on disk, so a command that was stopped does only the rest when it is given
again, and after the loss of a worker only the job that it was at is begun again, at its own checkpoint.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from zoo.errors import UnknownName, ZooError
from zoo.executors.tasks import Attempt, Outcome, Task, Tell

__all__ = ["EXECUTORS", "Attempt", "Executor", "Outcome", "Task", "Tell", "opened"]

EXECUTORS = ("local", "ray")


class Executor(Protocol):
    """Something that runs tasks; a context manager, which lets go of its workers."""

    def __enter__(self) -> "Executor":
        """Return itself."""

    def __exit__(self, *error: object) -> None:
        """Stop every worker at once; files that it has written remain."""

    def run(self, tasks: Iterable[Task], tell: Tell = lambda name, share: None) -> Iterator[Outcome]:
        """Yield what became of every task, as they end; one that fails does not stop the others."""


def opened(
    kind: str = "local",
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus_per_job: int | None = None,
    gpus_per_job: float = 0.0,
    attempts: int = 1,
    shared: Path | None = None,
) -> Executor:
    """Return the executor of that kind.

    Args:
        kind: one of `EXECUTORS`.
        address: of a running Ray, as `ray.init` takes it; None starts one on this machine.
        workers: how many jobs run at a time; None: as many as the processors, or the GPUs, are enough for.
        cpus_per_job: processors, and threads, of a job; None: this machine's are dealt out among the workers.
        gpus_per_job: a fraction lets jobs share a GPU; they take its memory as they need it.
        attempts: how often a job is begun before it counts as failed.
        shared: the folder that every worker has to see.

    Raises:
        UnknownName: no such kind.
        ZooError: options that the executor does not have, or Ray is not installed.
    """
    if kind == "local":
        from zoo.executors.local import Local

        if address or workers not in (None, 1) or gpus_per_job:
            raise ZooError("--address, --workers and --gpus-per-job are for several workers: add --executor ray.")
        return Local(attempts)
    if kind == "ray":
        from zoo.executors.on_ray import OnRay

        return OnRay(address, workers, cpus_per_job, gpus_per_job, attempts, shared)
    raise UnknownName("executor", kind, EXECUTORS)
