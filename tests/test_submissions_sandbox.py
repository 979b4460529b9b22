"""The sandbox, attacked from inside: what the kernel refuses, and what becomes of networks that misbehave."""

import gc
import itertools
import json
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from conftest import ROOT
from networks import node, onnx_file
from onnx import helper

from leaderboard.predictions import Predictions
from leaderboard.submissions import checks, measuring, sandbox
from leaderboard.submissions.sandbox import (
    Box,
    Cancelled,
    NotReached,
    Resources,
    Unfit,
    checked_probabilities,
    child,
    consumption,
    inputs,
    probes,
    protocol,
    surroundings,
)
from zoo import data
from zoo.data import parquet
from zoo.errors import ZooError
from zoo.processes import confinement

ISOLATED = sys.platform.startswith("linux")
ATTACKS = {
    "open a socket": "import socket; socket.socket()",
    "open a socket of another family": "import socket; socket.socket(socket.AF_UNIX)",
    "fork": "import os; os.fork()",
    "run a program": "import subprocess; subprocess.run(['/bin/true'])",
    "read the secrets of its parent": "import os; open(f'/proc/{os.getppid()}/environ').read()",
    "read a file of the user": "open(sys.argv[3]).read()",
    "write beside its folder": "open(sys.argv[3] + '.new', 'w')",
    "write into the package": "open(sys.argv[2] + '/zoo/evil.py', 'w')",
    "link its way out": "import os; os.symlink('/etc/passwd', 'link'); open('link').read()",
    "kill its parent": "import os; os.kill(os.getppid(), 9)",
    "trace another process": "import ctypes; assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0",
    "mount": "import ctypes; assert ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0",
    "open many files": "files = [open('/dev/null') for _ in range(10_000)]",
    "write a large file": "file = open('large', 'wb'); [file.write(b'0' * 10**7) for _ in range(100)]",
    "take all memory": "x = [bytearray(10**9) for _ in range(50)]",
    "compute for ever": "while True: pass",
    "loosen its limits": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))",
    "read the labels of a test set": "next(pathlib.Path(sys.argv[2]).glob('leaderboard/records/*/*.npz')).read_bytes()",
    "change the mode of a file": "import os; os.chmod(sys.argv[3], 0o777)",
    "change the time of a file": "import os; os.utime(sys.argv[3], (1, 1))",
    "set an attribute of a file": "import os; os.setxattr(sys.argv[3], 'user.a', b'1')",
    "take shared memory": "import mmap; x = [mmap.mmap(-1, 10**9) for _ in range(3)]; [y.resize(8) for y in x]",
    "take memory that grows like a stack": "import mmap; mmap.mmap(-1, 3 * 10**9, mmap.MAP_PRIVATE | 0x100)",
    "take a memory segment": "import ctypes; assert ctypes.CDLL(None).shmget(0, 4096, 0o1600) >= 0",
    "take a file in memory": "import os; os.memfd_create('a')",
    "limit its parent": "import os, resource as r; r.prlimit(os.getppid(), r.RLIMIT_CPU, (1, 1))",
    "have the kernel signal its parent": "import os, fcntl; fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid())",
    "outlive its parent": "import ctypes; assert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0",
    "take disk without writing": "import os; os.posix_fallocate(os.open('f', os.O_CREAT | os.O_RDWR), 0, 4096)",
    "let its stack grow": "import resource as r; r.setrlimit(r.RLIMIT_STACK, (2**30, 2**30))",
    "lock parts of files, which the kernel remembers": "import fcntl; fcntl.lockf(open('f', 'w'), fcntl.LOCK_EX)",
    "take large pipes": "import fcntl, os; fcntl.fcntl(os.pipe()[0], fcntl.F_SETPIPE_SZ, 2**20)",
    "take rules of the kernel": "import ctypes; assert ctypes.CDLL(None).syscall(444, None, 0, 1) >= 0",
    "set the clock": "import time; time.clock_settime(time.CLOCK_REALTIME, time.time())",
}
LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv[2])\n"
    "from pathlib import Path; from zoo.processes import confinement\n"
    "r = confinement.Resources(memory=2 * 10**9, cpu=2, file=10**8, files=64)\n"
    "print(confinement.confine(Path.cwd(), [], r), flush=True); import pathlib\n"
    "exec(sys.argv[1]); print('DONE')"
)


