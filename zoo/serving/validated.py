"""The confidence below which a published network abstains, chosen on its dataset's validation samples."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo import data
from zoo.pages.patches import Patches
from zoo.published import PublishedFolder
from zoo.reports.abstention import choose_threshold
from zoo.serving.predictor import Predictor


@dataclass(frozen=True)
class Validated:
    """Answers of a published network on validation.

    confidence: float32 (N,), the probability of the likeliest class, in half precision, as test confidences are kept.
    right: bool (N,), whether that class is the true one.
    example: uint8 (H, W, C), a sample that is read right; None for a network that was fitted to all strips.
    """

    confidence: np.ndarray
    right: np.ndarray
    example: np.ndarray | None

    @property
    def threshold(self) -> float:
        """The confidence from which these samples cost least, see `zoo.reports.choose_threshold`."""
        return choose_threshold(self.confidence, self.right)


def validated(published: Path, here: bool = False) -> Validated:
    """Return the answers of the network in a published folder on validation.

    Args:
        published: the folder.
        here: compute in this process, see `Predictor.load`: a network that it made itself, and it may be confined.

    Raises:
        DataError: the dataset is missing or broken.
    """
    predictor = Predictor.measured(published, here)
    if (held_out := PublishedFolder(published).history.get("held_out")) is not None:
        return Validated(_halved(np.array(held_out["confidence"])), np.array(held_out["right"]), None)
    view = predictor.view
    if view is None:
        split = data.load(predictor.dataset, "validation")
        images, labels, probabilities = split.images, split.labels, predictor(split.images)
    else:  # one prediction for every held-out strip, as that for a page is pooled from its patches
        assert isinstance(view, Patches)  # a network of keypoints has a history of held-out strips
        pages = data.load(predictor.dataset, "train")
        patches, labels = view.validation(pages.images, pages.labels)
        each = view.held_out_patches
        answers = predictor.classify(patches).reshape(-1, each, len(predictor.labels))
        images, labels, probabilities = patches[::each], labels[::each], np.stack([view.pool(a) for a in answers])
    right = probabilities.argmax(axis=1) == labels
    # From the middle class rather than zero, which is only a dot in Arabic.
    wanted = np.flatnonzero(right & (labels == len(predictor.labels) // 2))
    return Validated(_halved(probabilities.max(axis=1)), right, images[wanted[0] if len(wanted) else 0])


def _halved(confidence: np.ndarray) -> np.ndarray:
    return confidence.astype(np.float16).astype(np.float32)
