"""Take in what was trained on another machine: check the results, copy the runs, write their records.

    python scripts/unbundle.py results
    python scripts/unbundle.py results --plan bundle/bundle.json --runs runs --records leaderboard/records

The plan is the `bundle.json` that `scripts/bundle.py` wrote here: no other training is taken in, of whatever model.
Unfinished runs go into the folder of the runs too: the next `scripts/train_all.py` goes on with them here.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import cli

from leaderboard import bundles, jobs, recording, results, snapshot
from zoo import training
from zoo.errors import ZooError
from zoo.files import read_json


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the folder that came back")
    parser.add_argument(
        "--plan", type=Path, default=Path("bundle/bundle.json"),
        help="what was asked for, as it stayed here (default: bundle/bundle.json)",
    )  # fmt: skip
    parser.add_argument("--runs", type=Path, default=cli.ROOT / "runs", help="folder of the runs (default: runs)")
    parser.add_argument(
        "--records", type=Path, default=results.LOCAL,
        help="folder of the records (default: leaderboard/local_records, which git ignores)",
    )  # fmt: skip
    parser.add_argument("--uncommitted", action="store_true", help="allow rows of code that was not committed")
    parser.add_argument("--ship", action="store_true", help="copy the chosen models into zoo/pretrained")
    arguments = parser.parse_args()
    if not arguments.plan.is_file():
        raise ZooError(f"There is no {arguments.plan}: name the bundle.json that scripts/bundle.py wrote, with --plan.")
    asked = [training.Job.from_dict(job) for pair in read_json(arguments.plan)["jobs"] for job in pair]
    finished, unfinished = bundles.unpack(arguments.results, arguments.runs, asked)
    recording.require_commit(arguments.records, arguments.uncommitted, finished)
    pairs: dict[str, list[training.Run]] = defaultdict(list)
    for run in finished:
        pairs[run.job.model].append(run)
    for model, runs in pairs.items():
        jobs.publish(runs, arguments.records, arguments.ship)
        counted = recording.counted(runs)
        print(f"{model}: {len(counted)} seeds recorded in {arguments.records}.")
        if len(counted) < len(runs):
            print(f"{model}: {len(runs) - len(counted)} more are not in the row, since their weights stayed there.")
        elif not counted[0].weights.exists():
            print(f"{model}: not measured here, since weights stayed there. What the other machine measured stands.")
    snapshot.write(arguments.records)
    for name in unfinished:
        print(f"{name} is not finished: scripts/train_all.py goes on with it.")


if __name__ == "__main__":
    cli.run(main)
