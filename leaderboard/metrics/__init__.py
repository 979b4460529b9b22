"""One `evaluate.Metric` per file; `evaluate.load("leaderboard/metrics/<name>.py")` loads each one too, offline.

That loader copies a single file, so each file is self-contained and repeats the declaration of its inputs.

Every metric gets the same probabilities and labels. The parameters of its `_compute` name what else it needs to know of
the model (`parameters`, `onnx_path`, …). Increase its `VERSION` when its result changes: records of another version
are stale. Its `TOLERANCE` says how far a new measurement may be from a record; without one they must be equal. To add
a metric, add one file here and, to show it, one column in `leaderboard/table.py`.
"""

import ast
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import evaluate


@functools.cache
def metrics() -> Mapping[str, "evaluate.Metric"]:
    """Return every metric by its file's name."""
    import evaluate

    found = {}
    for module in pkgutil.iter_modules(__path__, __name__ + "."):
        classes = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        (metric,) = (c for _, c in classes if issubclass(c, evaluate.Metric) and c.__module__ == module.name)
        found[module.name.rpartition(".")[2]] = metric()
    return MappingProxyType(found)


@functools.cache
def versions() -> Mapping[str, int]:
    """Return every metric's `VERSION` by its name."""
    return MappingProxyType({name: int(value) for name, value in _stated("VERSION").items()})


@functools.cache
def tolerances() -> Mapping[str, float | str | None]:
    """Return every metric's `TOLERANCE` by its name: how much a new measurement of the same file may differ.

    It is a number, a key of `leaderboard.checking.allowed`, or None for what cannot be measured again.
    """
    return MappingProxyType({name: ast.literal_eval(value) for name, value in _stated("TOLERANCE").items()})


def _stated(constant: str) -> dict[str, str]:
    """Return a constant of every metric by the metric's name, read from the sources: the Space imports none of them."""
    line = re.compile(rf"^{constant} = (.+?)(?:  #.*)?$", re.MULTILINE)
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    found = {path.stem: line.search(path.read_text(encoding="utf-8")) for path in files}
    return {name: match[1] for name, match in found.items() if match}


def compute(probabilities: np.ndarray, labels: np.ndarray, **facts: object) -> dict[str, float]:
    """Compute every metric whose inputs are given.

    Args:
        probabilities: float32 (N, classes).
        labels: int64 (N,).
        **facts: facts about the model, for example `parameters`.
    """
    scores = {}
    for name, metric in metrics().items():
        asked = set(inspect.signature(metric._compute).parameters) - {"predictions", "references"}
        if asked <= set(facts):
            given = {key: facts[key] for key in asked}
            scores[name] = metric._compute(probabilities, labels, **given)[name]  # `compute` would write a file first
    return scores
