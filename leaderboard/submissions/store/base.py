"""The interface of stores of submissions, and their errors."""

import functools
import hashlib
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

from leaderboard.schemas import PART
from leaderboard.submissions.lifecycle import ID, Submission, Transition, new_id
from leaderboard.submissions.presence import Witness
from zoo.errors import ZooError
from zoo.regular_files import MOST_JSON

REQUEST = re.compile(f"{PART}/{PART}_eval_request_{ID.pattern}[.]json")  # see `Submission.path`
GAP = 10**9  # receipts that may be missing from a store
ATTENDED = 3  # a worker counts as running if its last sign of life is at most this many intervals old


class NoSuchSubmission(ZooError):
    """An id that no submission has."""

    def __init__(self, wanted: str):
        super().__init__(f"There is no submission {wanted[:40]!r}: an id looks like 20261121-7f3a9c2e.")


class Unreadable(ZooError):
    """A submission whose file is damaged."""

    def __init__(self, wanted: str, reason: str):
        super().__init__(f"Submission {wanted} is set aside because its file is damaged. {reason}")


class StoreFailed(ZooError):
    """The store could not be read or written now; its content is unchanged."""


class Damaged(ZooError):
    """Something in the store is missing or damaged; trying again does not help."""


@dataclass(frozen=True)
class Broken:
    """A file of a submission that cannot be read.

    path: below `requests`.
    id: of the submission, as the file's name has it; "" where it has none.
    reason: what is wrong with it, a sentence.
    """

    path: str
    id: str
    reason: str

    @classmethod
    def at(cls, path: str, error: Exception) -> "Broken":
        """Return what is known of a file at a path below `requests`, and of why it cannot be read."""
        reason = describe(error) if isinstance(error, ZooError) else f"It cannot be read ({describe(error)})."
        return cls(path, Path(path).stem.rpartition("_eval_request_")[2], reason)


@dataclass(frozen=True)
class Listing:
    """Everything that a store has: submissions in their order of arrival, and files that cannot be read."""

    submissions: tuple[Submission, ...] = ()
    broken: tuple[Broken, ...] = ()

    @classmethod
    def of(cls, found: list[Submission | Broken]) -> "Listing":
        """Sort what was found; of several with one id only the first is a submission."""
        in_order = sorted(
            (one for one in found if isinstance(one, Submission)), key=lambda s: (s.number, s.created, s.path)
        )
        submissions: dict[str, Submission] = {}
        broken = [one for one in found if isinstance(one, Broken)]
        for one in in_order:
            if submissions.setdefault(one.id, one) is not one:
                broken.append(Broken(one.path, one.id, "Another submission has its id."))
        return cls(tuple(submissions.values()), tuple(broken))


Admit = Callable[[Listing], Submission | None]  # what is there -> the one that is returned instead; may raise


class Store(ABC):
    """A place of submissions; instances may be shared by threads and processes."""

    lease: ClassVar[float]  # seconds that a silent worker keeps a submission
    progress_every: ClassVar[float]  # seconds between two marks of a worker's progress, at least
    announce_every: ClassVar[float]  # seconds between two signs of life of a worker
    publish_every: ClassVar[float | None]  # seconds between a Space's looks for new rows; None: workers write its board
    _announced: float = -1e9

    @abstractmethod
    def listing(self) -> Listing:
        """Return everything that is there; StoreFailed if nothing can be read."""

    @abstractmethod
    def add(self, submission: Submission, content: bytes | None, admit: Admit) -> Submission:
        """Keep a new submission and its content, or return the earlier one that `admit` names."""

    @abstractmethod
    def change(self, wanted: str, transition: Transition) -> Submission:
        """Apply a transition to the newest state of a submission; what it raises is raised, and nothing is changed."""

    @abstractmethod
    def keep_results(self, folder: str, files: dict[str, bytes]) -> None:
        """Keep the files of a measurement, name -> content; StoreFailed if there is no room for them."""

    @abstractmethod
    def tidy(self) -> None:
        """Remove the files that no receipt needs any more, see `holdings`."""

    @abstractmethod
    def result(self, folder: str, name: str) -> bytes:
        """Return one file of a measurement; Damaged if it is not there."""

    @property
    @abstractmethod
    def usage(self) -> Path:
        """Where this machine counts who asks how often, see `usage.charge`."""

    @abstractmethod
    def _content(self, submission: Submission) -> bytes:
        """Return the kept file of a submission; Damaged if it is not there."""

    @abstractmethod
    def _announce(self) -> None:
        """Leave the time of day as a worker's sign of life."""

    @abstractmethod
    def _last_announced(self) -> float | None:
        """Return when a worker last left a sign of life, seconds since 1970; None if none did."""

    @functools.cached_property
    def witness(self) -> Witness:
        """Since when submissions have stayed the same, as far as this process has looked."""
        return Witness()

    def all(self) -> list[Submission]:
        """Return every submission that can be read, in their order of arrival."""
        return list(self.listing().submissions)

    def broken(self) -> list[Broken]:
        """Return what cannot be read."""
        return list(self.listing().broken)

    def get(self, wanted: str) -> Submission:
        """Return a submission by its id; NoSuchSubmission or Unreadable if there is none."""
        return find(self.listing(), wanted)

    def content(self, submission: Submission) -> bytes:
        """Return what was sent, cleaned; Damaged if it is not there or not what was sent."""
        content = self._content(submission)
        if hashlib.sha256(content).hexdigest() != submission.digest:
            raise Damaged(f"The content of {submission.id} is damaged in the store. Send the network again.")
        return content

    def announce(self) -> None:
        """Let a worker show that it is there; to be called often, it writes every `announce_every` seconds."""
        if time.monotonic() >= self._announced + self.announce_every:
            self._announced = time.monotonic()
            self._announce()

    def takes_more(self) -> bool:
        """Return whether a worker may begin another submission now; not where the store takes few more changes."""
        return True

    def attended(self) -> bool:
        """Whether a worker is there: one left a sign of life, or renews the lease of a submission."""
        last = self._last_announced()
        return last is not None and abs(now() - last) < ATTENDED * self.announce_every


