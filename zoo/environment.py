"""What a run was made with: versions, commit and hardware, for its provenance."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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


def commit() -> str | None:
    """Return the repository's commit, with "+" where tracked code differs from it; None outside a git checkout."""
    root = Path(__file__).parent.parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", root, *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "*.py")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
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


def describe() -> dict:
    """Return commit, versions and processor as plain JSON types."""
    return {"commit": commit(), "versions": versions(), "processor": processor()}
