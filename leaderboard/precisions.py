"""A network in several precisions and runtimes: the accuracy of each file, its size, and how long an image takes.

`precisions/<model>.json` has the rows of one network; `python -m scripts.bench.portable --write` measures them.
"""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from leaderboard.schemas import checked_json
from zoo.errors import ZooError
from zoo.files import write_json
from zoo.regular_files import read_bytes
from zoo.typed_json import CLOSED

FOLDER = Path(__file__).parent / "precisions"
RUNTIMES = ("ONNX Runtime", "OpenVINO", "LiteRT", "browser", "C")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One file of a network."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    precision: str  # of its weights: float32, float16 or int8
    runtime: str  # one of `RUNTIMES`
    accuracy: float  # on the whole test set, a fraction
    bytes: int  # of the file; for the browser compressed by gzip, for C the compiled code and its constants
    milliseconds: float  # of processor time for one image at a time on one thread: the median, for C the mean
    difference: float | None = None  # largest of any probability from that of model.onnx; None: not compared
    others: int | None = None  # test samples that it answers otherwise than model.onnx


@dataclass(frozen=True)
class Precisions:
    """What was measured of one network; a closed schema of plain JSON types."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    model: str
    revision: str  # SHA-256 of its model.onnx
    dataset: str
    dataset_fingerprint: str  # SHA-256 of the split
    split: str  # "test", or "validation" for a dataset without a test split
    samples: int  # of the split
    rows: list[Row]
    date: str  # ISO 8601, UTC
    commit: str | None
    machine: str  # processor and cores
    load: float  # mean of waiting processes at the start
    versions: dict[str, str]

    def row(self, precision: str, runtime: str) -> Row | None:
        """Return the row of a precision in a runtime; None if there is no such file."""
        return next((row for row in self.rows if (row.precision, row.runtime) == (precision, runtime)), None)


def write(found: Precisions, folder: Path | None = None) -> Path:
    """Write what was measured; return its path."""
    path = (folder or FOLDER) / f"{found.model}.json"
    write_json(path, asdict(found))
    return path


def read(model: str, folder: Path | None = None) -> Precisions | None:
    """Return what was measured of a network; None if nothing was. ZooError if the file is damaged."""
    path = (folder or FOLDER) / f"{model}.json"
    return checked_json(Precisions, read_bytes(path), "file of precisions") if path.is_file() else None


def of(model: str, revision: str, folder: Path | None = None) -> Precisions | None:
    """Return what was measured of a network's weights.

    Args:
        model: its name.
        revision: SHA-256 of its model.onnx.
        folder: of the files.

    Returns:
        None where nothing was measured, it was of other weights, or the file is damaged.
    """
    try:
        found = read(model, folder)
    except (OSError, ZooError) as error:
        log.warning("The precisions of %s are left out: %s", model, error)
        return None
    return found if found is not None and found.revision == revision else None
