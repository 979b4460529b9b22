"""A worker: takes submissions one by one, has each measured in a sandbox, and puts the results on the board.

Many may run at a time, on one machine or several. A worker holds a submission by a lease that a thread renews; if it
dies, the lease runs out and another worker starts over. What it measured counts only while the lease is its own.
"""

import contextlib
import fcntl
import json
import logging
import os
import platform
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from leaderboard import checking, results, snapshot
from leaderboard.predictions import Predictions
from leaderboard.submissions import budget, lifecycle, sandbox
from leaderboard.submissions import store as stores
from leaderboard.submissions.checks import ARCHITECTURE, KERAS
from leaderboard.submissions.lifecycle import FINISHED, WITHDRAWN, Lost, NotNow, Submission
from leaderboard.submissions.sandbox import Box, Cancelled, Unfit, Unsafe
from leaderboard.submissions.store import Store
from zoo import data
from zoo.errors import ZooError

log = logging.getLogger(__name__)

TRAINING_SAMPLES = "training"  # a folder of the cache
LEASE = 120.0  # seconds that a silent worker keeps a submission
Measure = Callable[["Worker", Submission, str, Callable[[str, float], None], Callable[[], bool]], dict]


def default_name() -> str:
    """Return a worker's name: the machine's, and a few random digits."""
    return f"{platform.node()[:40] or 'worker'}-{os.getpid()}-{secrets.token_hex(2)}"


