"""Measure one submission on one dataset in sandboxes, and hold a row against a new measurement of its file."""

import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from leaderboard import checking, results
from leaderboard.predictions import Predictions
from leaderboard.submissions import budget, lifecycle, sandbox, scoring
from leaderboard.submissions.checks import ARCHITECTURE
from leaderboard.submissions.holdings import MODEL, network_bytes
from leaderboard.submissions.lifecycle import Gap, Outcome, Submission, Summary
from leaderboard.submissions.sandbox import Box, Unfit, inputs, protocol
from leaderboard.submissions.sandbox.child import TOO_LARGE
from leaderboard.submissions.store import Damaged, Store
from leaderboard.submissions.taking import Compiled
from zoo import data
from zoo.errors import ZooError
from zoo.types import Json

TRAINING_SAMPLES = "training"  # a folder of the cache


class Measurer(Protocol):
    """What a worker gives to a measurement; see `worker.Worker` for the fields."""

    store: Store
    name: str
    cache: Path
    need_isolation: bool
    epochs: int | None
    seeds: int

    def box(self, kind: str) -> Box:
        """Return a sandbox for a job."""


def measured(
    worker: Measurer,
    submission: Submission,
    dataset: str,
    tell: Callable[[str, float], None],
    cancelled: Callable[[], bool],
) -> Outcome:
    """Measure a submission on one dataset, keep the files in the store, and return what its receipt says of it."""
    trained = submission.track == ARCHITECTURE
    seeds = range(worker.seeds) if trained else range(1)
    content = worker.store.content(submission)
    tell("reading the data", 0.0)
    found = []

    def share_of(stage: str, number: int, share: float) -> None:
        tell(stage, (number + share) / len(seeds))

    with contextlib.ExitStack() as stack:
        early = None if trained else stack.enter_context(worker.box(submission.kind))  # it starts while data are read
        images = inputs.prepare(dataset, worker.cache)
        repo = inputs.training_repo(dataset, worker.cache / TRAINING_SAMPLES) if trained else None
        for number, seed in enumerate(seeds):
            stage = f"training {number + 1} of {len(seeds)} on {dataset}" if trained else f"measuring on {dataset}"
            job = job_of(submission.kind, dataset, seed, worker.epochs, repo)
            tell_share = partial(share_of, stage, number)
            with contextlib.nullcontext(early) if early else worker.box(submission.kind) as box:
                outcome = protocol.measure(box, job, content, images, tell_share, cancelled, worker.need_isolation)
            found.append(scoring.score(seed, _with_room(submission, outcome), images))
    tell(f"scoring on {dataset}", 1.0)
    result, predictions = scoring.row(submission, dataset, found, images)
    shipped = next(one for one in found if one.seed == result.shipped_seed)
    kept = scoring.folder(submission, result)
    with tempfile.TemporaryDirectory() as scratch:
        files = scoring.files(result, predictions, shipped.outcome, Path(scratch))
    lifecycle.check_held(worker.store.get(submission.id), worker.name)  # who took over may have kept theirs
    worker.store.keep_results(kept, files)
    return {
        "model": result.model,
        "accuracy": result.mean("accuracy"),
        "memorization": cast(Gap, asdict(shipped.memorization)),
        "parameters": int(result.mean("parameters")),
        "revision": result.revision,
        "folder": kept,
        "date": result.date,
        "summary": cast(Summary, result.summary),
    }


def _with_room(submission: Submission, outcome: sandbox.Outcome) -> sandbox.Outcome:
    """Return an outcome whose network takes no more of a store than was promised when it arrived.

    The program that browsers run is left out where there is no room for it.

    Raises:
        Unfit: the network alone takes more.
    """
    most, model = network_bytes(submission), len(outcome.model)
    if model > most:
        raise Unfit(
            f"It takes {model / 1e6:.1f} MB as ONNX, and the most for a file of {submission.size / 1e6:.1f} MB with "
            f"{submission.parameters or 0:,} parameters is {most / 1e6:.1f} MB: the weights of a layer that is called "
            "many times may be written once for each call. Call it less often, or send the ONNX file."
        )
    if model + len(outcome.portable.to_json()) > most:
        return replace(outcome, portable=Compiled(reason=TOO_LARGE))
    return outcome


def job_of(kind: str, dataset: str, seed: int = 0, epochs: int | None = None, repo: Path | None = None) -> Json:
    """Return a job for `protocol.measure`; only a job that trains names the dataset."""
    job = {
        "kind": kind,
        "classes": len(data.get(dataset).labels),
        "seconds": budget.MEASURING,
        "share": 0.9 if kind == "json" else 0.3,  # of the progress, that comes before the first answer
    }
    return job if repo is None else {**job, "dataset": dataset, "seed": seed, "epochs": epochs, "datasets": str(repo)}


def _model(store: Store, folder: str, dataset: str) -> bytes:
    """Return the ONNX file of a measurement; earlier versions kept one for each dataset."""
    try:
        return store.result(folder, MODEL)
    except Damaged:
        return store.result(folder, f"{dataset}.onnx")


def measured_again(worker: Measurer, submission: Submission, dataset: str) -> checking.Check:
    """Measure the ONNX file of a submission's row once more, in a sandbox, and hold the row against it."""
    found = submission.results.get(dataset)
    if found is None:
        raise ZooError(f"{submission.id} has no result on {dataset}: it is {submission.status}.")
    recorded = results.Result.from_json(worker.store.result(found["folder"], f"{dataset}.json"))
    images = inputs.prepare(dataset, worker.cache)
    model = _model(worker.store, found["folder"], dataset)
    with worker.box("onnx") as box:
        outcome = protocol.measure(box, job_of("onnx", dataset), model, images, need_isolation=worker.need_isolation)
    now = scoring.score(recorded.shipped_seed, outcome, images)
    stored = Predictions.load(io.BytesIO(worker.store.result(found["folder"], f"{dataset}.npz")))
    changed = int((images.parts(outcome.answers).test.argmax(axis=1) != stored.predicted).sum())
    scores, missing = checking.of_metrics(recorded, recorded.shipped_seed, now.scores)
    of_stored, problems = checking.of_predictions(recorded, stored)
    if recorded.stale:
        problems.append(f"The record is stale: {recorded.stale}.")
    problems += checking.beyond_rounding(changed)
    return checking.Check(scores + of_stored, changed, problems, missing)
