"""A fixed set of corruptions for every glyph dataset: effects of pens, scanners and hands.

Each is severe enough to separate models, and a person can still read almost all results. Sizes are fractions of the
image's side, so images of 8, 28 and 32 pixels are affected equally. Random parameters depend only on the corruption and
the sample's index, so every model sees the same images. A change here requires a new `VERSION` of
`leaderboard/metrics/robustness.py`.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import cv2
import numpy as np

SEED = 2026
Corruption = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # uint8 (H, W), rng -> uint8 (H, W)


def rotation(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate by 20 to 35 degrees in either direction."""
    height, width = image.shape
    angle = rng.uniform(20, 35) * rng.choice((-1, 1))
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
    turned: np.ndarray = cv2.warpAffine(image, turn, (width, height))
    return turned


def shift(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift by 1/8 to 1/5 of the side in any direction; ink may leave the image."""
    height, width = image.shape
    angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(1 / 8, 1 / 5)
    x, y = distance * width * np.cos(angle), distance * height * np.sin(angle)
    shifted: np.ndarray = cv2.warpAffine(image, np.array([[1, 0, x], [0, 1, y]], np.float32), (width, height))
    return shifted


def thick(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A broad pen: every stroke grows by 1/14 of the side."""
    thick: np.ndarray = cv2.dilate(image, _disc(image))
    return thick


def thin(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A dry pen: strokes shrink as much as they grow in `thick`; where they vanish, a third of their ink remains."""
    thin: np.ndarray = np.maximum(cv2.erode(image, _disc(image)), image // 3)
    return thin


def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paper or sensor noise: Gaussian, standard deviation 1/5 of full ink."""
    return _clipped(image + rng.normal(0, 51, image.shape))


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus: a Gaussian blur with a standard deviation of 1/16 of the side."""
    blurred: np.ndarray = cv2.GaussianBlur(image, (0, 0), len(image) / 16)
    return blurred


def low_contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pencil on gray paper: ink from 10% to 50% of the range instead of 0 to 100%."""
    return _clipped(26 + image * 0.4)


def occlusion(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A square of background, 1/5 of the side, covers a part near the center."""
    out = image.copy()
    side = max(1, round(len(image) / 5))
    top, left = rng.integers(len(image) // 4, 3 * len(image) // 4 - side + 1, 2)
    out[top : top + side, left : left + side] = 0
    return out


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {c.__name__: c for c in (rotation, shift, thick, thin, noise, blur, low_contrast, occlusion)}
)


def corrupted(images: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, images) of every corruption.

    Args:
        images: uint8 (N, H, W, 1), 0 is background and 255 full ink.
    """
    for name, corrupt in CORRUPTIONS.items():
        rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        yield name, np.stack([corrupt(image[..., 0], rng) for image in images])[..., None]


def _disc(image: np.ndarray) -> np.ndarray:
    side = 2 * max(1, round(len(image) / 28)) + 1
    disc: np.ndarray = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return disc


def _clipped(image: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return rounded
