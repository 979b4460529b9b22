"""The leaderboard's part of `handwriting-zoo check`: whether untrusted networks can be measured on this machine."""

from collections.abc import Iterator

from leaderboard.submissions.sandbox import Box, Unfit
from zoo.errors import ZooError
from zoo.selfcheck import Finding


def findings() -> Iterator[Finding]:
    """Start a sandbox as for a submission, and report which probes succeeded."""
    subject, advice = "sandbox", "submissions are accepted, but need a worker on a machine that confines sandboxes"
    try:
        with Box("onnx") as box:
            isolation = box.isolation()
    except (OSError, Unfit, ZooError) as error:
        yield Finding(subject, "note", f"not available: {error}", advice)
        return
    if through := isolation.pop("got_through"):
        yield Finding(subject, "note", f"not safe: in it one can {through}", advice)
        return
    yield Finding(subject, "ok", ", ".join(f"{kind} {how}" for kind, how in isolation.items()))
