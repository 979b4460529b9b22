"""A worker: takes submissions one by one, has each measured in a sandbox, and puts the results on the board.

Many may run at a time, on one machine or several. A worker holds a submission by a lease that a thread renews. If it
dies, the lease runs out and another worker starts over. What it measured counts only while the lease is its own.

Every error with a submission becomes a sentence on its receipt, and the worker continues with the next one.
"""

import contextlib
import logging
import math
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from leaderboard import results
from leaderboard.submissions import budget, intake, lifecycle, sandbox, supervision
from leaderboard.submissions import store as stores
from leaderboard.submissions.checks import KERAS
from leaderboard.submissions.lifecycle import RUNNING, Lost, NotNow, Outcome, Submission, Transition
from leaderboard.submissions.presence import Presence, Witness
from leaderboard.submissions.publishing import publish
from leaderboard.submissions.sandbox import Box, Cancelled, NoMachine, NotReached, Unfit, Unsafe
from leaderboard.submissions.store import Damaged, Store, StoreFailed, Unreadable, describe
from zoo import settings
from zoo.errors import ZooError
from zoo.processes.confinement import Resources

log = logging.getLogger(__name__)

Measure = Callable[["Worker", Submission, str, Callable[[str, float], None], Callable[[], bool]], Outcome]


def default_name() -> str:
    """Return a worker's name: random, since histories are public and a machine's name is not."""
    return f"worker-{secrets.token_hex(3)}"


def without_paths(text: str) -> str:
    """Return a sentence with the names of files but not where they are on this machine: receipts are public."""
    return re.sub(r"(?<![\w.:/…])/(?:[^\s/'\"]+/)+(?=[^\s/])", "…/", text)


SOON = 20.0  # seconds until a renewal of a lease that failed is tried again


