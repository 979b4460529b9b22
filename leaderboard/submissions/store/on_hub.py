"""Submissions in the datasets `requests` and `results` of a namespace on the Hub."""

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from leaderboard.submissions.holdings import Needed
from leaderboard.submissions.lifecycle import Submission, Transition
from leaderboard.submissions.store.base import (
    Admit,
    Broken,
    Damaged,
    Listing,
    NoSuchSubmission,
    Store,
    StoreFailed,
    arrived,
    check_file,
    decode,
    encode,
    find,
    is_request,
    next_version,
    now,
    numbered,
)
from leaderboard.submissions.store.latest import Latest
from leaderboard.submissions.store.pace import CLAIMS, HOUR, VISITORS, Pace
from zoo import gate, hub
from zoo.errors import ZooError
from zoo.gate.traffic import Spent
from zoo.regular_files import read_bytes
from zoo.settings import cache_folder, number

Answer = TypeVar("Answer")
File = tuple[str, str, int]  # path, git's id of what it holds, bytes
LOOK = 10.0  # seconds between looks at the Hub: open pages ask every two
SHORT = 2.0  # seconds that visitors wait for a look; then they get what was known before
SECONDS, UPLOADING = 300.0, 1800.0  # that the Hub may take, attempts included: for one thing, for files of a worker
FOR_VISITORS = 60.0  # for one thing that a visitor waits for, who holds a thread of the server
COMMITS = Spent("changes of submissions", VISITORS, HOUR)
FAILS = "Submissions are kept on the Hub, which does not answer as it should now. Try again later."
log = logging.getLogger(__name__)
MOST_BYTES = 500_000_000  # of all that the Hub sends for it
SEEN = "worker_seen.txt"  # in the results: when a worker last left a sign of life


