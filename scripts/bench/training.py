"""Measure a training step with Keras' composed BatchNorm and the fused one, in both precisions: TensorFlow on a CPU.

The four are interleaved in one run.

python -m scripts.bench.training resco_mini glyphnet_10k hdr_cnn
"""

import argparse
import contextlib
import itertools
import statistics
import time

import numpy as np

import zoo
from scripts import cli
from zoo.backend import batches, fused_batch_normalization, keras

PRECISIONS = "float32", "mixed_bfloat16"
BATCH, STEPS, TURNS = 128, 30, 3  # images, steps a turn, turns of either


def main() -> int:
    """Print milliseconds a step of each, medians over the turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="architectures, built for 28 x 28 pixels and ten classes")
    for network in parser.parse_args().networks:
        modes = itertools.product(PRECISIONS, (contextlib.nullcontext, fused_batch_normalization))
        turns: dict = {mode: [] for mode in modes}
        for _ in range(TURNS):
            for (precision, normalization), found in turns.items():
                with normalization():
                    found.append(milliseconds_a_step(network, precision))
        medians = [statistics.median(found) for found in turns.values()]
        for precision, composed, fused in zip(PRECISIONS, medians[::2], medians[1::2], strict=True):
            gain = f"{composed / fused:.2f} times"
            print(f"{network}, {precision}: composed {composed:.1f} ms a step, in one pass {fused:.1f} ms, {gain}")
    return 0


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
