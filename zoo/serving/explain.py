"""Explain predictions with the served model itself, without gradients and without Keras.

`saliency` covers the image with a small patch of paper, place by place, and notes how the answer changes (occlusion,
Zeiler and Fergus, 2014). `feature_maps` reads what the convolutions of model.onnx give for an image.
"""

import functools
from pathlib import Path

import numpy as np

from zoo.published import PublishedFolder
from zoo.serving import opening
from zoo.serving.predictor import Predictor

HALF = 2  # pixels: a patch is 5 x 5, a stroke about two broad
STEP = 2  # pixels between patches
TOGETHER = 32  # images that a network sees at a time: what it takes for them grows with their number
BLOT = 0.25  # weight of ink over paper, which alters more than a gap does


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
    height, width = image.shape[:2]
    places = [(y, x) for y in range(0, height, STEP) for x in range(0, width, STEP)]
    windows = [np.s_[max(0, y - HALF) : y + HALF + 1, max(0, x - HALF) : x + HALF + 1] for y, x in places]
    # Paper over ink, and ink over paper: each hides what is there.
    inked = [image[window].mean() > 0.05 * 255 for window in windows]

    def covered(first: int) -> np.ndarray:
        """Return the image with one of the next patches each."""
        found = image[None].repeat(len(windows[first : first + TOGETHER]), axis=0)
        for one, window, ink in zip(found, windows[first:], inked[first:], strict=False):
            one[window] = 0 if ink else 255
        return found

    parts = (covered(first) for first in range(0, len(windows), TOGETHER))
    probabilities = np.concatenate([predictor(image[None]), *(predictor(part) for part in parts)])
    label = int(probabilities[0].argmax()) if label is None else label
    odds = _log_odds(probabilities[:, label])
    lost = (odds[0] - odds[1:]) * np.where(inked, 1, BLOT)
    total, times = np.zeros((height, width)), np.zeros((height, width))
    for value, window in zip(lost, windows, strict=True):
        total[window] += value
        times[window] += 1
    return (total / times).astype(np.float32)


def _log_odds(p: np.ndarray) -> np.ndarray:
    p = p.astype(np.float64).clip(1e-7, 1 - 1e-7)
    odds: np.ndarray = np.log(p / (1 - p))
    return odds


def feature_maps(folder: Path, image: np.ndarray) -> list[np.ndarray]:
    """Return what each convolution of images in a published folder gives for one, from first to last.

    Args:
        folder: with model.onnx.
        image: uint8 (H, W, 1).

    Returns:
        A list of float32 (height, width, filters).

    Raises:
        ZooError: the folder's model.onnx cannot be read.
    """
    maps = _probed(PublishedFolder(folder).onnx)(image[None])
    return [one[0].transpose(1, 2, 0) for one in maps if one.ndim == 4]


_probed = functools.lru_cache(maxsize=16)(opening.probe)
