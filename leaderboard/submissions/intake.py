"""Intake: answers the requests of the form and the endpoints.

A caller is identified in one of two ways. A signed-in caller has a verified `user`. Others have a `secret` that was
created with the submission: the store keeps only its hash, and whoever knows it may change the submission.
"""

import hashlib
import hmac
import json
import logging
import math
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from leaderboard.submissions import budget, checks, hub_models, lifecycle, usage
from leaderboard.submissions import store as stores
from leaderboard.submissions.checks import guard, keras_archive
from leaderboard.submissions.lifecycle import RUNNING, WITHDRAWN, Submission
from leaderboard.submissions.names import check_name
from leaderboard.submissions.offers import Offer, checked_name, checked_offer, checked_user
from leaderboard.submissions.presence import seen
from zoo.errors import ZooError
from zoo.gate.traffic import check_heard
from zoo.settings import number
from zoo.strict import untrusted_json
from zoo.strict.problems import Problem, short
from zoo.types import Json

log = logging.getLogger(__name__)

HUB = re.compile(r"hf://([\w.-]{1,96}/[\w.-]{1,96})(?:@([\w./-]{1,100}))?", re.ASCII)
DAY = 24 * 3600  # seconds
FORM = ("digest", "name", "licence", "declaration", "paper", "claimed")  # fields in which a repetition is equal
RESERVED = ("handwriting-zoo", "zoo")  # names of users that nobody may take without proof


@dataclass(frozen=True)
class Limits:
    """Limits for one user, one address and all of them together. A retry counts as a submission."""

    open_each: int = 4  # submissions of one user that wait or run
    daily_each: int = 20  # of one user within a day, rejected ones too
    open_all: int = 200
    daily_all: int = 1000  # rejected ones do not count: they take nobody's time


LIMITS = Limits()


def new_secret() -> str:
    """Return a new secret for a submission without sign-in: 22 letters, digits, - and _."""
    return secrets.token_urlsafe(16)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest() if secret else ""


def may_change(submission: Submission, user: str = "", secret: str = "") -> bool:
    """Whether a caller may change a submission; nothing else decides this.

    Args:
        submission: it.
        user: the signed-in user; "" without sign-in.
        secret: the secret that they sent.
    """
    if submission.secret:
        return hmac.compare_digest(submission.secret, _hash(secret))
    return bool(user) and user.lower() == submission.owner


def submit(
    store: stores.Store,
    user: str,
    offer: Offer,
    file: tuple[str, bytes] | None = None,
    source: str = "",
    limits: Limits = LIMITS,
    clock: Callable[[], float] = stores.now,
    address: str = "",
    secret: str = "",
) -> Submission:
    """Accept a submission and return its receipt.

    One that static checks reject gets a receipt too, FAILED with every problem. The same content by the same user for
    the same datasets gets the earlier receipt. The same content by another user is a separate submission that names the
    earlier one.

    Args:
        store: where it is kept.
        user: who sends it.
        offer: the fields of its form.
        file: name and bytes of what was uploaded.
        source: instead of a file, hf://user/repo@revision.
        limits: limits of users and addresses, checked before anything is read.
        clock: seconds since 1970.
        address: where the request comes from, an IP address; "" where there is none.
        secret: of a user who is not signed in: `new_secret()`, or that of an earlier submission of the same name.

    Raises:
        ZooError: no name or no file, or too many already: nothing was kept.
        TooMany: others arrive at the same time.
        Disconnected: the sender has gone, and would never get the receipt.
    """
    user, name, now = checked_user(user), checked_name(offer.name), clock()
    if (file is None) == (not source):
        raise ZooError("Send either a file or a repo on the Hub: got " + ("neither." if file is None else "both."))
    if secret and user.lower() in RESERVED:
        raise ZooError(f"{user} is the name of this board's own networks: choose another.")
    with usage.arriving(address, from_hub=bool(source)):
        earlier = store.all()
        check_limits(earlier, user, limits, now, _hash(secret))
        sender = _charge(store, earlier, address, limits, clock)
        offer, problems = checked_offer(offer)
        content, filename, source = _fetched(file, source)
        checked = guard.check(content, filename, offer.datasets)
        submission = _submission(user, name, offer, checked, problems, now)
        submission = replace(submission, source=source, size=len(content), secret=_hash(secret), sender=sender)
        return _kept(store, lifecycle.received(submission, now), checked.content, limits)


