"""Work for executors to do in the tests: functions of (arguments, progress), in folders."""

import os
import time
from pathlib import Path

from zoo.errors import ZooError


def add(arguments, progress):
    """Count that it was begun, and return the sum."""
    begun = Path(arguments["folder"]) / f"{arguments['name']}.begun"
    with begun.open("a") as file:
        file.write(f"{os.getpid()}\n")
    progress(0.5)
    return sum(arguments["numbers"])


def wait_once(arguments, progress):
    """Wait to be killed, at most ten minutes, the first time it is begun; its process is in a file. Count as `add`."""
    first = not (Path(arguments["folder"]) / f"{arguments['name']}.begun").exists()
    total = add(arguments, progress)
    if first:
        time.sleep(600)
    return total


def fail(arguments, progress):
    """Fail as told: the user's mistake, or one that may pass."""
    add({"numbers": [], **arguments}, progress)
    raise ZooError("this is yours to fix.") if arguments["final"] else OSError("the disk is gone")


def fail_once(arguments, progress):
    """Fail the first time."""
    first = not (Path(arguments["folder"]) / f"{arguments['name']}.begun").exists()
    total = add(arguments, progress)
    if first:
        raise OSError("the disk was away")
    return total
