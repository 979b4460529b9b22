"""Rate limits of calls, checked before any work is done; submissions have separate limits."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from zoo.errors import ZooError
from zoo.gate.callers import Caller
from zoo.settings import number

TOKENS = 10  # that the Hub is asked about for one address within a minute
CHECKING = 6  # seconds that a processor checks files of one address within a minute; a usual one takes less than one
CHANGES = 60  # of submissions, and secrets that are tried for them, by one address within an hour
MEGABYTES = 2000  # that one address uploads within an hour
# Of `ZOO_CALLS_PER_MINUTE`; a sign-in takes two: one to the Hub, one back.
SHARES = {"pages": 0.25, "open pages": 0.25, "answers": 2.0, "files": 10.0, "sign-ins": 0.025}
FILES = 500  # megabytes of the page's own files for one address within a minute; a first visit takes a few
ANY = 10  # requests of any kind and connections, for each call of `ZOO_CALLS_PER_MINUTE`
VALUES = 1000  # in JSON that an address sends, for each call of `ZOO_CALLS_PER_MINUTE`; a sketch has some hundred
FILES_CHECKED = "seconds of checks of files from your address"
MOST_KEYS = 50_000  # callers that are counted at a time


class TooMany(ZooError):
    """More calls than the limit allows.

    seconds: after which one more is allowed.
    """

    def __init__(self, sentence: str, seconds: float = 1.0):
        super().__init__(sentence)
        self.seconds = seconds


@dataclass(frozen=True)
class Rate:
    """A number of calls within a time; all may come at once, and then they are allowed again one by one."""

    most: int
    seconds: float
    what: str

    @property
    def each(self) -> float:
        """Seconds until one more is allowed."""
        return self.seconds / self.most


class Limiter:
    """Counts calls by key with one number a key (the generic cell rate algorithm); thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._due: dict[Hashable, float] = {}  # when the key's calls so far will all have been allowed again
        self._lock = threading.Lock()

    def count(self, key: Hashable, rate: Rate, cost: float = 1.0) -> None:
        """Count a call, or so many of what the rate counts.

        Raises:
            TooMany: it is one too many; it is not counted.
        """
        now = self._clock()
        with self._lock:
            due = max(self._due.get((key, rate.what), now), now) + rate.each * cost
            if due - now > rate.seconds + 1e-9:
                wait = due - now - rate.seconds
                raise TooMany(
                    f"Too many {rate.what}: at most {rate.most:,} within {said(rate.seconds)}. "
                    f"Try again in {said(max(wait, 1))}.",
                    max(wait, 1),
                )
            self._keep(key, rate, due, now)

    def charge(self, key: Hashable, rate: Rate, cost: float) -> None:
        """Count what was done already, also where it is too many."""
        now = self._clock()
        with self._lock:
            due = max(self._due.get((key, rate.what), now), now) + rate.each * cost
            self._keep(key, rate, due, now)

    def _keep(self, key: Hashable, rate: Rate, due: float, now: float) -> None:
        self._due[key, rate.what] = due
        if len(self._due) > MOST_KEYS:
            self._due = {known: then for known, then in self._due.items() if then > now}


def said(seconds: float) -> str:
    """Return a time in words."""
    for unit, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'s' * (count != 1)}"
    return "a second"


LIMITER = Limiter()


def _count(caller: Caller, most: float, seconds: float, what: str, cost: float = 1.0) -> None:
    """Count what a caller sends; `most` of it may come from an address within a time."""
    LIMITER.count(caller.network, _rate(caller, most, seconds, what), cost)


def _rate(caller: Caller, most: float, seconds: float, what: str) -> Rate:
    return Rate(max(1, round(most * caller.share)), seconds, what)


def check_checking(caller: Caller) -> None:
    """Check that a file of a caller may be checked, see `took_checking`.

    Raises:
        TooMany: earlier ones took `CHECKING` seconds within a minute.
    """
    _count(caller, CHECKING, 60.0, FILES_CHECKED, 0.0)


def took_checking(caller: Caller, seconds: float) -> None:
    """Count the processor time that the check of a caller's file took, which nobody knows before."""
    LIMITER.charge(caller.network, _rate(caller, CHECKING, 60.0, FILES_CHECKED), seconds)


def check_any(caller: Caller) -> None:
    """Count a request of an address, whatever it is for and also where it is refused, or a new connection.

    Raises:
        TooMany: there are more than `ANY` for each call that it may make within a minute, of which a sixth may come at
            once.
    """
    _count(caller, ANY * number("ZOO_CALLS_PER_MINUTE") / 6, 10.0, "requests of any kind from your address")


def check_call(caller: Caller) -> None:
    """Count a call from an address; `ZOO_CALLS_PER_MINUTE` sets how many there may be.

    Raises:
        TooMany: there are more.
    """
    _count(caller, number("ZOO_CALLS_PER_MINUTE"), 60.0, "calls from your address")


def check_request(caller: Caller) -> None:
    """Count a request that brings a body, before it is read: a call may take two, one that sends and one that cancels.

    Raises:
        TooMany: there are more than `ZOO_CALLS_PER_MINUTE` allows.
    """
    _count(caller, 2 * number("ZOO_CALLS_PER_MINUTE"), 60.0, "requests from your address")


def check_page(caller: Caller, part: str) -> None:
    """Count a request for a part of a page, one of `SHARES`: what is drawn for it, what says that it is open, a stream
    of answers, a sign-in, or one of its some 60 files.

    Raises:
        TooMany: there are more than `ZOO_CALLS_PER_MINUTE` allows.
    """
    _count(caller, SHARES[part] * number("ZOO_CALLS_PER_MINUTE"), 60.0, f"{part} for your address")


def check_files(caller: Caller, size: int) -> None:
    """Count the bytes of a file of the page that is sent to an address.

    Raises:
        TooMany: more than `FILES` megabytes within a minute.
    """
    _count(caller, FILES, 60.0, "megabytes of files for your address", size / 1e6)


def check_values(caller: Caller, count: int) -> None:
    """Count values of the JSON that an address sends: each is looked at several times, many by the event loop.

    Raises:
        TooMany: more than `VALUES` for each call that it may make within a minute.
    """
    _count(caller, VALUES * number("ZOO_CALLS_PER_MINUTE"), 60.0, "values from your address", count)


def checked_token(caller: Caller, look_up: Callable[[str], str]) -> str:
    """Return whose token a caller sent, as the Hub says: it refuses a Space that asks too often.

    Raises:
        TooMany: their address sent `TOKENS` within a minute that were not known here.
    """
    _count(caller, TOKENS, 60.0, "tokens from your address")
    return look_up(caller.token or "")


def check_change(caller: Caller) -> None:
    """Count a try to change a submission: its secret may be a guess, and a store on the Hub has a quota.

    Raises:
        TooMany: more than `CHANGES` within an hour.
    """
    _count(caller, CHANGES, 3600.0, "changes of submissions from your address")


def check_upload(caller: Caller, size: int) -> None:
    """Count a part of an upload, in bytes, as it arrives.

    Raises:
        TooMany: more than `MEGABYTES` within an hour.
    """
    _count(caller, MEGABYTES, 3600.0, "megabytes from your address", size / 1e6)
