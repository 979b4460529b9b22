"""Probes: forbidden actions, tried from inside a sandbox before a submission enters it.

    tried(surroundings)   the name of every probe -> "" where it was refused, else what got through

Imports the standard library and `confinement` alone. A probe raises OSError or MemoryError where it is refused, or
returns where it was not.
"""

import ctypes
import fcntl
import importlib
import mmap
import os
import platform
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

PAGE = mmap.PAGESIZE
VARIABLES = {  # of the environment of a sandbox
    "HOME", "TMPDIR", "LANG", "LC_CTYPE", "KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "HF_HUB_OFFLINE", "HF_HOME",
    "JOBLIB_MULTIPROCESSING", "ORT_DISABLE_TELEMETRY",
}  # fmt: skip
Probe = Callable[[], object]


@dataclass(frozen=True)
class Surroundings:
    """What a sandbox is tested against.

    folder: its own folder.
    memory, file: its limits in bytes.
    outside: a file of its parent that it must neither read nor change.
    private: other files and folders of this machine that it must not read, such as the board's records.
    """

    folder: Path
    memory: int
    file: int
    outside: str
    private: list[str]


class GotThrough(Exception):
    """Something that must not work did, in a way that no return value shows."""


def tried(around: Surroundings) -> dict[str, str]:
    """Try every probe and return what got through, by the probe's name; the empty string where nothing did."""
    found = {}
    for group in (_files, _environment, _network, _processes, _memory, _limits, _time):
        for name, probe in group(around):
            try:
                probe()
                found[name] = "it works here"
            except GotThrough as error:
                found[name] = str(error)[:100]
            except (OSError, MemoryError, ValueError, AttributeError) as error:
                absent = isinstance(error, FileNotFoundError | ValueError | AttributeError)
                found[name] = f"not tried: {type(error).__name__}" if absent else ""
    return found


def _call(name: str | tuple[int, int], *arguments: int) -> Probe:
    """Return a probe that makes a system call; it is refused where the filter refuses it, not where it merely fails.

    name: of one of `confinement.CALLS`, or its numbers on x86-64 and ARM64.
    """

    def probe() -> None:
        confinement = importlib.import_module("confinement")
        column = list(confinement._ARCHITECTURES).index(platform.machine())
        number = (confinement.CALLS[name] if isinstance(name, str) else name)[column]
        if number is None:
            raise PermissionError("this machine has no such call")
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        error = ctypes.get_errno()
        if result >= 0 or error not in (1, 13, 38):  # EPERM, EACCES, ENOSYS
            raise GotThrough("it works here" if result >= 0 else f"it fails for another reason: {os.strerror(error)}")
        raise OSError(error, os.strerror(error))

    return probe


def _files(around: Surroundings) -> Iterator[tuple[str, Probe]]:
    outside, own = Path(around.outside), around.folder / "probe"
    yield "read a file outside", outside.read_bytes
    yield "list a folder outside", lambda: os.listdir(outside.parent)
    yield "write a file outside", lambda: os.close(os.open(outside, os.O_WRONLY))
    yield "truncate a file outside", lambda: os.truncate(outside, 0)
    yield "make a file outside", lambda: outside.with_name("made").touch()
    yield "make a folder outside", lambda: outside.with_name("folder").mkdir()
    yield "link a file in", lambda: own.hardlink_to(outside)

    def follow() -> bytes:
        own.symlink_to(outside)
        try:
            return own.read_bytes()
        finally:
            own.unlink()

    yield "follow a link out", follow
    yield "change a mode outside", lambda: outside.chmod(0o777)
    yield "change an owner outside", lambda: os.chown(outside, os.getuid(), os.getgid())
    yield "change a time outside", lambda: os.utime(outside, (1, 1))
    yield "set an attribute outside", lambda: os.setxattr(outside, "user.probe", b"1")
    yield "remove an attribute outside", lambda: os.removexattr(outside, "user.probe")
    yield "rename a file outside", lambda: outside.rename(outside.with_name("renamed")).rename(outside)
    yield "move a file in", lambda: outside.rename(own).rename(outside)
    yield "delete a file outside", outside.unlink
    for number, path in enumerate(around.private):
        yield f"read private place {number + 1}", partial(_look, Path(path))
    for path in ("/", "/etc/passwd", "/dev/shm", "/tmp", "/proc", "/proc/1/environ"):
        yield f"read {path}", partial(_look, Path(path))
    yield "make a file in shared memory", lambda: os.close(os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR))
    for name, request in (("flags", 0x80086601), ("attributes", 0x801C581F)):  # reading harms nothing
        yield f"control {name} of a file", partial(_control, request)
    yield "hold up who writes a file", _lease
    yield "watch what others do with files", _call("inotify_init1", 0)


def _lease() -> None:
    with open(__file__, "rb") as file:
        fcntl.fcntl(file.fileno(), fcntl.F_SETLEASE, fcntl.F_RDLCK)


def _control(request: int) -> None:
    """Ask for an ioctl; it is refused where the filter refuses it, not where the file system does not know it."""
    try:
        with open(__file__, "rb") as file:
            fcntl.ioctl(file.fileno(), request, bytes(128))
    except OSError as error:
        if error.errno not in (1, 13):
            raise GotThrough(f"it fails for another reason: {error.strerror}") from None
        raise


def _look(path: Path) -> None:
    """Read a file or list a folder."""
    os.listdir(path) if path.is_dir() else path.read_bytes()


