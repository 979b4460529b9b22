"""Accuracy on parts of a test set: populations, the writers who are read worst, classes, and each writer.

A further kind of slices is one entry of `KINDS`. Everything is computed from the stored predictions of the shipped
model.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from leaderboard import results, statistics, writers
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from leaderboard.statistics import mean_interval, worst_tenth, worst_tenth_interval
from zoo.types import Json

TRANSFER = "transfer"


@dataclass(frozen=True)
class Slice:
    """The accuracy on one part of a test set.

    Attributes:
        kind: a key of `KINDS`, or `TRANSFER`: the test set of another dataset.
        name: which part, or which dataset.
        samples: how many it has.
        writers: by how many people; None: unknown.
        accuracy: fraction of correct predictions.
        low: lower end of its 95% interval, for other samples by other writers; where `writers` is None or 1, for other
            samples only.
        high: its upper end.
    """

    kind: str
    name: str
    samples: int
    writers: int | None
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Answers:
    """What is known of the answers of a row.

    Attributes:
        dataset: its name.
        classes: their names.
        labels: int (N,), the true classes.
        right: bool (N,), which predictions are correct.
        writers: int (N,), who wrote each sample; None: unknown.
    """

    dataset: str
    classes: tuple[str, ...]
    labels: np.ndarray
    right: np.ndarray
    writers: np.ndarray | None


Part = tuple[str, np.ndarray]  # its name, and which samples are in it, bool (N,)


def _populations(known: Answers) -> Iterator[Part]:
    if known.writers is not None:
        yield from writers.populations(known.dataset, known.writers).items()


def _worst(known: Answers) -> Iterator[Part]:
    if known.writers is not None:
        yield "worst tenth of the writers", worst_tenth(known.right, known.writers)


def _classes(known: Answers) -> Iterator[Part]:
    return ((name, known.labels == number) for number, name in enumerate(known.classes))


def _writers(known: Answers) -> Iterator[Part]:
    if known.writers is not None:
        yield from ((str(writer), known.writers == writer) for writer in np.unique(known.writers))


KINDS: Mapping[str, Callable[[Answers], Iterator[Part]]] = {
    "population": _populations,
    "worst": _worst,
    "class": _classes,
    "writer": _writers,
}


def of(result: Result, predictions: Predictions) -> list[Slice]:
    """Return all slices of a row, kind by kind, and the whole of each other test set; parts without samples are left
    out."""
    classes = tuple(str(entry["label"]) for entry in result.per_class)
    known = Answers(result.dataset, classes, predictions.labels, predictions.right, writers.of(result))
    parts = ((kind, name, rows) for kind, of_it in KINDS.items() for name, rows in of_it(known))
    found = [_of_part(kind, name, rows, known) for kind, name, rows in parts if rows.any()]
    for other, right in predictions.transfers.items():
        found.append(_measured(TRANSFER, other, right, writers.of_dataset(other, len(right))))
    return found


def _of_part(kind: str, name: str, rows: np.ndarray, known: Answers) -> Slice:
    one = _measured(kind, name, known.right[rows], None if known.writers is None else known.writers[rows])
    if kind != "worst" or known.writers is None:
        return one
    low, high = worst_tenth_interval(known.right, known.writers)  # the answers chose who is in it
    return replace(one, low=low, high=high)


def _measured(kind: str, name: str, right: np.ndarray, by: np.ndarray | None) -> Slice:
    count = None if by is None else len(np.unique(by))
    accuracy = float(right.mean())
    low, high = mean_interval([accuracy], right, None if count == 1 else by)
    return Slice(kind, name, len(right), count, accuracy, low, high)


def macro_f1_interval(result: Result, predictions: Predictions | None) -> tuple[float, float]:
    """Return the 95% interval of macro F1 of the shipped model: by writer where writers are known, else as recorded."""
    by = writers.of(result)
    if predictions is None or by is None:
        low, high = result.macro_f1_interval
        return low, high
    numbered = np.unique(by, return_inverse=True)[1]
    confusion = np.zeros((numbered.max() + 1, len(result.per_class), len(result.per_class)), int)
    np.add.at(confusion, (numbered, predictions.labels, predictions.predicted), 1)
    return statistics.macro_f1_interval(confusion)


def measured(model: str, folder: Path | None = None) -> Json | None:
    """Return what the board knows of the shipped weights of a model; None where it has no record.

    Returns:
        {"dataset", "test_samples", "accuracy", "transfers" (other dataset -> accuracy), "slices" (see `Slice`)}.
    """
    path = results.path_of(model, model.rpartition(".")[2], folder)
    return _read(path, path.stat().st_mtime_ns, folder) if path.is_file() else None


@functools.lru_cache(maxsize=1000)  # the bootstrap takes longer than an answer should
def _read(path: Path, changed: int, folder: Path | None) -> Json | None:
    result = results.read_record(path)
    if isinstance(result, Broken):
        return None
    predictions = results.predictions(result, folder)
    return {
        "dataset": result.dataset,
        "test_samples": result.samples,
        "accuracy": result.shipped("accuracy"),
        "transfers": result.transfers,
        "slices": [asdict(one) for one in of(result, predictions)] if predictions else [],
    }
