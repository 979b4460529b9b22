"""Overlap of training and test set: exact and near duplicates, and shared writers.

Near duplicates are pairs that are similar in both of two measures: the raw pixels, and a perceptual hash (the low
frequencies of the cosine transform, after Zauner, 2010), which ignores noise and jitter. Both are correlations of
images of unit length, so 1 is the same picture up to contrast.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from zoo import data
from zoo.types import Json

LEAKS = Path(__file__).parent / "leaks"
PIXELS = (0.99, 0.98, 0.95)  # thresholds of the correlation; examples are taken from the first with any pairs
PERCEPTUAL = 0.995
EXAMPLES = 6
BLOCK = 1000  # test samples per matrix product: about 240 MB of correlations


def report(dataset: str) -> Json:
    """Return the leak report of a glyph dataset, as plain JSON types.

    {"dataset", "fingerprints", "samples", "exact", "exact_other_label", "within_test", "near" (a count for each
    correlation), "perceptual",
    "near_classes" (label -> count), "examples" (pairs with both pictures as PNG in base64), "writers"}.
    """
    spec = data.get(dataset)
    train, test = data.load(dataset, "train+validation"), data.load(dataset, "test")
    exact, other_label = exact_duplicates(train.images, train.labels, test.images, test.labels)
    nearest, pixels, perceptual = nearest_neighbours(train.images, test.images)
    close = {level: np.flatnonzero((pixels >= level) & (perceptual >= PERCEPTUAL)) for level in PIXELS}
    shown = max(close.values(), key=len)
    shown = shown[np.argsort(-pixels[shown], kind="stable")][:EXAMPLES]
    return {
        "dataset": dataset,
        "fingerprints": {"train": train.fingerprint, "test": test.fingerprint},
        "samples": {"train": len(train), "test": len(test)},
        "exact": len(exact),
        "exact_other_label": other_label,
        "within_test": len(test) - len(np.unique(_bytes(test.images))),
        "near": {f"{level:g}": len(found) for level, found in close.items()},
        "perceptual": PERCEPTUAL,
        "near_classes": _by_class(test.labels[max(close.values(), key=len)], spec.labels),
        "examples": [
            {
                "test": int(i),
                "train": int(nearest[i]),
                "correlation": round(float(pixels[i]), 4),
                "labels": [spec.labels[test.labels[i]], spec.labels[train.labels[nearest[i]]]],
                "images": [_png(test.images[i]), _png(train.images[nearest[i]])],
            }
            for i in shown
        ],
        "writers": writers(train.groups, test.groups),
    }


def exact_duplicates(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return which test samples are identical to a training image, and how many of these have another label.

    Args:
        train, test: uint8 (N, H, W, 1).
        train_labels, test_labels: int64 (N,).
    """
    labels_of: dict[bytes, set[int]] = {}
    for key, label in zip(_bytes(train), train_labels, strict=True):
        labels_of.setdefault(key.tobytes(), set()).add(int(label))
    keys = [key.tobytes() for key in _bytes(test)]
    found = np.array([i for i, key in enumerate(keys) if key in labels_of], int)
    return found, sum(int(test_labels[i]) not in labels_of[keys[i]] for i in found)


def nearest_neighbours(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each test sample's nearest training sample by pixels, and the similarity of the two.

    Args:
        train, test: uint8 (N, H, W, 1).

    Returns:
        nearest: int64 (N,), rows of `train`; pixels and perceptual: float32 (N,), correlations up to 1.
    """
    references, perceived = _unit(_flat(train)), _unit(_perceived(train))
    parts = []
    for block in _blocks(test):
        likeness = _unit(_flat(block)) @ references.T
        nearest = likeness.argmax(axis=1)
        pixels = likeness[np.arange(len(block)), nearest]
        parts.append((nearest, pixels, (_unit(_perceived(block)) * perceived[nearest]).sum(axis=1)))
    nearest, pixels, perceptual = (np.concatenate(part) for part in zip(*parts, strict=True))
    return nearest, pixels, perceptual


def writers(train: np.ndarray | None, test: np.ndarray | None) -> Json | None:
    """Return {"train", "test", "both"}: numbers of writers; None if writers are unknown."""
    if train is None or test is None:
        return None
    return {
        "train": len(np.unique(train)),
        "test": len(np.unique(test)),
        "both": len(np.intersect1d(train, test)),
    }


def _by_class(found: np.ndarray, names: tuple[str, ...]) -> dict[str, int]:
    """Return the number of samples of each class, the most frequent first."""
    counts = np.bincount(found, minlength=len(names))
    return {names[i]: int(counts[i]) for i in np.argsort(-counts, kind="stable") if counts[i]}


def _blocks(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), BLOCK):
        yield images[start : start + BLOCK]


def _bytes(images: np.ndarray) -> np.ndarray:
    """Return each image as one value that compares as a whole."""
    flat = np.ascontiguousarray(images.reshape(len(images), -1))
    return flat.view(np.dtype((np.void, flat.shape[1]))).ravel()


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32)


def _perceived(images: np.ndarray) -> np.ndarray:
    """Return the low frequencies of images of 32 x 32, float32 (N, 64), without the mean."""
    out = np.empty((len(images), 64), np.float32)
    for row, image in zip(out, images, strict=True):
        side = cv2.resize(image[..., 0], (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        row[:] = cv2.dct(side)[:8, :8].ravel()
    out[:, 0] = 0
    return out


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return unit


def _png(image: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", image)[1]).decode("ascii")
