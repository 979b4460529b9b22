"""What a confined process takes from itself before it touches anything of a stranger's; imports the standard library.

    network     a network namespace of its own, with nothing in it; and no socket may be opened (seccomp)
    files       only Python, our code and the inputs may be read, only the own folder written (Landlock); no mode, time,
                owner or attribute of any file may be changed (seccomp)
    processes   no process may be started, and none outside reached (seccomp)
    resources   memory, processor time, file size, open files (rlimits); no memory and no disk that is taken at once and
                that these do not count (seccomp); where memory runs out, the kernel ends this process first
    rights      no capability, even for root

Each is asked of the kernel. `probes` then tries from inside what must not work, and the parent decides by that. All
holds for all threads and cannot be taken back. Linux on x86-64 and ARM64; elsewhere only the rlimits.
"""

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_IPC, _NEW_USER, _NEW_NETWORK = 0x08000000, 0x10000000, 0x40000000  # linux/sched.h
_DIE_WITH_PARENT, _NO_NEW_PRIVILEGES, _SET_SECCOMP = 1, 38, 22  # linux/prctl.h


ADDRESSES = 64 * 1024**3  # bytes of address space beyond `Resources.memory`: page tables take memory too


@dataclass(frozen=True)
class Resources:
    """The most that a sandboxed process may use."""

    memory: int = 6 * 1024**3  # bytes of memory of its own: TensorFlow alone takes one to two
    cpu: int = 600  # seconds of processor time
    wall: float = 300.0  # seconds, watched from outside
    file: int = 512 * 1024**2  # bytes of one file
    folder: int = 1024**3  # bytes of its whole folder, watched from outside
    files: int = 512  # open at a time
    stack: int = 8 * 1024**2  # bytes of one; threads have theirs in `memory`
    entries: int = 10_000  # files and folders in its folder, watched from outside
    threads: int = 2000  # at a time, watched from outside


def confine(folder: Path, readable: list[Path], resources: Resources, attended: bool = True) -> dict[str, str]:
    """Give up what a measurement does not need; return what the kernel granted, by "network", "files", "processes".

    Args:
        folder: the one place that may be written.
        readable: what may be read as well as Python, the system's libraries and our code.
        resources: the limits.
        attended: end with the process that started this one.
    """
    granted = {"network": "none", "files": "none", "processes": "none"}
    limit(resources)
    if not sys.platform.startswith("linux"):
        return granted
    go_first()
    if unshare_network():
        granted["network"] = "namespace"
    drop_capabilities()
    _LIBC.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if attended:
        end_with_parent()  # after the namespace, which forgets it
    if landlock(folder, [*readable, Path("/proc/self")]):
        granted["files"] = "landlock"
    if seccomp():
        granted["processes"] = "seccomp"
        granted["network"] = "namespace and seccomp" if granted["network"] == "namespace" else "seccomp"
    return granted


def give_up_files(readable: list[Path]) -> None:
    """Give up the network and every file but Python, the system's libraries and `readable`; starting processes stays.

    For a spawner, whose children then call `leave` and `seccomp` each.
    """
    unshare_network()
    drop_capabilities()
    _LIBC.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    landlock(Path("/nonexistent"), readable)


def go_first() -> None:
    """Let the kernel end this process, or a child of it, before others where the machine has no memory left."""
    with contextlib.suppress(OSError):  # a container may not have it
        Path("/proc/self/oom_score_adj").write_text("1000")


def end_with_parent() -> None:
    """End this process when the one that started it ends, however that does."""
    _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def leave() -> None:
    """Enter a Landlock domain within that of the spawner, whose open pipes /proc would show to its own domain."""
    attributes = struct.pack("<Q", _EXECUTE)
    rules = _LIBC.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules >= 0:
        _LIBC.syscall(_RESTRICT_SELF, rules, 0)
        os.close(rules)


def limit(resources: Resources) -> None:
    """Set the rlimits, none of them beyond what was there."""
    for name, value in (
        ("RLIMIT_DATA", resources.memory),
        ("RLIMIT_AS", resources.memory + ADDRESSES),
        ("RLIMIT_CPU", resources.cpu),
        ("RLIMIT_STACK", resources.stack),
        ("RLIMIT_FSIZE", resources.file),
        ("RLIMIT_NOFILE", resources.files),
        ("RLIMIT_CORE", 0),
    ):
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def unshare_network() -> bool:
    """Move into a network namespace without any interface; needs no rights where user namespaces are allowed."""
    return any(_LIBC.unshare(kinds | _NEW_NETWORK) == 0 for kinds in (_NEW_USER | _NEW_IPC, _NEW_USER, _NEW_IPC, 0))


