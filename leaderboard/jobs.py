"""Training with export and evaluation as a task for `zoo.executors`, and an estimate of its duration."""

import shutil
import statistics
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from leaderboard import other_seeds, recording, report_store, results
from zoo import backend, data, keras_weights, registry, training
from zoo.executors import Task
from zoo.files import replacing
from zoo.published import PublishedFolder
from zoo.settings import PRETRAINED
from zoo.trainers import Ensemble
from zoo.types import Json

TRAINED = 0.9  # share of a task that is training; the rest is export and evaluation
GUESS = 2e9  # parameters x samples per second, for architectures without recorded times


def task_of(job: training.Job, runs: Path, deterministic: bool = False, cost: float = 0.0) -> Task:
    """Return the task that trains, exports and evaluates a job."""
    arguments = {"job": job.to_dict(), "runs": str(Path(runs).resolve()), "deterministic": deterministic}
    return Task(f"{job.model} seed {job.seed}", "leaderboard.jobs:work", arguments, cost)


def work(arguments: Json, progress: Callable[[float], None]) -> Json:
    """Run such a task, or the unfinished part of it; return its folder and its validation accuracy."""
    if arguments["deterministic"]:
        backend.make_deterministic()
    job = training.Job.from_dict(arguments["job"])
    run = training.train(job, Path(arguments["runs"]), lambda share: progress(TRAINED * share))
    progress(TRAINED)
    recording.evaluated(run)
    progress(1.0)
    return {"folder": str(run.folder), "validation": run.history["validation"]}


def waves(tasks: list[Task], jobs: list[training.Job]) -> list[list[Task]]:
    """Return the tasks in groups to run one after another: ensembles after their members, students after teachers.

    Each task loads the runs that it needs. A task that starts before these are finished would train them again.
    """
    found: list[list[Task]] = [[], [], []]
    for task, job in zip(tasks, jobs, strict=True):
        combined = isinstance(registry.get(job.architecture).trainer, Ensemble)
        found[2 if job.recipe.distillation else int(combined)].append(task)
    return [wave for wave in found if wave]


def publish(runs: list[training.Run], records: Path = results.RECORDS, ship: bool = False) -> None:
    """Export and measure every seed of a pair; write its record and report.

    Args:
        runs: the finished trainings of one pair.
        records: folder of the records.
        ship: also copy the chosen network to `zoo/pretrained`, each number once, and keep the others if they are small.
    """
    result = recording.record(runs, records)
    chosen = recording.shipped(recording.counted(runs)).folder / "export"
    if not PublishedFolder(chosen).onnx.exists():
        return  # its weights stayed where they were trained: no report, and nothing to ship
    report_store.keep(result, chosen, records)
    place = None if records.resolve() == results.RECORDS.resolve() else str(chosen.resolve())
    if ship:
        with replacing(PRETRAINED / result.model) as staged:
            shutil.copytree(chosen, staged)
            keras_weights.store_once(staged)
        place = f"zoo/pretrained/{result.model}"
        result = other_seeds.keep(result, chosen.parents[3])
    if place:
        results.write(replace(result, weights=place), folder=records)


def costs(jobs: Iterable[training.Job], recorded: Iterable[results.Result]) -> list[float]:
    """Estimate the duration of each job in seconds.

    Estimated from recorded epochs of this pair, else of this architecture on other data. An architecture without
    records is built, and its parameters x samples x epochs are divided by a typical speed.
    """
    timed: dict[tuple[str, str], list[float]] = {}
    for result in recorded:
        epochs = [s.metrics["training_time"] / s.epochs for s in result.seeds if s.metrics.get("training_time")]
        for key in ((result.architecture, result.dataset), (result.architecture, "")):
            timed.setdefault(key, []).extend(epochs)
    guessed: dict[tuple[str, str], float] = {}

    def epoch(job: training.Job) -> float:
        pair = job.architecture, job.dataset
        if found := timed.get(pair) or timed.get((job.architecture, "")):
            return statistics.median(found)
        if pair not in guessed:
            guessed[pair] = training.build(job).count_params() * _samples(job.dataset) / GUESS
        return guessed[pair]

    return [job.recipe.epochs * epoch(job) for job in jobs]


def _samples(dataset: str) -> int:
    return len(data.load(dataset, "train").labels)
