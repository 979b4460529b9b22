"""Write reports into runs/reports: figures in print quality and their data.

    python scripts/report.py                           all rows, and a comparison for each dataset
    python scripts/report.py lenet5.ahdd mnist_cnn.mnist
    python scripts/report.py lenet5.ahdd --out my-reports

A report is made from the record of a row, its stored predictions and its weights. A small part is stored next to the
record for the Space. You can stop it: the same command draws what is missing or out of date.
"""

import argparse
import sys
from pathlib import Path

import cli

from leaderboard import figures, recording, report_store, results
from zoo.errors import UnknownName, ZooError


def main() -> int:
    """Run the command; return 1 if a report failed."""
    arguments = parse()
    records = {result.model: result for result in results.read_all(arguments.records)}
    failed = 0
    for name in arguments.models or records:
        if name not in records:
            raise UnknownName("record of", name, records)
    for name in arguments.models or records:
        try:
            print(told(records[name], arguments), flush=True)
        except (ZooError, OSError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            failed += 1
    if not arguments.models:
        for dataset in sorted({result.dataset for result in records.values()}):
            rows = [result for result in records.values() if result.dataset == dataset and result.comparable]
            if rows:
                figures.draw_comparison(rows, arguments.out / dataset)
                print(f"{arguments.out / dataset}: comparison of {len(rows)} networks")
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="rows of the board, for example lenet5.ahdd (default: all)")
    parser.add_argument("--out", type=Path, default=cli.ROOT / "runs" / "reports", help="default: runs/reports")
    parser.add_argument("--runs", type=Path, default=cli.ROOT / "runs", help="folder of the runs (default: runs)")
    parser.add_argument(
        "--records", type=Path, default=results.RECORDS, help="folder of the records (default: leaderboard/records)"
    )
    return parser.parse_args()


def told(result: results.Result, arguments: argparse.Namespace) -> str:
    """Write one report; return a line about it."""
    published = recording.published(result, arguments.runs)
    if published is not None:
        report_store.keep(result, published, arguments.records)
    written = figures.write(result, arguments.out / result.model, arguments.records)
    known = report_store.read_report(result, arguments.records) is not None
    missing = "" if known else "; without layers and training, since its weights are not here"
    return f"{arguments.out / result.model}: {len(written)} files{missing}"


if __name__ == "__main__":
    cli.run(main)
