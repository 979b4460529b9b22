"""Read strangers' bytes in processes with limits: a spawner, which has imported what is needed, forks one a task.

spawners = Spawners("from zoo.ink import child; child.main()")  # which calls `serve` with its tasks
answer = spawners.started().run({"task": "decode"}, content, Limits(cpu=10))

A child gets a request and a file, and answers with one line of JSON and a file, or stays for a `conversation`. Whatever
happens in it costs this child alone: its memory returns, and this process reads nothing of it but JSON and bytes, which
the caller checks.
"""

import atexit
import contextlib
import gc
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

from zoo import settings
from zoo.processes import confinement
from zoo.types import Json

START = 60.0  # seconds within which a spawner must answer, on a busy machine too
LOOK = 0.5  # seconds after which it is looked whether an answer is still wanted
SLACK = 1_000_000_000  # bytes of addresses that threads and allocators reserve
SPARE = 2  # children that wait for a request
BUSY, CLOSED = b"+", b"-"  # what a child tells the spawner: it has a request; there will be none

Parts = Sequence[bytes | memoryview]
Task = Callable[[Json, bytes], tuple[Json, Parts]]  # a request and a file -> the header and the file of an answer
Converses = Callable[[Json, bytes, int], None]  # a request, a file, and the socket of whoever asks


@dataclass(frozen=True)
class Limits:
    """The most that a child may use; 0 seconds: whoever asks watches the time."""

    cpu: float = 4  # seconds of processor time
    wall: float = 20.0  # seconds of wall time; more than `cpu`, since the machine may be busy
    memory: int = 450_000_000  # bytes of private memory
    file: int = 512_000_000  # bytes of the file that it writes
    nice: int = 0  # by how much it gives way to other processes
    answer: int = 1_000_000  # bytes of its answer's JSON


@dataclass(frozen=True)
class Answer:
    """The result of a child: a JSON object, the file that it made, and resource usage."""

    header: dict[str, Any]
    file: IO[bytes]
    memory: int  # bytes, resident at most
    cpu: float  # seconds


class NoAnswer(Exception):
    """A child that ended without an answer before its wall time was over: it reached another limit, or crashed."""


class Late(NoAnswer):
    """A child that had no answer when its wall time was over."""


class Stopped(Exception):
    """A spawner that does not answer; the next task starts another."""


class Spawners:
    """The spawner of this process, started when it is needed, and again where it has ended.

    Args:
        launch: Python code that ends with a call of `serve`.
    """

    def __init__(self, launch: str):
        self._launch, self._lock = launch, threading.Lock()
        self._spawner: Spawner | None = None

    def started(self) -> "Spawner":
        """Return it."""
        with self._lock:
            if self._spawner is None or not self._spawner.alive:
                if self._spawner is not None:
                    self._spawner.close()  # its children, who wait for a request, end
                self._spawner = Spawner(self._launch)
            return self._spawner

    def run(self, request: Json, data: bytes, limits: Limits, check: Callable[[], object] = lambda: None) -> Answer:
        """Have a child do one task, as `Spawner.run`; once more where the spawner has been ended since the last one."""
        try:
            return self.started().run(request, data, limits, check)
        except Stopped:
            return self.started().run(request, data, limits, check)

    def conversation(self, request: Json, data: bytes, limits: Limits) -> tuple[socket.socket, int]:
        """Start a child that stays, as `Spawner.conversation`; once more where the spawner has been ended."""
        try:
            return self.started().conversation(request, data, limits)
        except Stopped:
            return self.started().conversation(request, data, limits)

    def close(self) -> None:
        """End it; it is started again when it is needed."""
        with self._lock:
            if self._spawner is not None:
                self._spawner.close()
            self._spawner = None


