"""A published model as one file for another runtime: ONNX, OpenVINO or LiteRT, in float or int8.

The metadata of each file describes the model and its accuracy on the full test set, measured with that file; for a
dataset without a test split, on the validation samples, and `split` says so. int8 is post-training quantization (Jacob
et al., 2018): weights to int8 per channel, activations to 8 bits between the extremes that calibration images reach.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo import data
from zoo.errors import UnknownName, ZooError
from zoo.files import replacing
from zoo.published import PublishedFolder
from zoo.serving import opening, runtimes
from zoo.serving.predictor import BATCH
from zoo.types import Json

CALIBRATION = 512  # training images, evenly spread; more move no accuracy here by more than 0.02 points
CALIBRATION_BATCH = 32


@dataclass(frozen=True)
class Format:
    """How a published folder becomes a file of one format.

    suffix: of the file.
    runtime: what runs it, a key of `runtimes.RUNTIMES`.
    write: (published folder, target, calibration images or None for float) -> None.
    stamp: (file, text) -> None, puts the text into the file's metadata.
    """

    suffix: str
    runtime: str
    write: Callable[[Path, Path, np.ndarray | None], None]
    stamp: Callable[[Path, str], None]


def convert(folder: Path, target: Path, name: str, int8: bool = False) -> Json:
    """Write a published folder as a file of another format, whole or not at all.

    Args:
        folder: the published folder.
        target: the file to write; OpenVINO writes its weights next to it with the suffix .bin.
        name: a key of `FORMATS`.
        int8: quantize, calibrated on training images.

    Returns:
        The metadata of the file; "accuracy" is a fraction of the full test set.

    Raises:
        UnknownName: no such format.
        ZooError: the suffix of `target` is another, a package is missing, or the dataset cannot be read.
    """
    if name not in FORMATS:
        raise UnknownName("format", name, FORMATS)
    form = FORMATS[name]
    if target.suffix != form.suffix:
        raise ZooError(f"A file of format {name} ends in {form.suffix}; {target.name} does not: rename it.")
    preprocessor, metadata = PublishedFolder(folder).preprocessor, PublishedFolder(folder).metadata
    dataset = preprocessor["dataset"]
    images = _spread(data.load(dataset, "train").images, CALIBRATION) if int8 else None
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / f"model{form.suffix}"
        form.write(folder, made, images)
        said = {
            **metadata,
            **measure(opening.load(made, form.runtime), dataset),
            "format": name,
            "precision": "int8" if int8 else "float32",
            "calibration_samples": 0 if images is None else len(images),
            "preprocessor": preprocessor,
        }
        form.stamp(made, json.dumps(said, ensure_ascii=False))
        for part in sorted(Path(scratch).glob("model.*")):  # .bin comes before the .xml that needs it
            with replacing(target.with_suffix(part.suffix)) as staged:
                shutil.copyfile(part, staged)
    return said


def measure(network: Callable[[np.ndarray], np.ndarray], dataset: str) -> Json:
    """Return {"accuracy", "split", "test_samples", "test_fingerprint"} of a network on all scored samples.

    The split is "test", or "validation" for a dataset without a test split.
    """
    split = data.get(dataset).scored
    test = data.load(dataset, split)
    starts = range(0, len(test), BATCH)
    right = sum(
        int((network(test.images[i : i + BATCH]).argmax(axis=1) == test.labels[i : i + BATCH]).sum()) for i in starts
    )
    accuracy = right / len(test)
    return {"accuracy": accuracy, "split": split, "test_samples": len(test), "test_fingerprint": test.fingerprint}


def _spread(images: np.ndarray, count: int) -> np.ndarray:
    return images[:: max(1, len(images) // count)][:count]


# --- ONNX ----------------------------------------------------------------------------------------


def _write_onnx(folder: Path, target: Path, images: np.ndarray | None, runtime: str = "onnxruntime") -> None:
    """Fold BatchNorm into the convolutions; with images, quantize to QDQ (quantize and dequantize nodes).

    Raises:
        ZooError: the runtime that will read it may not open the network.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self, feed: str, images: np.ndarray):
            starts = range(0, len(images), CALIBRATION_BATCH)
            self.feeds = iter([{feed: images[i : i + CALIBRATION_BATCH]} for i in starts])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    import onnx

    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        source, folded = Path(scratch) / "source.onnx", Path(scratch) / "folded.onnx"
        source.write_bytes(opening.bounded(PublishedFolder(folder).onnx, runtime))
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        if images is None:
            shutil.copyfile(folded, target)
        else:
            feed = onnx.load(folded).graph.input[0].name
            layers = ["Conv", "MatMul", "Gemm", "Add", "Relu", "MaxPool", "AveragePool"]
            quantize_static(
                folded, target, Reader(feed, images), per_channel=True, op_types_to_quantize=layers,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip


def _stamp_onnx(path: Path, text: str) -> None:
    import onnx

    model = onnx.load(path)
    model.metadata_props.add(key=runtimes.METADATA_KEY, value=text)
    onnx.save(model, path)


# --- OpenVINO ------------------------------------------------------------------------------------


def _write_openvino(folder: Path, target: Path, images: np.ndarray | None) -> None:
    """From ONNX: its int8 form is the same QDQ graph."""
    openvino = runtimes.installed("openvino")
    source = target.with_name("source.onnx")
    _write_onnx(folder, source, images, "openvino")
    openvino.save_model(openvino.Core().read_model(source), target, compress_to_fp16=False)


def _stamp_openvino(path: Path, text: str) -> None:
    openvino = runtimes.installed("openvino")
    model = openvino.Core().read_model(path)
    model.set_rt_info(text, runtimes.METADATA_KEY)
    stamped = path.with_name("stamped.xml")  # the model still reads its weights from the folder of `path`
    openvino.save_model(model, stamped, compress_to_fp16=False)
    for suffix in (".xml", ".bin"):
        stamped.with_suffix(suffix).replace(path.with_suffix(suffix))


# --- LiteRT --------------------------------------------------------------------------------------


def _write_litert(folder: Path, target: Path, images: np.ndarray | None) -> None:
    """From the Keras weights, by Keras' own exporter."""
    from zoo import backend
    from zoo.training import keras_models

    model = keras_models.load(folder)
    options = {}
    if images is not None:
        options = {
            "optimizations": backend.litert_int8(),
            "representative_dataset": lambda: ([x[None]] for x in images),
        }
    with _quiet():
        model.export(target, format="litert", verbose=False, **options)


def _stamp_litert(path: Path, text: str) -> None:
    import flatbuffers

    schema = runtimes.installed("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry.name, entry.buffer = runtimes.METADATA_KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(text))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(builder.Output())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence converters, which log every pass; errors are still raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


FORMATS = {
    "onnx": Format(".onnx", "onnxruntime", _write_onnx, _stamp_onnx),
    "openvino": Format(".xml", "openvino", _write_openvino, _stamp_openvino),
    "litert": Format(".tflite", "litert", _write_litert, _stamp_litert),
}
