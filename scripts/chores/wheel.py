"""Build the wheel, install it into a bare environment, and read a picture there: what `pip install .` gives a user.

    python -m scripts.chores.wheel

Prints the size of the environment in megabytes, and fails where it is over the limit.
"""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import cv2
import numpy as np

from scripts import cli

LIMIT = 400  # megabytes that the base install adds to a fresh environment
STROKES = [[[64, 48], [136, 44], [92, 160]]]  # a seven on a sheet of 200 x 200


def main() -> int:
    """Build, install, read and measure; 1 if something is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", here, cli.ROOT)
        (wheel,) = here.glob("*.whl")
        venv.create(here / "bare", with_pip=True)
        before = megabytes(here / "bare")
        run(here / "bare/bin/pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        sheet = np.full((200, 200), 255, np.uint8)
        cv2.polylines(sheet, [np.array(stroke) for stroke in STROKES], False, 0, 9, cv2.LINE_AA)
        cv2.imwrite(str(here / "seven.png"), sheet)
        read = run(here / "bare/bin/handwriting-zoo", "read", here / "seven.png").strip()
        added = megabytes(here / "bare") - before
        print(f"wheel {wheel.stat().st_size / 1e6:.1f} MB; it and what it needs: {added:.0f} MB (limit {LIMIT});")
        print(f"pip and setuptools, which every environment has: {before:.0f} MB; a seven is read as {read}")
    return int(added > LIMIT or read != "7")


def megabytes(folder: Path) -> float:
    """Return the size of all files in a folder, 10^6 bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*")) / 1e6


def run(*command: str | Path) -> str:
    """Return what a command prints; one that fails raises with what it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    cli.run(main)