@pytest.mark.skipif(not ISOLATED, reason="only Linux isolates")
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_attempted_from_inside_fails(tmp_path, attack):
    secret, folder = tmp_path / "secret", tmp_path / "own"
    secret.write_text("token")
    folder.mkdir()
    command = [sys.executable, "-I", "-B", "-c", LAUNCH, ATTACKS[attack], str(ROOT), str(secret)]
    done = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, timeout=240)
    assert done.stdout.startswith("{'network': "), done.stderr
    assert "DONE" not in done.stdout
    assert done.returncode != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "secret"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return inputs.prepare("optdigits", tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def measure(images):
    """Return a function that measures an ONNX file in a sandbox, and leaves nothing behind."""
    folders, processes = [], []

    def run(data: bytes, resources=sandbox.MEASURING, **options):
        assert checks.check(data, "m.onnx", ("optdigits",)).problems == ()
        with Box("onnx", resources) as box:
            folders.append(box.folder)
            processes.append(box.process.pid)
            return protocol.measure(box, measuring.job_of("onnx", "optdigits"), data, images, **options)

    yield run
    assert not any(folder.exists() for folder in folders)
    assert not any(map(psutil.pid_exists, processes))


def test_a_network_is_measured(measure, images):
    told = []
    outcome = measure(onnx_file(), progress=told.append)
    assert outcome.answers.shape == (images.count, 10)
    np.testing.assert_allclose(outcome.answers.sum(axis=1), 1, atol=1e-5)
    assert (outcome.parameters, outcome.multiply_adds) == (640, 640)
    assert told == sorted(told)
    if ISOLATED:
        assert outcome.isolation["network"] != "none"
        refused, _, tried, _ = outcome.isolation["probes"].split()
        assert int(refused) >= int(tried) - 3  # some need what a machine may not have, such as a home folder
        assert outcome.isolation["got_through"] == ""


def test_what_is_stopped_when_it_has_been_measured_counts(measure, images, monkeypatch):
    """The network is compiled for browsers afterwards, within the same limits."""
    watch = Box._watch

    def stopped(box, *arguments):
        watch(box, *arguments)
        if (box.folder / "outcome.json").exists():
            (box.folder / "portable.json").unlink()
            raise Unfit("It was stopped because it used more than 6 GB of memory.")

    monkeypatch.setattr(Box, "_watch", stopped)
    outcome = measure(onnx_file())
    assert len(outcome.answers) == images.count
    assert outcome.portable.reason == "This network cannot be exported: compiling it takes too long."


def test_answers_that_are_no_probabilities_are_refused(measure):
    with pytest.raises(Unfit, match="not probabilities"):
        measure(onnx_file(end="Relu"))


@pytest.mark.parametrize(
    ("status", "said"),
    [(-9, "from outside"), (-11, "SIGSEGV"), (-40, "signal 40"), (-63, "signal 63"), (3, "status 3")],
)
def test_the_end_of_a_sandbox_is_named(tmp_path, status, said):
    box = Box.__new__(Box)
    box.process = SimpleNamespace(poll=lambda: status)
    box.resources, box.folder, box._began = Resources(), tmp_path, time.monotonic()
    assert isinstance(box._ended(), NotReached if status == -9 else Unfit)
    assert said in str(box._ended())


@pytest.mark.parametrize("row", [[1.0009, -0.0009], [0.5, 0.5], [1.0005, 0], [-0.0004, 1]])
def test_what_roundings_put_beyond_a_probability_is_none_in_what_is_kept(tmp_path, row):
    answers = checked_probabilities(np.array([row], np.float32))
    assert ((answers >= 0) & (answers <= 1)).all()
    np.testing.assert_allclose(answers, [row], atol=1e-3)
    labels, images = np.array([int(np.argmax(row))]), np.zeros((1, 8, 8, 1), np.uint8)
    Predictions.of(answers, labels, images).save(tmp_path / "kept.npz")
    assert Predictions.load(tmp_path / "kept.npz").right.all()


def test_a_network_that_doubles_itself_without_end_is_stopped(measure):
    names = ["x", *(f"d{n}" for n in range(34))]
    nodes = [node("Concat", [a, a], b, name=b, axis=3) for a, b in itertools.pairwise(names)]
    nodes.append(node("ReduceMean", [names[-1], "axis"], "y"))  # 2^33 channels, and one again
    with pytest.raises(Unfit, match=r"memory|allocat"):
        measure(onnx_file(nodes=nodes, constants={"axis": np.array([3])}), Resources(memory=700_000_000, wall=120.0))


def test_one_that_takes_too_long_is_stopped(measure):
    with pytest.raises(Unfit, match="stopped after 0 s"):
        measure(onnx_file(), Resources(wall=0.1))


def test_shapes_that_do_not_fit_are_said(measure):
    add = helper.make_node("Add", ["x", "five"], ["y"])
    with pytest.raises(Unfit, match=r"cannot be run on one image.*Incompatible dimensions"):
        measure(onnx_file(nodes=[add], constants={"five": np.zeros((1, 5, 1, 1), np.float32)}))


def test_it_can_be_cancelled(measure):
    with pytest.raises(Cancelled):
        measure(onnx_file(), cancelled=lambda: True)


def test_the_child_gets_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Box("onnx") as box:
        environment = Path(f"/proc/{box.process.pid}/environ").read_bytes() if ISOLATED else b""
        assert b"hf_secret" not in environment


def test_it_dies_with_its_parent(tmp_path):
    code = (
        "import sys; from leaderboard.submissions.sandbox import Box\n"
        "box = Box('onnx'); print(box.process.pid, box.folder, flush=True); import time; time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid, folder = parent.stdout.readline().split()
    pid = int(pid)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 240
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sandbox.sweep()
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ({"multiply_adds": -1}, "multiply-adds are -1"),
        ({"multiply_adds": "many"}, "multiply-adds are many"),
        ({"multiply_adds": True}, "multiply-adds are True"),
        ([], "something other than an answer"),
        ({"reason": ["x" * 10_000]}, "xxx"),
    ],
)
def test_what_comes_back_is_checked(outcome, sentence):
    with Box("onnx") as box:
        (box.folder / "answers.f32").write_bytes(np.full((7, 10), 0.1, np.float32).tobytes())
        (box.folder / "outcome.json").write_text(json.dumps(outcome))
        with pytest.raises(Unfit, match=sentence) as error:
            box._outcome(measuring.job_of("onnx", "optdigits"), 7, onnx_file(), {})
        assert len(str(error.value)) < 600


