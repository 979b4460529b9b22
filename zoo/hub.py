"""Published folders, wherever they are: on this disk, shipped with the package, or on the Hub, both ways.

What is pulled is complete and has the checksums that the Hub lists, or is not used. What is pushed is one commit a
repo, made only where something differs, on top of the very commit that it was compared with.
"""

import difflib
import fnmatch
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from zoo import cards, registry
from zoo.errors import UnknownName, ZooError, nearest
from zoo.files import read_json, write_json
from zoo.registry import ModelName
from zoo.settings import model_folders, namespace

log = logging.getLogger(__name__)

SCHEME = "hf://"
MODEL_FILES = ("config.json", "metadata.json", "model.weights.h5", "model.onnx", "preprocessor_config.json")
# What the zoo writes in a model repo.
OWNED = (
    *MODEL_FILES,
    "history.json",
    cards.CARD,
    ".eval_results/*",
    "figures/*",
)
LARGEST_FILE = 2 * 1024**3  # bytes: what ONNX can hold, and ten times the largest model of the zoo

Kind = Literal["model", "dataset", "space"]
EditedCard = Literal["refuse", "keep", "replace"]  # what becomes of a card that was edited on the Hub
Result = TypeVar("Result")


@dataclass(frozen=True)
class Backoff:
    """How often something is tried that the Hub or the line failed at, and how long is waited in between."""

    attempts: int = 6
    first: float = 1.0  # seconds before the second attempt; doubles
    longest: float = 30.0  # seconds; what the Hub asks for in Retry-After is waited whatever it is

    def waits(self) -> Iterator[float]:
        """Yield the seconds before the second, third, … attempt."""
        for n in range(self.attempts - 1):
            yield min(self.first * 2**n, self.longest)


PATIENT = Backoff()


class CardEdited(ZooError):
    """A card that somebody edited on the Hub stands in the way; `diff` is what a push would do to it."""

    def __init__(self, repo: str, diff: str):
        super().__init__(
            f"The card of {repo} was edited on the Hub, so nothing was pushed to it: keep that card (--cards keep) or "
            "replace it (--cards replace)."
        )
        self.diff = diff


# Pull


def list_models() -> tuple[str, ...]:
    """Return the names of the models that are shipped with the package or lie in a folder of `ZOO_MODELS`, sorted."""
    found = (path.parent.name for folder in model_folders() for path in folder.glob("*/preprocessor_config.json"))
    return tuple(sorted(set(found)))


def resolve(name: str | Path) -> Path:
    """Return the published folder that a name means, fetching it from the Hub where it is nowhere nearer.

    Args:
        name: a folder ("./runs/…/export"), a shipped model ("lenet5.mnist") or one in a folder of `ZOO_MODELS`, a
            model of the zoo's namespace on the Hub, pinned or not ("resco_mini.ahdd@<revision>"), or any repo
            ("hf://someone/lenet5.mnist@<revision>").

    Raises:
        UnknownName: no such model, here or on the Hub; lists the nearest that are shipped.
        ZooError: a folder that is not a published model, or a Hub that cannot be reached.
    """
    text = str(name)
    if isinstance(name, Path) or text.startswith((".", "/", "~")):
        return _checked(Path(text).expanduser(), text)
    if text.startswith(SCHEME):
        repo, _, revision = text.removeprefix(SCHEME).partition("@")
        return pull(repo, revision or None)
    model = ModelName.parse(text)
    here = next((folder / text for folder in model_folders() if (folder / text).is_dir()), None)
    if model.revision is None and here is not None:
        return here
    try:
        return pull(f"{namespace()}/{text.partition('@')[0]}", model.revision)
    except NoSuchRepo as error:
        if hint := _how_to_train(model):
            raise NoSuchRepo(f"{text!r} does not come with the package, and the Hub has none. {hint}") from error
        raise UnknownName("shipped model", text, list_models()) from error
    except ZooError as error:
        hint = _how_to_train(model) or f"Of those that do, {nearest(text, list_models())}"
        raise type(error)(f"{text!r} does not come with the package, and {error} {hint}") from error


