"""The report of a row: data that the record does not contain, computed once and stored next to it.

`<model>.report.npz` holds the small part: what the abstention threshold does on validation, the epochs, the layers,
filters, feature maps of an example, and some correct samples. Pages and figures need only this file, the record and the
stored predictions, but neither Keras nor a dataset.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from leaderboard import results, table, writers
from leaderboard.predictions import Predictions, pictures
from leaderboard.results import Result
from zoo import cards, data, reports
from zoo.errors import ZooError
from zoo.files import read_arrays, replacing
from zoo.published import PublishedFolder
from zoo.serving.predictor import Predictor
from zoo.serving.validated import Validated, validated
from zoo.types import Json

SUFFIX = ".report.npz"
VERSION = 1  # increase it when the content changes
RIGHT, MOST_RIGHT = (
    24,
    35,
)  # correct samples stored: the first or one per class, at most the second
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """The stored report of one row.

    facts: plain JSON types. version, revision (of the model.onnx that it is about); training: epochs (loss, accuracy,
        validation_loss, validation_accuracy, learning_rate, seconds of each), kept_epoch, samples, training_seconds;
        dont_know: cost, threshold, samples, coverage, accuracy, curve, all on validation, None where none was chosen.
    inside: see `zoo.reports.Inside`.
    right: int32 (R,), correctly predicted test samples, cycling through the classes.
    right_images: uint8 (R, H, W), those samples.
    """

    facts: Json
    inside: reports.Inside
    right: np.ndarray
    right_images: np.ndarray

    @property
    def threshold(self) -> float | None:
        """The confidence below which it abstains; None if none was chosen."""
        return (self.facts["dont_know"] or {}).get("threshold")

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        kinds = {"filters": self.inside.filters, "maps": self.inside.maps}
        layers = {f"{kind}-{n}": layer for kind, found in kinds.items() for n, layer in enumerate(found)}
        titles = {key: [layer.title, layer.columns] for key, layer in layers.items()}
        text = json.dumps({"facts": self.facts, "rows": self.inside.rows, "pictures": titles}, ensure_ascii=False)
        arrays: dict[str, Any] = {key: layer.images for key, layer in layers.items()}
        arrays |= {"right": self.right, "right_images": self.right_images}
        if self.inside.example is not None:
            arrays["example"] = self.inside.example
        with replacing(path) as staged, staged.open("wb") as file:
            np.savez_compressed(file, text=np.frombuffer(text.encode(), np.uint8), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Report":
        """Read an npz file; ZooError if it is missing or broken."""
        try:
            saved = read_arrays(path)
            text = json.loads(saved["text"].tobytes().decode())
            layers: dict[str, list[reports.Pictures]] = {"filters": [], "maps": []}
            for key, (title, columns) in text["pictures"].items():
                layers[key.partition("-")[0]].append(reports.Pictures(title, saved[key], columns))
            inside = reports.Inside(text["rows"], tuple(layers["filters"]), tuple(layers["maps"]), saved.get("example"))
            return cls(text["facts"], inside, saved["right"], saved["right_images"])
        except (ValueError, TypeError, AttributeError, KeyError, ZooError) as error:
            raise ZooError(f"{path.name} holds no report: {error}") from error


def path_of(result: Result, folder: Path | None = None) -> Path:
    """Return the path of a row's report."""
    return results.path_of(result.model, result.dataset, folder).with_suffix(SUFFIX)


def read_report(result: Result, folder: Path | None = None) -> Report | None:
    """Return the stored report of a row; None if there is none, or if it is of other weights."""
    path = path_of(result, folder)
    if not path.exists():
        return None
    try:
        report = Report.load(path)
    except ZooError as error:
        log.warning("%s: %s", result.model, error)
        return None
    current = (report.facts.get("version"), report.facts.get("revision")) == (VERSION, result.revision)
    return report if current else None


def keep(result: Result, published: Path, folder: Path | None = None) -> Report:
    """Return a row's report; compute and store it if it is missing or of other weights.

    Args:
        result: the record.
        published: the folder that it was measured on.
        folder: of the records.

    Raises:
        ZooError: the folder holds other weights than the record's, or the test predictions are not stored.
        DataError: the dataset is missing or broken.
    """
    report = read_report(result, folder)
    if report is None:
        report = _made(result, published, folder)
        report.save(results.own_path(result.model, result.dataset, folder).with_suffix(SUFFIX))
    return report


def _made(result: Result, published: Path, folder: Path | None) -> Report:
    answers = results.predictions(result, folder)
    if answers is None:
        raise ZooError(f"The test predictions of {result.model} are not stored: run scripts/train_all.py.")
    predictor = Predictor.measured(published)
    history = PublishedFolder(published).history
    if predictor.threshold is None:
        raise ZooError(f"{published} has no threshold below which it abstains: export it again.")
    found = validated(published)
    right, images = _right(result, answers)
    inside = reports.look(zoo.load_model(published), found.example)
    epochs = [{name: float(f"{value:.5g}") for name, value in epoch.items()} for epoch in history["epochs"]]
    training = {key: history[key] for key in ("kept_epoch", "samples", "training_seconds")} | {"epochs": epochs}
    facts = {
        "version": VERSION,
        "revision": result.revision,
        "training": training,
        "dont_know": _dont_know(found, predictor.threshold),
    }
    return Report(facts, inside, right, images)


