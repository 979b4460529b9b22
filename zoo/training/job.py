"""What to train (`Job`) and what came of it (`Run`): a run folder with weights, history and environment."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from zoo import data, registry
from zoo.backend import keras
from zoo.errors import ZooError
from zoo.files import read_json
from zoo.pages import views
from zoo.recipes import Recipe
from zoo.training.batch_norm_folding import folded
from zoo.typed_json import CLOSED, from_values
from zoo.types import Json

PART = re.compile(r"\w[\w.-]{0,199}", re.ASCII)  # of the path of a run


@dataclass(frozen=True)
class Job:
    """What to train: everything that decides the weights."""

    __pydantic_config__: ClassVar = CLOSED

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
        """Return the run's own folder, three levels below `runs`; ZooError where one of its names is none."""
        parts = f"{self.architecture}.{self.dataset}", self.recipe.name, f"seed-{self.seed}"
        if wrong := [part for part in parts if not PART.fullmatch(part)]:
            raise ZooError(f"A folder of a run has letters, digits, '.', '_' and '-' in it; got {wrong[0]!r:.40}.")
        return runs.joinpath(*parts)

    def to_dict(self) -> Json:
        """Return plain JSON types; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Json) -> "Job":
        """Rebuild a job; ValueError for an unknown field, or a value of another type."""
        return from_values(cls, {**values, "recipe": Recipe.from_dict(values["recipe"]).to_dict()})


@dataclass(frozen=True)
class Run:
    """A finished training."""

    job: Job
    folder: Path
    history: Json  # epochs, kept_epoch, training_seconds, validation {loss, accuracy}, fingerprint
    environment: Json

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
    chosen = registry.get(architecture).recipe_on(spec, recipe)
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
        shape = input_shape(job.architecture, spec)
        model = registry.create_model(job.architecture, shape, len(spec.labels))
    finally:
        keras.config.set_dtype_policy(policy)
    model.layers[-1].dtype_policy = "float32"  # a softmax in eight bits of mantissa would not sum to one
    # What was published without BatchNorm goes on without it: the statistics that it had are gone.
    return folded(model) if job.start else model


def view_of(architecture: str, spec: data.DatasetSpec) -> views.View | None:
    """Return how an architecture sees the samples of a dataset; None: whole."""
    kind = registry.get(architecture).view
    return views.VIEWS[kind]() if kind else spec.view


def input_shape(architecture: str, spec: data.DatasetSpec) -> tuple[int, int, int]:
    """Return height, width and channels of what an architecture's network sees of a dataset."""
    view = view_of(architecture, spec)
    if view is not None:
        return view.input_shape
    assert spec.image_shape is not None  # only pages have none, and those are not seen whole
    return spec.image_shape
