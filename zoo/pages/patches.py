"""A page seen in square patches along strips of it: the same patches train, validate and serve.

The answers to the patches of a page are pooled by their mean.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import cv2
import numpy as np

from zoo.errors import DataError, InkError, ZooError
from zoo.pages.fields import check_bounds
from zoo.types import Json

MOST_PIXELS = 2400 * 2400  # of a page that was enlarged
SEED = 70  # of the patches that are drawn at random where one page is to be read: the same answer every time


@dataclass(frozen=True)
class Patches:
    """Square patches along horizontal strips of a page."""

    side: int = 300  # pixels: height of a strip, height and width of a patch
    step: int = 80  # pixels from one strip of a training page to the next
    held_out: int = 2  # last strips of a training page: validation (they share rows with those before, as documented)
    held_out_patches: int = 4  # even ones of each such strip
    clip: float = 2.0  # limit of the contrast that CLAHE (Zuiderveld, 1994) gives
    tiles: int = 8  # its tiles across and down
    blur: int = 3  # pixels: side of the Gaussian's window
    even: int = 15  # patches of a strip, evenly spaced, that a page is read by
    random: int = 20  # and such at random places

    BOUNDS: ClassVar = {
        "side": range(8, 1025),
        "step": range(1, 10_001),
        "held_out": range(1, 101),
        "held_out_patches": range(1, 101),
        "tiles": range(1, 65),
        "blur": range(1, 32, 2),
        "even": range(1, 101),
        "random": range(101),
    }

    def __post_init__(self) -> None:
        check_bounds(self, self.BOUNDS)
        if type(self.clip) not in (int, float) or not 0 < self.clip <= 100:
            raise ZooError(f"A view's clip is more than 0 and at most 100; got {self.clip!r:.40}.")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a view."""
        return self.side, self.side, 1

    def to_dict(self) -> Json:
        """Return plain JSON types; `views.from_dict` reads them back."""
        return {"kind": "patches", "pooling": "mean", **asdict(self)}

    # What trains

    def training_strips(self, pages: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Return, page by page, the strips that train."""
        return [self._strips(page)[: -self.held_out] for page in pages]

    def draw(
        self, strips: list[list[np.ndarray]], labels: np.ndarray, count: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `count` patches at random, uint8 (count, side, side, 1), every page as likely, and their labels."""
        patches = np.empty((count, *self.input_shape), np.uint8)
        chosen = rng.integers(len(strips), size=count)
        for patch, page in zip(patches, chosen, strict=True):
            strip = strips[page][rng.integers(len(strips[page]))]
            left = rng.integers(strip.shape[1] - self.side + 1)
            patch[..., 0] = strip[:, left : left + self.side]
        return patches, labels[chosen]

    def validation(self, pages: Sequence[np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return even patches of the held-out strips, uint8 (N, side, side, 1), and their labels (N,)."""
        per_page = self.held_out * self.held_out_patches
        strips = [strip for page in pages for strip in self._strips(page)[-self.held_out :]]
        return np.concatenate([self._even(s, self.held_out_patches) for s in strips]), np.repeat(labels, per_page)

    # What serves

    def views(self, page: np.ndarray) -> np.ndarray:
        """Return the patches that a page or a strip of one is read by: of its top and of its bottom strip.

        Args:
            page: uint8 (H, W) or (H, W, 1), dark ink on light paper, any size; a lower one than `side` is enlarged.

        Returns:
            uint8 (2 * (even + random), side, side, 1).

        Raises:
            InkError: it is too thin a strip to be enlarged.
        """
        page = self._prepared(page)
        rng = np.random.default_rng(SEED)
        found = []
        for strip in (page[: self.side], page[-self.side :]):
            lefts = rng.integers(strip.shape[1] - self.side + 1, size=self.random)
            at_random = [strip[:, left : left + self.side, None] for left in lefts]
            found += [*self._even(strip, self.even), *at_random]
        return np.stack(found)

    def pool(self, probabilities: np.ndarray) -> np.ndarray:
        """Return one answer, float32 (classes,), from that to every view, float32 (views, classes): the mean."""
        answer: np.ndarray = probabilities.mean(axis=0)
        return answer

    # A page's parts

    def _prepared(self, page: np.ndarray) -> np.ndarray:
        """Return the page with even contrast, slightly blurred, at least `side` pixels in height and width."""
        height, width = page.shape[:2]
        page = page.reshape(height, width)
        scale = max(self.side / height, self.side / width, 1.0)
        if scale > 1:
            if height * width * scale**2 > MOST_PIXELS:
                most = MOST_PIXELS // self.side**2
                raise InkError(
                    f"A strip of a page is at most {most} times as long as wide; this one is {width} x {height}."
                )
            page = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            page = page[: max(self.side, page.shape[0]), : max(self.side, page.shape[1])]
        page = cv2.createCLAHE(clipLimit=self.clip, tileGridSize=(self.tiles, self.tiles)).apply(page)
        blurred: np.ndarray = cv2.GaussianBlur(page, (self.blur, self.blur), 0)
        return blurred

    def _strips(self, page: np.ndarray) -> list[np.ndarray]:
        """Return the strips of a training page, top to bottom."""
        prepared = self._prepared(page)
        tops = range(0, len(prepared) - self.side + 1, self.step)
        if len(tops) <= self.held_out:
            needed = self.side + self.held_out * self.step
            raise DataError(
                f"A page of {len(prepared)} pixels in height is too short: training needs at least {needed}."
            )
        return [prepared[top : top + self.side] for top in tops]

    def _even(self, strip: np.ndarray, count: int) -> np.ndarray:
        lefts = np.linspace(0, strip.shape[1] - self.side, count).round().astype(int)
        return np.stack([strip[:, left : left + self.side, None] for left in lefts])
