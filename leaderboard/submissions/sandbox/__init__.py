"""A sandboxed process for one measurement: isolated, monitored, and removed with all its files.

    with Box("keras") as box:                # starts, confines itself and warms up
        outcome = box.run(job, content)      # only checked values come back

The child has an empty environment, no network, a folder of its own, and limits on memory, processor time, wall time,
files and processes (`confinement`). The parent reads back one small JSON of known fields, one array of known size, and
an ONNX file that goes through the same static checks as one that was sent.
"""

import contextlib
import fcntl
import json
import logging
import math
import os
import re
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from leaderboard.submissions import budget
from leaderboard.submissions.checks import guard, onnx_parameters
from leaderboard.submissions.sandbox import child, consumption
from leaderboard.submissions.sandbox.outcome import (
    Cancelled,
    NoMachine,
    NotReached,
    Outcome,
    Unfit,
    Unsafe,
    check_isolation,
    checked_probabilities,
    fraction,
    number,
)
from leaderboard.submissions.sandbox.surroundings import (
    FOLDER,
    LOCK,
    environment,
    private_places,
    remove_folder,
    sweep,
)
from leaderboard.submissions.taking import Compiled
from zoo import settings
from zoo.errors import ZooError
from zoo.processes.confinement import Resources
from zoo.strict.problems import Refused
from zoo.types import Json

__all__ = [
    "MEASURING",
    "TRAINING",
    "Box",
    "Cancelled",
    "NoMachine",
    "NotReached",
    "Outcome",
    "Resources",
    "Unfit",
    "Unsafe",
    "check_isolation",
    "checked_probabilities",
    "environment",
    "open_box",
    "sweep",
]

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[3]
LAUNCH = Path(__file__).with_name("launch.py")
MEASURING = Resources(wall=budget.MEASURING)
TRAINING = Resources(cpu=3 * 3600, wall=3600.0)
SMALL = 20_000  # bytes of a JSON file that comes back
LARGEST_LOG = 10_000_000  # bytes of a log that is read
LARGEST_MODEL = 300_000_000  # bytes of the ONNX file that comes back
LARGEST_PORTABLE = 12_000_000  # bytes of the program for a browser that comes back
POLL = 0.05  # seconds
LOOK = 0.2  # seconds between looks at the folder, more where one takes long
ABSOLUTE = re.compile(r"(?:/[\w.+@-]+)+/([\w.+@-]+)")  # a path


