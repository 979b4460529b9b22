"""Measure the speed of every recorded model whose weights are here, in one run, and write it into the records.

    python -m scripts.chores.measure_speed

Do not use the machine meanwhile: it takes seconds, and the load at the start is recorded with the results.
"""

import argparse
from pathlib import Path

from leaderboard import recording, results, snapshot
from scripts import cli


def main() -> int:
    """Measure; return 1 if a recorded model is not found on this disk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=cli.ROOT / "runs", help="folder of the runs (default: runs)")
    parser.add_argument("--records", type=Path, default=results.RECORDS, help="folder of the records")
    arguments = parser.parse_args()
    missing = recording.record_speed(arguments.runs, arguments.records)
    snapshot.write(arguments.records)
    for result in results.read_all(arguments.records):
        if result.speed and result.model not in missing:
            print(f"{result.model:28} {result.speed['latency']:8.3f} ms {result.speed['throughput']:10,.0f} images/s")
    for model in missing:
        print(f"{model:28} not here: neither in zoo/pretrained nor in {arguments.runs}")
    return 1 if missing else 0


if __name__ == "__main__":
    cli.run(main)
