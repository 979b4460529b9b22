"""Measure what the Hub costs, against a server on loopback: nothing is sent anywhere else.

    python -m scripts.bench.hub                       five models
    python -m scripts.bench.hub --only lenet5.ahdd    others

Loads are medians over fresh processes; pushes are of all models, once. Exit status 1 if a target is missed.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table

sys.path.insert(0, str(cli.ROOT / "tests"))
from hub_server import Account, Hub

from zoo import settings
from zoo.errors import ZooError

RUNS = 9
MODELS = "hdr_cnn.mnist,lenet5.ahdd,lenet5.mnist,mnist_cnn.mnist,resco_mini.ahdd"
TARGETS = {"load": 0.1, "push": 30.0, "again": 3.0}  # seconds


def main() -> int:
    """Measure; 1 if a target is missed."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--only", default=MODELS, help="models, comma-separated (%(default)s)")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    with tempfile.TemporaryDirectory() as home, Hub().serving() as hub:
        hub.tokens["hf_bench"] = Account("me")
        environment = {
            **os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": f"{home}/hub", "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "hf_bench", "PYTHONPATH": str(cli.ROOT),
        }  # fmt: skip
        cells = [*pushes(hub, arguments.only, Path(home), environment), load(names[0], environment)]
    return measurements.conclude("hub", arguments, [Table(f"{len(names)} models, Hub on loopback", cells)])


def pushes(hub: Hub, models: str, home: Path, environment: dict) -> list[Measurement]:
    """Push everything twice, each time by the script in a fresh process, cards and figures included."""
    command: list[str | Path] = [sys.executable, cli.ROOT / "scripts" / "push_all.py", "--namespace", "me"]
    command += ["--only", models, "--staging", home / "staging"]
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    commits = [len(repo.commits) for repo in hub.repos.values()]
    if set(commits) != {2}:  # the one that a repo is born with, and one
        raise ZooError(f"Two pushes of the same made {commits} commits.")
    return [
        Measurement("push of all of them, cards and figures made", seconds[0], "s", most=TARGETS["push"], n=1),
        Measurement("push again, nothing changed: no commit", seconds[1], "s", most=TARGETS["again"], n=1),
    ]


def load(name: str, environment: dict) -> Measurement:
    """Load from a warm cache offline, less the load of the same folder from this disk; fresh processes in turn."""
    names = f"hf://me/{name}", str(settings.PRETRAINED / name)
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
    what = f"`{name}` from the cache, offline, over the local load, median"
    return Measurement(what, extra, "s", most=TARGETS["load"], n=RUNS)


if __name__ == "__main__":
    cli.run(main)
