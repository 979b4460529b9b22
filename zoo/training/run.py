"""One training: (architecture, dataset, recipe, seed) -> a run folder with weights, history and provenance.

An epoch is the unit of work: after each, everything that decides the next one is on disk (weights, optimizer, random
state, the schedule's memory), so that a run that was stopped goes on as if it had not been.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from zoo import environment, registry
from zoo.backend import devices, fused_batch_normalization, shared_among
from zoo.errors import ZooError
from zoo.files import write_json
from zoo.recipes import Distillation
from zoo.trainers import ClosedForm, Ensemble, Stepwise
from zoo.training import closed_form, ensembles, samples
from zoo.training.batch_norm_folding import folded
from zoo.training.job import Job, Run, build, plan, read_run
from zoo.training.loop import Loop, Teach
from zoo.types import Json, Progress

log = logging.getLogger(__name__)


def train(job: Job, runs: Path, progress: Progress = lambda share: None) -> Run:
    """Train the job, or go on where it was stopped; a finished run is only read.

    Args:
        job: what to train.
        runs: the folder of all runs.
        progress: called with the share of the epochs that is done, after every few batches.

    Raises:
        DataError: the dataset is missing or broken; nothing has been written then.
        ZooError: the folder holds a run of another recipe.
    """
    if run := read_run(job, runs):
        return run
    folder = job.folder(runs)
    with shared_among(job.recipe.devices), fused_batch_normalization():
        work = _work(job, runs, progress)
        write_json(folder / "config.json", job.to_dict())
        with _log_file(folder / "training.log"):
            history = work()
    return conclude(job, runs, history)


def conclude(job: Job, runs: Path, history: Json) -> Run:
    """Write what makes a run a finished one: its weights are saved, its history is given."""
    folder = job.folder(runs)
    write_json(folder / "environment.json", {**environment.describe(), "devices": devices()})
    write_json(folder / "history.json", history)  # the last file: where it is, the run is finished
    (folder / Loop.CHECKPOINT).unlink(missing_ok=True)
    return Run.read(folder)


def _work(job: Job, runs: Path, progress: Progress) -> Callable[[], Json]:
    """Return what trains the job and returns its history; what is wrong with its data is raised already."""
    trainer, folder = registry.get(job.architecture).trainer, job.folder(runs)
    if job.start and not isinstance(trainer, Stepwise):
        raise ZooError(f"{job.architecture} is not trained step by step, so it cannot start from published weights.")
    match trainer:
        case ClosedForm(fit):
            return lambda: closed_form.run(job, fit, lambda: build(job), folder, progress)
        case Ensemble(members):
            trained = partial(_members, members, job, runs, progress)
            return lambda: ensembles.run(job, build(job), trained, folder, progress)
        case Stepwise():
            teach = _teacher(job, job.recipe.distillation, runs) if job.recipe.distillation else None
            return Loop(job, lambda: build(job), folder, samples.of(job.dataset, job.recipe), progress, teach).run


def _members(members: tuple[str, ...], job: Job, runs: Path, progress: Progress) -> list[Run]:
    """Train the members of an ensemble, or read what is finished."""
    planned = ensembles.member_seeds(members, job.seed)
    found = []
    for number, (member, seed) in enumerate(planned):

        def tell(share: float, before: int = number) -> None:
            progress(0.7 * (before + share) / len(planned))

        found.append(train(plan(member, job.dataset, seed=seed), runs, tell))
    return found


def _teacher(job: Job, distillation: Distillation, runs: Path) -> Teach:
    """Train the teacher, or read what is finished, and return what has it answer the very images that a student sees.

    They see the same, augmented as it is, as Beyer et al. advise (2022, "Knowledge distillation: a good teacher is
    patient and consistent").
    """
    run = train(plan(distillation.teacher, job.dataset), runs)
    teacher = build(run.job)
    teacher.load_weights(run.weights)
    teacher = folded(teacher)  # the same answers in less time

    def teach(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        answers = teacher.predict(images, batch_size=ensembles.BATCH, verbose=0) ** (1 / distillation.temperature)
        answers /= answers.sum(axis=1, keepdims=True)
        softened: np.ndarray = targets + np.float32(distillation.share) * (answers - targets)
        return softened

    return teach


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Copy the package's log to a file while the run lasts."""
    package = logging.getLogger("zoo")
    level = package.level
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
        handler.close()
