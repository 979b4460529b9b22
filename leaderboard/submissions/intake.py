"""The front desk: what a form or an endpoint asks is answered here, at once and in whole sentences."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from leaderboard.submissions import budget, checks, lifecycle
from leaderboard.submissions import store as stores
from leaderboard.submissions.checks import guard, keras_archive, untrusted_json
from leaderboard.submissions.checks.problems import Problem, short
from leaderboard.submissions.lifecycle import FAILED, RUNNING, WITHDRAWN, Submission
from zoo import data
from zoo.errors import UnknownName, ZooError

LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unlicense", "openrail", "other",
)  # fmt: skip
NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
USER = re.compile(r"[A-Za-z0-9][\w.-]{0,41}", re.ASCII)
HUB = re.compile(r"hf://([\w.-]{1,96}/[\w.-]{1,96})(?:@([\w./-]{1,100}))?", re.ASCII)
LONGEST_LINK, LONGEST_DECLARATION = 300, 600
DAY = 24 * 3600  # seconds


@dataclass(frozen=True)
class Limits:
    """What one user, and all of them, may have at a time."""

    open_each: int = 4  # submissions of one user that wait or run
    daily_each: int = 20  # of one user within a day, refused ones too
    open_all: int = 200


LIMITS = Limits()


@dataclass(frozen=True)
class Offer:
    """What a sender says of a submission."""

    name: str = ""
    datasets: tuple[str, ...] = ()
    licence: str = ""
    declaration: str = ""
    paper: str = ""
    claimed: Mapping[str, float] | None = None


def choices() -> list[str]:
    """Return the datasets that a submission can be measured on: those of single characters."""
    return [name for name, spec in data.DATASETS.items() if spec.image_shape is not None]


def submit(
    store: stores.Store,
    user: str,
    offer: Offer,
    file: tuple[str, bytes] | None = None,
    source: str = "",
    limits: Limits = LIMITS,
    clock: Callable[[], float] = stores.now,
) -> Submission:
    """Take a submission in and return its receipt.

    One that static checks refuse gets a receipt too, FAILED with every problem. Equal content for equal datasets is
    recognised: the earlier receipt is returned.

    Args:
        store: where it is kept.
        user: who sends it.
        offer: what is said of it.
        file: name and bytes of what was uploaded.
        source: instead of a file, hf://user/repo@revision.
        limits: what one user may have.
        clock: seconds since 1970.

    Raises:
        ZooError: no name or no file, or too many already: nothing was kept.
    """
    user = checked_user(user)
    offer, problems = checked_offer(offer)
    if not NAME.fullmatch(offer.name):
        raise ZooError(str(_bad_name(offer.name)))  # a receipt needs a name
    if (file is None) == (not source):
        raise ZooError("Send either a file or a repo on the Hub: got " + ("neither." if file is None else "both."))
    now = clock()
    check_limits(store.all(), user, limits, now)  # before a large file is looked at
    filename, content = file if file else _from_hub(source)
    source = source if file is None else "upload"
    if file is None:
        source, filename = filename, "model" + (".keras" if content[:2] == b"PK" else ".onnx")
    checked = guard.check(content, filename, offer.datasets)
    submission = lifecycle.received(
        Submission(
            id=lifecycle.new_id(),
            user=user,
            name=offer.name,
            track=checked.track,
            kind=checked.kind,
            datasets=offer.datasets,
            licence=offer.licence,
            declaration=offer.declaration,
            digest=checked.digest,
            created=now,
            paper=offer.paper,
            claimed=dict(offer.claimed or {}),
            source=source,
            size=len(content),
            parameters=checked.parameters,
            multiply_adds=checked.multiply_adds,
            problems=tuple(problem.to_dict() for problem in (*problems, *checked.problems)),
            notes=checked.notes,
        ),
        now,
    )

    def admit(earlier: list[Submission]) -> Submission | None:
        for other in reversed(earlier):
            if _same(other, submission):
                return other
        check_limits(earlier, user, limits, now)
        for other in earlier:
            if other.user != user and lifecycle.slug(other.user) == lifecycle.slug(user) and other.name == offer.name:
                raise ZooError(f"{offer.name} is taken by {other.user}, whose name is like yours: choose another.")
        return None

    return store.add(submission, None if submission.refused else checked.content, admit)


def _same(earlier: Submission, new: Submission) -> bool:
    """Whether an earlier submission stands for a new one."""
    if (earlier.digest, set(earlier.datasets)) != (new.digest, set(new.datasets)):
        return False
    if new.refused or earlier.refused:
        return earlier.problems == new.problems and earlier.user == new.user
    return earlier.status not in (WITHDRAWN, FAILED) or (earlier.status == FAILED and earlier.user == new.user)


def check_limits(earlier: list[Submission], user: str, limits: Limits, now: float) -> None:
    """Raise ZooError where a user, or everybody, has too many."""
    mine = [s for s in earlier if s.user == user]
    waiting = [s for s in mine if s.open]
    if len(waiting) >= limits.open_each:
        ids = ", ".join(s.id for s in waiting)
        raise ZooError(f"{user} has {len(waiting)} submissions waiting ({ids}): send more when one of them is done.")
    if sum(s.created > now - DAY for s in mine) >= limits.daily_each:
        raise ZooError(f"{user} has sent {limits.daily_each} submissions within a day: send more tomorrow.")
    if sum(s.open for s in earlier) >= limits.open_all:
        raise ZooError(f"The queue is full: {limits.open_all} submissions are waiting. Try again later.")


def checked_user(user: str) -> str:
    """Return a sender's name; ZooError if it can be none."""
    user = (user or "").strip()
    if not USER.fullmatch(user) or ".." in user:
        raise ZooError(f"Say who you are: a name of letters, digits, - and _, not {short(user)}.")
    return user


