"""What a sandbox gets to see of a dataset: test images without their labels, and training samples.

Both are written once, beside each other, and read by every sandbox after that.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from leaderboard import metrics
from leaderboard.corruptions import CORRUPTIONS, corrupted
from zoo import data
from zoo.files import replacing


@dataclass(frozen=True)
class Inputs:
    """The images of one measurement.

    path: uint8 (count, H, W, 1) as plain bytes: the test set, the test set under every corruption, and validation.
    count: how many images these are.
    test, validation: the splits, whose labels stay on this side.
    """

    path: Path
    count: int
    test: data.Split
    validation: data.Split

    @property
    def images(self) -> np.ndarray:
        """All images, uint8 (count, H, W, 1), read from the disk when they are used."""
        return np.memmap(self.path, np.uint8, "r", shape=(self.count, *self.test.images.shape[1:]))

    def parts(self, answers: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Part float32 (count, classes) into answers on the test set, under every corruption, and on validation."""
        size = len(self.test)
        under = {name: answers[(n + 1) * size : (n + 2) * size] for n, name in enumerate(CORRUPTIONS)}
        return answers[:size], under, answers[(len(CORRUPTIONS) + 1) * size :]


def prepare(dataset: str, folder: Path) -> Inputs:
    """Return the images of a dataset, writing them to `folder` where they are not there yet."""
    test, validation = data.load(dataset, "test"), data.load(dataset, "validation")
    count = (len(CORRUPTIONS) + 1) * len(test) + len(validation)
    path = folder / f"{dataset}-{test.fingerprint[:12]}-{metrics.versions()['robustness']}.u8"
    if not path.exists() or path.stat().st_size != count * test.images[0].size:
        with replacing(path) as staged, staged.open("wb") as file:
            for images in (test.images, *(images for _, images in corrupted(test.images)), validation.images):
                file.write(np.ascontiguousarray(images).tobytes())
    return Inputs(path.resolve(), count, test, validation)


def training_repo(dataset: str, folder: Path) -> Path:
    """Return a folder for `ZOO_DATASETS` that holds the training rows of a dataset and nothing of its test set."""
    import datasets

    spec, rows = data.get(dataset), data.load(dataset, "train+validation")
    root = folder / f"training-{rows.fingerprint[:12]}"
    path = root / dataset / "data" / "train-00000-of-00001.parquet"
    if not path.exists():
        images = [{"bytes": cv2.imencode(".png", image)[1].tobytes(), "path": None} for image in rows.images]
        columns = {"image": images, "label": rows.labels}
        if rows.groups is not None and spec.group:
            columns[spec.group] = rows.groups
        with replacing(path) as staged:
            datasets.Dataset.from_dict(columns).to_parquet(staged)
    return root.resolve()
