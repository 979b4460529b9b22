"""A worker next to a Space: `python -m leaderboard.submissions`; ends when whoever started it does.

With `--isolation` it only prints what the kernel grants a sandbox here, as JSON.
"""

import json
import logging
import sys
import tempfile
import threading
from pathlib import Path

from leaderboard.submissions.sandbox import confinement
from zoo.errors import ZooError


def main() -> None:
    """Do what the command line says."""
    if "--isolation" in sys.argv[1:]:
        folder = Path(tempfile.gettempdir())
        print(json.dumps(confinement.confine(folder, [], confinement.Resources())))
    else:
        work()


def work() -> None:
    """Work until told to stop, or until the process that started this one is gone."""
    from leaderboard.submissions import supervision
    from leaderboard.submissions.store import open_store
    from leaderboard.submissions.worker import Worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    supervision.stop_on_signals(stop)
    supervision.stop_with_parent(stop)
    try:
        Worker(open_store()).watch(stop)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(supervision.FINAL)


if __name__ == "__main__":
    main()
