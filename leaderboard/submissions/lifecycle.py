"""A submission and its state transitions, which are pure functions.

    PENDING -> RUNNING -> FINISHED            measured, and on the board
                       -> FAILED -> PENDING   with the reason; the sender may retry
    all but rejected ones -> WITHDRAWN        by its sender

A worker holds a submission by a lease that it renews: each renewal makes a new version. Other workers watch the version
with their own monotonic clock. If it does not change for longer than the lease, the holder is gone and the next worker
takes over. The clocks of machines do not have to agree.
"""

import math
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, NotRequired

import orjson
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from leaderboard.schemas import PART, Part, checked_json
from zoo.errors import ZooError
from zoo.strict.problems import Problem, ProblemFields, plain
from zoo.typed_json import CLOSED
from zoo.types import Json

PENDING, RUNNING, FINISHED, FAILED, WITHDRAWN = "PENDING", "RUNNING", "FINISHED", "FAILED", "WITHDRAWN"
STATES = (PENDING, RUNNING, FINISHED, FAILED, WITHDRAWN)
Status = Annotated[str, Field(pattern=f"^({'|'.join(STATES)})$")]
OPEN = (PENDING, RUNNING)
MOST_ATTEMPTS = 3  # workers that may die on one submission before it fails
ID = re.compile("[0-9]{8}-[0-9a-f]{8}")
SCHEMA = 4  # of the fields below; goes up with every change to them, together with a migration
TRIED_AGAIN = "tried again"

# What a receipt may hold, wherever it comes from: a store may be damaged, or written by another program.
Time = Annotated[float, Field(ge=0, le=2.0**33, allow_inf_nan=False)]  # seconds since 1970, up to the year 2242
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Lease = Annotated[float, Field(ge=0, le=3600.0, allow_inf_nan=False)]  # seconds; the longest of a store has 600
MOST_DATASETS = 16  # of a submission
Folder = Annotated[str, Field(pattern=f"^{PART}(/{PART}){{0,3}}$")]
Dataset = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]  # or the beginning of one; "" for none
Id = Annotated[str, Field(pattern=f"^{ID.pattern}$")]
Earlier = Annotated[str, Field(pattern=f"^({ID.pattern})?$")]
Licence = Annotated[str, Field(pattern="^[a-z0-9.+-]{1,64}$")]
Link = Annotated[str, Field(pattern="""^((?i:https?)://[^\\s"'<>\\\\`]{1,300})?$""")]
Source = Annotated[str, Field(pattern=f"^(upload|hf://{PART}/{PART}@{PART})$")]


class NotNow(ZooError):
    """A transition that the submission's state does not allow."""


class Lost(NotNow):
    """The worker has lost the submission: it was withdrawn, or another worker took over."""


class Event(TypedDict):
    """One transition of a submission."""

    at: Time
    status: Status
    note: NotRequired[str]
    seconds: NotRequired[Time]  # that it ran before, where it did: times of day need not tell, clocks are set


class Gap(TypedDict):
    """What `leaderboard.memorization.MemorizationGap` holds."""

    plain: float
    again: float
    gap: float
    excess: float
    flagged: bool


class Summary(TypedDict):
    """What a later row of the same name says of this one, see `leaderboard.results.Result.summary`."""

    date: str
    commit: str | None
    accuracy: Fraction
    macro_f1: Fraction
    seeds: Count
    dataset_fingerprint: str


class Outcome(TypedDict):
    """What was measured on one dataset. Receipts of 2025 and early 2026 lack what is not required."""

    model: Part
    accuracy: Fraction
    revision: NotRequired[str]  # SHA-256 of the ONNX file that was measured
    parameters: NotRequired[Count]
    memorization: NotRequired[Gap]
    folder: NotRequired[Folder]  # of the results in the store
    date: NotRequired[str]
    summary: NotRequired[Summary]


def _from_version_1(values: Json) -> Json:
    """Add what version 2 knows; a lease was a time of day, and is now a length of silence."""
    lease = 120.0 if values.get("status") == RUNNING else 0.0
    return {**values, "schema": 2, "number": 0, "beats": 0, "same_as": "", "secret": "", "lease": lease}


