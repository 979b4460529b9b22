"""Test samples whose label may be wrong: every strong row reads them alike, and as something else than the label says.

Only a person can settle a label, by looking. Verdicts are in `leaderboard/verdicts/<dataset>.json`: sample number ->
{"verdict": one of `VERDICTS`, "by": who looked, "date": when}. Accuracy without the disputed samples is shown next to
the accuracy, never instead of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leaderboard import results, table
from leaderboard.predictions import Predictions
from leaderboard.results import Result
from zoo.errors import ZooError
from zoo.files import read_json

STRONG = 10  # rows with the highest accuracy that have to agree
FEWEST = 5  # strong rows without which nothing is called disputed
VERDICTS = {
    "label": "the label is right",
    "networks": "the networks are right",
    "neither": "both are wrong",
    "unclear": "it cannot be told",
}
FOLDER = Path(__file__).parent / "verdicts"


@dataclass(frozen=True)
class Disputed:
    """One disputed sample.

    Attributes:
        sample: its number in the test set.
        label: its class as the dataset says.
        read: the class that every strong row reads.
        image: uint8 (H, W), as the strongest row's predictions keep it; None where they do not.
        verdict: a key of `VERDICTS`; "" where nobody has looked.
    """

    sample: int
    label: int
    read: int
    image: np.ndarray | None
    verdict: str = ""


def strong(dataset: str, rows: pd.DataFrame, folder: Path | None = None) -> list[Predictions]:
    """Return the predictions of the strongest published rows, the most accurate first.

    Rows that were sent in do not count, as many of one sender could agree on anything; nor do local rows.
    """
    own = rows[(rows["dataset"] == dataset) & (rows["status"] == table.VERIFIED) & (rows["submitted_by"] == "")]
    names = own.sort_values(["accuracy", "model"], ascending=[False, True])["model"][:STRONG]
    records = (results.read_record(results.path_of(name, dataset, folder)) for name in names)
    found = (results.predictions(record, folder) for record in records if isinstance(record, Result))
    return [predictions for predictions in found if predictions is not None]


def find(dataset: str, rows: pd.DataFrame, folder: Path | None = None, verdicts: Path = FOLDER) -> list[Disputed]:
    """Return the disputed samples of a test set, in its order; none where fewer than `FEWEST` rows can be asked.

    Args:
        dataset: its name.
        rows: the frame.
        folder: of the records.
        verdicts: the folder of what people have decided.
    """
    asked = strong(dataset, rows, folder)
    if len(asked) < FEWEST:
        return []
    first = asked[0]
    read = np.stack([predictions.predicted for predictions in asked])
    alike = (read == first.predicted).all(axis=0) & ~first.right
    pictures = dict(zip(map(int, first.hardest), first.images, strict=True))
    decided = read_verdicts(verdicts / f"{dataset}.json")
    return [
        Disputed(n, int(first.labels[n]), int(first.predicted[n]), pictures.get(n), decided.get(n, ""))
        for n in map(int, np.flatnonzero(alike))
    ]


def read_verdicts(path: Path) -> dict[int, str]:
    """Return what people have decided, sample -> verdict; ZooError if the file says what is no verdict."""
    if not path.is_file():
        return {}
    try:
        found = {int(sample): str(entry["verdict"]) for sample, entry in read_json(path).items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ZooError(f"{path.name} holds no verdicts: {error!r}.") from error
    if unknown := sorted(set(found.values()) - set(VERDICTS)):
        raise ZooError(f"{path.name}: {', '.join(unknown)} is no verdict; choose among {', '.join(VERDICTS)}.")
    return found


def accuracy_without(predictions: Predictions, samples: Iterable[Disputed]) -> float:
    """Return the accuracy, 0 to 1, on the test samples that are not disputed."""
    kept = np.ones(len(predictions.labels), bool)
    kept[[disputed.sample for disputed in samples]] = False
    return float(predictions.right[kept].mean())
