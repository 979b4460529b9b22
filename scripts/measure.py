"""Measure a published model on the test set of its dataset, and compare it with its row on the board.

python scripts/measure.py lenet5.mnist           print its scores
python scripts/measure.py lenet5.mnist --check   compare them with its record; exit status 1 if they differ
python scripts/measure.py glyphnet_2k.mnist --seed 3 --check   another training of the row
python scripts/measure.py lenet5.mnist --record  write the scores of the shipped seed into its record
python scripts/measure.py ./runs/…/export        a folder that is not shipped
python scripts/measure.py mobilenet_v2.pages70 --csv result.csv   the prediction for every file
python scripts/measure.py ./model --stream       part by part: for a test set that does not fit into memory
"""

import argparse
from pathlib import Path

import cli
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from leaderboard import checking, other_seeds, recording, results
from leaderboard.evaluation import evaluate, evaluate_parts
from leaderboard.predictions import Predictions
from zoo import data, hub
from zoo.errors import UnknownName, ZooError
from zoo.files import replacing
from zoo.published import PublishedFolder
from zoo.serving.predictor import Predictor


def main() -> int:
    """Print the scores; with --check, return 1 if the record differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a shipped model, one on the Hub, or a folder")
    parser.add_argument("--check", action="store_true", help="compare with the record")
    parser.add_argument("--record", action="store_true", help="write the scores into the record")
    parser.add_argument("--csv", type=Path, help="write filename, actual and predicted label of every test sample")
    parser.add_argument("--stream", action="store_true", help="keep one part of the test images in memory at a time")
    parser.add_argument("--seed", type=int, help="a training of the row other than the shipped one")
    parser.add_argument("--runs", type=Path, default=cli.ROOT / "runs", help="folder of the runs (default: runs)")
    parser.add_argument("--records", type=Path, help="folder of the records (default: all of the board)")
    arguments = parser.parse_args()
    if arguments.stream and (arguments.check or arguments.csv or arguments.record):
        parser.error("--stream stores no predictions, which --check, --record and --csv need: leave one of them out.")
    if arguments.record:
        recording.require_commit(arguments.records or results.RECORDS)
    folder = folder_of(arguments)
    if arguments.stream:
        return stream(Predictor.measured(folder))
    spec = data.get(Predictor.measured(folder).dataset)
    if spec.scored != "test":
        print(f"{spec.name} has no test split: these are scores on validation, which chose the model.")
    result = checking.record_of(folder, arguments.records) if arguments.check or arguments.record else None
    if result is not None and arguments.record:
        recording.check_folder(result, folder, arguments.runs)
    evaluation, predictions = evaluate(folder)
    if arguments.csv:
        write_answers(arguments.csv, spec, predictions)
    if result is None:
        show(("metric", "measured"), [(name, f"{value:.6g}") for name, value in evaluation.metrics.items()])
        kinds = {**evaluation.corruptions, **evaluation.unseen_damage, **evaluation.transfers}
        if kinds:
            show(("under, or on", "accuracy"), [(name, f"{value:.4f}") for name, value in kinds.items()])
        return 0
    recorded = results.predictions(result, arguments.records)
    seed, as_trained = PublishedFolder(folder).metadata["seed"], recording.parameters_as_trained(result)
    check = checking.compare(result, recorded, evaluation, predictions, seed, as_trained)
    show(
        ("metric", "recorded", "measured", ""),
        [(c.name, f"{c.recorded:.6g}", f"{c.measured:.6g}", "" if c.agrees else "DIFFERS") for c in check.scores],
    )
    print(check.sentence)
    if arguments.record:
        results.write(recording.measured_again(result, evaluation), predictions, arguments.records)
        print("The record has what was measured now.")
        return 0
    return 0 if check.agrees else 1


def folder_of(arguments: argparse.Namespace) -> Path:
    """Return the folder of a model, or of another training of its row: where it is published, else in the runs."""
    rows = {row.model: row for row in results.read_all(arguments.records)}
    row = rows.get(arguments.model)
    if row is None and arguments.seed is not None:
        raise UnknownName("row of the board", arguments.model, rows)
    if row is None or (row.published and arguments.seed in (None, row.shipped_seed)):
        weights = "" if row is None else row.weights or ""
        return hub.resolve(weights if weights.startswith(("hf://", "/")) else arguments.model)
    seed = row.shipped_seed if arguments.seed is None else row.of_seed(arguments.seed).seed
    if (kept := other_seeds.folder(row, seed)) is not None:
        return kept
    folder = recording.exported(row, arguments.runs, seed)
    if not PublishedFolder(folder).onnx.exists():
        raise ZooError(
            f"The weights of {row.model}, seed {seed}, are not published, and {folder} does not exist: nobody can "
            f"measure them again. python scripts/train_all.py --only {row.model} trains the row again."
        )
    return folder


def stream(predictor: Predictor) -> int:
    """Print the scores that need no more than one part of the test set at a time."""
    samples, scores = evaluate_parts(predictor, data.stream(predictor.dataset, "test"))
    print(f"{predictor.name} on {samples:,} samples of {predictor.dataset}:")
    show(("metric", "measured"), [(name, f"{value:.6g}") for name, value in scores.items()])
    return 0


def write_answers(path: Path, spec: data.DatasetSpec, predictions: Predictions) -> None:
    """Write a CSV file of filename, actual and predicted, one line per sample."""
    labels = np.array(spec.labels)
    if spec.scored != "test":
        raise ZooError(f"{spec.name} has no test split, so --csv has no files to list.")
    answers = {
        "filename": data.filenames(spec.name, "test"),
        "actual": labels[predictions.labels],
        "predicted": labels[predictions.predicted],
    }
    with replacing(path) as staged:
        pd.DataFrame(answers).to_csv(staged, index=False)
    print(f"{len(predictions.labels):,} predictions are in {path}.")


def show(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table."""
    table = Table()
    for title in titles:
        table.add_column(title, justify="left" if title == titles[0] else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    cli.run(main)
