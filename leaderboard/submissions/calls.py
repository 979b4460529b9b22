"""The calls of a submission, from the API of the Space, from agents and by REST: `/submit`, `/submission_status`, ….

Each is an endpoint behind the gate. The form of the *Submit* tab makes the same transitions.
"""

import contextlib
import itertools
from collections.abc import Iterator

from leaderboard.submissions import intake, sign_in, usage
from leaderboard.submissions.holdings import replaced_by, rows
from leaderboard.submissions.lifecycle import Submission
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.store import Store
from zoo import gate
from zoo.errors import ZooError
from zoo.gate import limits
from zoo.types import Json

MOST_RECEIPTS = 200  # of one call
LEAST_SECRET = 16  # characters; those that are made here have 22


def endpoints(store: Store) -> tuple[gate.Endpoint, ...]:
    """Return the endpoints for the submissions of a store."""

    @gate.endpoint(writes=True)
    def submit(
        name: str,
        datasets: list[str],
        licence: str,
        declaration: str,
        file: gate.Upload | None = None,
        source: str = "",
        paper: str = "",
        claimed: Json | None = None,
        user: str = "",
        secret: str = "",
    ) -> Json:
        """Submit a network to the leaderboard.

        Args:
            name: name of the network on the board: lower-case letters, digits and underscores.
            datasets: names of datasets to measure it on, for example ["mnist"].
            licence: SPDX name, for example "mit".
            declaration: which data it was trained on, and which not.
            file: an uploaded .keras or .onnx file, or a Keras configuration in JSON, which is trained here.
            source: instead of a file, hf://user/repo@revision.
            paper: a link.
            claimed: the accuracy that you claim for each dataset, between 0 and 1.
            user: your name, where there is no sign-in.
            secret: the secret of your earlier submission with the same name, where there is no sign-in.

        Returns:
            The receipt: "id", "status" (PENDING, or FAILED with "problems", each with "what" and "fix"), and the values
            that were sent. The same content for the same datasets returns the earlier receipt. Without sign-in, a new
            receipt has a "secret": keep it, since it is required to withdraw or retry the submission.
        """
        offer = Offer(name, tuple(datasets), licence, declaration, paper, claimed or {})
        key, address = secret_of(secret), gate.caller().sender
        submission = intake.submit(
            store, sign_in.sender(user), offer, content_of(file), source, address=address, secret=key
        )
        known = {"secret": key} if intake.may_change(submission, secret=key) else {}
        return _receipt(store, submission) | known

    @gate.endpoint
    def submission_status(id: str) -> Json:
        """Return the current receipt of a submission: "status", "stage", "progress", "results", "history", ….

        "replaced_by" has the ids of the submissions that have its rows now, by dataset.
        """
        return _receipt(store, store.get(id))

    @gate.endpoint
    def submissions(user: str = "") -> list[Json]:
        """Return receipts, the newest first; with a user, only those of that user."""
        places, all_of_them = intake.queue(store), store.all()
        held, wanted = rows(all_of_them), (s for s in reversed(all_of_them) if user in ("", s.user))
        return [intake.as_json(s, places, replaced_by(s, held)) for s in itertools.islice(wanted, MOST_RECEIPTS)]

    @gate.endpoint(writes=True)
    def withdraw(id: str, secret: str = "") -> Json:
        """Withdraw your submission: it is not measured, or its rows are removed from the board.

        Args:
            id: of the submission.
            secret: the secret of its receipt, where there is no sign-in.
        """
        return intake.as_json(withdrawn(store, id, sign_in.proved(), secret))

    @gate.endpoint(writes=True)
    def retry(id: str, secret: str = "") -> Json:
        """Retry your failed submission.

        Args:
            id: of the submission.
            secret: the secret of its receipt, where there is no sign-in.
        """
        return intake.as_json(retried(store, id, sign_in.proved(), secret))

    return submit, submission_status, submissions, withdraw, retry


def _receipt(store: Store, submission: Submission) -> Json:
    """Return a receipt as programs get it."""
    replaced = replaced_by(submission, rows(store.all()))
    return intake.as_json(submission, intake.queue(store) if submission.open else (), replaced)


def content_of(file: gate.Upload | None) -> tuple[str, bytes] | None:
    """Return name and bytes of an upload; a missing name is guessed from its first bytes."""
    if file is None:
        return None
    content = file.read()
    kinds = ((b"PK", ".keras"), (b"{", ".json"), (b"", ".onnx"))
    return file.name or "model" + next(kind for start, kind in kinds if content.startswith(start)), content


def secret_of(given: str | None) -> str:
    """Return the secret of a submission: "" for a verified user, else the given one or a new one."""
    if sign_in.proved():
        return ""
    secret = (given or "").strip()
    if 0 < len(secret) < LEAST_SECRET:
        raise ZooError(
            f"A secret has at least {LEAST_SECRET} characters; this one has {len(secret)}. Send the secret of an "
            "earlier receipt, or none: then the new receipt has one."
        )
    return secret or intake.new_secret()


def withdrawn(store: Store, id: str, user: str, secret: str) -> Submission:
    """Withdraw a submission on behalf of the caller."""
    with _changing():
        return intake.withdraw(store, id, user, secret)


def retried(store: Store, id: str, user: str, secret: str) -> Submission:
    """Retry a submission; the limit of the caller's address counts."""
    with _changing() as address:
        return intake.retry(store, id, user, secret=secret, address=address)


@contextlib.contextmanager
def _changing() -> Iterator[str]:
    """Count a change, of which an address may try few in an hour and few are made at a time; yield the address."""
    caller = gate.caller()
    limits.check_change(caller)
    with usage.arriving(caller.sender):
        yield caller.sender
