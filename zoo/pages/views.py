"""Views: the inputs that a network gets for one sample, and how their predictions are pooled.

A glyph is seen whole, in one view. A page is seen in patches, or, by an architecture that asks for it, as the
descriptors of its keypoints.
"""

from collections.abc import Callable
from functools import partial

from zoo.errors import UnknownName, ZooError
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
    """Return the view that `to_dict` wrote; ZooError for an unknown kind or field, or a value that it cannot have."""
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UnknownName("kind of view", str(kind)[:40], KINDS)
    fixed = KINDS[kind]().to_dict()
    fields = {key: value for key, value in values.items() if key not in ("kind", "pooling")}
    if unknown := sorted(set(values) - set(fixed)):
        raise ZooError(f"A view of {kind} has the fields {', '.join(sorted(fixed))}; got {unknown[0]:.40} as well.")
    if values.get("pooling", fixed["pooling"]) != fixed["pooling"]:
        raise ZooError(f"A view of {kind} has the pooling {fixed['pooling']!r}; got {values['pooling']!r:.40}.")
    return KINDS[kind](**fields)
