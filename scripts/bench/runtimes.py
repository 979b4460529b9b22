"""Compare the runtimes that can serve the shipped networks, float and int8, and Keras `predict`, in one run.

    python -m scripts.bench.runtimes                              two networks (needs their datasets)
    python -m scripts.bench.runtimes --models lenet5.mnist --rounds 3

Runtimes are interleaved in every round, so that load affects all equally.
The exit status is 1 if a target is missed.
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
from scripts.bench.speed import timed
from zoo import data, hub
from zoo.export import formats
from zoo.serving.predictor import BATCH, Predictor

MODELS = ("glyphnet_100k.mnist", "resco_mini.ahdd")
SINGLE = 100  # images one at a time, a round
KERAS_SINGLE = 5
FIRST = 3  # fresh processes

# Served by default (ONNX Runtime, float), on two cores. ms an image; images a second, which the seed documents measured
# on a P100.
ONE_IMAGE = {"lenet5": 0.1, "hdr_cnn": 0.1, "resco_mini": 0.3}
PER_SECOND = {"lenet5": 12_000, "resco_mini": 8_500}
FIRST_PREDICTION = 0.3  # seconds, fresh process
OVER_KERAS = 5  # times, batches
INT8_LOSS = 0.05  # points of accuracy

# A fresh process reports its first prediction, and its memory after a batch in MB.
CHILD = """
import pathlib, sys, numpy, zoo, psutil
from zoo.serving.predictor import Predictor
one = numpy.zeros((1, *{shape}), "uint8")
predict = {load}
predict(one)
print("first", flush=True)
predict(one.repeat(256, axis=0))
print(psutil.Process().memory_info().rss / 1e6)
"""


def main() -> int:
    """Measure; 1 if a target is missed."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    arguments = parser.parse_args()
    compared = ((model, compare(model, arguments.rounds)) for model in arguments.models)
    tables = (Table(f"`{model}`, medians", list(cells(model, rows))) for model, rows in compared)
    return measurements.conclude("runtimes", arguments, tables)


def compare(model: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return, by runtime, {"first", "megabytes", "p50", "p99", "per_second", "accuracy"} of one network."""
    folder = hub.resolve(model)
    with tempfile.TemporaryDirectory() as scratch:
        files = {"ONNX Runtime": (folder, None), "OpenVINO": (folder, "openvino")}
        for title, form, int8 in (
            ("ONNX Runtime int8", "onnx", True),
            ("OpenVINO int8", "openvino", True),
            ("LiteRT", "litert", False),
            ("LiteRT int8", "litert", True),
        ):
            target = Path(scratch) / f"model{'8' * int8}{formats.FORMATS[form].suffix}"
            formats.convert(folder, target, form, int8)
            files[title] = (target, None)
        predictors = {title: Predictor.load(*where, here=True) for title, where in files.items()}
        served = next(iter(predictors.values()))
        keras_model = zoo.load_model(model)
        calls: dict[str, Callable] = {
            "Keras predict": lambda images: keras_model.predict(images, verbose=0, batch_size=BATCH),
            **predictors,
        }
        test = data.load(served.dataset, "test")
        rows = {}
        for title, call in calls.items():
            code = f"(lambda m: lambda x: m.predict(x, verbose=0))(zoo.load_model({model!r}))"
            if title in files:
                file, runtime = files[title]
                code = f"Predictor.load(pathlib.Path({str(file)!r}), {runtime!r}, here=True)"
            starts = [fresh(code, served.input_shape) for _ in range(FIRST)]
            right = sum(
                (call(test.images[i : i + BATCH]).argmax(axis=1) == test.labels[i : i + BATCH]).sum()
                for i in range(0, len(test), BATCH)
            )
            first, megabytes = map(statistics.median, zip(*starts, strict=True))
            rows[title] = {"first": first, "megabytes": megabytes, "accuracy": right / len(test)}
        single: dict[str, list[float]] = {title: [] for title in calls}
        batch: dict[str, list[float]] = {title: [] for title in calls}
        for _ in range(rounds):
            for title, call in calls.items():
                call(test.images[:BATCH])  # warm-up: starts its threads
                count = SINGLE if title in files else KERAS_SINGLE
                call(test.images[:1])
                single[title] += [timed(partial(call, test.images[i : i + 1])) for i in range(count)]
                call(test.images[:BATCH])
                batch[title] += [timed(partial(call, test.images[i * BATCH : (i + 1) * BATCH])) for i in range(3)]
    for title, row in rows.items():
        row["p50"], row["p99"] = (1000 * float(np.percentile(single[title], p)) for p in (50, 99))
        row["per_second"] = BATCH / statistics.median(batch[title])
    return rows


def fresh(load: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return seconds from the start of a process to its first prediction, and resident MB after a batch."""
    environment = {**os.environ, "PYTHONPATH": str(cli.ROOT)}
    started = time.perf_counter()
    code = CHILD.format(shape=shape, load=load)
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    first = time.perf_counter() - started
    megabytes = float(child.stdout.readline())
    child.wait()
    return first, megabytes


def cells(model: str, rows: dict[str, dict[str, float]]) -> Iterator[Measurement]:
    """Yield the figures of a network by runtime; targets are those of the runtime that serves."""
    architecture, served, keras = model.partition(".")[0], "ONNX Runtime", rows["Keras predict"]["per_second"]
    for title, row in rows.items():
        first, one = (FIRST_PREDICTION, ONE_IMAGE.get(architecture)) if title == served else (None, None)
        yield Measurement(title, row["first"], "s", most=first, column="first prediction")
        yield Measurement(title, row["p50"], "ms", most=one, column="one image")
        yield Measurement(title, row["p99"], "ms", column="99% of images")
        yield Measurement(title, row["per_second"], "/s", column="images in batches")
        yield Measurement(title, row["per_second"] / keras, "times", column="over Keras")
        yield Measurement(title, row["megabytes"], "MB", column="memory")
        yield Measurement(title, 100 * row["accuracy"], "%", column="accuracy")
        if title.endswith(" int8"):
            lost = 100 * (rows[title.removesuffix(" int8")]["accuracy"] - row["accuracy"])
            yield Measurement(title, round(lost, 6), "points", most=INT8_LOSS, column="accuracy lost")
    either, fastest = f"{served}, float or int8", max(rows[title]["per_second"] for title in (served, f"{served} int8"))
    yield Measurement(either, fastest, "/s", least=PER_SECOND.get(architecture), column="images in batches")
    yield Measurement(either, fastest / keras, "times", least=OVER_KERAS, column="over Keras")


if __name__ == "__main__":
    cli.run(main)
