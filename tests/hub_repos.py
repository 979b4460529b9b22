"""What the Hub of `hub_server.py` keeps: repos, their commits, and the files at each."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


def contents(files: Mapping[str, Path]) -> dict[str, bytes]:
    """Return what files hold, as a repo has it."""
    return {name: path.read_bytes() for name, path in files.items()}


@dataclass(frozen=True)
class Blob:
    """A file at a commit."""

    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def oid(self) -> str:
        """What git calls it: of the pointer where the file is in LFS."""
        stored = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()


@dataclass
class Repo:
    """A repo: its commits, oldest first, each with the whole tree."""

    private: bool = False
    commits: list[tuple[str, str, dict[str, Blob]]] = field(default_factory=list)  # sha, message, path -> file
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    hardware: str = "cpu-basic"
    host: str | None = None  # of a Space: where it is served
    stage: str = "RUNNING"  # of a Space that has files

    def commit(self, message: str, tree: dict[str, Blob]) -> str:
        self.commits.append((secrets.token_hex(20), message, tree))  # never the same: clients remember commits
        return self.commits[-1][0]

    @property
    def head(self) -> str:
        return self.commits[-1][0]

    @property
    def files(self) -> dict[str, bytes]:
        """Path and content of every file at the head, but for the one that every repo is born with."""
        return {path: blob.data for path, blob in self.commits[-1][2].items() if path != ".gitattributes"}
