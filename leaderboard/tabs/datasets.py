"""The datasets of the board, and the overlap of their test sets with their training sets."""

from pathlib import Path

from leaderboard.leaks import LEAKS
from leaderboard.tabs.markup import html
from zoo import data
from zoo.files import read_json


def page(folder: Path = LEAKS) -> str:
    """Return the report of every dataset that has one, as HTML."""
    found = [read_json(path) for path in sorted(folder.glob("*.json"))]
    reports = [(spec := data.get(one["dataset"]), one["fingerprints"] == dict(spec.fingerprints), one) for one in found]
    return html("datasets.page", reports)
