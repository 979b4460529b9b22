"""Weights stored once: Keras' copy of a network is made from `model.onnx` when it is needed.

`model.weights.h5` and `model.onnx` hold the same numbers, transposed here and there. In the repository a published
folder therefore has `keras_weights.npz` in place of the first: for each of Keras' weights the constant of the graph
that holds it, and in full what no constant holds, as the statistics of a BatchNorm that the graph computes otherwise.
"""

import contextlib
import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.files import MOST_ARRAYS, read_arrays, replacing
from zoo.published import PublishedFolder
from zoo.regular_files import MOST_JSON, read_bytes
from zoo.strict import hdf5, onnx_limits, onnx_wire

CONSTANTS = "constants"  # in the npz: JSON, path of a weight -> [name of the constant, order of its axes, shape]
FLOATS = (1, 10, 11)  # TensorProto.DataType: float32, float16, float64


def store_once(folder: Path) -> None:
    """Replace a published folder's `model.weights.h5` by `keras_weights.npz`; both hold exactly the same.

    Nothing happens where that is done already.
    """
    import h5py

    published = PublishedFolder(folder)
    if not published.weights.is_file():
        return
    weights: dict[str, np.ndarray] = {}

    def read(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            weights[name] = np.asarray(item[()])

    with h5py.File(published.weights) as file:
        file.visititems(read)
    constants = _constants(published.onnx)
    by_content: dict[bytes, str] = {}
    for name, values in constants.items():
        by_content.setdefault(_content(values), name)
    places, rest = {}, {}
    for path, values in weights.items():
        holder = by_content.get(_content(values)) if values.dtype.kind == "f" else None
        order = None if holder is None else _order(constants[holder], values)
        if order is None:
            rest[path] = values
        else:
            places[path] = [holder, order, values.shape]
    with replacing(published.stored) as staged, staged.open("wb") as target:
        text = np.frombuffer(json.dumps(places).encode(), np.uint8)
        np.savez_compressed(target, allow_pickle=False, **{CONSTANTS: text}, **rest)
    published.weights.unlink()


def restore(folder: Path, target: Path) -> None:
    """Write the `model.weights.h5` of a published folder that has none; the same bytes whenever it is called.

    Args:
        folder: with `model.onnx` and `keras_weights.npz`.
        target: the file to write.

    Raises:
        ZooError: the two files do not belong together, or one of them cannot be read.
    """
    import h5py

    published = PublishedFolder(folder)
    try:
        rest = read_arrays(published.stored)
        places = json.loads(rest.pop(CONSTANTS).tobytes())
        constants = _constants(published.onnx)
        if sum(constants[name].nbytes for name, _, _ in places.values()) > MOST_ARRAYS:
            raise ValueError(f"they have more than {MOST_ARRAYS // 10**6} MB")
        weights = {
            path: constants[name].transpose(order).reshape(shape) for path, (name, order, shape) in places.items()
        }
    except ModuleNotFoundError:
        raise
    except Exception as error:  # ONNX, JSON and NumPy each raise errors of their own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ZooError(
            f"{published.stored} does not say how Keras' weights are made of model.onnx ({reason.rstrip('.')})."
        ) from error
    with replacing(target) as staged, h5py.File(staged, "w") as file:
        for path, values in sorted({**weights, **rest}.items()):
            file[path] = values


@contextlib.contextmanager
def keras_folder(folder: Path) -> Iterator[Path]:
    """Yield a copy of what Keras loads of a published folder, with a `model.weights.h5` that was written here.

    Raises:
        ZooError: its weights cannot be restored, or have another structure than Keras writes.
    """
    published = PublishedFolder(folder)
    with tempfile.TemporaryDirectory() as scratch:
        copy = PublishedFolder(Path(scratch))
        for name in (PublishedFolder.CONFIG, PublishedFolder.METADATA):
            (copy.path / name).write_bytes(read_bytes(folder / name, MOST_JSON))
        if published.weights.is_file() or not published.stored.is_file():
            try:
                hdf5.rewrite(read_bytes(published.weights), copy.weights)
            except ZooError as error:
                raise ZooError(f"{published.weights} cannot be read. {error}") from None
        else:
            restore(folder, copy.weights)
        yield copy.path


def _constants(path: Path) -> Mapping[str, np.ndarray]:
    """Return the constants of floating point, all of which are in the file itself: `onnx` would open any other."""
    import onnx

    graph = onnx_wire.read(onnx_wire.read(read_bytes(path), onnx_wire.MODEL).graph, onnx_wire.GRAPH)
    stored = [onnx_limits.stored_tensor(raw) for raw in graph.initializers]
    tensors = [onnx.TensorProto.FromString(one.raw) for one in stored if one.kind in FLOATS]
    return {one.name: onnx.numpy_helper.to_array(one) for one in tensors}


def _content(values: np.ndarray) -> bytes:
    """Return what two arrays have in common that differ in nothing but the order and the precision of their numbers."""
    return (np.sort(values.astype(np.float32), axis=None) + 0.0).tobytes()  # -0.0 becomes 0.0: they sort as equal


def _order(constant: np.ndarray, weight: np.ndarray) -> tuple[int, ...] | None:
    """Return the order of a constant's axes in which its numbers are the weight's, one after the other."""
    flat = weight.ravel()
    for order in itertools.permutations(range(constant.ndim)):
        if np.array_equal(constant.transpose(order).ravel(), flat):
            return order
    return None