@dataclass
class Worker:
    """One worker.

    store: where submissions are.
    records: the board's records.
    cache: where inputs of sandboxes are kept.
    name: who it is, in leases and histories.
    lease: seconds; renewed at a third of it.
    need_isolation: take nothing where a sandbox would have a network.
    keep_warm: let a sandbox with TensorFlow wait for the next Keras file: 10 s less, 1 GB more.
    epochs: shortens trainings, for tests; None: the board's recipe.
    seeds: trainings of an architecture.
    """

    store: Store
    records: Path = results.RECORDS
    cache: Path = Path(tempfile.gettempdir()) / "zoo-inputs"
    name: str = field(default_factory=default_name)
    lease: float = LEASE
    need_isolation: bool = True
    keep_warm: bool = False
    epochs: int | None = None
    seeds: int = budget.SEEDS
    measure: Measure | None = None  # None: `measured`, in sandboxes
    _warm: Box | None = None
    _published: tuple = ()  # what was brought to the board: ids and versions

    def watch(self, stop: threading.Event, rest: float = 2.0) -> None:
        """Work until `stop` is set; `rest` seconds between looks where nothing waits."""
        try:
            while not stop.is_set():
                try:
                    busy = self.step(stop)
                except ZooError as error:  # a store that cannot be reached now may be again
                    if isinstance(error, Unsafe):
                        raise
                    log.warning("%s", error)
                    busy = False
                if not busy:
                    self._warm_up()
                    stop.wait(rest)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the waiting sandbox."""
        if self._warm:
            self._warm.close()
            self._warm = None

    def step(self, stop: threading.Event | None = None) -> bool:
        """Take one submission and see it through; False if none waits."""
        submission = self.claim()
        if submission is None:
            return self.publish()
        self.see_through(submission, stop or threading.Event())
        self.publish()
        return True

    def publish(self) -> bool:
        """Bring the board in line with the store, where anything has ended since; return whether it changed."""
        ended = tuple((s.id, s.version) for s in self.store.all() if not s.open)
        changed = ended != self._published and publish(self.store, self.records)
        self._published = ended
        return changed

    def claim(self) -> Submission | None:
        """Return the oldest submission that may be taken, taken; None if there is none."""
        for waiting in self.store.all():
            if not lifecycle.claimable(waiting, stores.now()):
                continue
            with contextlib.suppress(NotNow):
                taken = self.store.change(
                    waiting.id, lambda s: lifecycle.claimed(s, self.name, stores.now(), self.lease)
                )
                if taken.open:
                    return taken
        return None

    def see_through(self, submission: Submission, stop: threading.Event) -> None:
        """Measure a submission that was claimed, and write how it ended."""
        log.info("%s: %s of %s on %s", submission.id, submission.name, submission.user, ", ".join(submission.datasets))
        with self._heartbeat(submission.id) as (tell, lost):
            try:
                count = len(submission.datasets)
                for number, dataset in enumerate(submission.datasets):
                    if dataset in submission.results:
                        continue

                    def share(stage: str, part: float, number: int = number) -> None:
                        tell(stage, (number + part) / count)

                    found = (self.measure or measured)(
                        self, submission, dataset, share, lambda: lost.is_set() or stop.is_set()
                    )
                    submission = self.store.change(
                        submission.id,
                        partial(lifecycle.measured, worker=self.name, dataset=dataset, result=found),
                    )
                self.store.change(submission.id, lambda s: lifecycle.finished(s, self.name, stores.now()))
            except Unfit as error:
                reason = str(error)
                with contextlib.suppress(Lost):
                    self.store.change(submission.id, lambda s: lifecycle.failed(s, self.name, stores.now(), reason))
            except (Cancelled, Unsafe) as error:
                with contextlib.suppress(Lost):  # withdrawn or taken over: nothing to put back
                    self.store.change(submission.id, lambda s: lifecycle.released(s, self.name, stores.now()))
                if isinstance(error, Unsafe):
                    raise
            except Lost as error:
                log.warning("%s", error)
            except stores.StoreFailed:
                raise
            except Exception as error:  # a mistake of ours is no reason to lose a submission
                log.exception("%s", submission.id)
                reason = f"The worker made a mistake ({type(error).__name__}); it can be tried again."
                with contextlib.suppress(Lost):
                    self.store.change(submission.id, lambda s: lifecycle.failed(s, self.name, stores.now(), reason))

    @contextlib.contextmanager
    def _heartbeat(self, wanted: str) -> Iterator[tuple[Callable[[str, float], None], threading.Event]]:
        """Renew the lease while the block lasts; yields how to tell what is done, and whether the lease was lost."""
        state, lost, over = [("starting", 0.0)], threading.Event(), threading.Event()

        def tell(stage: str, progress: float) -> None:
            state[0] = stage, progress

        def renewed(now: tuple[str, float], submission: Submission) -> Submission:
            return lifecycle.renewed(submission, self.name, stores.now(), self.lease, *now)

        def beat() -> None:
            last: tuple[str, float] | None = None
            quiet = 0.0
            pause = min(self.lease / 3, 1.0) if isinstance(self.store, stores.LocalStore) else self.lease / 3
            while not over.wait(pause):
                quiet += pause
                stage, progress = state[0]
                now = stage, round(progress, 2)
                if now == last and quiet < self.lease / 3:
                    continue
                last, quiet = now, 0.0
                try:
                    self.store.change(wanted, partial(renewed, now))
                except Lost:
                    lost.set()
                    return
                except ZooError as error:
                    log.warning("%s: the lease could not be renewed: %s", wanted, error)

        thread = threading.Thread(target=beat, name=f"heartbeat {wanted}", daemon=True)
        thread.start()
        try:
            yield tell, lost
        finally:
            over.set()
            thread.join()

    def box(self, kind: str) -> Box:
        """Return a sandbox for a job: the one that waits, if there is one for this kind."""
        training = kind == "json"
        if not training and self._warm and self._warm.alive and (kind == KERAS or self._warm.ready):
            warm, self._warm = self._warm, None
            return warm
        return self._new_box(kind, sandbox.TRAINING if training else sandbox.MEASURING)

    def _new_box(self, kind: str, resources: sandbox.Resources) -> Box:
        """Start a sandbox; only one that trains reads anything of a dataset, and of that the training samples alone."""
        samples = self.cache / TRAINING_SAMPLES
        samples.mkdir(parents=True, exist_ok=True)  # before: what is not there cannot be made readable
        return Box(kind, resources, (samples.resolve(),) if kind == "json" else ())

    def _warm_up(self) -> None:
        if self.keep_warm and not (self._warm and self._warm.alive):
            if self._warm:
                self._warm.close()
            self._warm = self._new_box(KERAS, sandbox.MEASURING)


def measured(
    worker: Worker, submission: Submission, dataset: str, tell: Callable[[str, float], None], cancelled
) -> dict:
    """Measure a submission on one dataset, keep the files in the store, and return what its receipt says of it."""
    from leaderboard.submissions import scoring
    from leaderboard.submissions.sandbox import inputs, protocol

    trained = submission.track == ARCHITECTURE
    seeds = range(worker.seeds) if trained else range(1)
    content = worker.store.content(submission)
    tell("reading the data", 0.0)
    images = inputs.prepare(dataset, worker.cache)
    repo = inputs.training_repo(dataset, worker.cache / TRAINING_SAMPLES) if trained else None
    found = []

    def share_of(stage: str, number: int, share: float) -> None:
        tell(stage, (number + share) / len(seeds))

    for number, seed in enumerate(seeds):
        stage = f"training {number + 1} of {len(seeds)} on {dataset}" if trained else f"measuring on {dataset}"
        job = job_of(submission.kind, dataset, seed, worker.epochs, repo)
        with worker.box(submission.kind) as box:
            tell_share = partial(share_of, stage, number)
            outcome = protocol.measure(box, job, content, images, tell_share, cancelled, worker.need_isolation)
        found.append(scoring.score(seed, outcome, images))
    tell(f"scoring on {dataset}", 1.0)
    result, predictions = scoring.row(submission, dataset, found, images)
    shipped = next(one for one in found if one.seed == result.shipped_seed)
    kept = scoring.folder(submission, result)
    with tempfile.TemporaryDirectory() as scratch:
        files = scoring.files(result, predictions, shipped.outcome.model, Path(scratch))
    worker.store.keep_results(kept, files)
    return {
        "model": result.model,
        "accuracy": result.mean("accuracy"),
        "parameters": int(result.mean("parameters")),
        "revision": result.revision,
        "folder": kept,
        "date": result.date,
    }


def job_of(kind: str, dataset: str, seed: int = 0, epochs: int | None = None, repo: Path | None = None) -> dict:
    """Return a job for `protocol.measure`; only a job that trains names the dataset."""
    job = {
        "kind": kind,
        "classes": len(data.get(dataset).labels),
        "share": 0.9 if kind == "json" else 0.3,  # of the progress, that comes before the first answer
    }
    return job if repo is None else {**job, "dataset": dataset, "seed": seed, "epochs": epochs, "datasets": str(repo)}


def measured_again(worker: Worker, submission: Submission, dataset: str) -> checking.Check:
    """Measure the ONNX file of a submission's row once more, in a sandbox, and hold the row against it."""
    from leaderboard.submissions import scoring
    from leaderboard.submissions.sandbox import inputs, protocol

    found = submission.results.get(dataset)
    if found is None:
        raise ZooError(f"{submission.id} has no result on {dataset}: it is {submission.status}.")
    recorded = results.Result.from_dict(json.loads(worker.store.result(found["folder"], f"{dataset}.json")))
    images = inputs.prepare(dataset, worker.cache)
    model = worker.store.result(found["folder"], f"{dataset}.onnx")
    with worker.box("onnx") as box:
        outcome = protocol.measure(box, job_of("onnx", dataset), model, images, need_isolation=worker.need_isolation)
    now = scoring.score(recorded.shipped_seed, outcome, images)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "predictions.npz"
        path.write_bytes(worker.store.result(found["folder"], f"{dataset}.npz"))
        answers = Predictions.load(path).predicted
    changed = int((images.parts(outcome.answers)[0].argmax(axis=1) != answers).sum())
    problems = [f"The record is stale: {recorded.stale}."] if recorded.stale else []
    if changed > checking.TOLERANCE * len(answers):
        problems.append("That is more than rounding explains.")
    of_the_file = {"parameters", "efficiency_score", *checking.COSTS}  # Keras counts other parameters than ONNX holds
    scores = [
        checking.Score(name, recorded.shipped(name), value)
        for name, value in now.scores.items()
        if name not in of_the_file and name in recorded.means
    ]
    return checking.Check(scores, changed, problems)


