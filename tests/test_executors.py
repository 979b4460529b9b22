"""Where jobs run: every task ends once, in this process and on Ray's workers, whatever happens to them."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

import zoo
from zoo import executors
from zoo.executors.tasks import Problem, Queue, Task

ray = pytest.importorskip("ray")
DEADLINE = 120  # seconds, for a loaded machine


def chore(folder, name, call="add", cost=1.0, **arguments):
    return Task(name, f"chores:{call}", {"folder": str(folder), "name": name, **arguments}, cost)


def begun(folder, name) -> int:
    path = Path(folder) / f"{name}.begun"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory):
    """Two workers on this machine."""
    with executors.opened("ray", workers=2, attempts=2, shared=tmp_path_factory.mktemp("shared")) as executor:
        yield executor


def test_the_longest_is_begun_first_and_attempts_are_counted():
    now = iter(range(100))
    queue = Queue([Task(name, "x:y", {}, cost) for name, cost in (("a", 1), ("b", 3), ("c", 2))], 2, clock=now.__next__)
    b, c = queue.take("one"), queue.take("two")
    assert (b.name, c.name, len(queue), queue.open) == ("b", "c", 1, 3)
    assert queue.failed(b, Problem("lost", final=False)) is None
    assert queue.take("two").name == "b"  # before what is shorter
    outcome = queue.failed(b, Problem("lost again", final=False))
    assert outcome.problem == "lost again"
    assert [(a.worker, a.problem) for a in outcome.attempts] == [("one", "lost"), ("two", "lost again")]
    assert queue.done(c, 7).value == 7
    assert queue.take("one").name == "a"
    assert queue.failed(Task("a", "x:y", {}), Problem("yours", final=True)).problem == "yours"  # at the first attempt
    assert queue.open == 0
    with pytest.raises(zoo.ZooError, match="Two tasks are named a"):
        Queue([Task("a", "x:y", {}), Task("a", "x:y", {})])


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_every_task_ends_once_and_failures_stop_nobody(kind, tmp_path, on_ray):
    executor = on_ray if kind == "ray" else executors.opened(attempts=2)
    tasks = [
        chore(tmp_path, "one", numbers=[1, 2]),
        chore(tmp_path, "mistake", "fail", final=True),
        chore(tmp_path, "broken", "fail", final=False),
        chore(tmp_path, "shaky", "fail_once", numbers=[5]),
        *(chore(tmp_path, f"many{n}", numbers=[n]) for n in range(6)),
    ]
    told = {}
    outcomes = {o.task.name: o for o in executor.run(tasks, lambda name, share: told.update({name: share}))}
    assert set(told) == set(outcomes) == {task.name for task in tasks}
    assert outcomes["one"].value == 3
    assert [outcomes[f"many{n}"].value for n in range(6)] == list(range(6))
    assert outcomes["mistake"].problem == "this is yours to mend."
    assert outcomes["broken"].problem == "OSError: the disk is gone"
    assert outcomes["shaky"].value == 5
    assert [begun(tmp_path, name) for name in ("one", "mistake", "broken", "shaky")] == [1, 1, 2, 2]
    processes = {path.read_text().split()[0] for path in tmp_path.glob("many*.begun")}
    if kind == "ray":
        assert str(os.getpid()) not in processes
        assert len(processes) <= 2  # workers stay
    else:
        assert processes == {str(os.getpid())}


def test_a_killed_worker_loses_only_what_it_was_at(tmp_path, on_ray):
    """`kill -9` of the process that works at a task."""
    tasks = [chore(tmp_path, "victim", "wait_once", cost=9, numbers=[1])]
    tasks += [chore(tmp_path, f"other{n}", numbers=[n]) for n in range(4)]
    others_done = threading.Event()

    def kill():
        deadline = time.monotonic() + DEADLINE
        while not (others_done.is_set() and begun(tmp_path, "victim")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(int((tmp_path / "victim.begun").read_text().split()[0]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = {}
    for outcome in on_ray.run(tasks):
        assert outcome.task.name not in outcomes
        outcomes[outcome.task.name] = outcome
        if len(outcomes) == 4:
            others_done.set()
    killer.join()
    assert [begun(tmp_path, f"other{n}") for n in range(4)] == [1, 1, 1, 1]
    lost, ended = outcomes["victim"].attempts
    assert "was lost" in lost.problem
    assert (ended.problem, outcomes["victim"].value) == (None, 1)
