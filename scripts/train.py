"""Train a network on your own pictures, from scratch or from a published model, and publish it in a folder.

    python scripts/train.py --data ./letters --architecture lenet5         one folder of pictures per class
    python scripts/train.py --data ./letters --from resco_mini.mnist       starting from published weights
    python scripts/train.py --data me/letters --architecture hdr_cnn --folds 5 --name letters

The pictures may also be a parquet file, a dataset repo, a dataset on the Hub, or the name of a dataset of the zoo. You
can stop it at any time; the same command continues. The model is stored in runs/models, or --out, and used like any
other: load_model("./runs/models/lenet5.letters"), or ZOO_MODELS=runs/models for all commands.
"""

import argparse
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cli
import datasets
from progress import Bars

from leaderboard import recording, report_store
from leaderboard.results import Result
from zoo import backend, data, ink, registry, training
from zoo.errors import DataError, ZooError
from zoo.files import replacing, write_json
from zoo.ingest import labelled_folders, normalise, user_data
from zoo.training import cross_validation, samples, transfer
from zoo.types import Json

log = logging.getLogger("zoo.train")


def main() -> None:
    """Run the command."""
    arguments = parse()
    datasets.disable_progress_bars()  # they would break the progress bars
    if arguments.deterministic:
        backend.make_deterministic()
    start = transfer.Start.read(arguments.start) if arguments.start else None
    architecture = architecture_of(arguments, start)
    registry.get(architecture).recipe(arguments.recipe or "zoo")
    dataset = dataset_of(arguments, architecture, start)
    jobs = [plan(arguments, architecture, dataset, seed) for seed in range(arguments.seeds)]
    check(jobs[0], arguments)
    with Bars(total=len(jobs) + (arguments.folds or 0)) as bars:
        folds = None
        if arguments.folds:
            folds = cross_validation.run(jobs[0], arguments.folds, arguments.runs, bars.start)
            bars.finish(arguments.folds)
        runs = [training.train(job, arguments.runs, bars.start(f"{job.model} seed {job.seed}")) for job in jobs]
        bars.start(f"{jobs[0].model} export and evaluation")
        result = recording.record(runs, arguments.out / "records")
        report_store.keep(result, recording.shipped(runs).folder / "export", arguments.out / "records")
        folder = arguments.out / result.model
        with replacing(folder) as staged:
            shutil.copytree(recording.shipped(runs).folder / "export", staged)
            if folds:
                write_json(staged / "folds.json", folds)
        bars.finish(len(jobs))
    tell(result, folds, folder, arguments)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder, parquet file, dataset repo, Hub id or name of a dataset")
    parser.add_argument("--architecture", help="which network (default: that of --from)")
    parser.add_argument("--from", dest="start", help="a published model: its name, its folder or hf://owner/name")
    parser.add_argument("--name", help="name of the dataset (default: that of the folder, file or repo)")
    parser.add_argument("--recipe", help="which recipe (default: finetune with --from, else zoo)")
    parser.add_argument("--epochs", type=int, help="maximum number of epochs; the result gets another name")
    parser.add_argument(
        "--seeds", type=int, default=1, help="trainings; the best on validation is published (default: 1)"
    )
    parser.add_argument(
        "--folds", type=int, help="number of folds of a cross-validation before training, by writer if known"
    )
    parser.add_argument("--fit", choices=normalise.FITS, default="ink", help="find each glyph, or use whole frames")
    parser.add_argument("--size", type=int, help="side of the network's input in pixels (default: as --from, else 28)")
    parser.add_argument(
        "--group", help="column with the writer of each picture; none: ignore writers (default: writer, …)"
    )
    parser.add_argument(
        "--out", type=Path, default=cli.ROOT / "runs" / "models", help="folder of models (default: runs/models)"
    )
    parser.add_argument("--runs", type=Path, default=cli.ROOT / "runs", help="folder of the runs (default: runs)")
    parser.add_argument("--deterministic", action="store_true", help="bit-reproducible on the same machine, but slower")
    arguments = parser.parse_args()
    for option, least in (("seeds", 1), ("epochs", 1), ("folds", 2), ("size", 8)):
        if (value := getattr(arguments, option)) is not None and value < least:
            parser.error(f"--{option} should be at least {least}, not {value}")
    if not (arguments.architecture or arguments.start):
        parser.error("name a network with --architecture, or a published model with --from")
    return arguments


def architecture_of(arguments: argparse.Namespace, start: transfer.Start | None) -> str:
    """Return the architecture; ZooError if the published model has another one."""
    if start is None:
        return registry.get(arguments.architecture).name
    if arguments.architecture not in (None, start.architecture):
        raise ZooError(f"{arguments.start} is a {start.architecture}: a {arguments.architecture} cannot start from it.")
    return start.architecture


