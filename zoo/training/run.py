"""One training: (architecture, dataset, recipe, seed) -> a run folder with weights, history and provenance.

An epoch is the unit of work: after each, everything that decides the next one is on disk (weights, optimizer, random
state, the schedule's memory), so that a run that was stopped goes on as if it had not been.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from zoo import data, environment, registry
from zoo.backend import devices, fused_batch_normalization, keras, shared_among
from zoo.errors import ZooError
from zoo.files import read_json, write_json
from zoo.pages import views
from zoo.recipes import Augmentation, Distillation, Recipe
from zoo.training import closed_form, ensembles, samples
from zoo.training.batch_norm_folding import folded
from zoo.training.loop import Loop, Teach

log = logging.getLogger(__name__)

Progress = Callable[[float], None]  # told which share of the run's epochs is done, 0 to 1


@dataclass(frozen=True)
class Job:
    """What to train: everything that decides the weights."""

    architecture: str
    dataset: str
    recipe: Recipe
    seed: int
    start: str | None = None  # the published model whose weights it starts from, as `hub.resolve` takes it

    @property
    def model(self) -> str:
        """The model's name, `architecture.dataset` with the recipe where it is not `zoo`."""
        return str(registry.ModelName(self.architecture, self.dataset, self.recipe.name))

    def folder(self, runs: Path) -> Path:
        """Return the run's own folder."""
        return runs / f"{self.architecture}.{self.dataset}" / self.recipe.name / f"seed-{self.seed}"

    def to_dict(self) -> dict:
        """Return plain JSON types; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Job":
        """Rebuild a job; an unknown field raises TypeError."""
        return cls(**{**values, "recipe": Recipe.from_dict(values["recipe"])})


@dataclass(frozen=True)
class Run:
    """A finished training."""

    job: Job
    folder: Path
    history: dict  # epochs, kept_epoch, training_seconds, validation {loss, accuracy}, fingerprint
    environment: dict

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Read the folder of a finished run."""
        config, history, made_with = (read_json(folder / f"{n}.json") for n in ("config", "history", "environment"))
        return cls(Job.from_dict(config), folder, history, made_with)

    @property
    def weights(self) -> Path:
        """The kept weights, a Keras `.weights.h5` file."""
        return self.folder / "model.weights.h5"


def plan(architecture: str, dataset: str, recipe: str = "zoo", *, seed: int = 0, epochs: int | None = None) -> Job:
    """Return the job of that name; `epochs` shortens its recipe. UnknownName lists the nearest names."""
    spec = data.get(dataset)
    known = registry.get(architecture)
    chosen = known.recipe(recipe)
    learned = not (known.fit or known.members)
    if learned and chosen.name == "zoo":
        chosen = replace(
            chosen,
            augmentation=(spec.augmentation or Augmentation()).beside(chosen.augmentation),
            batch_size=min(chosen.batch_size, spec.batch_size),
            epochs=chosen.epochs * spec.passes,
        )
    return Job(architecture, dataset, chosen.shortened(epochs or chosen.epochs), seed)


def read_run(job: Job, runs: Path) -> Run | None:
    """Return the job's run if it is finished; ZooError if its folder holds another recipe's."""
    folder = job.folder(runs)
    if not (folder / "config.json").exists():
        return None
    found = Job.from_dict(read_json(folder / "config.json"))
    if found != job:
        old, new = ({**j.recipe.to_dict(), "start": j.start} for j in (found, job))
        changed = ", ".join(f"{k} {old.get(k)!r} -> {new[k]!r}" for k in new if old.get(k) != new[k])
        raise ZooError(f"{folder} was trained by another recipe ({changed}); move it away or choose another --runs.")
    return Run.read(folder) if (folder / "history.json").exists() else None


def build(job: Job, precision: str | None = None) -> "keras.Model":
    """Return the job's architecture for its dataset's images and classes, with fresh weights.

    Args:
        job: whose architecture.
        precision: of the arithmetic, a Keras policy; None: the recipe's.
    """
    spec = data.get(job.dataset)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision or job.recipe.precision)
    try:
        shape = views.input_shape(job.architecture, spec)
        model = registry.create_model(job.architecture, shape, len(spec.labels))
    finally:
        keras.config.set_dtype_policy(policy)
    model.layers[-1].dtype_policy = "float32"  # a softmax in eight bits of mantissa would not sum to one
    # What was published without BatchNorm goes on without it: the statistics that it had are gone.
    return folded(model) if job.start and registry.get(job.architecture).folded else model


def train(job: Job, runs: Path, progress: Progress = lambda share: None) -> Run:
    """Train the job, or go on where it was stopped; a finished run is only read.

    Args:
        job: what to train.
        runs: the folder of all runs.
        progress: told the share of the epochs that is done, after every few batches.

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


def conclude(job: Job, runs: Path, history: dict) -> Run:
    """Write what makes a run a finished one: its weights are saved, its history is given."""
    folder = job.folder(runs)
    write_json(folder / "environment.json", {**environment.describe(), "devices": devices()})
    write_json(folder / "history.json", history)  # the last file: where it is, the run is finished
    (folder / Loop.CHECKPOINT).unlink(missing_ok=True)
    return Run.read(folder)


def _work(job: Job, runs: Path, progress: Progress) -> Callable[[], dict]:
    """Return what trains the job and returns its history; what is wrong with its data is raised already."""
    architecture, folder = registry.get(job.architecture), job.folder(runs)
    if job.start and (architecture.fit or architecture.members):
        raise ZooError(f"{job.architecture} is not trained step by step, so it cannot start from published weights.")
    if architecture.fit:
        return lambda: closed_form.run(job, lambda: build(job), folder, progress)
    if architecture.members:
        return lambda: ensembles.run(job, build(job), lambda: _members(job, runs, progress), folder, progress)
    teach = _teacher(job, job.recipe.distillation, runs) if job.recipe.distillation else None
    return Loop(job, lambda: build(job), folder, samples.of(job.dataset, job.recipe), progress, teach).run


def _members(job: Job, runs: Path, progress: Progress) -> list[Run]:
    """Train the members of a vote, or read what is finished."""
    seats = ensembles.seats(registry.get(job.architecture).members, job.seed)
    found = []
    for number, (member, seed) in enumerate(seats):

        def tell(share: float, before: int = number) -> None:
            progress(0.7 * (before + share) / len(seats))

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
        return targets + np.float32(distillation.share) * (answers - targets)

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
