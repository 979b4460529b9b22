"""Who wrote each test sample, in `writers.npz`: the paired test and the intervals of the board take writers whole.

The Space computes ranks without the datasets, so the writers are stored here. `python -m scripts.chores.list_writers`
writes the file from the datasets.
"""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from leaderboard.results import Result
from zoo import data
from zoo.files import replacing

FILE = Path(__file__).with_name("writers.npz")
ONE_A_CLASS = ("pages70",)  # datasets whose classes are the writers


def of(result: Result) -> np.ndarray | None:
    """Return the writer of each test sample of a row, uint16 (N,); None if writers are unknown.

    Blocks of ahcd count as writers. For another version of a dataset they are unknown.
    """
    spec = data.DATASETS.get(result.dataset)
    if spec is None or spec.scored_fingerprint != result.dataset_fingerprint:
        return None
    return of_dataset(result.dataset, result.samples)


def of_dataset(name: str, samples: int) -> np.ndarray | None:
    """Return the writer of each test sample of a dataset; None if unknown, or of another number of samples."""
    found = _known().get(name)
    return found if found is not None and len(found) == samples else None


def populations(dataset: str, writers: np.ndarray) -> dict[str, np.ndarray]:
    """Return which test samples each population of a dataset wrote, name -> bool (N,); {} where there is one only.

    Args:
        dataset: its name.
        writers: int (N,), who wrote each sample.
    """
    spec = data.DATASETS.get(dataset)
    if spec is None or not spec.populations:
        return {}
    *listed, others = spec.populations
    found = {name: np.isin(writers, data.known_writers(dataset, name)) for name in listed}
    return {**found, others: ~np.any([*found.values()], axis=0)}


def listed(names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the writer of each test sample of each dataset that names them, uint16 (N,), read from the data."""
    found = {}
    for name in names:
        test = data.load(name, "test")
        writers = test.labels if name in ONE_A_CLASS else test.groups
        if writers is not None:
            found[name] = writers.astype(np.uint16)
    return found


def write(found: Mapping[str, np.ndarray]) -> None:
    """Write the file."""
    with replacing(FILE) as staged, staged.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **found)


@functools.cache
def _known() -> Mapping[str, np.ndarray]:
    with np.load(FILE) as arrays:
        return MappingProxyType({name: arrays[name] for name in arrays.files})
