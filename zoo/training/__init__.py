"""One training: (architecture, dataset, recipe, seed) -> a run folder with weights, history and environment."""

from zoo.training.job import Job, Run, build, plan, read_run
from zoo.training.run import conclude, train
from zoo.types import Progress

__all__ = ["Job", "Progress", "Run", "build", "conclude", "plan", "read_run", "train"]
