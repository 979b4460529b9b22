"""Make a row of the board from finished runs: measure every seed once, choose the shipped seed on validation."""

import importlib.util
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from leaderboard import metrics, results, speed
from leaderboard.claims import claim_of
from leaderboard.evaluation import Evaluation, evaluate, is_current, revision
from leaderboard.predictions import Predictions
from leaderboard.statistics import macro_f1_interval, wilson_interval
from zoo import data, registry, training
from zoo.environment import CHANGED, commit
from zoo.errors import ZooError
from zoo.export import export
from zoo.files import read_json, write_json
from zoo.published import PublishedFolder
from zoo.settings import PRETRAINED
from zoo.training import Run, samples
from zoo.training.job import view_of

LICENCE = "apache-2.0"  # license of the code and of the weights that the zoo trains
EVALUATION, PREDICTIONS = "evaluation.json", "predictions.npz"  # in a run's folder


def shipped(runs: list[Run]) -> Run:
    """Return the run that is shipped: the best on validation, the first of equals."""
    return max(runs, key=lambda run: run.history["validation"]["accuracy"])


def counted(runs: list[Run]) -> list[Run]:
    """Return the runs that make a row: those measured here, or all where the weights of all stayed elsewhere.

    So no score that another machine reports is in the mean of a row whose weights are published.
    """
    return [run for run in runs if _is_here(run)] or runs


def _is_here(run: Run) -> bool:
    """Return whether a run can be measured here."""
    return PublishedFolder(run.folder / "export").onnx.exists() or run.weights.exists()


def require_commit(folder: Path, uncommitted: bool = False, runs: Iterable[Run] = ()) -> None:
    """Raise ZooError where the published board would get rows of code that nobody else can have.

    Args:
        folder: of the records that will be written.
        uncommitted: whether such rows are wanted all the same.
        runs: trainings that were done elsewhere.
    """
    commits = [commit(), *(run.environment.get("commit") for run in runs)]
    published = folder.resolve() == results.RECORDS.resolve()
    if published and not uncommitted and any((one or "").endswith(CHANGED) for one in commits):
        raise ZooError(
            "The published board takes rows of committed code, and Python files differ from the last commit: commit "
            "them, or train with --uncommitted, which the row then tells."
        )


def record(runs: list[Run], folder: Path = results.RECORDS) -> results.Result:
    """Export and measure every seed of a pair that is not yet measured, and write the record of those that count."""
    runs = counted(runs)
    evaluations = [evaluated(run) for run in runs]
    chosen = shipped(runs)
    result = row(runs, evaluations, chosen)
    results.write(result, Predictions.load(chosen.folder / PREDICTIONS), folder)
    return result


def evaluated(run: Run) -> Evaluation:
    """Measure a run on the test set once; its scores are stored in its folder.

    They are measured again when the export, the dataset's fingerprint or the version of a metric has changed. Weights
    that stayed on the machine where they were trained cannot be: what was measured there stands.
    """
    scores, exported = run.folder / EVALUATION, run.folder / "export"
    if not _is_here(run) and scores.exists():
        return Evaluation(**read_json(scores))
    if not PublishedFolder(exported).onnx.exists() or "threshold" not in PublishedFolder(exported).preprocessor:
        export(run, exported)
    if scores.exists() and is_current(stored := read_json(scores), exported):
        return Evaluation(**stored)
    evaluation, predictions = evaluate(exported)
    predictions.save(run.folder / PREDICTIONS)
    write_json(scores, evaluation.to_dict())
    return evaluation


def _selection(job: training.Job) -> str:
    """Return the criterion by which the shipped seed of a row is chosen."""
    spec = data.get(job.dataset)
    if (known := samples.known_share(job.dataset, job.recipe)) > 0.01:  # a few glyphs are drawn alike
        return f"highest accuracy on the validation samples, {known:.0%} of which it was trained on"
    whole = "" if isinstance(spec.validation, int) else f" of whole {spec.group}s that nothing was trained on"
    return f"highest accuracy on the validation samples{whole}"


def row(runs: list[Run], evaluations: list[Evaluation], chosen: Run) -> results.Result:
    """Return the board's row for the seeds of one pair."""
    job, of_chosen, folder = chosen.job, evaluations[runs.index(chosen)], PublishedFolder(chosen.folder / "export")
    confusion = np.array(of_chosen.confusion)
    made = results.Result(
        model=job.model,
        architecture=job.architecture,
        title=registry.get(job.architecture).title,
        licence=LICENCE,
        dataset=job.dataset,
        dataset_fingerprint=of_chosen.dataset_fingerprint,
        training_fingerprint=chosen.history["fingerprint"],
        metric_versions=of_chosen.metric_versions,
        recipe=job.recipe.to_dict(),
        selection=_selection(job),
        shipped_seed=job.seed,
        revision=of_chosen.revision,
        seeds=[
            results.SeedResult(
                seed=run.job.seed,
                validation_accuracy=run.history["validation"]["accuracy"],
                epochs=len(run.history["epochs"]),
                metrics=evaluation.metrics,
                revision=evaluation.revision,
            )
            for run, evaluation in zip(runs, evaluations, strict=True)
        ],
        accuracy_interval=list(wilson_interval(int(np.trace(confusion)), int(confusion.sum()))),
        macro_f1_interval=list(macro_f1_interval(confusion)),
        corruptions=of_chosen.corruptions,
        unseen_damage=of_chosen.unseen_damage,
        parameters_as_trained=folder.metadata.get("parameters_as_trained") if folder.onnx.exists() else None,
        validation_split=data.get(job.dataset).validation_split,
        transfers=of_chosen.transfers,
        per_class=of_chosen.per_class,
        confusion=of_chosen.confusion,
        environment=chosen.environment,
        evaluation_environment=of_chosen.environment,
        date=max(evaluation.date for evaluation in evaluations),
        claimed=claim_of(job.architecture, job.dataset),
    )
    # A network whose weights stayed on another machine is built here, only to count it.
    return made if made.parameters_as_trained else replace(made, parameters_as_trained=parameters_as_trained(made))


