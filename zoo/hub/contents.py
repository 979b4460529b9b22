"""The files of a published folder: which there are, which are the zoo's, and what the Hub calls their contents."""

import contextlib
import fnmatch
import hashlib
import os
from collections.abc import Container
from pathlib import Path

from zoo import cards, hub_transport
from zoo.published import PublishedFolder
from zoo.regular_files import open_regular

MODEL_FILES = PublishedFolder.NEEDED
# What is fetched of a model repo, and with the other trainings of its row all that the zoo writes there.
FETCHED = (
    *MODEL_FILES,
    PublishedFolder.HISTORY,
    cards.CARD,
    ".eval_results/*",
    "figures/*",
)
LISTING = 50_000_000  # bytes that the Hub may send of what a repo holds
OWNED = (*FETCHED, f"{PublishedFolder.SEEDS}/*")


def owned(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path in a repo is one of the zoo's."""
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, which is what the Hub calls the content of one in LFS."""
    with os.fdopen(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_oid(path: Path) -> str:
    """Return git's SHA-1 of a file."""
    with os.fdopen(open_regular(path), "rb") as file:
        digest = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size, usedforsecurity=False)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def pointer_oid(sha256: str, size: int) -> str:
    """Return git's SHA-1 of the LFS pointer that stands for a file."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest()


def stored(repo: str, paths: Container[str], revision: str | None = None) -> int:
    """Return the bytes of some files of a dataset repo; 0 where the Hub does not say within 20 s."""
    from huggingface_hub import HfApi

    # Whatever is wrong is said by what reads the repo.
    with contextlib.suppress(Exception), hub_transport.bounded(20.0, LISTING, repo):
        about = HfApi().repo_info(repo, repo_type="dataset", revision=revision, files_metadata=True)
        siblings = about.siblings or ()
        return sum(file.size or 0 for file in siblings if file.rfilename in paths)
    return 0
