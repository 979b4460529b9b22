"""Names for the types that many modules share."""

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]  # a JSON object, read or about to be written
Facts = Mapping[str, Any]  # the same, only read
Values = dict[Any, Any]  # values or updates of components of a page, by component, as Gradio has them
Shape = tuple[int, int, int]  # height, width and channels of an image
Progress = Callable[[float], None]  # called with the share of the work that is done, 0 to 1
