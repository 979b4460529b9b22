"""Why a network says what it says, asked of the served model itself: no gradient, no Keras.

`saliency` covers the image with a small patch of paper, place by place, and notes how the answer changes (occlusion,
Zeiler and Fergus, 2014). `feature_maps` reads what the convolutions of model.onnx give for an image.
"""

import functools
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.predictor import Predictor

PATCH = 5  # pixels of a side; a stroke is about two broad


def saliency(predictor: Predictor, image: np.ndarray, label: int | None = None) -> np.ndarray:
    """Return how much each pixel speaks for a class.

    Args:
        predictor: of the network.
        image: uint8 (H, W, 1).
        label: index of the class; the likeliest without one.

    Returns:
        float32 (H, W): the mean loss of log-odds, in nats, over the patches that cover a pixel. Above 0 where the
        answer rests on it, whether on its ink or on its being empty; below 0 where it speaks against the answer.
    """
    height, width, channels = image.shape
    half = PATCH // 2
    blank, inked = (
        np.array([[_covered(image, y, x, half, value) for x in range(width)] for y in range(height)])
        for value in (0, 255)
    )
    covered = np.concatenate([blank, inked]).reshape(-1, height, width, channels)
    # A patch of paper where there is ink, of ink where there is paper: each hides what is there.
    share = np.array(
        [[image[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1].mean() / 255 for x in range(width)]
         for y in range(height)]
    )  # fmt: skip
    probabilities = predictor(np.concatenate([image[None], covered]))
    label = int(probabilities[0].argmax()) if label is None else label
    odds = _log_odds(probabilities[:, label])
    lost = (odds[0] - odds[1:]).reshape(2, height, width)
    lost = np.where(share > 0.05, lost[0], 0.25 * lost[1])  # a blot alters more than a gap
    padded = np.pad(lost, half)
    total = np.zeros((height, width))
    for dy in range(PATCH):
        for dx in range(PATCH):
            total += padded[dy : dy + height, dx : dx + width]
    return (total / PATCH**2).astype(np.float32)


def _covered(image: np.ndarray, y: int, x: int, half: int, value: int) -> np.ndarray:
    patched = image.copy()
    patched[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1] = value
    return patched


def _log_odds(p: np.ndarray) -> np.ndarray:
    p = p.astype(np.float64).clip(1e-7, 1 - 1e-7)
    return np.log(p / (1 - p))


def feature_maps(folder: Path, image: np.ndarray) -> list[np.ndarray]:
    """Return what each convolution of a published folder gives for an image, from first to last.

    Args:
        folder: with model.onnx.
        image: uint8 (H, W, 1).

    Returns:
        A list of float32 (height, width, filters).

    Raises:
        ZooError: the folder's model.onnx cannot be read.
    """
    session, names = _probed(folder)
    feed = session.get_inputs()[0].name
    return [maps[0].transpose(1, 2, 0) for maps in session.run(names, {feed: image[None]})]


@functools.lru_cache(maxsize=16)
def _probed(folder: Path):
    """A session that also gives out what its convolutions give, and their names."""
    import onnx
    import onnxruntime

    path = folder / "model.onnx"
    try:
        model = onnx.load(path)
        names = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = 1  # one image: a second thread costs more than it brings
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the two packages share no class of error
        raise ZooError(f"{path} cannot be looked into: {error}.") from error
    return session, names
