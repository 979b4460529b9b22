"""Where jobs run: every task ends once, in this process and on Ray's workers, whatever happens to them."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT
from hub_server import Account

import zoo
from leaderboard import results
from scripts.bench import executors_simulated as simulation
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


@pytest.mark.parametrize("kind", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_every_task_ends_once_and_failures_stop_nobody(kind, tmp_path, request):
    executor = request.getfixturevalue("on_ray") if kind == "ray" else executors.opened(attempts=2)
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
    assert outcomes["mistake"].problem == "this is yours to fix."
    assert outcomes["broken"].problem == "OSError: the disk is gone"
    assert outcomes["shaky"].value == 5
    assert [begun(tmp_path, name) for name in ("one", "mistake", "broken", "shaky")] == [1, 1, 2, 2]
    processes = {path.read_text().split()[0] for path in tmp_path.glob("many*.begun")}
    if kind == "ray":
        assert str(os.getpid()) not in processes
        assert len(processes) <= 2  # workers stay
    else:
        assert processes == {str(os.getpid())}


@pytest.mark.slow
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


def test_the_longest_first_keeps_a_hundred_workers_busy():
    """A thousand jobs on recorded durations, ten workers lost: above nine tenths of the time is in jobs."""
    jobs = simulation.draw(simulation.durations(results.RECORDS), 1000, seed=0)
    account = simulation.simulate(jobs, 100, lost=10)
    assert account.utilisation > 0.9
    assert (account.attempts, account.lost > 0) == (1010, True)
    assert account.jobs == pytest.approx(sum(true for _, true in jobs))
    assert account.idle >= 0
    assert simulation.simulate(jobs, 100, longest_first=False).utilisation < account.utilisation


def test_what_takes_longest_is_known_from_records():
    from leaderboard import jobs, results
    from zoo import training

    recorded = results.read_all()
    short, half, other = (
        training.plan(*names) for names in (("lenet5", "mnist"), ("lenet5", "ahcd"), ("mobilenet_v2", "pages70"))
    )
    costs = jobs.costs([short, half, other], recorded)
    row = next(r for r in recorded if r.model == "lenet5.mnist")
    assert costs[0] == pytest.approx(row.mean("training_time"), rel=0.5)
    assert jobs.costs([training.plan("lenet5", "mnist", epochs=3)], recorded)[0] == pytest.approx(costs[0] / 10)
    (guess,) = jobs.costs([training.plan("lenet5", "optdigits")], [])
    assert guess > 0  # nothing is recorded: by parameters, samples and epochs


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(
            ["--executor", "ray", "--address", "127.0.0.1:9"], "No Ray answers at 127.0.0.1:9", marks=pytest.mark.slow
        ),
        pytest.param(
            ["--executor", "ray", "--address", "somewhere"],
            "'somewhere' is no address of Ray: expected host:port",
            marks=pytest.mark.slow,
        ),
        (["--workers", "2"], "are for several workers: add --executor ray"),
        (["--executor", "hf-jobs"], "add --source"),
        (["--executor", "hf-jobs", "--source", "https://example.org/zoo.git"], "HF_TOKEN"),
    ],
)
def test_what_cannot_run_is_said_in_a_sentence(run_here, options, sentence, tmp_path):
    arguments = "--only", "lenet5.optdigits", "--runs", str(tmp_path / "runs"), "--records", str(tmp_path / "records")
    elsewhere = {} if "--source" in options else {"GIT_DIR": str(tmp_path / "no checkout")}
    done = run_here("train_all.py", *arguments, *options, **elsewhere)
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*"))


def test_ray_is_an_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(zoo.ZooError, match=r"Ray is not installed: pip install"), executors.opened("ray"):
        pass


def test_the_hub_gets_the_very_command_that_is_shown(run_here, hub):
    hub.tokens["hf_of_this_test"] = Account("me")
    command = ["train_all.py", "--only", "lenet5.optdigits,mnist_cnn.mnist-paper", "--seeds", "2", "--epochs", "3",
               "--executor", "hf-jobs", "--flavor", "t4-small", "--bucket", "me/runs",
               "--source", "https://example.org/zoo.git"]  # fmt: skip
    shown = run_here(*command, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert hub.jobs == []
    lines = [shlex.split(line) for line in shown.stdout.splitlines() if line.startswith("hf jobs run")]
    done = run_here(*command, HF_TOKEN="hf_of_this_test")
    assert done.returncode == 0, done.stderr
    assert len(lines) == len(hub.jobs) == 2
    for line, job in zip(lines, hub.jobs, strict=True):
        assert line[-3:] == job["command"]
        assert job["dockerImage"] == line[-4]
        assert (job["flavor"], job["timeoutSeconds"]) == ("t4-small", 6 * 3600)
        assert [(v["type"], v["source"], v["mountPath"]) for v in job["volumes"]] == [("bucket", "me/runs", "/runs")]
        assert job["secrets"] == {"HF_TOKEN": "hf_of_this_test"}
        assert "hf_of_this_test" not in " ".join(line)
    scripts = [job["command"][2] for job in hub.jobs]
    assert "--only lenet5.optdigits --seeds 2 --runs /runs" in scripts[0]
    assert scripts[1].endswith("--recipe paper --epochs 3")


@pytest.mark.slow
def test_two_devices_share_the_batches_of_one_network(tmp_path):
    """On JAX with two devices of the processor: the same epochs as on one."""
    pytest.importorskip("jax")
    code = """
import sys
from pathlib import Path
from zoo import training
from zoo.errors import ZooError
from zoo.recipes import Recipe
found = []
for devices in (None, 2):
    recipe = Recipe("small", epochs=1, batch_size=64, weight_average=0.9, keep="last", devices=devices)
    job = training.Job("mnist_cnn", "optdigits", recipe, 0)
    found.append(training.train(job, Path(sys.argv[1]) / str(devices)).history)
one, two = ([e["loss"], e["validation_loss"], h["validation"]["accuracy"]] for h in found for e in h["epochs"])
assert all(abs(a - b) < 1e-3 for a, b in zip(one, two)), (one, two)
try:
    three = Recipe("many", epochs=1, batch_size=63, devices=3)
    training.train(training.Job("mnist_cnn", "optdigits", three, 0), Path())
except ZooError as error:
    print(error)
"""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300, cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "The recipe is for 3 devices and there are 2" in done.stdout


@pytest.mark.slow
def test_submissions_are_seen_through_by_several_workers(on_ray, tmp_path):
    from submitting import send

    from leaderboard import results
    from leaderboard.submissions import lifecycle, worker_task
    from leaderboard.submissions.store import LocalStore

    place, records, cache = tmp_path / "store", tmp_path / "records", tmp_path / "cache"
    sent = [send(LocalStore(place), name=f"net{n}", seed=n) for n in range(2)]
    tasks = [worker_task.task_of(n, str(place), records, cache) for n in (1, 2)]
    outcomes = list(on_ray.run(tasks))
    assert [outcome.problem for outcome in outcomes] == [None, None]
    ended = [LocalStore(place).get(one.id) for one in sent]
    assert [(one.status, one.attempts) for one in ended] == [(lifecycle.FINISHED, 1)] * 2
    assert sum(outcome.value for outcome in outcomes) == 2
    assert {result.model for result in results.read_all(records)} == {"bob~net0.optdigits", "bob~net1.optdigits"}
    with pytest.raises(TypeError, match="no option pace"):
        worker_task.task_of(1, str(place), records, cache, pace=2)