def drop_capabilities() -> None:
    """Give up every capability, so that root may do what any user may."""
    header = struct.pack("<Ii", 0x20080522, 0)  # version 3, this thread
    _LIBC.capset(ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))


# Landlock: the ABI is documented in linux/Documentation/userspace-api/landlock.rst

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ, _READ_FOLDERS = 1 << 2, 1 << 3
_WRITE = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))  # write, remove, make: all but execute and read
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15  # since version 2, 3, 5
_EXECUTE = 1 << 0
SYSTEM = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/openssl.cnf", "/proc/cpuinfo",
    "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/dev/null",
    "/dev/urandom",
)  # fmt: skip
PACKAGES = tuple(Path(__file__).parents[2] / name for name in ("zoo", "leaderboard"))  # our code
LABELS = "sklearn/datasets/data"  # optdigits, with the labels of its test set: installed with scikit-learn


def landlock(folder: Path, readable: list[Path]) -> bool:
    """Allow writing in `folder` alone, and reading there, in `readable` and in the system's libraries."""
    version = _LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    handled = _EXECUTE | _READ | _READ_FOLDERS | _WRITE
    handled |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0) | (_IOCTL if version >= 5 else 0)
    network = 0b11 if version >= 4 else 0  # bind and connect of TCP, of which none is allowed
    scoped = 0b11 if version >= 6 else 0  # abstract sockets and signals stay within
    attributes = struct.pack("<QQQ", handled, network, scoped)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _LIBC.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    look = _READ | _READ_FOLDERS | _EXECUTE
    for root in (*map(Path, SYSTEM), Path(sys.prefix), Path(sys.base_prefix)):
        _allow(rules, root.resolve(), _READ_FOLDERS & handled)  # Python looks packages up in the list of their folder
        for path in _around(root.resolve()):
            _allow(rules, path, look & handled)
    for package in PACKAGES:  # code alone: the board's records, with the labels of the test sets, lie among it
        _allow(rules, package, _READ_FOLDERS & handled)
        for path in package.rglob("*.py"):
            _allow(rules, path, _READ & handled)
    for path in readable:
        _allow(rules, path, look & handled)
    _allow(rules, Path("/dev/null"), (_READ | 0b10) & handled)
    _allow(rules, folder, handled & ~_EXECUTE & ~_IOCTL)
    done: bool = _LIBC.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return done


def _around(root: Path) -> Iterator[Path]:
    """Yield what lies beneath a path, in as few parts as leave out our packages and `LABELS`, where they are there."""
    hidden = {path for path in (*PACKAGES, *(Path(folder, LABELS).resolve() for folder in sys.path)) if path.is_dir()}
    yield from _without(hidden, {above for path in hidden for above in path.parents}, root)


def _without(hidden: set[Path], above: set[Path], root: Path) -> Iterator[Path]:
    """Yield what lies beneath a path, in as few parts as leave out what is hidden; `above` is where that lies."""
    if root in hidden:
        return
    if root not in above:
        yield root
        return
    for path in root.iterdir():
        found = path.resolve() if path.is_symlink() else path  # a way to what it points to, as lib64 to lib
        if not root.is_relative_to(found):
            yield from _without(hidden, above, found)


