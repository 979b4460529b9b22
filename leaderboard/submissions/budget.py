"""What the training of a submitted architecture may cost: it is trained as every network of the board is."""

from zoo import data
from zoo.recipes import ZOO

SEEDS = 3  # trainings behind a score, as of the board's own networks
BUDGET = 3600.0  # seconds of one training, at most
MULTIPLY_ADDS_A_SECOND = 2e10  # forward and backward, on two cores: LeNet-5 to ResCo-Mini reach 1.5 to 4e10
IMAGES_A_SECOND = 25_000  # augmented and fed, on two cores, however small the network is


SAMPLES = {"mnist": 55_000, "ahdd": 55_000, "ahcd": 12_096, "optdigits": 1_294}  # trained on


def training_seconds(multiply_adds: int, dataset: str) -> float:
    """Return about how long all seeds of a network train on two cores.

    Args:
        multiply_adds: of one image, forward; backward costs twice as much again.
        dataset: its name.
    """
    images = SAMPLES.get(dataset, 60_000) * data.get(dataset).suited(ZOO).epochs
    each = images * (3 * multiply_adds / MULTIPLY_ADDS_A_SECOND + 1 / IMAGES_A_SECOND)
    return SEEDS * (each + 20.0)