def _how_to_train(model: ModelName) -> str | None:
    """Say how to get a model that the zoo defines but does not ship; None if it defines none of that name."""
    known = registry.architectures().get(model.architecture)
    if known is None or model.dataset not in known.datasets or model.recipe not in known.recipes:
        return None
    return f"Go online, or train it: python scripts/train_all.py --only {replace(model, revision=None)}"


def pull(repo: str, revision: str | None = None, backoff: Backoff = PATIENT) -> Path:
    """Return the folder of a model repo in the Hub's cache, complete and verified.

    Of a repo only the files that the zoo knows are fetched. A commit that is in the cache is used without asking the
    Hub; a branch is used as it was last seen if the Hub cannot be reached, or must not be (`HF_HUB_OFFLINE=1`).

    Every file is compared, once after it came, with the Hub's checksum of it: SHA-256 for what is in LFS, git's SHA-1
    for the rest. A file that differs is thrown away and fetched once more.

    Args:
        repo: "namespace/name".
        revision: a commit, branch or tag; None: the newest.

    Raises:
        NoSuchRepo: the Hub has no such repo, or none that may be seen.
        ZooError: it cannot be had whole, has another checksum, or is not a published model.
    """
    if folder := _remembered(repo, revision):
        return folder
    from huggingface_hub import snapshot_download  # takes twice as long to import as a small model to load

    at = f"{repo} at {revision}" if revision else repo
    damaged = []
    for _ in range(2):
        folder = Path(
            attempted(lambda: snapshot_download(repo, revision=revision, allow_patterns=list(OWNED)), at, backoff)
        )
        _checked(folder, at)
        damaged = _damaged(repo, folder)
        if not damaged:
            return folder
        log.warning("%s: another checksum than the Hub's, so it is fetched again: %s", at, _names(damaged, folder))
        for path in damaged:
            content = path.resolve()
            path.unlink(missing_ok=True)
            content.unlink(missing_ok=True)
    raise ZooError(f"{at}: {_names(damaged, folder)} came twice with another checksum than the Hub lists; not used.")


def _checked(folder: Path, name: str) -> Path:
    missing = [file for file in MODEL_FILES if not (folder / file).is_file()]
    if missing:
        raise ZooError(f"{name} is not a published model: there is no {' and no '.join(missing)} in it.")
    return folder


def _remembered(repo: str, revision: str | None) -> Path | None:
    """Return the snapshot in the cache, if it needs no asking the Hub and was found whole and right before."""
    from huggingface_hub import constants

    storage = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    commit = revision
    if revision is None or not re.fullmatch("[0-9a-f]{40}", revision):
        reference = storage / "refs" / (revision or constants.DEFAULT_REVISION)
        if not (constants.is_offline_mode() and reference.is_file()):
            return None
        commit = reference.read_text().strip()
    folder = storage / "snapshots" / commit
    stamp = _stamp(folder)
    return folder if stamp.is_file() and read_json(stamp) == _state(folder) else None


def _stamp(folder: Path) -> Path:
    """Return the file beside a snapshot that remembers in which state it was verified."""
    return folder.parent.parent / "verified" / f"{folder.name}.json"


def _state(folder: Path) -> dict[str, list[int]]:
    """Return size and time of change of the zoo's files in a snapshot, by path; others may fetch more of a repo."""
    paths = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in sorted(paths.items()) if _owned(name, OWNED)}


def _damaged(repo: str, folder: Path) -> list[Path]:
    """Return the files of a snapshot that differ from the Hub's listing of its commit.

    That there are none is remembered, so that a warm load does not read everything twice.
    """
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    state, stamp = _state(folder), _stamp(folder)
    if stamp.is_file() and read_json(stamp) == state:
        return []
    try:
        listed = {file.path: file.blob_id for file in get_cached_repo_tree(repo, revision=folder.name)}
    except CachedRepoTreeNotFoundError as error:
        raise ZooError(f"{repo} is in the cache without its checksums: load it once online.") from error
    damaged = [folder / name for name in state if not _is_right(folder / name, listed.get(name))]
    if not damaged:
        write_json(stamp, state)
    return damaged


