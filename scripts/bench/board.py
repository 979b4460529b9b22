"""Measure the board with 10,000 made-up rows over 20 datasets: the frame, a filter and a sort, the page in a browser.

And with 60 rows whose writers are known: intervals and ranks by writer, and all that is about other hands.

    python -m scripts.bench.board

Times are medians. Exit status 1 if a target is missed. CHROMIUM names the browser, where it is not on the path.
"""

import dataclasses
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from leaderboard import hands, metrics, results, snapshot, table, writers
from leaderboard.tabs import table_html as page
from scripts import cli
from scripts.bench import in_browser, measurements
from scripts.bench.measurements import Measurement, Table
from scripts.bench.space import serve
from scripts.bench.speed import timed
from zoo import data

NETWORKS, DATASETS, SAMPLES, SEEDS = 500, 20, 10_000, 3
QUERIES = (
    table.Query(),
    table.Query(dataset="data07", search="network1", sort="latency"),
    table.Query(sort="accuracy", descending=True),
    table.Query(search="3 zoo", statuses=(table.STALE, table.VERIFIED), parameters=(1e5, 1e6), sort="parameters"),
    table.Query(dataset="data19", sort="negative_log_likelihood"),
    table.Query(recipes=("zoo",), sort="model", descending=True),
)


def main() -> int:
    """Measure; 1 if a target is missed."""
    arguments = measurements.parser(__doc__).parse_args()
    made, right = made_up()
    frames = [timed(lambda: table.frame(made, right.get_row)) for _ in range(5)]
    frame = table.frame(made, right.get_row)
    asked = [max(timed(partial(page.render, frame, query)) for query in QUERIES) for _ in range(9)]
    fronts = [timed(lambda: page.front(frame, "data07", "latency")) for _ in range(9)]
    with tempfile.TemporaryDirectory() as folder:
        write(made, frame, Path(folder))
        loads = [timed(lambda: snapshot.load(Path(folder))) for _ in range(5)]
        seen, sorted_in = on_page(Path(folder))
    clustered = [timed(of_writers()) for _ in range(3)]
    cells = [
        Measurement(what, factor * statistics.median(times), unit, most=most, n=len(times))
        for what, times, factor, unit, most in (
            ("frame of 10,000 results, with ranks and tests", frames, 1, "s", 0.5),
            ("60 rows of mnist: intervals and ranks by writer, other hands", clustered, 1, "s", 60),
            ("the kept frame, read", loads, 1, "s", 0.5),
            ("filter, sort and write HTML, slowest of six", asked, 1000, "ms", 100),
            ("Pareto front of 500 rows", fronts, 1000, "ms", 100),
            ("page usable in the browser", seen, 1, "s", 2),
            ("sorted after a click in the browser", sorted_in, 1, "s", 1),
        )
    ]
    return measurements.conclude("board", arguments, [Table("a board of 10,000 rows, medians", cells)])


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


def on_page(records: Path) -> tuple[list[float], list[float]]:
    """Return seconds until the table stands there in a fresh browser, and until it is sorted after a click."""
    seen, sorted_in = [], []
    with (
        tempfile.TemporaryDirectory() as scratch,
        serve(Path(scratch), ZOO_RECORDS=str(records)) as (url, _),
        in_browser.running() as browser,
    ):
        for _ in range(5):
            visitor = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            visitor.set_default_timeout(120_000)  # ms, for a busy machine
            started = time.perf_counter()
            visitor.goto(f"{url}/?tab=leaderboard")
            visitor.wait_for_selector("#board-table tbody tr:nth-child(50)")
            seen.append(time.perf_counter() - started)
            started = time.perf_counter()
            visitor.locator('#board-table th[data-column="parameters"] button').click()
            visitor.wait_for_selector('#board-table th[data-column="parameters"][aria-sort]')
            sorted_in.append(time.perf_counter() - started)
            visitor.context.close()
    return seen, sorted_in


if __name__ == "__main__":
    cli.run(main)
