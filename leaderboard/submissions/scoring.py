"""Make a verified row of the board from the result of the sandbox, together with the sender's claim."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from leaderboard import metrics
from leaderboard.evaluation import confusion_matrix, per_class
from leaderboard.memorization import MemorizationGap
from leaderboard.predictions import Predictions
from leaderboard.results import Result, SeedResult
from leaderboard.statistics import macro_f1_interval, wilson_interval
from leaderboard.submissions.checks import ARCHITECTURE
from leaderboard.submissions.holdings import MODEL, PORTABLE
from leaderboard.submissions.lifecycle import Submission
from leaderboard.submissions.sandbox import Outcome
from leaderboard.submissions.sandbox.inputs import Inputs, Parts
from zoo import data, environment
from zoo.recipes import ZOO
from zoo.types import Json

AS_SENT = {"name": "submitted"}  # the recipe of weights that were trained elsewhere


@dataclass(frozen=True)
class Measured:
    """One seed's outcome, scored."""

    seed: int
    outcome: Outcome
    scores: dict[str, float]
    validation_accuracy: float
    memorization: MemorizationGap


def score(seed: int, outcome: Outcome, inputs: Inputs) -> Measured:
    """Compute every metric of an outcome outside the sandbox, which never gets the labels."""
    parts = inputs.parts(outcome.answers)
    facts = {
        "corrupted": {name: found.argmax(axis=1) for name, found in parts.under.items()},
        "parameters": outcome.parameters,
    }
    if others := right_elsewhere(parts, inputs):
        facts["transfers"] = others
    if parts.strangers is not None:
        facts["validation_confidence"] = parts.validation.max(axis=1)
        facts["unknown_confidence"] = parts.strangers.max(axis=1)
    if outcome.training:
        facts["training_seconds"] = outcome.training["training_seconds"]
    scores = metrics.compute(parts.test, inputs.test.labels, **facts)
    scores |= {"file_size": len(outcome.model), "multiply_adds": outcome.multiply_adds}
    accuracy = float((parts.validation.argmax(axis=1) == inputs.validation.labels).mean())
    right = parts.test.argmax(axis=1) == inputs.test.labels
    right_again = outcome.again.argmax(axis=1).reshape(-1, len(right)) == inputs.test.labels
    return Measured(seed, outcome, scores, accuracy, MemorizationGap.of(right, right_again))


def row(submission: Submission, dataset: str, found: list[Measured], inputs: Inputs) -> tuple[Result, Predictions]:
    """Return the board's row of a submission on one dataset, and what is kept of its answers."""
    shipped = max(found, key=lambda measured: measured.validation_accuracy)
    parts = inputs.parts(shipped.outcome.answers)
    others = right_elsewhere(parts, inputs)
    labels, spec = inputs.test.labels, data.get(dataset)
    confusion = confusion_matrix(labels, parts.test.argmax(axis=1), len(spec.labels))
    trained = submission.track == ARCHITECTURE
    described = environment.describe()
    claimed = submission.claimed.get(dataset)
    result = Result(
        model=submission.row(dataset),
        architecture=submission.row(dataset).rpartition(".")[0],
        title=f"Sent by {submission.user}, {'trained here from its configuration' if trained else 'measured as sent'}",
        licence=submission.licence,
        dataset=dataset,
        dataset_fingerprint=inputs.test.fingerprint,
        training_fingerprint=inputs.validation.fingerprint if trained else "",
        metric_versions={name: metrics.versions()[name] for name in shipped.scores},
        parameters_as_trained=submission.parameters,
        recipe=recipe_of(dataset, shipped) if trained else dict(AS_SENT),
        selection="highest validation accuracy" if trained else "the sender's",
        shipped_seed=shipped.seed,
        revision=revision(shipped),
        seeds=[
            SeedResult(
                seed=measured.seed,
                validation_accuracy=measured.validation_accuracy,
                epochs=measured.outcome.training["epochs"] if measured.outcome.training else 0,
                metrics=measured.scores,
                revision=revision(measured),
            )
            for measured in found
        ],
        accuracy_interval=list(wilson_interval(int(np.trace(confusion)), int(confusion.sum()))),
        macro_f1_interval=list(macro_f1_interval(confusion)),
        corruptions={name: float((said.argmax(axis=1) == labels).mean()) for name, said in parts.under.items()},
        transfers={name: float(right.mean()) for name, right in others.items()},
        per_class=per_class(confusion, spec.labels),
        confusion=confusion.tolist(),
        environment={**described, "devices": ["cpu"]} if trained else {},
        evaluation_environment={**described, "isolation": shipped.outcome.isolation},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        claimed=None if claimed is None else {"accuracy": claimed, "source": f"its sender, {submission.user}"},
        submission={
            **credits_of(submission),
            "memorization": asdict(shipped.memorization),
            "take": shipped.outcome.portable.reason,
        },
    )
    return result, Predictions.of(parts.test, labels, inputs.test.images, others)


def right_elsewhere(parts: Parts, inputs: Inputs) -> dict[str, np.ndarray]:
    """Return which samples of the test sets of other hands are read right, bool (N,), by dataset."""
    return {name: answers.argmax(axis=1) == inputs.others[name].labels for name, answers in parts.others.items()}


def recipe_of(dataset: str, measured: Measured) -> Json:
    """Return the recipe by which a submitted architecture was trained; a shortened one has a name of its own."""
    ran = (measured.outcome.training or {}).get("epochs")
    full = data.get(dataset).suited(ZOO)
    return full.shortened(ran or full.epochs).to_dict()


def revision(measured: Measured) -> str:
    """Return the SHA-256 of the ONNX file that was measured."""
    return hashlib.sha256(measured.outcome.model).hexdigest()


def credits_of(submission: Submission) -> dict[str, str]:
    """Return the credits of a row: its sender and declaration."""
    keys = ("id", "user", "track", "paper", "declaration", "source", "digest")
    return {key: getattr(submission, key) for key in keys}


def files(result: Result, predictions: Predictions, outcome: Outcome, scratch: Path) -> dict[str, bytes]:
    """Return the files of a measurement as the store keeps them."""
    path = scratch / "predictions.npz"
    predictions.save(path)
    record = json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n"
    return {
        f"{result.dataset}.json": record.encode(),
        f"{result.dataset}.npz": path.read_bytes(),
        MODEL: outcome.model,
        PORTABLE: outcome.portable.to_json(),
    }


def folder(submission: Submission, result: Result) -> str:
    """Return where a measurement is kept: nobody else's is, also of the same file."""
    return f"{submission.network}/{submission.id}-{result.revision[:16]}"
