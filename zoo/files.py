"""Files that are whole or not there: written beside their place, then moved into it."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it takes the place of `path`, on an error nothing is left.

    The written thing may be a file or a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield staging / path.name
        if path.is_dir():  # a folder cannot be replaced in one step: the old one steps aside first
            os.replace(path, staging / "old")
        os.replace(staging / path.name, path)
    finally:
        shutil.rmtree(staging)


def write_json(path: Path, value) -> None:
    """Write JSON that people can read and diff."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda numbers: " ".join(numbers[0].split()), text)  # a list of numbers: a line
    with replacing(path) as staged:
        staged.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path):
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
