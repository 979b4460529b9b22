"""Pull from the Hub: a name becomes a folder that is complete and has the checksums that the Hub lists."""

import contextlib
import functools
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path

from zoo import hub_cache, registry
from zoo.errors import UnknownName, ZooError, nearest
from zoo.files import check_inside, read_json, write_json
from zoo.hub.contents import FETCHED, git_oid, owned, pointer_oid, sha256
from zoo.hub.failures import PATIENT, Backoff, NoSuchRepo, attempted
from zoo.published import PublishedFolder
from zoo.registry import ModelName
from zoo.regular_files import MOST_BYTES, read_bytes
from zoo.settings import PRETRAINED, model_folders, namespace

log = logging.getLogger(__name__)

SCHEME = "hf://"
_ELSEWHERE = re.compile("^[.~]|@")  # in a name: `resolve` looks for a path, or on the Hub
COMMIT = re.compile("[0-9a-f]{40}")
OF_YOUR_OWN = "If you trained it yourself, set ZOO_MODELS to the folder that holds it, such as runs/models."


def list_models() -> tuple[str, ...]:
    """Return the names of the models that are shipped with the package or are in a folder of `ZOO_MODELS`, sorted.

    A folder whose name would mean another place is left out.
    """
    found = (
        path.parent.name for folder in model_folders() for path in folder.glob(f"*/{PublishedFolder.PREPROCESSOR}")
    )
    return tuple(sorted({name for name in found if not _ELSEWHERE.search(name)}))


@functools.cache
def shipped() -> frozenset[str]:
    """Return the names of the models that come with the package: a folder of `ZOO_MODELS` never takes one."""
    return frozenset(path.name for path in PRETRAINED.iterdir())


def resolve(name: str | Path) -> Path:
    """Return the published folder that a name means, and fetch it from the Hub if it is not on this machine.

    Args:
        name: a folder ("./runs/…/export"), a shipped model ("lenet5.mnist") or one in a folder of `ZOO_MODELS`, a
            model of the zoo's namespace on the Hub, pinned or not ("resco_mini.ahdd@<revision>"), any repo
            ("hf://someone/lenet5.mnist@<revision>"), or another training of its row, which has no weights for Keras
            ("hf://someone/lenet5.mnist/seeds/2").

    Raises:
        UnknownName: no such model, here or on the Hub; lists the nearest that are shipped.
        ZooError: a folder that is not a published model or has a link out of it, or a Hub that cannot be reached.
    """
    text = str(name)
    if isinstance(name, Path) or text.startswith((".", "/", "~")) or not PublishedFolder(Path(text)).missing:
        return _own(_checked(Path(text).expanduser(), text))
    if text.startswith(SCHEME):
        repo, _, revision = text.removeprefix(SCHEME).partition("@")
        repo, further, seed = repo.partition(f"/{PublishedFolder.SEEDS}/")
        if further and not re.fullmatch("[0-9]{1,3}", seed):
            raise ZooError(f"{text!r:.200} names no training: after {further!r} comes its seed, a number.")
        return pull(repo, revision or None, Part(int(seed) if further else None))
    if Path(text).suffix in (".keras", ".h5", ".hdf5"):
        raise ZooError(
            f"{text} is a file of Keras, not a published model: open it with keras.saving.load_model, or name the "
            "folder that the zoo exported."
        )
    model = ModelName.parse(text)
    text = str(model)  # a former name becomes the one of today
    here = next((folder / text for folder in model_folders() if (folder / text).is_dir()), None)
    if model.revision is None and here is not None:
        return _own(here)
    try:
        return pull(f"{namespace()}/{text.partition('@')[0]}", model.revision)
    except NoSuchRepo as error:
        if hint := _how_to_train(model):
            raise NoSuchRepo(f"{text!r} does not come with the package, and the Hub has none. {hint}") from error
        raise UnknownName("shipped model", text, list_models(), OF_YOUR_OWN) from error
    except ZooError as error:
        hint = _how_to_train(model) or f"Of those that do, {nearest(text, list_models())} {OF_YOUR_OWN}"
        raise type(error)(f"{text!r} does not come with the package, and {error} {hint}") from error


