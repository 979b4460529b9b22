"""Views: the inputs that a network gets for one sample, and how their predictions are pooled.

A glyph is seen whole, in one view. A page is seen in patches, or, by an architecture that asks for it, as the
descriptors of its keypoints.
"""

from collections.abc import Callable
from functools import partial

from zoo.pages.keypoints import Keypoints
from zoo.pages.patches import Patches
from zoo.types import Json

View = Patches | Keypoints
KINDS: dict[str, type[View]] = {"patches": Patches, "keypoints": Keypoints}  # as a published folder names them
WINDOW = 24  # pixels, about what a stroke and its neighbors need
VIEWS: dict[str, Callable[[], View]] = {  # as an architecture names them
    **KINDS,
    "keypoints_and_windows": partial(Keypoints, window=WINDOW),
}


def from_dict(values: Json) -> View:
    """Rebuild a view of any kind; an unknown kind raises KeyError, an unknown field TypeError."""
    return KINDS[values["kind"]].from_dict(values)
