"""What agents may read by its address."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """A text with an address.

    uri: its address.
    name: as a list shows it.
    description: one sentence.
    media_type: for example "text/markdown".
    read: returns the text.
    """

    uri: str
    name: str
    description: str
    media_type: str
    read: Callable[[], str]
