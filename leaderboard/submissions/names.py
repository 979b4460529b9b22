"""Whose a network's name on the board is: that of its first sender, until they withdraw everything that has it."""

from leaderboard.submissions.lifecycle import Submission
from leaderboard.submissions.store import Broken, Listing
from zoo.errors import ZooError


def check_name(new: Submission, listing: Listing) -> None:
    """Check that nobody else holds the name of a submission that waits or is about to.

    A receipt that cannot be read holds its name too: only who is signed in, or has the name already, is known to be its
    sender.

    Raises:
        ZooError: another sender holds it, or may hold it.
    """
    if new.refused:
        return
    holders = [other for other in listing.submissions if other.network == new.network and other.withdrawable]
    for other in holders:
        if not new.may_replace(other):
            raise ZooError(
                f"{new.name} is taken by {other.id}, which another sender called {other.user} sent: choose "
                "another name, or send the secret of that receipt along."
            )
    if new.secret and not holders and any(_may_hold(broken, new) for broken in listing.broken):
        raise ZooError(f"{new.name} is taken by a submission whose receipt cannot be read now: choose another name.")


def _may_hold(broken: Broken, new: Submission) -> bool:
    """Whether a file that cannot be read has the name of a submission; a folder may hold every name of its user."""
    user, _, file = broken.path.partition("/")
    return user.lower() == new.owner and file.rpartition("_eval_request_")[0] in ("", new.name)
