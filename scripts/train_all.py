"""Train, export, evaluate and record every row of the board.

    python scripts/train_all.py                                  every registered pair, and the reproduced systems
    python scripts/train_all.py --only lenet5.ahdd,hdr_cnn.mnist  these
    python scripts/train_all.py --only lenet5.mnist --epochs 1 --seeds 1
    python scripts/train_all.py --only lenet5.mnist --side-by-side    all its seeds in one program (KERAS_BACKEND=jax)
    python scripts/train_all.py --executor ray                   as many at a time as there are processors
    python scripts/train_all.py --executor ray --address head:6379 --gpus-per-job 0.25    on a cluster
    python scripts/train_all.py --executor hf-jobs --flavor t4-small --dry-run           on Hugging Face Jobs

You can stop it at any time: the same command continues and does not repeat finished work. Missing records and a missing
cached board are written again from the finished runs.

Rows go to leaderboard/local_records, which git ignores. `--records leaderboard/records` changes the published board.
"""

import argparse
import logging
import sys
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path

import cli
from progress import TaskBars

from leaderboard import recording, results, snapshot
from leaderboard.claims import claims
from leaderboard.jobs import TRAINED, publish, task_of, waves
from leaderboard.jobs import costs as run_costs
from zoo import backend, data, environment, executors, registry, training
from zoo.errors import ZooError
from zoo.hub.cloud import RUNS, CloudJob
from zoo.settings import namespace
from zoo.training import many_seeds

log = logging.getLogger("zoo.train_all")


def main() -> int:
    """Run the command; return 1 if a pair failed."""
    arguments = parse()
    pairs = [plan_pair(name, arguments) for name in chosen(arguments)]
    if arguments.executor == "hf-jobs":
        return submit(pairs, arguments)
    recording.require_commit(arguments.records, arguments.uncommitted)
    if arguments.side_by_side:
        for jobs in pairs:
            many_seeds.check(jobs)
    if arguments.deterministic:
        backend.make_deterministic()
    for dataset in sorted({jobs[0].dataset for jobs in pairs}):
        data.load(dataset, "train")  # report broken data before training
        data.load(dataset, "test")
    failed = train_pairs(pairs, arguments)
    recorded = results.read_all(arguments.records)
    if unmeasured := [r.model for r in recorded if r.speed is None and r.submission is None]:
        recording.record_speed(arguments.runs, arguments.records, unmeasured)
    snapshot.write(arguments.records)
    summarize(recorded, [jobs[0].model for jobs in pairs], arguments.records)
    for model, error in failed.items():
        print(f"{model} failed: {error}", file=sys.stderr)
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="architecture.dataset pairs, comma-separated")
    parser.add_argument(
        "--recipe", help="zoo or paper (default: zoo; without --only also the paper recipe of every pair with a claim)"
    )
    parser.add_argument("--seeds", type=int, help="trainings per pair (default: that of the architecture, 3 or 5)")
    parser.add_argument("--epochs", type=int, help="maximum number of epochs; the result gets another name")
    parser.add_argument("--runs", type=Path, default=cli.ROOT / "runs", help="folder of the runs (default: runs)")
    parser.add_argument(
        "--records",
        type=Path,
        default=results.LOCAL,
        help="folder of the records (default: leaderboard/local_records, which git ignores; the board shows its rows "
        "as local. Those of the published board are in leaderboard/records)",
    )
    parser.add_argument(
        "--uncommitted", action="store_true", help="train for the published board although code is not committed"
    )
    parser.add_argument("--ship", action="store_true", help="copy the chosen model into zoo/pretrained")
    parser.add_argument("--deterministic", action="store_true", help="bit-reproducible on the same machine, but slower")
    parser.add_argument("--side-by-side", action="store_true", help="train a pair's seeds in one program (JAX)")
    workers = parser.add_argument_group("where it runs")
    workers.add_argument(
        "--executor", choices=(*executors.EXECUTORS, "hf-jobs"), default="local", help="default: this process"
    )
    workers.add_argument("--address", help="address of a running Ray, host:port or auto (default: start one here)")
    workers.add_argument("--workers", type=int, help="runs at a time (default: as many as fit)")
    workers.add_argument(
        "--cpus-per-job", type=int, help="processors per run (default: an equal share of this machine's)"
    )
    workers.add_argument("--gpus-per-job", type=float, default=0.0, help="0.25 lets four runs share a GPU")
    workers.add_argument("--attempts", type=int, help="maximum number of attempts per run (default: 1, on Ray 3)")
    workers.add_argument("--devices", type=int, help="GPUs that share every batch of one network (JAX, TensorFlow)")
    cloud = parser.add_argument_group("hf-jobs: one machine of the Hub per pair, with its runs in a bucket")
    cloud.add_argument("--flavor", default="cpu-basic", help="the hardware, see `hf jobs hardware` (%(default)s)")
    cloud.add_argument("--timeout", default="6h", help="time limit of a machine (%(default)s)")
    cloud.add_argument("--bucket", help="bucket for the runs (default: <ZOO_NAMESPACE>/zoo-runs)")
    cloud.add_argument("--source", help="repository to clone the code from (default: this checkout's origin)")
    cloud.add_argument("--dry-run", action="store_true", help="print the exact commands; submit nothing")
    arguments = parser.parse_args()
    if arguments.dry_run and arguments.executor != "hf-jobs":
        parser.error("--dry-run is for --executor hf-jobs")
    for option in ("seeds", "epochs", "devices", "workers", "cpus_per_job", "attempts"):
        if (value := getattr(arguments, option)) is not None and value < 1:
            parser.error(f"--{option.replace('_', '-')} should be at least 1, not {value}")
    if arguments.side_by_side and arguments.executor != "local":
        parser.error("--side-by-side is one program in this process: leave --executor out")
    if arguments.gpus_per_job < 0:
        parser.error(f"--gpus-per-job should be a share of a GPU, at least 0, not {arguments.gpus_per_job:g}")
    return arguments


