"""The cached board frame, stored next to the records, so that the Space can show it immediately.

`records/board.jsonl` has one row per line, and `datasets.load_dataset("leaderboard/records")` reads it. It is a cache:
`records/board.json` has its hash and the hash of everything that it was computed from, and if either differs, the frame
is computed again from the records. So a truncated, edited or old file does no harm.

Without a folder, the frame is that of the committed and the local rows. It is kept next to the local rows if there are
any, so that they change no committed file.
"""

import functools
import hashlib
import json
import logging
import math
import os
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leaderboard import claims, disclosures, hands, metrics, results, table, writers
from leaderboard.hands import Agreement
from leaderboard.results import Broken, Result
from zoo import data
from zoo.errors import ZooError
from zoo.files import replacing, write_json
from zoo.regular_files import open_regular, read_bytes
from zoo.typed_json import from_values
from zoo.types import Json

NAME, STATE = "board.jsonl", "board.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Board:
    """The board: its frame, and how much its rankings agree with those on other test sets."""

    rows: pd.DataFrame
    agreements: list[Agreement]


def build(folder: Path | None = None) -> Board:
    """Compute the board from all records. This reads every record and its predictions, and needs scipy.

    A record is one row marked broken if it or its predictions cannot be read.
    """
    found: list[Result] = []
    broken: list[Broken] = []
    answers: dict[tuple[str, str], hands.Answers] = {}
    for one in results.scan(folder):
        if isinstance(one, Broken):
            broken.append(one)
            continue
        try:
            predictions = results.kept_predictions(one, folder)
        except ZooError as error:
            broken.append(Broken(one.model, one.dataset, str(error)))
            continue
        if predictions is not None:
            answers[one.dataset, one.model] = hands.Answers(predictions.right, predictions.transfers)
        found.append(one)
    found = _of_one_test_set(found, broken)
    own = [folder is None and r.submission is None and results.is_local(r.model, r.dataset) for r in found]
    local = {(r.dataset, r.model) for r, is_own in zip(found, own, strict=True) if is_own}
    rows = table.frame(
        found,
        lambda result: said.right if (said := answers.get((result.dataset, result.model))) else None,
        broken,
        claims.claims(),
        writers.of,
        lambda result: result.published or (result.dataset, result.model) in local,  # its weights are on this machine
    )
    marked = np.array([pair in local for pair in zip(rows["dataset"], rows["model"], strict=True)], bool)
    rows.loc[marked & (rows["status"] != table.STALE), "status"] = table.LOCAL
    return Board(rows, hands.fill(rows, found, answers))


def _of_one_test_set(found: list[Result], broken: list[Broken]) -> list[Result]:
    """Return the rows whose test set is that of most rows of the same data; others are marked broken.

    Data of one fingerprint have as many samples of each class, whatever a record says.
    """
    said = {key: Counter(r.tested for r in of_it) for key, of_it in _by_data(found).items()}
    usual = {key: max(counts, key=lambda tested: (counts[tested], sum(tested))) for key, counts in said.items()}
    own = [result.tested == usual[result.dataset, result.dataset_fingerprint] for result in found]
    for result, is_own in zip(found, own, strict=True):
        if not is_own:
            reason = f"{result.model}.json: its test set is not that of other rows of the same data."
            broken.append(Broken(result.model, result.dataset, reason))
    return [result for result, is_own in zip(found, own, strict=True) if is_own]


def _by_data(found: list[Result]) -> dict[tuple[str, str], list[Result]]:
    by: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in found:
        by[result.dataset, result.dataset_fingerprint].append(result)
    return by


def home(folder: Path | None = None) -> Path:
    """Return the folder that a frame is kept in."""
    return folder or (results.LOCAL if any(results.LOCAL.glob("*/*.json")) else results.RECORDS)


def write(folder: Path | None = None) -> Path:
    """Compute the board of a folder, the whole one for the local rows, and store it; return the path of its frame."""
    folder = _whole(folder)
    return keep(build(folder), folder)


def _whole(folder: Path | None) -> Path | None:
    return None if folder == results.LOCAL else folder


def keep(board: Board, folder: Path | None = None) -> Path:
    """Write a board that was computed from the records in `folder`; return the path of its frame."""
    path = home(folder) / NAME
    state = fingerprint(folder)
    content, agreements = _lines(board.rows).encode(), _plain_agreements(board)
    with replacing(path) as staged:
        staged.write_bytes(content)
    found = {"rows": _hash(content, agreements), "records": state, "agreements": agreements}
    write_json(path.with_name(STATE), found)
    return path