# From the store to the board


def publish(store: Store, records: Path) -> bool:
    """Bring the board's records in line with the store; return whether anything changed.

    What is FINISHED has its rows, the newest of a name; what was WITHDRAWN has none.
    """
    with _alone(records):
        wanted: dict[tuple[str, str], tuple[Submission, dict]] = {}
        gone = []
        for submission in store.all():
            for dataset, found in submission.results.items():
                if submission.status == FINISHED:
                    wanted[dataset, found["model"]] = submission, found
                elif submission.status == WITHDRAWN:
                    gone.append((dataset, found["model"], submission.id))
        changed = [_put(store, records, *key, *value) for key, value in wanted.items()]
        changed += [_take_away(records, *entry) for entry in gone if entry[:2] not in wanted]
        if any(changed):
            snapshot.write(records)
        return any(changed)


def _put(store: Store, records: Path, dataset: str, model: str, submission: Submission, found: dict) -> bool:
    """Write one row where it is not there as it was measured; never over a row that is not a submission's own."""
    path = results.path_of(model, dataset, records)
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        owner = (there.get("submission") or {}).get("user")
        if owner != submission.user or (there["revision"], there["date"]) == (found["revision"], found["date"]):
            return False
    record = json.loads(store.result(found["folder"], f"{dataset}.json"))
    result = results.Result.from_dict(record)
    if (result.model, result.dataset) != (model, dataset):
        raise ZooError(f"The result of {submission.id} is of {result.model}, not of {model}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".npz").write_bytes(store.result(found["folder"], f"{dataset}.npz"))
    results.write(result, folder=records)
    return True


def _take_away(records: Path, dataset: str, model: str, wanted: str) -> bool:
    path = results.path_of(model, dataset, records)
    if not path.exists() or (json.loads(path.read_text(encoding="utf-8")).get("submission") or {}).get("id") != wanted:
        return False
    path.unlink()
    path.with_suffix(".npz").unlink(missing_ok=True)
    return True


@contextlib.contextmanager
def _alone(records: Path) -> Iterator[None]:
    """Let one process at a time write the records."""
    records.mkdir(parents=True, exist_ok=True)
    with (records / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
