"""One training: (architecture, dataset, recipe, seed) -> a run folder with weights, history and environment."""

from zoo.training.job import Job, Progress, Run, build, plan, read_run
from zoo.training.run import conclude, train

__all__ = ["Job", "Progress", "Run", "build", "conclude", "plan", "read_run", "train"]