def _from_version_2(values: Json) -> Json:
    """Add what version 3 knows."""
    return {**values, "schema": 3, "sender": "", "work": values.get("multiply_adds") or 0}


def _from_version_3(values: Json) -> Json:
    """Add what version 4 knows."""
    return {**values, "schema": 4, "busy": 0.0}


MIGRATIONS = {
    1: _from_version_1,
    2: _from_version_2,
    3: _from_version_3,
}  # version -> how its values become those of the next version


@dataclass(frozen=True)
class Submission:
    """One submission; plain JSON types, with tuples for lists."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    id: Id
    user: Part
    name: Part  # of the network
    track: Annotated[str, Field(pattern="^(weights|architecture)$")]
    kind: Annotated[str, Field(pattern="^(keras|onnx|json)$")]  # of the file
    datasets: Annotated[tuple[Dataset, ...], Field(max_length=MOST_DATASETS)]
    licence: Licence  # SPDX, in lower case
    declaration: str  # training data, in the sender's words
    digest: Sha256  # SHA-256 of the clean content
    created: Time
    schema: int = SCHEMA
    number: Count = 0  # order of arrival in its store, from 1
    paper: Link = ""  # a link
    claimed: dict[Dataset, Fraction] = field(default_factory=dict)  # accuracy by dataset, claimed by its sender
    source: Source = "upload"  # or hf://repo@commit
    size: Count = 0  # bytes of what was sent
    parameters: Count | None = None
    multiply_adds: Count | None = None  # of one image
    work: Count = 0  # multiply-adds or other operations of one image, about: for the queue; 0: not known
    same_as: Earlier = ""  # id of an earlier submission of the same content by another user
    sender: Sha256 = ""  # mark of the address that it came from (see `usage.charge`); "": not known, or of this machine
    secret: Sha256 = ""  # SHA-256 of what lets its sender change it; "": only its signed-in user may
    problems: tuple[ProblemFields, ...] = ()  # see `problems.Problem`; with any, it was rejected
    notes: tuple[str, ...] = ()
    status: Status = PENDING
    stage: str = ""  # the worker's current step, in words
    progress: Fraction = 0.0  # fraction that is done
    reason: str = ""  # why it failed, is waiting again, or why a row is not on the board
    results: dict[Dataset, Outcome] = field(default_factory=dict)  # by dataset
    worker: str = ""  # the worker that holds the lease
    lease: Lease = 0.0  # seconds of silence after which another worker may take over
    beats: Count = 0  # renewals of the lease
    busy: Time = 0.0  # seconds that the worker has had it at its last renewal, by a clock that is never set
    attempts: Count = 0
    version: Count = 0  # goes up with every change
    history: Annotated[tuple[Event, ...], Field(min_length=1)] = ()  # every transition, oldest first

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", plain(self.reason))  # it may quote what a stranger's network says

    @classmethod
    def from_json(cls, data: bytes) -> "Submission":
        """Rebuild a submission of this or an earlier schema; ZooError if it is invalid."""
        return checked_json(cls, data, "submission", SCHEMA, MIGRATIONS)

    def to_dict(self) -> Json:
        """Return plain JSON types."""
        made: Json = orjson.loads(orjson.dumps(self))  # a hundred times as fast as `dataclasses.asdict`
        return made

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
        """Whether static checks rejected it."""
        return bool(self.problems)

    @property
    def open(self) -> bool:
        """Whether it waits or runs."""
        return self.status in OPEN

    @property
    def retriable(self) -> bool:
        """Whether its sender may retry it: it failed, or its results are damaged."""
        return (self.status == FAILED and not self.refused) or (self.status == FINISHED and bool(self.reason))

    @property
    def withdrawable(self) -> bool:
        """Whether its sender may withdraw it; until then it holds its name."""
        return self.status in (PENDING, RUNNING, FINISHED) or self.retriable

    @property
    def left(self) -> tuple[str, ...]:
        """The datasets that are not measured yet."""
        return tuple(name for name in self.datasets if name not in self.results)

    @property
    def complete(self) -> bool:
        """Whether every dataset is measured."""
        return not self.left

    @property
    def owner(self) -> str:
        """Its owner: user names that differ only in case are the same, as on the Hub."""
        return self.user.lower()

    @property
    def network(self) -> str:
        """Its name on the board without the dataset; two owners, or two names, never share one.

        Neither part can hold a ~, and a dot in the user's name becomes two: so what comes after the last ~ is the
        network's name, and what comes before can be read back.
        """
        return f"{self.owner.replace('.', '~~')}~{self.name}"

    def row(self, dataset: str) -> str:
        """Return its name on the board."""
        return f"{self.network}.{dataset}"

    def may_replace(self, other: "Submission") -> bool:
        """Whether it comes from the sender of another one; a user without a secret is signed in, so proved."""
        return self.owner == other.owner and (not self.secret or self.secret == other.secret)

    def asked(self, until: float) -> float:
        """When work on it was asked for last up to a time, seconds since 1970: when it was sent, or on a retry."""
        retries = (entry["at"] for entry in self.history if entry.get("note") == TRIED_AGAIN)
        return max((at for at in (self.created, *retries) if at <= until), default=0.0)

    def worked(self, since: float = 0.0, until: float = math.inf) -> float:
        """Return for how many seconds of (since, until], seconds since 1970, workers were busy with it.

        What still runs counts up to `until`, and not at all without one.
        """
        spans = []
        for entry, after in zip(self.history, (*self.history[1:], None), strict=True):
            if entry["status"] == RUNNING and (after or until < math.inf):
                seconds = _ran(self, until) if after is None else after.get("seconds", after["at"] - entry["at"])
                spans.append((max(entry["at"], since), min(entry["at"] + seconds, until)))
        return sum(max(end - begin, 0.0) for begin, end in spans)

    def starts(self, since: float, until: float) -> int:
        """Return how often work on it was asked for in (since, until], seconds since 1970: when sent, and on retries.

        What seems to come from the future, because a clock was set back, does not count.
        """
        asked = [e for n, e in enumerate(self.history) if n == 0 or e.get("note") == TRIED_AGAIN]
        return sum(since < entry.get("at", 0.0) <= until for entry in asked)


def new_id() -> str:
    """Return the id of a new submission: the day, and eight random digits."""
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"


# Transitions: each returns the next state, or raises NotNow.

Transition = Callable[[Submission], Submission]


def _ran(s: Submission, now: float) -> float:
    """Return for how many seconds its worker has had it: as long as that worker said, and a lease more at most.

    The time of day tells within these bounds only: a clock that is set, or a machine that slept, is nobody's work.
    """
    return min(max(now - s.history[-1]["at"], s.busy), s.busy + s.lease)


def _step(s: Submission, now: float, status: str, note: str, **changes: Any) -> Submission:
    # Rounded down: a time of the future would not count for the limits (see `Submission.starts`).
    entry = Event(at=math.floor(now * 10) / 10, status=status, note=_short(plain(note)))
    if s.status == RUNNING:
        entry["seconds"] = round(_ran(s, now), 1)
    return replace(s, status=status, history=(*s.history, entry), **changes)


def received(s: Submission, now: float) -> Submission:
    """Create a new submission: PENDING, or FAILED if static checks reject it."""
    if s.refused:
        count = len(s.problems)
        reason = " ".join(str(Problem(**problem)) for problem in s.problems)
        return _step(s, now, FAILED, f"{count} problem{'s' * (count > 1)} found in the file or the form", reason=reason)
    return _step(s, now, PENDING, "received")


def claimable(s: Submission, silent: float = 0.0) -> bool:
    """Whether a worker may take it: it is waiting, or its holder was silent (seconds) for longer than the lease."""
    return s.status == PENDING or (s.status == RUNNING and silent > s.lease)


def claimed(s: Submission, worker: str, now: float, lease: float, silent: float = 0.0) -> Submission:
    """Assign it to a worker, with a lease in seconds; FAILED if too many workers died on it."""
    if not claimable(s, silent):
        raise NotNow(f"{s.id} is {s.status}, so {worker} cannot take it.")
    if s.attempts >= MOST_ATTEMPTS and not s.complete:
        died = f"{MOST_ATTEMPTS} workers died while measuring it. Make it smaller and try again."
        return _step(s, now, FAILED, "given up", reason=s.reason or died, worker="", lease=0.0, stage="")
    note = f"taken by {worker}" if s.status == PENDING else f"taken over by {worker}: no sign of life from {s.worker}"
    return _step(
        s, now, RUNNING, note, worker=worker, lease=lease, attempts=s.attempts + 1, stage="starting", progress=0.0,
        reason="", busy=0.0,
    )  # fmt: skip


def check_held(s: Submission, worker: str) -> None:
    """Raise Lost unless a worker has the lease."""
    if s.status != RUNNING or s.worker != worker:
        raise Lost(f"{s.id} is {s.status}{f' with {s.worker}' * bool(s.worker)}, no longer with {worker}.")


def renewed(s: Submission, worker: str, lease: float, stage: str, progress: float, busy: float = 0.0) -> Submission:
    """Renew a worker's lease and report progress; Lost if the worker no longer has it.

    Args:
        s: the submission.
        worker: who holds it.
        lease: seconds of silence after which another may take over.
        stage: the current step, in words.
        progress: fraction that is done.
        busy: seconds since the worker took it, by a clock that is never set.
    """
    check_held(s, worker)
    return replace(s, lease=lease, beats=s.beats + 1, stage=stage, progress=progress, busy=max(busy, s.busy))


def measured(s: Submission, worker: str, dataset: str, result: Outcome) -> Submission:
    """Note that one dataset is done."""
    check_held(s, worker)
    return replace(s, results={**s.results, dataset: result})


def finished(s: Submission, worker: str, now: float) -> Submission:
    """Finish it successfully."""
    check_held(s, worker)
    note = f"measured on {', '.join(s.datasets)}"
    return _step(s, now, FINISHED, note, worker="", lease=0.0, stage="", progress=1.0, reason="")


def failed(s: Submission, worker: str, now: float, reason: str) -> Submission:
    """Fail it with a reason for its sender."""
    check_held(s, worker)
    return _step(s, now, FAILED, reason, reason=reason, worker="", lease=0.0, stage="")


def released(s: Submission, worker: str, now: float) -> Submission:
    """Return it to the queue because its worker stops or it is another's turn; this does not count as an attempt."""
    check_held(s, worker)
    return _step(s, now, PENDING, f"put back by {worker}", worker="", lease=0.0, stage="", attempts=s.attempts - 1)


