"""Run the static checks in a process of their own, with limits on time and memory.

checked = guard.check(data, "model.keras", ("mnist",))  # like `checks.check`, but always returns a report

The caller never parses untrusted bytes: it writes them to an unnamed file, and `sandbox.spawner` forks a process that
reads this file, has no network, no token and no access to other users' files, and is killed at its limits. So the
server keeps answering, and every failure of a check becomes one sentence for the sender.
"""

import atexit
import contextlib
import json
import logging
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from leaderboard.submissions import checks
from leaderboard.submissions.checks import onnx_graph
from leaderboard.submissions.checks.problems import Problem, Refused
from zoo.errors import ZooError
from zoo.types import Json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The most that a child may use."""

    cpu: int = 4  # seconds of processor time
    wall: float = 20.0  # seconds of wall time; more than `cpu`, since the machine may be busy
    memory: int = 450_000_000  # bytes of private memory
    file: int = 512_000_000  # bytes of the file that it writes

    @property
    def problem(self) -> Problem:
        """Why a child ended without an answer before its wall time was over."""
        what = f"Checking it took more than {self.cpu} s of processor time or {self.memory / 1e6:.0f} MB of memory."
        return Problem("limits", what, "No ordinary file does: export the network again with its framework.")


ROOT = Path(__file__).parents[3]
LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from leaderboard.submissions.sandbox import spawner; spawner.main()"
)
SENT = Limits()  # for a submitted file
MEASURED = Limits(cpu=20, wall=60.0, memory=2_000_000_000)  # for an ONNX file that a sandbox made, up to 300 MB
AT_ONCE = 2  # checks at a time; each may take `SENT.memory`
PATIENCE = 30.0  # seconds that a check waits for its turn
START = 30.0  # seconds within which the spawner must answer


@dataclass(frozen=True)
class Answer:
    """The result of a child: a JSON object, the bytes of a file if the task makes one, and resource usage."""

    header: dict[str, Any]
    content: bytes | None
    memory: int  # bytes, resident at most
    cpu: float  # seconds


def check(data: bytes, filename: str, wanted: Sequence[str], limits: Limits = SENT) -> checks.Checked:
    """Return the result of `checks.check` from a process with limits; reaching a limit is a problem.

    Args:
        data: the file's bytes.
        filename: only its suffix is used, and only for a better message.
        wanted: names of datasets.
        limits: of the process.

    Raises:
        ZooError: too many checks are running, or no process can be started here.
    """
    if len(data) > checks.MOST_BYTES or not data:
        return checks.check(data, filename, wanted)  # decided by the size alone
    try:
        answer = run({"task": "check", "filename": filename[-200:], "wanted": list(wanted)}, data, limits)
    except Refused as error:
        return checks.refused(data, filename, error)
    return checks.Checked.from_dict(answer.header, answer.content)


def read_onnx(data: bytes, limits: Limits = MEASURED) -> onnx_graph.Report:
    """Return the result of `onnx_graph.read_graph` from a process with limits; raise its Refused."""
    answer = run({"task": "onnx"}, data, limits)
    if "problems" in answer.header:
        raise Refused.of([Problem(**one) for one in answer.header["problems"]])
    return onnx_graph.Report.from_dict(answer.header, answer.content or b"")


def start() -> None:
    """Start the spawner in the background, so that the first check does not wait for it."""
    threading.Thread(target=_started, name="checks", daemon=True).start()


def run(request: Json, data: bytes, limits: Limits) -> Answer:
    """Return the answer of a child; raise Refused with one sentence if there is none."""
    if not _TURNS.acquire(timeout=PATIENCE):
        raise ZooError("Many files are being checked at the moment. Try again in a minute.")
    try:
        answer = _started().run(request, data, limits)
    finally:
        _TURNS.release()
    if "trace" in answer.header:
        number = secrets.token_hex(4)
        log.error("Incident %s: a static check failed.\n%s", number, answer.header["trace"])
        what = f"The checks cannot read this file (incident {number})."
        raise Refused("incident", what, "Export the network again; if that does not help, report the number.")
    return answer


_TURNS = threading.BoundedSemaphore(AT_ONCE)
_LOCK = threading.Lock()
_SPAWNER: "Spawner | None" = None


def _started() -> "Spawner":
    """Return the spawner of this process, started if it is not running."""
    global _SPAWNER
    with _LOCK:
        if _SPAWNER is None or not _SPAWNER.alive:
            _SPAWNER = Spawner()
        return _SPAWNER


class Spawner:
    """The process that forks one child for each check; it ends with this process."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.lock = threading.Lock()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            # -I: ignore the user's environment variables, folders and packages; -B: write no bytecode.
            command = [sys.executable, "-I", "-B", "-c", LAUNCH, str(ROOT), str(theirs.fileno())]
            environment = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", env=environment,
                pass_fds=[theirs.fileno()],
            )  # fmt: skip
        atexit.register(self.close)

    @property
    def alive(self) -> bool:
        """Whether the process runs and belongs to this process: a fork needs its own."""
        return self.owner == os.getpid() and self.process.poll() is None

    def close(self) -> None:
        """End the process."""
        self.socket.close()
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()

    def run(self, request: Json, data: bytes, limits: Limits) -> Answer:
        """Have a child do one task.

        Raises:
            Refused: it ended without an answer.
            ZooError: it had too little of the processor: the file may be in order, and nothing is kept of it.
        """
        with tempfile.TemporaryFile() as sent, tempfile.TemporaryFile() as made:
            sent.write(data)
            sent.flush()
            ours, theirs = os.pipe()
            with open(ours, "rb", buffering=0) as pipe:
                with self.lock:  # until the child runs, so that messages do not mix
                    try:
                        message = json.dumps({**request, "limits": asdict(limits)}).encode()
                        socket.send_fds(self.socket, [message], [sent.fileno(), made.fileno(), theirs])
                    except OSError:
                        self.process.kill()
                        raise ZooError("The file checks stopped unexpectedly. Try again.") from None
                    finally:
                        os.close(theirs)
                    started = time.monotonic()
                    child = _line(pipe, started + START)
                begun = time.monotonic()
                found = b"".join(_rest(pipe, begun + limits.wall + 1))
            if child and not found.endswith(b"\n"):
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(int(child), signal.SIGKILL)
                if time.monotonic() - started >= limits.wall:
                    raise ZooError("The server is too busy to check this file now. Send it again in a minute.")
                raise Refused.of([limits.problem])
            if not child:
                self.process.kill()  # the next check starts a new one
                raise ZooError("The file checks stopped unexpectedly. Try again.")
            made.seek(0)
            header = json.loads(found)
            used = {key: header.pop(key) for key in ("memory", "cpu")}
            return Answer(header, made.read() if header.pop("content", None) else None, **used)


def _line(pipe: Any, deadline: float) -> bytes:
    """Return the first line of a pipe, read byte by byte to leave the rest; b"" if none comes."""
    line = b""
    while not line.endswith(b"\n"):
        part = _read(pipe, 1, deadline)
        if not part:
            return b""
        line += part
    return line


def _rest(pipe: Any, deadline: float) -> Any:
    """Yield data from a pipe until it is closed or the deadline has passed."""
    while part := _read(pipe, 2**16, deadline):
        yield part


def _read(pipe: Any, most: int, deadline: float) -> bytes:
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    left = deadline - time.monotonic()
    return pipe.read(most) if left > 0 and poll.poll(left * 1000) else b""
