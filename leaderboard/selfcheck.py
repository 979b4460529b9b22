"""What the board adds to `handwriting-zoo check`: whether a stranger's network could be measured on this machine."""

import json
import subprocess
import sys
from collections.abc import Iterator

from zoo.selfcheck import Finding


def findings() -> Iterator[Finding]:
    """Confine a process as a submission would be, and report what the kernel grants."""
    subject, advice = "sandbox", "submissions are accepted, but need a worker on a machine with namespaces or seccomp"
    command = [
        sys.executable,
        "-m",
        "leaderboard.submissions",
        "--isolation",
    ]  # it cannot be undone: a process of its own
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        granted = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        yield Finding(subject, "note", f"not available: {error}", advice)
        return
    says = ", ".join(f"{kind} {how}" for kind, how in granted.items())
    yield Finding(subject, "note", says, advice) if granted["network"] == "none" else Finding(subject, "ok", says)
