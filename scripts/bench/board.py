"""Measure the board with 10,000 made-up rows over 20 datasets: the frame, a filter and a sort, the page in a browser.

And with 60 rows whose writers are known: intervals and ranks by writer, and all that is about other hands.

    python -m scripts.bench.board

Times are medians. Exit status 1 if a bar is missed. CHROMIUM names the browser, where it is not on the path.
"""

import dataclasses
import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from leaderboard import hands, metrics, results, snapshot, table, writers
from leaderboard.tabs import table_html as page
from scripts import cli
from scripts.bench.speed import Row, print_table, timed
from zoo import data

NETWORKS, DATASETS, SAMPLES, SEEDS = 500, 20, 10_000, 3
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUERIES = (
    table.Query(),
    table.Query(dataset="data07", search="network1", sort="latency"),
    table.Query(sort="accuracy", descending=True),
    table.Query(search="3 zoo", statuses=(table.STALE, table.VERIFIED), parameters=(1e5, 1e6), sort="parameters"),
    table.Query(dataset="data19", sort="negative_log_likelihood"),
    table.Query(recipes=("zoo",), sort="model", descending=True),
)


def main() -> int:
    """Print the table; 1 if a bar is missed."""
    made, right = made_up()
    frames = [timed(lambda: table.frame(made, right.get_row)) for _ in range(5)]
    frame = table.frame(made, right.get_row)
    asked = [max(timed(partial(page.render, frame, query)) for query in QUERIES) for _ in range(9)]
    fronts = [timed(lambda: page.front(frame, "data07", "latency")) for _ in range(9)]
    with tempfile.TemporaryDirectory() as folder:
        write(made, frame, Path(folder))
        loads = [timed(lambda: snapshot.load(Path(folder))) for _ in range(5)]
        seen, sorted_in = in_browser(Path(folder))
    clustered = [timed(of_writers()) for _ in range(3)]
    table_rows = [
        Row("frame of 10,000 results, with ranks and tests", "s", statistics.median(frames), 0.5, len(frames)),
        Row(
            "60 rows of mnist: intervals and ranks by writer, other hands",
            "s",
            statistics.median(clustered),
            60,
            len(clustered),
        ),
        Row("the kept frame, read", "s", statistics.median(loads), 0.5, len(loads)),
        Row("filter, sort and write HTML, slowest of six", "ms", 1000 * statistics.median(asked), 100, len(asked)),
        Row("Pareto front of 500 rows", "ms", 1000 * statistics.median(fronts), 100, len(fronts)),
        Row("page usable in the browser", "s", statistics.median(seen), 2, len(seen)),
        Row("sorted after a click in the browser", "s", statistics.median(sorted_in), 1, len(sorted_in)),
    ]
    print_table(table_rows, "The board with 10,000 rows")
    return 0 if all(row.met for row in table_rows) else 1


class Answers:
    """Which samples every made-up model reads right: drawn once, so that only the tests are timed."""

    def __init__(self, rng: np.random.Generator):
        self.hard = {f"data{n:02d}": rng.random(SAMPLES) for n in range(DATASETS)}
        self.rows: dict[str, np.ndarray] = {}

    def draw(self, model: str, dataset: str, rng: np.random.Generator) -> float:
        """Draw a model's answers and return its accuracy."""
        skill = rng.uniform(0.9, 0.997)
        self.rows[model] = self.hard[dataset] + rng.normal(0, 0.02, SAMPLES) < skill
        return float(self.rows[model].mean())

    def get_row(self, result: results.Result) -> np.ndarray:
        """Return bool (SAMPLES,)."""
        return self.rows[result.model]


