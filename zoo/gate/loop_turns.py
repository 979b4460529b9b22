"""Addresses take turns at the event loop: in each of its rounds, one thing begins for each address.

What begins is that bytes of a connection are parsed, or that a request is answered. So an address makes a round longer
by what one request costs, however many of its connections have one ready, and whatever the answer is: a health check, a
page, a refusal. A request that has begun holds no turn, so one that waits for a queue, a thread or its client keeps
none from the next.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary


class Turns:
    """The turns of one event loop; only its own thread calls it."""

    def __init__(self) -> None:
        self._had: set[str] = set()  # addresses that have had their turn in this round
        self._waiting: dict[str, deque[Callable[[], None]]] = {}  # by address, what begins first in front
        self._paused: set[str] = set()  # addresses that get no turn for a while
        self._planned = False  # whether the next round is
        self._context = contextvars.copy_context()  # that of the server: what begins late belongs to no other request

    def take(self, network: str, begin: Callable[[], None]) -> None:
        """Begin something for an address: at once, or where it has had its turn in this round, in a later one."""
        if network in self._had or network in self._waiting or network in self._paused:
            self._waiting.setdefault(network, deque()).append(begin)
            self._plan()
        else:
            self._had.add(network)
            self._plan()
            begin()

    def pause(self, network: str, seconds: float) -> None:
        """Give an address no turn for a while; what waits is not lost."""
        if network not in self._paused:
            self._paused.add(network)
            asyncio.get_running_loop().call_later(seconds, self._go_on, network, context=self._context)

    def _go_on(self, network: str) -> None:
        self._paused.discard(network)
        self._plan()

    def _plan(self) -> None:
        if not self._planned and (self._had or self._waiting.keys() - self._paused):
            self._planned = True
            asyncio.get_running_loop().call_soon(self._round, context=self._context)

    def _round(self) -> None:
        self._planned = False
        self._had = self._waiting.keys() - self._paused
        for network in self._had:
            asyncio.get_running_loop().call_soon(self._waiting[network].popleft(), context=self._context)
            if not self._waiting[network]:
                del self._waiting[network]
        self._plan()


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """Return the turns of the event loop that runs now."""
    loop = asyncio.get_running_loop()
    if loop not in _TURNS:
        _TURNS[loop] = Turns()
    return _TURNS[loop]