def read(folder: Path | None = None) -> Board:
    """Return the cached board; compute it if the cache is damaged or older than the records."""
    board = cached(folder)
    if board is None:
        log.info("Computing the board from the records: the cached frame is missing, damaged or out of date.")
        return build(folder)
    return board


def cached(folder: Path | None = None) -> Board | None:
    """Return the cached board; None if it is missing, damaged, or does not match the records."""
    if (kept := _kept(folder)) is None:
        return None
    content, agreements = kept
    try:
        rows = _frame([json.loads(line) for line in content.decode().splitlines()])
        return Board(rows, [from_values(Agreement, one) for one in agreements])
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):  # no board of ours, whatever its hash
        return None


def load(folder: Path | None = None) -> pd.DataFrame:
    """Return the frame of the cached board, see `read`."""
    return read(folder).rows


def is_fresh(folder: Path | None = None) -> bool:
    """Return whether the cached frame is complete and matches the records, without computing a frame."""
    return cached(_whole(folder)) is not None


def is_current(folder: Path | None = None) -> bool:
    """Return whether the cached board equals a newly computed one."""
    board = build(folder)
    return _kept(folder) == (_lines(board.rows).encode(), _plain_agreements(board))


def _kept(folder: Path | None) -> tuple[bytes, list[Json]] | None:
    """Return the cached rows and agreements; None if they are missing, damaged, or do not match the records."""
    path = home(folder) / NAME
    try:
        content, state = read_bytes(path), json.loads(read_bytes(path.with_name(STATE)))
    except (OSError, ValueError, RecursionError):
        return None
    agreements = state.get("agreements") if isinstance(state, dict) else None
    found = {"rows": _hash(content, agreements), "records": fingerprint(folder), "agreements": agreements}
    return (content, agreements or []) if state == found else None


def _hash(content: bytes, agreements: object) -> str:
    return hashlib.sha256(content + json.dumps(agreements, sort_keys=True).encode()).hexdigest()


def _plain_agreements(board: Board) -> list[Json]:
    return [{name: _plain(value) for name, value in asdict(one).items()} for one in board.agreements]


def fingerprint(folder: Path | None = None) -> str:
    """Return the SHA-256 of all that a frame is computed from: records, predictions, claims, disclosures and rules."""
    rules = {
        "ranks": table.RULES,
        "columns": [column.name for column in table.COLUMNS],
        "metrics": dict(metrics.versions()),
        "datasets": {name: dict(spec.fingerprints) for name, spec in data.DATASETS.items()},
        "claims": [str(claim) for claim in claims.claims()],
        "disclosures": [str(one) for one in disclosures.disclosures()],
        "writers": _digest_of(writers.FILE),
    }
    whole = hashlib.sha256(json.dumps(rules, sort_keys=True).encode())
    for root in results.folders(folder):
        found = (path for path in root.glob("*/*") if path.name.endswith((".json", ".npz")))
        for path in sorted(path for path in found if not path.name.endswith(".report.npz")):
            whole.update(f"{path.parent.name}/{path.name} {_digest_of(path)}\n".encode())
    return whole.hexdigest()


def _digest_of(path: Path) -> str:
    try:
        stat = path.stat()
        return _digest(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except OSError as error:
        return f"unreadable: {error.strerror}"


@functools.lru_cache(maxsize=100_000)  # unchanged files are not read again
def _digest(path: Path, changed: int, size: int, inode: int) -> str:
    with os.fdopen(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(rows: pd.DataFrame) -> str:
    """Return one row per line, numbers with 8 digits, so that rounding of sums makes no difference."""
    plain = ({name: _plain(value) for name, value in row.items()} for row in rows.to_dict("records"))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in plain)


def _plain(value: object) -> object:
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    rounded = float(f"{value:.8g}")
    return int(rounded) if rounded.is_integer() else rounded


def _frame(rows: list[Json]) -> pd.DataFrame:
    """Return the rows as a frame; TypeError, KeyError or OverflowError if a value is not of its column's type."""
    columns: dict[str, list[object]] = {}
    for column in table.COLUMNS:
        values = columns[column.name] = [row[column.name] for row in rows]
        if not set(map(type, values)) <= ({int, float, type(None)} if column.number else {str}):
            raise TypeError(f"{column.name} of a row")
    numbers = [column.name for column in table.COLUMNS if column.number]
    return pd.DataFrame(columns).astype(dict.fromkeys(numbers, float))
