"""The leaderboard: networks that read handwriting, all measured in the same way.

    import leaderboard
    leaderboard.submit("net.keras", name="my_net", datasets=["mnist"], licence="mit", declaration="mnist, training set")

Importing this package is cheap: its functions import what they need.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.types import Json


def submit(model: "str | Path", **offer: Any) -> "Json":
    """Submit a network and return its receipt; see `leaderboard.submissions.sending.submit`."""
    from leaderboard.submissions import sending

    return sending.submit(model, **offer)


def submission_status(id: str, **where: str | None) -> "Json":
    """Return the current receipt of a submission; see `leaderboard.submissions.sending.status`."""
    from leaderboard.submissions import sending

    return sending.status(id, **where)
