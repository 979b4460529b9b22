"""Measure inference speed of all models in one run on one machine, interleaved, so that load affects all equally.

The time is for one input of the network: a glyph, or one patch of a page. The batch size is the predictor's.
"""

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from leaderboard import metrics
from zoo import environment
from zoo.serving.predictor import Predictor
from zoo.types import Json

ROUNDS = 7
SINGLE = 50  # single images per round and model


def measure(folders: Mapping[str, Path]) -> dict[str, Json]:
    """Return the speed of published folders by name.

    Each is {"latency": ms, "throughput": images/s, "hardware", "load" (mean of waiting processes at the start),
    "versions", "metric_versions", "images" and "batches" (how many were timed), "date"}.
    """
    predictors = {name: Predictor.load(folder) for name, folder in folders.items()}
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (p.batch, *p.input_shape), np.uint8) for name, p in predictors.items()}
    single: dict[str, list[float]] = {name: [] for name in predictors}
    batch: dict[str, list[float]] = {name: [] for name in predictors}
    load = round(os.getloadavg()[0], 2)
    for _ in range(ROUNDS):
        for name, predictor in predictors.items():
            inputs = images[name]
            predictor.classify(inputs)  # warm-up: starts its threads
            single[name] += [_seconds(predictor.classify, inputs[[i % len(inputs)]]) for i in range(SINGLE)]
            batch[name].append(_seconds(predictor.classify, inputs))
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
            "load": load,
            "versions": {key: versions[key] for key in ("python", "onnxruntime")},
            "metric_versions": {key: metrics.versions()[key] for key in ("latency", "throughput")},
            "images": ROUNDS * SINGLE,
            "batches": ROUNDS,
            "date": date,
        }
        for name in predictors
    }


def _seconds(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> float:
    started = time.perf_counter()
    call(images)
    return time.perf_counter() - started
