"""Measure training on whatever device is there, on made-up images.

    KERAS_BACKEND=jax python -m scripts.bench.training --pairs alexnet.ahdd-paper,glyphnet_300k.mnist --seeds 1,8
    python -m scripts.bench.training resco_mini glyphnet_10k hdr_cnn

The first prints images a second, with their augmentation: batch by batch, and as one program for all steps and seeds
(JAX). The second compares Keras' composed BatchNorm with the fused one, in both precisions, interleaved in one run:
TensorFlow on a CPU.
"""

import contextlib
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

import zoo
from leaderboard import products
from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from zoo import data, registry, training
from zoo.backend import batches, devices, fused_batch_normalization, keras
from zoo.export import onnx_writer
from zoo.training import many_seeds, samples
from zoo.training.job import input_shape
from zoo.training.loop import Loop

PRECISIONS = "float32", "mixed_bfloat16"
BATCH, STEPS, TURNS = 128, 30, 3  # images, steps a turn, turns of either


def main() -> int:
    """Measure; all are medians over the turns."""
    parser = measurements.parser(__doc__)
    parser.add_argument("networks", nargs="*", help="architectures, built for 28 x 28 pixels and ten classes")
    parser.add_argument("--pairs", default="", help="models, comma-separated: measure images a second")
    parser.add_argument("--seeds", default="1", help="how many in one program, comma-separated (%(default)s)")
    parser.add_argument("--images", type=int, default=10_000, help="of an epoch (%(default)s)")
    arguments = parser.parse_args()
    seeds, pairs = [int(count) for count in arguments.seeds.split(",")], filter(None, arguments.pairs.split(","))
    rates = [cell for pair in pairs for cell in images_a_second(pair, seeds, arguments.images)]
    steps = [cell for network in arguments.networks for cell in normalizations(network)]
    heads = f"{devices()[0]}, medians", f"{devices()[0]}, batches of {BATCH}, medians of {TURNS} turns of {STEPS} steps"
    found = [Table(head, cells) for head, cells in zip(heads, (rates, steps), strict=True) if cells]
    return measurements.conclude("training", arguments, found)


def images_a_second(pair: str, seeds: list[int], images: int) -> Iterator[Measurement]:
    """Yield images a second of one model: of each way to train it, the median of epochs after the first."""
    name = registry.ModelName.parse(pair)
    job = training.plan(name.architecture, name.dataset, name.recipe)
    job = replace(job, recipe=replace(job.recipe, no_augmentation=0.0))
    ways = {}
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor() as pool:
        place = Path(scratch)
        onnx_writer.write(training.build(job, "float32"), place / "model.onnx")
        cost = 6 * products.count(place / "model.onnx")  # two operations a product, forward once, back twice
        loop = loop_of(job, images, place)
        ways["batch by batch"] = 1, [epoch_seconds(loop, loop._epoch) for _ in range(TURNS + 1)]
        for count in seeds if keras.backend.backend() == "jax" else ():
            loops = [loop_of(replace(job, seed=seed), images, place / f"{count}-{seed}") for seed in range(count)]
            epoch = functools.partial(many_seeds.Fused(loops, pool).epoch, loops)
            ways[f"one program, {count} seeds"] = count, [epoch_seconds(loops[0], epoch) for _ in range(TURNS + 1)]
    for way, (count, spent) in ways.items():
        rate = count * loop.samples.count / statistics.median(spent[1:])
        what = f"`{pair}`, {job.recipe.precision}, {way}"
        yield Measurement(what, rate, "/s", n=TURNS, column="images")
        yield Measurement(what, rate * cost / 1e12, "TFLOP/s", column="arithmetic")
        yield Measurement(what, spent[0], "s", column="first epoch")


def loop_of(job: training.Job, images: int, folder: Path) -> Loop:
    """Return the training loop of a job over random images; it scores 100 of them after every epoch."""
    spec, rng = data.get(job.dataset), np.random.default_rng(job.seed)
    labels = rng.integers(0, len(spec.labels), images)
    shape = input_shape(job.architecture, spec)
    made = data.Split(rng.integers(0, 256, (images, *shape), np.uint8), labels, None, "made-up")
    watched = made.take(np.arange(images) < 100)
    outliers = round(job.recipe.outliers * images)
    seen = samples.Glyphs(made, watched, samples.one_hot(labels, len(spec.labels)), outliers)
    return Loop(job, lambda: training.build(job), folder, seen, lambda share: None)


def epoch_seconds(loop: Loop, epoch) -> float:
    """Return the seconds of an epoch."""
    epoch()
    return loop.memory.epochs[-1]["seconds"]


def normalizations(network: str) -> Iterator[Measurement]:
    """Yield milliseconds a step of each BatchNorm and precision."""
    modes = itertools.product(PRECISIONS, (contextlib.nullcontext, fused_batch_normalization))
    turns: dict = {mode: [] for mode in modes}
    for _ in range(TURNS):
        for (precision, normalization), found in turns.items():
            with normalization():
                found.append(milliseconds_a_step(network, precision))
    medians = [statistics.median(found) for found in turns.values()]
    for precision, composed, fused in zip(PRECISIONS, medians[::2], medians[1::2], strict=True):
        what = f"`{network}`, {precision}"
        yield Measurement(what, composed, "ms", n=TURNS, column="step, BatchNorm of Keras")
        yield Measurement(what, fused, "ms", column="in one pass")
        yield Measurement(what, composed / fused, "times", column="as fast")


def milliseconds_a_step(network: str, precision: str) -> float:
    """Build and compile a network, and time its steps after the first few."""
    keras.config.set_dtype_policy(precision)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * STEPS, 28, 28, 1), np.uint8)
    targets = np.eye(10, dtype=np.float32)[rng.integers(0, 10, len(images))]
    model = zoo.create_model(network)
    model.compile(keras.optimizers.Adam(1e-3, use_ema=True), "categorical_crossentropy", jit_compile=False)
    model.fit(**batches(images[: 2 * BATCH], targets[: 2 * BATCH], BATCH), verbose=0)
    started = time.perf_counter()
    model.fit(**batches(images, targets, BATCH), verbose=0)
    return 1000 * (time.perf_counter() - started) / STEPS


if __name__ == "__main__":
    cli.run(main)
