"""Work for a few threads, from an event loop: what waits together is done together, and nothing waits for company.

A thread that is free takes all that waits, up to a batch, which is short enough for those who come meanwhile. So a
single call is answered at once, and many calls form batches by themselves.
"""

import asyncio
import math
import threading
import traceback
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from zoo.errors import Busy, ZooError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
SHARE = 4  # of the threads that others leave, a sender has at most the fourth part at a time, and always one


class BatchQueue(Generic[Asked, Answer]):
    """A bounded queue and the threads that work on it. Senders take turns, and one has at most a quarter of the places
    and of the threads that others leave.

    So calls that take long leave threads to the calls of others: with 16 threads, nine senders leave one to the tenth.
    A call that is cancelled leaves the queue.

    Args:
        work: answers what was asked, in order; an exception in place of an answer is raised to who asked.
        name: of the threads.
        threads: how many.
        batch: how many are worked on together at most.
        most_waiting: calls that wait; more are refused.
        cost: seconds that a call takes, as far as that is known; called often, by any thread.
        longest: seconds that a batch of several takes at most, by their costs: whoever asks next waits for its end.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]],
        name: str,
        threads: int = 1,
        batch: int = 1,
        most_waiting: int = 256,
        cost: Callable[[Asked], float] = lambda asked: 0.0,
        longest: float = math.inf,
    ):
        self.name, self.batch, self.most_waiting = name, batch, most_waiting
        self.observe: Callable[[int], None] = lambda size: None  # is told the size of each batch
        self._work, self._cost, self._longest = work, cost, longest
        self._changed = threading.Condition()
        self._calls: OrderedDict[str, deque[tuple[Asked, asyncio.Future[Answer]]]] = OrderedDict()  # the next one first
        self._running = Counter[str]()  # threads that work for a sender
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        with self._changed:
            return sum(map(len, self._calls.values()))

    async def ask(self, asked: Asked, sender: str = "") -> Answer:
        """Return the answer.

        Args:
            asked: what `work` takes.
            sender: who asks; an address, for example.

        Raises:
            Busy: too many wait already, of all or of the sender, or the queue is closed.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        with self._changed:
            if self._closed:
                raise Busy("The server is shutting down: try again.")
            waiting, own = sum(map(len, self._calls.values())), len(self._calls.get(sender, ()))
            if waiting >= self.most_waiting:
                raise Busy(f"{self.most_waiting} calls are waiting: try again in a second.")
            if own >= max(1, (self.most_waiting - (waiting - own)) // SHARE):  # the fuller it is, the less for one
                raise Busy(f"{own} calls from your address are waiting: try again in a second.")
            self._calls.setdefault(sender, deque()).append((asked, future))
            self._changed.notify()
        try:
            return await future
        except asyncio.CancelledError:
            self._forget(sender, future)
            raise
        finally:
            del asked, future  # an exception keeps this frame, and the future keeps the exception

    def _forget(self, sender: str, future: "asyncio.Future[Answer]") -> None:
        """Take a call whose sender has gone out of the queue, where it still waits."""
        with self._changed:
            left = [pair for pair in self._calls.get(sender, ()) if pair[1] is not future]
            if left:
                self._calls[sender] = deque(left)
            else:
                self._calls.pop(sender, None)
            self._changed.notify_all()

    def close(self, seconds: float = 10.0) -> None:
        """Take no more, and wait until what was taken is answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(seconds)

    def _run(self) -> None:
        while taken := self._next():
            calls, senders = taken
            self._answer([pair for pair in calls if not pair[1].cancelled()])
            del taken, calls  # nothing of a call is kept while the thread waits for the next one
            with self._changed:
                self._running -= senders
                self._changed.notify_all()

    def _turn(self) -> str | None:
        """Return whose turn it is; None where nobody waits but those who have their share of the threads."""
        busy = self._running.total()
        for sender in self._calls:
            own = self._running[sender]
            if own < max(1, (len(self._threads) - (busy - own)) // SHARE):
                return sender
        return None

    def _next(self) -> tuple[list[tuple[Asked, "asyncio.Future[Answer]"]], Counter[str]] | None:
        """Wait, and take a batch of calls and their senders, in turn; None when the queue is closed and empty."""
        taken: list[tuple[Asked, asyncio.Future[Answer]]] = []
        senders: Counter[str] = Counter()
        seconds = 0.0
        with self._changed:
            self._changed.wait_for(lambda: self._turn() is not None or (self._closed and not self._calls))
            while len(taken) < self.batch and (sender := self._turn()) is not None:
                calls = self._calls[sender]
                seconds += self._cost(calls[0][0])
                if taken and seconds > self._longest:
                    break
                taken.append(calls.popleft())
                self._calls.move_to_end(sender)
                if not calls:
                    del self._calls[sender]
                senders[sender] = 1
            self._running += senders
        return (taken, senders) if taken else None

    def _answer(self, taken: list[tuple[Asked, "asyncio.Future[Answer]"]]) -> None:
        if not taken:
            return
        self.observe(len(taken))
        answers: Sequence[Answer | Exception]
        try:
            answers = self._work([asked for asked, _ in taken])
        except Exception as error:  # a mistake of ours costs this batch, not the thread
            answers = [error] * len(taken)
        for answer in answers:
            if isinstance(answer, Exception):
                _let_go(answer)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Answer], Answer | Exception]]] = {}
        for (_, future), answer in zip(taken, answers, strict=True):
            by_loop.setdefault(future.get_loop(), []).append((future, answer))
        for loop, pairs in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, pairs)


def _let_go(error: BaseException) -> None:
    """Clear what the frames of an error hold, such as the picture that could not be read: some hold the error again.

    A `ZooError` is a sentence: nobody looks at its traceback.
    """
    said, left = isinstance(error, ZooError), [error]
    while left:
        one = left.pop()
        traceback.clear_frames(one.__traceback__)
        if said:
            one.__traceback__ = None
        left += [other for other in (one.__cause__, one.__context__) if other is not None]


def _deliver(pairs: "list[tuple[asyncio.Future[Answer], Answer | Exception]]") -> None:
    for future, answer in pairs:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
