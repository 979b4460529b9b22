"""The datasets of the board: overlap of test and training sets, and test samples whose label is disputed."""

from pathlib import Path

import pandas as pd

from leaderboard import disputed
from leaderboard.leaks import LEAKS
from leaderboard.tabs.markup import html
from zoo import data
from zoo.files import read_json


def page(rows: pd.DataFrame, records: Path | None = None, folder: Path = LEAKS) -> str:
    """Return the report of every dataset that has one, as HTML.

    Args:
        rows: the frame.
        records: their folder.
        folder: of the reports.
    """
    reports = []
    for found in (read_json(path) for path in sorted(folder.glob("*.json"))):
        spec = data.get(found["dataset"])
        current = found["fingerprints"] == dict(spec.fingerprints)
        reports.append((spec, current, found, disputed.find(spec.name, rows, records)))
    return html("datasets.page", reports, disputed.VERDICTS, disputed.STRONG)
