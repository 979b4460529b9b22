"""The measuring protocol: the order and batches of the images, and the comparison of repeated answers.

Only predictions of single images count, so other images cannot help. The order is secret and new for each measurement.
A random sample of the images is repeated: immediately, at another time, and twice in random batches. Honest networks
give the same answers. Other networks are rejected with the reason.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from leaderboard.submissions.sandbox import Box, Outcome, Unfit
from leaderboard.submissions.sandbox.inputs import Inputs
from zoo.types import Json

AGAIN = 1000  # images that are asked again
LARGEST_BATCH = 256  # images, as networks are served
ROUNDING = 0.05  # share of the range of its probabilities by which an answer in a batch may differ from one alone:
# kernels add in another order, and quantization ranges span the batch
MOST_ROUNDED = 0.01  # share of the answers in a batch that may differ by more, or be for another class

ALONE, AT_ONCE, LATER, IN_A_BATCH = range(4)  # why an image is asked
REASONS = {
    AT_ONCE: "randomness or on earlier calls: {share} of the images that were asked again at once",
    LATER: "time or on earlier calls: {share} of the images that were asked again later",
    IN_A_BATCH: "other images of the batch: {share} of the images that were asked again in a batch",
}


@dataclass(frozen=True)
class Questions:
    """Everything that a network is asked in one measurement, in the order in which it is asked.

    images: int64 (asked,), places in `Inputs`.
    purposes: uint8 (asked,), why each is asked: `ALONE` once for every image, the others for a random sample.
    sizes: int64 (calls,), how many images each call of the network has; their sum is `asked`.
    """

    images: np.ndarray
    purposes: np.ndarray
    sizes: np.ndarray

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator) -> "Questions":
        """Return questions about `count` images in a random order."""
        again = rng.permutation(count)[:AGAIN]
        at_once = set(again[: len(again) // 2].tolist())
        # Images and purposes of calls; what is in one entry is asked without anything in between.
        calls = [([n, n], [ALONE, AT_ONCE]) if n in at_once else ([n], [ALONE]) for n in range(count)]
        calls += [([n], [LATER]) for n in again[len(again) // 2 :].tolist()]
        singles = len(calls)
        for sample in (rng.permutation(again), rng.permutation(again)):
            while len(sample):
                size = int(rng.integers(2, LARGEST_BATCH + 1))
                batch, sample = sample[:size].tolist(), sample[size:]
                if len(batch) == 1:  # a batch has company
                    batch.append(int(rng.integers(count)))
                calls.append((batch, [IN_A_BATCH] * len(batch)))
        order = rng.permutation(len(calls))
        images = [image for n in order for image in calls[n][0]]
        purposes = [purpose for n in order for purpose in calls[n][1]]
        sizes = [size for n in order for size in ([1] * len(calls[n][0]) if n < singles else [len(calls[n][0])])]
        return cls(np.array(images, np.int64), np.array(purposes, np.uint8), np.array(sizes, np.int64))

    def settled(self, answers: np.ndarray) -> np.ndarray:
        """Return what counts, float32 (count, classes), of all answers, float32 (asked, classes).

        Raises:
            Unfit: an image got different answers.
        """
        alone = self.purposes == ALONE
        counted = np.empty((int(alone.sum()), answers.shape[1]), answers.dtype)
        counted[self.images[alone]] = answers[alone]
        for purpose, reason in REASONS.items():
            asked = self.purposes == purpose
            again, before = answers[asked], counted[self.images[asked]]
            if purpose == IN_A_BATCH:
                another, most = _differ(again, before), MOST_ROUNDED
            else:
                another, most = (again != before).any(axis=1), 0.0
            share = float(another.mean()) if len(another) else 0.0
            if share > most:
                raise Unfit(f"Its answers depend on {reason.format(share=f'{share:.1%}')} got another answer.")
        return counted


def _differ(again: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return which answers differ by more than rounding, bool (N,).

    What is little depends on the network: its probabilities may all be close to each other, and its answers are right
    by their order alone.
    """
    usual = np.median(np.ptp(before, axis=1)) if len(before) else 0.0
    far = np.abs(again - before).max(axis=1, initial=0) > ROUNDING * usual
    moved: np.ndarray = far | (again.argmax(axis=1) != before.argmax(axis=1))
    return moved


def measure(
    box: Box,
    job: Json,
    content: bytes,
    inputs: Inputs,
    progress: Callable[[float], None] = lambda share: None,
    cancelled: Callable[[], bool] = lambda: False,
    need_isolation: bool = True,
) -> Outcome:
    """Have a network measured in a sandbox and return its outcome, with one answer for each image.

    The images are those of `inputs`, and the test images drawn again (`memorization`).

    Raises what `Box.run` raises, and Unfit where its answers do not agree.
    """
    rng = np.random.default_rng(secrets.randbits(256))
    images = np.concatenate([inputs.images, inputs.redrawn()])
    questions = Questions.draw(len(images), rng)
    job = {**job, "sizes": questions.sizes.tolist()}
    outcome = box.run(job, content, images[questions.images], progress, cancelled, need_isolation)
    answers = questions.settled(outcome.answers)
    return replace(outcome, answers=answers[: inputs.count], again=answers[inputs.count :])
