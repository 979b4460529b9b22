"""The registry of architectures: functions with `@register` in `zoo/architectures/`, found automatically."""

import functools
import importlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from zoo.errors import UnknownName, ZooError
from zoo.recipes import AT_ONCE, ZOO, Recipe
from zoo.trainers import BY_STEPS, Stepwise, Trainer
from zoo.types import Shape

if TYPE_CHECKING:
    import keras

GLYPH_SETS = ("mnist", "ahdd", "ahcd")  # the default datasets of an architecture
LETTERS = "unipen_letters"  # further datasets of some architectures
BACKBONE = "backbone"  # what an architecture names the layer that is its pretrained backbone
FORMER_NAMES = {  # of architectures, which load with a warning until version 0.3
    "vote": "glyphnet_100k_x3",
    "large_vote": "glyphnet_300k_x5",
    "grand_vote": "glyphnet_1m_x3_300k_x5",
    "mixed_vote": "mixed_x5",
}
Build = Callable[[Shape, int], "keras.Model"]  # of `input_shape` and `num_classes`
_ARCHITECTURES: dict[str, "Architecture"] = {}


class Suiting(Protocol):
    """A dataset, as far as a recipe depends on it: `zoo.data.DatasetSpec` is one."""

    @property
    def name(self) -> str: ...

    def suited(self, recipe: Recipe) -> Recipe: ...


@dataclass(frozen=True)
class Architecture:
    """One architecture: its builder, datasets and recipes."""

    name: str  # the function's name
    build: Build
    title: str  # first line of the docstring: the network and its source
    notes: str  # the rest of it, Markdown: the description of the network
    datasets: tuple[str, ...]
    recipes: Mapping[str, Recipe]
    minimum_size: int  # pixels: the smallest height and width that its strides and pools accept
    backbone: str | None  # the Keras application whose pretrained weights it may start from
    view: str | None  # the kind of view of a sample, see `views.VIEWS`; None: the dataset's
    trainer: Trainer  # how its weights are obtained
    for_accelerators: bool  # a training takes hours without a GPU: it is queued last
    seeds: int  # number of trainings: 5 if one takes under five minutes on two cores, else 3
    undamaged: tuple[str, ...]  # datasets on which it has no capacity for damaged images, by validation

    def recipe(self, name: str) -> Recipe:
        """Return a recipe by name; UnknownName lists the nearest."""
        if name not in self.recipes:
            raise UnknownName(f"recipe of {self.name}", name, self.recipes)
        return self.recipes[name]

    def recipe_on(self, dataset: Suiting, name: str) -> Recipe:
        """Return a recipe as it trains on a dataset; UnknownName lists the nearest."""
        chosen = self.recipe(name)
        if not (isinstance(self.trainer, Stepwise) and chosen.name == "zoo"):
            return chosen
        if dataset.name in self.undamaged:
            chosen = replace(chosen, damaged=0.0)
        return dataset.suited(chosen)


@dataclass(frozen=True)
class ModelName:
    """`architecture.dataset`, with `-recipe` unless it is `zoo`, and `@revision` where it is pinned."""

    architecture: str
    dataset: str
    recipe: str = "zoo"
    revision: str | None = None

    _PATTERN = re.compile(r"([a-z]\w*)\.([a-z]\w*)(?:-([\w-]+))?(?:@([\w./-]+))?", re.ASCII)

    @classmethod
    def parse(cls, text: str) -> "ModelName":
        """Read a name such as `resco_mini.ahdd-paper@3f2a1b`; ZooError if it has another shape."""
        match = cls._PATTERN.fullmatch(text)
        if not match:
            raise ZooError(
                f"{text!r} is not the name of a model: expected architecture.dataset, for example lenet5.mnist, "
                "lenet5.ahdd-paper for its paper recipe, or lenet5.mnist@<revision>."
            )
        architecture, dataset, recipe, revision = match.groups()
        return cls(current_name(architecture), dataset, recipe or "zoo", revision)

    def __str__(self) -> str:
        recipe = "" if self.recipe == "zoo" else f"-{self.recipe}"
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.architecture}.{self.dataset}{recipe}{revision}"


