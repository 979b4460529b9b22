"""Sandboxes on Hugging Face Jobs, for workers on machines that cannot confine one.

    ZOO_SANDBOX=jobs ZOO_SANDBOX_IMAGE=hf.co/spaces/you/space python scripts/evaluate_submissions.py

Each measurement gets its own virtual machine (`huggingface_hub.Sandbox`), which is deleted afterwards. Our code is
copied there and starts as it does here: it confines itself, and the submission follows only after all probes were
blocked. No token is given to it as a secret; but the client sends the token that started it with each request, and only
the Hub's proxy keeps that from the machine: `ZOO_JOBS_TOKEN` is one that allows nothing else. The image needs Python
with the requirements of this package.

A submission may own its machine, so nothing that the machine answers is believed: each answer has a deadline and a
number of bytes (`_reached`), and so has everything that it sends in its life.
"""

import contextlib
import io
import json
import logging
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Thread

import numpy as np
from huggingface_hub import Sandbox
from huggingface_hub.errors import SandboxError

from leaderboard.submissions.sandbox import (
    LARGEST_LOG,
    LARGEST_MODEL,
    LARGEST_PORTABLE,
    MEASURING,
    POLL,
    ROOT,
    SMALL,
    Box,
    Cancelled,
    NoMachine,
    NotReached,
    Outcome,
    Unfit,
    check_isolation,
    child,
    environment,
)  # fmt: skip
from zoo import hub, settings
from zoo.processes.confinement import Resources
from zoo.types import Json

log = logging.getLogger(__name__)

ABOUT = "The machine of a sandbox"
FLAVOR = "cpu-basic"  # two processors and 16 GB
START = 300.0  # seconds within which a machine must be there, and within which the child must be ready
LOOK = 2.0  # seconds between looks at the progress
GRACE = 60.0  # seconds after its wall time within which the machine must say that the child has ended
ANSWER = 30.0  # seconds within which it must answer a short question
ANSWER_BYTES = 100_000  # of such an answer
STARTING_BYTES = 5_000_000  # of the answers to whether a machine has started: one of some kB every two seconds
FILE_BYTES = 2_500_000  # of a file that comes in one answer: the client reads one of more than 2 MiB in parts
LIFE = 7 * START  # seconds beyond its wall time that a machine is used
LIFE_BYTES = 2 * (LARGEST_MODEL + LARGEST_PORTABLE)  # of those parts, which threads of the client read


