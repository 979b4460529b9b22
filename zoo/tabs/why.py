"""Explain a prediction with pictures: a saliency map and feature maps."""

import cv2
import numpy as np

from zoo.hub import resolve
from zoo.serving import explain
from zoo.serving.predictor import Predictor

MAPS = 12  # number of filters shown per layer: those with the strongest response
ZOOM = 4  # pixels of the map per pixel of the image
FOR, AGAINST = (47, 84, 200), (194, 65, 12)  # RGB: blue speaks for the answer, orange against it


def saliency_picture(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    """Return the saliency map, uint8 (4 H, 4 W, 3), RGB: gray ink under blue (for the answer) and orange (against)."""
    found = explain.saliency(predictor, image)
    strength = (abs(found) / max(float(abs(found).max()), 1e-6))[..., None] ** 0.7
    colour = np.where(found[..., None] >= 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    ground = 255 - image.astype(np.float32) * 0.55
    mixed = ground * (1 - 0.8 * strength) + colour * 0.8 * strength
    size = (image.shape[1] * ZOOM, image.shape[0] * ZOOM)
    drawn: np.ndarray = cv2.resize(mixed.clip(0, 255).astype(np.uint8), size, interpolation=cv2.INTER_CUBIC)
    return drawn


def map_pictures(model: str, image: np.ndarray) -> list[np.ndarray]:
    """Return one uint8 picture for each convolution with more than one output pixel: its `MAPS` most active filters."""
    return [_sheet(maps) for maps in explain.feature_maps(resolve(model), image) if min(maps.shape[:2]) > 1]


def _sheet(maps: np.ndarray) -> np.ndarray:
    liveliest = np.argsort(-maps.std(axis=(0, 1)), kind="stable")[:MAPS]
    side = 40  # pixels
    tiles = []
    for index in sorted(liveliest):
        one = maps[..., index]
        one = (one - one.min()) / max(float(np.ptp(one)), 1e-6)
        tile = cv2.resize((255 * one).astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
        tiles.append(np.pad(tile, 1, constant_values=128))
    while len(tiles) % 2:
        tiles.append(np.full_like(tiles[0], 128))
    half = len(tiles) // 2
    return np.vstack([np.hstack(tiles[:half]), np.hstack(tiles[half:])])