class Box:
    """One sandboxed process, good for one job; a context manager."""

    def __init__(self, kind: str, resources: Resources = MEASURING, readable: tuple[Path, ...] = ()):
        self.resources = resources
        sweep()
        self._make_folder()
        self._began = time.monotonic()
        options = {
            "readable": [str(path) for path in readable],
            "resources": asdict(resources),
            "warm": kind,
            "attended": True,
            "probes": {"outside": str(self.outside), "private": [str(path) for path in private_places()]},
        }
        # -I: ignore the user's environment variables, folders and packages; -B: write no bytecode.
        command = [sys.executable, "-I", "-B", str(LAUNCH), str(ROOT), json.dumps(options)]
        with (self.folder / "log").open("wb") as log_file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log_file, stderr=log_file, cwd=self.folder,
                env=environment(self.folder / "tmp"), start_new_session=True,
            )  # fmt: skip
        assert self.process.stdin is not None
        self.stdin = self.process.stdin

    def _make_folder(self) -> None:
        """Make a folder for this sandbox alone, with a file next to it that the child must not reach."""
        self.base = Path(tempfile.mkdtemp(prefix=FOLDER)).resolve()
        self.lock = (self.base / LOCK).open("w")  # held as long as this process lives, see `sweep`
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.folder, self.outside = self.base / "own", self.base / "outside" / "secret"
        (self.folder / "tmp").mkdir(parents=True)
        self.outside.parent.mkdir()
        self.outside.write_text(secrets.token_hex(16))

    def _remove_folder(self) -> None:
        remove_folder(self.base)
        self.lock.close()

    def __enter__(self) -> "Box":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process is there and waits for its job."""
        return self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it is warm."""
        return (self.folder / child.READY).exists()

    def close(self) -> None:
        """End the process with everything it may have started, and remove its folder."""
        self._end()
        with contextlib.suppress(OSError):
            self.stdin.close()
        self._remove_folder()

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def run(
        self,
        job: Json,
        content: bytes,
        images: np.ndarray,
        progress: Callable[[float], None] = lambda share: None,
        cancelled: Callable[[], bool] = lambda: False,
        need_isolation: bool = True,
    ) -> Outcome:
        """Run one job and return its outcome.

        Args:
            job: see `job_of`.
            content: the submission's clean content.
            images: uint8 (asked, H, W, 1), in the order in which they are asked; `job["sizes"]` parts them into calls.
            progress: called with the fraction done, 0 to 1.
            cancelled: called repeatedly; returns whether to stop.
            need_isolation: refuse to go on where something got through in `probes`.

        Raises:
            Unfit: it cannot be measured, in a sentence for its sender.
            Unsafe: something that must not work in a sandbox does.
            Cancelled: `cancelled` said so.
        """
        self._began = time.monotonic()
        deadline = self._began + self.resources.wall
        (self.folder / "model.sent").write_bytes(content)
        images.tofile(self.folder / child.IMAGES)
        (self.folder / "job.json").write_text(json.dumps({**job, "shape": images.shape[1:]}))
        isolation = self.isolation(cancelled)
        if need_isolation:
            check_isolation(isolation)
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(b"\n")
            self.stdin.flush()

        def done() -> bool:
            progress(self._progress())
            return False

        try:
            self._watch(deadline, cancelled, done)
        except Unfit:
            if not (self.folder / child.OUTCOME).is_file():
                raise
            self._end()  # what comes after the outcome is for browsers alone: the measurement stands
        return self._outcome(job, len(images), content, isolation)

    def _watch(self, deadline: float, cancelled: Callable[[], bool], done: Callable[[], bool]) -> None:
        """Wait until the process ends or `done` says so; Unfit if it uses more than it may."""
        look = 0.0  # the next one at the folder
        while self.process.poll() is None and not done():
            if cancelled():
                raise Cancelled
            if time.monotonic() > deadline:
                raise Unfit(f"It was stopped after {self.resources.wall:,.0f} s, the most that a measurement may take.")
            used = None if (began := time.monotonic()) < look else self.folder
            reached = consumption.reached(self.process.pid, self.resources, used)
            if used:
                look = time.monotonic() + max(LOOK, 5 * (time.monotonic() - began))
            if reached and self.process.poll() is None:  # one that has just ended cannot be looked into
                raise Unfit(f"It was stopped because it {reached}.")
            time.sleep(POLL)

    # What is read back

    def _take(self, name: str, most: int) -> bytes:
        """Return a plain file of the child's folder; OSError if there is none, Unfit if it is something else."""
        handle = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_size > most:
                raise Unfit("It left something other than an answer.")
            return file.read(most)

    def _ended(self) -> Unfit | NotReached:
        """Return how the process ended without an answer: NotReached where somebody or something else has ended it."""
        status, limits = self.process.poll(), self.resources
        most_busy = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        if status == -signal.SIGKILL and most_busy < limits.cpu / 2:
            return NotReached("Its sandbox was ended from outside, as where a machine has too little memory.")
        if status == -signal.SIGXCPU or (status == -signal.SIGKILL and self._progress() < 1):
            return Unfit(f"It was stopped after {limits.cpu:,} s of processor time, or for its use of memory.")
        if status == -signal.SIGXFSZ:
            return Unfit(f"It was stopped because it wrote a file of more than {limits.file / 1e6:.0f} MB.")
        with contextlib.suppress(OSError, Unfit):  # the child may have put anything there
            tail = self._take("log", LARGEST_LOG)[-2000:].decode("utf-8", "replace").strip().splitlines()[-3:]
            log.warning("A sandbox ended with status %s: %s", status, " | ".join(tail))
        if status is not None and status < 0:
            name = next((one.name for one in signal.Signals if one == -status), f"signal {-status}")
            return Unfit(
                f"Its process was ended by {name}, as when it needs more than {limits.memory / 1e9:.0f} GB of memory."
            )
        return Unfit(f"Its process ended with status {status} and without an answer.")

    def isolation(self, cancelled: Callable[[], bool] = lambda: False) -> dict[str, str]:
        """Wait until it is warm, and return what the kernel granted, and what became of the probes.

        "network", "files" and "processes" name mechanisms; "probes" says how many were refused; "got_through" names
        the others, and is the empty string where there are none.
        """
        self._watch(time.monotonic() + self.resources.wall, cancelled, lambda: self.ready)
        return self._granted()

    def _granted(self) -> dict[str, str]:
        found = self._json(child.READY)
        granted = {name: str(found.get(name, "none"))[:40] for name in ("network", "files", "processes")}
        tried = found.get("probes")
        if not isinstance(tried, dict) or not tried:
            return {**granted, "probes": "none", "got_through": "the probes, which were not made"}
        through = [str(name) for name, how in tried.items() if how and not str(how).startswith("not tried")]
        if not self.outside.exists() or len(os.listdir(self.outside.parent)) > 1:
            through.append("change files outside")
        refused = sum(not how for how in tried.values())
        return {**granted, "probes": f"{refused} of {len(tried)} refused", "got_through": ", ".join(through)[:1000]}

    def _json(self, name: str) -> Json:
        try:
            value = json.loads(self._take(name, SMALL))
        except OSError:
            raise self._ended() from None
        except (ValueError, RecursionError):
            raise Unfit("It left something other than an answer.") from None
        if not isinstance(value, dict):
            raise Unfit("It left something other than an answer.")
        return value

    def _progress(self) -> float:
        try:
            share = float(self._take(child.PROGRESS, 20))
        except (OSError, Unfit, ValueError):
            return 0.0
        return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0

    def _outcome(self, job: Json, asked: int, content: bytes, isolation: dict[str, str]) -> Outcome:
        """Return what the child left, checked: answers to all that was asked, and the model that gave them."""
        found = self._json(child.OUTCOME)
        if "reason" in found:
            raise Unfit(ABSOLUTE.sub(r"\1", " ".join(str(found["reason"])[:500].split())))
        classes = job["classes"]
        try:
            data = self._take(child.ANSWERS, asked * classes * 4)
            model = content if job["kind"] == "onnx" else self._take(child.MODEL, LARGEST_MODEL)
        except OSError:
            raise Unfit("It left no answers.") from None
        if len(data) != asked * classes * 4:
            raise Unfit("It did not answer every image.")
        answers = checked_probabilities(np.frombuffer(data, np.float32).reshape(asked, classes))
        try:
            report = guard.read_onnx(model)
        except Refused as error:
            raise Unfit(f"Its ONNX form would be rejected: {error}") from error
        multiply_adds = number(found, "multiply_adds", 0, child.MOST_MULTIPLY_ADDS)
        used = int(number(found, "used_numbers", 0, 10**10))
        parameters = max(report.parameters, onnx_parameters.in_all(used, report.structure))
        training = None
        if job["kind"] == "json":
            training = {
                "epochs": number(found, "epochs", 1, 10_000),
                "validation_accuracy": fraction(found, "validation_accuracy"),
                "training_seconds": number(found, "training_seconds", 0, 10**6),
            }
        portable = self._portable()
        return Outcome(answers, report.content, int(multiply_adds), parameters, training, isolation, portable)

    def _portable(self) -> Compiled:
        """Return what the child made of the network for a browser; where it did not manage, the reason."""
        try:
            found = Compiled.from_json(self._take(child.PORTABLE, LARGEST_PORTABLE))
        except (OSError, ZooError):
            return Compiled(reason="This network cannot be exported: compiling it takes too long.")
        return replace(found, reason=ABSOLUTE.sub(r"\1", " ".join(found.reason[:500].split())))


def open_box(kind: str, resources: Resources = MEASURING, readable: tuple[Path, ...] = ()) -> Box:
    """Return a sandbox of the backend that `ZOO_SANDBOX` names: "local" for a process here, "jobs" for a machine."""
    if settings.sandbox_backend() == "local":
        return Box(kind, resources, readable)
    from leaderboard.submissions.sandbox.hub_jobs import JobBox

    return JobBox(kind, resources, readable)
