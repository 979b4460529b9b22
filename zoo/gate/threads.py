"""The threads that routes without `async`, files that are sent, and Gradio take from one pool: addresses share it."""

import asyncio
from collections import Counter, OrderedDict

from anyio import WouldBlock
from anyio._backends import _asyncio  # its default pool has no public setter
from anyio.lowlevel import RunVar

from zoo.gate.callers import caller
from zoo.gate.traffic import may_take_one

WRITING = 16  # threads of calls that write: more than may wait for the Hub at a time, so no other waits for them
PLACES = 8  # threads that run at a time: more would only share the cores, while all who read a sketch wait for them


def share_threads() -> None:
    """Let addresses take turns at the threads of the event loop that runs now."""
    if not isinstance(_asyncio._default_thread_limiter.get(None), Threads):
        _asyncio._default_thread_limiter.set(Threads(PLACES))


class Threads(_asyncio.CapacityLimiter):
    """A limiter of threads, in place of anyio's, which serves whoever comes first.

    An address has at most the fourth part of what others leave, or one; of those who wait, addresses take turns.
    Those who call for nobody are one address, too.

    Args:
        places: threads that run at a time.
    """

    def __init__(self, places: int):
        super().__init__(places)
        self._addresses: dict[object, str] = {}  # of who has a thread
        self._running = Counter[str]()  # threads by address
        self._waiting = OrderedDict[str, dict[object, asyncio.Future[None]]]()  # by address, whose turn is next first

    def acquire_on_behalf_of_nowait(self, borrower: object) -> None:
        """Take a thread; WouldBlock where the address of the caller, or all, have none left."""
        network = caller().network
        if not self._may_run(network):
            raise WouldBlock
        super().acquire_on_behalf_of_nowait(borrower)
        self._note(borrower, network)

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Wait for a thread, and take it."""
        try:
            self.acquire_on_behalf_of_nowait(borrower)
            return
        except WouldBlock:
            pass
        network, turn = caller().network, asyncio.get_running_loop().create_future()
        self._waiting.setdefault(network, {})[borrower] = turn
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.release_on_behalf_of(borrower)
            else:
                self._forget(borrower, network)
            raise

    def release_on_behalf_of(self, borrower: object) -> None:
        """Give a thread back, to whose turn it is."""
        super().release_on_behalf_of(borrower)
        network = self._addresses.pop(borrower)
        self._running[network] -= 1
        if not self._running[network]:
            del self._running[network]
        while (following := next(filter(self._may_run, self._waiting), None)) is not None:
            one = next(iter(self._waiting[following]))
            turn = self._waiting[following][one]
            self._waiting.move_to_end(following)
            self._forget(one, following)
            if turn.done():  # cancelled, and not yet told so
                continue
            super().acquire_on_behalf_of_nowait(one)
            self._note(one, following)
            turn.set_result(None)

    def _may_run(self, network: str) -> bool:
        own = self._running[network]
        return may_take_one(own, self.borrowed_tokens, self.total_tokens) and self.available_tokens >= 1

    def _note(self, borrower: object, network: str) -> None:
        self._addresses[borrower] = network
        self._running[network] += 1

    def _forget(self, borrower: object, network: str) -> None:
        waiting = self._waiting.get(network, {})
        waiting.pop(borrower, None)
        if not waiting:
            self._waiting.pop(network, None)


_WRITING: RunVar[Threads] = RunVar("writing")


def writing() -> Threads:
    """Return the threads of the event loop that runs now for calls that write, which may wait long for the Hub."""
    threads = _WRITING.get(None)
    if threads is None:
        _WRITING.set(threads := Threads(WRITING))
    return threads
