"""What requests hold while they are open, by address and in all: connections, bytes of their bodies, and time.

`admitted` stands in front of every HTTP route, also of the REST API. It sees the requests that a server has begun to
answer. Connections that send none are ended by `zoo.gate.connections`.
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import anyio

from zoo.errors import ZooError
from zoo.gate.callers import Caller, caller, entered, listening
from zoo.gate.limits import TooMany, said

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

GRACE = 15.0  # seconds that a body may take to arrive, and
SLOWEST = 20_000  # bytes that must arrive in each second more, and
LONGEST = 600.0  # seconds in all
SMALL = 65_536  # bytes of a body that do not count, so that a short one is taken where long ones take all there is
UNREAD = 60.0  # seconds in which a client must accept an answer, and one more for each `SLOWEST` bytes of it
PART = 65_536  # bytes of an answer that are handed to the server at a time: it keeps what the client does not accept
SHARE = 4  # of what others leave, one address may have the fourth part


class Disconnected(ZooError):
    """A client that went away before its request was complete, or before it was answered."""

    def __init__(self) -> None:
        super().__init__("Whoever sent this request has gone.")


def check_heard() -> None:
    """Raise Disconnected where the caller of what runs now has gone, as far as that is known."""
    if not listening():
        raise Disconnected()


class TooSlow(ZooError):
    """A request whose body arrives more slowly than `SLOWEST`."""


def left_for_one(in_all: float, others: float) -> float:
    """Return how much one address may have of what is there in all, where others have so much of it."""
    return (in_all - others) / SHARE


def may_take_one(own: int, busy: int, places: float) -> bool:
    """Return whether an address that has `own` of the `busy` places may take one more: its share, and always one."""
    return own + 1 <= max(1, left_for_one(places, busy - own))


class Share:
    """Counts what is in use at a time, by address and in all; thread-safe.

    An address has at most `each`, and at most the fourth part of what others leave: the fuller, the less, so that a few
    addresses leave something to the next one.

    Args:
        what: it is, as a sentence names it.
        each: of one address.
        in_all: of all addresses together.
        least: an address may have so much as long as there is room at all.
    """

    def __init__(self, what: str, each: int, in_all: int, least: int = 1):
        self.what, self.each, self.in_all, self.least = what, each, in_all, least
        self._used: Counter[str] = Counter()
        self._sum = 0
        self._lock = threading.Lock()

    def take(self, network: str, amount: int = 1) -> None:
        """Count an amount.

        Raises:
            TooMany: the address, or all together, use too much already; it is not counted.
        """
        with self._lock:
            if self._used[network] + amount > self.each:
                raise TooMany(f"Too many {self.what} from your address at the same time: at most {self.each:,}.")
            others = self._sum - self._used[network]
            most = max(left_for_one(self.in_all, others), self.least)
            if self._used[network] + amount > most or self._sum + amount > self.in_all:
                raise TooMany(f"The server is busy: too many {self.what} at the same time. Try again in a second.")
            self._used[network] += amount
            self._sum += amount

    def give(self, network: str, amount: int = 1) -> None:
        """Give an amount back."""
        with self._lock:
            self._sum -= amount
            self._used[network] -= amount
            if not self._used[network]:
                del self._used[network]

    @contextlib.contextmanager
    def taken(self, network: str, amount: int = 1) -> Iterator[None]:
        """Count an amount while a block runs; TooMany as `take`."""
        self.take(network, amount)
        try:
            yield
        finally:
            self.give(network, amount)


class Spent:
    """Counts what was used within a time, by address and in all; thread-safe.

    An address has at most the fourth part of what others leave, and always one as long as there is any.

    Args:
        what: it is, as a sentence names it.
        in_all: of all addresses together.
        seconds: within which it counts.
    """

    def __init__(self, what: str, in_all: int, seconds: float):
        self.what, self.in_all, self.seconds = what, in_all, seconds
        self._used: deque[tuple[float, str]] = deque()  # when, and by whom
        self._lock = threading.Lock()

    def take(self, network: str) -> None:
        """Count one.

        Raises:
            TooMany: the address, or all together, have used too much; it is not counted.
        """
        with self._lock:
            now = time.monotonic()
            while self._used and self._used[0][0] <= now - self.seconds:
                self._used.popleft()
            own = sum(who == network for _, who in self._used)
            if len(self._used) >= self.in_all or not may_take_one(own, len(self._used), self.in_all):
                raise TooMany(f"Too many {self.what} within {said(self.seconds)}: try again later.", self.seconds)
            self._used.append((now, network))


REQUESTS = Share("open requests", 256, 4000)
STREAMS = Share("open streams", 256, 4000)  # apart from requests, since they have no end; a page keeps two open
UNSENT = Share("bytes of answers", 100_000_000, 500_000_000)  # of long ones, until the client has accepted them
ARRIVING = Share("bytes of requests", 300_000_000, 2_000_000_000)  # on the disk where a body is long
LOOK_UPS = Share("tokens", 1, 4)  # that the Hub is asked about at a time: each holds a thread for up to 10 s
HELD = Share("bytes of large requests", 150_000_000, 450_000_000)  # in memory; JSON takes about six times its size


class Body:
    """The `receive` of a request, with the time and the bytes that its body may take. It sees when its client leaves.

    size: bytes so far.
    on_leaving: called when the client goes away; it is watched once the body is complete.
    """

    def __init__(self, receive: "Receive", network: str):
        self._receive, self._network = receive, network
        self._waited, self._counted = 0.0, 0
        self._watching: asyncio.Task[None] | None = None
        self.on_leaving: Callable[[], None] = lambda: None
        self.size = 0
        self._gone = False

    async def __call__(self) -> "Message":
        """Return the next message.

        Raises:
            TooSlow: the body arrives too slowly.
            TooMany: the bodies of its address, or of all, are too large together.
        """
        if self._watching is not None:
            if not self._watching.done():
                await asyncio.wait([self._watching])
            return {"type": "http.disconnect"}
        began = time.monotonic()
        try:
            left = min(GRACE + self.size / SLOWEST, LONGEST) - self._waited
            with anyio.fail_after(max(min(left, GRACE), 0)):  # whatever came before, silence ends it
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"This request arrives too slowly: send at least {SLOWEST // 1000} kB a second.") from None
        finally:
            self._waited += time.monotonic() - began
        if message["type"] != "http.request" or not message.get("more_body"):
            self.watch()
        self.size += len(message.get("body", b""))
        ARRIVING.take(self._network, long := max(self.size - SMALL - self._counted, 0))
        self._counted += long
        return message

    def watch(self) -> None:
        """See from now on whether the client leaves; of a body, no more is read."""
        if self._watching is None:
            self._watching = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self.on_leaving()

    def heard(self) -> bool:
        """Return whether the client is there, as far as that is known."""
        return not self._gone

    def close(self) -> None:
        """Watch no more, and give back what the body took."""
        if self._watching is not None:
            self._watching.cancel()
        ARRIVING.give(self._network, self._counted)


class Answering:
    """The `send` of a request that knows whether its answer has begun; an error can then no longer become one."""

    def __init__(self, send: "Send"):
        self._send = send
        self.begun = False

    async def __call__(self, message: "Message") -> None:
        """Send a message."""
        self.begun = True
        await self._send(message)


class Sending:
    """The `send` of a request, with the time and the memory that its answer may take.

    A server keeps what it is given until the client accepts it, so a long answer is given to it in parts. What it takes
    here until then counts for the address; where that is too much, it is refused before it begins. An error that is
    raised here is kept in the scope as "zoo.refused", since frameworks raise another one in its place.
    """

    def __init__(self, send: "Send", network: str, scope: "Scope"):
        self._send, self._network, self._scope = send, network, scope
        self._waited, self._sent = 0.0, 0
        self._start: Message | None = None  # of a long answer, until its body is there

    async def __call__(self, message: "Message") -> None:
        """Send a message.

        Raises:
            TooSlow: the client does not accept the answer.
            TooMany: the answers to its address, or to all, hold too much already.
        """
        try:
            await self._bounded(message)
        except (TooSlow, TooMany) as error:
            self._scope["zoo.refused"] = error
            raise

    async def _bounded(self, message: "Message") -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.start" and _length(message) > PART:
            self._start = message
            return
        with UNSENT.taken(self._network, len(body) if len(body) > PART else 0):
            if self._start is not None:
                start, self._start = self._start, None
                await self._timed(start)
            for place in range(0, max(len(body) - PART, 0), PART):
                await self._timed({**message, "body": body[place : place + PART], "more_body": True})
            rest = max(len(body) - 1, 0) // PART * PART
            await self._timed({**message, "body": body[rest:]} if rest else message)

    async def _timed(self, message: "Message") -> None:
        began = time.monotonic()
        try:
            with anyio.fail_after(max(min(UNREAD, UNREAD + self._sent / SLOWEST - self._waited), 0)):
                await self._send(message)
        except TimeoutError:
            raise TooSlow("The client does not accept the answer.") from None
        self._waited += time.monotonic() - began
        self._sent += len(message.get("body", b""))


def _length(start: "Message") -> int:
    """Return how long an answer says that it is, 0 where it does not."""
    found = next((value for name, value in start.get("headers", ()) if name.lower() == b"content-length"), b"0")
    return int(found) if found.isdigit() else 0


@contextlib.contextmanager
def admitted(
    scope: "Scope", receive: "Receive", send: "Send", share: Share | None = None
) -> Iterator[tuple["Receive", "Send"]]:
    """Count a request while it is answered; yield its `receive`, a `Body`, and its `send` with bounds.

    Args:
        scope: of the request.
        receive: what it brings.
        send: takes the answer.
        share: that it counts in; None: `REQUESTS`.

    One that was admitted already passes. The scope then has the key "zoo.network", the address that counts, and
    "zoo.body".

    Raises:
        TooMany: too many are open.
        TooSlow: the body arrives too slowly, or the client does not accept the answer.
    """
    if "zoo.network" in scope:
        yield receive, send
        return
    network = scope["zoo.network"] = Caller.of(scope).network
    body = scope["zoo.body"] = Body(receive, network)

    with (share or REQUESTS).taken(network):
        try:
            yield body, Sending(send, network, scope)
        finally:
            body.close()


@contextlib.contextmanager
def attended(scope: "Scope", answering: Answering) -> Iterator[None]:
    """Run a block for an admitted request as long as its client is there; once its answer has begun, to the end.

    Within it, `gate.listening` says whether the client is there.

    Raises:
        Disconnected: the client went away.
    """
    body: Body = scope["zoo.body"]
    if scope["method"] in ("GET", "HEAD"):  # nothing reads a body then
        body.watch()
    with anyio.CancelScope() as block, entered(caller(), body.heard):
        body.on_leaving = lambda: None if answering.begun else block.cancel()
        try:
            yield
        finally:
            body.on_leaving = lambda: None
    if block.cancelled_caught:
        raise Disconnected()
