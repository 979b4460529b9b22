"""Answers that wait in memory until somebody fetches them: bounded by address and in all, and dropped in the end.

Gradio keeps them for the last 2,000 sessions, whatever they hold; a stranger's sessions push out a visitor's.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import orjson
from gradio.queueing import Queue
from gradio.utils import LRUCache
from starlette.datastructures import QueryParams

from zoo import gate
from zoo.gate.callers import goes_on_for
from zoo.gate.limits import TooMany
from zoo.gate.traffic import may_take_one
from zoo.rest.problem_details import NotFound

MOST_MESSAGES = 60  # of one session; a call takes about three
MOST_BYTES_EACH, MOST_BYTES = 50_000_000, 500_000_000  # of the answers to one address, and to all
MOST_SESSIONS_EACH, MOST_SESSIONS = 40, 2000  # with answers that nobody waits for; with or without
DROPPED = 120.0  # seconds after which answers are dropped that nobody has fetched
ASLEEP = 10.0  # seconds without a frame after which a camera gives its place back
UNHEARD = 30.0  # seconds without a listener after which a call that waits is dropped
UNKNOWN = 100_000  # bytes that an answer counts for which cannot be measured


class Messages(asyncio.Queue[Any]):
    """The messages of a session.

    network: the address that opened it.
    bytes: of the answers among them.
    fetched: whether a stream to a client is open.
    looked: when one was open for the last time.
    """

    def __init__(self, network: str) -> None:
        super().__init__()
        self.network, self.bytes, self.fetched, self.looked = network, 0, False, time.monotonic()

    def _put(self, item: Any) -> None:
        size = _size(item)
        self.bytes += size
        super()._put((item, size))  # for subclasses, as `asyncio.Queue` says

    def _get(self) -> Any:
        item, size = super()._get()
        self.bytes -= size
        return item


class Unread(LRUCache):  # type: ignore[misc]  # Gradio gives it no types
    """The messages of all sessions, in place of Gradio's; one that Gradio adds counts for the address that calls."""

    def __init__(self, queue: Queue) -> None:
        super().__init__(10 * MOST_SESSIONS)  # never reached: `check` refuses before
        self._queue = queue
        self._left: deque[tuple[float, str]] = deque()  # sessions without messages, and when they were dropped

    def __setitem__(self, session: str, messages: Any) -> None:
        super().__setitem__(session, Messages(gate.caller().network))

    def __delitem__(self, session: str) -> None:
        super().__delitem__(session)  # also by Gradio, where a client leaves while its call runs
        self._left.append((time.monotonic(), session))

    @contextlib.contextmanager
    def stream(self, session: str) -> Iterator[None]:
        """Hold a session while its answers are sent to a client, the only one that gets them.

        Gradio writes a trace into the log for each further stream that ends, and for one whose session is not there.

        Raises:
            NotFound: there is no such session.
            TooMany: its answers are being sent already.
        """
        messages = self.get(session)
        if messages is None:
            raise NotFound("There are no answers under this name: they may have been dropped. Call again.")
        if messages.fetched:
            raise TooMany("The answers under this name are being sent already: one stream gets them.")
        messages.fetched = True
        try:
            yield
        finally:
            messages.fetched, messages.looked = False, time.monotonic()

    def check(self, session: str, network: str) -> None:
        """Check what an address has not fetched before one more call, and drop what nobody will.

        Raises:
            TooMany: the answers to earlier calls must be fetched first, or those of all take too much memory.
        """
        self._drop()
        own = [one for one in self.values() if one.network == network]
        alone = sum(1 for one in own if one.qsize() and not one.fetched)
        messages = self.get(session)
        if (
            (messages is not None and messages.qsize() >= MOST_MESSAGES)
            or alone >= MOST_SESSIONS_EACH
            or sum(one.bytes for one in own) >= MOST_BYTES_EACH
        ):
            raise TooMany("The answers to your earlier calls have not been fetched yet: fetch them first.")
        if len(self) >= MOST_SESSIONS or sum(one.bytes for one in self.values()) >= MOST_BYTES:
            raise TooMany("The server is busy: too many answers wait to be fetched. Try again in a minute.")

    def _drop(self) -> None:
        now = time.monotonic()
        busy = {event.session_hash for event in self._queue.event_ids_to_events.values()}
        for session, messages in list(self.items()):
            idle = not messages.qsize() or now - messages.looked > DROPPED
            if idle and not messages.fetched and session not in busy:
                del self[session]
        while self._left and now - self._left[0][0] > DROPPED:  # until then, a stream that ends may look them up
            session = self._left.popleft()[1]
            if session not in self:
                self._queue.pending_event_ids_session.pop(session, None)


