"""Which runtime serves a network fastest on this machine: measured once, and remembered.

The choice is kept in the cache folder by the network's file, the processor and the versions of the runtimes, so that
another machine, an update or other weights are measured again.
"""

import hashlib
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from zoo.environment import processor
from zoo.errors import ZooError
from zoo.files import read_json, write_json
from zoo.regular_files import read_bytes
from zoo.serving import opening
from zoo.settings import cache_folder
from zoo.types import Json

FASTEST = "fastest"  # in place of a runtime's name
CANDIDATES = ("onnxruntime", "openvino")  # those that run an .onnx file
BATCH = 32  # images: what a server under load reads together
TURNS = 9  # of each runtime, in turns, so that other load affects all equally
MEMORY = "fastest.json"


def choose(file: Path) -> str:
    """Return the runtime that answers a batch of `BATCH` images of a network fastest, by the median of `TURNS`.

    Args:
        file: model.onnx, or another .onnx file.

    Raises:
        ZooError: no installed runtime can run it.
    """
    memory = cache_folder() / MEMORY
    key = _key(file)
    known = _remembered(memory)
    if key in known and known[key]["runtime"] in CANDIDATES:
        return str(known[key]["runtime"])
    measured = measure(file)
    best = min(measured, key=lambda name: measured[name])
    write_json(memory, {**known, key: {"runtime": best, "images_per_second": _speeds(measured)}})
    return best


def measure(file: Path) -> dict[str, float]:
    """Return the median seconds of a batch for each runtime that is installed.

    Raises:
        ZooError: none can run the file.
    """
    opened, failed = {}, ""
    for name in CANDIDATES:
        try:
            opened[name] = opening.load(file, name)
        except ZooError as error:
            failed = str(error)
    if not opened:
        raise ZooError(failed)
    shape = next(iter(opened.values())).input_shape
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *shape), np.uint8)
    times: dict[str, list[float]] = {name: [] for name in opened}
    for turn in range(TURNS + 1):
        for name, runtime in opened.items():
            started = time.perf_counter()
            runtime(images)
            if turn:  # the first one warms up
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _speeds(measured: dict[str, float]) -> dict[str, int]:
    return {name: round(BATCH / seconds) for name, seconds in measured.items()}


def _key(file: Path) -> str:
    found = [processor()]
    for name in CANDIDATES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    try:
        found.append(hashlib.sha256(read_bytes(file)).hexdigest()[:16])
    except OSError as error:
        raise ZooError(f"{file} cannot be read: {error.strerror}.") from None
    return ", ".join(found)


def _remembered(memory: Path) -> Json:
    """Return what was remembered; {} where there is none, or it is damaged."""
    try:
        found = read_json(memory)
        return {key: one for key, one in found.items() if isinstance(one["runtime"], str)}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}
