"""Damage that is not used in training as it is here: fifteen kinds after Mu and Gilmer (2019).

They name the kinds ("MNIST-C: a robustness benchmark for computer vision"); how each is drawn here was written from
the paper's description. The recipes train on pens, missing squares, blur, Gaussian noise and fading (see
`zoo.recipes.Augmentation`), and on small rotations, shears, scales and shifts: four kinds here go beyond those, and
shot noise, brightness, glass blur and motion blur are relatives of noise, fading and blur. None of the others may ever
be used in training. Sizes are fractions of the image's side. Random parameters depend only on the kind and the
sample's index, so every model sees the same images. A change here requires a new `VERSION` of
`leaderboard/metrics/unseen_robustness.py`.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import cv2
import numpy as np

SEED = 2019
Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # uint8 (H, W), rng -> uint8 (H, W)


def shot_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Too little light: every pixel counts photons, ten for full ink."""
    return _clipped(rng.poisson(image / 255 * 10) / 10 * 255)


def impulse_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dead pixels: one in six is black or white."""
    chance = rng.random(image.shape)
    return np.where(chance < 1 / 12, 0, np.where(chance > 11 / 12, 255, image)).astype(np.uint8)


def glass_blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Frosted glass: every pixel is taken from a neighbor, then blurred a little."""
    reach = max(1, len(image) // 28)
    y, x = np.indices(image.shape)
    moved = rng.integers(-reach, reach + 1, (2, *image.shape))
    rows, columns = ((p + m).clip(0, n - 1) for p, m, n in zip((y, x), moved, image.shape, strict=True))
    blurred: np.ndarray = cv2.GaussianBlur(image[rows, columns], (0, 0), len(image) / 40)
    return blurred


def motion_blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A moving camera: the mean along a line of a quarter of the side, in any direction."""
    size = len(image) // 4 | 1
    line = np.zeros((size, size), np.float32)
    line[size // 2] = 1
    turn = cv2.getRotationMatrix2D((size // 2, size // 2), rng.uniform(0, 180), 1)
    line = cv2.warpAffine(line, turn, (size, size))
    blurred: np.ndarray = cv2.filter2D(image, -1, line / line.sum())
    return blurred


def shear(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A slant of 17 to 27 degrees, either way."""
    return _mapped(image, np.array([[1, rng.uniform(0.3, 0.5) * rng.choice((-1, 1))], [0, 1]]))


def scale(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Written small: 55 to 70% of the size."""
    return _mapped(image, np.eye(2) * rng.uniform(0.55, 0.7))


def turn(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A rotated page: 30 to 40 degrees in either direction."""
    angle = np.deg2rad(rng.uniform(30, 40)) * rng.choice((-1, 1))
    return _mapped(image, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))


def brightness(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gray paper: adds 40% of full ink everywhere, clipped at full ink."""
    return _clipped(image + 102.0)


def translate(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shifted by up to a quarter of the side in each direction; ink may leave the image."""
    return _mapped(image, np.eye(2), rng.uniform(-0.25, 0.25, 2) * len(image))


def stripe(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A stripe down the middle, 1/7 of the width, with ink and paper inverted."""
    out, width = image.copy(), image.shape[1]
    first = width // 2 - width // 14
    out[:, first : first + width // 7] = 255 - out[:, first : first + width // 7]
    return out


def fog(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Clouds of several sizes over the image, up to 60% of full ink."""
    side = max(image.shape)
    clouds = np.zeros((side, side), np.float32)
    for size, weight in ((3, 1.0), (5, 0.6), (9, 0.4), (17, 0.25)):
        grid = rng.random((size, size)).astype(np.float32)
        clouds += weight * cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
    clouds = (clouds - clouds.min()) / np.ptp(clouds)
    return _clipped(image * 0.7 + 0.6 * 255 * clouds[: image.shape[0], : image.shape[1]])


def spatter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Drops of ink: the highest 6% of a smooth random field."""
    field = cv2.GaussianBlur(rng.standard_normal(image.shape).astype(np.float32), (0, 0), len(image) / 28)
    return np.where(field > np.quantile(field, 0.94), 255, image).astype(np.uint8)


def dotted_line(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A line of dots from one side to the other."""
    return _crossed(image, rng, turns=0, dotted=True)


def zigzag(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A zigzag line from one side to the other."""
    return _crossed(image, rng, turns=6, dotted=False)


def canny_edges(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Outlines alone (Canny, 1986)."""
    edges: np.ndarray = cv2.Canny(image, 100, 200)
    return edges


DAMAGE: Mapping[str, Damage] = MappingProxyType(
    {
        d.__name__: d
        for d in (
            shot_noise, impulse_noise, glass_blur, motion_blur, shear, scale, turn, brightness, translate, stripe, fog,
            spatter, dotted_line, zigzag, canny_edges,
        )
    }
)  # fmt: skip


def damaged(images: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, images) of every kind.

    Args:
        images: uint8 (N, H, W, 1), 0 is background and 255 full ink.
    """
    for name, damage in DAMAGE.items():
        rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        yield name, np.stack([damage(image[..., 0], rng) for image in images])[..., None]


def _mapped(image: np.ndarray, linear: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
    """Return the image under a linear map (2, 2) about its middle, and a shift (2,), x and y in pixels."""
    centre = (np.array(image.shape[::-1]) - 1) / 2
    offset = centre - linear @ centre + (0 if shift is None else shift)
    warped: np.ndarray = cv2.warpAffine(image, np.column_stack([linear, offset]), image.shape[::-1])
    return warped


def _crossed(image: np.ndarray, rng: np.random.Generator, turns: int, dotted: bool) -> np.ndarray:
    """Draw a line of a pen's width from the left side to the right, or from the top down."""
    side = len(image)
    along = np.linspace(0, side - 1, turns + 2)
    ends = rng.uniform(0.2, 0.8, 2) * side
    across = np.linspace(ends[0], ends[1], turns + 2)
    across[1:-1] += np.where(np.arange(turns) % 2, 1, -1) * side / 10
    points = np.stack([along, across] if rng.random() < 0.5 else [across, along], axis=1)
    out, pen = image.copy(), max(1, round(side / 28))
    if not dotted:
        cv2.polylines(out, [np.rint(points).astype(np.int32)], False, 255, pen)
        return out
    for share in np.arange(0, 1.01, 4 / side):
        x, y = np.rint(points[0] + share * (points[-1] - points[0])).astype(int)
        out[max(y, 0) : y + pen, max(x, 0) : x + pen] = 255
    return out


def _clipped(image: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return rounded
