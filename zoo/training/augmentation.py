"""Augmentation of uint8 images with OpenCV: 55,000 glyphs take 0.5 s on two cores, 1 s with elastic distortion."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from zoo.recipes import Augmentation

PART = 2000  # images that a thread takes at a time
GRID = 4  # points a side that an elastic map moves; what lies between them follows smoothly


@dataclass(frozen=True)
class Damage:
    """What damages each of N images; see `Augmentation`."""

    hit: np.ndarray  # bool (kinds, N): whether pen, erasing, blur, noise and fading do
    grown: np.ndarray  # float64 (N,), pixels that strokes gain in width
    square: np.ndarray  # int (N, 4), pixels: top, left, bottom and right of what is erased
    sigma: np.ndarray  # float64 (N,), pixels, of the blur
    grain: np.ndarray  # float32 (N,), gray levels, standard deviation of the noise
    lost: np.ndarray  # float64 (N,), share of the contrast
    gray: np.ndarray  # float64 (N,), gray levels that the paper turns to

    @classmethod
    def draw(cls, count: int, side: int, bounds: Augmentation, rng: np.random.Generator) -> "Damage":
        """Draw the damage of `count` images of `side` pixels."""
        hit = rng.random((4, count)) < 0.5
        damaged = rng.random(count) < bounds.damaged
        grown = rng.uniform(-bounds.pen, bounds.pen, count) * side
        sigma = rng.uniform(0, bounds.blur, count) * side
        grain = rng.uniform(0, bounds.noise, count).astype(np.float32) * np.float32(255)
        lost = rng.uniform(0, bounds.fading, count)
        gray = rng.uniform(0, 1 / 3, count) * lost * 255
        covered, square = np.zeros(count, bool), np.zeros((count, 4), int)
        if bounds.erased:  # not drawn otherwise: other recipes draw what they always drew
            covered = rng.random(count) < 0.5
            middle, half = rng.uniform(0, side, (2, count)), rng.uniform(0, bounds.erased / 2, count) * side
            square = np.rint([*(middle - half), *(middle + half)]).clip(0, side).astype(int).T
        return cls(np.insert(hit, 1, covered, axis=0) & damaged, grown, square, sigma, grain, lost, gray)


@dataclass(frozen=True)
class Draws:
    """Everything that chance decides for the augmentation of N images, but for the grain of the noise."""

    maps: np.ndarray  # float64 (N, 2, 3), see `affine_maps`
    nodes: np.ndarray | None  # float32 (N, 2, GRID, GRID), see `sources`; None: no elastic distortion
    gains: np.ndarray | None  # float64 (N,), of the contrast; None: it stays
    damage: tuple[Damage, ...]  # of every `PART` images; none: no image is damaged
    noise: tuple[np.random.Generator, ...]  # likewise: what draws the grain

    @classmethod
    def draw(cls, count: int, shape: tuple[int, int], bounds: Augmentation, rng: np.random.Generator) -> "Draws":
        """Draw for `count` images of `shape` (H, W); the same state of `rng` draws the same."""
        maps = affine_maps(count, shape, bounds, rng)
        nodes = rng.uniform(-1, 1, (count, 2, GRID, GRID)).astype(np.float32) if bounds.elastic else None
        gains = 1 + rng.uniform(-1, 1, count) * bounds.contrast if bounds.contrast else None
        seeds = rng.integers(0, 2**63, -(-count // PART))  # one a part, whatever thread takes it
        noise = tuple(np.random.default_rng(seed) for seed in seeds) if bounds.damage else ()
        sizes = [min(PART, count - PART * number) for number in range(len(noise))]
        damage = tuple(Damage.draw(n, shape[0], bounds, part) for n, part in zip(sizes, noise, strict=True))
        return cls(maps, None if nodes is None else nodes * bounds.elastic, gains, damage, noise)


def augment(
    images: np.ndarray, augmentation: Augmentation, rng: np.random.Generator, border: int = cv2.BORDER_CONSTANT
) -> np.ndarray:
    """Return a copy with every image randomly rotated, scaled, sheared, shifted and elastically distorted.

    Args:
        images: uint8 (N, H, W, C).
        augmentation: the bounds of the maps.
        rng: decides every map; the same state gives the same images.
        border: OpenCV's name for what moves in from outside: 0, a glyph's background, or the image mirrored.

    Returns:
        uint8 (N, H, W, C).
    """
    return applied(images, Draws.draw(len(images), images.shape[1:3], augmentation, rng), border)


def applied(images: np.ndarray, draws: Draws, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
    """Return images, uint8 (N, H, W, C), after what was drawn for them; `device_augmentation` does it on a GPU."""
    maps, nodes, gains = draws.maps, draws.nodes, draws.gains
    out = np.empty_like(images)
    size = images.shape[2], images.shape[1]  # OpenCV's order: width, height

    def warp(rows: range) -> None:
        moved = None if nodes is None else sources(maps[rows], nodes[rows], size)
        for number, row in enumerate(rows):
            if moved is None:
                image = cv2.warpAffine(images[row], maps[row], size, flags=cv2.INTER_LINEAR, borderMode=border)
            else:
                image = cv2.remap(images[row], *moved[number], cv2.INTER_LINEAR, borderMode=border)
            if gains is not None:
                image = scaled(image, gains[row], (1 - gains[row]) * image.mean())
            out[row] = image.reshape(images.shape[1:])
        if draws.damage:
            part = rows.start // PART
            damage(out[rows.start : rows.stop], draws.damage[part], draws.noise[part])

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV frees the interpreter lock while it warps
        list(pool.map(warp, (range(i, min(i + PART, len(images))) for i in range(0, len(images), PART))))
    return out


def damage(images: np.ndarray, drawn: Damage, noise: np.random.Generator) -> None:
    """Damage those images in place that are hit, each by the kinds that chance picked.

    Args:
        images: uint8 (N, H, W, C).
        drawn: what was drawn for them.
        noise: draws the grain.
    """
    for row in np.flatnonzero(drawn.hit.any(axis=0)):
        image, (pen, square, blur, grain, fading) = images[row], drawn.hit[:, row]
        if pen and drawn.grown[row]:
            image = rewritten(image, drawn.grown[row])
        if square:
            top, left, bottom, right = drawn.square[row]
            image = image.copy()
            image[top:bottom, left:right] = 0
        if blur and drawn.sigma[row]:
            image = cv2.GaussianBlur(image, (0, 0), drawn.sigma[row])
        if grain and drawn.grain[row]:
            spots = noise.standard_normal(images.shape[1:], np.float32) * drawn.grain[row]
            image = np.clip(np.rint(spots + image.reshape(images.shape[1:])), 0, 255).astype(np.uint8)
        if fading and drawn.lost[row]:
            image = scaled(image, 1 - drawn.lost[row], drawn.gray[row])
        images[row] = image.reshape(images.shape[1:])


def rewritten(image: np.ndarray, grown: float) -> np.ndarray:
    """Return a uint8 image (H, W, 1) as a pen would have written it that is broader by `grown` pixels, or finer.

    Strokes change by whole pixels on either side and by the mean of two images between them. What a finer pen would
    lose keeps a third of its ink, so that no dot disappears.
    """
    whole, part = divmod(abs(grown) / 2, 1.0)  # pixels on either side
    steps = []
    for radius in (int(whole), int(whole) + 1):
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        steps.append(cv2.dilate(image, disc) if grown > 0 else np.maximum(cv2.erode(image, disc), image[..., 0] // 3))
    mixed: np.ndarray = cv2.addWeighted(steps[0], 1 - part, steps[1], part, 0)
    return mixed


def scaled(image: np.ndarray, gain: float, offset: float) -> np.ndarray:
    """Return `gain * image + offset` as uint8, rounded and held in 0 to 255."""
    toned: np.ndarray = cv2.addWeighted(image, gain, image, 0, offset)
    return toned


def affine_maps(count: int, shape: tuple[int, int], bounds: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` maps, float64 (count, 2, 3), each source pixel (x, y, 1) -> target pixel, for `shape` (H, W)."""
    height, width = shape
    angle = np.deg2rad(rng.uniform(-bounds.rotation, bounds.rotation, count))
    scale_x, scale_y = 1 + rng.uniform(-bounds.scale, bounds.scale, (2, count))
    if bounds.zoom:  # not drawn otherwise: other recipes draw what they always drew
        scale_x, scale_y = np.stack([scale_x, scale_y]) * (1 + rng.uniform(-bounds.zoom, bounds.zoom, count))
    shear = rng.uniform(-bounds.shear, bounds.shear, count)
    shift = rng.uniform(-bounds.shift, bounds.shift, (2, count)) * [[width], [height]]  # pixels
    cos, sin = np.cos(angle), np.sin(angle)
    # rotation · shear · scale
    linear = np.stack(
        [cos * scale_x, (cos * shear - sin) * scale_y, sin * scale_x, (sin * shear + cos) * scale_y], axis=-1
    ).reshape(count, 2, 2)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    translation = centre + shift.T - linear @ centre
    return np.concatenate([linear, translation[..., None]], axis=2)


