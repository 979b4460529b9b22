"""Keras, imported on first use and on the backend that is there: the one place where a backend is chosen.

`from zoo.backend import keras` costs nothing until an attribute is read, so that listing, cards and serving never pay
for a framework (importing TensorFlow takes 4 to 8 s and 870 MB).
"""

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import ZooError

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}  # Keras' name -> the package that it needs


class _LazyKeras:
    """The `keras` module, imported when the first attribute is read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_keras(), name)


def import_keras() -> ModuleType:
    """Return the `keras` module on the backend that `KERAS_BACKEND` names, else on the first one installed."""
    if "KERAS_BACKEND" not in os.environ:
        installed = [name for name, package in BACKENDS.items() if importlib.util.find_spec(package)]
        os.environ["KERAS_BACKEND"] = installed[0] if installed else "tensorflow"
    # A program that this one starts inherits the level, and is as quiet.
    if "keras" in sys.modules or os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3":
        return importlib.import_module("keras")
    with _silenced():
        return importlib.import_module("keras")


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Discard what is written to standard error by C++: TensorFlow reports a missing GPU there, whatever its level."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def make_deterministic() -> None:
    """Make training bit-reproducible on this machine, at some cost in speed (TensorFlow; JAX on a CPU already is)."""
    backend = import_keras().backend.backend()
    if backend == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


def litert_int8() -> list[Any]:
    """Return the converter's setting that means int8; ZooError on another backend than TensorFlow."""
    if import_keras().backend.backend() != "tensorflow":
        raise ZooError("int8 for LiteRT is written by TensorFlow: set KERAS_BACKEND=tensorflow.")
    import tensorflow

    return [tensorflow.lite.Optimize.DEFAULT]


def batches(images: np.ndarray, targets: np.ndarray, size: int) -> dict[str, Any]:
    """Return what `fit` and `evaluate` take, in the given order.

    For JAX all of it is put on the device at once, and batches are slices there: a small network would wait for each of
    them to come from the host. Where several devices share a batch, it is Keras that gives each its part.

    For TensorFlow it is a pipeline that does not tune itself. The tuner that Keras switches on for plain arrays sleeps
    for ever longer and holds up the end of every epoch until it wakes: epochs took up to twice their time.
    """
    keras = import_keras()
    if keras.backend.backend() != "tensorflow":
        if keras.backend.backend() == "jax" and keras.distribution.distribution() is None:
            import jax

            images, targets = jax.device_put((images, targets))
        return {"x": images, "y": targets, "batch_size": size}
    import tensorflow

    options = tensorflow.data.Options()
    options.autotune.enabled = False
    return {"x": tensorflow.data.Dataset.from_tensor_slices((images, targets)).batch(size).with_options(options)}


@contextlib.contextmanager
def fused_batch_normalization() -> Iterator[None]:
    """Let BatchNorm train in one pass over its input where that is faster: TensorFlow on a CPU.

    Keras composes it of some ten operations, which take more time than the convolutions between them; TensorFlow's
    fused one makes ResCo-Mini train 1.3 times as fast, and 1.9 times in bfloat16. Channels should fill vectors of
    eight, else it is slower.
    """
    keras = import_keras()
    if keras.backend.backend() != "tensorflow" or "CPU" not in devices()[0].upper():
        yield
        return
    import tensorflow

    layer = keras.layers.BatchNormalization
    composed = layer.call

    def call(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        shape = inputs.shape
        fits = len(shape) == 4 and self.axis in (-1, 3) and shape[-1] % 8 == 0 and mask is None
        plain = self.gamma is not None and self.beta is not None and self.compute_dtype in ("float32", "bfloat16")
        if not (training and self.trainable and fits and plain and not self.synchronized):
            return composed(self, inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tensorflow.raw_ops.FusedBatchNormV3(  # statistics are float32 in either precision
            x=inputs, scale=tensorflow.cast(self.gamma, "float32"), offset=tensorflow.cast(self.beta, "float32"),
            mean=(), variance=(), epsilon=self.epsilon, is_training=True,
        )  # fmt: skip
        count = tensorflow.cast(tensorflow.size(inputs) // shape[-1], variance.dtype)
        variance *= (count - 1) / count  # Keras keeps the biased one
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return outputs

    layer.call = call
    try:
        yield
    finally:
        layer.call = composed


def over_seeds(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a compiled program that takes many seeds through many steps at once, for JAX alone.

    Args:
        step: (state, shared, own, batch, with_slopes) -> (state, sums) of one seed, where the state is a list of arrays
            and `with_slopes` is `jax.value_and_grad` of a function with something else to return.

    Returns:
        (state, shared, own, batches) -> the state after them, and the sums (..., seeds) over all batches. `shared` is
        the same for all seeds; the others have a leading axis of seeds, and then the batches one of steps. The given
        state is used up.
    """
    import jax

    with_slopes = functools.partial(jax.value_and_grad, has_aux=True)

    def steps(state: Any, shared: Any, own: Any, batches: Any) -> tuple[Any, Any]:
        state, sums = jax.lax.scan(lambda state, batch: step(state, shared, own, batch, with_slopes), state, batches)
        return state, sums.sum(axis=0)

    across = jax.vmap(steps, in_axes=(0, None, 0, 0), out_axes=(0, 1))
    compiled: Callable[..., Any] = jax.jit(across, donate_argnums=0)
    return compiled


def on_device(arrays: Any) -> Any:
    """Return arrays, in whatever they are kept, as they are on JAX's device; they stay there."""
    import jax

    return jax.device_put(arrays)


def devices() -> list[str]:
    """Return the devices that Keras computes on, accelerators first."""
    if import_keras().backend.backend() == "torch":  # of which Keras lists none
        import torch

        accelerator = torch.accelerator.current_accelerator()
        count = torch.accelerator.device_count()
        return [f"{accelerator.type}:{number}" for number in range(count)] if accelerator else ["cpu:0"]
    return sorted(import_keras().distribution.list_devices(), key=lambda name: "cpu" in name.lower())


@contextlib.contextmanager
def shared_among(count: int | None) -> Iterator[None]:
    """Let networks that are built and trained meanwhile share every batch among the first `count` devices.

    Each device holds all weights and takes its part of a batch: `keras.distribution` on JAX, `tf.distribute` on
    TensorFlow. ZooError where there are fewer devices, or on another backend.
    """
    if count in (None, 1):
        yield
        return
    name, found = import_keras().backend.backend(), devices()
    accelerators = [device for device in found if "cpu" not in device.lower()] or found
    if len(accelerators) < count:
        raise ZooError(f"The recipe is for {count} devices and there are {len(accelerators)}: {', '.join(found)}.")
    if name == "jax":
        distribution = import_keras().distribution
        before = distribution.distribution()
        distribution.set_distribution(distribution.DataParallel(devices=accelerators[:count]))
        try:
            yield
        finally:
            distribution.set_distribution(before)
    elif name == "tensorflow":
        import tensorflow

        with tensorflow.distribute.MirroredStrategy(accelerators[:count]).scope():
            yield
    else:
        raise ZooError(f"Several devices for one network need KERAS_BACKEND=jax or tensorflow, not {name}.")


if TYPE_CHECKING:
    import keras as keras  # for other modules
else:
    keras = _LazyKeras()
