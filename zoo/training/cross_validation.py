"""k-fold cross-validation: every sample is read once by a network that was not trained on it, nor on its writer."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from zoo import data, training
from zoo.data import held_out
from zoo.errors import DataError
from zoo.files import read_json, write_json
from zoo.types import Json

BATCH = 256  # images of a call when a fold is scored


def jobs(job: training.Job, count: int) -> list[training.Job]:
    """Return the job of each fold: a part of the training rows tests, of the others a tenth validates.

    Raises:
        DataError: a class is missing from a fold; ZooError: fewer writers than folds.
    """
    if count < 2:
        raise DataError(f"Cross-validation needs at least 2 folds, not {count}.")
    spec, source = data.get(job.dataset), data.load(job.dataset, "train+validation")
    if spec.image_shape is None:
        raise DataError(f"{spec.name} has one page a class, which cannot be divided into folds.")
    parts = held_out.folds(source.labels, source.groups, count)
    for number in range(count):
        tested = parts == number
        rest, groups = source.labels[~tested], None if source.groups is None else source.groups[~tested]
        lacks = held_out.missing(source.labels, tested) or held_out.missing(rest, held_out.validation(rest, groups))
        if lacks:
            raise DataError(
                f"The class {spec.labels[lacks[0]]!r} has too few samples for {count} folds: in fold {number + 1} "
                f"there is none {'to train on' if lacks[1] == 'training' else 'held out'}."
            )
    return [replace(job, dataset=data.fold(job.dataset, number + 1, count)) for number in range(count)]


def score(run: training.Run) -> Json:
    """Return what a finished run makes of the part that it did not see: samples, accuracy and macro F1.

    The scores are kept in the run's folder.
    """
    path = run.folder / "fold.json"
    if path.exists():
        result: Json = read_json(path)
        return result
    from sklearn.metrics import f1_score

    test = data.load(run.job.dataset, "test")
    model = training.build(run.job, "float32")
    model.load_weights(run.weights)
    predicted = model.predict(test.images, batch_size=BATCH, verbose=0).argmax(axis=1)
    scores = {
        "samples": len(test),
        "accuracy": float((predicted == test.labels).mean()),
        "macro_f1": float(f1_score(test.labels, predicted, average="macro")),
        "validation_accuracy": run.history["validation"]["accuracy"],
    }
    write_json(path, scores)
    return scores


def summary(job: training.Job, scores: Iterable[Json]) -> Json:
    """Return what is written of a cross-validation, as plain JSON types; sd is over the folds (n - 1)."""
    folds = list(scores)
    spec = data.get(job.dataset)
    accuracies, f1 = ([fold[name] for fold in folds] for name in ("accuracy", "macro_f1"))
    return {
        "dataset": job.dataset,
        "fingerprint": spec.fingerprints["train"],
        "architecture": job.architecture,
        "recipe": job.recipe.to_dict(),
        "start": job.start,
        "seed": job.seed,
        "held_out_by": spec.group or "class",  # whole writers, or equal shares of every class
        "accuracy": {"mean": float(np.mean(accuracies)), "sd": float(np.std(accuracies, ddof=1))},
        "macro_f1": {"mean": float(np.mean(f1)), "sd": float(np.std(f1, ddof=1))},
        "folds": folds,
    }


def run(
    job: training.Job,
    count: int,
    runs: Path,
    begin: Callable[[str], training.Progress] = lambda text: lambda share: None,
) -> Json:
    """Train and score every fold, as far as that is not done; return the `summary` and write it next to the runs.

    Args:
        job: its dataset is the one to be divided.
        count: how many folds.
        runs: the folder of all runs.
        begin: called at the start of each fold; returns a function that is called with its progress, 0 to 1.
    """
    scores = []
    for number, part in enumerate(jobs(job, count), 1):
        done = training.train(part, runs, begin(f"{job.model} fold {number} of {count}"))
        scores.append(score(done))
    result = summary(job, scores)
    write_json(path_of(result, runs), result)
    return result


def path_of(result: Json, runs: Path) -> Path:
    """Return the file that a summary is written to."""
    name = f"folds-{len(result['folds'])}-seed-{result['seed']}.json"
    folder: Path = runs / f"{result['architecture']}.{result['dataset']}" / result["recipe"]["name"] / name
    return folder
