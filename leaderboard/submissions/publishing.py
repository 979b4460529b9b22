"""Publish the store on the board: rows of FINISHED submissions, the newest of each name; none of WITHDRAWN ones.

One damaged result costs its own row and nothing else: its receipt says why, and the other rows are published.
"""

import contextlib
import fcntl
import io
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from leaderboard import results, snapshot
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from leaderboard.submissions import lifecycle
from leaderboard.submissions.lifecycle import FINISHED, WITHDRAWN, Outcome, Submission
from leaderboard.submissions.store import Damaged, Store, StoreFailed, describe
from zoo.errors import ZooError
from zoo.files import remove, replacing

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
        changed, later = False, ""
        wanted = _wanted(store)
        reasons: dict[str, list[str]] = {}
        for (dataset, model), (submission, found) in wanted.items():
            said = reasons.setdefault(submission.id, [])
            try:
                changed |= _put(store, records, dataset, model, submission, found)
            except Damaged as error:
                said.append(f"{error} It can be tried again.")
            except OSError as error:
                later = f"The row of {submission.id} on {dataset} cannot be written now ({describe(error)})."
                said.append(f"Its row on {dataset} cannot be written now ({describe(error)}); it will be later.")
        for submission in store.all():
            if submission.status == WITHDRAWN:
                for dataset, found in submission.results.items():
                    if (dataset, found["model"]) not in wanted:
                        changed |= _take_away(records, dataset, found["model"], submission)
        _note(store, reasons)
        if not snapshot.is_fresh(records):
            snapshot.write(records)
            changed = True
        if later:
            raise StoreFailed(later)
        return changed


def _wanted(store: Store) -> dict[tuple[str, str], tuple[Submission, Outcome]]:
    """Return which submission's result is the row of a dataset and model: the newest of the first one's sender."""
    wanted: dict[tuple[str, str], tuple[Submission, Outcome]] = {}
    for submission in store.all():
        if submission.status == FINISHED:
            for dataset, found in submission.results.items():
                key = dataset, found["model"]
                if key not in wanted or submission.may_replace(wanted[key][0]):
                    wanted[key] = submission, found
    return wanted


def _note(store: Store, reasons: dict[str, list[str]]) -> None:
    """Write on the receipts why rows are not on the board, where that is news."""
    for wanted, said in reasons.items():
        reason = " ".join(said)
        with contextlib.suppress(ZooError):  # the store may be what fails; the next look writes it
            if store.get(wanted).reason != reason:
                store.change(wanted, partial(lifecycle.noted, reason=reason))


def _put(store: Store, records: Path, dataset: str, model: str, submission: Submission, found: Outcome) -> bool:
    """Write one row where it is not there as it was measured; never over a row that is not its sender's own."""
    path = results.path_of(model, dataset, records)
    if path.exists() and isinstance(there := results.read_record(path), Result):
        owner = ((there.submission or {}).get("user") or "").lower()
        same = (there.revision, there.date) == (found["revision"], found["date"])
        if owner != submission.owner or (same and _has_answers(path)):
            return False
    result, answers = _stored(store, dataset, model, submission, found)
    with replacing(path.with_suffix(".npz")) as staged:
        staged.write_bytes(answers)
    results.write(result, folder=records)
    return True


def _has_answers(path: Path) -> bool:
    """Whether a row's answers to the test set can be read."""
    try:
        return bool(len(Predictions.load(path.with_suffix(".npz")).labels))
    except ZooError:
        return False


def _stored(store: Store, dataset: str, model: str, submission: Submission, found: Outcome) -> tuple[Result, bytes]:
    """Return the record and the answers that the store keeps of a measurement; Damaged if they are not whole."""
    record = store.result(found["folder"], f"{dataset}.json")
    answers = store.result(found["folder"], f"{dataset}.npz")
    try:
        result = Result.from_json(record)
        Predictions.load(io.BytesIO(answers), f"{dataset}.npz")
    except ZooError as error:
        raise Damaged(f"Its result on {dataset} is damaged in the store. {error}") from error
    if (result.model, result.dataset) != (model, dataset):
        raise Damaged(f"Its result on {dataset} is that of another network.")
    return result, answers


def _take_away(records: Path, dataset: str, model: str, submission: Submission) -> bool:
    """Remove the row of a submission, damaged or not."""
    path = results.path_of(model, dataset, records)
    there = results.read_record(path) if path.exists() else None
    if there is None:
        return False
    if isinstance(there, Broken):
        own = model == submission.row(dataset)
    else:
        own = (there.submission or {}).get("id") == submission.id
    if own:
        remove(path)
        remove(path.with_suffix(".npz"))
    return own


@contextlib.contextmanager
def _alone(records: Path) -> Iterator[None]:
    """Let one process at a time write the records; where no lock can be made, nothing can be written either."""
    with contextlib.ExitStack() as held:
        try:
            records.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((records / ".lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            log.warning("The board's records cannot be locked: %s", describe(error))
        yield