def _environment(around: Surroundings) -> Iterator[tuple[str, Probe]]:
    def own() -> None:
        if more := set(os.environ) - VARIABLES:
            raise GotThrough(f"{len(more)} more variables")
        raise PermissionError

    yield "find variables of others", own
    for name in ("environ", "cmdline", "maps", "mem", "fd", "cwd/."):
        yield f"read {name} of the parent", partial(_look, Path(f"/proc/{os.getppid()}/{name}"))


def _network(around: Surroundings) -> Iterator[tuple[str, Probe]]:
    for name in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"):
        if hasattr(socket, name):
            kind = socket.SOCK_RAW if name in ("AF_NETLINK", "AF_PACKET") else socket.SOCK_STREAM
            yield f"open a socket {name}", partial(_open_socket, getattr(socket, name), kind)
    yield "open a pair of sockets", _call("socketpair", 1, 1, 0, 0)
    yield "set up io_uring", _call("io_uring_setup", 1, 0)


def _open_socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


def _processes(around: Surroundings) -> Iterator[tuple[str, Probe]]:
    parent = os.getppid()

    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)

    yield "fork", fork
    yield "run a program", _call("execve", 0, 0, 0)
    yield "signal the parent", lambda: os.kill(parent, 0)
    yield "get a handle of the parent", _call("pidfd_open", parent, 0)
    yield "trace the parent", _call("ptrace", 0x4206, parent, 0, 0)  # PTRACE_SEIZE, which stops nobody
    yield "read the memory of the parent", _call("process_vm_readv", parent, 0, 0, 0, 0, 0)
    yield "limit the parent", lambda: resource.prlimit(parent, resource.RLIMIT_CORE)
    yield "pin the parent to a processor", lambda: os.sched_setaffinity(parent, os.sched_getaffinity(0))
    yield "slow the parent down", lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(0, parent))

    def own_signals() -> None:
        fcntl = importlib.import_module("fcntl")
        read, write = os.pipe()
        try:
            fcntl.fcntl(read, fcntl.F_SETOWN, parent)
        finally:
            os.close(read)
            os.close(write)

    yield "have the kernel signal the parent", own_signals
    # Without CLONE_SIGHAND the kernel starts no thread: only the filter's answer differs.
    yield "start a thread with open files of its own", _call((56, 220), 0x00010000, 0, 0, 0, 0)
    yield "get open files of its own", _call((436, 436), 2**31 - 1, 2**31 - 1, 2)  # CLOSE_RANGE_UNSHARE
    yield "hide its open files", _call((157, 167), 4, 2, 0, 0, 0)  # PR_SET_DUMPABLE, to a value that is not allowed
    yield "enter a new namespace", _call("unshare", 0x10000000)
    yield "enter a namespace of another process", _call("setns", -1, 0)
    yield "mount", _call("mount", 0, 0, 0, 0, 0)
    yield "change the root folder", _call("chroot", 0)
    for name in ("bpf", "perf_event_open", "keyctl", "init_module", "userfaultfd"):
        yield f"call {name}", _call(name, 0, 0, 0, 0, 0)


def _memory(around: Surroundings) -> Iterator[tuple[str, Probe]]:
    yield "take more private memory than allowed", lambda: mmap.mmap(-1, around.memory, mmap.MAP_PRIVATE).close()
    yield "take shared memory", lambda: mmap.mmap(-1, PAGE).close()
    yield "take memory as a stack", lambda: mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | 0x100).close()  # MAP_GROWSDOWN
    yield "take a memory segment", _call("shmget", 0, PAGE, 0o1600)
    yield "take a message queue", _call("msgget", 0, 0o1600)
    yield "take a file in memory", lambda: os.close(os.memfd_create("probe"))
    yield "take secret memory", _call("memfd_secret", 0)
    yield "take memory for a filter", _call("seccomp", 1, 0, 0)
    yield "take memory for a filter of a thread", _call((157, 167), 22, 2, 0, 0, 0)  # PR_SET_SECCOMP, of no filter
    yield "take memory for timers", _call("timer_create", -1, 0, 0)
    yield "keep memory in a pipe", _call("vmsplice", -1, 0, 0, 0)
    yield "keep a file's memory in a pipe", _call("splice", -1, 0, -1, 0, 0, 0)

    def zero() -> None:
        with open("/dev/zero", "rb") as file:
            mmap.mmap(file.fileno(), PAGE, access=mmap.ACCESS_READ).close()

    yield "map /dev/zero", zero


def _limits(around: Surroundings) -> Iterator[tuple[str, Probe]]:
    def long_file() -> None:
        path = around.folder / "probe"
        try:
            os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), around.file + 1)
        finally:
            path.unlink()

    yield "make a longer file than allowed", long_file
    path = around.folder / "probe"
    yield "take disk without writing", partial(_with_file, path, lambda file: os.posix_fallocate(file, 0, PAGE))
    yield "lock a part of a file", partial(_with_file, path, lambda file: fcntl.lockf(file, fcntl.LOCK_EX))
    for name in ("RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE"):
        yield f"raise {name}", partial(_raise, getattr(resource, name))


def _with_file(path: Path, probe: Callable[[int], object]) -> None:
    """Try something with a file of this process' own."""
    with path.open("wb") as file:
        try:
            probe(file.fileno())
        finally:
            path.unlink()


def _raise(kind: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY:
        raise GotThrough("there is no limit")
    try:
        resource.setrlimit(kind, (hard + 1, hard + 1))
    except ValueError as error:  # Python's name for EPERM
        raise PermissionError from error


def _time(around: Surroundings) -> Iterator[tuple[str, Probe]]:
    yield "set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())
    yield "tune the clock", _call("adjtimex", 0)
    yield "outlive the parent", _dies_later


def _dies_later() -> None:
    if ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0:  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
        raise GotThrough("it works here")
    raise PermissionError
