"""The board as files: CSV, JSON and Parquet with the same rows and columns, with typed numbers."""

import functools
import tempfile
from pathlib import Path

import pandas as pd

from zoo.files import replacing
from zoo.types import Json

WRITERS = {
    "csv": lambda rows, path: rows.to_csv(path, index=False),
    "json": lambda rows, path: rows.to_json(path, orient="records", indent=1, force_ascii=False, double_precision=10),
    "parquet": lambda rows, path: rows.to_parquet(path, index=False),
}


def write(rows: pd.DataFrame, folder: Path) -> dict[str, Path]:
    """Write `leaderboard.csv`, `.json` and `.parquet`; return their paths by kind; who reads one finds all of it."""
    paths = {kind: folder / f"leaderboard.{kind}" for kind in WRITERS}
    for kind, path in paths.items():
        with replacing(path) as staged:
            WRITERS[kind](rows, staged)
    return paths


@functools.cache
def own_folder() -> tempfile.TemporaryDirectory[str]:
    """Return the folder for these files, which is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="leaderboard-")


def as_json(rows: pd.DataFrame) -> list[Json]:
    """Return the rows as plain JSON types; unknown values are None."""
    return [{name: None if value != value else value for name, value in row.items()} for row in rows.to_dict("records")]
