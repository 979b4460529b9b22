"""Write every row of the board in the schema of Every Eval Ever, one file a row.

python -m scripts.chores.export_evals runs/evals
"""

import argparse
from pathlib import Path

from leaderboard import every_eval_ever, results
from scripts import cli
from zoo.files import write_json


def main() -> None:
    """Write the files and say how many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--records", type=Path, default=results.RECORDS, help="folder of the records")
    arguments = parser.parse_args()
    rows = results.read_all(arguments.records)
    for row in rows:
        kept = results.predictions(row, arguments.records)
        found = every_eval_ever.export(row, None if kept is None else kept.right)
        write_json(arguments.out / row.dataset / f"{row.model}.json", found)
    print(f"{len(rows)} rows written to {arguments.out}.")


if __name__ == "__main__":
    cli.run(main)