def _dont_know(found: Validated, threshold: float) -> Json:
    """Return the coverage and accuracy of a threshold on validation."""
    return {
        "cost": reports.COST,
        "threshold": threshold,
        "samples": len(found.right),
        **reports.coverage(found.confidence, found.right, threshold),
        "curve": reports.coverage_curve(found.confidence, found.right),
    }


def _right(result: Result, answers: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return correctly predicted test samples, cycling through the classes, and their pictures."""
    classes = len(result.per_class)
    each = max(1, RIGHT // classes)
    by_class = [np.flatnonzero(answers.right & (answers.labels == label))[:each] for label in range(classes)]
    turns = (rows[turn] for turn in range(each) for rows in by_class if turn < len(rows))
    chosen = np.fromiter(turns, np.int32)[:MOST_RIGHT]
    return chosen, pictures(data.load(result.dataset, data.get(result.dataset).scored).images, chosen)


def scored(result: Result) -> str:
    """Return the split that a row was measured on: "test", except for a user's dataset without one."""
    try:
        return data.get(result.dataset).scored
    except ZooError:  # another user's dataset, which is not available here
        return "test"


def ink(result: Result) -> int:
    """Return the value of full ink in a row's pictures: 255 in glyphs, 0 in pages."""
    return 0 if result.dataset in data.DATASETS and data.get(result.dataset).view is not None else 255


def final_report(result: Result, answers: Predictions, report: Report | None) -> Json:
    """Return the scores on the split that `scored` names, as plain JSON types; fractions in [0, 1]."""
    labels = [entry["label"] for entry in result.per_class]
    pairs = cards.worst_pairs(result.confusion, labels, len(labels))
    sure, right = answers.confidence.astype(np.float64), answers.right
    return {
        "model": result.model,
        "title": result.title,
        "dataset": result.dataset,
        "split": scored(result),
        "dataset_fingerprint": result.dataset_fingerprint,
        "revision": result.revision,
        "parameters": int(result.shipped("parameters")),
        "seed": result.shipped_seed,
        "samples": result.samples,
        "errors": result.errors,
        "metrics": {
            name: {"shipped": result.shipped(name), "mean": result.mean(name), "std": result.spread(name)}
            for name in result.means
        },
        "seeds": len(result.seeds),
        "accuracy_interval": table.interval(result, answers.right, writers.of(result)),  # of the mean
        "macro_f1_interval": result.macro_f1_interval,
        "documented": result.claimed,
        # Within a class, accuracy and recall are the same.
        "per_class": [{**entry, "accuracy": entry["recall"]} for entry in result.per_class],
        "confusion": result.confusion,
        "top_confusions": [{"true": true, "read": read, "count": count} for true, read, count in pairs],
        "confidence": {
            "when_right": float(sure[right].mean()) if right.any() else None,
            "when_wrong": float(sure[~right].mean()) if not right.all() else None,
        },
        "dont_know": dont_know(answers, report),
        "corruptions": result.corruptions,
        "date": result.date,
        "environment": result.evaluation_environment,
    }


def dont_know(answers: Predictions, report: Report | None) -> Json | None:
    """Return the threshold chosen on validation, with its coverage and accuracy there and on the test set."""
    if report is None or report.threshold is None:
        return None
    chosen = dict(report.facts["dont_know"])
    sure = answers.confidence.astype(np.float32)
    test = {
        "samples": len(sure),
        **reports.coverage(sure, answers.right, report.threshold),
        "curve": reports.coverage_curve(sure, answers.right),
    }
    return {"cost": chosen.pop("cost"), "threshold": chosen.pop("threshold"), "validation": chosen, "test": test}


def training_summary(result: Result, report: Report) -> Json:
    """Return how the shipped seed was trained, as plain JSON types; accuracies in [0, 1], times in seconds."""
    training = report.facts["training"]
    kept = training["epochs"][training["kept_epoch"] - 1]
    return {
        "model": result.model,
        "recipe": result.recipe,
        "seed": result.shipped_seed,
        "selection": result.selection,
        "samples": training["samples"],
        "epochs": len(training["epochs"]),
        "kept_epoch": training["kept_epoch"],
        "training_seconds": training["training_seconds"],
        "kept": {**kept, "gap": kept["accuracy"] - kept["validation_accuracy"]},
        "seeds": [
            {"seed": seed.seed, "epochs": seed.epochs, "validation_accuracy": seed.validation_accuracy,
             "test_accuracy": seed.metrics["accuracy"]}
            for seed in result.seeds
        ],
        "environment": result.environment,
        "history": training["epochs"],
    }  # fmt: skip
