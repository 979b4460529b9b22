"""Open a network's file: one that came with the package in this process, anybody's in a process of its own.

What a file makes a runtime do is bounded before it is opened (`zoo.strict.onnx_limits`), operator by operator. Where
that misses something, the process of this network has no files, no network and no rights, and its memory and time are
limited: it ends, and whoever asked gets a sentence. It serves one network until that is dropped.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from zoo.errors import UnknownName, ZooError
from zoo.processes import conversation, spawning
from zoo.regular_files import read_bytes
from zoo.serving import runtimes
from zoo.serving.runtimes import DEFAULT, RUNTIMES, Runtime
from zoo.settings import PRETRAINED
from zoo.strict import onnx_limits
from zoo.types import Json

MEMORY = 3_000_000_000  # bytes of a process; the checks allow 1.1 GB, and runtimes round up and copy
LARGEST = 500_000_000  # bytes of a file; the largest network has 233 MB
SECONDS = 60.0  # in which it opens a network, or answers; the checks allow a batch a few of them
LAUNCH = "from zoo.serving import opening; opening.main()"

_SPAWNERS = spawning.Spawners(LAUNCH)
Opened = TypeVar("Opened")


def load(path: Path, runtime: str = DEFAULT, here: bool = False) -> Runtime:
    """Open a network's file.

    Args:
        path: model.onnx (ONNX Runtime or OpenVINO), model.xml (OpenVINO) or model.tflite (LiteRT).
        runtime: a key of `RUNTIMES`.
        here: in this process even where it did not come with the package: for one that you trust, to time it.

    Raises:
        UnknownName: no such runtime.
        ZooError: the runtime is not installed, the file is not what it reads, or an ONNX file is not bounded, see
            `zoo.strict.onnx_limits`; those that come with the package are.
    """
    if runtime not in RUNTIMES:
        raise UnknownName("runtime", runtime, RUNTIMES)
    if not path.is_file():
        raise ZooError(f"There is no file {path}.")
    if here or not is_apart(path):
        return _named(str(path), runtime, lambda: _opened(runtime, _contents(path), _bounds(path, runtime)))
    return _Apart(path, runtime)


def probe(path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Open an ONNX file for what its convolutions give, see `runtimes.Probe`.

    Raises:
        ZooError: as of `load`, and of each call.
    """
    if not is_apart(path):
        return _named(str(path), DEFAULT, lambda: runtimes.Probe(bounded(path)))
    return _Process("probe", path).ask


def is_shipped(path: Path) -> bool:
    """Return whether a file came with the package: others may be anybody's."""
    return path.resolve().is_relative_to(PRETRAINED.resolve())


def is_apart(path: Path) -> bool:
    """Return whether a file's network has a process of its own, which only Linux limits."""
    return sys.platform.startswith("linux") and not is_shipped(path)


def bounded(path: Path, runtime: str = DEFAULT) -> bytes:
    """Return what a runtime may open of an ONNX file, see `zoo.strict.onnx_limits`; all of one that came with the
    package.

    Raises:
        ZooError: it may not be opened.
    """
    data = read_bytes(path, LARGEST)
    if is_shipped(path):
        return data
    return _named(str(path), runtime, lambda: onnx_limits.checked(data, indices=runtime == DEFAULT))


def _bounds(path: Path, runtime: str) -> bool:
    """Return whether what a file makes a runtime do is bounded first."""
    return not is_shipped(path) and (runtime == DEFAULT or path.suffix == ".onnx")


def _contents(path: Path) -> list[bytes]:
    """Return the content of a network's files: OpenVINO's own have their weights in a second one."""
    weights = path.with_suffix(".bin")
    return [
        read_bytes(one, LARGEST) for one in (path, weights) if one == path or (path.suffix == ".xml" and one.is_file())
    ]


def _opened(runtime: str, contents: Sequence[bytes], bounds: bool) -> Runtime:
    return runtimes.Bounded(contents[0], runtime) if bounds else RUNTIMES[runtime](*contents)


