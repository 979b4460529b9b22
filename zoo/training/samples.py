"""The samples of a training: those of an epoch, drawn again each time, and the fixed validation samples."""

from dataclasses import dataclass

import cv2
import numpy as np

from zoo import data
from zoo.pages.patches import Patches
from zoo.recipes import Augmentation, Recipe
from zoo.training.augmentation import Draws, applied, augment
from zoo.training.outliers import outliers


@dataclass(frozen=True)
class Drawn:
    """An epoch of glyphs as it was drawn: which images, and what is done to each."""

    rows: np.ndarray  # int32 (N,): a training image; from their number on, an outlier
    targets: np.ndarray  # float32 (N, classes)
    outliers: np.ndarray  # uint8 (outliers, H, W, C)
    draws: Draws | None  # None: no augmentation


@dataclass(frozen=True)
class Glyphs:
    """Whole images: an epoch is all of them, in random order."""

    train: data.Split
    watched: data.Split  # the samples that early stopping watches
    targets: np.ndarray  # float32 (N, classes): 1 at the label of each training sample
    outliers: int = 0  # images of no class in an epoch; every class is as likely as another in their targets
    balanced: bool = False  # whether each class comes equally often in an epoch

    @property
    def known(self) -> int:
        """Samples of an epoch that are of a class."""
        return len(self.train)

    @property
    def count(self) -> int:
        """Images of an epoch, outliers included."""
        return self.known + self.outliers

    def epoch(
        self, rng: np.random.Generator, augmentation: Augmentation | None, most: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the images, uint8 (N, H, W, C), and targets (N, classes) of an epoch, or only the first `most`."""
        drawn = self.draw(rng, augmentation, most)
        known = drawn.rows < self.known
        images = np.empty((len(known), *self.train.images.shape[1:]), np.uint8)
        images[known] = self.train.images[drawn.rows[known]]
        images[~known] = drawn.outliers
        return (images if drawn.draws is None else applied(images, drawn.draws)), drawn.targets

    def draw(self, rng: np.random.Generator, augmentation: Augmentation | None, most: int | None = None) -> Drawn:
        """Draw what `epoch` returns, before anything is done to an image."""
        order = rng.permutation(self.count)[:most]
        known = order < self.known
        if self.balanced:
            order[known] = _equally_often(self.train.labels, rng)[order[known]]
        targets = np.full((len(order), self.targets.shape[1]), 1 / self.targets.shape[1], np.float32)
        targets[known] = self.targets[order[known]]
        made = outliers(self.train.images, self.train.labels, int((~known).sum()), rng)
        rows = np.where(known, order, self.known - 1 + np.cumsum(~known)).astype(np.int32)
        shape = self.train.images.shape[1:3]
        draws = None if augmentation is None else Draws.draw(len(order), shape, augmentation, rng)
        return Drawn(rows, targets, made, draws)

    def watch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels that are watched after every epoch."""
        return self.watched.images, self.watched.labels

    def validation(self, dataset: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the dataset's own validation samples, whatever share a document watches: so that recipes compare."""
        own = data.load(dataset, "validation")
        return own.images, own.labels


class Pages:
    """Pages seen in patches: an epoch has a fixed number of them, drawn at random from the training strips."""

    def __init__(self, train: data.Split, view: Patches, recipe: Recipe, targets: np.ndarray):
        self.train, self.view, self.recipe, self.targets = train, view, recipe, targets
        self.strips = view.training_strips(train.images)

    @property
    def count(self) -> int:
        """Samples of an epoch."""
        return self.recipe.views or 0

    @property
    def known(self) -> int:
        """Samples of an epoch that are of a class: all of them."""
        return self.count

    def epoch(
        self, rng: np.random.Generator, augmentation: Augmentation | None, most: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return patches, uint8 (N, side, side, 1), and targets (N, classes) of an epoch, or only the first `most`."""
        pages = np.arange(len(self.train))
        images, drawn = self.view.draw(self.strips, pages, min(self.count, most or self.count), rng)
        if augmentation is not None:
            images = augment(images, augmentation, rng, cv2.BORDER_REFLECT)
        return images, self.targets[drawn]

    def watch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return patches of the held-out strips and their labels."""
        return self.view.validation(self.train.images, self.train.labels)

    def validation(self, dataset: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the same patches: they are the dataset's own."""
        return self.watch()


def of(dataset: str, recipe: Recipe) -> "Glyphs | Pages":
    """Return what a recipe sees of a dataset."""
    spec = data.get(dataset)
    if spec.view is not None:
        pages = data.load(dataset, "train")
        return Pages(pages, spec.view, recipe, one_hot(pages.labels, len(spec.labels)))
    if recipe.validation_share is None:
        train, watched = data.load(dataset, "train"), data.load(dataset, "validation")
    else:
        rows = data.load(dataset, "train+validation")
        held_out = np.arange(len(rows)) >= round(len(rows) * (1 - recipe.validation_share))  # a document's own share
        train, watched = rows.take(~held_out), rows.take(held_out)
    targets = one_hot(train.labels, len(spec.labels))
    return Glyphs(train, watched, targets, round(recipe.outliers * len(train)), spec.balanced)


def known_share(dataset: str, recipe: Recipe) -> float:
    """Return the share of a dataset's validation samples that a recipe trains on, because it holds out a share of its
    own."""
    if recipe.validation_share is None:
        return 0.0
    train, validation = of(dataset, recipe).train, data.load(dataset, "validation")
    known = {image.tobytes() for image in train.images}
    return float(np.mean([image.tobytes() in known for image in validation.images]))


def _equally_often(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return N rows of N samples: the classes take turns, and each goes through its samples again and again."""
    classes = np.unique(labels)
    each = -(-len(labels) // len(classes))
    columns = [np.resize(rng.permutation(np.flatnonzero(labels == label)), each) for label in classes]
    rows: np.ndarray = np.stack(columns, axis=1).ravel()[: len(labels)]
    return rows


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return float32 (N, classes): 1 at each label."""
    targets: np.ndarray = np.eye(classes, dtype=np.float32)[labels]
    return targets