class Turns:
    """Chooses the next call of a queue: addresses take turns, and one has a quarter of the places that others leave, or
    one.

    Gradio takes the first that came, so a stranger's forty calls go before a visitor's one. A camera holds its place
    from frame to frame; one that sends none gives it back.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._served: dict[str, int] = {}  # by address: the turn that it had
        self._turn = 0
        self._frames: dict[str, tuple[object, float]] = {}  # by stream: its last frame, and when it was first seen

    def next(self) -> tuple[list[Any], bool, str] | None:
        """Take the next call out of the queue; None where all must wait. The result is that of `Queue.get_events`.

        What Gradio does before and after the call is on behalf of its sender too: the task that comes here starts it.
        """
        running = [event for job in self._queue.active_jobs if job for event in job]
        self._end_sleeping([event for event in running if event.streaming])
        self._drop_unheard()
        of_all = Counter(map(network_of, running))
        slots = len(self._queue.active_jobs)
        ready: list[tuple[int, int, Any, Any]] = []
        for name, waiting in self._queue.event_queue_per_concurrency_id.items():
            limit = waiting.concurrency_limit
            if not waiting.queue or (limit is not None and waiting.current_concurrency >= limit):
                continue
            busy = Counter(network_of(event) for event in running if event.concurrency_id == name)
            for event in waiting.queue:
                network = network_of(event)
                own = busy[network]
                if may_take_one(of_all[network], len(running), slots) and (
                    limit is None or may_take_one(own, busy.total(), limit)
                ):
                    ready.append((own, self._served.get(network, 0), event, waiting))
        if not ready:
            return None
        _, _, event, waiting = min(ready, key=lambda one: one[:2])
        waiting.queue.remove(event)
        self._turn += 1
        self._served.pop(network_of(event), None)
        self._served[network_of(event)] = self._turn
        while len(self._served) > MOST_SESSIONS:
            del self._served[next(iter(self._served))]
        goes_on_for(gate.Caller(network_of(event)))
        return [event], False, event.concurrency_id

    def _drop_unheard(self) -> None:
        """Take calls out of the queue whose sender has gone."""
        now, messages = time.monotonic(), self._queue.pending_messages_per_session
        for waiting in self._queue.event_queue_per_concurrency_id.values():
            for event in list(waiting.queue):
                heard = messages.get(event.session_hash)
                if isinstance(heard, Messages) and not heard.fetched and now - heard.looked > UNHEARD:
                    waiting.queue.remove(event)
                    self._queue.event_ids_to_events.pop(event._id, None)
                    self._queue.pending_event_ids_session.get(event.session_hash, set()).discard(event._id)

    def _end_sleeping(self, streams: list[Any]) -> None:
        now, before = time.monotonic(), self._frames
        self._frames = {}
        for event in streams:
            frame, since = before.get(event._id, (None, now))
            if frame is not event.data:
                since = now
            elif now - since > ASLEEP:
                event.closed = True
                event.signal.set()
            self._frames[event._id] = event.data, since


class Running(set[asyncio.Task[Any]]):
    """The tasks of the calls that run, in place of Gradio's: the end of each gives back what it holds.

    Gradio leaves that to the task. One that is cancelled before its first step never comes to it, and its place would
    be lost for ever; one that is cancelled again while it ends forgets its values.
    """

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self._queue = queue

    def add(self, task: asyncio.Task[Any]) -> None:
        """Note a task that was made for a call, and is named after it."""
        super().add(task)
        task.add_done_callback(self._give_back)

    def _give_back(self, task: asyncio.Task[Any]) -> None:
        name = task.get_name().rpartition("<gradio-sep>")[2]
        self._queue.event_ids_to_events.pop(name, None)
        for place, events in enumerate(self._queue.active_jobs):
            if events and events[0]._id == name:
                event, self._queue.active_jobs[place] = events[0], None
                waiting = self._queue.event_queue_per_concurrency_id[event.concurrency_id]
                waiting.current_concurrency -= 1
                if len(times := waiting.start_times_per_fn[event.fn]) > 1:
                    times.pop()  # any: they are only counted, and averaged
                else:
                    del waiting.start_times_per_fn[event.fn]


def network_of(event: Any) -> str:
    """Return the address that a call in the queue counts for."""
    scope = event.request.scope
    return scope.get("zoo.network") or gate.Caller.of(scope).network


def session_of(queue: Queue, path: str, query: bytes) -> str:
    """Return the session whose answers a request asks for, as Gradio finds it."""
    if path.split("/")[2] == "queue":
        return QueryParams(query).get("session_hash", "")
    name = path.rpartition("/")[2]
    if (event := queue.event_ids_to_events.get(name)) is not None:
        return str(event.session_hash)
    return next((one for one, events in queue.pending_event_ids_session.items() if name in events), name)


def camera_of(queue: Queue, name: str) -> Any:
    """Return the call of a camera, to which its next frame comes.

    Raises:
        NotFound: there is none; Gradio would replace the values of any other call.
    """
    event = queue.event_ids_to_events.get(name)
    if event is None or not event.streaming:
        raise NotFound("No camera sends its frames here any more.")
    return event


def waiting(queue: Queue) -> Iterator[Any]:
    """Yield the calls that wait in a queue."""
    for one in queue.event_queue_per_concurrency_id.values():
        yield from one.queue


def bounded(queue: Queue) -> None:
    """Bound what a queue holds, and let addresses take turns in it; before it is started."""
    queue.pending_messages_per_session = Unread(queue)
    queue.get_events = Turns(queue).next
    queue._asyncio_tasks = Running(queue)


def _size(message: Any) -> int:
    output = getattr(message, "output", None)
    if not output:
        return 0
    with contextlib.suppress(TypeError):
        return len(orjson.dumps(output, default=str, option=orjson.OPT_NON_STR_KEYS))
    return UNKNOWN
