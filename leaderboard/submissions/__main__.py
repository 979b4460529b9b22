"""A worker beside a Space: `python -m leaderboard.submissions`; ends when whoever started it does.

With `--isolation` it only prints what the kernel grants a sandbox here, as JSON.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from leaderboard.submissions.sandbox import confinement


def main() -> None:
    """Do what the command line says."""
    if "--isolation" in sys.argv[1:]:
        folder = Path(tempfile.gettempdir())
        print(json.dumps(confinement.confine(folder, [], confinement.Resources())))
    else:
        work()


def work() -> None:
    """Work until told to stop, or left alone."""
    from leaderboard.submissions.store import open_store
    from leaderboard.submissions.worker import Worker

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
