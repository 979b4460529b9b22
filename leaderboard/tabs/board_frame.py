"""The board's frame while the Space runs; submissions add rows to it."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import pandas as pd

from leaderboard import downloads, snapshot, table
from zoo.tabs.choice import Measured
from zoo.types import Json, Values

log = logging.getLogger(__name__)

MOST_KEPT = 30_000_000  # bytes of the pages of one kind that are kept


class Building:
    """Computes the board from the records, which takes seconds, in a thread of its own: one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._built: tuple[str, snapshot.Board] | None = None  # of which records, by their fingerprint

    def board(self) -> snapshot.Board | None:
        """Return the board of the records as they are now; None where it is being computed."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return None
            if self._built and self._built[0] == self._records():
                return self._built[1]
            self._thread = threading.Thread(target=self._build, name="board", daemon=True)
            self._thread.start()
        return None

    @staticmethod
    def _records() -> str:
        return f"{snapshot.home()} {snapshot.fingerprint()}"

    def _build(self) -> None:
        try:
            self._built = self._records(), snapshot.build()
        except Exception:
            log.exception("The board could not be computed from its records.")

    def wait(self) -> None:
        """Wait until what is being computed is there."""
        if (thread := self._thread) is not None:
            thread.join()


BUILDING = Building()


class Live:
    """The frame, read again when its file has changed: by one thread, while the others go on with the last one.

    Where the file is not that of the records, all go on with the last one while it is computed from them.
    """

    def __init__(self) -> None:
        self._state, self._board = self._now(), snapshot.read()
        self._stale: object = ""  # the state of a file that is not that of the records
        self._plain: tuple[snapshot.Board, list[Json]] | None = None
        self._reading = threading.Lock()

    @staticmethod
    def _now() -> tuple[str, int] | None:
        path = snapshot.home() / snapshot.STATE
        return (str(path), path.stat().st_mtime_ns) if path.exists() else None

    def __call__(self) -> pd.DataFrame:
        return self.board().rows

    def board(self) -> snapshot.Board:
        """Return the frame with how much its rankings agree with those on other test sets."""
        if (state := self._now()) != self._state and self._reading.acquire(blocking=False):
            try:
                board = snapshot.cached() if state != self._stale else None
                if board is None:
                    self._stale, board = state, BUILDING.board()
                if board is not None:
                    self._board, self._state = board, state
            finally:
                self._reading.release()
        return self._board

    def chosen(self, query: table.Query) -> list[Json]:
        """Return the rows of a query as plain JSON types, which are made once until the board changes."""
        board = self.board()
        if (plain := self._plain) is None or plain[0] is not board:
            plain = self._plain = board, downloads.as_json(board.rows)
        return [plain[1][place] for place in table.select(board.rows, query).index]

    def recorded(self) -> list[str]:
        """Return the models that have a record."""
        frame = self()
        models: list[str] = frame.loc[frame["status"] != table.CLAIMED, "model"].tolist()
        return models

    def since_start(self, fresh: Callable[[], Values]) -> "Fresh":
        """Return a function that gives `fresh` if the frame has changed since the pages were built, else {}."""
        return Fresh(self, fresh)

    def kept(self, page: Callable[..., str], of: str | None = "model") -> "Kept":
        """Return a function that makes a page, for models of the board or what else, and keeps the last ones."""
        return Kept(self, page, of)


class Fresh:
    """What of the page has changed since it was built, made once each time that the board changes: by one thread, while
    the others go on with what was made last.

    Args:
        frame: the board.
        fresh: makes the updates of the components.
    """

    def __init__(self, frame: Live, fresh: Callable[[], Values]):
        self._frame, self._fresh, self._making = frame, fresh, threading.Lock()
        self._made: tuple[snapshot.Board, Values] = frame.board(), {}

    def __call__(self) -> Values:
        """Return the updates; they are the caller's own."""
        if (board := self._frame.board()) is not self._made[0] and self._making.acquire(blocking=False):
            try:
                self._made = board, self._fresh()
            finally:
                self._making.release()
        return {one: dict(said) if isinstance(said, dict) else said for one, said in self._made[1].items()}


class Kept:
    """Pages of the board, made once until it changes; the least recently shown ones are dropped.

    Args:
        frame: the board.
        page: takes what the page is for and the rows, and returns HTML, or another text.
        of: the column that has the names that it is for, or None in their place; None: it is for something else.
    """

    def __init__(self, frame: Live, page: Callable[..., str], of: str | None = "model"):
        self._frame, self._page, self._of, self._lock = frame, page, of, threading.Lock()
        self._rows, self._pages, self._bytes = frame(), OrderedDict[tuple[Hashable, ...], str](), 0

    def __call__(self, *asked: Hashable) -> str:
        """Return a page; names that are not on the board may be any text: nothing is kept for them."""
        rows = self._frame()
        with self._lock:
            if rows is not self._rows:
                self._rows, self._bytes = rows, 0
                self._pages.clear()
            if asked in self._pages:
                self._pages.move_to_end(asked)
                return self._pages[asked]
        made = self._page(*asked, rows)
        if self._of is None or {*asked} - {None} <= {*rows[self._of]}:
            with self._lock:
                if rows is self._rows and asked not in self._pages:
                    self._pages[asked] = made
                    self._bytes += len(made)
                while self._bytes > MOST_KEPT:
                    self._bytes -= len(self._pages.popitem(last=False)[1])
        return made


def measured() -> dict[str, Measured]:
    """Return what the board says of every network, for the list in *Draw* and *Read*."""
    rows = snapshot.load()
    known = rows[rows["accuracy"].notna()]
    return {
        row.model: Measured(row.accuracy, None if row.latency != row.latency else row.latency)
        for row in known.itertuples()
    }
