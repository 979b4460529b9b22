"""What `augmentation` does with OpenCV on the processor, in Keras operations: inside the compiled step, on a GPU.

The same draws give the same images, but for a few gray levels at edges: OpenCV rounds the place of a pixel to a 32nd.
Only the grain of the noise is another.
"""

from functools import cache
from typing import Any

import cv2
import numpy as np

from zoo.backend import keras
from zoo.recipes import Augmentation
from zoo.training.augmentation import Draws, spread

Tensor = Any  # of whatever backend Keras runs on


def prepared(draws: Draws, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return draws as arrays (N, ...) to be sent to the device, and random bits for the grain of the noise."""
    inverse = np.linalg.inv(draws.maps[:, :, :2])
    arrays = {"sources": np.concatenate([inverse, -inverse @ draws.maps[:, :, 2:]], axis=2)}
    if draws.nodes is not None:
        arrays["nodes"] = draws.nodes
    if draws.gains is not None:
        arrays["gains"] = draws.gains
    if draws.damage:
        for name in ("grown", "square", "sigma", "grain", "lost", "gray"):
            arrays[name] = np.concatenate([getattr(part, name) for part in draws.damage])
        arrays["hit"] = np.concatenate([part.hit for part in draws.damage], axis=1).T
    found = {name: values.astype(np.float32) for name, values in arrays.items()}
    if draws.damage:
        found["bits"] = rng.integers(0, 2**32, (len(draws.maps), 2), np.uint32)
    return found


def augmented(images: Tensor, drawn: dict[str, Tensor], bounds: Augmentation) -> Tensor:
    """Return images after what was drawn for them.

    Args:
        images: uint8 (N, H, W, 1).
        drawn: of those images, as `prepared` returns it.
        bounds: of the draws; they decide how far the program has to reach.

    Returns:
        uint8 (N, H, W, 1).
    """
    ops = keras.ops
    x = _moved(ops.cast(images[..., 0], "float32"), drawn)
    if "gains" in drawn:
        gains = drawn["gains"][:, None, None]
        x = _whole(gains * x + (1 - gains) * ops.mean(x, axis=(1, 2), keepdims=True))
    if "hit" in drawn:
        x = _damaged(x, drawn, bounds)
    return ops.cast(x[..., None], "uint8")


def _whole(x: Tensor) -> Tensor:
    return keras.ops.clip(keras.ops.round(x), 0, 255)


def _moved(x: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Return images (N, H, W) resampled between the four pixels around the source of each."""
    ops = keras.ops
    height, width = x.shape[1:]
    row, column = np.indices((height, width), np.float32)
    target = np.stack([column.ravel(), row.ravel(), np.ones(height * width, np.float32)])
    places = ops.reshape(ops.matmul(drawn["sources"], target), (-1, 2, height, width))
    if "nodes" in drawn:
        bent = ops.matmul(ops.matmul(spread(height), drawn["nodes"]), spread(width).T)
        places = places + bent * np.array([width, height], np.float32)[:, None, None]
    places = ops.round(places * 32) / 32  # as OpenCV does
    corner = ops.floor(places)
    share = places - corner
    flat = ops.reshape(x, (-1, height * width))
    found = 0.0
    for down in (0, 1):
        for right in (0, 1):
            across, along = corner[:, 0] + right, corner[:, 1] + down
            inside = (across >= 0) & (across < width) & (along >= 0) & (along < height)
            at = ops.clip(along, 0, height - 1) * width + ops.clip(across, 0, width - 1)
            index = ops.reshape(ops.cast(at, "int32"), (-1, height * width))
            value = ops.reshape(ops.take_along_axis(flat, index, axis=1), (-1, height, width))
            weight = (share[:, 0] if right else 1 - share[:, 0]) * (share[:, 1] if down else 1 - share[:, 1])
            found = found + ops.where(inside, value * weight, 0.0)
    return _whole(found)


def _damaged(x: Tensor, drawn: dict[str, Tensor], bounds: Augmentation) -> Tensor:
    """Return images (N, H, W) damaged by the kinds that hit each, in their order."""
    ops = keras.ops
    side = x.shape[1]
    hit = [drawn["hit"][:, kind, None, None] > 0 for kind in range(5)]
    if bounds.pen:
        x = ops.where(hit[0], _rewritten(x, drawn["grown"][:, None, None], int(bounds.pen * side / 2) + 1), x)
    if bounds.erased:
        top, left, bottom, right = (drawn["square"][:, edge, None, None] for edge in range(4))
        row, column = np.indices(x.shape[1:], np.float32)
        inside = (row >= top) & (row < bottom) & (column >= left) & (column < right)
        x = ops.where(hit[1] & inside, 0.0, x)
    if bounds.blur:
        x = ops.where(hit[2], _blurred(x, drawn["sigma"][:, None], _reach(bounds.blur * side)), x)
    if bounds.noise:
        grain = keras.random.normal(ops.shape(x), seed=drawn["bits"][0]) * drawn["grain"][:, None, None]
        x = ops.where(hit[3], _whole(x + grain), x)
    if bounds.fading:
        faded = _whole((1 - drawn["lost"][:, None, None]) * x + drawn["gray"][:, None, None])
        x = ops.where(hit[4], faded, x)
    return x


def _rewritten(x: Tensor, grown: Tensor, most: int) -> Tensor:
    """Return images as `augmentation.rewritten` does; `grown` (N, 1, 1), at most `most` whole pixels on either side."""
    ops = keras.ops
    pixels = ops.abs(grown) / 2
    broader = grown > 0
    height, width = x.shape[1:]
    found, kept = 0.0, ops.floor(x / 3)
    low = ops.pad(x, ((0, 0), (most, most), (most, most)))
    high = ops.pad(x - 255, ((0, 0), (most, most), (most, most))) + 255
    for radius in range(most + 1):
        dilated = eroded = x
        for down, right in _disc(radius):
            rows, columns = slice(most + down, most + down + height), slice(most + right, most + right + width)
            dilated = ops.maximum(dilated, low[:, rows, columns])
            eroded = ops.minimum(eroded, high[:, rows, columns])
        step = ops.where(broader, dilated, ops.maximum(eroded, kept))
        found = found + step * ops.maximum(1 - ops.abs(pixels - radius), 0.0)  # between two whole pixels: their mean
    return _whole(found)


@cache
def _disc(radius: int) -> tuple[tuple[int, int], ...]:
    """Return the pixels of OpenCV's disc, down and right of its middle."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return tuple((int(row) - radius, int(column) - radius) for row, column in np.argwhere(disc))


def _reach(sigma: float) -> int:
    """Return how many pixels OpenCV's Gaussian of that deviation reaches to either side."""
    return (round(6 * sigma + 1) | 1) // 2


def _blurred(x: Tensor, sigma: Tensor, most: int) -> Tensor:
    """Return images blurred by Gaussians of deviations `sigma` (N, 1), none of which reaches further than `most`."""
    ops = keras.ops
    offsets = np.arange(-most, most + 1, dtype=np.float32)
    size = ops.round(6 * sigma + 1)
    reach = ops.floor((size + 1 - ops.mod(size, 2)) / 2)  # an even size becomes the next odd one
    weights = ops.exp(-0.5 * ops.square(offsets / ops.maximum(sigma, 1e-6)))
    weights = ops.where(np.abs(offsets) <= reach, weights, 0.0)
    weights = weights / ops.sum(weights, axis=1, keepdims=True)
    height, width = x.shape[1:]
    rows = ops.pad(x, ((0, 0), (most, most), (0, 0)), mode="reflect")
    x = sum(weights[:, n, None, None] * rows[:, n : n + height] for n in range(2 * most + 1))
    columns = ops.pad(x, ((0, 0), (0, 0), (most, most)), mode="reflect")
    return _whole(sum(weights[:, n, None, None] * columns[:, :, n : n + width] for n in range(2 * most + 1)))
