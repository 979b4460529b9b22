"""A submission: what was sent, what became of it, and every step between; transitions are pure functions.

    PENDING -> RUNNING -> FINISHED            measured, and on the board
                       -> FAILED -> PENDING   why, in a sentence; the sender may let it be tried again
    PENDING, RUNNING, FINISHED -> WITHDRAWN   by its sender

A worker holds a submission by a lease that it renews. One that dies renews nothing, so the next one takes it over.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime

from leaderboard.submissions.checks.problems import Problem
from zoo.errors import ZooError

PENDING, RUNNING, FINISHED, FAILED, WITHDRAWN = "PENDING", "RUNNING", "FINISHED", "FAILED", "WITHDRAWN"
OPEN = (PENDING, RUNNING)
MOST_ATTEMPTS = 3  # workers that may die over one submission before it is given up
ID = re.compile(r"\d{8}-[0-9a-f]{8}")


class NotNow(ZooError):
    """A transition that the submission's state does not allow."""


class Lost(NotNow):
    """The submission is no longer this worker's: it was withdrawn, or another one took it over."""


@dataclass(frozen=True)
class Submission:
    """One submission; plain JSON types but for tuples."""

    id: str
    user: str
    name: str  # of the network
    track: str  # "weights" or "architecture"
    kind: str  # of the file: "keras", "onnx" or "json"
    datasets: tuple[str, ...]
    licence: str  # SPDX, in lower case
    declaration: str  # what it was trained on, in the sender's words
    digest: str  # SHA-256 of the clean content: equal content is one submission
    created: float  # seconds since 1970
    paper: str = ""  # a link
    claimed: dict[str, float] = field(default_factory=dict)  # accuracy in [0, 1] by dataset, as its sender states it
    source: str = "upload"  # or hf://repo@commit
    size: int = 0  # bytes of what was sent
    parameters: int | None = None
    multiply_adds: int | None = None  # of one image
    problems: tuple[dict[str, str], ...] = ()  # see `problems.Problem`; with any, it was refused
    notes: tuple[str, ...] = ()
    status: str = PENDING
    stage: str = ""  # what the worker is doing, in words
    progress: float = 0.0  # share of the whole that is done
    reason: str = ""  # why it failed
    results: dict[str, dict] = field(default_factory=dict)  # by dataset: model, accuracy, revision
    worker: str = ""  # who holds the lease
    lease: float = 0.0  # until when, seconds since 1970
    attempts: int = 0
    version: int = 0  # goes up with every change
    history: tuple[dict, ...] = ()  # every transition, oldest first: at, status, note

    @classmethod
    def from_dict(cls, values: dict) -> "Submission":
        """Rebuild a submission; ZooError if it is not one."""
        if not isinstance(values, dict) or not {f.name for f in fields(cls)} == set(values):
            raise ZooError("This is not a submission: its fields are others.")
        for key in ("datasets", "problems", "notes", "history"):
            values = {**values, key: tuple(values[key])}
        return cls(**values)

    def to_dict(self) -> dict:
        """Return plain JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def path(self) -> str:
        """Where its request is kept, as boards on the Hub have it."""
        return f"{self.user}/{self.name}_eval_request_{self.id}.json"

    @property
    def file(self) -> str:
        """Where its content is kept."""
        return f"files/{self.digest}.{self.kind}"

    @property
    def refused(self) -> bool:
        """Whether static checks found it wanting."""
        return bool(self.problems)

    @property
    def open(self) -> bool:
        """Whether it waits or runs."""
        return self.status in OPEN

    def row(self, dataset: str) -> str:
        """Return its name on the board."""
        return f"{slug(self.user)}__{self.name}.{dataset}"


def slug(user: str) -> str:
    """Return a user's name as a part of a model's: letters, digits and underscores."""
    return re.sub(r"\W", "_", user.lower(), flags=re.ASCII)


def new_id() -> str:
    """Return the id of a new submission: the day, and eight random digits."""
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"


# Transitions: each returns the next state, or raises NotNow.

Transition = Callable[[Submission], Submission]


def _step(s: Submission, now: float, status: str, note: str, **changes) -> Submission:
    entry = {"at": round(now, 1), "status": status, "note": note}
    return replace(s, status=status, history=(*s.history, entry), **changes)


def received(s: Submission, now: float) -> Submission:
    """Take a new submission in: PENDING, or FAILED at once where static checks refuse it."""
    if s.refused:
        count = len(s.problems)
        reason = " ".join(str(Problem(**problem)) for problem in s.problems)
        return _step(s, now, FAILED, f"refused: {count} problem{'s' * (count > 1)}", reason=reason)
    return _step(s, now, PENDING, "received")


def claimable(s: Submission, now: float) -> bool:
    """Whether a worker may take it: it waits, or whoever held it let the lease run out."""
    return s.status == PENDING or (s.status == RUNNING and s.lease < now)


def claimed(s: Submission, worker: str, now: float, seconds: float) -> Submission:
    """Give it to a worker for so many seconds; FAILED if too many have died over it."""
    if not claimable(s, now):
        raise NotNow(f"{s.id} is {s.status}, so {worker} cannot take it.")
    if s.attempts >= MOST_ATTEMPTS:
        reason = f"{MOST_ATTEMPTS} workers died while measuring it, so it was given up. Make it smaller and try again."
        return _step(s, now, FAILED, "given up", reason=reason, worker="", lease=0.0)
    note = f"taken by {worker}" if s.status == PENDING else f"taken over by {worker}: {s.worker} fell silent"
    return _step(
        s, now, RUNNING, note, worker=worker, lease=now + seconds, attempts=s.attempts + 1, stage="starting",
        progress=0.0,
    )  # fmt: skip


def _held(s: Submission, worker: str) -> None:
    if s.status != RUNNING or s.worker != worker:
        raise Lost(f"{s.id} is {s.status}{f' with {s.worker}' * bool(s.worker)}, no longer with {worker}.")


def renewed(s: Submission, worker: str, now: float, seconds: float, stage: str, progress: float) -> Submission:
    """Prolong a worker's lease and tell how far it is; Lost if it is no longer the worker's."""
    _held(s, worker)
    return replace(s, lease=now + seconds, stage=stage, progress=progress)


def measured(s: Submission, worker: str, dataset: str, result: dict) -> Submission:
    """Note that one dataset is done."""
    _held(s, worker)
    return replace(s, results={**s.results, dataset: result})


def finished(s: Submission, worker: str, now: float) -> Submission:
    """End it well."""
    _held(s, worker)
    return _step(s, now, FINISHED, "on the board", worker="", lease=0.0, stage="", progress=1.0)


def failed(s: Submission, worker: str, now: float, reason: str) -> Submission:
    """End it with a reason that its sender can read."""
    _held(s, worker)
    return _step(s, now, FAILED, "failed", reason=reason, worker="", lease=0.0, stage="")


def released(s: Submission, worker: str, now: float) -> Submission:
    """Put it back because its worker stops; that is no attempt."""
    _held(s, worker)
    return _step(s, now, PENDING, f"put back by {worker}", worker="", lease=0.0, stage="", attempts=s.attempts - 1)


def retried(s: Submission, now: float) -> Submission:
    """Let a failed one be tried again."""
    if s.status != FAILED or s.refused:
        why = "its file has to change first: send it anew" if s.refused else f"it is {s.status}"
        raise NotNow(f"{s.id} cannot be tried again: {why}.")
    return _step(s, now, PENDING, "tried again", reason="", attempts=0, progress=0.0)


def withdrawn(s: Submission, now: float) -> Submission:
    """Take it back: it is not measured, and leaves the board if it was."""
    if s.status not in (PENDING, RUNNING, FINISHED):
        raise NotNow(f"{s.id} is {s.status}, so there is nothing to withdraw.")
    return _step(s, now, WITHDRAWN, "by its sender", worker="", lease=0.0, stage="")