def _how_to_train(model: ModelName) -> str | None:
    """Say how to get a model that the zoo defines but does not ship; None if it defines none of that name."""
    known = registry.architectures().get(model.architecture)
    if known is None or model.dataset not in known.datasets or model.recipe not in known.recipes:
        return None
    return f"Go online, or train it: python scripts/train_all.py --only {replace(model, revision=None)}"


@dataclass(frozen=True)
class Part:
    """What is fetched of a model repo: the published folder, or what measures another training of its row."""

    seed: int | None = None

    @property
    def folder(self) -> str:
        """Where it is in the repo."""
        return "." if self.seed is None else f"{PublishedFolder.SEEDS}/{self.seed}"

    @property
    def patterns(self) -> tuple[str, ...]:
        """Of the paths of its files in the repo."""
        return FETCHED if self.seed is None else tuple(f"{self.folder}/{name}" for name in PublishedFolder.MEASURED)

    def missing(self, snapshot: Path) -> list[str]:
        """Return the files that it lacks in a snapshot of the repo."""
        if self.seed is None:
            return PublishedFolder(snapshot).missing
        return [path for path in self.patterns if not (snapshot / path).is_file()]

    def stamp(self, snapshot: Path) -> Path:
        """Return the file next to a snapshot that stores the state in which this part of it was verified."""
        name = snapshot.name if self.seed is None else f"{snapshot.name}-{self.seed}"
        return snapshot.parent.parent / "verified" / f"{name}.json"

    def state(self, snapshot: Path) -> dict[str, list[int]]:
        """Return size and time of change of its files in a snapshot, by path; others may fetch more of a repo."""
        there = (path for path in snapshot.rglob("*") if path.is_file())
        paths = {path.relative_to(snapshot).as_posix(): path.stat() for path in there}
        return {
            name: [stat.st_size, stat.st_mtime_ns] for name, stat in sorted(paths.items()) if owned(name, self.patterns)
        }


def pull(repo: str, revision: str | None = None, part: Part = Part(), backoff: Backoff = PATIENT) -> Path:
    """Return the folder of a model repo, or a part of it, in the Hub's cache, complete and verified.

    Of a repo only the files that the zoo knows are fetched. A commit that is in the cache is used without asking the
    Hub; a branch is used as it was last seen if the Hub cannot be reached, or must not be (`HF_HUB_OFFLINE=1`).

    Every file is compared, once after it came, with the Hub's checksum of it: SHA-256 for what is in LFS, git's SHA-1
    for the rest. A file that differs is thrown away and fetched once more. Nothing outside the repo's folder in the
    cache is read or thrown away, whoever filled it.

    Args:
        repo: "namespace/name".
        revision: a commit, branch or tag; None: the newest.
        part: of the repo.

    Raises:
        NoSuchRepo: the Hub has no such repo, or none that may be seen.
        ZooError: it cannot be had whole, has another checksum, or is not a published model.
    """
    storage = hub_cache.of_repo(repo)
    if remembered := _remembered(storage, revision, part):
        return remembered / part.folder
    try:
        from huggingface_hub import snapshot_download  # takes twice as long to import as a small model to load
    except ModuleNotFoundError as error:
        raise ZooError(
            f"{repo} is on the Hub, and fetching it needs huggingface_hub: pip install 'handwriting-zoo[hub]'."
        ) from error

    at = f"{repo} at {revision}" if revision else repo
    damaged: list[Path] = []
    for _ in range(2):
        try:
            folder = Path(
                attempted(
                    lambda: snapshot_download(repo, revision=revision, allow_patterns=list(part.patterns)), at, backoff
                )
            )
        except (OSError, ValueError) as error:  # a repo may call its files what no folder of this machine can
            raise ZooError(f"{at}: a file of it cannot be kept in the cache ({str(error).strip()[:300]}).") from error
        if folder.resolve() != storage.resolve() / "snapshots" / folder.name or not COMMIT.fullmatch(folder.name):
            raise ZooError(f"{at}: the cache names no commit for it. Delete {storage}, and it is fetched again.")
        _checked(folder, at, part)
        damaged = _damaged(repo, folder, part)
        if not damaged:
            return folder / part.folder
        log.warning("%s: another checksum than the Hub's, so it is fetched again: %s", at, _names(damaged, folder))
        for path in damaged:
            content = path.resolve()
            path.unlink(missing_ok=True)
            if content.parent == storage.resolve() / "blobs":
                content.unlink(missing_ok=True)
    raise ZooError(f"{at}: {_names(damaged, folder)} was downloaded twice with another checksum than the Hub's.")


