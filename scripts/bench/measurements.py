"""What benchmarks share: measurements with their targets, the tables of them, and the files that docs/speed.md shows.

`--write` keeps what a benchmark measured in docs/measured/<name>.json; `python -m scripts.chores.update_tables` writes
it into docs/speed.md.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict
from rich.console import Console
from rich.table import Column
from rich.table import Table as Printed

from leaderboard.schemas import checked_json
from scripts import cli
from zoo import environment
from zoo.files import write_json
from zoo.regular_files import read_bytes
from zoo.typed_json import CLOSED
from zoo.types import Json

FOLDER = cli.ROOT / "docs" / "measured"
MISSED = "missed"


@dataclass(frozen=True)
class Measurement:
    """One cell of a table."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    what: str  # names its row
    value: float
    unit: str = ""
    most: float | None = None  # its target
    least: float | None = None  # likewise
    n: int | None = None  # how many were measured, of which the value is the median or what else `what` says
    column: str = "measured"

    @property
    def met(self) -> bool:
        """Whether its target is met; True without one."""
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    @property
    def text(self) -> str:
        """The value in three digits, percentages in hundredths, with its unit."""
        if self.unit == "%":
            return f"{self.value:.2f}%"
        number = f"{self.value:,.0f}" if abs(self.value) >= 100 else f"{self.value:.3g}"
        return f"{number} {self.unit}".strip()

    @property
    def targets(self) -> list[str]:
        """What was aimed at, each with a note where it is missed."""
        space = "" if self.unit in ("", "%") else " "
        aims = (("≤", self.most), ("≥", self.least))
        note = "" if self.met else f", {MISSED}"
        return [f"{sign} {aim:,g}{space}{self.unit}{note}" for sign, aim in aims if aim is not None]


@dataclass(frozen=True)
class Table:
    """Measurements by row and column."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    head: str  # of the first column
    cells: list[Measurement]

    def lines(self) -> list[list[str]]:
        """Return the heads of the columns, then every row; targets and n have a column where there are any."""
        columns, rows = dict.fromkeys(one.column for one in self.cells), dict.fromkeys(one.what for one in self.cells)
        found = [[self.head, *columns, "target", "n"]]
        for row in rows:
            cells = {one.column: one for one in self.cells if one.what == row}
            counts = dict.fromkeys(f"{one.n:,}" for one in cells.values() if one.n is not None)
            texts = (cells[column].text if column in cells else "" for column in columns)
            several = len(columns) > 1
            targets = (f"{one.column} " * several + target for one in cells.values() for target in one.targets)
            found.append([row, *texts, "; ".join(targets), ", ".join(counts)])
        used = [any(line[index] for line in found[1:]) for index in range(len(found[0]))]
        return [[cell for cell, is_used in zip(line, used, strict=True) if is_used] for line in found]

    def markdown(self) -> str:
        """Return it as Markdown."""
        heads, *rows = ("| " + " | ".join(line) + " |" for line in self.lines())
        return "\n".join([heads, "| --- |" + " ---: |" * (len(self.lines()[0]) - 1), *rows]) + "\n"

    def print(self) -> None:
        """Print it."""
        heads, *rows = self.lines()
        printed = Printed(*(Column(head, justify="right" if index else "left") for index, head in enumerate(heads)))
        for row in rows:
            printed.add_row(*row)
        Console(width=140).print(printed)


@dataclass(frozen=True)
class Kept:
    """What one run of a benchmark measured, and how; a closed schema of plain JSON types."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    command: str
    date: str  # ISO 8601, UTC
    load: float  # mean of waiting processes at the start
    environment: Json  # commit, versions, processor
    tables: list[Table]


def parser(about: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark's command line, with `--write`; it notes the load of the machine."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--write", action="store_true", help="keep it in docs/measured, for docs/speed.md")
    made.set_defaults(load=round(os.getloadavg()[0], 2))
    return made


def conclude(name: str, arguments: argparse.Namespace, tables: Iterable[Table]) -> int:
    """Print the tables, each as soon as it is measured, and keep them if this was asked for.

    Args:
        name: of the file.
        arguments: of `parser`.
        tables: what is measured.

    Returns:
        1 if a target is missed, else 0.
    """
    found = []
    print(f"{environment.processor()}, load {arguments.load} at the start", flush=True)
    for table in tables:
        table.print()
        found.append(table)
    if arguments.write:
        module = Path(sys.argv[0]).stem
        command = shlex.join(["python", "-m", f"scripts.bench.{module}", *(a for a in sys.argv[1:] if a != "--write")])
        date = datetime.now(UTC).isoformat(timespec="seconds")
        kept = Kept(command, date, arguments.load, environment.describe(), found)
        write_json(FOLDER / f"{name}.json", asdict(kept))
    return int(not all(one.met for table in found for one in table.cells))


def names() -> list[str]:
    """Return the names of all files."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def markdown(name: str) -> str:
    """Return the tables of a file as Markdown, and how they were measured; ZooError if the file is damaged."""
    kept = checked_json(Kept, read_bytes(FOLDER / f"{name}.json"), "file of measurements")
    commit, processor = (kept.environment[key] for key in ("commit", "processor"))
    how = f"{kept.date[:10]}, commit {commit}, {processor}, load {kept.load:.1f}; `{kept.command}`"
    return "\n".join([*(table.markdown() for table in kept.tables), f"Measured: {how}\n"])
