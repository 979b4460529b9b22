"""What a submission costs: to train an architecture as every network of the board is, or to measure weights."""

from zoo import data
from zoo.recipes import ZOO

SEEDS = 3  # trainings behind a score, as of the board's own networks
BUDGET = 3600.0  # seconds of one training, at most
MULTIPLY_ADDS_A_SECOND = 2e10  # forward and backward, on two cores: LeNet-5 to ResCo-Mini reach 1.5 to 4e10
IMAGES_A_SECOND = 25_000  # images per second augmented and fed on two cores, for any small network


MEASURING = 300.0  # seconds that a sandbox may take for a measurement, at most
OVERHEAD = 15.0  # seconds of each measurement: start of a sandbox, conversion, scoring

ASKED = {"ahcd": 45_000, "optdigits": 10_000}  # images that a network answers in a measurement; others: ANY
ANY = 110_000
SAMPLES = {"mnist": 55_000, "ahdd": 55_000, "ahcd": 12_096, "optdigits": 1_294}  # trained on


def training_seconds(multiply_adds: int, dataset: str) -> float:
    """Estimate the training time of all seeds of a network on two cores, in seconds.

    Args:
        multiply_adds: of one image, forward, or other operations if they are more; the backward pass costs twice as
            much.
        dataset: its name.
    """
    images = SAMPLES.get(dataset, 60_000) * data.get(dataset).suited(ZOO).epochs
    each = images * (3 * multiply_adds / MULTIPLY_ADDS_A_SECOND + 1 / IMAGES_A_SECOND)
    return SEEDS * (each + 20.0)


def measuring_seconds(work: int, dataset: str) -> float:
    """Estimate the time of a measurement of weights on two cores, in seconds; it is ended after `MEASURING`.

    Args:
        work: multiply-adds of one image, or other operations if they are more.
        dataset: its name.
    """
    each = work / MULTIPLY_ADDS_A_SECOND + 1 / IMAGES_A_SECOND
    return OVERHEAD + min(ASKED.get(dataset, ANY) * each, MEASURING)
