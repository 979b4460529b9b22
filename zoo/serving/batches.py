"""Work for a few threads, from an event loop: what waits together is done together, and nothing waits for company.

A thread that is free takes all that waits, up to a batch. So a single call is answered at once, and many calls form
batches by themselves.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from zoo.errors import ZooError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
RETRY_AFTER = 1.0  # seconds after which a caller may try a full queue again; it holds about as much work


class Busy(ZooError):
    """A queue that is full or closed.

    seconds: after which to try again.
    """

    def __init__(self, sentence: str, seconds: float = RETRY_AFTER):
        super().__init__(sentence)
        self.seconds = seconds


class BatchQueue(Generic[Asked, Answer]):
    """A bounded queue and the threads that work on it.

    Args:
        work: answers what was asked, in order; an exception in place of an answer is raised to who asked.
        name: of the threads.
        threads: how many.
        batch: how many are worked on together at most.
        most_waiting: calls that wait; more are refused.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]],
        name: str,
        threads: int = 1,
        batch: int = 1,
        most_waiting: int = 256,
    ):
        self.name, self.batch, self.most_waiting = name, batch, most_waiting
        self.observe: Callable[[int], None] = lambda size: None  # is told the size of each batch
        self._work = work
        self._queue: queue.SimpleQueue[tuple[Asked, asyncio.Future[Answer]] | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return self._queue.qsize()

    async def ask(self, asked: Asked) -> Answer:
        """Return the answer.

        Raises:
            Busy: too many wait already, or the queue is closed.
        """
        if self._closed:
            raise Busy("The server is shutting down: try again.")
        if self._queue.qsize() >= self.most_waiting:
            raise Busy(f"{self.most_waiting} calls are waiting: try again in a second.")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.put((asked, future))
        return await future

    def close(self, seconds: float = 10.0) -> None:
        """Take no more, and wait until what was taken is answered."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join(seconds)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            taken, last = [first], False
            while len(taken) < self.batch:
                try:
                    found = self._queue.get_nowait()
                except queue.Empty:
                    break
                if found is None:
                    last = True
                    break
                taken.append(found)
            self._answer([pair for pair in taken if not pair[1].cancelled()])
            del first, taken  # nothing of a call is kept while the thread waits for the next one
            if last:
                return

    def _answer(self, taken: list[tuple[Asked, "asyncio.Future[Answer]"]]) -> None:
        if not taken:
            return
        self.observe(len(taken))
        answers: Sequence[Answer | Exception]
        try:
            answers = self._work([asked for asked, _ in taken])
        except Exception as error:  # a mistake of ours costs this batch, not the thread
            answers = [error] * len(taken)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Answer], Answer | Exception]]] = {}
        for (_, future), answer in zip(taken, answers, strict=True):
            by_loop.setdefault(future.get_loop(), []).append((future, answer))
        for loop, pairs in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, pairs)


def _deliver(pairs: "list[tuple[asyncio.Future[Answer], Answer | Exception]]") -> None:
    for future, answer in pairs:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
