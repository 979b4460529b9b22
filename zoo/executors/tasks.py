"""What is run, the order it is run in, and what became of it."""

import heapq
import importlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from zoo.errors import ZooError
from zoo.types import Json, Progress

log = logging.getLogger(__name__)

Tell = Callable[[str, float], None]  # called with a task's name and the share of it that is done, 0 to 1


@dataclass(frozen=True)
class Task:
    """A function's name and its arguments: plain JSON, fit to be sent to another machine."""

    name: str  # unique among the tasks of a run; what people see
    call: str  # "module:function", of (arguments, progress), which returns plain JSON
    arguments: Json
    cost: float = 0.0  # seconds that it may take: the longest is begun first

    def __call__(self, progress: Progress) -> object:
        """Do the work here and return what the function returns."""
        module, function = self.call.split(":")
        return getattr(importlib.import_module(module), function)(self.arguments, progress)


@dataclass(frozen=True)
class Attempt:
    """One beginning of a task."""

    worker: str
    seconds: float
    problem: str | None  # why it did not come to its end; None: it did


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    task: Task
    value: object  # what the function returned; None where it failed
    attempts: tuple[Attempt, ...]

    @property
    def problem(self) -> str | None:
        """Why the task failed in the end; None: it did not."""
        return self.attempts[-1].problem


@dataclass(frozen=True)
class Problem:
    """An error as it comes back from a worker: what was raised may not exist on this side."""

    sentence: str
    final: bool  # another attempt would end the same way
    traceback: str = ""

    @classmethod
    def of(cls, error: Exception) -> "Problem":
        """Say what an error was: a ZooError must be fixed by the user, and is not retried."""
        import traceback

        final = isinstance(error, ZooError)
        sentence = str(error) if final else f"{type(error).__name__}: {error}"
        return cls(sentence, final, "" if final else "".join(traceback.format_exception(error)))


@dataclass
class Queue:
    """Tasks that wait; what failed comes back to its place until its attempts are used up.

    tasks: all of them.
    attempts: how often a task is begun.
    longest_first: else in the given order. Several workers end together only if the long ones began early.
    clock: seconds from anywhere.
    """

    tasks: Iterable[Task]
    attempts: int = 1
    longest_first: bool = True
    clock: Callable[[], float] = time.monotonic
    _waiting: list[tuple[float, int, Task]] = field(default_factory=list)
    _tried: dict[str, list[Attempt]] = field(default_factory=dict)
    _running: dict[str, tuple[str, float]] = field(default_factory=dict)  # worker, since when
    _places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task in self.tasks:
            if task.name in self._places:
                raise ZooError(f"Two tasks are named {task.name}: every task needs a unique name.")
            self._places[task.name], self._tried[task.name] = len(self._places), []
            self._wait(task)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def open(self) -> int:
        """Tasks that wait or run."""
        return len(self._waiting) + len(self._running)

    def take(self, worker: str) -> Task | None:
        """Return the next task, given to a worker; None if none waits."""
        if not self._waiting:
            return None
        task = heapq.heappop(self._waiting)[-1]
        self._running[task.name] = worker, self.clock()
        return task

    def done(self, task: Task, value: object) -> Outcome:
        """Return the outcome of a task that came to its end."""
        return self._outcome(task, None, value)

    def failed(self, task: Task, problem: Problem) -> Outcome | None:
        """Return the outcome of a task that did not; None where it waits for another attempt."""
        number = len(self._tried[task.name]) + 1
        log.warning("%s: attempt %d of %d failed: %s", task.name, number, self.attempts, problem.sentence)
        if problem.traceback:
            log.error("%s", problem.traceback)
        if problem.final or number >= self.attempts:
            return self._outcome(task, problem.sentence)
        self._end(task, problem.sentence)
        self._wait(task)
        return None

    def _wait(self, task: Task) -> None:
        order = -task.cost if self.longest_first else 0.0
        heapq.heappush(self._waiting, (order, self._places[task.name], task))

    def _end(self, task: Task, problem: str | None) -> None:
        worker, since = self._running.pop(task.name)
        self._tried[task.name].append(Attempt(worker, round(self.clock() - since, 3), problem))

    def _outcome(self, task: Task, problem: str | None, value: object = None) -> Outcome:
        self._end(task, problem)
        return Outcome(task, value, tuple(self._tried[task.name]))
