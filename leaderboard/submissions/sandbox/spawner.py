"""Fork a process for every static check: this process has imported what the checks need, so a child starts at once.

`guard.Spawner` starts `main` and sends it requests over a socket, each with three files: what was sent, what is made of
it, and a pipe for the answer. A child writes its process ID, does its task, and writes one line of JSON.
"""

import json
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from leaderboard.submissions import checks
from leaderboard.submissions.checks import onnx_graph
from leaderboard.submissions.checks.guard import Limits
from leaderboard.submissions.checks.problems import Refused
from leaderboard.submissions.sandbox import confinement
from zoo.types import Json

NICE = 5  # a check gives way to whoever waits for a prediction


def check(request: Json, data: bytes) -> tuple[Json, bytes | None]:
    """The task "check": a file that was sent."""
    checked = checks.check(data, request["filename"], request["wanted"])
    return checked.to_dict(), checked.content


def onnx(request: Json, data: bytes) -> tuple[Json, bytes | None]:
    """The task "onnx": an ONNX file of a sandbox."""
    try:
        report = onnx_graph.read_graph(data)
    except Refused as error:
        return {"problems": [problem.to_dict() for problem in error.problems]}, None
    return report.to_dict(), report.content


TASKS: dict[str, Callable[[Json, bytes], tuple[Json, bytes | None]]] = {"check": check, "onnx": onnx}


def main() -> None:
    """Confine this process, then fork a child for every request until the socket is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this decides when it ends
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children leave nothing to collect
    onnx_graph.warm_up()
    if sys.platform.startswith("linux"):
        confinement.give_up_files([Path(__file__).parents[3] / name for name in ("zoo", "leaderboard")])
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            message, files, _, _ = socket.recv_fds(requests, 65_536, 3)
            if not message:
                return
            if os.fork() == 0:
                requests.close()
                _child(message, *files)
            for file in files:
                os.close(file)


def _child(message: bytes, sent: int, made: int, answer: int) -> None:
    """Do one task and end."""
    try:
        request = json.loads(message)
        limits = Limits(**request["limits"])
        signal.setitimer(signal.ITIMER_REAL, limits.wall)  # nobody handles SIGALRM, so it kills
        os.write(answer, b"%d\n" % os.getpid())
        os.nice(NICE)
        for kind, most in (
            (resource.RLIMIT_CPU, limits.cpu),
            (resource.RLIMIT_DATA, limits.memory),
            (resource.RLIMIT_FSIZE, limits.file),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (most, most))
        if sys.platform.startswith("linux"):
            confinement.seccomp()
        header = _answer(request, sent, made)
        used = resource.getrusage(resource.RUSAGE_SELF)
        header |= {"memory": used.ru_maxrss * 1024, "cpu": used.ru_utime + used.ru_stime}
        _write(answer, json.dumps(header).encode() + b"\n")
    finally:
        os._exit(0)


def _answer(request: Json, sent: int, made: int) -> Json:
    """Return the header of an answer; the trace of whatever went wrong."""
    try:
        with open(sent, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read()
        header, content = TASKS[request["task"]](request, data)
        if content is not None:
            _write(made, content)
            header["content"] = True
        return header
    except MemoryError:
        os._exit(1)  # the same as if the kernel had ended it
    except BaseException:  # a mistake of ours must not cost the sender an answer
        return {"trace": traceback.format_exc()[-8000:]}


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
