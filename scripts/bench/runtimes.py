"""Compare the runtimes that can serve the shipped networks, float and int8, and Keras `predict`, in one run.

    python -m scripts.bench.runtimes                              every shipped network (needs its datasets)
    python -m scripts.bench.runtimes --models lenet5.mnist --rounds 3
    python -m scripts.bench.runtimes --json figures.json          the figures as a file too

Runtimes are interleaved in every round, so that load affects all equally; the load is printed with the results.
The exit status is 1 if a target is missed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import zoo
from scripts import cli
from zoo import data, hub
from zoo.environment import processor
from zoo.export import formats
from zoo.files import write_json
from zoo.serving.predictor import BATCH

SINGLE = 100  # images one at a time, a round
KERAS_SINGLE = 5
FIRST = 3  # fresh processes

# Served by default (ONNX Runtime, float), on two cores. ms an image; images a second, which the seed documents measured
# on a P100.
ONE_IMAGE = {"lenet5": 0.1, "hdr_cnn": 0.1, "resco_mini": 0.3}
PER_SECOND = {"lenet5": 12_000, "resco_mini": 8_500}
FIRST_PREDICTION = 0.3  # seconds, fresh process
OVER_KERAS = 5  # times, batches
INT8_LOSS = 0.0005  # of accuracy

# A fresh process reports its first prediction, and its memory after a batch in MB.
CHILD = """
import sys, numpy, zoo, psutil
one = numpy.zeros((1, *{shape}), "uint8")
predict = {load}
predict(one)
print("first", flush=True)
predict(one.repeat(256, axis=0))
print(psutil.Process().memory_info().rss / 1e6)
"""


def main() -> int:
    """Print a table a network; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(zoo.list_models()), help="default: all that are shipped")
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds (default: 7)")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    arguments = parser.parse_args()
    console, figures, missed = Console(width=120), {}, []
    for model in arguments.models:
        load = os.getloadavg()[0]
        figures[model] = compare(model, arguments.rounds)
        console.print(table(model, figures[model], load))
        missed += [f"{model}: {bar}" for bar in misses(model, figures[model])]
    if arguments.json:
        write_json(arguments.json, figures)
    for bar in missed:
        console.print("MISSED", bar)
    return 1 if missed else 0


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
        predictors = {title: zoo.load_predictor(*where) for title, where in files.items()}
        shape = next(iter(predictors.values())).input_shape
        keras_model = zoo.load_model(model)
        calls: dict[str, Callable] = {
            "Keras predict": lambda images: keras_model.predict(images, verbose=0, batch_size=BATCH),
            **predictors,
        }
        test = data.load(hub_dataset(predictors), "test")
        rows = {}
        for title, call in calls.items():
            code = f"zoo.load_predictor({str(files[title][0])!r}, {files[title][1]!r})" if title in files else (
                f"(lambda m: lambda x: m.predict(x, verbose=0))(zoo.load_model({model!r}))"
            )  # fmt: skip
            starts = [fresh(code, shape) for _ in range(FIRST)]
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
                single[title] += [seconds(call, test.images[i : i + 1]) for i in range(count)]
                call(test.images[:BATCH])
                batch[title] += [seconds(call, test.images[i * BATCH : (i + 1) * BATCH]) for i in range(3)]
    for title, row in rows.items():
        row["p50"], row["p99"] = (1000 * float(np.percentile(single[title], p)) for p in (50, 99))
        row["per_second"] = BATCH / statistics.median(batch[title])
    return rows


def hub_dataset(predictors: dict) -> str:
    """Return the dataset that the predictors were trained on."""
    return next(iter(predictors.values())).dataset


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


def seconds(call, images: np.ndarray) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call(images)
    return time.perf_counter() - started


def misses(model: str, rows: dict[str, dict[str, float]]) -> list[str]:
    """Return the bars that a network misses."""
    architecture, served, keras = model.partition(".")[0], rows["ONNX Runtime"], rows["Keras predict"]
    fastest = max(served["per_second"], rows["ONNX Runtime int8"]["per_second"])
    bars = {
        f"first prediction {served['first']:.2f} s > {FIRST_PREDICTION} s": served["first"] <= FIRST_PREDICTION,
        f"one image {served['p50']:.3f} ms": served["p50"] <= ONE_IMAGE.get(architecture, np.inf),
        f"batches, float or int8, {fastest:,.0f}/s": fastest >= PER_SECOND.get(architecture, 0),
        f"batches, float or int8, {fastest / keras['per_second']:.1f} times Keras": fastest
        >= OVER_KERAS * keras["per_second"],
    }
    for title, row in rows.items():
        float_row = rows.get(title.removesuffix(" int8"), row)
        loss = float_row["accuracy"] - row["accuracy"]
        bars[f"{title} loses {100 * loss:.2f} points"] = loss <= INT8_LOSS + 1e-9
    return [said for said, met in bars.items() if not met]


def table(model: str, rows: dict[str, dict[str, float]], load: float) -> Table:
    """Return the figures of one network as a table; in brackets, times Keras."""
    shown = Table(title=f"{model} on {processor()}, load {load:.1f}; medians")
    for title in ("runtime", "first s", "one image ms", "p99 ms", "images/s", "MB", "accuracy %"):
        shown.add_column(title, justify="left" if title == "runtime" else "right")
    keras = rows["Keras predict"]
    for title, row in rows.items():
        shown.add_row(
            title,
            f"{row['first']:.2f} ({keras['first'] / row['first']:.0f}x)",
            f"{row['p50']:.3f} ({keras['p50'] / row['p50']:.0f}x)",
            f"{row['p99']:.2f}",
            f"{row['per_second']:,.0f} ({row['per_second'] / keras['per_second']:.1f}x)",
            f"{row['megabytes']:.0f}",
            f"{100 * row['accuracy']:.2f}",
        )
    return shown


if __name__ == "__main__":
    cli.run(main)
