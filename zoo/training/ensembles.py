"""Ensembles (`zoo.trainers.Ensemble`): separately trained networks combined into one.

The members are named in code, so none is left out because it did badly. Their runs are those of `train_all.py`; what is
finished is only read.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from zoo import data
from zoo.backend import keras
from zoo.files import replacing
from zoo.training.job import Job, Run
from zoo.types import Json

log = logging.getLogger(__name__)

BATCH = 256  # images of a call


def member_seeds(members: Sequence[str], seed: int) -> list[tuple[str, int]]:
    """Return (architecture, seed) of every member; ensembles of different seeds share no training."""
    counts, taken = Counter(members), Counter[str]()
    found = []
    for member in members:
        found.append((member, seed * counts[member] + taken[member]))
        taken[member] += 1
    return found


def run(
    job: Job,
    network: "keras.Model",
    members: Callable[[], list[Run]],
    folder: Path,
    progress: Callable[[float], None],
) -> Json:
    """Put an ensemble together from its members' runs, save its weights and return the history that is stored.

    Args:
        job: the ensemble's.
        network: its architecture.
        members: trains the members, or reads what is finished, in their order.
        folder: of the run; `model.weights.h5` is written there.
        progress: called with the share that is done.
    """
    started = time.perf_counter()
    runs = members()
    places = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    for place, member in zip(places, runs, strict=True):
        place.load_weights(member.weights)
    network.compile(loss="categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    scores = {}
    for split in ("train", "validation"):
        samples = data.load(job.dataset, split)
        targets = keras.utils.to_categorical(samples.labels, len(data.get(job.dataset).labels))
        scores[split] = network.evaluate(samples.images, targets, batch_size=BATCH, verbose=0, return_dict=True)
        progress(0.8 if split == "train" else 1.0)
    with replacing(folder / "model.weights.h5") as staged:
        network.save_weights(staged)
    log.info("%s seed %d: validation accuracy %.4f", job.model, job.seed, scores["validation"]["accuracy"])
    seconds = round(sum(member.history["training_seconds"] for member in runs), 1)
    return {
        "fingerprint": runs[0].history["fingerprint"],
        "samples": runs[0].history["samples"],
        "members": [
            {"model": member.job.model, "seed": member.job.seed, **member.history["validation"]} for member in runs
        ],
        "kept_epoch": 1,
        "validation": scores["validation"],
        "training_seconds": seconds,  # of all members
        "epochs": [
            {
                **scores["train"],
                **{f"validation_{key}": value for key, value in scores["validation"].items()},
                "learning_rate": 0.0,
                "seconds": round(time.perf_counter() - started, 2),
            }
        ],
    }
