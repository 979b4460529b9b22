"""Write `leaderboard/writers.npz`, which says who wrote each test sample, from the datasets.

python -m scripts.chores.list_writers
"""

import argparse

from leaderboard import writers
from scripts import cli
from zoo import data


def main() -> None:
    """Write the file, and print how many writers each test set has."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    found = writers.listed(spec.name for spec in data.DATASETS.values() if spec.scored == "test")
    writers.write(found)
    for name, each in found.items():
        print(f"{name}: {len(each):,} test samples by {len(set(each.tolist()))} writers")


if __name__ == "__main__":
    cli.run(main)
