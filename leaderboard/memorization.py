"""Detect memorized test sets: compare the accuracy on test images with that on the same glyphs drawn again.

A public test set can be memorized, and no rule prevents it. Such a network recognizes the stored images better than the
same glyphs with another angle, size and position. The errors of an honest network grow by less than `HONEST`
(docs/submissions.md has the figures). The changes are random and secret. Each server has its own, the same for all
networks, so sending a network again changes nothing.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

TURN = 8.0  # degrees, either way
SHIFT = 0.06  # of the side, in both directions
SCALE = 0.08  # larger or smaller
HONEST = 6.0  # by which the errors of an honest network may grow, trained without augmentation as well
ENOUGH, MOST_TIMES = 10_000, 10  # images drawn again, and how often at most one is
CLEAR = 4.0  # standard errors beyond that, from which a network is flagged


@dataclass(frozen=True)
class MemorizationGap:
    """Accuracy on the test images and on the same glyphs drawn again.

    plain, again: accuracies in [0, 1].
    gap: their difference.
    excess: how far the errors on the redrawn glyphs exceed `HONEST` times those on the test images, in standard errors.
    flagged: whether this is unusual for an honest network.
    """

    plain: float
    again: float
    gap: float
    excess: float
    flagged: bool

    @classmethod
    def of(cls, plain: np.ndarray, again: np.ndarray) -> "MemorizationGap":
        """Compare correct predictions on the test images, bool (N,), with those on the same glyphs drawn again.

        The latter are bool (N,), or (times, N) where each was drawn several times: a small test set tells more then.
        """
        beyond = (~again).reshape(-1, len(plain)).mean(axis=0) - HONEST * (~plain)
        spread = max(float(beyond.std()), 1 / len(beyond)) / math.sqrt(len(beyond))
        excess = float(beyond.mean()) / spread
        right, right_again = float(plain.mean()), float(again.mean())
        return cls(right, right_again, right - right_again, excess, excess > CLEAR)

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        said = f"Accuracy is {self.plain:.2%} on the test images and {self.again:.2%} on the same glyphs drawn again"
        if not self.flagged:
            return f"{said}."
        return f"{said}: a drop larger than that of honest networks, as from memorized test images."


def fall_of(right: np.ndarray, elsewhere: np.ndarray, most: float) -> str:
    """Return how much less of other people's writing is read right than of the test set, in words.

    Args:
        right: correct predictions on the test set, bool (N,).
        elsewhere: likewise on the test set of other hands, bool (K,).
        most: the largest fall of the zoo's own networks, which were trained on the same data, in [0, 1].
    """
    fall = float(right.mean() - elsewhere.mean())
    spread = math.sqrt(sum(max(one.var(), 1 / len(one)) / len(one) for one in (right, elsewhere)))
    said = f"Accuracy is {elsewhere.mean():.2%} on other hands, {100 * fall:.2f} points less than on the test set"
    excess = (fall - most) / spread
    if excess <= CLEAR:
        return f"{said}. For the zoo's own networks it is at most {100 * most:.2f} points less."
    return (
        f"{said}: more than for any of the zoo's own networks, by {excess:.1f} standard errors, as from memorized test "
        "images."
    )


def times(count: int) -> int:
    """Return how often each of `count` test images is drawn again: a small set more often."""
    return min(MOST_TIMES, -(-ENOUGH // count))


def drawn_again(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return uint8 (N, H, W, 1) of the same glyphs, each rotated, scaled and shifted a little at random."""
    height, width = images.shape[1:3]
    out = np.empty_like(images)
    turns, scales = rng.uniform(-TURN, TURN, len(images)), rng.uniform(1 - SCALE, 1 + SCALE, len(images))
    shifts = rng.uniform(-SHIFT, SHIFT, (len(images), 2)) * (width, height)
    for image, turn, scale, shift, target in zip(images, turns, scales, shifts, out, strict=True):
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, scale)
        matrix[:, 2] += shift
        target[..., 0] = cv2.warpAffine(image[..., 0], matrix, (width, height))
    return out
