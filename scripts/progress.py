"""Progress bars on the terminal: the current task and all tasks, with the log above."""

import cli
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zoo import training
from zoo.executors import Task


class Bars:
    """A progress bar for the current run and one for all runs, with the log above them."""

    def __init__(self, total: int):
        console = Console()
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")
        self.progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self.everything = self.progress.add_task("all runs", total=total)
        self.current = self.progress.add_task("")
        self.finished = self.started = 0
        cli.show_log(RichHandler(console=console, show_path=False))

    def __enter__(self) -> "Bars":
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def start(self, description: str) -> training.Progress:
        """Show that a run begins; return a function to report its progress."""
        before = self.finished + self.started
        self.started += 1
        self.progress.reset(self.current, description=description, total=1.0)
        self.progress.update(self.everything, completed=before)

        def tell(share: float) -> None:
            self.progress.update(self.current, completed=share)
            self.progress.update(self.everything, completed=before + share)

        return tell

    def finish(self, runs: int) -> None:
        """Count a pair's runs as done, whether they succeeded or failed."""
        self.finished += runs
        self.started = 0
        self.progress.update(self.everything, completed=self.finished)
        self.progress.update(self.current, completed=1.0)


class TaskBars:
    """A bar for every running task and one for all tasks, weighted by their estimated seconds."""

    def __init__(self, tasks: list[Task]):
        console = Console()
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")
        self.progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        least = max([task.cost for task in tasks], default=0.0) / 1000 or 1.0
        self.weights = {task.name: max(task.cost, least) for task in tasks}
        self.shares = dict.fromkeys(self.weights, 0.0)
        self.everything = self.progress.add_task(f"all {len(tasks)} runs", total=sum(self.weights.values()))
        self.lines: dict[str, TaskID] = {}  # task -> its bar
        cli.show_log(RichHandler(console=console, show_path=False))

    def __enter__(self) -> "TaskBars":
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def tell(self, name: str, share: float) -> None:
        """Show the progress of a task."""
        if name not in self.lines:
            self.lines[name] = self.progress.add_task(name, total=1.0)
        self.shares[name] = share
        self.progress.update(self.lines[name], completed=share)
        done = sum(self.weights[name] * share for name, share in self.shares.items())
        self.progress.update(self.everything, completed=done)

    def finish(self, name: str) -> None:
        """Count a task as done, whether it succeeded or failed."""
        self.tell(name, 1.0)
        self.progress.remove_task(self.lines.pop(name))
