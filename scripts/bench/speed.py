"""Measure the figures of docs/speed.md and Keras `predict` in the same run.

    python -m scripts.bench.speed                     every row
    python -m scripts.bench.speed --model lenet5.ahdd  with another model

Times are medians; every fresh process includes the start of Python. The exit status is 1 if a target is missed.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

import zoo
from scripts import cli
from zoo import data
from zoo.data import loading
from zoo.environment import processor


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, its target, and the time of Keras for the same."""

    what: str
    unit: str
    measured: float
    bar: float
    runs: int
    keras: float | None = None
    least_ratio: float | None = None  # how many times faster than Keras it should be

    @property
    def ratio(self) -> float | None:
        """Keras' time over ours."""
        return None if self.keras is None else self.keras / self.measured

    @property
    def met(self) -> bool:
        """Whether both targets are met."""
        return self.measured <= self.bar and (self.least_ratio is None or (self.ratio or 0) >= self.least_ratio)


def main() -> int:
    """Print the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lenet5.mnist", help="which shipped model is served (default: lenet5.mnist)")
    model = parser.parse_args().model
    zoo.load_predictor(model)  # report an unknown name before measuring
    rows = [*start(model), one_image(model), *space(), *dataset()]
    print_table(rows, model)
    return 0 if all(row.met for row in rows) else 1


def start(model: str) -> list[Row]:
    """Fresh processes: importing the package, and from nothing to a first prediction."""
    ours = f"import numpy, zoo; zoo.load_predictor({model!r})(numpy.zeros((1, 28, 28, 1), 'uint8'))"
    keras = f"import numpy, zoo; zoo.load_model({model!r}).predict(numpy.zeros((1, 28, 28, 1), 'uint8'), verbose=0)"
    imported, predicted, predicted_by_keras = (
        statistics.median(timed(partial(python, code)) for _ in range(runs))
        for code, runs in (("import zoo", 9), (ours, 9), (keras, 3))
    )
    return [
        Row("import zoo, fresh process", "s", imported, 0.2, 9),
        Row("first prediction, fresh process", "s", predicted, 0.6, 9, predicted_by_keras, 10),
    ]


def one_image(model: str) -> Row:
    """One image at a time, loaded and warm."""
    image = np.zeros((1, 28, 28, 1), np.uint8)
    predictor, keras_model = zoo.load_predictor(model), zoo.load_model(model)
    ours = [timed(lambda: predictor(image)) for _ in range(2000)]
    keras = [timed(lambda: keras_model.predict(image, verbose=0)) for _ in range(60)]
    milliseconds = (1000 * statistics.median(times) for times in (ours[100:], keras[10:]))
    measured, by_keras = milliseconds
    return Row("one image, p50", "ms", measured, 1.0, 1900, by_keras, 100)


def space() -> list[Row]:
    """The Space from its start to its first page, and the memory that it then holds."""
    seconds, megabytes = zip(*(start_space() for _ in range(3)), strict=True)
    return [
        Row("Space, start to first page", "s", statistics.median(seconds), 6.0, 3),
        Row("Space, resident memory", "MB", statistics.median(megabytes), 500.0, 3),
    ]


def dataset() -> list[Row]:
    """From the datasets' cache to arrays, where `ZOO_DATASETS` has the images."""
    if "ZOO_DATASETS" not in os.environ:
        return []

    def load() -> None:
        loading._load_source.cache_clear()
        data.load("mnist", "train+validation")

    load()  # the first time, `datasets` writes its cache
    return [Row("60,000 mnist images to arrays", "s", statistics.median(timed(load) for _ in range(5)), 1.0, 5)]


def start_space() -> tuple[float, float]:
    """Start the Space on a free port; return seconds to its first page and resident megabytes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, cli.ROOT / "spaces_app.py"], env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
                    page.read()
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None:
                    raise RuntimeError(f"spaces_app.py ended with status {process.returncode}") from None
                time.sleep(0.02)
        seconds = time.perf_counter() - started
        time.sleep(3)  # what it loads behind the first page counts as well
        return seconds, psutil.Process(process.pid).memory_info().rss / 1e6
    finally:
        process.terminate()
        process.wait()


def python(code: str) -> None:
    """Run code in a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(cli.ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stderr=subprocess.DEVNULL)


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def print_table(rows: list[Row], model: str) -> None:
    """Print the rows, the bars and the ratios."""
    table = Table(title=f"{model} on {processor()}; medians")
    for title in ("what", "measured", "bar", "Keras", "times faster", "bar", "n", ""):
        table.add_column(title, justify="left" if title == "what" else "right")
    for row in rows:
        table.add_row(
            row.what,
            f"{row.measured:.3g} {row.unit}",
            f"<= {row.bar:g} {row.unit}",
            "" if row.keras is None else f"{row.keras:.3g} {row.unit}",
            "" if row.ratio is None else f"{row.ratio:.0f}",
            "" if row.least_ratio is None else f">= {row.least_ratio:g}",
            str(row.runs),
            "met" if row.met else "MISSED",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    cli.run(main)