def _checked(folder: Path, name: str, part: Part = Part()) -> Path:
    if missing := part.missing(folder):
        raise ZooError(f"{name} is not a published model: there is no {' and no '.join(missing)} in it.")
    return folder


def _own(folder: Path) -> Path:
    """Return a published folder; DataError for a link out of it, whose content would be shown as the model's.

    In the Hub's cache, all files are links to contents next to its folder.
    """
    cached = folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--")
    links = [path for path in folder.iterdir() if path.is_symlink()]
    check_inside(links, folder.parents[1] / "blobs" if cached else folder)
    return folder


def _remembered(storage: Path, revision: str | None, part: Part) -> Path | None:
    """Return the snapshot in the cache, if it needs no asking the Hub and was found whole and right before."""
    from huggingface_hub import constants

    commit = revision or ""
    if not COMMIT.fullmatch(commit):
        if not constants.is_offline_mode():
            return None
        with contextlib.suppress(OSError):
            commit = read_bytes(storage / "refs" / (revision or constants.DEFAULT_REVISION), 1000).decode("latin-1")
    folder = storage / "snapshots" / commit.strip()
    return folder if COMMIT.fullmatch(folder.name) and _is_noted(part, folder) else None


def _is_noted(part: Part, folder: Path) -> bool:
    """Whether a part of a snapshot was found whole and right in the state that it has now."""
    try:
        return bool(read_json(part.stamp(folder)) == part.state(folder))
    except (OSError, ValueError, RecursionError):  # never verified, or the note is damaged
        return False


def _damaged(repo: str, folder: Path, part: Part) -> list[Path]:
    """Return the files of a snapshot that differ from the Hub's listing of its commit.

    That there are none is remembered, so that a warm load does not read everything twice.

    Raises:
        ZooError: a cache that somebody filled and passed on, without the listing and with files for links.
    """
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    if _is_noted(part, folder):
        return []
    state = part.state(folder)
    try:
        listed = {file.path: file.blob_id for file in get_cached_repo_tree(repo, revision=folder.name)}
    except CachedRepoTreeNotFoundError:
        listed = {}  # a cache that somebody filled and passed on: its files are named by their checksums
    if not listed and not all((folder / name).is_symlink() for name in state):
        raise ZooError(
            f"{repo}: nothing in the Hub's cache tells the checksums of its files. Load it once more online, or name "
            f"the folder instead of the repo: {folder}"
        )
    damaged = [
        folder / name
        for name in state
        if not _is_right(folder / name, listed.get(name) if listed else _blob(folder / name))
    ]
    if not damaged:
        with contextlib.suppress(OSError):  # a cache that may only be read is verified each time
            write_json(part.stamp(folder), state)
    return damaged


def _blob(path: Path) -> str:
    """Return the ETag that names a file's content in the cache: where there is a listing, it alone counts."""
    return path.resolve().name


def _is_right(path: Path, named: str | None) -> bool:
    """Whether a file's checksum is what git calls it in the Hub's listing, or the ETag of it."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        return False
    content = sha256(path)
    return named in (content, git_oid(path), pointer_oid(content, size))


def _names(paths: list[Path], folder: Path) -> str:
    return ", ".join(path.relative_to(folder).as_posix() for path in paths)