def dataset_of(arguments: argparse.Namespace, architecture: str, start: transfer.Start | None) -> str:
    """Return the name of the dataset, which is made of the user's pictures unless it is known."""
    where: str = arguments.data
    if where in data.names() and not Path(where).exists():
        return where
    name = arguments.name or user_data.name_for(where)
    user_data.check_name(name)
    seen, least = contract(arguments, start), registry.get(architecture).minimum_size
    if min(seen.height, seen.width) < least:
        raise ZooError(f"{architecture} needs images of at least {least} x {least} pixels: choose --size {least}.")
    prepared = user_data.prepare(labelled_folders.read_folders(where, arguments.group), name, seen, arguments.fit)
    if start:
        start.build()  # report weights that do not fit before anything is written
    folder = user_data.keep(prepared)
    print(*prepared.notes, f"They are stored as the dataset {name} in {folder}.", sep="\n", flush=True)
    return name


def contract(arguments: argparse.Namespace, start: transfer.Start | None) -> ink.Contract:
    """Return the image contract: that of the published model, else that of MNIST."""
    if start is None:
        return normalise.contract_for(arguments.size or ink.MNIST.height, arguments.size or ink.MNIST.width)
    if arguments.size not in (None, start.contract.height):
        raise ZooError(
            f"{start.model} takes {start.contract.height} x {start.contract.width} pixels: leave out --size."
        )
    return start.contract


def plan(arguments: argparse.Namespace, architecture: str, dataset: str, seed: int) -> training.Job:
    """Return the job of one seed."""
    job = training.plan(architecture, dataset, arguments.recipe or "zoo", seed=seed)
    recipe = transfer.fine_tuning(job.recipe) if arguments.start and not arguments.recipe else job.recipe
    start = arguments.start
    if start and Path(start).expanduser().is_dir():
        start = str(Path(start).expanduser().resolve())  # the same from every working directory
    return replace(job, recipe=recipe.shortened(arguments.epochs or recipe.epochs), start=start)


def check(job: training.Job, arguments: argparse.Namespace) -> None:
    """Raise ZooError for all problems that would stop the training later."""
    spec = data.get(job.dataset)
    if spec.image_shape is None:
        raise ZooError(f"{spec.name} holds pages, not glyphs: scripts/train_all.py trains on those.")
    if (run := training.read_run(job, arguments.runs)) and run.history["fingerprint"] != spec.fingerprints["train"]:
        raise ZooError(
            f"{run.folder} was trained on other data of the same name: move it away or choose another --name."
        )
    if spec.scored == "test":
        data.load(job.dataset, "test")
    seen = samples.of(job.dataset, job.recipe)
    assert isinstance(seen, samples.Glyphs)  # pages were refused above
    for rows, what in ((seen.train, "to train on"), (seen.watched, "to choose on")):
        for number in sorted(set(range(len(spec.labels))) - set(rows.labels.tolist())):
            raise DataError(f"The class {spec.labels[number]!r} has no sample {what} by the recipe {job.recipe.name}.")
    if arguments.folds:
        cross_validation.jobs(job, arguments.folds)
    if job.start:
        transfer.start(training.build(job), job.architecture, job.dataset, job.start)


def tell(result: Result, folds: Json | None, folder: Path, arguments: argparse.Namespace) -> None:
    """Print the result, and what to do next."""
    spec = data.get(result.dataset)
    if folds:
        for score, name in ((folds["accuracy"], "accuracy"), (folds["macro_f1"], "macro F1")):
            print(f"{name}, {len(folds['folds'])} folds: {100 * score['mean']:.2f} ± {100 * score['sd']:.2f} %")
        print(f"Held out by {folds['held_out_by']}; each fold: {cross_validation.path_of(folds, arguments.runs)}")
    low, high = result.accuracy_interval
    what = "test" if spec.scored == "test" else "VALIDATION (there is no test split)"
    print(
        f"{result.model}: {100 * result.shipped('accuracy'):.2f} % of {result.samples:,} {what} samples are read "
        f"right, 95% interval {100 * low:.2f} to {100 * high:.2f}."
    )
    models, there = (
        os.path.relpath(p) if p.resolve().is_relative_to(Path.cwd()) else p for p in (arguments.out, folder)
    )
    print(f"It is in {there}. Try it:")
    print(f"  ZOO_MODELS={models} python spaces_app.py")
    print(f"  ZOO_MODELS={models} python scripts/measure.py {result.model}")
    print(f"  ZOO_MODELS={models} python scripts/export.py {result.model}")
    print(f"  python scripts/push_all.py --models {models} --records {models}/records --only {result.model}")


if __name__ == "__main__":
    cli.run(main)
