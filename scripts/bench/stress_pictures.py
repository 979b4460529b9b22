"""Validation glyphs as people photograph them: tight crops, desks, shadows, forms. Seeded, so that runs compare.

A renderer takes glyphs, uint8 (N, H, W, 1) with ink high, and a random generator, and returns uint8 (H, W, 3), RGB.
`SETS` names each renderer and how many glyphs it shows.
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

ZOOM = 7  # pixels of a picture per pixel of the dataset: a digit of 20 is then 140 high
Renderer = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def tight(
    glyphs: np.ndarray, rng: np.random.Generator, margin: float = 0.0, felt: bool = False, dark: bool = False
) -> np.ndarray:
    """One glyph, 200 pixels long, cropped to its ink and a margin that is a share of the longer side."""
    ink = cv2.resize(glyphs[0, ..., 0], None, fx=10, fy=10, interpolation=cv2.INTER_CUBIC)
    if felt:
        ink = cv2.dilate(np.pad(ink, 20), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15)))
    rows, columns = (np.flatnonzero((ink > 127).any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ink = np.pad(ink, round(margin * max(ink.shape)))
    return np.repeat((ink if dark else 255 - ink)[..., None], 3, axis=2)


def row_of(glyphs: np.ndarray, gap: int = 3, border: int = 20) -> np.ndarray:
    """Glyphs side by side as ink, float32 (H, W) in [0, 1], with a border of paper."""
    tiles = [np.pad(glyph[..., 0], ((0, 0), (gap, gap))) for glyph in glyphs]
    row = np.pad(np.hstack(tiles), border)
    return cv2.resize(row, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255


def on_paper(ink: np.ndarray, rng: np.random.Generator, paper: np.ndarray | None = None) -> np.ndarray:
    """Ink of a dark pen on paper, float32 (H, W, 3) in [0, 255]; the paper's tone and the pen's are drawn."""
    tone = rng.uniform(170, 250) * np.array([1, rng.uniform(0.93, 1), rng.uniform(0.8, 1)])
    pen = np.array([(30, 30, 35), (30, 50, 140), (70, 70, 72)][rng.integers(3)], float)
    ground = np.broadcast_to(tone, (*ink.shape, 3)) if paper is None else paper * tone
    return (ground * (1 - ink[..., None]) + np.minimum(pen, ground) * ink[..., None]).astype(np.float32)


def photographed(picture: np.ndarray, rng: np.random.Generator, noise: float = 4.0) -> np.ndarray:
    """Slightly blurred, with a sensor's noise, as uint8."""
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 1.4))
    return (picture + rng.normal(0, noise, picture.shape)).clip(0, 255).astype(np.uint8)


