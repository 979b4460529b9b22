"""Where submissions are kept: one interface, two places with the same layout.

    requests/<user>/<name>_eval_request_<id>.json   what was sent and what became of it
    requests/files/<sha256>.<kind>                  its content
    results/<user>__<name>/<revision>/<dataset>.*   what was measured: a record, predictions, the ONNX file

`LocalStore` has them in a folder, `HubStore` in the datasets `requests` and `results` of a namespace. Whatever changes
a submission is a pure transition of `receipt`, applied to its newest state and written in one step, if nobody was
faster: under a file lock, or as a commit on top of the one that was read. So a claim has one winner.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from leaderboard.submissions.lifecycle import ID, Submission, Transition
from zoo import hub
from zoo.errors import ZooError
from zoo.files import replacing

SCHEME = "hf://"
SETTLED = 2.0  # seconds after which a folder's date is taken to tell of every change before it
LOOK = 10.0  # seconds between looks at the Hub: open pages ask every two
Admit = Callable[[list[Submission]], Submission | None]  # earlier ones -> the one that stands for a new one; may raise


class NoSuchSubmission(ZooError):
    """An id that no submission has."""

    def __init__(self, wanted: str):
        super().__init__(f"There is no submission {wanted[:40]!r}: an id looks like 20261121-7f3a9c2e.")


class StoreFailed(ZooError):
    """The store could not be read or written; what was there is as it was."""


class Store(ABC):
    """What every place of submissions can do; instances may be shared by threads and processes."""

    @abstractmethod
    def all(self) -> list[Submission]:
        """Return every submission, oldest first."""

    @abstractmethod
    def add(self, submission: Submission, content: bytes | None, admit: Admit) -> Submission:
        """Keep a new submission and its content, or return the earlier one that `admit` names in its stead."""

    @abstractmethod
    def change(self, wanted: str, transition: Transition) -> Submission:
        """Apply a transition to the newest state of a submission; what it raises is raised, and nothing is changed."""

    @abstractmethod
    def content(self, submission: Submission) -> bytes:
        """Return what was sent, cleaned."""

    @abstractmethod
    def keep_results(self, folder: str, files: dict[str, bytes]) -> None:
        """Keep the files of a measurement, name -> content, all at once."""

    @abstractmethod
    def result(self, folder: str, name: str) -> bytes:
        """Return one file of a measurement; StoreFailed if it is not there."""

    def get(self, wanted: str) -> Submission:
        """Return a submission by its id."""
        for submission in self.all():
            if submission.id == wanted:
                return submission
        raise NoSuchSubmission(wanted)


def open_store(place: str | None = None) -> Store:
    """Return the store that a place names, or `ZOO_SUBMISSIONS`: a folder, or hf://<namespace>."""
    place = place or os.environ.get("ZOO_SUBMISSIONS") or str(Path(__file__).parents[2] / "runs" / "submissions")
    return HubStore(place.removeprefix(SCHEME)) if place.startswith(SCHEME) else LocalStore(Path(place))


def _next(before: Submission, transition: Transition) -> Submission:
    """Return the next version of a submission; its history only grows."""
    after = transition(before)
    if (after.id, after.user, after.digest) != (before.id, before.user, before.digest):
        raise AssertionError("a transition does not make another submission")
    if after.history[: len(before.history)] != before.history:
        raise AssertionError("the history is only appended to")
    return after if after == before else replace(after, version=before.version + 1)


def _encode(submission: Submission) -> bytes:
    return (json.dumps(submission.to_dict(), indent=1, ensure_ascii=False) + "\n").encode()


def _decode(data: bytes) -> Submission:
    return Submission.from_dict(json.loads(data))


