"""The image contract: any picture or sketch becomes what a network was trained on.

Coordinates: x runs right, y runs down, in pixels; whole numbers are pixel centers, so the middle of a 28-pixel row is
13.5. Images are uint8, shape (height, width, 1), 0 background, 255 full ink.
"""

from zoo.errors import Blank, InkError
from zoo.ink.contract import AHCD, AHDD, MNIST, OPTDIGITS, Contract
from zoo.ink.placing import MAX_POINTS, PEN, SCALE, from_ink, from_picture, from_strokes, pen_width

__all__ = [
    "AHCD",
    "AHDD",
    "MAX_POINTS",
    "MNIST",
    "OPTDIGITS",
    "PEN",
    "SCALE",
    "Blank",
    "Contract",
    "InkError",
    "from_ink",
    "from_picture",
    "from_strokes",
    "pen_width",
]
