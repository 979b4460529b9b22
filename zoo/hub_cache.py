"""The caches of the Hub's clients on this disk, which others may have filled: no link leads out of them.

hub_cache.of_repo("me/net")  # its folder, before the client reads or writes there
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import ZooError


def of_repo(repo: str, kind: str = "model") -> Path:
    """Return a repo's folder in the Hub's cache, which need not be there.

    Args:
        repo: "namespace/name".
        kind: "model", "dataset" or "space".

    Raises:
        ZooError: it is a link, or has one that leads elsewhere, or a pipe. The Hub's client makes links only from names
            to contents, so somebody else made it, and what is written or thrown away here would be so elsewhere.
    """
    from huggingface_hub import constants

    cache, name = Path(constants.HF_HUB_CACHE), f"{kind}s--{repo.replace('/', '--')}"
    storage, locks = cache / name, cache / ".locks"
    contents = os.path.join(os.path.realpath(cache), name, "blobs")
    for path in _below(storage, locks / name, locks, cache / "CACHEDIR.TAG"):
        own = path.is_relative_to(storage)
        _check(path, own and os.path.dirname(os.path.realpath(path)) == contents, repo, storage if own else path)
    return storage


def check_prepared(repo: str) -> None:
    """Check where `datasets` keeps what it made of a repo, or of files of a form, such as "parquet"; as `of_repo`."""
    import datasets

    cache, name = Path(datasets.config.HF_DATASETS_CACHE), repo.replace("/", "___").lower()
    found = [folder for folder in cache.glob("*") if folder.name.lower() == name]
    for path in _below(*found):
        _check(path, False, repo, path)


def _below(*places: Path) -> Iterator[Path]:
    """Yield these places, and all below the folders among them but `.locks`, which has those of all repos."""
    for place in places:
        yield place
        for folder, folders, files in () if place.name == ".locks" else os.walk(place):
            yield from (Path(folder, name) for name in (*folders, *files))


def _check(path: Path, to_content: bool, repo: str, to_delete: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:  # it is not there
        return
    if not (to_content if stat.S_ISLNK(mode) else stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ZooError(
            f"The Hub's cache of {repo} has what the Hub's client does not put there, a link that leads elsewhere or a "
            f"pipe: {path}. Delete {to_delete}, and it is fetched again."
        )
