"""Publish the store on the board: rows of FINISHED submissions, the newest of each name; none of others that are over.

One damaged result costs its own row and nothing else: its receipt says why, and the other rows are published.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import cast

from leaderboard import results, snapshot
from leaderboard.predictions import Predictions
from leaderboard.results import Result
from leaderboard.submissions import lifecycle
from leaderboard.submissions.holdings import rows
from leaderboard.submissions.lifecycle import FAILED, FINISHED, WITHDRAWN, Outcome, Submission
from leaderboard.submissions.locking import lock
from leaderboard.submissions.store import Damaged, Store, StoreFailed, describe
from zoo.errors import ZooError
from zoo.files import remove, replacing
from zoo.types import Json

log = logging.getLogger(__name__)


def publish(store: Store, records: Path) -> bool:
    """Bring the board's records in line with the store; return whether anything changed.

    Args:
        store: where submissions and their results are.
        records: the board's records.

    Raises:
        StoreFailed: a row could not be written or read now; the others were published.
    """
    with _alone(records):
        submissions = store.all()
        wanted, known = rows(submissions), {submission.id for submission in submissions}
        done = _Rows()
        for submission in submissions:
            if submission.reason:
                done.reasons[submission.id] = []  # which is over where it has no row any more
            if submission.status in (WITHDRAWN, FAILED):
                for dataset in submission.datasets:
                    done.take(submission, dataset, partial(_take_away, records, dataset, submission, wanted))
        for (dataset, _), (submission, found) in wanted.items():
            done.take(submission, dataset, partial(_put, store, records, dataset, submission, found, known))
        _note(store, done.reasons)
        if not snapshot.is_fresh(records):
            snapshot.write(records)
            done.changed = True
        if done.later:
            raise StoreFailed(done.later)
        return done.changed


class _NotItsOwn(ZooError):
    """A row that another sender has, or may have."""


@dataclass
class _Rows:
    """What became of rows, one by one: whatever goes wrong with one is its own receipt's reason, and no other's.

    changed: whether anything on the board changed.
    later: why a row has to wait; "" if none has.
    reasons: by id of a submission, why its rows are not on the board.
    """

    changed: bool = False
    later: str = ""
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def take(self, submission: Submission, dataset: str, step: Callable[[], bool]) -> None:
        """Take a step for the row of a submission on a dataset."""
        said = self.reasons.setdefault(submission.id, [])
        try:
            self.changed |= step()
        except _NotItsOwn as error:
            said.append(str(error))
        except Damaged as error:
            said.append(f"{error} It can be tried again.")
        except (OSError, StoreFailed) as error:
            why = describe(error).rstrip(".")
            self.later = f"The row of {submission.id} on {dataset} cannot be written now ({why})."
            said.append(f"Its row on {dataset} cannot be written now ({why}); it will be later.")
        except Exception as error:  # a mistake of ours with one receipt must not stop the others
            log.exception("The row of %s on %s", submission.id, dataset)
            said.append(f"Its row on {dataset} met an internal error ({type(error).__name__}). It can be tried again.")


def _note(store: Store, reasons: dict[str, list[str]]) -> None:
    """Write on the receipts why rows are not on the board, where that is news; one that is over needs no reason."""
    for wanted, said in reasons.items():
        reason = " ".join(said)
        with contextlib.suppress(ZooError):  # the store may be what fails; the next look writes it
            there = store.get(wanted)
            if there.status == FINISHED and there.reason != reason:
                store.change(wanted, partial(lifecycle.noted, reason=reason))


def _put(
    store: Store, records: Path, dataset: str, submission: Submission, found: Outcome, known: Collection[str]
) -> bool:
    """Write one row where it is not there as it was measured; never over a row that is not its sender's own.

    `rows` chose among the submissions that are known. A row of any other one may be anybody's: only who is signed in is
    known to be its sender.
    """
    model = found["model"]
    path = results.own_path(model, dataset, records)
    if path.exists() and isinstance(there := results.read_record(path), Result):
        named = there.submission or {}
        if (named.get("user") or "").lower() != submission.owner or (
            submission.secret and named.get("id") not in known
        ):
            raise _NotItsOwn(f"Its row on {dataset} would replace one that is not known to be of the same sender.")
        same = (there.revision, there.date) == (found.get("revision"), found.get("date"))
        kept = "folder" in found  # earlier receipts do not say where, so what is on the board is all that there is
        if not kept or (same and _has_answers(path)):
            return False
    result, answers = _stored(store, dataset, model, submission, found)
    result = replace(result, history=_earlier(store, submission, result))
    with replacing(path.with_suffix(".npz")) as staged:
        staged.write_bytes(answers)
    results.write(result, folder=records)
    return True


def _earlier(store: Store, submission: Submission, result: Result) -> list[Json]:
    """Return the summaries of what was measured before for a row, also of what was withdrawn."""
    outcomes = [
        other.results[result.dataset]
        for other in store.all()
        if result.dataset in other.results and submission.may_replace(other)
    ]
    found = [cast(Json, one["summary"]) for one in outcomes if one["model"] == result.model and "summary" in one]
    return sorted((one for one in found if one["date"] < result.date), key=lambda one: str(one["date"]))


def _has_answers(path: Path) -> bool:
    """Whether a row's answers to the test set can be read."""
    try:
        return bool(len(Predictions.load(path.with_suffix(".npz")).labels))
    except ZooError:
        return False


def _stored(store: Store, dataset: str, model: str, submission: Submission, found: Outcome) -> tuple[Result, bytes]:
    """Return the record and the answers that the store keeps of a measurement; Damaged if they are not whole."""
    if "folder" not in found:
        raise Damaged(f"Its result on {dataset} was not kept: its receipt is of an earlier version.")
    record = store.result(found["folder"], f"{dataset}.json")
    answers = store.result(found["folder"], f"{dataset}.npz")
    try:
        result = Result.from_json(record)
        results.checked(result, Predictions.load(io.BytesIO(answers), f"{dataset}.npz"), f"{dataset}.npz")
    except ZooError as error:
        raise Damaged(f"Its result on {dataset} is damaged in the store. {error}") from error
    if (result.model, result.dataset) != (model, dataset):
        raise Damaged(f"Its result on {dataset} is that of another network.")
    if not result.submission or str(result.submission.get("user")).lower() != submission.owner:
        raise Damaged(f"Its result on {dataset} is that of another sender.")
    if result.submission.get("id") != submission.id:
        raise Damaged(f"Its result on {dataset} is that of another submission.")
    return result, answers


def _take_away(records: Path, dataset: str, submission: Submission, wanted: Collection[tuple[str, str]]) -> bool:
    """Remove the row that was measured of a submission that is over; a damaged one if nobody has it any more.

    What the record says counts: a receipt need not have its results any more, and another may have the same row.
    """
    model = submission.row(dataset)
    path = results.own_path(model, dataset, records)
    there = results.read_record(path) if path.exists() else None
    if isinstance(there, Result):
        own = (there.submission or {}).get("id") == submission.id
    else:
        own = there is not None and submission.status == WITHDRAWN and (dataset, model) not in wanted
    if own:
        remove(path)
        remove(path.with_suffix(".npz"))
    return own


@contextlib.contextmanager
def _alone(records: Path) -> Iterator[None]:
    """Let one process at a time write the records; where no lock can be made, nothing can be written either."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(records))
        except TimeoutError as error:
            raise StoreFailed(f"The board cannot be written now: {describe(error)}.") from None
        except OSError as error:
            log.warning("The board's records cannot be locked: %s", describe(error))
        yield
