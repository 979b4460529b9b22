"""What a sandbox gets to see of a dataset: test images without their labels, and training samples.

Both are written once, into a folder that nobody else can write to, and checked by their hash before each use.
"""

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from leaderboard import memorization, metrics
from leaderboard.corruptions import CORRUPTIONS, corrupted
from zoo import data
from zoo.errors import ZooError
from zoo.files import read_bytes, replacing


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
    key: bytes = b""  # secret of this server

    def redrawn(self) -> np.ndarray:
        """Return the test images drawn again, uint8 (times * test, H, W, 1): always the same ones for the same key."""
        seed = hmac.digest(self.key, self.test.fingerprint.encode(), "sha256")
        rng, count = np.random.default_rng(int.from_bytes(seed)), memorization.times(len(self.test))
        return np.concatenate([memorization.drawn_again(self.test.images, rng) for _ in range(count)])

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
    name = f"{dataset}-{test.fingerprint[:12]}-{validation.fingerprint[:12]}-{metrics.versions()['robustness']}.u8"

    def write(path: Path) -> None:
        with path.open("wb") as file:
            for images in (test.images, *(images for _, images in corrupted(test.images)), validation.images):
                file.write(np.ascontiguousarray(images).tobytes())

    return Inputs(_kept(private(folder) / name, write), count, test, validation, _key(private(folder)))


def _key(folder: Path) -> bytes:
    """Return the secret of this server, made where there is none yet."""
    path = folder / "redraw.key"
    if not path.exists():
        with replacing(path) as staged:
            staged.touch(mode=0o600)
            staged.write_bytes(secrets.token_bytes(32))
    return read_bytes(path)


def training_repo(dataset: str, folder: Path) -> Path:
    """Return a folder for `ZOO_DATASETS` that holds the training rows of a dataset and nothing of its test set."""
    import datasets

    spec, rows = data.get(dataset), data.load(dataset, "train+validation")
    root = private(folder) / f"training-{rows.fingerprint[:12]}"

    def write(path: Path) -> None:
        images = [{"bytes": cv2.imencode(".png", image)[1].tobytes(), "path": None} for image in rows.images]
        columns = {"image": images, "label": rows.labels}
        if rows.groups is not None and spec.group:
            columns[spec.group] = rows.groups
        datasets.Dataset.from_dict(columns).to_parquet(path)

    # The hash lies outside the folder that is read: `datasets` takes every file there that is called train-… for data.
    _kept(root / dataset / "data" / "train-00000-of-00001.parquet", write, root / "train.sha256")
    return root


def private(folder: Path) -> Path:
    """Return a folder that this user alone can write to, made where it is not there; ZooError where that cannot be.

    What is measured is read from there, so nobody else may put anything into it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode):
            folder.chmod(0o700)
            return folder.resolve()
    except OSError as error:
        raise ZooError(
            f"{folder} cannot be a cache of images ({error.strerror}). Choose another with --cache."
        ) from None
    raise ZooError(f"{folder} belongs to another user, or is a link, so images are not read from it. Choose another.")


def _kept(path: Path, write: Callable[[Path], None], noted: Path | None = None) -> Path:
    """Return a file, written again unless its content still has the SHA-256 that is noted, by default next to it."""
    noted = noted or path.with_name(f"{path.name}.sha256")
    if path.exists() and noted.exists() and noted.read_text() == _sha256(path):
        return path
    with replacing(path) as staged:
        write(staged)
        digest = _sha256(staged)
    with replacing(noted) as staged:
        staged.write_text(digest)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