class Spawner:
    """The process that forks one child for each task; it ends with this process."""

    def __init__(self, launch: str) -> None:
        self.owner = os.getpid()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a message is one request
        with theirs:
            # -I: ignore the user's environment variables, and what stands in the place of a package; -B: write no
            # bytecode. Packages that only the user has come last.
            code = f"import sys; sys.path.insert(0, sys.argv.pop(1)); sys.path += sys.argv[2:]; {launch}"
            paths = [path for path in sys.path if os.path.isabs(path)]
            command = [sys.executable, "-I", "-B", "-c", code, str(settings.ROOT), str(theirs.fileno()), *paths]
            environment = {
                "LANG": "C.UTF-8",
                "HOME": "/nonexistent",
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                "ORT_DISABLE_TELEMETRY": "1",
                "MALLOC_ARENA_MAX": "2",  # others reserve 64 MB of addresses for each thread
            }
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
        atexit.unregister(self.close)
        if self.owner == os.getpid():
            self._end()

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()  # until then it seems to be alive

    def run(self, request: Json, data: bytes, limits: Limits, check: Callable[[], object] = lambda: None) -> Answer:
        """Have a child do one task.

        Args:
            request: {"task": its name, ...}.
            data: the content of its file.
            limits: of the child.
            check: called now and then; what it raises ends the child.

        Raises:
            NoAnswer: it ended without an answer, or was `Late`.
            Stopped: the spawner did not answer.
        """
        with contextlib.ExitStack() as kept:
            sent, made = kept.enter_context(tempfile.TemporaryFile()), kept.enter_context(tempfile.TemporaryFile())
            sent.write(data)
            sent.flush()
            ours, theirs = os.pipe()
            with open(ours, "rb", buffering=0) as pipe:
                started = time.monotonic()  # before the child's clock starts: one that it ends by is late
                child = self._child(request, limits, [sent.fileno(), made.fileno(), theirs], pipe)
                with contextlib.suppress(ProcessLookupError):
                    os.setpriority(os.PRIO_PROCESS, child, limits.nice)
                found = bytearray()
                try:
                    for part in _rest(pipe, time.monotonic() + limits.wall + 1, check):
                        found += part
                        if found.endswith(b"\n") or len(found) > limits.answer:
                            break  # the child ends while the answer is read
                finally:
                    if not found.endswith(b"\n"):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(child, signal.SIGKILL)
            try:
                header = json.loads(found[: limits.answer])
                used = {key: header.pop(key) for key in ("memory", "cpu")}
            except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
                raise (Late if time.monotonic() - started >= limits.wall else NoAnswer) from None
            made.seek(0)
            kept.pop_all()  # the caller reads it
            return Answer(header, made, **used)

    def conversation(self, request: Json, data: bytes, limits: Limits) -> tuple[socket.socket, int]:
        """Start a child that stays, see `zoo.processes.conversation`; return its socket, and a handle to end it.

        Raises:
            Stopped: the spawner did not answer.
        """
        with contextlib.ExitStack() as kept, tempfile.TemporaryFile() as sent:
            sent.write(data)
            sent.flush()
            ours, theirs = map(kept.enter_context, socket.socketpair())
            with open(os.dup(ours.fileno()), "rb", buffering=0) as pipe:
                child = self._child(request, limits, [sent.fileno(), theirs.detach()], pipe)
            try:
                handle = os.pidfd_open(child)  # another process may get the same number later
            except OSError:
                raise Stopped from None
            kept.pop_all()
            return ours, handle

    def _child(self, request: Json, limits: Limits, files: list[int], pipe: IO[bytes]) -> int:
        """Send a request with its files, the last of which is for the answer, and is closed; return the child's ID.

        Raises:
            Stopped: the spawner did not answer, and was ended.
        """
        try:
            message = json.dumps({**request, "limits": asdict(limits)}).encode()
            socket.send_fds(self.socket, [message], files)
        except OSError:
            self._end()
            raise Stopped from None
        finally:
            os.close(files[-1])
        child = _line(pipe, time.monotonic() + START)
        if not child:
            self._end()
            raise Stopped
        return int(child)


def _line(pipe: Any, deadline: float) -> bytes:
    """Return the first line of a pipe, read byte by byte to leave the rest; b"" if none comes."""
    line = b""
    while not line.endswith(b"\n"):
        part = _read(pipe, 1, deadline)
        if not part:
            return b""
        line += part
    return line


def _rest(pipe: Any, deadline: float, check: Callable[[], object]) -> Iterator[bytes]:
    """Yield data from a pipe until it is closed or the deadline has passed."""
    while time.monotonic() < deadline:
        part = _read(pipe, 2**16, min(deadline, time.monotonic() + LOOK))
        if part == b"":
            return
        if part:
            yield part
        check()