class JobBox(Box):
    """A sandboxed process on a machine of its own, good for one job; used as `Box` is.

    What the child leaves is copied to `folder`, a folder here, where it is read with the same distrust.
    """

    def __init__(self, kind: str, resources: Resources = MEASURING, readable: tuple[Path, ...] = ()):
        self.resources, self.kind, self.readable = resources, kind, readable
        self.exit_code: int | None = None
        self._make_folder()
        self.there = f"/tmp/submission-{secrets.token_hex(8)}"
        image = settings.sandbox_image()
        try:
            sentence = f"No machine for a sandbox could be started from {image}"
            with _reached(sentence, NoMachine, START + GRACE, STARTING_BYTES):
                self.machine = Sandbox.create(
                    image, flavor=FLAVOR, idle_timeout=resources.wall + START, start_timeout=START,
                    token=settings.value("ZOO_JOBS_TOKEN") or None,
                )  # fmt: skip
        except NotReached:
            self._remove_folder()
            raise
        try:
            with _reached(kind=NoMachine, seconds=START, most_bytes=LARGEST_LOG):
                hub.keep(self.machine._server._client, resources.wall + LIFE, LIFE_BYTES, ABOUT)
                self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        """Copy our code there, what may be read, and a file that must not be."""
        files = self.machine.files
        files.mkdir(f"{self.there}/own/tmp")
        files.write(f"{self.there}/outside/secret", self.outside.read_bytes())
        code = [path for package in ("zoo", "leaderboard") for path in (ROOT / package).rglob("*.py")]
        parts = [(ROOT, code), *((folder, [p for p in folder.rglob("*") if p.is_file()]) for folder in self.readable)]
        for number, (folder, paths) in enumerate(parts):
            files.write(f"{self.there}/{number}.tar", _packed(folder, paths))
            self.machine.run(["python", "-m", "tarfile", "-e", f"{self.there}/{number}.tar", f"{self.there}/{number}"])
        self.python = self.machine.run(["python", "-c", "import sys; print(sys.executable)"]).stdout.strip()

    def close(self) -> None:
        """End the machine; one that cannot be reached ends by itself when nothing has used it for a while."""
        try:
            with hub.bounded(ANSWER, ANSWER_BYTES, ABOUT):
                self.machine.kill()
        except Exception as error:  # what was measured on it counts all the same
            log.warning("The machine of a sandbox could not be ended: %s", error)
        self._remove_folder()

    @property
    def alive(self) -> bool:
        """False: a machine that waits for a job costs money, so none is kept."""
        return False

    @property
    def ready(self) -> bool:
        """As `alive`."""
        return False

    def run(
        self,
        job: Json,
        content: bytes,
        images: np.ndarray,
        progress: Callable[[float], None] = lambda share: None,
        cancelled: Callable[[], bool] = lambda: False,
        need_isolation: bool = True,
    ) -> Outcome:
        """Do one job as `Box.run` does; NotReached where the machine does not answer."""
        isolation = self.isolation(cancelled)
        if need_isolation:
            check_isolation(isolation)
        files, own = self.machine.files, f"{self.there}/own"
        with _reached(seconds=START):
            files.write(f"{own}/model.sent", content)
            files.write(f"{own}/{child.IMAGES}", np.ascontiguousarray(images).tobytes())
            files.write(f"{own}/job.json", json.dumps(self._there({**job, "shape": images.shape[1:]})))

        def look() -> None:
            self._fetch(child.PROGRESS, SMALL)
            progress(self._progress())

        self._start("\n", self.resources.wall, cancelled, look)
        self._fetch(child.OUTCOME, SMALL)
        self._fetch(child.ANSWERS, len(images) * job["classes"] * 4)
        self._fetch(child.PORTABLE, LARGEST_PORTABLE)
        if job["kind"] != "onnx":
            self._fetch(child.MODEL, LARGEST_MODEL)
        return self._outcome(job, len(images), content, isolation)

    def isolation(self, cancelled: Callable[[], bool] = lambda: False) -> dict[str, str]:
        """Start the child without a job, and return what became of its probes."""
        self._start("", START, cancelled)
        self._fetch(child.READY, SMALL)
        if not self._untouched():
            self.outside.unlink()
        return {"machine": "Hugging Face Jobs", **self._granted()}

    def _untouched(self) -> bool:
        """Whether the folder that the child must not change there is as it was made."""
        with _reached():
            return [entry.name for entry in self.machine.files.list(f"{self.there}/outside")] == ["secret"]

    def _start(
        self, word: str, wall: float, cancelled: Callable[[], bool], look: Callable[[], None] = lambda: None
    ) -> None:
        """Start the child, give it its word, and wait until it ends.

        Raises:
            Unfit: it took too long.
            NotReached: the machine does not answer, or says nothing of the end.
            Cancelled: `cancelled` said so.
        """
        options = {
            "readable": [f"{self.there}/{number + 1}" for number in range(len(self.readable))],
            "resources": asdict(self.resources),
            "warm": self.kind,
            "attended": False,
            "probes": {"outside": f"{self.there}/outside/secret", "private": []},
        }
        code = f"{self.there}/0"
        launch = f"{code}/leaderboard/submissions/sandbox/launch.py"
        variables = [f"{key}={value}" for key, value in environment(f"{self.there}/own/tmp").items()]
        command = ["env", "-i", *variables, self.python, "-I", "-B", launch, code, json.dumps(options)]
        ended: list[object] = []

        def run() -> None:
            try:
                with _reached(seconds=wall + GRACE, most_bytes=LARGEST_LOG):
                    ended.append(
                        self.machine.run(
                            command, cwd=f"{self.there}/own", stdin=word, timeout=wall, check=False,
                            capture_output=False,
                        )
                    )  # fmt: skip
            except NotReached as error:  # handed to the thread that waits
                ended.append(error)

        Thread(target=run, daemon=True).start()
        looked = time.monotonic()
        while not ended:
            if cancelled():
                raise Cancelled
            if time.monotonic() > looked + LOOK:
                look()
                looked = time.monotonic()
            time.sleep(POLL)
        (result,) = ended
        if isinstance(result, NotReached):
            raise result
        if getattr(result, "timed_out", False):
            raise Unfit(f"It was stopped after {wall:,.0f} s, the most that a measurement may take.")
        self.exit_code = getattr(result, "exit_code", None)

    def _there(self, job: Json) -> Json:
        """Return a job with the places that it names as they are there."""
        places = {str(folder): f"{self.there}/{number + 1}" for number, folder in enumerate(self.readable)}
        samples = job.get("datasets")
        for here, there in places.items():
            if samples and Path(samples).is_relative_to(here):
                return {**job, "datasets": f"{there}/{Path(samples).relative_to(here)}"}
        return job

    def _fetch(self, name: str, most: int) -> None:
        """Copy a regular file that the child left, if it has at most this many bytes."""
        path, files = f"{self.there}/own/{name}", self.machine.files
        files.MAX_READ_BYTES = most  # it may have grown since it was looked at
        with _reached(seconds=START if most > SMALL else ANSWER, most_bytes=FILE_BYTES):
            try:
                found = files.stat(path)
                if found.type == "file" and found.size <= most and len(content := files.read(path)) <= most:
                    (self.folder / name).write_bytes(content)
            except SandboxError as error:
                if error.status_code not in (400, 403, 404):
                    raise

    def _ended(self) -> Unfit:
        said = f"Its process ended with status {self.exit_code} and without an answer, as when it needs more memory."
        return Unfit(said)


@contextlib.contextmanager
def _reached(
    sentence: str = "The machine of a sandbox does not answer",
    kind: type[NotReached] = NotReached,
    seconds: float = ANSWER,
    most_bytes: int = ANSWER_BYTES,
) -> Iterator[None]:
    """Bound what this thread asks of a machine, and raise NotReached, or another kind of it, for whatever goes wrong.

    Args:
        sentence: what is said.
        kind: what is raised.
        seconds: for all answers together.
        most_bytes: of them.
    """
    try:
        with hub.bounded(seconds, most_bytes, ABOUT):
            yield
    except Exception as error:  # its answers may be anything, and the client takes them as they are
        raise kind(f"{sentence}: {' '.join(str(error).split())[:300]}") from error


def _packed(folder: Path, paths: list[Path]) -> bytes:
    """Return a tar archive of files, by their places in a folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in paths:
            archive.add(path, str(path.relative_to(folder)), recursive=False)
    return packed.getvalue()