def chosen(arguments: argparse.Namespace) -> list[str]:
    """Return the pairs to train: the named ones, else all registered ones, the longest last."""
    if arguments.only is not None:
        return [name.strip() for name in arguments.only.split(",")]
    known = registry.architectures()
    pairs = [f"{a.name}.{dataset}" for a in known.values() for dataset in a.datasets]
    if arguments.recipe is None:
        pairs += [f"{c.model}-paper" for c in claims() if c.network in known and "paper" in known[c.network].recipes]
    return sorted(pairs, key=lambda pair: known[pair.partition(".")[0]].for_accelerators)


def plan_pair(name: str, arguments: argparse.Namespace) -> list[training.Job]:
    """Return a pair's jobs, one a seed."""
    pair = registry.ModelName.parse(name)
    seeds = arguments.seeds or registry.get(pair.architecture).seeds
    recipe = pair.recipe if pair.recipe != "zoo" else arguments.recipe or "zoo"
    job = training.plan(pair.architecture, pair.dataset, recipe, epochs=arguments.epochs)
    job = replace(job, recipe=replace(job.recipe, devices=arguments.devices))
    return [replace(job, seed=n) for n in range(seeds)]


def train_pairs(pairs: list[list[training.Job]], arguments: argparse.Namespace) -> dict[str, str]:
    """Train every run and publish every pair; return failures with reasons. A failure does not stop the others."""
    jobs = [job for pair in pairs for job in pair]
    if arguments.executor == "local":
        costs = [float(job.recipe.epochs) for job in jobs]  # for the progress bar only: they keep their order
    else:
        costs = run_costs(jobs, results.read_all(None if arguments.records == results.LOCAL else arguments.records))
    tasks = [task_of(job, arguments.runs, arguments.deterministic, cost) for job, cost in zip(jobs, costs, strict=True)]
    pair_of = {task.name: job.model for task, job in zip(tasks, jobs, strict=True)}
    waiting = {pair[0].model: list(pair) for pair in pairs}
    missing = Counter(pair_of.values())
    failed = {}
    with executor(arguments) as workers, TaskBars(tasks) as bars:
        if arguments.side_by_side:
            train_side_by_side(pairs, arguments.runs, bars)
        for outcome in chain.from_iterable(workers.run(wave, bars.tell) for wave in waves(tasks, jobs)):
            name, model = outcome.task.name, pair_of[outcome.task.name]
            bars.finish(name)
            missing[model] -= 1
            if outcome.problem:
                failed[name] = outcome.problem
            elif len(outcome.attempts) > 1:
                log.info("%s succeeded at attempt %d", name, len(outcome.attempts))
            if missing[model] == 0 and not any(pair_of[other] == model for other in failed if other in pair_of):
                try:
                    runs = [training.Run.read(job.folder(arguments.runs)) for job in waiting[model]]
                    publish(runs, arguments.records, arguments.ship)
                except Exception as error:
                    log.exception("%s failed", model)
                    failed[model] = str(error)
    return failed


