"""What comes back from a sandbox: an outcome, or the reason why there is none."""

from dataclasses import dataclass, field

import numpy as np

from leaderboard.submissions.taking import Compiled
from zoo.errors import ZooError
from zoo.types import Json

SUM_TOLERANCE = 1e-3  # by which probabilities may miss a sum of 1


class Unfit(ZooError):
    """A submission that cannot be measured: the sentence is for its sender."""


class Unsafe(ZooError):
    """This machine does not isolate a sandbox well enough."""


class NotReached(ZooError):
    """A machine for a sandbox does not answer now; trying again may help."""


class NoMachine(NotReached):
    """No machine for a sandbox can be had now: nothing of a submission was run."""


class Cancelled(Exception):
    """The measurement was stopped from outside."""


@dataclass(frozen=True)
class Outcome:
    """The result of a measurement.

    answers: float32 (asked, classes), probabilities, in the order in which images were asked; `protocol.measure` puts
        them into the order of its inputs.
    again: float32 (test images, classes), the answers to the test images drawn again; empty before `protocol.measure`.
    model: the ONNX file that gave them, rebuilt by `checks.guard.read_onnx`.
    multiply_adds: of one image.
    parameters: the numbers that the ONNX file stores, or those that it computes with (`used_numbers`) if they are more,
        and the structure beyond what is free.
    training: epochs, validation_accuracy, training_seconds, training_fingerprint; None where nothing was trained.
    isolation: what the kernel granted (see `confinement.confine`), and what became of the `probes`.
    portable: the network as a browser runs it, or the reason why it cannot.
    """

    answers: np.ndarray
    model: bytes
    multiply_adds: int
    parameters: int
    training: Json | None
    isolation: dict[str, str]
    portable: Compiled
    again: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))


def check_isolation(isolation: dict[str, str]) -> None:
    """Raise Unsafe where something that must not work in a sandbox does."""
    if through := isolation["got_through"]:
        raise Unsafe(
            f"This machine does not confine a sandbox: in it one can {through}. So submissions are not measured "
            "here. Use another machine, set ZOO_SANDBOX=jobs, or pass --without-isolation for files that you trust."
        )


def number(found: Json, key: str, least: float, most: float) -> float:
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise Unfit(f"Its {key.replace('_', '-')} are {str(value)[:40]}, which cannot be: from {least} to {most:,}.")
    return value


def fraction(found: Json, key: str) -> float:
    return float(number(found, key, 0, 1))


def checked_probabilities(answers: np.ndarray) -> np.ndarray:
    """Return float32 (N, classes) of which every row is a distribution, without what roundings put below 0 or above 1.

    Raises:
        Unfit: a row is none.
    """
    if not np.isfinite(answers).all():
        raise Unfit("Some of its answers are not numbers (NaN or infinity).")
    if answers.min(initial=0) < -SUM_TOLERANCE or answers.max(initial=0) > 1 + SUM_TOLERANCE:
        raise Unfit("Its answers are not probabilities: some are below 0 or above 1. End it with a softmax.")
    if not np.allclose(answers.sum(axis=1, dtype=np.float64), 1, atol=SUM_TOLERANCE):
        raise Unfit("Its answers are not probabilities: they do not sum to 1. End it with a softmax.")
    return answers.clip(0, 1)
