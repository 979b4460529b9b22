"""Measure what the Hub costs, against a server on loopback: nothing is sent anywhere else.

    python -m scripts.bench.hub                          every shipped model
    python -m scripts.bench.hub --models runs/… --records …

Loads are medians over fresh processes; pushes are of all models, once. Exit status 1 if a bar is missed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts import cli

sys.path.insert(0, str(cli.ROOT / "tests"))
from hub_server import Account, Hub

from leaderboard import results
from zoo import settings
from zoo.environment import processor
from zoo.errors import ZooError

RUNS = 9
BARS = {"load": 0.1, "push": 30.0, "again": 3.0}  # seconds


def main() -> int:
    """Print the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=settings.PRETRAINED, help="default: zoo/pretrained")
    parser.add_argument("--records", type=Path, default=results.RECORDS, help="default: leaderboard/records")
    arguments = parser.parse_args()
    names = sorted(path.parent.name for path in arguments.models.glob("*/config.json"))
    if not names:
        raise ZooError(f"There is no published model in {arguments.models}.")
    with tempfile.TemporaryDirectory() as home, Hub().serving() as hub:
        hub.tokens["hf_bench"] = Account("me")
        environment = {
            **os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": f"{home}/hub", "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "hf_bench", "PYTHONPATH": str(cli.ROOT),
        }  # fmt: skip
        rows = [*pushes(hub, arguments, Path(home), environment), load(arguments.models / names[0], environment)]
    table = Table(title=f"{len(names)} models, Hub on loopback, {processor()}")
    for title in ("what", "measured", "bar", "n", ""):
        table.add_column(title, justify="left" if title == "what" else "right")
    for what, seconds, bar, runs in rows:
        table.add_row(what, f"{seconds:.3g} s", f"<= {bar:g} s", str(runs), "met" if seconds <= bar else "MISSED")
    Console(width=110).print(table)
    return 0 if all(seconds <= bar for _, seconds, bar, _ in rows) else 1


def pushes(hub: Hub, arguments: argparse.Namespace, home: Path, environment: dict) -> list[tuple]:
    """Push everything twice, each time by the script in a fresh process, cards and figures included."""
    command: list[str | Path] = [
        sys.executable,
        cli.ROOT / "scripts" / "push_all.py",
        "--namespace",
        "me",
        "--staging",
        home / "staging",
    ]
    command += ["--models", arguments.models, "--records", arguments.records]
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    commits = [len(repo.commits) for repo in hub.repos.values()]
    if set(commits) != {2}:  # the one that a repo is born with, and one
        raise ZooError(f"Two pushes of the same made {commits} commits.")
    return [
        ("push of every model, cards and figures made", seconds[0], BARS["push"], 1),
        ("push again, nothing changed: no commit", seconds[1], BARS["again"], 1),
    ]


def load(folder: Path, environment: dict) -> tuple:
    """Load from a warm cache offline, less the load of the same folder from this disk; fresh processes in turn."""
    names = f"hf://me/{folder.name}", str(folder.resolve())
    code = (
        "import sys, time; started = time.perf_counter(); import zoo; zoo.load_predictor(sys.argv[1]); "
        "print(time.perf_counter() - started)"
    )

    def once(name: str, offline: str) -> float:
        done = subprocess.run(
            [sys.executable, "-c", code, name], check=True, capture_output=True, text=True,
            env={**environment, "HF_HUB_OFFLINE": offline},
        )  # fmt: skip
        return float(done.stdout)

    once(names[0], "0")
    cached, local = zip(*((once(names[0], "1"), once(names[1], "1")) for _ in range(RUNS)), strict=True)
    extra = statistics.median(cached) - statistics.median(local)
    return f"{folder.name} from the cache, offline, over the local load", extra, BARS["load"], RUNS


if __name__ == "__main__":
    cli.run(main)