def record_speed(runs: Path, folder: Path = results.RECORDS, only: Collection[str] | None = None) -> list[str]:
    """Measure the speed of recorded models in one run and write it into the records.

    Args:
        runs: folder of the runs; shipped models are searched first.
        folder: of the records.
        only: these models; None: every one. The records of others do not change.

    Returns:
        The models whose published folder was not found; their recorded speed is unchanged.
    """
    recorded = [result for result in results.read_all(folder) if only is None or result.model in only]
    found = {result.model: place for result in recorded if (place := published(result, runs))}
    measured = speed.measure(found) if found else {}
    for result in recorded:
        if result.model in measured:
            results.write(replace(result, speed=measured[result.model]), folder=folder)
    return [result.model for result in recorded if result.model not in found]


def published(result: results.Result, runs: Path) -> Path | None:
    """Return the published folder that a record was measured on; None if it is not on this disk."""
    places = _places(result, runs)
    return next((p for p in places if PublishedFolder(p).onnx.exists() and revision(p) == result.revision), None)


def check_folder(result: results.Result, folder: Path, runs: Path) -> None:
    """Raise ZooError where a folder only says that it is the shipped model of a row.

    It is where this package or a training here has put the model: an export there may be newer than the row. Or its
    weights are those that the row was measured by, and they see what the row's see.
    """
    spec, places = data.get(result.dataset), {place.resolve() for place in _places(result, runs)}
    if folder.resolve() in places:
        return
    if revision(folder) != result.revision:
        raise ZooError(
            f"{folder} is not where {result.model}, seed {result.shipped_seed}, is published or was trained, and it "
            "holds other weights than those of the row: they change no record."
        )
    known = result.architecture in registry.architectures()
    view = view_of(result.architecture, spec) if known else spec.view
    if PublishedFolder(folder).preprocessor["view"] != (view.to_dict() if view else "glyph"):
        raise ZooError(f"{folder} sees samples by another view than {result.model}: what it scores changes no record.")


def _places(result: results.Result, runs: Path) -> tuple[Path, Path]:
    return PRETRAINED / result.model, exported(result, runs, result.shipped_seed)


def exported(result: results.Result, runs: Path, seed: int) -> Path:
    """Return where a training of a row is exported to, in the folder of the runs."""
    pair: Path = runs / f"{result.architecture}.{result.dataset}" / result.recipe["name"]
    return pair / f"seed-{seed}" / "export"


def parameters_as_trained(result: results.Result) -> int | None:
    """Return what Keras counts in a row's network as it is trained; None: no network of the zoo, or no Keras here."""
    if result.architecture not in registry.architectures() or importlib.util.find_spec("keras") is None:
        return None
    network = training.build(training.plan(result.architecture, result.dataset), "float32")
    return int(network.count_params())


def measured_again(result: results.Result, evaluation: Evaluation) -> results.Result:
    """Return a row with a new measurement of its shipped seed: of the same training, exported or measured again.

    Scores under damage stay where they were not measured, and so do facts of the training, which a folder only tells.
    Metrics that the other seeds lack are of the shipped one.

    Raises:
        ZooError: its other seeds were measured by other versions of the metrics.
    """
    several = len(result.seeds) > 1  # all seeds of a row have the same metrics
    measured = {name: value for name, value in evaluation.metrics.items() if metrics.tolerances()[name] is not None}
    found = {name: value for name, value in measured.items() if name in result.means or not several}
    newer = {name: value for name, value in measured.items() if name not in found}
    versions = {name: evaluation.metric_versions[name] for name in found}
    if several and not versions.items() <= result.metric_versions.items():
        raise ZooError(
            f"The other seeds of {result.model} were measured by other versions of the metrics: "
            "scripts/train_all.py measures all of them from their runs."
        )
    confusion = np.array(evaluation.confusion)
    shipped = result.of_seed(result.shipped_seed)
    again = replace(shipped, metrics=shipped.metrics | found, revision=evaluation.revision)
    return replace(
        result,
        revision=evaluation.revision,
        dataset_fingerprint=evaluation.dataset_fingerprint,
        metric_versions=result.metric_versions | {name: evaluation.metric_versions[name] for name in measured},
        shipped_metrics=newer,
        seeds=[again if seed is shipped else seed for seed in result.seeds],
        accuracy_interval=list(wilson_interval(int(np.trace(confusion)), int(confusion.sum()))),
        macro_f1_interval=list(macro_f1_interval(confusion)),
        corruptions=evaluation.corruptions or result.corruptions,
        unseen_damage=evaluation.unseen_damage or result.unseen_damage,
        transfers=evaluation.transfers,
        per_class=evaluation.per_class,
        confusion=evaluation.confusion,
        evaluation_environment=evaluation.environment,
        date=evaluation.date,
        speed=result.speed if evaluation.revision == result.revision else None,
    )
