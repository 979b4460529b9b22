"""A worker next to a Space: `python -m leaderboard.submissions`; ends when whoever started it does."""

import logging
import sys
import threading

from zoo.errors import ZooError


def main() -> None:
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
