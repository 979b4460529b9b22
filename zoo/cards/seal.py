"""The seal of a card: its last line holds the checksum of what stands above it.

A card whose seal holds was written by the zoo and may be written anew; one whose seal is broken or missing was edited
by a person, and is not overwritten unseen.
"""

import hashlib
import re

_SEAL = re.compile(r"<!-- written by the zoo, sha256 ([0-9a-f]{64}); [^>]*-->\n?\Z")


def sealed(text: str) -> str:
    """Return the card with its seal as the last line."""
    text = text.rstrip("\n") + "\n"
    note = "edit freely: a changed card is not overwritten unseen"
    return f"{text}\n<!-- written by the zoo, sha256 {_checksum(text)}; {note} -->\n"


def is_sealed(text: str) -> bool:
    """Whether the card is as the zoo wrote it."""
    text = text.replace("\r\n", "\n")
    match = _SEAL.search(text)
    return match is not None and _checksum(text[: match.start()]) == match[1]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()
