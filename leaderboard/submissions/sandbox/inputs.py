"""What a sandbox gets to see of a dataset: test images without their labels, and training samples.

Both are written once, into a folder that nobody else can write to, and checked by their hash before each use.
"""

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from leaderboard import memorization, metrics, unknown
from leaderboard.corruptions import CORRUPTIONS, corrupted
from leaderboard.evaluation import transfers_of
from zoo import data
from zoo.errors import ZooError
from zoo.files import replacing
from zoo.regular_files import read_bytes


@dataclass(frozen=True)
class Inputs:
    """The images of one measurement.

    path: uint8 (count, H, W, 1) as plain bytes: the test set, the test set under every corruption, validation, the test
        sets of other hands, and images of no class.
    test, validation: the splits, whose labels stay on this side.
    others: the test sets of other datasets with the same labels, by name.
    strangers: how many images are of no class.
    """

    path: Path
    test: data.Split
    validation: data.Split
    others: Mapping[str, data.Split]
    strangers: int
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

    @property
    def count(self) -> int:
        """How many images there are."""
        tested = (len(CORRUPTIONS) + 1) * len(self.test) + len(self.validation)
        return tested + sum(map(len, self.others.values())) + self.strangers

    def parts(self, answers: np.ndarray) -> "Parts":
        """Part the answers to all images, float32 (count, classes)."""
        sizes = [len(self.test)] * (len(CORRUPTIONS) + 1) + [len(self.validation), *map(len, self.others.values())]
        own, *others, strangers = np.split(answers, np.cumsum(sizes))
        under, (validation, *elsewhere) = others[: len(CORRUPTIONS)], others[len(CORRUPTIONS) :]
        return Parts(
            own, dict(zip(CORRUPTIONS, under, strict=True)), validation,
            dict(zip(self.others, elsewhere, strict=True)), strangers if self.strangers else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Parts:
    """Answers by what they are to, each float32 (N, classes).

    test, validation: the dataset's own.
    under: the test set, by corruption.
    others: the test sets of other hands, by dataset.
    strangers: images of no class; None where there are none.
    """

    test: np.ndarray
    under: dict[str, np.ndarray]
    validation: np.ndarray
    others: dict[str, np.ndarray]
    strangers: np.ndarray | None


def prepare(dataset: str, folder: Path) -> Inputs:
    """Return the images of a dataset, writing them to `folder` where they are not there yet."""
    test, validation = data.load(dataset, "test"), data.load(dataset, "validation")
    others = {name: data.load(name, "test") for name in transfers_of(dataset)}
    strangers = unknown.for_testing(dataset)
    splits = hashlib.sha256("".join(one.fingerprint for one in (test, validation, *others.values())).encode())
    version, count = metrics.versions()["robustness"], 0 if strangers is None else len(strangers)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            for images in (
                test.images,
                *(images for _, images in corrupted(test.images)),
                validation.images,
                *(other.images for other in others.values()),
                *([] if strangers is None else [strangers]),
            ):
                file.write(np.ascontiguousarray(images).tobytes())  # fmt: skip

    path = private(folder) / f"{dataset}-{splits.hexdigest()[:24]}-{version}-{count}.u8"
    return Inputs(_kept(path, write), test, validation, others, count, _key(private(folder)))


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
