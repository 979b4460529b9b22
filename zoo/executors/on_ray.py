"""Tasks on Ray's workers: processes that stay, so that each imports Keras once, on this machine or in a cluster.

The driver hands every worker one task at a time, the longest that waits. What dies with its worker or its machine waits
again, and another worker takes the place of the lost one as soon as the cluster has room.
"""

import contextlib
import importlib.util
import logging
import math
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo.errors import ZooError
from zoo.executors.tasks import Outcome, Problem, Queue, Task, Tell
from zoo.serving.runtimes import threads
from zoo.types import Json

log = logging.getLogger(__name__)

STORE_BYTES = 80 * 1024**2  # of shared memory, Ray's least: what passes through it is small
LOOK = 0.5  # seconds between looks at the workers' progress
ANSWER = 10.0  # seconds that an address has to answer in
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray sends its makers statistics otherwise
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a job without a GPU leaves the machine's settings as they are
    "RAY_DEDUP_LOGS": "0",
}


class Worker:
    """What lives in a worker's process."""

    def __init__(self, environment: dict[str, str], script_folder: str, token: str | None):
        os.environ.update(environment)  # before Keras or a runtime is imported, which read it once
        # Ray puts the script's folder first, where its `evaluate.py` would hide the package of that name.
        sys.path[:] = [*(path for path in sys.path if path != script_folder), script_folder]
        if token and not Path(token).exists():
            raise ZooError(f"{socket.gethostname()} does not see {Path(token).parent}: choose a folder that all share.")
        self.share = 0.0

    def name(self) -> str:
        """Return where it is."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def work(self, task: Json) -> tuple[object, Json | None]:
        """Return what a task returned and None, or None and its problem."""
        self.share = 0.0

        def tell(share: float) -> None:
            self.share = share

        try:
            return Task(**task)(tell), None
        except Exception as error:
            return None, vars(Problem.of(error))

    def progress(self) -> float:
        """Return the share that is done of the task at hand."""
        return self.share


@dataclass
class _Slot:
    """A worker as the driver sees it: `pending` is its name at first, then what it works at."""

    actor: Any  # Ray's handle of a `Worker`
    pending: Any
    name: str = "a worker that did not start"
    task: Task | None = None
    asked: Any = None  # how far it is


@dataclass
class OnRay:
    """Ray, see `zoo.executors.opened` for the fields."""

    address: str | None = None
    workers: int | None = None
    cpus_per_job: int | None = None
    gpus_per_job: float = 0.0
    attempts: int = 3
    shared: Path | None = None
    _slots: list[_Slot] = field(default_factory=list)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _token: Path | None = None
    _unstarted: int = 0  # workers in a row that died before they could work

    def __enter__(self) -> "OnRay":
        if importlib.util.find_spec("ray") is None:
            raise ZooError("Ray is not installed: pip install 'handwriting-zoo[ray]', or leave out --executor ray.")
        os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
        import ray

        self._start(ray)
        if self.shared:
            self.shared.mkdir(parents=True, exist_ok=True)
            self._token = self.shared.resolve() / f".seen-{secrets.token_hex(4)}"
            self._token.touch()
            self._stack.callback(self._token.unlink, missing_ok=True)
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        for slot in self._slots:
            with contextlib.suppress(Exception):
                ray.kill(slot.actor)
        self._slots.clear()
        self._stack.close()

    def run(self, tasks: Iterable[Task], tell: Tell = lambda name, share: None) -> Iterator[Outcome]:
        """Yield what became of every task, as they end."""
        import ray

        queue = Queue(tasks, self.attempts)
        while queue.open:
            self._staff(queue)
            ready, _ = ray.wait([slot.pending for slot in self._slots], timeout=LOOK)
            for slot in [slot for slot in self._slots if slot.pending in ready]:
                if outcome := self._heard(slot, queue, tell):
                    tell(outcome.task.name, 1.0)
                    yield outcome
            self._look(tell)

    # Starting

    def _start(self, ray: ModuleType) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        if self.address:
            _answers(self.address)
            try:
                ray.init(address=self.address, namespace="handwriting-zoo", runtime_env=_code(), **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ZooError(f"No Ray answers at {self.address}: {str(error).splitlines()[0]}") from error
        else:
            cpus = (self.workers or 0) * (self.cpus_per_job or 1) or threads()
            with _modules_of_this_process():
                ray.init(
                    address="local", num_cpus=cpus, include_dashboard=False, object_store_memory=STORE_BYTES, **quiet
                )  # fmt: skip
        self._stack.callback(ray.shutdown)

    @property
    def _cpus(self) -> int:
        """Processors of a job as Ray reckons them."""
        return self.cpus_per_job or 1

    def _room(self) -> int:
        """Return how many workers there may be now: machines join and leave."""
        import ray

        if self.workers:
            return self.workers
        there: dict[str, float] = ray.cluster_resources()
        room = there.get("CPU", 0) / self._cpus
        if self.gpus_per_job:
            room = min(room, there.get("GPU", 0) / self.gpus_per_job)
        if room < 1 and not self._slots:
            raise ZooError(
                f"Ray has {there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs, too few for a job of "
                f"{self._cpus} and {self.gpus_per_job:g}: lower --cpus-per-job or --gpus-per-job."
            )
        return max(1, math.floor(room + 1e-9))

    def _environment(self) -> dict[str, str]:
        """Return a worker's settings: as many threads as it has processors, so that workers do not fight for them."""
        count = self.cpus_per_job or (1 if self.address else max(1, threads() // self._room()))
        names = "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"
        growing = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        return dict.fromkeys(names, str(count)) | growing

    def _staff(self, queue: Queue) -> None:
        """Start workers where there is room for them and work."""
        import ray

        wanted = min(self._room(), queue.open)
        if len(self._slots) >= wanted:
            return
        # The second thread answers how far the first is.
        kind = ray.remote(num_cpus=self._cpus, num_gpus=self.gpus_per_job, max_concurrency=2)(Worker)
        while len(self._slots) < wanted:
            script_folder = str(Path(sys.argv[0]).resolve().parent)
            actor = kind.remote(self._environment(), script_folder, str(self._token) if self._token else None)
            self._slots.append(_Slot(actor, actor.name.remote()))

    # What workers say

    def _heard(self, slot: _Slot, queue: Queue, tell: Tell) -> Outcome | None:
        """Take what a worker answered, or that it is gone, and give it the next task."""
        import ray

        outcome, task, slot.task, slot.asked = None, slot.task, None, None
        try:
            said = ray.get(slot.pending)
        except ray.exceptions.RayError as error:
            self._slots.remove(slot)
            return self._gone(slot, task, error, queue)
        if task is None:
            slot.name, self._unstarted = said, 0
        else:
            value, problem = said
            outcome = queue.failed(task, Problem(**problem)) if problem else queue.done(task, value)
        if following := queue.take(slot.name):
            slot.task, slot.pending = following, slot.actor.work.remote(vars(following))
            tell(following.name, 0.0)
        else:
            ray.kill(slot.actor)
            self._slots.remove(slot)
        return outcome

    def _gone(self, slot: _Slot, task: Task | None, error: Exception, queue: Queue) -> Outcome | None:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()
        if task is not None:
            return queue.failed(task, Problem(f"{slot.name} was lost ({first})", final=False))
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, ZooError) or "does not see" in str(error):
            sentence = next((line for line in str(error).splitlines() if "does not see" in line), first)
            raise ZooError(sentence.rpartition("ZooError: ")[2].strip())
        self._unstarted += 1
        log.warning("%s: %s", slot.name, first)
        if self._unstarted > self.attempts + self._room():
            raise ZooError(f"Ray's workers do not start ({first}): see its logs in {_logs()}.")
        return None

    def _look(self, tell: Tell) -> None:
        """Tell how far every worker is, as it last said; nobody is waited for."""
        import ray

        for slot in self._slots:
            if slot.task is None:
                continue
            if slot.asked is None:
                slot.asked = slot.actor.progress.remote()
                continue
            if ray.wait([slot.asked], timeout=0)[0]:
                with contextlib.suppress(ray.exceptions.RayError):  # it is heard of when its task is asked for
                    tell(slot.task.name, ray.get(slot.asked))
                slot.asked = None


@contextlib.contextmanager
def _modules_of_this_process() -> Iterator[None]:
    """Let the processes that are started meanwhile import what this one can."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        os.environ.update({} if before is None else {"PYTHONPATH": before})


def _answers(address: str) -> None:
    """Raise ZooError at once where nothing listens; Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:
        if address == "auto":
            return
        raise ZooError(f"{address!r} is no address of Ray: expected host:port, ray://host:port or auto.")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise ZooError(
            f"No Ray answers at {address} ({error.strerror or error}): start it there with `ray start --head`, or "
            "leave out --address."
        ) from error


def _code() -> Json:
    """Return what a cluster's machines get of ours: the two packages, without weights and records."""
    root = Path(__file__).resolve().parent.parent
    packages = [folder for folder in (root, root.parent / "leaderboard") if folder.is_dir()]
    return {
        "py_modules": [str(folder) for folder in packages],
        "excludes": ["pretrained/", "*.npz", "__pycache__/"],
        "env_vars": {name: os.environ[name] for name in ("KERAS_BACKEND", "ZOO_DATASETS") if name in os.environ},
    }


def _logs() -> str:
    return os.path.join(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "session_latest", "logs")
