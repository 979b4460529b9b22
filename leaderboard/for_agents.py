"""What agents may read over MCP: a card of each network, and the rows of each dataset of the board."""

from collections.abc import Callable, Iterator
from functools import partial

import orjson
import pandas as pd

from leaderboard import downloads, slices, table
from leaderboard.tabs.board_frame import Live
from zoo import hub
from zoo.gate.agent_resources import Resource
from zoo.published import PublishedFolder
from zoo.rest import served
from zoo.serving import by_script
from zoo.types import Json

SHOWN = ("rank", "accuracy", "accuracy_std", "accuracy_low", "accuracy_high", "errors", "macro_f1", "robustness",
         "expected_calibration_error", "parameters", "multiply_adds", "file_size", "latency")  # fmt: skip


def resources(frame: Live) -> Callable[[], Iterator[Resource]]:
    """Return a function that yields the resources as they are now; each text is made once until the board changes."""
    cards, rows = frame.kept(card), frame.kept(_rows, of="dataset")

    def now() -> Iterator[Resource]:
        for one in (one for of_it in by_script.networks().values() for one in of_it):
            about = f"The network {one.model}: {one.script}, trained on {one.dataset}"
            yield Resource(f"zoo://models/{one.model}", one.model, about, "text/markdown", partial(cards, one.model))
        for dataset in sorted(set(frame()["dataset"])):
            about = f"The rows of {dataset} on the leaderboard, ranked, as JSON"
            yield Resource(f"zoo://leaderboard/{dataset}", dataset, about, "application/json", partial(rows, dataset))

    return now


def _rows(dataset: str, rows: pd.DataFrame) -> str:
    return orjson.dumps(downloads.as_json(table.select(rows, table.Query(dataset=dataset)))).decode()


def card(name: str, rows: pd.DataFrame) -> str:
    """Return a network's card as Markdown: the one in its folder, else what the folder and the board say; and slices.

    Raises:
        UnknownName: it is not served.
    """
    facts = served.model(name)
    if written := PublishedFolder(hub.resolve(name)).card:
        return written + "\n".join(_slices(name))
    lines = [
        f"# {name}",
        "",
        *_listed({key: value for key, value in facts.items() if key not in ("model", "contract")}),
    ]
    for row in rows[rows["model"] == name].to_dict("records"):
        known = {key: row[key] for key in SHOWN if row[key] == row[key] and row[key] is not None}
        lines += ["", f"## On {row['dataset']} ({row['status']})", "", *_listed(known)]
    lines += ["", f'Load it: `zoo.load_predictor("{name}")`, or `POST /api/v1/read` with `model={name}`.']
    return "\n".join([*lines, *_slices(name)]) + "\n"


def _slices(name: str) -> list[str]:
    """Return the accuracy on each part of the test set as lines; the writers one by one are in the REST API."""
    found = [one for one in (slices.measured(name) or {}).get("slices", []) if one["kind"] != "writer"]
    if not found:
        return []
    said = {
        f"{one['kind']} {one['name']}": f"{one['accuracy']:.4f} (95% interval {one['low']:.4f} to {one['high']:.4f}), "
        f"{one['samples']} samples"
        for one in found
    }
    return ["", "## Accuracy by part of the test set", "", *_listed(said), ""]


def _listed(values: Json) -> list[str]:
    return [f"- {key}: {' '.join(value) if isinstance(value, list) else value}" for key, value in values.items()]