def test_links_and_pipes_in_the_folder_are_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("{}")
    with Box("onnx") as box:
        os.symlink(secret, box.folder / "outcome.json")
        with pytest.raises(Unfit):
            box._outcome(measuring.job_of("onnx", "optdigits"), 7, onnx_file(), {})
        (box.folder / "outcome.json").unlink()
        os.mkfifo(box.folder / "outcome.json")
        with pytest.raises(Unfit):
            box._outcome(measuring.job_of("onnx", "optdigits"), 7, onnx_file(), {})


def test_without_isolation_nothing_of_a_strangers_is_measured(measure, monkeypatch):
    monkeypatch.setattr(Box, "isolation", lambda box, cancelled: {"got_through": "fork, read /etc/passwd"})
    with pytest.raises(sandbox.Unsafe, match="does not confine a sandbox: in it one can fork, read /etc/passwd"):
        measure(onnx_file())
    assert measure(onnx_file(), need_isolation=False).parameters == 640


def test_the_filter_is_asked_for_on_this_machine():
    assert confinement._ARCHITECTURES.keys() >= {"x86_64", "aarch64"}
    assert all(len(numbers) == 2 for numbers in confinement.CALLS.values())


@pytest.mark.skipif(not ISOLATED, reason="only Linux isolates")
def test_the_probes_see_what_gets_through(tmp_path):
    """Without confinement nearly all of them do, so that they can be trusted where they do not."""
    (tmp_path / "own").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("token")
    code = (
        "import json, sys; sys.path[:1] = [sys.argv[1], sys.argv[3]]; import confinement, probes\n"
        "from pathlib import Path\n"
        "around = probes.Surroundings(Path('own').resolve(), 10**9, 10**9, sys.argv[2], [sys.argv[1]])\n"
        "print(json.dumps(probes.tried(around)))"
    )
    command = [
        sys.executable,
        "-B",
        "-c",
        code,
        str(Path(probes.__file__).parent),
        str(tmp_path / "outside" / "secret"),
        str(Path(confinement.__file__).parent),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    through = {name for name, how in found.items() if how and not how.startswith("not tried")}
    assert through >= {
        "read a file outside", "change a mode outside", "read environ of the parent", "open a socket AF_INET", "fork",
        "find variables of others", "run a program", "signal the parent", "take shared memory", "read /etc/passwd",
        "take a file in memory", "make a longer file than allowed", "outlive the parent", "read private place 1",
        "hold up who writes a file", "control flags of a file",
        "take memory for a filter", "take memory for a filter of a thread", "take memory for timers",
    }  # fmt: skip


MOVING = """
def moving(name):
    for number in range(10**9):
        os.rename(name, str(number))
        name = str(number)
"""
LEAVING = """
def leave():
    ctypes.CDLL(None).syscall(60 if os.uname().machine == 'x86_64' else 93, 0)
"""
CONSUMING = {  # code -> how the sentence ends
    "shared = mmap.mmap(-1, 200_000_000); shared.write(bytes(200_000_000))": "0.1 GB of memory",
    "gone = open('gone', 'w+b'); gone.write(bytes(50_000_000)); gone.flush(); os.unlink('gone')": "0.0 GB",
    "gone = open('gone', 'w+b'); gone.write(bytes(50_000_000)); part = mmap.mmap(gone.fileno(), 4096)\n"
    "os.unlink('gone'); os.close(gone.fileno())": "0.0 GB",
    "for n in range(5000): open(f'{n}', 'w').close()": "3,000 files",
    "for n in range(30): os.mkdir('x' * 200); os.chdir('x' * 200)\n"
    "open('big', 'wb').write(bytes(50_000_000))": "0.0 GB",
    "for n in range(3500): os.mkdir('x'); os.chdir('x')": "3,000 files",
    "os.mkdir('a'); open('a/big', 'wb').write(bytes(50_000_000))\n"
    "threading.Thread(target=moving, args=('a',), daemon=True).start()": "",
    "open('big', 'wb').write(bytes(50_000_000))\n"
    "threading.Thread(target=moving, args=('big',), daemon=True).start()": "",
    "held = mmap.mmap(-1, 200_000_000, mmap.MAP_PRIVATE); held.write(bytes(200_000_000))\n"
    "start = ctypes.addressof(ctypes.c_char.from_buffer(held))\n"
    "assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start), ctypes.c_size_t(len(held)), 1) == 0": "0.1 GB of memory",
    "for n in range(300): threading.Thread(target=sys.stdin.read, daemon=True).start()": "200 threads",
}


@pytest.mark.skipif(not ISOLATED, reason="only Linux says what a process consumes")
@pytest.mark.parametrize(
    ("code", "leader"),
    [
        *((code, "stays") for code in CONSUMING),
        # What lies in its folder is found without /proc.
        *(
            pytest.param(code, "has ended", marks=[pytest.mark.slow] * (not end or "files" in end))
            for code, end in CONSUMING.items()
        ),
    ],
)
def test_everything_that_a_process_consumes_counts(tmp_path, code, leader):
    """Shared mappings, files without a name, parts of files, long paths, what is moved all the time, threads.

    Of a process whose first thread has ended, /proc shows nothing but through another thread.
    """
    folder, limits = tmp_path / "own", Resources(memory=10**8, folder=20_000_000, entries=3000, threads=200)
    folder.mkdir()
    work = textwrap.indent(f"{code}\nos.write(1, b'.'); sys.stdin.read()", "    ")
    start = "work()" if leader == "stays" else "threading.Thread(target=work).start(); leave()"
    imports = "import ctypes, mmap, os, sys, threading"
    command = [sys.executable, "-c", f"{imports}\n{MOVING}\n{LEAVING}\ndef work():\n{work}\n{start}"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"."
        reached = consumption.reached(process.pid, limits, folder)
        assert reached
        assert CONSUMING[code] in reached
        process.kill()
    surroundings.remove_folder(folder)
    assert not folder.exists()


def test_a_process_that_has_ended_consumes_nothing(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import os; os.write(1, b'.')"], stdout=subprocess.PIPE) as process:
        process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is there still, as nobody has asked for its end
        assert consumption.reached(process.pid, Resources(), tmp_path) == ""
    assert consumption.reached(process.pid, Resources(), tmp_path) == ""


@pytest.mark.skipif(not ISOLATED, reason="only Linux says what a process consumes")
def test_memory_is_looked_at_while_files_are_moved(tmp_path, monkeypatch):
    def moved(*arguments):
        kept.append(b"1" * 10**8)
        raise consumption.Moved

    kept, most = [], psutil.Process().memory_info().rss + 5 * 10**8
    monkeypatch.setattr(consumption, "stored", moved)
    assert "GB of memory" in consumption.reached(os.getpid(), Resources(memory=most), tmp_path)
    assert len(kept) < consumption.LOOKS


@pytest.mark.skipif(not ISOLATED, reason="only Linux says what a process consumes")
def test_a_process_that_shows_nothing_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(consumption, "HIDDEN", 0.1)
    monkeypatch.setattr(consumption, "_status", lambda thread: {})
    assert "does not show" in consumption.reached(os.getpid(), Resources(), tmp_path)


LEFT = {  # what a sandbox leaves, with modes that its worker may not undo by deleting alone
    "a folder that cannot be listed": "os.mkdir('d', 0o300); open('d/f', 'w')",
    "a folder in which nothing can be deleted": "os.mkdir('d'); open('d/f', 'w'); os.chmod('d', 0o500)",
    "a folder that cannot be entered": "os.mkdir('d'); os.mkdir('d/e'); os.chmod('d', 0)",
    "many of them": "for n in range(40): os.mkdir('d', 0o300); os.chdir('d')",
    "one beyond the longest path":
        "for n in range(40): os.mkdir('d' * 200, 0o700); os.chdir('d' * 200)\nos.mkdir('d', 0o300); open('d/f', 'w')",
}  # fmt: skip


@pytest.mark.skipif(not ISOLATED, reason="root on Linux gives up its right to read everything")
@pytest.mark.parametrize("code", LEFT.values(), ids=LEFT)
def test_the_folder_of_a_sandbox_is_removed_whatever_its_modes_are(tmp_path, code):
    (tmp_path / "own").mkdir()
    remove = (
        "import os, sys; from pathlib import Path; from zoo.processes import confinement\n"
        "from leaderboard.submissions.sandbox import surroundings\n"
        f"confinement.drop_capabilities(); own = Path('own').resolve(); os.chdir(own)\n{code}\n"
        "os.chdir(own.parent); surroundings.remove_folder(own); sys.exit(own.exists())"
    )
    assert subprocess.run([sys.executable, "-c", remove], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}).returncode == 0


@pytest.mark.skipif(not ISOLATED, reason="only Linux isolates")
def test_where_memory_runs_out_a_sandbox_ends_first():
    with Box("onnx") as box:
        box.isolation()
        assert Path(f"/proc/{box.process.pid}/oom_score_adj").read_text().strip() == "1000"


def test_labels_are_hidden_behind_links_too(tmp_path, monkeypatch):
    """`lib64` of a virtual environment is a link to `lib`, and a link to a folder above leads nowhere new."""
    packages = tmp_path / "lib" / "packages"
    (packages / confinement.LABELS).mkdir(parents=True)
    (packages / "numpy").mkdir()
    (tmp_path / "lib64").symlink_to("lib")
    (packages / "up").symlink_to("..")
    monkeypatch.setattr(sys, "path", [str(packages)])
    allowed = set(confinement._around(tmp_path))
    assert packages / "numpy" in allowed
    assert not any((packages / confinement.LABELS).is_relative_to(path) for path in allowed)


@pytest.mark.skipif(not ISOLATED, reason="only Linux says what a process consumes")
def test_open_files_that_cannot_be_seen_count_as_too_many(tmp_path, monkeypatch):
    def hidden(path):
        raise PermissionError

    monkeypatch.setattr(consumption.os, "listdir", hidden)
    assert consumption.reached(os.getpid(), Resources(), tmp_path).endswith("cannot be read as a whole")


def test_a_live_sandbox_is_not_swept_away():
    """Whoever sweeps may see another table of processes, so a lock says who lives, not a process number."""
    with Box("onnx") as box:
        subprocess.run(
            [sys.executable, "-c", "from leaderboard.submissions import sandbox; sandbox.sweep()"], check=True
        )
        assert box.folder.exists()
        assert str(os.getpid()) not in box.base.name


@pytest.mark.parametrize("where", ["elsewhere", "elsewhere/inside", "."])
def test_what_is_swept_away_is_no_link(tmp_path, monkeypatch, where):
    """Another user can make one in the folder for temporary files, to anything of who runs a worker."""
    inside = tmp_path / "elsewhere" / "inside"
    inside.mkdir(parents=True)
    for folder in (inside, inside.parent, tmp_path):
        (folder / "lock").touch()
        folder.chmod(0o500)
    tmp_path.chmod(0o700)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "submission-evil").symlink_to(tmp_path / where)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    sandbox.sweep()
    assert (tmp_path / "tmp" / "submission-evil").is_symlink()
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (inside, inside.parent)] == [0o500, 0o500]
    for folder in (inside.parent, inside):
        folder.chmod(0o700)


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_a_log_that_is_no_file_is_not_read(tmp_path, kind, caplog):
    (tmp_path / "secret").write_text("a token")
    with Box("onnx") as box:
        box.process.kill()
        box.process.wait()
        (box.folder / "log").unlink()
        if kind == "link":
            (box.folder / "log").symlink_to(tmp_path / "secret")
        else:
            (os.mkfifo if kind == "fifo" else os.mkdir)(box.folder / "log")
        box.process.returncode = 1
        assert "without an answer" in str(box._ended())
    assert "a token" not in caplog.text