def _read(pipe: Any, most: int, deadline: float) -> bytes | None:
    """Return what is there; b"" where the pipe is closed, None where nothing came until the deadline."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    left = max(0.0, deadline - time.monotonic())
    found: bytes | None = pipe.read(most) if poll.poll(left * 1000) else None
    return found


# --- in the spawner ------------------------------------------------------------------------------


def serve(
    tasks: Mapping[str, Task],
    rehearse: Callable[[], object] = lambda: None,
    conversations: Mapping[str, Converses] = types.MappingProxyType({}),
) -> None:
    """Confine this process, and fork a child for every request until the socket is closed.

    `SPARE` children wait for the next request, so that it does not wait for the fork. A request comes with files: what
    was sent, what is made of it, and a pipe for the answer; or for a conversation, what was sent and a socket. A child
    writes its process ID. Then it does its task and writes one line of JSON, or converses.

    Args:
        tasks: by name; everything that they need is imported.
        rehearse: what a child does before its request comes: it has the memory of its own that a task takes by then.
        conversations: by name.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this decides when it ends
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children leave nothing to collect
    if sys.platform.startswith("linux"):
        confinement.go_first()
        room = _addresses() + SLACK
        confinement.give_up_files([settings.ROOT / name for name in ("zoo", "leaderboard")])
    else:
        room = 0
    gc.freeze()  # so that no child copies what it does not change
    waiting: list[int] = []
    nowhere = os.open(os.devnull, os.O_RDWR)
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            while len(waiting) < SPARE:
                listen, tell = os.pipe()
                if os.fork() == 0:
                    for one in (listen, *waiting):  # a child hears nothing of the others
                        os.close(one)
                    os.dup2(nowhere, 2)  # and writes nothing into the log
                    _child(tasks, rehearse, conversations, requests, tell, room)
                os.close(tell)
                waiting.append(listen)
            for one in select.select(waiting, [], [])[0]:
                said = os.read(one, 1)  # b"" where something ended the child while it waited
                os.close(one)
                waiting.remove(one)
                if said == CLOSED:
                    return


def _addresses() -> int:
    """Return the bytes of address space of this process; its children begin with as many."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _child(
    tasks: Mapping[str, Task],
    rehearse: Callable[[], object],
    conversations: Mapping[str, Converses],
    requests: socket.socket,
    tell: int,
    room: int,
) -> None:
    """Wait for a request, do its task and end.

    Args:
        room: bytes of addresses that a child has in addition to its limit of memory; 0: any number.
    """
    import resource  # Windows has none

    try:
        if sys.platform.startswith("linux"):
            confinement.end_with_parent()
            confinement.leave()
            confinement.seccomp()
        rehearse()
        message, files, _, _ = socket.recv_fds(requests, 65_536, 3)
        os.write(tell, BUSY if message else CLOSED)
        os.close(tell)
        requests.close()  # before a stranger's byte is read
        if not message:
            return
        sent, answer = files[0], files[-1]
        request = json.loads(message)
        limits = Limits(**request.pop("limits"))
        signal.setitimer(signal.ITIMER_REAL, limits.wall)  # nobody handles SIGALRM and SIGPROF, so they kill
        signal.setitimer(signal.ITIMER_PROF, limits.cpu)
        os.write(answer, b"%d\n" % os.getpid())
        if limits.cpu:
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limits.cpu) + 1,) * 2)  # which nobody can take back
        if room:  # what is made read-only is no data
            resource.setrlimit(resource.RLIMIT_AS, (limits.memory + room,) * 2)
        for kind, most in (
            (resource.RLIMIT_DATA, limits.memory),
            (resource.RLIMIT_FSIZE, limits.file),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (most, most))
        if request["task"] in conversations:
            return conversations[request["task"]](request, _content(sent), answer)
        header = _answer(tasks, request, *files[:2])
        used = resource.getrusage(resource.RUSAGE_SELF)
        header |= {"memory": used.ru_maxrss * 1024, "cpu": used.ru_utime + used.ru_stime}
        write(answer, json.dumps(header).encode() + b"\n")
    finally:
        os._exit(0)


def _content(sent: int) -> bytes:
    with open(sent, "rb") as file:
        file.seek(0)
        return file.read()


def _answer(tasks: Mapping[str, Task], request: Json, sent: int, made: int) -> Json:
    """Return the header of an answer; the trace of whatever went wrong."""
    try:
        header, parts = tasks[request["task"]](request, _content(sent))
        for part in parts:
            write(made, part)
        return header
    except MemoryError:
        os._exit(1)  # the same as if the kernel had ended it
    except BaseException:  # a mistake of ours must not cost the sender an answer
        return {"trace": traceback.format_exc()[-8000:]}


def write(handle: int, data: bytes | memoryview) -> None:
    """Write all of it to an open file: a child may not send through a socket otherwise."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
