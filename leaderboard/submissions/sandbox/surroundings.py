"""What is around a sandbox on this machine: its folder, its variables, and what it must not reach."""

import contextlib
import fcntl
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from zoo import settings
from zoo.processes.confinement import LABELS

log = logging.getLogger(__name__)

FOLDER, LOCK = "submission-", "lock"  # a sandbox's folder, and the file in it that its watching process keeps locked


def environment(home: Path | str) -> dict[str, str]:
    """Return the few variables that a child needs; none of this process' goes along."""
    own = str(home)
    return {
        "HOME": own,
        "TMPDIR": own,
        "LANG": "C.UTF-8",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": own,
        "JOBLIB_MULTIPROCESSING": "0",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def private_places() -> list[Path]:
    """Return files and folders of this machine that a sandbox must not read: labels, datasets, tokens."""
    records = Path(__file__).parents[2] / "records"
    places = [*sorted(records.glob("*/*.npz"))[:1], *sorted(records.glob("*/*.json"))[:1], Path.home()]
    named = (settings.value("ZOO_DATASETS"), settings.value("ZOO_SUBMISSIONS"), os.environ.get("HF_HOME"))
    places += [Path(place) for place in named if place]
    places += [file for folder in sys.path for file in Path(folder, LABELS).glob("digits*")]  # names may be listed
    return [path for path in places if path.exists()]


def sweep() -> None:
    """Remove the folders of sandboxes whose watching process was killed: they died with it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        with contextlib.suppress(OSError):  # another user's, or one that is just being made
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():  # a link leads to what is no sandbox's
                with (folder / LOCK).open("r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError while the watching process lives
                    remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove the folder of a sandbox, however deep it is, and whatever may be done in the folders in it."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):  # both enter folders that are too deep for a path
        if folder.exists():
            subprocess.run([*command, "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
    if folder.exists():
        log.error("The folder %s of a sandbox cannot be removed: remove it, since it takes disk.", folder)
