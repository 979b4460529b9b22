"""Networks whose weights are computed in closed form (`zoo.trainers.ClosedForm`).

Validation uses strips that are held out: for each of them the network is fitted to the strips of its page that share no
rows with it. What is kept is fitted to all strips.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo import data
from zoo.backend import keras
from zoo.files import replacing
from zoo.pages.keypoints import Keypoints
from zoo.trainers import Fit
from zoo.training.job import Job, view_of
from zoo.types import Json, Progress

log = logging.getLogger(__name__)

HELD_OUT = 3  # strips of every page that are held out in turn, evenly from its top to its bottom


def run(job: Job, fit: Fit, build: Callable[[], "keras.Model"], folder: Path, progress: Progress) -> Json:
    """Fit a job's network, save its weights and return the history that is stored.

    Args:
        job: what to train.
        fit: sets a model's weights, see `zoo.trainers.ClosedForm`.
        build: returns its architecture with fresh weights.
        folder: of the run; `model.weights.h5` is written there.
        progress: called with the share that is done.

    Returns:
        What `training.train` stores, and `held_out`: `confidence` and `right` of every held-out strip, first
        as one of its writer's, then as a stranger's, whose writer is left out and for whom no answer is right.

    Raises:
        DataError: the dataset is missing or broken.
    """
    started = time.perf_counter()
    pages = data.load(job.dataset, "train")
    view = view_of(job.architecture, data.get(job.dataset))
    assert isinstance(view, Keypoints)  # else the job is no fitted network's
    strips = np.stack([view.strips(page) for page in pages.images])  # pages, strips, rows, columns, channels
    count = strips.shape[1]
    progress(0.2)

    def fitted(numbers: list[int]) -> "keras.Model":
        keras.utils.set_random_seed(job.seed)
        model = build()
        fit(model, _flat(strips[:, numbers]), np.repeat(pages.labels, len(numbers)), job.seed)
        return model

    answers = []
    for turn, number in enumerate(np.linspace(0, count - 1, HELD_OUT).round().astype(int)):
        model = fitted([other for other in range(count) if not view.overlap(number, other)])
        answers.append(model.predict(strips[:, number], batch_size=8, verbose=0))
        progress(0.2 + 0.8 * (turn + 1) / (HELD_OUT + 1))
    probabilities, labels = np.concatenate(answers), np.tile(pages.labels, HELD_OUT)
    validation = _score(probabilities, labels)
    model = fitted(list(range(count)))
    training = _score(model.predict(_flat(strips), batch_size=8, verbose=0), np.repeat(pages.labels, count))
    with replacing(folder / "model.weights.h5") as staged:
        model.save_weights(staged)
    seconds = round(time.perf_counter() - started, 2)
    log.info(
        "%s seed %d fitted: accuracy %.4f, held-out loss %.4f, held-out accuracy %.4f, %.1f s",
        job.model, job.seed, training["accuracy"], validation["loss"], validation["accuracy"], seconds,
    )  # fmt: skip
    epoch = {**training, **{f"validation_{key}": value for key, value in validation.items()}}
    return {
        "fingerprint": pages.fingerprint,
        "samples": {"train": count * len(pages), "validation": len(labels)},
        "kept_epoch": 1,
        "validation": validation,
        "held_out": _held_out(probabilities, labels),
        "training_seconds": round(seconds, 1),
        "epochs": [{**epoch, "learning_rate": 0.0, "seconds": seconds}],
    }


def _flat(strips: np.ndarray) -> np.ndarray:
    """Return strips (pages, strips, ...) one after the other, (pages * strips, ...)."""
    return strips.reshape(-1, *strips.shape[2:])


def _score(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    of_truth = probabilities[np.arange(len(labels)), labels]
    return {
        "loss": float(-np.log(np.maximum(of_truth, 1e-12)).mean()),
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
    }


def _held_out(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, list[Any]]:
    """Return how sure each answer is and whether it is right, once with the writer among the classes, once without."""
    known = probabilities.max(axis=1)
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = 0
    strangers = others.max(axis=1) / others.sum(axis=1).clip(1e-12)
    right = probabilities.argmax(axis=1) == labels
    return {
        "confidence": np.concatenate([known, strangers]).round(6).tolist(),
        "right": [*right.tolist(), *[False] * len(labels)],
    }
