"""Supervision: repeat a step after errors, and restart a process when it ends."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from zoo.errors import ZooError

log = logging.getLogger(__name__)

LONGEST = 60.0  # seconds between two attempts of a step that keeps failing
LONGEST_RESTART = 60.0  # seconds before a process that keeps dying is started again
HEALTHY = 60.0  # seconds after which a process that dies counts as having worked
STARTED_BY = "SUPERVISOR_PID"  # environment variable: the process that supervises this one
FINAL = 2  # exit status of a program that says why it cannot work: a restart does not help


def keep_doing(
    step: Callable[[], bool],
    stop: threading.Event,
    rest: float,
    fatal: tuple[type[Exception], ...] = (),
    longest: float = LONGEST,
) -> None:
    """Call `step` until `stop` is set.

    Args:
        step: does something; returns whether there is more to do right now.
        stop: ends it.
        rest: seconds between two calls where nothing is to do. After an error they double, each time it fails again.
        fatal: errors that end it; every other one is logged.
        longest: that a pause becomes, seconds.
    """
    pause = rest
    while not stop.is_set():
        try:
            busy = step()
            pause = rest
        except fatal:
            raise
        except Exception as error:  # any error: the next attempt may succeed
            pause, busy = min(2 * pause, longest), False
            log.warning("%s; trying again in %.0f s", error, pause, exc_info=not isinstance(error, (ZooError, OSError)))
        if not busy:
            stop.wait(pause)


def keep_running(
    command: Sequence[str], stop: threading.Event, first: float = 1.0, longest: float = LONGEST_RESTART
) -> int:
    """Run a program, and start it again whenever it dies, until `stop` is set.

    Args:
        command: the program and its arguments.
        stop: the program is asked to end when this is set.
        first: seconds before the first restart; they double while it keeps dying soon.
        longest: that they become.

    Returns:
        Its exit status where a restart does not help: 0, `FINAL`, or that of an end that was asked for.
    """
    pause = first
    while True:
        started = time.monotonic()
        status = _run(command, stop)
        if stop.is_set() or status in (0, FINAL):
            return status
        pause = first if time.monotonic() - started > HEALTHY else pause
        log.error("A worker ended with status %d; starting it again in %.1f s.", status, pause)
        if stop.wait(pause):
            return status
        pause = min(2 * pause, longest)


def _run(command: Sequence[str], stop: threading.Event) -> int:
    """Run a program to its end, which is asked for when `stop` is set; return its exit status."""
    try:
        process = subprocess.Popen(command, env={**os.environ, STARTED_BY: str(os.getpid())})
    except OSError as error:
        log.error("A worker cannot be started: %s", error.strerror)
        return 1
    while process.poll() is None:
        if stop.wait(0.2):
            process.terminate()
            try:
                return process.wait(timeout=30.0)
            except subprocess.TimeoutExpired:
                process.kill()
        else:
            continue
    return process.wait()


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT; from the main thread only."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def stop_with_parent(stop: threading.Event) -> None:
    """Set `stop` when the process that started this one is gone, even if it was gone before this one could look."""
    parent = int(os.environ.get(STARTED_BY) or os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()