def find(listing: Listing, wanted: str) -> Submission:
    """Return a submission by its id."""
    for submission in listing.submissions:
        if submission.id == wanted:
            return submission
    for broken in listing.broken:
        if broken.id == wanted:
            raise Unreadable(wanted, broken.reason)
    raise NoSuchSubmission(wanted)


def next_version(before: Submission, transition: Transition) -> Submission:
    """Return the next version of a submission; its history only grows."""
    after = transition(before)
    if (after.id, after.user, after.digest) != (before.id, before.user, before.digest):
        raise AssertionError("a transition does not make another submission")
    if after.history[: len(before.history)] != before.history:
        raise AssertionError("the history is only appended to")
    return after if after == before else replace(after, version=before.version + 1)


def arrived(submission: Submission, listing: Listing) -> Submission | None:
    """Return what an attempt before this one has kept of a new submission, though its answer was lost."""
    same = attrgetter("id", "path", "digest", "created", "secret")
    return next((other for other in listing.submissions if same(other) == same(submission)), None)


def numbered(submission: Submission, listing: Listing) -> Submission:
    """Return a new submission with the next number of its store, and another id where its own is taken.

    Clocks may go back, numbers do not. A number far beyond the count of submissions is no order of arrival: it counts
    for nobody else.

    Raises:
        ZooError: its receipt could not be read again.
    """
    earlier = listing.submissions
    numbers = (s.number for s in earlier if s.number <= len(earlier) + GAP)
    new = replace(submission, number=1 + max(numbers, default=0))
    taken = {s.id for s in earlier} | {broken.id for broken in listing.broken}
    while new.id in taken:
        new = replace(new, id=new_id())
    decode(encode(new), new.path)
    return new


def encode(submission: Submission) -> bytes:
    """Return a submission as its file holds it."""
    return (json.dumps(submission.to_dict(), indent=1, ensure_ascii=False) + "\n").encode()


def is_request(path: str) -> bool:
    """Whether a path below `requests` is that of a receipt, or was meant to be."""
    name = path.rpartition("/")[2]
    return not name.startswith(".") and "_eval_request_" in name and name.endswith(".json")


def check_file(path: str, size: int) -> None:
    """Check a file below `requests` before it is fetched; ZooError if it can be no receipt."""
    if not REQUEST.fullmatch(path):
        raise ZooError("Its name is not that of a receipt.")
    if size > MOST_JSON:
        raise ZooError(f"This is not a submission: it has {size:,} bytes; the most is {MOST_JSON:,}.")


def decode(data: bytes, path: str) -> Submission:
    """Return the submission that a file at a path below `requests` holds; ZooError if it holds none, or another."""
    submission = Submission.from_json(data)
    if submission.path != path:
        raise ZooError("It contains another submission than its name says.")
    return submission


def describe(error: Exception) -> str:
    """Describe an error in a few words, without paths of this machine."""
    if isinstance(error, ZooError):
        return str(error)
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__


def now() -> float:
    """Return the time of day, seconds since 1970: for people to read, and for limits by the day."""
    return time.time()
