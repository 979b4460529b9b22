"""Made-up records: rows of the board that cost nothing to measure."""

from pathlib import Path

import numpy as np

from leaderboard import metrics, report_store, results, snapshot
from leaderboard.evaluation import confusion_matrix, per_class
from leaderboard.predictions import Predictions
from leaderboard.statistics import wilson_interval
from zoo import data, reports
from zoo.reports import Pictures

SAMPLES = 1000


def answers(wrong: int, samples: int = SAMPLES, seed: int = 0) -> Predictions:
    """Return predictions of which the first `wrong` of a shuffled order are wrong: fewer are wrong in fewer places."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, samples)
    order = np.random.default_rng(seed).permutation(samples)
    probabilities = np.full((samples, 10), 0.02, np.float32)
    predicted = labels.copy()
    predicted[order[:wrong]] = (labels[order[:wrong]] + 1) % 10
    probabilities[np.arange(samples), predicted] = 0.82
    images = rng.integers(0, 256, (samples, 28, 28, 1), np.uint8)
    return Predictions.of(probabilities, labels, images)


def made_up(model: str, accuracies: list[float], wrong: int = 10, **changes) -> results.Result:
    """Return a result with the given accuracies, one a seed, whose shipped seed gets `wrong` samples wrong."""
    architecture, dataset = model.split(".")
    scores = {name: 0.5 for name in metrics.versions() if name not in ("latency", "throughput")}
    scores |= {"parameters": 1000, "file_size": 4000, "multiply_adds": 1_500_000, "efficiency_score": 9.5}
    seeds = [
        results.SeedResult(n, accuracy - 0.001, 3, {**scores, "accuracy": accuracy, "macro_f1": accuracy})
        for n, accuracy in enumerate(accuracies)
    ]
    said = answers(wrong)
    confusion = confusion_matrix(said.labels.astype(int), said.predicted.astype(int), 10)
    environment = {"commit": "abc", "versions": {"python": "3.11"}, "processor": "a processor", "devices": ["cpu:0"]}
    values = {
        "model": model, "architecture": architecture, "title": "A network", "licence": "mit", "dataset": dataset,
        "dataset_fingerprint": data.DATASETS[dataset].fingerprints["test"] if dataset in data.DATASETS else "f",
        "training_fingerprint": "g", "metric_versions": dict(metrics.versions()), "recipe": {"name": "zoo"},
        "selection": "validation", "shipped_seed": int(np.argmax(accuracies)), "revision": "0" * 64, "seeds": seeds,
        "weights": f"zoo/pretrained/{model}",
        "accuracy_interval": list(wilson_interval(SAMPLES - wrong, SAMPLES)), "macro_f1_interval": [0.9, 0.99],
        "corruptions": {"blur": 0.8, "low_contrast": 0.3}, "environment": environment,
        "per_class": per_class(confusion, tuple("0123456789")), "confusion": confusion.tolist(),
        "evaluation_environment": environment, "date": "2026-11-21T00:00:00+00:00",
    }  # fmt: skip
    return results.Result(**{**values, **changes})


def write_report(result: results.Result, folder: Path) -> report_store.Report:
    """Write an invented report next to a record: two epochs, two layers, one picture of every kind."""
    rng = np.random.default_rng(0)
    rows = [
        {"text": "image", "kind": "image", "shape": [28, 28, 1], "parameters": 0, "sources": []},
        {"text": "dense, 10 units", "kind": "dense", "shape": [10], "parameters": 7850, "sources": [0]},
    ]
    filters = Pictures("all 6 filters", rng.integers(-127, 128, (6, 5, 5)).astype(np.int8), 6)
    maps = Pictures("all 24 maps", rng.integers(0, 256, (24, 28, 28), np.uint8), 12)
    images = rng.integers(0, 256, (2, 28, 28), np.uint8)
    sure, right = rng.uniform(0.3, 1, 500), rng.random(500) < 0.9
    epochs = [
        {"loss": 0.6, "accuracy": 0.8, "validation_loss": 0.4, "validation_accuracy": 0.9},
        {"loss": 0.3, "accuracy": 0.9, "validation_loss": 0.2, "validation_accuracy": 0.95},
    ]
    facts = {
        "version": report_store.VERSION,
        "revision": result.revision,
        "training": {"epochs": epochs, "kept_epoch": 2, "samples": {"train": 900, "validation": 100}},
        "dont_know": {
            "cost": 10, "threshold": 0.5, "samples": 500, **reports.coverage(sure, right, 0.5),
            "curve": reports.coverage_curve(sure, right),
        },
    }  # fmt: skip
    inside = reports.Inside(rows, (filters,), (maps,), images[0])
    report = report_store.Report(facts, inside, np.array([0, 1], np.int32), images)
    report.save(report_store.path_of(result, folder))
    return report


def write_board(folder: Path) -> Path:
    """Write a small board: two datasets, a tie, a stale row and a broken one, and one row with its report."""
    rows = (
        ("lenet5.mnist", [0.94, 0.95], 50, 61_706),
        ("hdr_cnn.mnist", [0.985, 0.99], 12, 242_954),
        ("mnist_cnn.mnist", [0.986, 0.988], 14, 421_642),
        ("tiny.mnist", [0.9], 100, 9_000),
        ("lenet5.ahdd", [0.97], 30, 61_706),
        ("resco_mini.ahdd", [0.99], 10, 606_282),
    )
    for model, accuracies, wrong, parameters in rows:
        result = made_up(model, accuracies, wrong)
        for seed in result.seeds:
            seed.metrics["parameters"] = parameters
        results.write(result, answers(wrong), folder)
        if model == "lenet5.mnist":
            write_report(result, folder)
    stale = made_up("old.ahdd", [0.98], 20, dataset_fingerprint="another")
    results.write(stale, answers(20), folder)
    (folder / "mnist" / "half.mnist.json").write_text('{"model": "half.mn')
    snapshot.write(folder)
    return folder