def _named(name: str, runtime: str, open_: Callable[[], Opened]) -> Opened:
    """Return what is opened; ZooError, which names the file, where it cannot be."""
    try:
        return open_()
    except onnx_limits.TooMuch as error:
        raise ZooError(f"{name} is not opened: {error}.") from None
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # the runtimes share no class of error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ZooError(f"{name} is not a network that {runtime} can run: {reason}") from error


class _Process:
    """A process with an open file, started again where it has ended."""

    def __init__(self, task: str, path: Path, runtime: str = DEFAULT):
        self._task, self.path, self._runtime = task, path, runtime
        self._content = self._hash(contents := _contents(path))
        self._asked = self._started(contents)
        self.said = self._asked.said

    def ask(self, images: np.ndarray) -> list[np.ndarray]:
        if self._asked.over:
            if self._hash(contents := _contents(self.path)) != self._content:
                raise ZooError(f"{self.path} has become another network: load it again.")
            self._asked = self._started(contents)
        try:
            return self._asked.ask([images])
        except conversation.Ended:
            raise self._too_much() from None

    @staticmethod
    def _hash(contents: Sequence[bytes]) -> list[str]:
        return [hashlib.sha256(one).hexdigest() for one in contents]

    def _started(self, contents: Sequence[bytes]) -> conversation.Conversation:
        request = {"task": self._task, "name": str(self.path), "runtime": self._runtime, "threads": runtimes.threads()}
        request |= {"sizes": [len(one) for one in contents], "bounds": _bounds(self.path, self._runtime)}
        try:
            return conversation.Conversation(_SPAWNERS, request, b"".join(contents), MEMORY, SECONDS)
        except conversation.Ended:
            raise self._too_much() from None
        except spawning.Stopped:
            raise ZooError(f"{self.path} is not opened: no process can be started for it here.") from None

    def _too_much(self) -> ZooError:
        most = f"{MEMORY / 1e9:.0f} GB of memory or {SECONDS:.0f} seconds"
        return ZooError(f"{self.path} ended its process: it takes more than {most}, or {self._runtime} crashes at it.")


class _Apart:
    """A network in a process of its own."""

    def __init__(self, path: Path, runtime: str):
        self._process, self.name = _Process("network", path, runtime), runtime
        self.input_shape: tuple[int, int, int] = tuple(self._process.said["input_shape"])
        self.classes: int | None = self._process.said["classes"]
        self.said: Json = self._process.said["said"]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        found = self._process.ask(images)
        if len(found) != 1:
            raise ZooError(f"{self._process.path} answered with {len(found)} arrays; expected one.")
        return found[0]


# --- in the process ------------------------------------------------------------------------------


def _network(request: Json, data: bytes) -> tuple[Json, conversation.Answers]:
    os.environ["OMP_NUM_THREADS"] = str(request["threads"])
    contents, runtime = [], request["runtime"]
    for size in request["sizes"]:
        contents.append(data[:size])
        data = data[size:]
    opened = _named(request["name"], runtime, lambda: _opened(runtime, contents, request["bounds"]))
    said = {"input_shape": opened.input_shape, "classes": opened.classes, "said": opened.said}
    return said, lambda arrays: _computed(request["name"], lambda: [opened(*arrays)])


def _probe(request: Json, data: bytes) -> tuple[Json, conversation.Answers]:
    probed = _named(request["name"], DEFAULT, lambda: runtimes.Probe(onnx_limits.checked(data)))
    return {}, lambda arrays: _computed(request["name"], lambda: probed(*arrays))


def _computed(name: str, compute: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    try:
        return [np.asarray(one, np.float32) for one in compute()]
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # as above
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ZooError(f"{name} cannot be computed for these images: {reason}") from error


def main() -> None:
    """Serve networks."""
    answers = {"network": conversation.answering(_network), "probe": conversation.answering(_probe)}
    spawning.serve({}, conversations=answers)
