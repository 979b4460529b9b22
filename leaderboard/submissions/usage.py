"""Count requests per address: those within a day in a small database that the processes of a machine share.

Without sign-in, user names can be invented, but addresses cannot. An address is known by a mark that only this database
can make of it. If the database is damaged, counting starts again, with other marks.
"""

import contextlib
import hmac
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from leaderboard.submissions.store import StoreFailed, describe
from zoo.errors import ZooError
from zoo.gate.callers import SENDERS, network_of
from zoo.gate.traffic import Share
from zoo.regular_files import read_bytes

DAY = 24 * 3600  # seconds
# What arrives or is changed at the same time. Each holds a thread of the server, as long as the Hub takes.
ARRIVING, FROM_HUB = Share("submissions", 2, 12), Share("models of the Hub", 1, 4)
SEVERAL = bytes.fromhex("d9d505f920a163d7")  # ends a journal that names another file, see sqlite.org/fileformat.html
SCHEMA = """
create table if not exists asked (who text not null, at real not null);
create index if not exists asked_who on asked (who, at);
create table if not exists key (value blob not null);
"""


@contextlib.contextmanager
def arriving(address: str, from_hub: bool = False) -> Iterator[None]:
    """Hold a place for what an address sends or changes while a block runs.

    Args:
        address: as `charge` takes it.
        from_hub: whether a model of the Hub is fetched for it.

    Raises:
        TooMany: no place is left.
    """
    with contextlib.ExitStack() as places:
        for share in (ARRIVING, FROM_HUB)[: 1 + from_hub] if address else ():
            places.enter_context(share.taken(network_of(address, SENDERS)))
        yield


def charge(path: Path, address: str, most: int, clock: Callable[[], float] = time.time) -> str:
    """Count one request of an address, before anything is done for it.

    Args:
        path: of the database.
        address: IPv4 or IPv6, or another name of where it comes from; "" is not counted.
        most: requests of one address within a day.
        clock: returns seconds since 1970.

    Returns:
        The mark of the address, 32 hexadecimal digits: the same each time, and telling nobody which address it is; ""
        for none.

    Raises:
        ZooError: the address has asked so often within a day.
        StoreFailed: it could not be counted.
    """
    if not address:
        return ""
    network = network_of(address, SENDERS)
    try:
        _check_own(path, clock)
        try:
            who, allowed = _charged(path, network, most, clock)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # a full disk, say: the file itself may be well
            os.replace(path, path.with_suffix(f".damaged-{clock():.0f}"))
            who, allowed = _charged(path, network, most, clock)
    except (sqlite3.DatabaseError, OSError) as error:
        said = describe(error) if isinstance(error, OSError) else error
        raise StoreFailed(f"Nothing was kept: requests cannot be counted ({said}).") from error
    if not allowed:
        raise ZooError(f"Your address has sent {most} requests within a day, which is the limit. Try again tomorrow.")
    return who


def _check_own(path: Path, clock: Callable[[], float]) -> None:
    """Set aside what is no database of ours, or no journal: a folder, a pipe, on which it would wait, a link.

    Nor is the journal of a change to several databases: SQLite would delete the file that is named at its end.
    """
    for one in (path, journal := path.with_name(f"{path.name}-journal")):
        with contextlib.suppress(FileNotFoundError):  # other processes end their changes
            plain = stat.S_ISREG(one.lstat().st_mode)
            if not plain or (one == journal and read_bytes(one).endswith(SEVERAL)):
                os.replace(one, one.with_suffix(f".damaged-{clock():.0f}"))


def _tables() -> set[tuple[str]]:
    """Return how SQLite writes down `SCHEMA`; a database that somebody made may do anything when it is changed."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCHEMA)
        return set(database.execute("select sql from sqlite_master"))


def _charged(path: Path, network: str, most: int, clock: Callable[[], float]) -> tuple[str, bool]:
    """Count one request if there were fewer than `most` within a day; return who asked, and whether it was counted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, timeout=10.0)) as database, database:
        database.executescript(SCHEMA)
        if set(database.execute("select sql from sqlite_master")) != _tables():
            raise sqlite3.DatabaseError("it has other tables")
        database.execute("begin immediate")
        database.execute("insert into key select ? where not exists (select * from key)", (secrets.token_bytes(32),))
        (key,) = database.execute("select value from key").fetchone()
        who = hmac.digest(key, network.encode(), "sha256").hex()[:32]
        now = clock()  # under the lock: nobody who counts at the same time seems to come from the future
        # What seems to come from the future was counted before a clock was set back.
        database.execute("delete from asked where at <= ? or at > ?", (now - DAY, now))
        if database.execute("select count(*) from asked where who = ?", (who,)).fetchone()[0] >= most:
            return who, False
        database.execute("insert into asked values (?, ?)", (who, now))
        return who, True