def _is_right(path: Path, listed: str | None) -> bool:
    """Whether a file's checksum is what git calls it in the Hub's listing, or the ETag that names it in the cache."""
    sha256 = _sha256(path)
    found = {sha256, _git_oid(path), _pointer_oid(sha256, path.stat().st_size)}
    return bool(found & {listed, path.resolve().name})


def _owned(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def _names(paths: list[Path], folder: Path) -> str:
    return ", ".join(path.relative_to(folder).as_posix() for path in paths)


# Push


@dataclass(frozen=True)
class Push:
    """What a push does to one repo, or would do: the paths that it adds, changes and deletes there."""

    repo: str
    head: str | None  # the commit that the files were compared with
    new: bool = False  # there was no such repo
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()  # a card that was edited on the Hub and stays as it is
    commit: str | None = None  # what was committed; None: nothing

    @property
    def differs(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.added or self.changed or self.deleted)

    def __str__(self) -> str:
        parts = [f"{len(paths)} {verb}" for verb in ("added", "changed", "deleted") if (paths := getattr(self, verb))]
        if self.kept:
            parts.append("the edited card kept")
        state = ", ".join(parts) if self.differs else "unchanged" + (", the edited card kept" if self.kept else "")
        return f"{self.repo}: {'new repo, ' if self.new else ''}{state}" + (
            f" -> {self.commit[:12]}" if self.commit else ""
        )


def push(
    repo: str,
    files: Mapping[str, Path],
    *,
    kind: Kind = "model",
    owned: tuple[str, ...] = OWNED,
    edited_card: EditedCard = "refuse",
    private: bool = False,
    dry_run: bool = False,
    backoff: Backoff = PATIENT,
    **space: str,
) -> Push:
    """Bring a repo to these files in one commit, or leave it as it is where nothing differs.

    Files are compared by the checksums in the Hub's listing, before anything is sent. The commit names the one that
    was compared with as its parent, so that nobody else's change is ever overwritten unseen; if the Hub refuses it for
    that (409, 412), or is busy or broken (429, 5xx, a cut line), the comparison is made anew and the push tried again.
    A push that was stopped is finished by the same call.

    Args:
        repo: "namespace/name"; made where it is missing.
        files: path in the repo -> file here.
        owned: patterns of paths that are the zoo's to delete where `files` has them no longer; others stay.
        edited_card: what to do with a README.md that was edited on the Hub, see `cards.sealed`.
        private: make a new repo private; one that exists is left as it is.
        dry_run: only compare; sends nothing and needs no token for a public repo.
        space: further arguments of `create_repo` for a Space.

    Raises:
        CardEdited: the card was edited on the Hub, and is to be refused.
        ZooError: no token, one that may not write there, a file that is too large, or a Hub that went on failing.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    for path, file in files.items():
        if file.stat().st_size > LARGEST_FILE:
            size, most = file.stat().st_size / 1024**3, LARGEST_FILE / 1024**3
            raise ZooError(f"{repo}: {path} is too large to push: {size:.1f} GiB, the most is {most:.0f} GiB.")
    if not dry_run:
        require_token()
    api = HfApi()

    def attempt() -> Push:
        plan = _compare(api, repo, files, kind, owned, edited_card)
        if dry_run or not plan.differs:
            return plan
        if plan.new:
            api.create_repo(repo, repo_type=kind, private=private or None, **space)
            plan = replace(_compare(api, repo, files, kind, owned, edited_card), new=True)
        operations = [CommitOperationAdd(path, str(files[path])) for path in (*plan.added, *plan.changed)]
        operations += [CommitOperationDelete(path) for path in plan.deleted]
        done = api.create_commit(
            repo,
            operations,
            commit_message=f"Publish {repo.rpartition('/')[2]}",
            repo_type=kind,
            parent_commit=plan.head,
        )
        return replace(plan, commit=done.oid)

    return attempted(attempt, repo, backoff)


def require_token() -> None:
    """Raise ZooError where there is no token to write with; it is never read for anything else, nor shown."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise ZooError("Pushing needs a token that may write: set HF_TOKEN or run `hf auth login`.")


def _compare(api, repo: str, files: Mapping[str, Path], kind: Kind, owned: tuple[str, ...], edited_card) -> Push:
    """Return what differs between the files here and the repo's head."""
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    try:
        head = api.repo_info(repo, repo_type=kind).sha
        tree = api.list_repo_tree(repo, recursive=True, revision=head, repo_type=kind)
        there = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    except RepositoryNotFoundError:
        head, there = None, {}
    changed = [path for path in files if path in there and _differs(files[path], there[path])]
    kept = []
    if cards.CARD in changed and edited_card != "replace":
        card = Path(api.hf_hub_download(repo, cards.CARD, revision=head, repo_type=kind)).read_text(encoding="utf-8")
        if not cards.is_sealed(card):
            ours = files[cards.CARD].read_text(encoding="utf-8")
            if edited_card == "refuse":
                raise CardEdited(repo, _diff(card, ours))
            changed.remove(cards.CARD)
            kept.append(cards.CARD)
    gone = [path for path in there if path not in files and _owned(path, owned)]
    return Push(
        repo,
        head,
        new=head is None,
        added=tuple(sorted(files.keys() - there.keys())),
        changed=tuple(sorted(changed)),
        deleted=tuple(sorted(path for path in gone if path != ".gitattributes")),  # the Hub's own
        kept=tuple(kept),
    )


def _differs(file: Path, remote) -> bool:
    if file.stat().st_size != remote.size:
        return True
    return _sha256(file) != remote.lfs.sha256 if remote.lfs else _git_oid(file) != remote.blob_id


def _diff(theirs: str, ours: str) -> str:
    lines = difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "on the Hub", "to be pushed", lineterm="")
    return "\n".join(lines)


