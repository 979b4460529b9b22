"""What a network's images look like: size, polarity, the box that a glyph is fitted in, its center, its pen.

A network has seen one kind of image only, and `Contract` says which. Each number below was measured on the training
split of its dataset; `tests/test_ink.py` holds what `zoo.ink` draws against the same statistics.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from zoo.errors import ZooError
from zoo.types import Json

FINEST = 0.25  # pixels: a finer pen leaves no ink
LARGEST = 1024  # pixels of a side: the largest networks of pages see 224


def broadest_pen(height: int, width: int) -> float:
    """Return the broadest pen of a box, pixels: half of it, so that a glyph has an inside."""
    return max(2 * FINEST, min(height, width) / 2)


@dataclass(frozen=True)
class Contract:
    """What a network's images look like; stored as `contract` in `preprocessor_config.json`.

    Attributes:
        height, width: size of the image, pixels.
        channels: always 1, gray.
        polarity: always "ink-high": 0 is background, 255 full ink.
        box_height, box_width: the box a glyph is fitted in, pixels.
        aspect: "keep" scales a glyph until it touches the box; "stretch" fills the box both ways.
        centring: what is put on the center: "mass" (of the ink) or "box" (the glyph's bounding box).
        centre_x, centre_y: where it is put, pixels; a glyph moves by whole pixels only.
        scale: "box" where every glyph was scaled to touch the box; "pen" where none was, so that a small letter is
            known by a pen that is broad for it: the box is then that of a typical glyph.
        stroke: typical pen width, pixels. A blob (an Arabic zero) keeps the width it was drawn with, in proportion:
            the datasets scaled the ink itself, so a dot fills the box as a disc.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    polarity: str = "ink-high"
    box_height: int = 20
    box_width: int = 20
    aspect: str = "keep"
    scale: str = "box"
    centring: str = "mass"
    centre_x: float = 14.0
    centre_y: float = 14.0
    stroke: float = 2.25

    def __post_init__(self) -> None:
        for field in ("height", "width"):
            if type(side := getattr(self, field)) is not int or not 1 <= side <= LARGEST:
                raise ZooError(f"A contract's {field} is a whole number of 1 to {LARGEST} pixels; got {side!r:.40}.")
        for field, most in (("centre_x", self.width), ("centre_y", self.height)):
            if type(place := getattr(self, field)) not in (int, float) or not 0 <= place <= most:
                raise ZooError(f"A contract's {field} is 0 to {most} pixels; got {place!r:.40}.")
        expected = {
            "channels": (1,),
            "polarity": ("ink-high",),
            "aspect": ("keep", "stretch"),
            "scale": ("box", "pen"),
            "centring": ("mass", "box"),
            "box_height": range(1, self.height + 1),
            "box_width": range(1, self.width + 1),
        }
        for field, values in expected.items():
            found = getattr(self, field)
            if type(found) is not type(values[0]) or found not in values:
                allowed = f"1 to {values[-1]}" if isinstance(values, range) else " or ".join(map(repr, values))
                raise ZooError(f"A contract's {field} is {allowed}; got {found!r:.40}.")
        broadest = broadest_pen(self.box_height, self.box_width)
        if type(self.stroke) not in (int, float) or not FINEST <= self.stroke <= broadest:
            raise ZooError(f"A contract's stroke is {FINEST} to {broadest:g} pixels; got {self.stroke!r:.40}.")

    def of_pen(self, pen: float) -> "Contract":
        """Return the contract for a glyph whose pen is `pen` pixels broad once it fills the box.

        Half of the difference (as a ratio) is taken for the glyph's size, the other half for the pen's own breadth.
        """
        if self.scale == "box":
            return self
        factor = float(np.clip(np.sqrt(self.stroke / pen), 0.6, 1.2))
        height, width = (max(1, round(side * factor)) for side in (self.box_height, self.box_width))
        return dataclasses.replace(self, box_height=min(height, self.height), box_width=min(width, self.width))

    def to_dict(self) -> Json:
        """Return the contract as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Json) -> "Contract":
        """Return the contract that `to_dict` wrote; ZooError if a field is not one of a contract or has a bad value."""
        fields = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - fields)
        if unknown:
            raise ZooError(f"A contract has the fields {', '.join(sorted(fields))}; got {unknown[0]:.40} as well.")
        return cls(**values)


# 99.98% of the samples have a long side of exactly 20 pixels, all a center of mass within half a pixel of 14, evenly
# spread: they were shifted by whole pixels. Stroke: redrawn middle lines then have the ink fraction of the originals.
MNIST = Contract(stroke=2.25)

# The same with the center of mass on 13 and a finer pen. 99.3% of the samples, and 99.95% of the zeros, fill the box:
# the dot of a zero is as large here as any other digit.
AHDD = Contract(centre_x=13.0, centre_y=13.0, stroke=1.8)

# Cut from forms and never normalized: long sides from 9 to 29 pixels (median 18), centers of mass 2.5 pixels around
# (17, 17). A glyph is given the median of each, its size corrected by its pen.
AHCD = Contract(height=32, width=32, box_height=18, box_width=18, scale="pen", centre_x=17.0, centre_y=17.0, stroke=1.5)

# Counts of ink in 4 x 4 cells of a bitmap that was stretched to 20 x 32 and padded to 32 x 32:
# 5 x 8 cells, half a cell of them on either side, centered by the box.
OPTDIGITS = Contract(
    height=8, width=8, box_height=8, box_width=6, aspect="stretch",
    centring="box", centre_x=3.5, centre_y=3.5, stroke=1.2,
)  # fmt: skip
