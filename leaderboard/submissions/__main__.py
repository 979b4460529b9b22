"""A worker beside a Space: `python -m leaderboard.submissions`; ends when whoever started it does."""

import logging
import os
import signal
import threading
import time

from leaderboard.submissions.store import open_store
from leaderboard.submissions.worker import Worker


def main() -> None:
    """Work until told to stop, or left alone."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop, parent = threading.Event(), os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        stop.set()

    threading.Thread(target=watch_parent, daemon=True).start()
    Worker(open_store()).watch(stop)


if __name__ == "__main__":
    main()
