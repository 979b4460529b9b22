"""Compare every dataset's test set with its training set, and write `leaderboard/leaks/<dataset>.json`.

python -m scripts.chores.find_leaks               the glyph datasets (a minute each on two cores)
python -m scripts.chores.find_leaks --only ahcd
"""

import argparse
from pathlib import Path

from leaderboard import leaks
from scripts import cli
from zoo import data
from zoo.files import write_json


def main() -> None:
    """Write and print the reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="datasets, comma-separated")
    parser.add_argument("--out", type=Path, default=leaks.LEAKS, help="folder of the reports")
    arguments = parser.parse_args()
    glyphs = [spec for spec in data.DATASETS.values() if spec.image_shape is not None and not spec.parts]
    known = [spec.name for spec in glyphs if spec.name != "optdigits"]
    names = arguments.only.split(",") if arguments.only else known
    for name in names:
        data.get(name)  # report an unknown name before spending any time
    for name in names:
        report = leaks.report(name)
        write_json(arguments.out / f"{name}.json", report)
        writers = report["writers"]
        print(
            f"{name}: {report['exact']} exact ({report['exact_other_label']} of another label), near {report['near']}, "
            f"writers in both {'unknown' if writers is None else writers['both']}"
        )


if __name__ == "__main__":
    cli.run(main)