def train_side_by_side(pairs: list[list[training.Job]], runs: Path, bars: TaskBars) -> None:
    """Train the seeds of every pair in one program; if that fails, they are trained one by one later."""
    for jobs in pairs:
        names = [task_of(job, runs).name for job in jobs]

        def tell(share: float, names: list[str] = names) -> None:
            for name in names:
                bars.tell(name, TRAINED * share)

        try:
            many_seeds.train(jobs, runs, tell)
        except Exception:
            log.exception("%s: its seeds failed side by side and are trained one after the other", jobs[0].model)


def summarize(recorded: list[results.Result], models: list[str], records: Path) -> None:
    """Print the score of each trained model, and where its row is shown."""
    found = [result for result in recorded if result.model in models]
    for result in found:
        low, high = result.accuracy_interval
        seconds = sum(seed.metrics.get("training_time", 0.0) for seed in result.seeds)
        print(
            f"{result.model}: {result.mean('accuracy'):.2%} of {result.samples:,} test samples correct, 95% interval "
            f"of the shipped seed {low:.2%} to {high:.2%}, trained in {seconds:,.0f} s."
        )
    if found:
        place = records.resolve()
        shown = place.relative_to(cli.ROOT) if place.is_relative_to(cli.ROOT) else place
        start = "" if records in (results.LOCAL, results.RECORDS) else f"ZOO_RECORDS={shown} "
        print(f"Recorded in {shown}. To see it on the board: {start}python spaces_app.py")


def submit(pairs: list[list[training.Job]], arguments: argparse.Namespace) -> int:
    """Submit each pair to its own machine, or print the commands; the bucket returns the runs."""
    bucket = arguments.bucket or f"{namespace()}/zoo-runs"
    source, commit = arguments.source or environment.origin(), environment.commit()
    if source is None or commit is None:
        raise ZooError(
            "The Hub's machines clone the code, but this is not a git checkout with an origin: add --source."
        )
    for pair in pairs:
        job, seeds = pair[0], str(len(pair))
        name = f"{job.architecture}.{job.dataset}"
        command = ["python", "scripts/train_all.py", "--only", name, "--seeds", seeds, "--runs", RUNS]
        command += ["--records", f"{RUNS}/records", "--recipe", job.recipe.name.partition("-")[0]]
        for option in ("epochs", "devices"):
            if value := getattr(arguments, option):
                command += [f"--{option}", str(value)]
        command += ["--deterministic"] if arguments.deterministic else []
        cloud = CloudJob(
            job.model, tuple(command), source, commit.rstrip("+"), bucket, arguments.flavor, arguments.timeout
        )
        print(cloud.shell if arguments.dry_run else f"{job.model}: {cloud.submit()}", flush=True)
    home = f"hf buckets sync hf://buckets/{bucket} {arguments.runs}"
    print(f"When they are done: {home}, and the same command without --executor publishes the runs.")
    return 0


def executor(arguments: argparse.Namespace) -> executors.Executor:
    """Return what runs the jobs."""
    return executors.opened(
        arguments.executor,
        address=arguments.address,
        workers=arguments.workers,
        cpus_per_job=arguments.cpus_per_job,
        gpus_per_job=arguments.gpus_per_job,
        attempts=arguments.attempts or (3 if arguments.executor == "ray" else 1),
        shared=arguments.runs,
    )


if __name__ == "__main__":
    cli.run(main)
