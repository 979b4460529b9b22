"""What a training sees of a dataset: the samples of an epoch, drawn anew, and those that validate, always the same."""

from dataclasses import dataclass

import cv2
import numpy as np

from zoo import data, views
from zoo.augmentation import augment
from zoo.recipes import Recipe


@dataclass(frozen=True)
class Glyphs:
    """Whole images: an epoch is all of them, in random order."""

    train: data.Split
    watched: data.Split  # the samples that early stopping watches
    recipe: Recipe

    @property
    def count(self) -> int:
        """Samples of an epoch."""
        return len(self.train)

    def epoch(self, rng: np.random.Generator, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the images, uint8 (N, H, W, C), and labels (N,) of an epoch, or only the first `most`."""
        order = rng.permutation(len(self.train))[:most]
        images = self.train.images[order]
        if self.recipe.augmentation is not None:
            images = augment(images, self.recipe.augmentation, rng)
        return images, self.train.labels[order]

    def watch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels that are watched after every epoch."""
        return self.watched.images, self.watched.labels

    def validation(self, dataset: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the dataset's own validation samples, whatever share a document watches: so that recipes compare."""
        own = data.load(dataset, "validation")
        return own.images, own.labels


class Pages:
    """Pages seen in patches: an epoch is so many of them, drawn at random from the training strips."""

    def __init__(self, train: data.Split, view: views.Patches, recipe: Recipe):
        self.train, self.view, self.recipe = train, view, recipe
        self.strips = view.training_strips(train.images)

    @property
    def count(self) -> int:
        """Samples of an epoch."""
        return self.recipe.views or 0

    def epoch(self, rng: np.random.Generator, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return patches, uint8 (N, side, side, 1), and labels (N,) of an epoch, or only the first `most`."""
        images, labels = self.view.draw(self.strips, self.train.labels, min(self.count, most or self.count), rng)
        if self.recipe.augmentation is not None:
            images = augment(images, self.recipe.augmentation, rng, cv2.BORDER_REFLECT)
        return images, labels

    def watch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return patches of the held-out strips and their labels."""
        return self.view.validation(self.train.images, self.train.labels)

    def validation(self, dataset: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the same patches: they are the dataset's own."""
        return self.watch()


def of(dataset: str, recipe: Recipe) -> "Glyphs | Pages":
    """Return what a recipe sees of a dataset."""
    view, share = data.get(dataset).view, recipe.validation_share
    if view is not None:
        return Pages(data.load(dataset, "train"), view, recipe)
    if share is None:
        return Glyphs(data.load(dataset, "train"), data.load(dataset, "validation"), recipe)
    rows = data.load(dataset, "train+validation")
    held_out = np.arange(len(rows)) >= round(len(rows) * (1 - share))  # a document's own share
    return Glyphs(rows.take(~held_out), rows.take(held_out), recipe)