def checked_offer(offer: Offer) -> tuple[Offer, list[Problem]]:
    """Return what is said of a submission, tidied, and everything that is wrong with it."""
    problems = []

    def found(code: str, what: str, fix: str) -> None:
        problems.append(Problem(code, what, fix))

    known = choices()
    wanted = tuple(dict.fromkeys(map(str, offer.datasets)))
    unknown = [name for name in wanted if name not in known]
    for name in unknown[:5]:
        found("dataset", str(UnknownName("dataset", name[:40], known)), "Choose from the list.")
    wanted = tuple(name for name in wanted if name in known)
    if not wanted and not unknown:
        found("dataset", "No dataset is chosen.", f"Choose one of {', '.join(known)}, or several.")
    licence = str(offer.licence).strip().lower()
    if licence not in LICENCES:
        found("licence", f"The licence is {short(licence)}.", f"Choose one of {', '.join(LICENCES)}.")
        licence = "other"
    declaration = " ".join(str(offer.declaration).split())
    if not declaration:
        found("declaration", "Nothing is said of the training data.", "Say what it was trained on, and what not.")
    if len(declaration) > LONGEST_DECLARATION or not declaration.isprintable():
        found("declaration", "The declaration is too long or not plain text.",
              f"Say it in {LONGEST_DECLARATION} characters.")  # fmt: skip
        declaration = ""
    paper = str(offer.paper or "").strip()
    if paper and not _is_link(paper):
        found("paper", f"The paper is {short(paper)}, not a link.", "Send https://…, or nothing.")
        paper = ""
    claimed: dict = {}
    wrong: dict = {}
    for name, value in (offer.claimed or {}).items():
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1 and name in known
        (claimed if good else wrong)[str(name)[:40]] = value
    for name, value in list(wrong.items())[:5]:
        found("claim", f"The claim for {short(name)} is {short(value)}.", "Claim an accuracy between 0 and 1.")
    return Offer(str(offer.name).strip(), wanted, licence, declaration, paper, claimed), problems


def _bad_name(name: str) -> Problem:
    what = f"The name is {short(name)}."
    return Problem("name", what, "Use 2 to 40 small letters, digits and underscores, a letter first: my_net.")


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and not set(text) & set("\"'<>\\ `")
    return len(text) <= LONGEST_LINK and plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def _from_hub(source: str) -> tuple[str, bytes]:
    """Return where a model on the Hub lies, pinned to a commit, and its bytes."""
    match = HUB.fullmatch(source.strip())
    if not match:
        raise ZooError(f"{short(source)} is no repo on the Hub: expected hf://user/repo or hf://user/repo@revision.")
    repo, revision = match.groups()
    commit, files = stores.fetch_model(repo, revision, checks.MOST_BYTES)
    if len(files) > 1:
        metadata = json.dumps(_keras_version(files["metadata.json"])).encode()
        return f"hf://{repo}@{commit}", keras_archive.pack({**files, "metadata.json": metadata})
    return f"hf://{repo}@{commit}", next(iter(files.values()))


def _keras_version(metadata: bytes) -> dict:
    found = untrusted_json.read(metadata, "metadata.json")
    return {"keras_version": found.get("keras_version") if isinstance(found, dict) else None}


# What becomes of it


def withdraw(store: stores.Store, wanted: str, user: str) -> Submission:
    """Take a submission back, for its sender."""
    return store.change(wanted, lambda s: lifecycle.withdrawn(_own(s, user), stores.now()))


def retry(store: stores.Store, wanted: str, user: str, limits: Limits = LIMITS) -> Submission:
    """Let a failed submission be tried again, for its sender."""
    check_limits([s for s in store.all() if s.open], user, limits, stores.now())
    return store.change(wanted, lambda s: lifecycle.retried(_own(s, user), stores.now()))


def _own(submission: Submission, user: str) -> Submission:
    if submission.user != checked_user(user):
        raise ZooError(f"{submission.id} is {submission.user}'s: only its sender may do that.")
    return submission


SANDBOX_SECONDS = 15.0  # start of a sandbox, conversion and measuring, on two cores


def seconds_of(submission: Submission) -> float:
    """Return about how long a submission takes a worker."""
    if submission.track == checks.WEIGHTS:
        return SANDBOX_SECONDS * len(submission.datasets)
    return sum(budget.training_seconds(submission.multiply_adds or 0, name) for name in submission.datasets)


@dataclass(frozen=True)
class Place:
    """Where a submission is in the queue."""

    submission: Submission
    ahead: int  # submissions that come before it
    wait: float  # seconds until it is done, about


def queue(store: stores.Store) -> list[Place]:
    """Return what runs and waits, in the order in which it is done."""
    waiting = sorted((s for s in store.all() if s.open), key=lambda s: (s.status != RUNNING, s.created))
    places, total = [], 0.0
    for ahead, submission in enumerate(waiting):
        left = 1 - submission.progress if submission.status == RUNNING else 1.0
        total += seconds_of(submission) * left
        places.append(Place(submission, ahead, total))
    return places


def as_json(submission: Submission, places: Sequence[Place] = ()) -> dict:
    """Return a receipt as the endpoints give it: everything but what only workers need."""
    values = submission.to_dict()
    for key in ("worker", "lease", "version", "attempts"):
        values.pop(key)
    place = next((place for place in places if place.submission.id == submission.id), None)
    values["ahead"] = place.ahead if place else None
    values["expected_seconds"] = round(place.wait) if place else None
    return values
