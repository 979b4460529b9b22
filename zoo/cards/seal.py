"""The seal of a card: its last line has the checksum of the text above it.

A card with a valid seal was written by the zoo and may be replaced. A card without a valid seal was edited by a person
and is not overwritten automatically.
"""

import hashlib
import re

_SEAL = re.compile(r"<!-- written by the zoo, sha256 ([0-9a-f]{64}); [^>]*-->\n?\Z")


def sealed(text: str) -> str:
    """Return the card with its seal as the last line."""
    text = text.rstrip("\n") + "\n"
    note = "you can edit it: a changed card is not overwritten automatically"
    return f"{text}\n<!-- written by the zoo, sha256 {_checksum(text)}; {note} -->\n"


def is_sealed(text: str) -> bool:
    """Whether the card is unchanged since the zoo wrote it."""
    text = text.replace("\r\n", "\n")
    match = _SEAL.search(text)
    return match is not None and _checksum(text[: match.start()]) == match[1]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()
