"""What a run was made with: versions, commit and hardware, for its provenance."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.types import Json

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PROJECT = "handwriting-zoo"
CHANGED = "+"  # ends a commit whose code was changed
COMMIT = "COMMIT"  # in the root of packed code: the commit that it is of

PACKAGES = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "datasets",
    "evaluate",
    "onnxruntime",
    "opencv-python-headless",
)


def versions() -> dict[str, str]:
    """Return the version of Python and of every installed package that a score may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def requirements(*extras: str) -> "list[Requirement]":
    """Return the packages that the project asks for, sorted by name.

    Args:
        extras: optional parts, as in `pip install handwriting-zoo[space]`; parts that they name count too.

    Raises:
        importlib.metadata.PackageNotFoundError: the project is not installed, only its folder is there.
    """
    from packaging.requirements import Requirement

    asked = [Requirement(line) for line in requires(PROJECT) or ()]
    wanted, known = ["", *extras], set[str]()
    found: dict[str, Requirement] = {}
    while wanted:
        extra = wanted.pop()
        known.add(extra)
        for one in asked:
            if one.marker is not None and not one.marker.evaluate({"extra": extra}):
                continue
            if one.name == PROJECT:
                wanted += [other for other in one.extras if other not in known]
            else:
                found[one.name] = one
    return [found[name] for name in sorted(found)]


def commit() -> str | None:
    """Return the repository's commit, ending in `CHANGED` where tracked code differs from it; None outside a checkout.

    Code that was packed by `scripts/bundle.py` has a file `COMMIT` instead.
    """
    root = Path(__file__).parent.parent
    if (root / COMMIT).is_file():
        return (root / COMMIT).read_text().strip() or None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", root, *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "*.py")
        return git("rev-parse", "--short=12", "HEAD") + (CHANGED if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def origin() -> str | None:
    """Return where the repository is cloned from; None outside a git checkout, or without such a place."""
    root = str(Path(__file__).parent.parent)
    try:
        asked = ["git", "-C", root, "remote", "get-url", "origin"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    """Return the processor's model and the number of cores that this process may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores"


def describe() -> Json:
    """Return commit, versions and processor as plain JSON types."""
    return {"commit": commit(), "versions": versions(), "processor": processor()}