def put_back(s: Submission, worker: str, now: float, reason: str) -> Submission:
    """Return it to the queue after a temporary failure; FAILED with the reason after too many attempts."""
    check_held(s, worker)
    status = FAILED if s.attempts >= MOST_ATTEMPTS else PENDING
    reason += " It can be tried again." if status == FAILED else " It will be tried again."
    return _step(s, now, status, reason, reason=reason, worker="", lease=0.0, stage="")


def noted(s: Submission, reason: str) -> Submission:
    """Store why a row of a measured submission is not on the board; "" if all rows are."""
    return replace(s, reason=reason) if s.status == FINISHED else s


def retried(s: Submission, now: float) -> Submission:
    """Retry one that failed or whose results are damaged."""
    if not s.retriable:
        why = "its file must be fixed first: send it again" if s.refused else f"it is {s.status}"
        raise NotNow(f"{s.id} cannot be tried again: {why}.")
    results = {} if s.status == FINISHED else s.results
    return _step(s, now, PENDING, TRIED_AGAIN, reason="", attempts=0, progress=0.0, results=results)


def withdrawn(s: Submission, now: float) -> Submission:
    """Withdraw it: it is not measured, or its rows are removed from the board."""
    if not s.withdrawable:
        raise NotNow(f"{s.id} is {s.status}, so there is nothing to withdraw.")
    return _step(s, now, WITHDRAWN, "by its sender", worker="", lease=0.0, stage="", reason="")


def _short(reason: str) -> str:
    """Return a reason as the history notes it."""
    return reason if len(reason) <= 200 else f"{reason[:199]}…"
