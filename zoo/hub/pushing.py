"""Push to the Hub: one commit a repo, only if something differs, on top of the commit that it was compared with."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zoo import cards, hub_cache
from zoo.errors import ZooError
from zoo.hub.contents import OWNED, git_oid, owned, sha256
from zoo.hub.failures import PATIENT, Backoff, Unreachable, attempted

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

LARGEST_FILE = 2 * 1024**3  # bytes: what ONNX can hold, and ten times the largest model of the zoo

Kind = Literal["model", "dataset", "space"]
EditedCard = Literal["refuse", "keep", "replace"]  # what becomes of a card that was edited on the Hub


class CardEdited(ZooError):
    """The card was edited on the Hub; `diff` is what a push would change in it."""

    def __init__(self, repo: str, diff: str):
        super().__init__(
            f"The card of {repo} was edited on the Hub, so nothing was pushed to it: keep that card (--cards keep) or "
            "replace it (--cards replace)."
        )
        self.diff = diff


@dataclass(frozen=True)
class Push:
    """What a push does to one repo, or would do: the paths that it adds, changes and deletes there."""

    repo: str
    head: str | None  # the commit that the files were compared with
    compared: bool = True  # False: the Hub could not be reached, so `added` is every file
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
        if not self.compared:
            state = f"{len(self.added)} files, compared with nothing because the Hub cannot be reached"
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
    that (409, 412), or is busy or broken (429, 5xx, a cut line), the comparison and the push are tried again.
    A push that was stopped is finished by the same call.

    Args:
        repo: "namespace/name"; made where it is missing.
        files: path in the repo -> file here.
        owned: patterns of paths that are the zoo's to delete where `files` has them no longer; others stay.
        edited_card: what to do with a README.md that was edited on the Hub, see `cards.sealed`.
        private: make a new repo private; one that exists is left as it is.
        dry_run: only compare; sends nothing and needs no token for a public repo, nor the Hub.
        space: further arguments of `create_repo` for a Space.

    Raises:
        CardEdited: the card was edited on the Hub, and is to be refused.
        Unreachable: there is no way to the Hub.
        ZooError: no token, one that may not write there, a file that is a link or too large, or a Hub that keeps
            failing.
    """
    from huggingface_hub import HfApi

    _check_files(repo, files)
    if not dry_run:
        require_token()
    api = HfApi()

    def compared() -> Push:
        return _compare(api, repo, files, kind, owned, edited_card)

    def attempt() -> Push:
        plan = compared()
        if dry_run or not plan.differs:
            return plan
        if plan.new:
            api.create_repo(repo, repo_type=kind, private=private or None, **space)
            plan = replace(compared(), new=True)
        return replace(plan, commit=_committed(api, plan, files, kind))

    try:
        return attempted(attempt, repo, backoff)
    except Unreachable:
        if not dry_run:
            raise
        return Push(repo, None, compared=False, added=tuple(sorted(files)))


def _committed(api: "HfApi", plan: Push, files: Mapping[str, Path], kind: Kind) -> str:
    """Make the commit of a plan on top of the one that it was compared with; return its hash."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations = [CommitOperationAdd(path, str(files[path])) for path in (*plan.added, *plan.changed)]
    operations += [CommitOperationDelete(path) for path in plan.deleted]
    message = f"Publish {plan.repo.rpartition('/')[2]}"
    done = api.create_commit(plan.repo, operations, commit_message=message, repo_type=kind, parent_commit=plan.head)
    return str(done.oid)


def _check_files(repo: str, files: Mapping[str, Path]) -> None:
    for path, file in files.items():
        if file.is_symlink():  # to a file that nobody named, which would be public then
            raise ZooError(f"{repo}: {file} is a link, so it is not pushed as {path}: copy the file there.")
        if file.stat().st_size > LARGEST_FILE:
            size, most = file.stat().st_size / 1024**3, LARGEST_FILE / 1024**3
            raise ZooError(f"{repo}: {path} is too large to push: {size:.1f} GiB, the most is {most:.0f} GiB.")


def require_token() -> None:
    """Raise ZooError if there is no token to write with; the token is not shown."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise ZooError("Pushing needs a token that may write: set HF_TOKEN or run `hf auth login`.")


def _compare(
    api: "HfApi",
    repo: str,
    files: Mapping[str, Path],
    kind: Kind,
    patterns: tuple[str, ...],
    edited_card: EditedCard,
) -> Push:
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
        hub_cache.of_repo(repo, kind)
        card = Path(api.hf_hub_download(repo, cards.CARD, revision=head, repo_type=kind)).read_text(encoding="utf-8")
        if not cards.is_sealed(card):
            ours = files[cards.CARD].read_text(encoding="utf-8")
            if edited_card == "refuse":
                raise CardEdited(repo, _diff(card, ours))
            changed.remove(cards.CARD)
            kept.append(cards.CARD)
    gone = [path for path in there if path not in files and owned(path, patterns)]
    return Push(
        repo,
        head,
        new=head is None,
        added=tuple(sorted(files.keys() - there.keys())),
        changed=tuple(sorted(changed)),
        deleted=tuple(sorted(path for path in gone if path != ".gitattributes")),  # the Hub's own
        kept=tuple(kept),
    )


def _differs(file: Path, remote: "RepoFile") -> bool:
    if file.stat().st_size != remote.size:
        return True
    return bool(sha256(file) != remote.lfs.sha256 if remote.lfs else git_oid(file) != remote.blob_id)


def _diff(theirs: str, ours: str) -> str:
    lines = difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "on the Hub", "to be pushed", lineterm="")
    return "\n".join(lines)
