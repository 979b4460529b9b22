"""Where submissions are kept: one interface, `Store`, and two places with the same layout.

    requests/<user>/<name>_eval_request_<id>.json   what was sent and what became of it
    requests/files/<sha256>.<kind>                  its content
    results/<network>/<revision>/<dataset>.*        what was measured: a record and predictions
    results/<network>/<revision>/model.onnx         the network that gave them

`LocalStore` has them in a folder, `HubStore` in the datasets `requests` and `results` of a namespace. Every change of
a submission is a pure transition, see `lifecycle`. It is applied to the newest state and written in one step, under a
file lock or as a commit on top of the one that was read (compare-and-swap). So a claim has one winner.

A file that cannot be read is set aside: `Store.broken` says why, and everything else goes on.
"""

from pathlib import Path

from leaderboard.submissions.store.base import (
    Admit,
    Broken,
    Damaged,
    NoSuchSubmission,
    Store,
    StoreFailed,
    Unreadable,
    describe,
    now,
)
from leaderboard.submissions.store.local import LocalStore
from leaderboard.submissions.store.on_hub import HubStore
from zoo import settings

SCHEME = "hf://"

__all__ = [
    "SCHEME",
    "Admit",
    "Broken",
    "Damaged",
    "HubStore",
    "LocalStore",
    "NoSuchSubmission",
    "Store",
    "StoreFailed",
    "Unreadable",
    "describe",
    "now",
    "open_store",
]


def open_store(place: str | None = None) -> Store:
    """Return the store that a place names, or `ZOO_SUBMISSIONS`: a folder, or hf://<namespace>."""
    place = place or settings.submissions()
    return HubStore(place.removeprefix(SCHEME)) if place.startswith(SCHEME) else LocalStore(Path(place))