def made_up() -> tuple[list[results.Result], Answers]:
    """Return the results and their answers."""
    rng = np.random.default_rng(0)
    right = Answers(rng)
    made = []
    for dataset, number in itertools.product(right.hard, range(NETWORKS)):
        model = f"network{number:03d}.{dataset}"
        accuracy = right.draw(model, dataset, rng)
        wrong = round(SAMPLES * (1 - accuracy))
        scores = dict.fromkeys(set(metrics.versions()) - {"latency", "throughput"}, accuracy)
        scores |= {"parameters": int(10 ** rng.uniform(3, 8)), "multiply_adds": int(10 ** rng.uniform(4, 9))}
        made.append(
            results.Result(
                model=model, architecture=f"network{number:03d}", title="A made-up network", licence="mit",
                dataset=dataset, dataset_fingerprint="f", training_fingerprint="g",
                metric_versions=dict(metrics.versions()), recipe={"name": "zoo"}, selection="validation",
                shipped_seed=0, revision="0" * 64,
                seeds=[results.SeedResult(n, accuracy, 10, scores) for n in range(SEEDS)],
                accuracy_interval=[accuracy - 0.002, accuracy + 0.002], macro_f1_interval=[0.9, 0.99],
                corruptions={}, per_class=[], confusion=[[SAMPLES - wrong, wrong], [0, 0]], environment={},
                evaluation_environment={}, date="2026-11-21T00:00:00+00:00",
                speed={"latency": float(rng.uniform(0.01, 9)), "throughput": 1000.0, "metric_versions": {}},
            )
        )  # fmt: skip
    return made, right


def of_writers() -> Callable[[], object]:
    """Return a function that computes the board of 60 rows of mnist, with what takes writers whole."""
    rng = np.random.default_rng(1)
    sizes = {"mnist": SAMPLES, **dict.fromkeys(data.DATASETS["mnist"].transfers, 1757)}
    hard = {name: rng.random(size) for name, size in sizes.items()}
    made, answers = [], {}
    for number, like in enumerate(made_up()[0][:60]):
        right = {name: values + rng.normal(0, 0.02, len(values)) < 0.99 for name, values in hard.items()}
        one = dataclasses.replace(
            like, model=f"network{number:03d}.mnist", dataset="mnist",
            dataset_fingerprint=data.DATASETS["mnist"].fingerprints["test"], weights="",
        )  # fmt: skip
        made.append(one)
        answers["mnist", one.model] = hands.Answers(right.pop("mnist"), right)

    def board() -> object:
        rows = table.frame(made, lambda result: answers["mnist", result.model].right, writers=writers.of)
        return hands.fill(rows, made, answers)

    return board


def write(made: list[results.Result], frame, folder: Path) -> None:
    """Write the records and the kept frame as the Space finds them."""
    for result in made:
        path = results.path_of(result.model, result.dataset, folder)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(result)), encoding="utf-8")
    snapshot.keep(snapshot.Board(frame, []), folder)


def in_browser(records: Path) -> tuple[list[float], list[float]]:
    """Return seconds until the table stands there in a fresh browser, and until it is sorted after a click."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)))
    seen, sorted_in = [], []
    with space(records) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(5):
            visitor = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            started = time.perf_counter()
            visitor.goto(url)
            visitor.wait_for_selector("#board-table tbody tr:nth-child(50)")
            seen.append(time.perf_counter() - started)
            started = time.perf_counter()
            visitor.locator('#board-table th[data-column="parameters"] button').click()
            visitor.wait_for_selector('#board-table th[data-column="parameters"][aria-sort]')
            sorted_in.append(time.perf_counter() - started)
            visitor.context.close()
        browser.close()
    return seen, sorted_in


@contextmanager
def space(records: Path) -> Iterator[str]:
    """Start the Space over made-up records; yield the address of its board."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "ZOO_RECORDS": str(records)}
    process = subprocess.Popen([sys.executable, cli.ROOT / "spaces_app.py"], env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60):
                    break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None:
                    raise RuntimeError(f"spaces_app.py ended with status {process.returncode}") from None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/?tab=leaderboard"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    cli.run(main)