class LocalStore(Store):
    """Submissions in a folder of this machine, for any number of processes."""

    def __init__(self, root: Path):
        self.root = root
        self._read: dict[Path, tuple[tuple[int, int], Submission]] = {}  # by path: time of change and inode, content
        self._folders: dict[str, tuple[int, list[Submission]]] = {}  # by user: time of change, submissions
        self._paths: dict[str, Path] = {}  # by id, of those that were seen

    def all(self) -> list[Submission]:
        """Return every submission, oldest first; only the folders of users where something changed are read again."""
        found: list[Submission] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root / "requests") as folders:
            for folder in folders:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    found += self._of_user(folder)
        return sorted(found, key=lambda s: (s.created, s.id))

    def _of_user(self, folder: os.DirEntry) -> list[Submission]:
        """Return the submissions in a user's folder; every write replaces a file there, which dates the folder."""
        changed = os.stat(folder.path).st_mtime_ns
        if folder.name in self._folders and self._folders[folder.name][0] == changed:
            return self._folders[folder.name][1]
        found = []
        for path in Path(folder.path).glob("*_eval_request_*.json"):
            with contextlib.suppress(FileNotFoundError):
                found.append(self._load(path))
                self._paths[found[-1].id] = path
        # A folder's date has ticks of some milliseconds: what changed just now may change again within one.
        settled = time.time_ns() - changed > SETTLED * 1e9
        self._folders[folder.name] = changed if settled else -1, found
        return found

    def get(self, wanted: str) -> Submission:
        """Return a submission by its id."""
        return self._load(self._path(wanted))

    def add(self, submission: Submission, content: bytes | None, admit: Admit) -> Submission:
        """Keep a new submission and its content, or return the earlier one that `admit` names in its stead."""
        with self._locked():
            self._sweep()
            if earlier := admit(self.all()):
                return earlier
            if content is not None:
                self._write(self.root / "requests" / submission.file, content)
            self._write(self.root / "requests" / submission.path, _encode(submission))
        return submission

    def change(self, wanted: str, transition: Transition) -> Submission:
        """Apply a transition under the lock."""
        with self._locked():
            path = self._path(wanted)
            before = _decode(path.read_bytes())
            after = _next(before, transition)
            if after is not before and after != before:
                self._write(path, _encode(after))
            return after

    def content(self, submission: Submission) -> bytes:
        """Return what was sent, cleaned."""
        return self._bytes(self.root / "requests" / submission.file)

    def keep_results(self, folder: str, files: dict[str, bytes]) -> None:
        """Keep the files of a measurement."""
        for name, content in files.items():
            self._write(self.root / "results" / folder / name, content)

    def result(self, folder: str, name: str) -> bytes:
        """Return one file of a measurement."""
        return self._bytes(self.root / "results" / folder / name)

    def _path(self, wanted: str) -> Path:
        if not ID.fullmatch(wanted):
            raise NoSuchSubmission(wanted)
        path = self._paths.get(wanted)
        if path is None or not path.exists():
            path = next(self.root.glob(f"requests/*/*_eval_request_{wanted}.json"), None)
        if path is None:
            raise NoSuchSubmission(wanted)
        self._paths[wanted] = path
        return path

    def _load(self, path: Path) -> Submission:
        stat = path.stat()
        state = stat.st_mtime_ns, stat.st_ino  # every write is another file
        if path not in self._read or self._read[path][0] != state:
            self._read[path] = state, _decode(path.read_bytes())
        return self._read[path][1]

    def _bytes(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise StoreFailed(f"{path.name} cannot be read from the store: {error.strerror}.") from error

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file that is whole or not there, and outlives a crash of the machine."""
        try:
            with replacing(path) as staged, staged.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreFailed(
                f"Nothing was kept: the store cannot be written ({error.strerror}). Try again."
            ) from error

    def _sweep(self) -> None:
        """Remove what a killed process left half-written: nobody else writes requests while the lock is held."""
        for staging in self.root.glob("requests/*/.*-*"):
            shutil.rmtree(staging, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store's lock: it falls with the process that holds it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class HubStore(Store):
    """Submissions in the datasets `requests` and `results` of a namespace on the Hub.

    Every write names the commit that it was worked out from as its parent. Whoever was slower is answered 412, reads
    again and tries again; so does whoever meets 409, 429 or 5xx.
    """

    def __init__(self, namespace: str, backoff: hub.Backoff | None = None):
        self.requests, self.results = f"{namespace}/requests", f"{namespace}/results"
        self.backoff = backoff or hub.Backoff(attempts=10, first=0.5, longest=20.0)
        self._blobs: dict[str, Submission] = {}  # git's id of a request file -> what it says
        self._listing: tuple[str, dict[str, str]] = "", {}  # commit, path -> git's id
        self._looked: tuple[float, list[Submission]] = -LOOK, []  # when, what was there

    def all(self) -> list[Submission]:
        """Return every submission, oldest first, as it was at most `LOOK` seconds ago; claims read what is newest."""
        if time.monotonic() > self._looked[0] + LOOK:
            self._looked = time.monotonic(), self._attempted(lambda: self._at(self._head()))
        return list(self._looked[1])

    def get(self, wanted: str) -> Submission:
        """Return a submission by its id; one that is not known is looked for anew."""
        try:
            return super().get(wanted)
        except NoSuchSubmission:
            self._looked = -LOOK, []
            return super().get(wanted)

    def add(self, submission: Submission, content: bytes | None, admit: Admit) -> Submission:
        """Keep a new submission and its content in one commit, or return the earlier one that stands for it."""
        files = {submission.path: _encode(submission)}
        if content is not None:
            files[submission.file] = content

        def attempt() -> Submission:
            head = self._head()
            earlier = self._at(head)
            if any(other.id == submission.id for other in earlier):
                return submission  # an attempt before this one arrived, though its answer was lost
            if found := admit(earlier):
                return found
            self._commit(self.requests, files, f"Receive {submission.id}", head)
            return submission

        return self._attempted(attempt)

    def change(self, wanted: str, transition: Transition) -> Submission:
        """Apply a transition as a commit on top of the state that it was applied to."""
        written: list[Submission] = []

        def attempt() -> Submission:
            head = self._head()
            before = next((s for s in self._at(head) if s.id == wanted), None)
            if before is None:
                raise NoSuchSubmission(wanted)
            if before in written:
                return before  # an attempt before this one arrived, though its answer was lost
            after = _next(before, transition)
            if after != before:
                written.append(after)
                self._commit(self.requests, {after.path: _encode(after)}, f"{after.status} {after.id}", head)
            return after

        return self._attempted(attempt)

    def content(self, submission: Submission) -> bytes:
        """Return what was sent, cleaned."""
        return self._attempted(lambda: self._download(self.requests, submission.file))

    def keep_results(self, folder: str, files: dict[str, bytes]) -> None:
        """Keep the files of a measurement in one commit; they are nobody else's, so it needs no parent."""
        self._attempted(lambda: self._commit(self.results, {f"{folder}/{n}": c for n, c in files.items()}, folder))

    def result(self, folder: str, name: str) -> bytes:
        """Return one file of a measurement."""
        return self._attempted(lambda: self._download(self.results, f"{folder}/{name}"))

    def _attempted(self, call):
        return hub.attempted(call, self.requests, self.backoff)

    def _head(self) -> str:
        """Return the newest commit of the requests; the datasets are made where they are missing."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            return HfApi().repo_info(self.requests, repo_type="dataset").sha
        except RepositoryNotFoundError:
            hub.require_token()
            for repo in (self.requests, self.results):
                HfApi().create_repo(repo, repo_type="dataset", exist_ok=True)
            return HfApi().repo_info(self.requests, repo_type="dataset").sha

    def _at(self, head: str) -> list[Submission]:
        """Return every submission at a commit; only files that changed are fetched."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        if self._listing[0] != head:
            tree = HfApi().list_repo_tree(self.requests, recursive=True, revision=head, repo_type="dataset")
            listed = {e.path: e.blob_id for e in tree if isinstance(e, RepoFile) and e.path.endswith(".json")}
            self._listing = head, {path: blob for path, blob in listed.items() if "_eval_request_" in path}
        found = []
        for path, blob in self._listing[1].items():
            if blob not in self._blobs:
                self._blobs[blob] = _decode(self._download(self.requests, path, head))
            found.append(self._blobs[blob])
        return sorted(found, key=lambda s: (s.created, s.id))

    def _download(self, repo: str, path: str, revision: str | None = None) -> bytes:
        from huggingface_hub import HfApi

        return Path(HfApi().hf_hub_download(repo, path, revision=revision, repo_type="dataset")).read_bytes()

    def _commit(self, repo: str, files: dict[str, bytes], message: str, parent: str | None = None) -> None:
        from huggingface_hub import CommitOperationAdd, HfApi

        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        try:
            HfApi().create_commit(repo, operations, commit_message=message, repo_type="dataset", parent_commit=parent)
        finally:
            self._looked = -LOOK, []


# Models that are sent as a repo on the Hub

MODEL_NAMES = ("model.keras", "model.onnx")
LAYOUT = ("metadata.json", "config.json", "model.weights.h5")  # a Keras model that is not zipped


def fetch_model(repo: str, revision: str | None, most_bytes: int) -> tuple[str, dict[str, bytes]]:
    """Return the commit and the model files of a repo: model.keras, model.onnx, or the unzipped Keras layout.

    Sizes are read from the Hub's listing before anything is fetched, and nothing but these files is.

    Raises:
        ZooError: no such repo or revision, no model in it, or one that is too large.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    anybody = HfApi(token=False)  # a stranger is not to see what only this Space's token may

    def look() -> tuple[str, dict[str, int]]:
        commit = anybody.repo_info(repo, revision=revision).sha
        tree = anybody.list_repo_tree(repo, revision=commit)
        return commit, {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}

    at = f"{repo}@{revision}" if revision else repo
    patience = hub.Backoff(attempts=3, first=0.5, longest=2.0)
    commit, sizes = hub.attempted(look, at, patience)
    chosen = next(((name,) for name in MODEL_NAMES if name in sizes), LAYOUT if set(LAYOUT) <= set(sizes) else ())
    if not chosen:
        raise ZooError(f"{at} holds no model: expected model.keras, model.onnx, or {', '.join(LAYOUT)}.")
    if sum(sizes[name] for name in chosen) > most_bytes:
        raise ZooError(f"The model of {at} is too large: the most is {most_bytes / 1e6:.0f} MB.")

    def fetch() -> dict[str, bytes]:
        paths = {name: anybody.hf_hub_download(repo, name, revision=commit) for name in chosen}
        return {name: Path(path).read_bytes() for name, path in paths.items()}

    return commit, hub.attempted(fetch, at, patience)


def user_of_token(token: str) -> str:
    """Return whose token this is, as the Hub says; the token is used for that alone and not kept."""
    from huggingface_hub import HfApi

    patience = hub.Backoff(attempts=2, first=0.5, longest=1.0)
    return hub.attempted(lambda: HfApi(token=token).whoami()["name"], "The token that was sent", patience)


def now() -> float:
    """Return seconds since 1970, by which leases are reckoned."""
    return time.time()