def _submission(
    user: str, name: str, offer: Offer, checked: checks.Checked, problems: Sequence[Problem], now: float
) -> Submission:
    """Return what the form and the static checks say of a submission."""
    return Submission(
        id=lifecycle.new_id(),
        user=user,
        name=name,
        track=checked.track,
        kind=checked.kind,
        datasets=offer.datasets,
        licence=offer.licence,
        declaration=offer.declaration,
        digest=checked.digest,
        created=now,
        paper=offer.paper,
        claimed=dict(offer.claimed or {}),
        parameters=checked.parameters,
        multiply_adds=checked.multiply_adds,
        work=checked.work,
        problems=tuple(problem.to_dict() for problem in (*problems, *checked.problems)),
        notes=checked.notes,
    )


def _fetched(file: tuple[str, bytes] | None, source: str) -> tuple[bytes, str, str]:
    """Return the content, what its file is called, and where it is from."""
    if file is not None:
        return file[1], file[0], "upload"
    source, content = _from_hub(source)
    return content, "model" + (".keras" if content[:2] == b"PK" else ".onnx"), source


def _kept(store: stores.Store, submission: Submission, content: bytes | None, limits: Limits) -> Submission:
    """Store a new submission, or return the earlier one that it repeats; the limits are checked under the lock."""
    now = submission.created

    def admit(listing: stores.Listing) -> Submission | None:
        check_heard()  # as late as can be: whoever has gone gets no secret, and would keep the name
        for other in reversed(listing.submissions):
            if _same(other, submission):
                return other
        check_limits(listing.submissions, submission.user, limits, now, submission.secret)
        check_name(submission, listing)
        return None

    submission = _with_link(submission, store.all())
    return store.add(submission, None if submission.refused else content, admit)


def _with_link(submission: Submission, earlier: list[Submission]) -> Submission:
    """Return a submission with the id of the first one that has the same content and is somebody else's."""
    if submission.refused:
        return submission
    for other in earlier:
        if other.digest == submission.digest and other.owner != submission.owner and other.withdrawable:
            return replace(submission, same_as=other.id)
    return submission


def _same(earlier: Submission, new: Submission) -> bool:
    """Whether an earlier submission stands for a new one: the same sender, content, datasets and form."""
    if (earlier.owner, earlier.secret) != (new.owner, new.secret) or set(earlier.datasets) != set(new.datasets):
        return False  # one that is signed in may replace an earlier one of the name, which may be a stranger's
    if any(getattr(earlier, name) != getattr(new, name) for name in FORM):
        return False
    if new.refused or earlier.refused:
        return earlier.problems == new.problems
    return earlier.status != WITHDRAWN


def _charge(
    store: stores.Store, earlier: list[Submission], address: str, limits: Limits, clock: Callable[[], float]
) -> str:
    """Count a request of an address, and check what workers did for it; return its mark.

    The less is left of what all share, the less one address may take of it. So a few addresses cannot use up
    everybody's queue or day.
    """
    now = clock()
    taken = sum(_starts(s, now, limits) for s in earlier if not s.refused)
    left = 1 - max(sum(s.open for s in earlier) / limits.open_all, taken / limits.daily_all)
    share = max(0.0, left) ** 2
    sender = usage.charge(store.usage, address, math.ceil(number("ZOO_SENDS_PER_DAY") * share), clock)
    if sender:
        _check_work([s for s in earlier if s.sender == sender], 60 * share * number("ZOO_WORKER_MINUTES_PER_DAY"), now)
    return sender