def current_name(architecture: str) -> str:
    """Return the current name of an architecture; a former name gives a warning."""
    if architecture in FORMER_NAMES:
        new = FORMER_NAMES[architecture]
        warnings.warn(
            f"{architecture} is called {new} now; the old name will be removed in 0.3.", FutureWarning, stacklevel=3
        )
        return new
    return architecture


def register(
    *,
    datasets: tuple[str, ...] = GLYPH_SETS,
    minimum_size: int = 8,
    backbone: str | None = None,
    view: str | None = None,
    trainer: Trainer = BY_STEPS,
    for_accelerators: bool = False,
    seeds: int = 3,
    undamaged: tuple[str, ...] = (),
    **recipes: Recipe,
) -> Callable[[Build], Build]:
    """Register the decorated function under its own name; keyword arguments are its recipes, `zoo` has a default.

    The function takes `input_shape` (height, width, channels) and `num_classes` and returns a `keras.Model` from raw
    uint8 images to float32 probabilities. A second function of the same name raises ZooError.

    An architecture that is not trained by gradient descent has no recipe; its `trainer` defines everything.
    """

    def decorate(build: Build) -> Build:
        name = build.__name__
        if name in _ARCHITECTURES:
            raise ZooError(f"Two architectures are named {name!r}: rename the one in {build.__module__}.")
        if not build.__doc__:
            raise ZooError(f"{build.__module__}.{name} needs a docstring that says what it is and cites its source.")
        for key, recipe in recipes.items():
            if recipe.name != key:
                raise ZooError(f"{build.__module__}.{name}: the recipe given as {key!r} is named {recipe.name!r}.")
        title, _, notes = inspect.cleandoc(build.__doc__).partition("\n")
        recipes_of = MappingProxyType({"zoo": ZOO if isinstance(trainer, Stepwise) else AT_ONCE, **recipes})
        _ARCHITECTURES[name] = Architecture(
            name=name,
            build=build,
            title=title.rstrip("."),
            notes=notes.strip(),
            datasets=datasets,
            recipes=recipes_of,
            minimum_size=minimum_size,
            backbone=backbone,
            view=view,
            trainer=trainer,
            for_accelerators=for_accelerators,
            seeds=seeds,
            undamaged=undamaged,
        )
        return build

    return decorate


@functools.cache
def architectures() -> Mapping[str, Architecture]:
    """Return every architecture by name, sorted; importing them needs no Keras."""
    package = importlib.import_module("zoo.architectures")
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
    return MappingProxyType(dict(sorted(_ARCHITECTURES.items())))


def get(name: str) -> Architecture:
    """Return one architecture; UnknownName lists the nearest names."""
    known, name = architectures(), current_name(name)
    if name not in known:
        raise UnknownName("architecture", name, known)
    return known[name]


def create_model(name: str, input_shape: Shape = (28, 28, 1), num_classes: int = 10) -> "keras.Model":
    """Build an architecture with fresh weights.

    Args:
        name: the architecture, for example `lenet5`.
        input_shape: height, width and channels of the images.
        num_classes: at least 2.

    Returns:
        A `keras.Model` from uint8 images (N, H, W, C) in 0..255 to float32 probabilities (N, num_classes).

    Raises:
        UnknownName: no such architecture.
        ZooError: a shape or a class count that it cannot take.
    """
    architecture = get(name)
    shape = tuple(input_shape)
    if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ZooError(f"input_shape should be (height, width, channels), all positive integers, not {input_shape!r}.")
    if min(shape[:2]) < architecture.minimum_size:
        least = architecture.minimum_size
        raise ZooError(f"{name} needs images of at least {least} x {least} pixels, not {shape[0]} x {shape[1]}.")
    if num_classes < 2:
        raise ZooError(f"num_classes should be at least 2, not {num_classes}.")
    return architecture.build(shape, num_classes)
