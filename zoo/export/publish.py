"""A trained Keras model -> a published folder: the same files in a run, in `zoo/pretrained` and in a Hub repo."""

import contextlib
import functools
import io
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from zoo import data, stored_numbers
from zoo.backend import keras
from zoo.export import onnx_writer
from zoo.export.calibration import calibrate
from zoo.export.half_precision import halve, pack_onnx, pack_weights
from zoo.files import read_json, replacing, write_json
from zoo.published import PublishedFolder
from zoo.serving import opening
from zoo.serving.validated import validated
from zoo.training.batch_norm_folding import folded
from zoo.training.job import Run, build, view_of
from zoo.types import Json

REJECTED = 0.01  # share of the validation samples that are rejected as unknown


def export(run: Run, folder: Path) -> Path:
    """Write a run's kept weights as a published folder, whole or not at all.

    It holds the unzipped Keras layout (`config.json`, `metadata.json`, `model.weights.h5`), `model.onnx`,
    `preprocessor_config.json` and `history.json`. BatchNorm is folded into the layers before it, the temperature that
    suits the validation samples into the last layer, and large weights are rounded to half precision and stored in it.
    The same samples choose the confidence below which it abstains.

    Returns:
        `folder`.

    Raises:
        ZooError: a layer that cannot be written as ONNX here, or what was written is no network that ONNX Runtime runs.
    """
    model = build(run.job, "float32")  # whatever it was trained in: the weights are, and every runtime has it
    model.load_weights(run.weights)
    as_trained = model.count_params()
    model = folded(model)
    fitted, accepts = _calibrated(model, run)
    with replacing(folder) as staged:
        keras.saving.save_model(model, staged, zipped=False)
        shutil.rmtree(staged / "assets", ignore_errors=True)  # an empty folder: no layer of the zoo has any
        published = PublishedFolder(staged)
        pack_weights(published.weights)
        export_onnx(model, published.onnx)
        pack_onnx(published.onnx)
        opening.load(published.onnx, here=True)  # a network that cannot be run is not published
        counts = {"parameters": stored_numbers.of_file(published.onnx), "parameters_as_trained": as_trained}
        known = {**read_json(staged / PublishedFolder.METADATA), **facts(run), **counts, **fitted}
        write_json(staged / PublishedFolder.METADATA, known)
        reading = {**preprocessor(run.job.architecture, run.job.dataset), **accepts}
        write_json(staged / PublishedFolder.PREPROCESSOR, reading)
        write_json(staged / PublishedFolder.HISTORY, run.history)
        write_json(
            staged / PublishedFolder.PREPROCESSOR, {**reading, "threshold": validated(staged, here=True).threshold}
        )
    return folder


def _calibrated(model: "keras.Model", run: Run) -> tuple[Json, Json]:
    """Calibrate a network of glyphs and round its weights, in place.

    Returns:
        What `metadata.json` says of it, and what `preprocessor_config.json` does: the probability of the likeliest
        class that all but `REJECTED` of the validation samples reach.
    """
    if data.get(run.job.dataset).view is not None:  # an answer to a page is pooled from answers to its patches
        halve(model)
        return {}, {}
    split = data.load(run.job.dataset, "validation")
    found = calibrate(model, split.images, split.labels)
    halve(model)
    confidence = model.predict(split.images, batch_size=500, verbose=0).max(axis=1)
    return {"temperature": found}, {"accepts": float(np.quantile(confidence, REJECTED))}


def export_onnx(model: "keras.Model", path: Path) -> None:
    """Write `model` as ONNX with a free batch size: uint8 (N, H, W, C) in, float32 probabilities out.

    TensorFlow's converter writes it where Keras runs on TensorFlow, else `onnx_writer`: they differ by less than 1e-5.
    """
    if keras.backend.backend() != "tensorflow":
        return onnx_writer.write(model, path)
    converters = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow", "absl")]
    levels = [logger.level for logger in converters]
    for logger in converters:
        logger.setLevel(logging.ERROR)  # they report every pass and every placeholder
    _extend_the_converter()
    model(np.zeros((1, *model.input_shape[1:]), np.uint8))  # Keras exports what was called once
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the converter, about NumPy
        model.export(path, format="onnx", verbose=False)
    for logger, level in zip(converters, levels, strict=True):
        logger.setLevel(level)


@functools.cache
def _extend_the_converter() -> None:
    """Let the converter write what it lacks or writes inexactly."""
    from tf2onnx.handler import tf_op
    from tf2onnx.onnx_opset.nn import Resize

    @tf_op(["ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor"])
    class _Resize:
        """A resized image's size, not its scale: 28 pixels times 227 / 28 in float32 are 226."""

        @classmethod
        def version_11(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
            size = ctx.make_node("Identity", [node.input[1]])  # the converter turns constant sizes into scales
            ctx.replace_input(node, node.input[1], size.output[0], 1)
            Resize.version_11(ctx, node, **kwargs)

    @tf_op("Erfc")
    class _Erfc:
        """1 - erf(x): what TensorFlow computes GELU of."""

        @classmethod
        def version_9(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
            (x,), outputs = node.input, node.output
            shape, dtype = ctx.get_shape(outputs[0]), ctx.get_dtype(outputs[0])
            ctx.remove_node(node.name)
            one = ctx.make_const(f"{node.name}/one", np.ones((), np.float32))
            error = ctx.make_node("Erf", [x])
            ctx.make_node("Sub", [one.output[0], error.output[0]], outputs=outputs, shapes=[shape], dtypes=[dtype])


def facts(run: Run) -> Json:
    """Return the content of `metadata.json` apart from sizes and the Keras version: which model it is."""
    return {
        "architecture": run.job.architecture,
        "dataset": run.job.dataset,
        "recipe": run.job.recipe.name,
        "seed": run.job.seed,
        "dataset_fingerprint": run.history["fingerprint"],
        **({"start": run.history["start"]} if "start" in run.history else {}),
    }


def preprocessor(architecture: str, dataset: str) -> Json:
    """Return what turns a picture into the model's input and its output into labels."""
    spec = data.get(dataset)
    view = view_of(architecture, spec)
    return {
        "contract": spec.contract and spec.contract.to_dict(),
        "labels": list(spec.labels),
        "script": spec.script,
        "dataset": spec.name,
        "view": view.to_dict() if view else "glyph",  # a glyph is seen whole
    }
