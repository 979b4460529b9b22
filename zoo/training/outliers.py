"""Images that are none of the classes, made of the training images and of nothing else.

A network that is to know what it does not know has to see such images while it learns (Hendrycks, Mazeika and
Dietterich, 2019, "Deep anomaly detection with outlier exposure"). No class is more likely than another for them.
"""

import cv2
import numpy as np

SUB = 4  # sub-pixels a pixel, each way, when strokes are drawn


def outliers(images: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Make images of no class: a third each of scribbles, of pairs and of pieces put together.

    Args:
        images: uint8 (N, H, W, 1), the glyphs that pairs and pieces are made of.
        labels: int (N,), their classes: a pair is of two.
        count: how many to make.
        rng: decides everything.

    Returns:
        uint8 (count, H, W, 1).
    """
    height, width = images.shape[1:3]
    out = np.empty((count, height, width, 1), np.uint8)
    rows = rng.integers(0, len(images), (count, 4))
    for number in range(count):
        some = images[rows[number], ..., 0]
        match number % 3:
            case 0:
                image = scribble(height, width, rng)
            case 1:
                image = pair(some[0], some[1], rng) if len(set(labels[rows[number, :2]])) == 2 else assembled(some, rng)
            case _:
                image = assembled(some, rng)
        out[number, ..., 0] = image
    return out


def scribble(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one long wavering stroke or several short ones across the middle of an image; uint8 (height, width)."""
    canvas = np.zeros((height * SUB, width * SUB), np.uint8)
    strokes = int(rng.integers(1, 6))
    pen = max(1, round(rng.uniform(1.5, 3.2) / 28 * height * SUB))
    for _ in range(strokes):
        turns = int(rng.integers(6, 12) if strokes == 1 else rng.integers(2, 9 - strokes))
        points = rng.uniform(0.14, 0.86, (turns, 2)) * [width * SUB, height * SUB]
        if rng.random() < 0.7:
            points = _smooth(points)
        cv2.polylines(canvas, [np.rint(points).astype(np.int32)], False, 255, pen, cv2.LINE_AA)
    drawn: np.ndarray = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return drawn


def pair(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put two glyphs (H, W) of different classes into one image, side by side or one below the other."""
    height, width = first.shape
    side_by_side = rng.random() < 0.5
    share = rng.uniform(0.5, 0.65)  # of the side that each takes: they touch or overlap a little
    size = (round(width * share), height) if side_by_side else (width, round(height * share))
    out = np.zeros_like(first)
    for glyph, at_end in ((first, False), (second, True)):
        small = cv2.resize(glyph, size, interpolation=cv2.INTER_AREA)
        y, x = (height - size[1], width - size[0]) if at_end else (0, 0)
        part = out[y : y + size[1], x : x + size[0]]
        np.maximum(part, small, out=part)
    return out


def assembled(glyphs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put pieces of two or three glyphs (N, H, W) together, each cut by a line, turned, made smaller and moved."""
    height, width = glyphs.shape[1:]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    y, x = np.indices((height, width))
    out = np.zeros((height, width), np.uint8)
    for glyph in glyphs[: rng.integers(2, 4)]:
        cut, turned = rng.uniform(0, 2 * np.pi, 2)
        piece = np.where((x - centre[0]) * np.cos(cut) + (y - centre[1]) * np.sin(cut) > -0.1 * height, glyph, 0)
        turn = cv2.getRotationMatrix2D(tuple(centre), np.rad2deg(turned), rng.uniform(0.6, 1.1))
        turn[:, 2] += rng.uniform(-0.15, 0.15, 2) * [width, height]
        np.maximum(out, cv2.warpAffine(piece.astype(np.uint8), turn, (width, height)), out=out)
    return out


def _smooth(points: np.ndarray) -> np.ndarray:
    """Return a smooth curve (M, 2) through points (N, 2): a Catmull-Rom spline."""
    padded = np.concatenate([points[:1], points, points[-1:]])
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, 12)[:, None, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    smooth: np.ndarray = curve.transpose(1, 0, 2).reshape(-1, 2)
    return smooth