# Checksums


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_oid(path: Path) -> str:
    """Return git's SHA-1 of a file."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _pointer_oid(sha256: str, size: int) -> str:
    """Return git's SHA-1 of the LFS pointer that stands for a file."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest()


# What goes wrong


class NoSuchRepo(ZooError):
    """A repo that the Hub does not have, or does not show."""


class Forbidden(ZooError):
    """A token that is unknown, or that may not do what is asked."""


def attempted(call: Callable[[], Result], about: str, backoff: Backoff = PATIENT) -> Result:
    """Return what `call` returns; where the Hub or the line fails in a way that may pass, wait and call it again.

    Args:
        call: something that may be called again after it failed half-way.
        about: what the sentence of an error is to name, for example the repo.

    Raises:
        NoSuchRepo: the Hub has no such repo, or none that may be seen.
        Forbidden: the token is unknown, or may not do this.
        ZooError: anything else that the Hub refused, or went on failing at.
    """
    from huggingface_hub.utils import httpx

    waits = backoff.waits()
    while True:
        try:
            return call()
        except ZooError:
            raise
        except (httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
            cause = _hub_error(error)
            if cause is None:
                raise
            wait = next(waits, None) if _may_pass(cause) else None
            if wait is None:
                raise _as_zoo_error(cause, about) from error
            wait = max(wait, _asked_to_wait(cause))
            log.warning("%s: %s; trying again in %.1f s", about, _reason(cause), wait)
            time.sleep(wait)


def _hub_error(error: BaseException) -> BaseException | None:
    """Return the error in a chain that says what the Hub or the line did; the client wraps some in others."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )
    from huggingface_hub.utils import httpx

    telling = (HfHubHTTPError, httpx.HTTPError, OfflineModeIsEnabled, HFValidationError, json.JSONDecodeError)
    chain, link = [], error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    found = [link for link in chain if isinstance(link, telling)]
    if isinstance(error, IncompleteSnapshotError) and not (found and _may_pass(found[0])):
        return error
    if found:
        return found[0]
    if isinstance(error, LocalEntryNotFoundError) or "Consistency check failed" in str(error):
        return error
    return error if "LFS batch API returned errors" in str(error) else None


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else response.status_code


def _may_pass(error: BaseException) -> bool:
    """Whether trying again may help: conflicts, a busy or broken Hub, a line that was cut; not a line that is down."""
    from huggingface_hub.utils import httpx

    status = _status(error)
    if status is not None:
        return status in (408, 409, 412, 429) or status >= 500
    if isinstance(error, httpx.ConnectError):
        return False
    # A page of HTML where JSON was due is a gateway's; a short file is a cut line's.
    return isinstance(error, (httpx.TransportError, json.JSONDecodeError)) or "Consistency check" in str(error)


def _asked_to_wait(error: BaseException) -> float:
    """Return the seconds of Retry-After, 0 where it says none."""
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return float(asked) if asked.isdigit() else 0.0


def _reason(error: BaseException) -> str:
    """Say what happened in a few words, without anything that looks like a token."""
    status, said = _status(error), getattr(error, "server_message", None)
    if status is not None:
        text = f"the Hub answered {status}" + (f" ({said.strip().splitlines()[0]})" if said and said.strip() else "")
    else:
        lines = str(error).strip().splitlines()
        text = lines[0] if lines else type(error).__name__
    return re.sub(r"hf_\w{4,}", "hf_…", text).rstrip(".")


def _as_zoo_error(error: BaseException, about: str) -> ZooError:
    from huggingface_hub.errors import (
        HFValidationError,
        IncompleteSnapshotError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx

    status, reason = _status(error), _reason(error)
    if isinstance(error, RepositoryNotFoundError):
        return NoSuchRepo(f"The Hub has no repo {about}, or none that may be seen with the token that is set.")
    if isinstance(error, RevisionNotFoundError):
        return ZooError(f"The Hub has no such revision: {about}.")
    if isinstance(error, HFValidationError):
        return ZooError(f"{about!r} cannot be a repo's name: expected namespace/name ({reason}).")
    if isinstance(error, IncompleteSnapshotError):
        return ZooError(f"Only a part of {about} is in the cache, which is not used: load it once more online.")
    if isinstance(error, (OfflineModeIsEnabled, httpx.ConnectError, FileNotFoundError)):
        return ZooError(f"{about} is not in the cache, and the Hub cannot be reached ({reason}).")
    if status == 401:
        return Forbidden(f"{about}: the Hub does not accept the token; set HF_TOKEN to a valid one ({reason}).")
    if status == 403:
        return Forbidden(f"{about}: the token may not do this; it needs write access to that namespace ({reason}).")
    if _may_pass(error):
        return ZooError(f"{about}: the Hub went on failing ({reason}); later, the same command goes on from here.")
    return ZooError(f"{about}: the Hub refused it ({reason}).")


def account(patience: float = 3.0) -> str | None:
    """Return whose token is used on the Hub, as the Hub says; None where there is no token.

    Args:
        patience: seconds.

    Raises:
        ZooError: the Hub cannot be reached, or does not know the token.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx

    known = get_token() is not None
    address = f"{constants.ENDPOINT}/api/{'whoami-v2' if known else 'models?limit=1'}"
    try:
        answer = get_session().get(address, headers=build_hf_headers(), timeout=patience)
        if known:  # to anybody, any answer will do
            hf_raise_for_status(answer)
    except HfHubHTTPError as error:
        raise _as_zoo_error(error, constants.ENDPOINT) from error
    except (OfflineModeIsEnabled, httpx.TransportError) as error:
        raise ZooError(f"The Hub cannot be reached ({_reason(error)}).") from error
    return answer.json()["name"] if known else None