def sources(maps: np.ndarray, nodes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the source of each pixel under elastic distortion: that of its affine map, moved like the nearest nodes.

    Args:
        maps: (N, 2, 3), source -> target, as `affine_maps` draws them.
        nodes: (N, 2, GRID, GRID), x and y, fractions of the side, of points spread evenly over the image.
        size: width, height.

    Returns:
        float32 (N, 2, height, width): x and y in pixels.
    """
    width, height = size
    inverse = np.linalg.inv(maps[:, :, :2])
    y, x = np.indices((height, width))
    target = np.stack([x.ravel(), y.ravel()])  # (2, pixels)
    source = (inverse @ (target - maps[:, :, 2:])).reshape(-1, 2, height, width).astype(np.float32)
    bent = spread(height) @ nodes @ spread(width).T
    places: np.ndarray = source + bent * np.array([width, height], np.float32)[:, None, None]
    return places


@functools.cache
def spread(pixels: int) -> np.ndarray:
    """Return weights (pixels, GRID) of cubic interpolation from evenly spread nodes, the first and last at the rim."""
    from scipy.interpolate import CubicSpline  # takes a third of the start of a script

    spline = CubicSpline(np.linspace(0, pixels - 1, GRID), np.eye(GRID))
    weights: np.ndarray = spline(np.arange(pixels)).astype(np.float32)
    return weights
