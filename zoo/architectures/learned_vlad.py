"""Writer identification by learned descriptors, alone and together with RootSIFT."""

import math
from typing import Any

import numpy as np

from zoo.architectures import _vlad
from zoo.architectures.rootsift_vlad import root
from zoo.backend import batches, keras
from zoo.registry import register
from zoo.trainers import ClosedForm
from zoo.types import Shape

DESCRIPTOR = 64  # numbers that the network makes of a window
WINDOWS = 100_000  # that it learns from, drawn from all strips
EPOCHS = 4
BATCH = 256  # windows
RATE = 3e-3  # highest learning rate of Adam; falls to zero along half a cosine
SCALE = 16.0  # of the cosines that it learns to classify by (Wang et al., 2017, "NormFace")


def fit(model: "keras.Model", images: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """Let the network of windows learn whose strokes it sees, then compute the codebooks.

    Args:
        model: `learned_vlad` or `fused_vlad`.
        images: uint8 (N, rows, columns, 1), the descriptors and windows of each strip.
        labels: int (N,), its writer.
        seed: of the windows that are drawn, their order and the codebooks.
    """
    rng = np.random.default_rng(seed)
    windows = _parts(images[..., 0])[1]
    strips, rows = np.nonzero(windows.any(axis=-1))
    drawn = rng.permutation(len(strips))[:WINDOWS]
    windows, writers = windows[strips[drawn], rows[drawn]], labels[strips[drawn]]
    describe = model.get_layer("descriptors")
    x = keras.layers.Rescaling(SCALE)(describe.output)
    head = keras.Model(describe.input, keras.layers.Dense(int(labels.max()) + 1)(x))
    steps = EPOCHS * -(-len(windows) // BATCH)
    head.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    for _ in range(EPOCHS):
        order = rng.permutation(len(windows))
        head.fit(**batches(windows[order].astype(np.float32), writers[order], BATCH), shuffle=False, verbose=0)
    _vlad.fit(model, images, labels, seed)


def descriptors(side: int) -> "keras.Model":
    """Return the network of windows: (N, side * side), ink as 0 to 255 -> (N, `DESCRIPTOR`), of length one."""
    layers = keras.layers
    inputs = keras.Input((side * side,))
    x = layers.Reshape((side, side, 1))(layers.Rescaling(1 / 255)(inputs))
    for filters, kernel in ((16, 5), (32, 3), (64, 3)):
        x = layers.Conv2D(filters, kernel, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
    outputs = layers.UnitNormalization()(layers.Dense(DESCRIPTOR)(layers.Flatten()(x)))
    return keras.Model(inputs, outputs, name="descriptors")


def _parts(rows: Any) -> tuple[Any, Any]:
    """Return the SIFT descriptors and the windows of rows, (N, rows, columns): the last square number of columns.

    The rows may be an array or a Keras tensor.
    """
    from zoo.pages.keypoints import (
        DESCRIPTOR as SIFT,  # here, for it imports OpenCV, and listing architectures is light
    )

    pixels = math.isqrt(max(rows.shape[-1] - SIFT, 1)) ** 2
    return rows[..., :-pixels], rows[..., -pixels:]


def _register(name: str, title: str, with_sift: bool) -> None:
    def build(input_shape: Shape, num_classes: int) -> "keras.Model":
        ops = keras.ops
        inputs = keras.Input(input_shape, dtype="uint8")
        x = keras.layers.Rescaling(1.0)(inputs)
        x = keras.layers.Reshape((input_shape[0], input_shape[1] * input_shape[2]))(x)
        sift, windows = _parts(x)
        pixels = windows.shape[-1]
        found = descriptors(math.isqrt(pixels))(ops.reshape(windows, (-1, pixels)))
        found = ops.reshape(found, (-1, input_shape[0], DESCRIPTOR))
        learned = found * ops.cast(ops.sum(windows, axis=-1, keepdims=True) > 0, "float32")
        kinds = [root(sift), learned] if with_sift else [learned]
        rows = [kind for kind in kinds for _ in range(_vlad.BOOKS)]
        similarities = [_vlad.similarities(kind, book, num_classes) for book, kind in enumerate(rows)]
        outputs = keras.layers.Softmax()(keras.layers.Add()(similarities))
        return keras.Model(inputs, outputs, name=name)

    build.__name__ = name
    build.__doc__ = f"{title}\n{NOTES}"
    register(
        datasets=("pages70",),
        minimum_size=_vlad.NEAREST,
        view="keypoints_and_windows",
        trainer=ClosedForm(fit),
    )(build)


NOTES = """
The window that SIFT describes, 24 x 24 pixels of ink, goes through three convolutions and a dense layer, which learn to
tell the writer from one window alone (after Christlein et al., 2017, whose targets are clusters instead of writers).
The result replaces SIFT's descriptor or is used together with it: three codebooks of each kind, their similarities
added.

With one seed, both kinds together classify all held-out lines of the training pages correctly, as RootSIFT alone does,
and are not more confident. The learned descriptors alone and more seeds were not tried.
"""

_register(
    "learned_vlad", "Learned descriptors and VLAD (after Christlein et al., 2017): writers by their strokes.", False
)
_register("fused_vlad", "RootSIFT and learned descriptors together, by VLAD: writers by their strokes.", True)