def _allow(rules: int, path: Path, access: int) -> None:
    """Add a rule for what is beneath a path, if there is anything."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not path.is_dir():
        access &= _EXECUTE | _READ | 0b10 | _TRUNCATE  # what a file can be asked for
    _LIBC.syscall(_ADD_RULE, rules, 1, struct.pack("<Qi", access, handle), 0)
    os.close(handle)


# seccomp: a filter in classic BPF over struct seccomp_data {int nr; u32 arch; u64 ip; u64 args[6]}

_ALLOW, _REFUSE, _ABSENT = 0x7FFF0000, 0x00050001, 0x00050026  # run it; EPERM; ENOSYS
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_THREAD, _FILES = 0x00010000, 0x00000400  # CLONE_THREAD, CLONE_FILES
_SHARED, _ANONYMOUS, _GROWS_DOWN = 0x01, 0x20, 0x100  # flags of mmap
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CALLS = {  # x86-64, ARM64; None: it has no such call
    # network
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "socketpair": (53, 199), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    # files: modes, owners, times and attributes, which Landlock leaves alone; and watching what others do
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "setxattrat": (463, 463), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16), "removexattrat": (466, 466), "file_setattr": (469, 469),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "inotify_init": (253, None),
    "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    # disk that is taken without writing; open files that the kernel counts for the whole machine
    "fallocate": (285, 47), "io_setup": (206, 0),
    # memory that no limit counts
    "vmsplice": (278, 75), "splice": (275, 76), "tee": (276, 77),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445), "seccomp": (317, 277),
    "timer_create": (222, 107), "modify_ldt": (154, None),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "userfaultfd": (323, 282),
    # the kernel
    "bpf": (321, 280), "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "sethostname": (170, 161),
    "setdomainname": (171, 162), "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116),
    "personality": (135, 92),
    # time
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
}  # fmt: skip
_VALUES = (  # calls that are refused for some values of an argument: numbers, which argument, values
    # fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX would let the kernel signal another process; F_SETLEASE and F_NOTIFY would
    # hold up who writes a file outside; F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW, F_SETPIPE_SZ take memory of the
    # kernel that no limit counts
    ((72, 25), 1, (8, 10, 15, 1024, 1026, 6, 7, 37, 38, 1031)),
    # prctl: outlive the parent, PR_SET_DUMPABLE (it would hide the open files from the parent), PR_SET_MM,
    # PR_SET_PTRACER; filters of each thread take memory of the kernel that no limit counts
    ((157, 167), 0, (_DIE_WITH_PARENT, 4, 35, 0x59616D61, _SET_SECCOMP)),
    ((436, 436), 2, (2, 6)),  # close_range: CLOSE_RANGE_UNSHARE would give a thread open files of its own
)
_ONLY = (  # calls that are allowed for some values of an argument only
    # ioctl: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX; others change attributes of files, or devices
    ((16, 29), 1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),
)
_CLONE, _CLONE3, _TGKILL, _MMAP, _PRLIMIT = (56, 220), (435, 435), (234, 131), (9, 222), (302, 261)


def seccomp() -> bool:
    """Refuse the calls of `CALLS`, and the others for arguments that would reach out of the sandbox."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    column = list(_ARCHITECTURES).index(machine)
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, _REFUSE), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":  # the x32 calls are the same ones under other numbers
        program += [(0x35, 0, 1, 0x40000000), (_RETURN, 0, 0, _REFUSE)]
    for numbers in CALLS.values():
        if (number := numbers[column]) is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    listed = [(*call, _REFUSE, _ALLOW) for call in _VALUES] + [(*call, _ALLOW, _REFUSE) for call in _ONLY]
    for numbers, argument, values, answer, otherwise in listed:
        program += [(_EQUAL, 0, 2 * len(values) + 2, numbers[column]), (_LOAD, 0, 0, 16 + 8 * argument)]
        for value in values:
            program += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, answer)]
        program += [(_RETURN, 0, 0, otherwise)]
    # Shared memory without a file, and stacks that grow, are memory that RLIMIT_DATA does not count.
    program += [(_EQUAL, 0, 6, _MMAP[column]), (_LOAD, 0, 0, 40), (_ANY_BIT, 2, 0, _GROWS_DOWN)]
    program += [(_ANY_BIT, 0, 2, _ANONYMOUS), (_ANY_BIT, 0, 1, _SHARED), (_RETURN, 0, 0, _REFUSE)]
    program += [(_RETURN, 0, 0, _ALLOW)]
    # A thread is a clone with CLONE_THREAD, and it shares its open files, which are counted, with CLONE_FILES. clone3
    # has its flags behind a pointer, so it is absent: libc then clones.
    program += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ABSENT)]
    program += [(_EQUAL, 0, 5, _CLONE[column]), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 2, _THREAD), (_ANY_BIT, 0, 1, _FILES)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    # Abort signals itself, and limits are its own; nobody else may be signaled or limited.
    for numbers in (_TGKILL, _PRLIMIT):
        program += [(_EQUAL, 0, 5, numbers[column]), (_LOAD, 0, 0, 16), (_EQUAL, 2, 0, os.getpid())]
        program += [(_EQUAL, 1, 0, 0), (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    program += [(_RETURN, 0, 0, _ALLOW)]
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    header = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(buffer))
    return bool(_LIBC.prctl(_SET_SECCOMP, 2, ctypes.c_char_p(header), 0, 0) == 0)
