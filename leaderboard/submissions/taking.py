"""A submission as a network that a browser runs: what its sandbox made of it, as the store keeps it.

A stranger's graph is not opened in the process that serves: the sandbox compiles it where it was measured, and what
comes back is checked as plain values.
"""

import json
from collections.abc import Hashable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from leaderboard import results
from leaderboard.results import Result
from leaderboard.schemas import checked_json
from leaderboard.submissions.holdings import PORTABLE
from leaderboard.submissions.store import Store
from zoo import data
from zoo.errors import ZooError
from zoo.portable.page import LIMITS
from zoo.portable.strided import MOST_STEPS
from zoo.typed_json import CLOSED
from zoo.types import Json

NOT_KEPT = "This submission was measured before networks could be taken along: send it again to have it as a page."
NO_ROW = "There is no network {!r} that can be taken: the board has no such row."

Numbers = Annotated[int, Field(ge=0, le=100_000_000)]  # four bytes each


@dataclass(frozen=True)
class Program:
    """What `zoo.portable.javascript.as_json` writes."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    memory: Numbers
    image: Numbers
    answer: Numbers
    steps: list[tuple[str, list[Numbers], list[float | int]]]
    weights: list[tuple[Numbers, Numbers, str]]
    data: str


@dataclass(frozen=True)
class Compiled:
    """What became of a submission in the sandbox: a program, or the reason why there is none, a sentence."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    program: Program | None = None
    precision: str = ""  # of its weights
    reason: str = ""

    @classmethod
    def from_json(cls, content: bytes) -> "Compiled":
        """Read it; ZooError if it is something else, or a program of too many steps."""
        if content.count(b"[") > 5 * MOST_STEPS:  # a step has three, an array of weights one; reading them takes long
            raise ZooError(f"This is not a compiled network: it has more than {MOST_STEPS:,} steps.")
        return checked_json(cls, content, "compiled network")

    def to_json(self) -> bytes:
        """Return it as the store keeps it."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()


def version(model: str) -> Hashable:
    """Return what is another value when the row of a submission, or another row of its name, has been written again.

    Raises:
        ZooError: the board has no such row.
    """
    found = _record(model).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def network(model: str, store: Store) -> tuple[Json, list[tuple[str, str]]]:
    """Return a submission's network as the engine opens it, and what is known of it, as terms and texts.

    Raises:
        UnknownName: the board has no such submission.
        ZooError: the network cannot be taken; why not.
    """
    result = results.read_record(_record(model))
    if not isinstance(result, Result) or result.submission is None:
        raise ZooError(NO_ROW.format(model))
    outcome = store.get(result.submission["id"]).results.get(result.dataset)
    if outcome is None or "take" not in result.submission or "folder" not in outcome:
        raise ZooError(NOT_KEPT)
    said = Compiled.from_json(store.result(outcome["folder"], PORTABLE))
    if said.program is None:
        raise ZooError(said.reason)
    return _file(result, said), _facts(result)


def _record(model: str) -> Path:
    dataset = model.rpartition(".")[2]
    path = results.path_of(model, dataset)
    if dataset not in data.DATASETS or not path.is_file():
        raise ZooError(NO_ROW.format(model))
    return path


def _file(result: Result, compiled: Compiled) -> Json:
    """Return what `zoo.portable.javascript.network_file` returns of a published network."""
    spec = data.get(result.dataset)
    if spec.contract is None:
        raise ZooError(f"{result.model} reads whole pages: only a network for single glyphs is exported so.")
    return {
        "name": result.model,
        "precision": compiled.precision,
        "contract": spec.contract.to_dict(),
        "labels": list(spec.labels),
        "script": spec.script,
        "dataset": spec.name,
        "program": vars(compiled.program),
    }


def _facts(result: Result) -> list[tuple[str, str]]:
    spec, sent = data.get(result.dataset), result.submission or {}
    return [
        ("Network", result.model),
        ("Sent by", sent["user"]),
        ("Trained on", sent["declaration"]),
        ("Classes", " ".join(spec.labels)),
        ("Parameters", f"{result.shipped('parameters'):,.0f}"),
        ("Accuracy", f"{result.shipped('accuracy'):.2%} of {result.samples:,} test samples"),
        ("Data", spec.title),
        ("Cite", spec.source),
        ("Limits", f"{LIMITS}."),
        ("License", f"Weights: {result.licence}. The data have their own terms."),
    ]