def test_reasons_name_no_path_of_this_machine(tmp_path):
    with Box("onnx") as box:
        (box.folder / "outcome.json").write_text(json.dumps({"reason": f"Load model from {box.folder}/m.onnx failed."}))
        with pytest.raises(Unfit, match=r"^Load model from m\.onnx failed\.$"):
            box._outcome(measuring.job_of("onnx", "optdigits"), 7, onnx_file(), {})


# The cache of images


def test_cached_images_that_were_changed_are_written_again(tmp_path):
    first = inputs.prepare("optdigits", tmp_path / "cache")
    good = first.path.read_bytes()
    for bad in (bytes(len(good)), good[:-1], b""):
        first.path.write_bytes(bad)
        assert inputs.prepare("optdigits", tmp_path / "cache").path.read_bytes() == good
    first.path.with_name(f"{first.path.name}.sha256").write_text("0")
    assert inputs.prepare("optdigits", tmp_path / "cache").path.read_bytes() == good


def test_training_rows_are_read_back_as_a_dataset(tmp_path):
    root = inputs.training_repo("optdigits", tmp_path)
    images, _, _ = parquet.read_split(data.get("optdigits"), "train", str(root / "optdigits"))
    assert len(images) == 1437
    assert inputs.training_repo("optdigits", tmp_path) == root


def test_the_cache_is_for_this_user_alone(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o777)
    assert inputs.private(folder).stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ZooError, match="is a link"):
        inputs.private(tmp_path / "link")
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooError, match="cannot be a cache"):
        inputs.private(tmp_path / "file")
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    with pytest.raises(ZooError, match="another user"):
        inputs.private(folder)


def test_what_a_conversion_leaves_in_cycles_is_freed_soon():
    """37 copies of a layer that is called 60 times took all memory, which ended the process by SIGSEGV."""

    class Copy:
        def __init__(self):
            self.graph, self.nodes = self, [[number] for number in range(8000)]

    before, copies, most = gc.get_threshold(), [], 0
    child._collect_often()
    try:
        for _ in range(30):
            copies.append(weakref.ref(Copy()))
            most = max(most, sum(copy() is not None for copy in copies))
        assert most < 6
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