def _check_work(mine: list[Submission], most: float, now: float) -> None:
    """Raise ZooError where workers were busy for a sender, or will be, for `most` seconds within a day."""
    seconds = sum(s.worked(now - DAY, now) + (_length(s) if s.open else 0.0) for s in mine)
    if seconds and seconds >= most:
        raise ZooError(
            f"What your address sent takes workers about {seconds / 60:.0f} minutes of a day; the most is now "
            f"{most / 60:.0f}. Send more later."
        )


def check_limits(earlier: Sequence[Submission], user: str, limits: Limits, now: float, secret: str = "") -> None:
    """Raise ZooError if a user, or all users together, have too many.

    A user who is not signed in is their name and the hash of their secret: nobody uses up the limits of another by
    taking their name. For who takes a new secret each time, the limit of their address counts.
    """
    mine = [s for s in earlier if s.owner == user.lower() and s.secret == secret]
    waiting = [s for s in mine if s.open]
    if len(waiting) >= limits.open_each:
        ids = ", ".join(s.id for s in waiting)
        raise ZooError(f"{user} has {len(waiting)} submissions waiting ({ids}): send more when one of them is done.")
    if sum(_starts(s, now, limits) for s in mine) >= limits.daily_each:
        raise ZooError(
            f"{user} has sent {limits.daily_each} submissions within a day, retries included: send more tomorrow."
        )
    if sum(s.open for s in earlier) >= limits.open_all:
        raise ZooError(f"The queue is full: {limits.open_all} submissions are waiting. Try again later.")
    if sum(_starts(s, now, limits) for s in earlier if not s.refused) >= limits.daily_all:
        raise ZooError(f"{limits.daily_all} submissions arrived within a day, which is the most. Send more tomorrow.")


def _starts(submission: Submission, now: float, limits: Limits) -> int:
    """Return how often work on a submission was asked for within a day, which is at most what one user may."""
    return min(submission.starts(now - DAY, now), limits.daily_each)


def _from_hub(source: str) -> tuple[str, bytes]:
    """Return the address of a model on the Hub, pinned to a commit, and its bytes."""
    match = HUB.fullmatch(source.strip())
    if not match:
        raise ZooError(f"{short(source)} is not a repo on the Hub: expected hf://user/repo or hf://user/repo@revision.")
    repo, revision = match.groups()
    commit, files = hub_models.fetch_model(repo, revision, checks.MOST_BYTES)
    if len(files) > 1:
        metadata = json.dumps(_keras_version(files["metadata.json"])).encode()
        return f"hf://{repo}@{commit}", keras_archive.pack({**files, "metadata.json": metadata})
    return f"hf://{repo}@{commit}", next(iter(files.values()))


def _keras_version(metadata: bytes) -> Json:
    found = untrusted_json.parse(metadata, "metadata.json")
    return {"keras_version": found.get("keras_version") if isinstance(found, dict) else None}


# What becomes of it


def withdraw(store: stores.Store, wanted: str, user: str = "", secret: str = "") -> Submission:
    """Withdraw a submission; see `may_change` for the last two arguments."""

    def transition(s: Submission) -> Submission:
        return lifecycle.withdrawn(_own(s, user, secret), stores.now())

    transition(store.get(wanted))  # by what is known: a store on the Hub has a quota, which a refusal must not take
    return store.change(wanted, transition)


def retry(
    store: stores.Store, wanted: str, user: str = "", limits: Limits = LIMITS, secret: str = "", address: str = ""
) -> Submission:
    """Retry a failed submission; the limits apply as for a new one."""
    now = stores.now()
    lifecycle.retried(_own(store.get(wanted), user, secret), now)  # by what is known, as above
    _charge(store, store.all(), address, limits, stores.now)

    def transition(s: Submission) -> Submission:
        listing = store.listing()
        check_limits(listing.submissions, _own(s, user, secret).user, limits, now, s.secret)
        check_name(s, listing)
        return lifecycle.retried(s, now)

    return store.change(wanted, transition)


def _own(submission: Submission, user: str, secret: str) -> Submission:
    if not may_change(submission, user, secret):
        how = "with the secret of its receipt" if submission.secret else f"signed in as {submission.user}"
        raise ZooError(f"{submission.id} is {submission.user}'s: only its sender may do that, {how}.")
    return submission


