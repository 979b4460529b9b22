"""The frame as it was last computed, kept beside the records: what the Space shows at once.

`records/board.jsonl` has one row a line, and `datasets.load_dataset("leaderboard/records")` reads it.
"""

import json
import math
from pathlib import Path

import pandas as pd

from leaderboard import results, table
from leaderboard.claims import claims
from zoo.files import replacing

NAME = "board.jsonl"


def build(folder: Path | None = None) -> pd.DataFrame:
    """Return the frame of all records, computed now: reads every record and its predictions, and needs scipy."""
    found = list(results.scan(folder))

    def right(result):
        predictions = results.predictions(result, folder)
        return None if predictions is None else predictions.right

    return table.frame(
        [r for r in found if isinstance(r, results.Result)],
        right,
        [b for b in found if isinstance(b, results.Broken)],
        claims(),
    )


def write(folder: Path | None = None) -> Path:
    """Compute the frame and keep it; return where."""
    return keep(build(folder), folder)


def keep(rows: pd.DataFrame, folder: Path | None = None) -> Path:
    """Write a frame that was computed from the records in `folder`; return where."""
    path = (folder or results.RECORDS) / NAME
    with replacing(path) as staged:
        staged.write_text(_lines(rows, _sizes(folder)), encoding="utf-8")
    return path


def load(folder: Path | None = None) -> pd.DataFrame:
    """Return the kept frame, or compute it anew where it is not that of the records as they are."""
    path = (folder or results.RECORDS) / NAME
    if path.exists():
        rows = json.loads("[" + ",".join(path.read_text(encoding="utf-8").splitlines()) + "]")
        sizes = {(row["dataset"], row["model"]): row.pop("record_bytes") for row in rows}
        same_columns = all(column.name in row for row in rows for column in table.COLUMNS)
        if same_columns and {key: size for key, size in sizes.items() if size is not None} == _sizes(folder):
            return _frame(rows)
    return build(folder)


def is_current(folder: Path | None = None) -> bool:
    """Return whether the kept frame is what would be computed now."""
    path = (folder or results.RECORDS) / NAME
    return path.exists() and path.read_text(encoding="utf-8") == _lines(build(folder), _sizes(folder))


def _sizes(folder: Path | None) -> dict[tuple[str, str], int]:
    """Return the size of every record file: a record that was written, broken or removed since shows."""
    paths = (folder or results.RECORDS).glob("*/*.json")
    return {(path.parent.name, path.stem): path.stat().st_size for path in paths}


def _lines(rows: pd.DataFrame, sizes: dict[tuple[str, str], int]) -> str:
    """Return a row a line; numbers to 8 digits, so that the last bit of a sum makes no difference."""
    lines = []
    for row in rows.to_dict("records"):
        clean = {name: _plain(value) for name, value in row.items()}
        clean["record_bytes"] = sizes.get((row["dataset"], row["model"]))
        lines.append(json.dumps(clean, ensure_ascii=False))
    return "".join(line + "\n" for line in lines)


def _plain(value):
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    rounded = float(f"{value:.8g}")
    return int(rounded) if rounded.is_integer() else rounded


def _frame(rows: list[dict]) -> pd.DataFrame:
    names = [column.name for column in table.COLUMNS]
    frame = pd.DataFrame({name: [row[name] for row in rows] for name in names})
    numbers = [column.name for column in table.COLUMNS if column.number]
    return frame.astype(dict.fromkeys(numbers, float))
