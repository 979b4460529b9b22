"""Tasks one after the other in this process, in the order that they are given."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from zoo.executors.tasks import Outcome, Problem, Queue, Task, Tell


@dataclass(frozen=True)
class Local:
    """This process."""

    attempts: int = 1

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(self, tasks: Iterable[Task], tell: Tell = lambda name, share: None) -> Iterator[Outcome]:
        """Yield what became of every task."""
        queue = Queue(tasks, self.attempts, longest_first=False)
        while task := queue.take("this process"):
            tell(task.name, 0.0)
            outcome: Outcome | None
            try:
                outcome = queue.done(task, task(partial(tell, task.name)))
            except Exception as error:
                outcome = queue.failed(task, Problem.of(error))
            if outcome:
                yield outcome