class HubStore(Store):
    """Submissions in the datasets `requests` and `results` of a namespace on the Hub.

    Every write names the commit that it is based on as its parent. Whoever was slower is answered 412, reads again and
    tries again; so does whoever meets 409, 429 or 5xx.
    """

    lease = 600.0
    progress_every = 200.0  # each is a commit
    announce_every = 1800.0  # likewise
    publish_every = 60.0

    def __init__(self, namespace: str, backoff: hub.Backoff | None = None, visitors: bool = False):
        """Open it.

        Args:
            namespace: of the datasets.
            backoff: how failed requests are repeated.
            visitors: whether it is for those who look at pages and send networks, who wait less long than workers.
        """
        self.requests, self.results = f"{namespace}/requests", f"{namespace}/results"
        self.visitors = visitors
        self.seconds, self.patience = (FOR_VISITORS, SHORT) if visitors else (SECONDS, SECONDS)
        self.backoff = backoff or hub.Backoff(attempts=10, first=0.5, longest=20.0, seconds=self.seconds)
        self._files: dict[File, Submission | Broken] = {}  # what each says, of those that were there at the last look
        self._listing: tuple[str, list[File]] = "", []  # commit, and what is there
        self._latest = Latest(lambda: self._attempted(lambda: self._at(self._head())), LOOK)
        self._seen = Latest(self._look_for_workers, 6 * LOOK)
        self._pace = Pace()
        self._missed = -1e9  # when was last looked for an id that is not known

    def listing(self) -> Listing:
        """Return everything as it was at most `LOOK` seconds ago, or at the last look if the Hub does not answer now.

        One thread looks, and visitors hardly wait for it; claims read what is newest.
        """
        return self._latest.get(self.patience)

    def get(self, wanted: str) -> Submission:
        """Return a submission by its id; one that is not known is looked for again, if none was just now."""
        try:
            return super().get(wanted)
        except NoSuchSubmission:
            if time.monotonic() < self._missed + LOOK:
                raise
            self._missed = time.monotonic()
            self._latest.outdate()
            return super().get(wanted)

    def add(self, submission: Submission, content: bytes | None, admit: Admit) -> Submission:
        """Keep a new submission and its content in one commit, or return the earlier one that stands for it."""

        def attempt() -> Submission:
            head = self._head()
            listing = self._at(head)
            if found := arrived(submission, listing) or admit(listing):
                return found
            new = numbered(submission, listing)
            files = {new.path: encode(new)} | ({} if content is None else {new.file: content})
            self._commit(self.requests, files, f"Receive {new.id}", head)
            return new

        return self._noted(self._attempted(attempt))

    def change(self, wanted: str, transition: Transition) -> Submission:
        """Apply a transition as a commit on top of the state that it was applied to."""
        written: list[Submission] = []

        def attempt() -> Submission:
            head = self._head()
            before = find(self._at(head), wanted)
            if before in written:
                return before  # an attempt before this one arrived, though its answer was lost
            after = next_version(before, transition)
            if after != before:
                written.append(after)
                self._commit(self.requests, {after.path: encode(after)}, f"{after.status} {after.id}", head)
            return after

        return self._noted(self._attempted(attempt))

    def _noted(self, new: Submission) -> Submission:
        """Return what was written, which looks find from now on, also where the Hub is slow to list it."""

        def changed(known: Listing) -> Listing:
            others = (s for s in known.submissions if s.id != new.id)
            return Listing.of([*others, new, *known.broken])

        self._latest.amend(changed)
        return new

    def keep_results(self, folder: str, files: dict[str, bytes]) -> None:
        """Keep the files of a measurement in one commit; they are nobody else's, so it needs no parent."""
        named = {f"{folder}/{name}": content for name, content in files.items()}
        self._attempted(lambda: self._commit(self.results, named, folder), UPLOADING)

    def tidy(self) -> None:
        """Remove the results that no receipt needs any more in one commit, unless others are written meanwhile.

        The Hub keeps what was in earlier commits, and contents too: they are not counted here.
        """
        from huggingface_hub import CommitOperationDelete, HfApi
        from huggingface_hub.hf_api import RepoFile

        def attempt() -> None:
            head = self._head(self.results)  # before the receipts are read: what they need later is written after it
            tree = HfApi().list_repo_tree(self.results, recursive=True, revision=head, repo_type="dataset")
            paths = [entry.path for entry in tree if isinstance(entry, RepoFile) and "/" in entry.path]
            listing = self._at(self._head())
            needed = Needed(listing.submissions, [broken.path for broken in listing.broken])
            gone = [path for path in paths if not needed.result(*path.rpartition("/")[::2])]
            if gone:
                HfApi().create_commit(
                    self.results, [CommitOperationDelete(path) for path in gone], repo_type="dataset",
                    commit_message="Remove what no receipt needs", parent_commit=head,
                )  # fmt: skip

        self._attempted(attempt, UPLOADING)

    def result(self, folder: str, name: str) -> bytes:
        """Return one file of a measurement."""
        return self._file(self.results, f"{folder}/{name}", f"The result {name}")

    @property
    def usage(self) -> Path:
        """Where this machine counts who asks how often: addresses are nothing for the Hub."""
        return cache_folder() / f"usage-{self.requests.replace('/', '-')}.sqlite3"

    def _content(self, submission: Submission) -> bytes:
        return self._file(self.requests, submission.file, f"The content of {submission.id}")

    def _announce(self) -> None:
        self._attempted(lambda: self._commit(self.results, {SEEN: f"{now():.0f}\n".encode()}, "A worker is there"))

    def _last_announced(self) -> float | None:
        try:
            return self._seen.get(self.patience)
        except StoreFailed:
            return None

    def _look_for_workers(self) -> float | None:
        try:
            return float(self._file(self.results, SEEN, "The sign of life"))
        except (Damaged, ValueError):
            return None

    def _attempted(self, call: Callable[[], Answer], seconds: float | None = None) -> Answer:
        """Return what a call returns, in several attempts; StoreFailed where the Hub keeps failing or refuses."""
        own: list[ZooError] = []

        def attempt() -> Answer:
            try:
                return call()
            except ZooError as error:
                own.append(error)
                raise

        try:
            with hub.bounded(seconds or self.seconds, MOST_BYTES, self.requests):
                return hub.attempted(attempt, self.requests, self.backoff)
        except ZooError as error:
            if error in own and not isinstance(error, hub.OutOfBounds):
                raise
            log.warning("%s", error)  # a visitor can do nothing with it
            raise StoreFailed(FAILS) from error

    def _file(self, repo: str, path: str, what: str) -> bytes:
        """Return a file of the newest commit; Damaged if there is none."""
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        def download() -> bytes:
            try:
                with tempfile.TemporaryDirectory() as folder:  # not the cache, which strangers could fill
                    return self._download(repo, path, local_dir=folder)
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError as error:
                raise Damaged(f"{what} is missing in the store.") from error

        return self._attempted(download)

    def _head(self, wanted: str = "") -> str:
        """Return the newest commit of the requests, or of the results; the datasets are made where they are missing."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            return str(HfApi().repo_info(wanted or self.requests, repo_type="dataset").sha)
        except RepositoryNotFoundError:
            hub.require_token()
            private = not number("ZOO_PUBLIC_SUBMISSIONS")
            for repo in (self.requests, self.results):
                HfApi().create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
            return str(HfApi().repo_info(wanted or self.requests, repo_type="dataset").sha)

    def _at(self, head: str) -> Listing:
        """Return everything at a commit; only files that changed are fetched."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        commit, listed = self._listing
        if commit != head:
            tree = HfApi().list_repo_tree(self.requests, recursive=True, revision=head, repo_type="dataset")
            listed = [(e.path, e.blob_id, e.size) for e in tree if isinstance(e, RepoFile) and is_request(e.path)]
            self._listing = head, listed
        found: dict[File, Submission | Broken] = {}
        for file in listed:
            if (said := self._files.get(file)) is None:
                said = self._files[file] = self._read(*file, head)  # kept also where the next cannot be fetched
            found[file] = said
        self._files = found
        listing = Listing.of(list(found.values()))
        self._pace.look(listing.submissions)
        return listing

    def _read(self, path: str, blob: str, size: int, head: str) -> Submission | Broken:
        """Fetch a receipt at a commit; one that can be none is not fetched, as it would hold up the others."""
        try:
            check_file(path, size)
        except ZooError as error:
            return Broken.at(path, error)
        data = self._download(self.requests, path, head)
        try:
            return decode(data, path)
        except ZooError as error:
            return Broken.at(path, error)

    def takes_more(self) -> bool:
        """Return whether a worker may begin another submission: the last commits of an hour are for those that run."""
        return self._pace.changes() < CLAIMS

    def _download(self, repo: str, path: str, revision: str | None = None, local_dir: str | None = None) -> bytes:
        from huggingface_hub import HfApi

        there = HfApi().hf_hub_download(repo, path, revision=revision, repo_type="dataset", local_dir=local_dir)
        return read_bytes(Path(there))

    def _commit(self, repo: str, files: dict[str, bytes], message: str, parent: str | None = None) -> None:
        from huggingface_hub import CommitOperationAdd, HfApi

        if self.visitors:
            COMMITS.take(gate.caller().network)
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        try:
            HfApi().create_commit(repo, operations, commit_message=message, repo_type="dataset", parent_commit=parent)
        finally:
            self._latest.outdate()
