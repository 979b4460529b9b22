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

import functools
from pathlib import Path

from leaderboard.submissions.store.base import (
    Admit,
    Broken,
    Damaged,
    Listing,
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
    "Listing",
    "LocalStore",
    "NoSuchSubmission",
    "Store",
    "StoreFailed",
    "Unreadable",
    "describe",
    "now",
    "open_store",
]


def open_store(place: str | None = None, visitors: bool = False) -> Store:
    """Return the store that a place names, or `ZOO_SUBMISSIONS`: a folder, or hf://<namespace>.

    Args:
        place: the name.
        visitors: whether it is for visitors, who wait less long for the Hub; all of them share what is known of it.
    """
    place = place or settings.submissions()
    if not place.startswith(SCHEME):
        return LocalStore(Path(place))
    return _for_visitors(place) if visitors else HubStore(place.removeprefix(SCHEME))


@functools.cache
def _for_visitors(place: str) -> HubStore:
    return HubStore(place.removeprefix(SCHEME), visitors=True)