@dataclass
class Worker:
    """One worker.

    store: where submissions are.
    records: where rows are written: not among the committed records, unless `ZOO_RECORDS` says so.
    cache: where inputs of sandboxes are kept.
    name: who it is, in leases and histories.
    lease: seconds of silence after which another worker takes over; renewed at a third of it. 0: as the store says.
    need_isolation: measure nothing where something gets through in the probes of a sandbox.
    keep_warm: let a sandbox with TensorFlow wait for the next Keras file: 10 s less, 1 GB more.
    epochs: shortens trainings, for tests; None: the board's recipe.
    seeds: trainings of an architecture.
    """

    store: Store
    records: Path = results.LOCAL
    cache: Path = field(default_factory=lambda: settings.cache_folder() / "inputs")
    name: str = field(default_factory=default_name)
    lease: float = 0.0
    need_isolation: bool = True
    keep_warm: bool = False
    epochs: int | None = None
    seeds: int = budget.SEEDS
    measure: Measure | None = None  # None: `measuring.measured`, in sandboxes
    _warm: Box | None = None
    _published: tuple[Any, ...] = ()  # what was brought to the board: ids and versions
    _witness: Witness = field(default_factory=Witness)

    def __post_init__(self) -> None:
        self.lease = self.lease or self.store.lease

    def watch(self, stop: threading.Event, rest: float = 2.0) -> None:
        """Work until `stop` is set; `rest` seconds between looks where nothing waits, longer after errors."""

        def step() -> bool:
            self.store.announce()
            busy = self.step(stop)
            if not busy:
                self._warm_up()
            return busy

        try:
            with self.presence.of(self.name):
                supervision.keep_doing(step, stop, rest, fatal=(Unsafe,))
        finally:
            self.close()

    @property
    def presence(self) -> Presence:
        """The workers of this machine."""
        return Presence(self.cache.parent / "workers")

    def silent(self, submission: Submission) -> float:
        """Return for how many seconds nothing is known of the worker of a submission.

        Without end if it died here, or is this one, which takes one at a time: it could not write how that ended.
        """
        gone = submission.worker == self.name or self.presence.is_dead(submission.worker)
        return math.inf if gone else self._witness.silent(submission)

    def close(self) -> None:
        """Close the waiting sandbox."""
        if self._warm:
            self._warm.close()
            self._warm = None

    def step(self, stop: threading.Event | None = None) -> bool:
        """Take one submission and process it; False if none is waiting."""
        submission = self.claim()
        if submission is None:
            return self.publish()
        self.see_through(submission, stop or threading.Event())
        self.publish()
        return True

    def publish(self) -> bool:
        """Bring the board in line with the store where anything has ended since, and drop what no row needs any more.

        Returns:
            Whether the board changed.
        """
        ended = tuple((s.id, s.version) for s in self.store.all() if not s.open)
        if ended == self._published:
            return False
        changed = publish(self.store, self.records)
        try:
            self.store.tidy()
        except StoreFailed as error:  # what is left over makes room later
            log.warning("The store could not be tidied: %s", error)
        self._published = ended
        return changed

    def claim(self) -> Submission | None:
        """Return the first submission of the queue that may be taken, taken; None if there is none."""
        waiting = intake.in_order(self.store.all())
        self._witness.forget_all_but([s for s in waiting if s.status == RUNNING])
        if not self.store.takes_more():
            return None
        for one in waiting:
            if not lifecycle.claimable(one, self.silent(one)):
                continue
            try:
                taken = self.store.change(
                    one.id,
                    lambda s: lifecycle.claimed(s, self.name, stores.now(), self.lease, self.silent(s)),
                )
            except (NotNow, Unreadable):
                continue
            except (StoreFailed, OSError):  # other workers cannot renew their leases either
                self._witness.forget_all_but([])
                raise
            except Exception:  # one receipt must not keep the others waiting
                log.exception("%s cannot be taken", one.id)
                continue
            if taken.open:
                return taken
        return None

    def see_through(self, submission: Submission, stop: threading.Event) -> None:
        """Measure a submission that was claimed, and write how it ended.

        Raises:
            Unsafe: this machine cannot confine a sandbox; the submission is put back.
            NoMachine: no machine for a sandbox can be had now; it is put back.
            StoreFailed, OSError, NotReached: a disk, the Hub or a machine failed; it is put back with the reason, if
                that can be written, and that counts as an attempt.
        """
        log.info("%s: %s of %s on %s", submission.id, submission.name, submission.user, ", ".join(submission.datasets))
        with self._heartbeat(submission.id) as (tell, lost):
            try:
                end = self._measured(submission, tell, lambda: lost.is_set() or stop.is_set())
            except Lost as error:
                log.warning("%s", error)
                return
            except (Unsafe, NoMachine):
                self._end(submission, partial(lifecycle.released, worker=self.name, now=stores.now()))
                raise
            except (StoreFailed, OSError, NotReached) as error:
                reason = f"The worker could not go on ({without_paths(describe(error)).rstrip('.')})."
                with contextlib.suppress(
                    ZooError
                ):  # if it cannot be written now, the next worker takes over when the lease expires
                    self._end(
                        submission, partial(lifecycle.put_back, worker=self.name, now=stores.now(), reason=reason)
                    )
                raise
            self._end(submission, end)

    def _end(self, submission: Submission, end: Transition) -> None:
        """Write how a submission ended, unless it is another worker's by now, was withdrawn, or is damaged."""
        try:
            self.store.change(submission.id, end)
        except (Lost, Unreadable) as error:
            log.warning("%s", error)

    def _measured(
        self, submission: Submission, tell: Callable[[str, float], None], over: Callable[[], bool]
    ) -> Transition:
        """Measure a submission on every dataset that is left, and return the transition that ends it."""
        failed = partial(lifecycle.failed, worker=self.name)
        count, taken = len(submission.datasets), submission
        try:
            from leaderboard.submissions.measuring import measured  # what scores needs takes seconds to import

            for dataset in submission.left:
                number = submission.datasets.index(dataset)
                if submission is not taken and self._has_to_wait(submission):
                    return partial(lifecycle.released, worker=self.name, now=stores.now())
                _check_time(submission)

                def share(stage: str, part: float, number: int = number) -> None:
                    tell(stage, (number + part) / count)

                found = (self.measure or measured)(self, submission, dataset, share, over)
                done = partial(lifecycle.measured, worker=self.name, dataset=dataset, result=found)
                if submission.left == (dataset,):  # one change of the store less
                    return lambda s: lifecycle.finished(done(s), self.name, stores.now())
                submission = self.store.change(submission.id, done)
            return partial(lifecycle.finished, worker=self.name, now=stores.now())
        except Cancelled:
            return partial(lifecycle.released, worker=self.name, now=stores.now())
        except (Lost, Unsafe, NotReached, StoreFailed):
            raise
        except (Unfit, Damaged, Unreadable) as error:
            return partial(failed, now=stores.now(), reason=without_paths(str(error)))
        except ZooError as error:  # the data are missing, say
            reason = f"{without_paths(str(error)).rstrip('.')}. It can be tried again."
            return partial(failed, now=stores.now(), reason=reason)
        except OSError:
            raise
        except Exception as error:  # an internal error must not lose a submission
            log.exception("%s", submission.id)
            reason = f"The worker had an internal error ({type(error).__name__}); it can be tried again."
            return partial(failed, now=stores.now(), reason=reason)

    def _has_to_wait(self, submission: Submission) -> bool:
        """Whether it is the turn of another submission before the next dataset of this one."""
        turns = intake.in_order(self.store.all())
        first = next((s for s in turns if s.id == submission.id or lifecycle.claimable(s, self.silent(s))), submission)
        return first.id != submission.id

    @contextlib.contextmanager
    def _heartbeat(self, wanted: str) -> Iterator[tuple[Callable[[str, float], None], threading.Event]]:
        """Renew the lease while the block lasts; yields how to tell what is done, and whether the lease was lost."""
        state, lost, over = [("starting", 0.0)], threading.Event(), threading.Event()
        began = time.monotonic()

        def tell(stage: str, progress: float) -> None:
            state[0] = stage, progress

        def renewed(now: tuple[str, float], submission: Submission) -> Submission:
            return lifecycle.renewed(submission, self.name, self.lease, *now, time.monotonic() - began)

        def beat() -> None:
            last: tuple[str, float] | None = None
            quiet = 0.0
            pause = rest = min(self.lease / 3, self.store.progress_every)
            while not over.wait(rest):
                quiet += rest
                rest = pause
                stage, progress = state[0]
                now = stage, round(progress, 2)
                try:
                    self.store.announce()
                    if now == last and quiet < self.lease / 3:
                        continue
                    last, quiet = now, 0.0
                    self.store.change(wanted, partial(renewed, now))
                except (Lost, Unreadable):
                    lost.set()
                    return
                except (ZooError, OSError) as error:
                    log.warning("%s: the lease could not be renewed: %s", wanted, error)
                    last, rest = None, min(pause, SOON)

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

    def _new_box(self, kind: str, resources: Resources) -> Box:
        """Start a sandbox; only one that trains reads anything of a dataset, and of that the training samples alone."""
        from leaderboard.submissions.measuring import TRAINING_SAMPLES
        from leaderboard.submissions.sandbox.inputs import private

        samples = [private(self.cache / TRAINING_SAMPLES)] if kind == "json" else []  # only what is there can be read
        return sandbox.open_box(kind, resources, tuple(samples))

    def _warm_up(self) -> None:
        waits = self._warm is not None and self._warm.alive
        if self.keep_warm and not waits and settings.sandbox_backend() == "local":  # a machine that waits costs money
            if self._warm:
                self._warm.close()
            self._warm = self._new_box(KERAS, sandbox.MEASURING)


def _check_time(submission: Submission) -> None:
    """Raise Unfit where workers were busy with a submission for as long as one may take, whatever was estimated."""
    most = budget.SEEDS * budget.BUDGET
    if (seconds := submission.worked(submission.asked(stores.now()), stores.now())) > most:
        raise Unfit(
            f"It has taken {seconds / 3600:.1f} hours for {len(submission.results)} of {len(submission.datasets)} "
            f"datasets, and the most is {most / 3600:.0f} for all: make it smaller, or choose fewer datasets."
        )