def seconds_of(submission: Submission) -> float:
    """Estimate the time that a worker needs for what is not measured yet of a submission, in seconds."""
    if submission.track == checks.WEIGHTS:
        return sum(budget.measuring_seconds(submission.work, name) for name in submission.left)
    return sum(budget.training_seconds(submission.multiply_adds or 0, name) for name in submission.left)


@dataclass(frozen=True)
class Place:
    """Where a submission is in the queue."""

    submission: Submission
    ahead: int  # submissions that come before it
    wait: float | None  # estimated seconds until it is done; None if no worker is running


def in_order(submissions: Iterable[Submission]) -> list[Submission]:
    """Return those that wait or run as workers take them: senders take turns.

    Args:
        submissions: all of a store, in their order of arrival.

    What one sender has in the queue, and what workers did for them before, counts as if it were done one after another
    from when it arrived: a submission comes when that would be done. So one of 15 seconds waits neither for one of
    hours that came shortly before nor for many of one sender, and none waits for ever. Among their own, those of a
    sender come by when each arrived, plus how long it takes.
    """
    busy: dict[str, float] = {}  # by sender: until when they would have had a worker of their own
    waiting: list[tuple[float, float, Submission]] = []  # when it arrived, and how long it takes
    arrived, now = 0.0, stores.now()
    for submission in submissions:
        if submission.created <= now:  # by a clock that was set forward, it says nothing of those after it
            arrived = max(arrived, submission.created)  # a clock may have been set back
        begins = max(arrived, submission.asked(now))
        if submission.open:
            waiting.append((begins, submission.worked(until=now) + _length(submission), submission))
        else:
            busy[_turn(submission)] = max(busy.get(_turn(submission), 0.0), begins) + submission.worked()
    due = {}
    for begins, length, submission in sorted(waiting, key=lambda one: one[0] + one[1]):
        sender = _turn(submission)
        due[submission.id] = busy[sender] = max(busy.get(sender, 0.0), begins) + length
    return sorted((submission for *_, submission in waiting), key=lambda s: due[s.id])


def _turn(submission: Submission) -> str:
    """Return who takes turns: an address, or a user where none is known."""
    return submission.sender or submission.owner


def _length(submission: Submission) -> float:
    """Return the same, but at most what a worker gives it; 0 where it cannot be estimated: a worker takes it soon, and
    its receipt then says why.
    """
    try:
        return min(seconds_of(submission), budget.SEEDS * budget.BUDGET)
    except Exception as error:  # one receipt must not stop the queue
        log.warning("The length of %s cannot be estimated: %s", submission.id, error)
        return 0.0


def queue(store: stores.Store) -> list[Place]:
    """Return running and waiting submissions in processing order, as `presence.seen` shows them."""
    waiting = sorted(in_order(seen(store.all(), store.witness)), key=lambda s: s.status != RUNNING)
    attended = bool(waiting) and store.attended()
    places, total = [], 0.0
    for ahead, submission in enumerate(waiting):
        total += _length(submission)
        if submission.status == RUNNING:  # its progress counts those that are measured too
            left = len(submission.left) / max(len(submission.datasets), 1)
            total -= _length(submission) * max(1 - (1 - submission.progress) / (left or 1), 0)
        places.append(Place(submission, ahead, total if attended else None))
    return places


def as_json(
    submission: Submission, places: Sequence[Place] = (), replaced: Mapping[str, str] = MappingProxyType({})
) -> Json:
    """Return a receipt for the endpoints: everything except what only workers need; see `holdings.replaced_by`."""
    place = next((place for place in places if place.submission.id == submission.id), None) if submission.open else None
    values = (place.submission if place else submission).to_dict()
    for key in ("worker", "lease", "beats", "busy", "version", "attempts", "secret", "sender", "work", "schema"):
        values.pop(key)
    values["replaced_by"] = dict(replaced)
    values["ahead"] = place.ahead if place else None
    values["expected_seconds"] = round(place.wait) if place and place.wait is not None else None
    return values