def shadow(glyphs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The edge of a shadow runs across the page at any angle: a hand or a phone between the lamp and the paper."""
    page = on_paper(row_of(glyphs), rng)
    height, width = page.shape[:2]
    angle, where = rng.uniform(0, 2 * np.pi), rng.uniform(-0.25, 0.25)
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height))
    side = np.cos(angle) * x + np.sin(angle) * y - where
    light = 1 - rng.uniform(0.3, 0.6) / (1 + np.exp(-side / rng.uniform(0.004, 0.03)))
    return photographed(page * light[..., None].astype(np.float32), rng)


def vignette(glyphs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Corners down to a quarter of the light, and a lamp at one side."""
    page = on_paper(row_of(glyphs), rng)
    height, width = page.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    light = 1 - rng.uniform(0.4, 0.75) * ((x**2 + y**2) / 2) ** rng.uniform(0.8, 2)
    light *= 1 + rng.uniform(-0.25, 0.25) * x
    return photographed(page * light[..., None].astype(np.float32), rng)


def show_through(glyphs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The back of the page shines through, mirrored, with up to a quarter of the ink's contrast."""
    ink = row_of(glyphs)
    back = cv2.GaussianBlur(np.roll(ink[:, ::-1], int(rng.integers(-40, 40)), axis=0), (0, 0), 3)
    paper = 1 - rng.uniform(0.1, 0.25) * back[..., None]
    return photographed(on_paper(ink, rng, paper), rng)


def ruled(glyphs: np.ndarray, rng: np.random.Generator, squared: bool = False) -> np.ndarray:
    """A notebook's lines or squares, blue, gray or red, 40 to 90 pixels apart and up to half as dark as the ink."""
    ink = row_of(glyphs)
    step, first, broad = int(rng.integers(40, 90)), int(rng.integers(0, 40)), int(rng.integers(2, 5))
    lines = np.zeros(ink.shape, np.float32)
    for at in range(broad):
        lines[first + at :: step] = 1
        if squared:
            lines[:, first + at :: step] = 1
    colour = 1 - rng.uniform(0.15, 0.5) * np.array([(1, 0.7, 0.2), (0.8, 0.8, 0.8), (0.2, 0.9, 0.9)][rng.integers(3)])
    paper = 1 - lines[..., None] * (1 - colour)
    turn = cv2.getRotationMatrix2D((ink.shape[1] / 2, ink.shape[0] / 2), rng.uniform(-2, 2), 1.04)
    paper = cv2.warpAffine(paper, turn, ink.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return photographed(on_paper(ink, rng, paper), rng)


def form(glyphs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One digit in every box of a form; the boxes are printed as dark as the pen or paler."""
    gap, border = 5, 20
    ink = row_of(glyphs, gap, border)
    lines = np.zeros(ink.shape, np.float32)
    side, broad = glyphs.shape[1] + 2 * gap, int(rng.integers(2, 6))
    top, bottom = (border - 3) * ZOOM, ink.shape[0] - (border - 3) * ZOOM
    for index in range(len(glyphs)):
        left = (border + index * side) * ZOOM
        cv2.rectangle(lines, (left, top), (left + side * ZOOM, bottom), 1.0, broad)
    ink = np.maximum(ink, lines * rng.uniform(0.4, 1))
    return photographed(on_paper(ink, rng), rng)


def blackboard(glyphs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chalk on a green or black board that was wiped."""
    ink = row_of(glyphs)
    wiped = cv2.GaussianBlur(rng.normal(0, 60, ink.shape).astype(np.float32), (0, 0), 25)
    board = np.array([(35, 60, 50), (30, 32, 36)][rng.integers(2)], np.float32) + wiped[..., None]
    grains = rng.uniform(0.75, 1, ink.shape)[..., None].astype(np.float32)
    chalk = np.array([235, 235, 225], np.float32) * rng.uniform(0.75, 1)
    share = ink[..., None] * grains
    return photographed(board * (1 - share) + chalk * share, rng)


def desk(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A desk, float32 (H, W, 3): black, gray, colored or grained wood."""
    kind = int(rng.integers(4))
    base = [(25, 25, 28), (110, 112, 115), (40, 90, 120), (130, 90, 55)][kind]
    grain = rng.normal(0, 40, shape).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=30 if kind == 3 else 3, sigmaY=1.2 if kind == 3 else 3)
    return np.array(base, np.float32) * (1 + 2.5 * grain[..., None] / 100)


def sheet_on_desk(glyphs: np.ndarray, rng: np.random.Generator, fill: float | None = None) -> np.ndarray:
    """A sheet that fills 30 to 100% of the frame on any desk, seen from any side."""
    ink = row_of(glyphs, border=10)
    above = max(0, round((0.72 * ink.shape[1] - ink.shape[0]) / 2))
    ink = np.pad(ink, ((above, above), (0, 0)))
    sheet = on_paper(ink, rng)
    fill = rng.uniform(0.3, 1) if fill is None else fill
    height, width = sheet.shape[:2]
    frame = height, width
    ground = desk(frame, rng)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    middle = corners.mean(axis=0)
    scale = float(np.sqrt(fill))
    turn = np.deg2rad(rng.uniform(-12, 12)) * (1.0 if scale < 0.85 else 0.15)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    bent = rng.uniform(-0.06, 0.06, (4, 2)) * (width, height) * (1.0 if scale < 0.85 else 0.2)
    seen = (corners - middle + bent) @ spin.T * scale + np.array(frame[::-1]) / 2
    warp = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    size = frame[::-1]
    placed = cv2.warpPerspective(sheet, warp, size)
    mask = cv2.warpPerspective(np.ones((height, width), np.float32), warp, size)[..., None]
    light = np.linspace(1, rng.uniform(0.6, 1), frame[1], dtype=np.float32)[None, :, None]
    return photographed((placed * mask + ground * (1 - mask)) * light, rng)


SETS: dict[str, tuple[Renderer, int]] = {
    **{f"tight, margin {m}%": (partial(tight, margin=m / 100), 1) for m in (0, 1, 2, 4, 8)},
    **{f"tight, white on black, {m}%": (partial(tight, margin=m / 100, dark=True), 1) for m in (0, 4)},
    **{f"tight, felt pen, {m}%": (partial(tight, margin=m / 100, felt=True), 1) for m in (0, 2, 8)},
    "one on a page with a shadow": (shadow, 1),
    "one in a vignette": (vignette, 1),
    "one with show-through": (show_through, 1),
    "one on ruled paper": (ruled, 1),
    "one on squared paper": (partial(ruled, squared=True), 1),
    "one in a form's box": (form, 1),
    "one on a blackboard": (blackboard, 1),
    "four with a shadow": (shadow, 4),
    "four in a vignette": (vignette, 4),
    "four with show-through": (show_through, 4),
    "four on ruled paper": (ruled, 4),
    "four on squared paper": (partial(ruled, squared=True), 4),
    "four in a form's boxes": (form, 4),
    "four on a blackboard": (blackboard, 4),
    "four on a sheet on a desk": (sheet_on_desk, 4),
}
