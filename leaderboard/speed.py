"""Measure inference speed of all models in one run on one machine, interleaved, so that load affects all equally.

The time is for one sample, as a caller gives it: a glyph, or a whole page with all that is done to it (its ruled lines
are removed, its patches or keypoints found, and their answers pooled). Pages are the first ones of the test set.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard import metrics
from zoo import data, environment
from zoo.serving.predictor import Predictor
from zoo.types import Json

ROUNDS = 7
SINGLE = 50  # single glyphs per round and model
PAGES = 4  # pages of a batch, each of which is timed alone once per round too


def measure(folders: Mapping[str, Path]) -> dict[str, Json]:
    """Return the speed of published folders by name.

    Each is {"latency": ms, "throughput": images/s, "hardware", "load" (mean of waiting processes at the start),
    "versions", "metric_versions", "images" and "batches" (how many were timed), "date"}.
    """
    predictors = {name: Predictor.measured(folder, here=True) for name, folder in folders.items()}
    images = {name: _samples(predictor) for name, predictor in predictors.items()}
    single: dict[str, list[float]] = {name: [] for name in predictors}
    batch: dict[str, list[float]] = {name: [] for name in predictors}
    load = round(os.getloadavg()[0], 2)
    for _ in range(ROUNDS):
        for name, predictor in predictors.items():
            inputs = images[name]
            predictor(inputs[:1] if predictor.view else inputs)  # warm-up: starts its threads
            alone = range(PAGES if predictor.view else SINGLE)
            single[name] += [_seconds(predictor, inputs[i % len(inputs) :][:1]) for i in alone]
            batch[name].append(_seconds(predictor, inputs))
    versions, date = environment.versions(), datetime.now(UTC).isoformat(timespec="seconds")
    nothing = np.zeros((1, 2), np.float32), np.zeros(1, np.int64)  # speed does not depend on predictions
    return {
        name: {
            **{
                key: metrics.metrics()[key].compute(predictions=nothing[0], references=nothing[1], **times)[key]
                for key, times in (
                    ("latency", {"image_seconds": single[name]}),
                    ("throughput", {"batch_seconds": batch[name], "batch_size": len(images[name])}),
                )
            },
            "hardware": environment.processor(),
            "commit": environment.commit(),
            "load": load,
            "versions": {key: versions[key] for key in ("python", "onnxruntime")},
            "metric_versions": {key: metrics.versions()[key] for key in ("latency", "throughput")},
            "images": len(single[name]),
            "batches": ROUNDS,
            "date": date,
        }
        for name in predictors
    }


def _samples(predictor: Predictor) -> np.ndarray | Sequence[np.ndarray]:
    """Return a batch of noise as glyphs, or test pages; DataError if there are no pages."""
    if predictor.view is not None:
        pages: Sequence[np.ndarray] = data.load(predictor.dataset, "test").images[:PAGES]
        return pages
    return np.random.default_rng(0).integers(0, 256, (predictor.batch, *predictor.input_shape), np.uint8)


def _seconds(call: Callable[[Any], np.ndarray], images: np.ndarray | Sequence[np.ndarray]) -> float:
    started = time.perf_counter()
    call(images)
    return time.perf_counter() - started
