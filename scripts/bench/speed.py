"""Measure how soon and how fast the package and the Space answer, and Keras `predict` in the same run.

    python -m scripts.bench.speed                     every row
    python -m scripts.bench.speed --model lenet5.ahdd  with another model

Times are medians; every fresh process includes the start of Python. The exit status is 1 if a target is missed.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import zoo
from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from scripts.bench.space import serve
from zoo import data
from zoo.data import loading


def main() -> int:
    """Measure; 1 if a target is missed."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--model", default="lenet5.mnist", help="which shipped model is served (default: lenet5.mnist)")
    arguments = parser.parse_args()
    model = arguments.model
    zoo.load_predictor(model)  # report an unknown name before measuring
    rows = [*start(model), *one_image(model), *space(), *dataset()]
    return measurements.conclude("speed", arguments, [Table(f"`{model}`, medians", rows)])


def start(model: str) -> Iterator[Measurement]:
    """Fresh processes: importing the package, and from nothing to a first prediction."""
    ours = f"import numpy, zoo; zoo.load_predictor({model!r})(numpy.zeros((1, 28, 28, 1), 'uint8'))"
    keras = f"import numpy, zoo; zoo.load_model({model!r}).predict(numpy.zeros((1, 28, 28, 1), 'uint8'), verbose=0)"
    imported, predicted, predicted_by_keras = (
        [timed(partial(python, code)) for _ in range(runs)] for code, runs in (("import zoo", 9), (ours, 9), (keras, 3))
    )
    yield Measurement("`import zoo`, fresh process", statistics.median(imported), "s", most=0.2, n=9)
    yield from compared("first prediction, fresh process", predicted, predicted_by_keras, "s", 0.6, 10)


def one_image(model: str) -> Iterator[Measurement]:
    """One image at a time, loaded and warm."""
    image = np.zeros((1, 28, 28, 1), np.uint8)
    predictor, keras_model = zoo.load_predictor(model), zoo.load_model(model)
    ours = [1000 * timed(lambda: predictor(image)) for _ in range(2000)][100:]
    keras = [1000 * timed(lambda: keras_model.predict(image, verbose=0)) for _ in range(60)][10:]
    yield from compared("one image", ours, keras, "ms", 1.0, 100)


def compared(
    what: str, ours: list[float], keras: list[float], unit: str, most: float, least: float
) -> Iterator[Measurement]:
    """Yield our time and that of Keras, and how many times faster ours is: at least `least`."""
    measured, by_keras = statistics.median(ours), statistics.median(keras)
    yield Measurement(what, measured, unit, most=most, n=len(ours))
    yield Measurement(what, by_keras, unit, n=len(keras), column="Keras `predict`")
    yield Measurement(what, by_keras / measured, "times", least=least, column="as fast")


def space() -> Iterator[Measurement]:
    """The Space from its start to its first page, and the memory that it then holds."""
    seconds, megabytes = zip(*(start_space() for _ in range(3)), strict=True)
    yield Measurement("Space, start to first page", statistics.median(seconds), "s", most=6, n=3)
    yield Measurement("Space, resident memory", statistics.median(megabytes), "MB", most=500, n=3)


def dataset() -> Iterator[Measurement]:
    """From the datasets' cache to arrays, where `ZOO_DATASETS` has the images."""
    if "ZOO_DATASETS" not in os.environ:
        return

    def load() -> None:
        loading._load_source.cache_clear()
        data.load("mnist", "train+validation")

    load()  # the first time, `datasets` writes its cache
    times = [timed(load) for _ in range(5)]
    yield Measurement("60,000 mnist images to arrays", statistics.median(times), "s", most=1, n=5)


def start_space() -> tuple[float, float]:
    """Start the Space; return seconds to its first page and resident megabytes."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, serve(Path(scratch)) as (_, process):
        seconds = time.perf_counter() - started
        time.sleep(3)  # what it loads behind the first page counts as well
        return seconds, process.memory_info().rss / 1e6


def python(code: str) -> None:
    """Run code in a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(cli.ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stderr=subprocess.DEVNULL)


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    cli.run(main)
