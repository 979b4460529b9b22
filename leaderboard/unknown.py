"""Images that are none of the classes: characters that are neither digits nor letters of the networks' scripts.

One part is for comparing methods. The other is for testing: each published network is measured on it once. Neither is
used for training.
"""

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from zoo import data
from zoo.errors import DataError

CHOOSING = ("Balinese", "Early_Aramaic", "Japanese_(katakana)", "Korean")  # alphabets of omniglot_small, all drawers
TESTING = ("Sanskrit", "Tagalog")  # likewise
SOURCES = ("omniglot_small", "unipen_symbols")
REJECTED = 0.01  # share of the validation samples below the threshold, as in the metric
LEAST = 20  # pixels: in a smaller image even a person could not recognize that it is not a digit
SYMBOLS = "#%*+:;=?!@"  # of unipen_symbols/test, for testing: symbols that do not look like a letter or digit


def for_choosing(dataset: str) -> np.ndarray | None:
    """Return images of no class of `dataset` for comparing methods; see `for_testing`."""
    return of_alphabets(dataset, CHOOSING)


def of_alphabets(dataset: str, alphabets: tuple[str, ...]) -> np.ndarray | None:
    """Return the images of some alphabets of omniglot_small, all drawers; see `for_testing`."""
    return _images(dataset, alphabets, "")


def for_testing(dataset: str) -> np.ndarray | None:
    """Return images of no class of `dataset` that were not used for any choice.

    Returns:
        uint8 (N, H, W, 1), in the dataset's size. None for pages, for small images, for users' datasets, whose classes
        are unknown, and if omniglot_small or unipen_symbols is not available.
    """
    return _images(dataset, TESTING, SYMBOLS)


@functools.lru_cache(maxsize=4)
def _images(dataset: str, alphabets: Sequence[str], symbols: str) -> np.ndarray | None:
    spec = data.DATASETS.get(dataset)
    if spec is None or spec.name in SOURCES or spec.image_shape is None or spec.image_shape[0] < LEAST:
        return None
    height, width = spec.image_shape[:2]
    try:
        parts = [_of_classes("omniglot_small", split, alphabets) for split in ("train+validation", "test")]
        if symbols:
            parts.append(_of_classes("unipen_symbols", "test", tuple(symbols)))
    except DataError:
        return None
    images = np.concatenate(parts)
    if images.shape[1:3] == (height, width):
        return images
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images])[..., None]


def _of_classes(name: str, split: str, chosen: Sequence[str]) -> np.ndarray:
    """Return the images of a split whose label, or the alphabet in it, is one of the chosen."""
    samples = data.load(name, split)
    wanted = [label.partition("-character")[0] in chosen for label in data.get(name).labels]
    images: np.ndarray = samples.images[np.array(wanted)[samples.labels]]
    return images
