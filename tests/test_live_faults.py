"""A running Space whose clock is set or whose disk is full: it answers, says what failed, and goes on."""

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from conftest import ROOT
from networks import onnx_file
from space import serve
from strokes import SEVEN, sketch

import leaderboard
from leaderboard import results
from leaderboard.submissions.lifecycle import FINISHED, OPEN, RUNNING
from leaderboard.submissions.store import LocalStore
from zoo.errors import ZooError

pytestmark = pytest.mark.slow

PATIENCE = 400.0  # seconds; far more than two small networks take on a busy machine
DAY = 24 * 3600
CLOCK = """
import time
tell, tell_ns = time.time, time.time_ns
def moved():
    try:
        with open({path!r}) as file:
            return int(file.read() or 0)
    except OSError:
        return 0
time.time = lambda: tell() + moved()
time.time_ns = lambda: tell_ns() + moved() * 10**9
"""


def submit(space, folder, seed: int, user: str = "bob"):
    path = folder / f"{user}{seed}.onnx"
    path.write_bytes(onnx_file(seed=seed))
    said = {"datasets": ["optdigits"], "licence": "mit", "declaration": "x", "user": user}
    return leaderboard.submit(path, name=f"net{seed}", space=space.url, **said)


def reads(space) -> bool:
    """Whether the Space answers a sketch, its board and its page."""
    body = json.dumps({"sketch": sketch(SEVEN), "model": "lenet5.mnist"}).encode()
    asked = urllib.request.Request(f"{space.url}/api/v1/read", body, {"Content-Type": "application/json"})
    for one in (asked, f"{space.url}/api/v1/leaderboard/mnist", space.url):
        with urllib.request.urlopen(one, timeout=PATIENCE) as answer:
            found = answer.read()
        if one is asked and json.loads(found)["text"] != "7":
            return False
    return True


def wait_for(done) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(1.0)


def test_the_clock_is_set_while_submissions_wait_and_run(tmp_path):
    """A day ahead, then two back: nothing expires that is in use, nothing is given up, all are measured."""
    clock = tmp_path / "clock"
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(path=str(clock)))
    store = LocalStore(tmp_path / "store")
    places = {"ZOO_SUBMISSIONS": str(store.root), "ZOO_RECORDS": str(tmp_path / "records"), "ZOO_WORKERS": "1"}
    with serve(**places, PYTHONPATH=os.pathsep.join(map(str, (tmp_path, ROOT)))) as space:
        sent = [submit(space, tmp_path, 0)["id"]]
        wait_for(lambda: store.get(sent[0]).status == RUNNING)
        for n, moved in enumerate((DAY, -DAY), start=1):
            clock.write_text(str(moved))
            assert reads(space)
            sent.append(submit(space, tmp_path, n, f"user{n}")["id"])
            assert leaderboard.submission_status(sent[-1], space=space.url)["status"] in (*OPEN, FINISHED)
        wait_for(lambda: not any(s.open for s in store.all()))
        assert [store.get(one).reason for one in sent] == [""] * 3
        assert {s.status for s in store.all()} == {FINISHED}
        assert all(s.worked() < PATIENCE for s in store.all())
        assert [s.id for s in store.all()] == sent  # in order of arrival all the same


@contextlib.contextmanager
def disk(path, size: str):
    """A disk of its own that a test may fill; only root can make one."""
    path.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], capture_output=True)
    if made.returncode:
        pytest.skip("a disk of its own takes root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def fill(path) -> None:
    """Leave no byte free."""
    with contextlib.suppress(OSError), (path / "filler").open("ab", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass


def test_the_disk_of_the_store_and_the_board_is_full(tmp_path):
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(disk(tmp_path / "disk", "6m"))
        store, records = LocalStore(full / "store"), full / "records"
        places = {"ZOO_SUBMISSIONS": str(store.root), "ZOO_RECORDS": str(records), "ZOO_WORKERS": "1"}
        places |= {"GRADIO_TEMP_DIR": str(tmp_path / "uploads"), "ZOO_LOG": "info"}
        with serve(**places) as space:
            first = submit(space, tmp_path, 0)["id"]
            wait_for(lambda: store.get(first).status == RUNNING)
            fill(full)  # while it runs: its result has no place
            with pytest.raises(ZooError, match=r"Nothing was kept: .*(No space left|disk is full)"):
                submit(space, tmp_path, 1)
            assert reads(space)
            assert leaderboard.submission_status(first, space=space.url)["status"] in ("RUNNING", "PENDING")
        with serve(**places) as space:  # it starts on a full disk
            assert reads(space)
            with pytest.raises(ZooError, match="Nothing was kept"):
                submit(space, tmp_path, 2)
            (full / "filler").unlink()
            again = submit(space, tmp_path, 3, "ann")["id"]
            wait_for(lambda: not any(s.open for s in store.all()))
            fill(full)  # nothing that is finished vanishes
            assert reads(space)
            assert {s.id: s.status for s in store.all()} == {first: FINISHED, again: FINISHED}
            (full / "filler").unlink()
            for s in store.all():
                wait_for(lambda s=s: results.path_of(s.row("optdigits"), "optdigits", records).is_file())
                assert isinstance(
                    results.read_record(results.path_of(s.row("optdigits"), "optdigits", records)), results.Result
                )
        assert not store.broken()
        assert not [path for path in full.rglob(".*-*") if path.is_dir()]  # nothing half-written


def test_the_disk_of_the_uploads_is_full(tmp_path):
    """Uploads are refused in a sentence; what comes within a call is answered."""
    places = {"GRADIO_TEMP_DIR": str(tmp_path / "disk" / "uploads"), "ZOO_SUBMISSIONS": str(tmp_path / "store")}
    with disk(tmp_path / "disk", "1m") as full, serve(**places) as space:
        fill(full)
        assert reads(space)
        body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nx\r\n--x--\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(f"{space.url}/gradio_api/upload", body, headers), timeout=PATIENCE
            )
        assert "There is no room for more uploads now" in refused.value.read().decode()
