"""Measure a training step with BatchNorm composed by Keras and in one pass, in turns in one run: TensorFlow on a CPU.

python scripts/bench_training.py resco_mini glyphnet_10k hdr_cnn
"""

import argparse
import contextlib
import statistics
import time

import cli
import numpy as np

import zoo
from zoo.backend import batches, fused_batch_normalization, keras

BATCH, STEPS, TURNS = 128, 30, 3  # images, steps a turn, turns of either


def main() -> int:
    """Print milliseconds a step of either, medians over the turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="architectures, built for 28 x 28 pixels and ten classes")
    for network in parser.parse_args().networks:
        turns: dict = {contextlib.nullcontext: [], fused_batch_normalization: []}
        for _ in range(TURNS):
            for mode, found in turns.items():
                with mode():
                    found.append(milliseconds_a_step(network))
        composed, fused = (statistics.median(found) for found in turns.values())
        print(f"{network}: composed {composed:.1f} ms a step, in one pass {fused:.1f} ms, {composed / fused:.2f} times")
    return 0


def milliseconds_a_step(network: str) -> float:
    """Build and compile a network, and time its steps after the first few."""
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
