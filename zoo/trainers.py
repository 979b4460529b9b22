"""Three ways to obtain an architecture's weights; `zoo.training.run` has the code for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

Fit = Callable[["keras.Model", "np.ndarray", "np.ndarray", int], None]


@dataclass(frozen=True)
class Stepwise:
    """Gradient descent with a recipe (`zoo.training.loop`)."""


@dataclass(frozen=True)
class ClosedForm:
    """Closed form: computed from the data in one step (`zoo.training.closed_form`).

    Attributes:
        fit: called with a fresh model, images uint8 (N, ...), labels int64 (N,) and a seed; sets the model's weights.
    """

    fit: Fit


@dataclass(frozen=True)
class Ensemble:
    """Ensemble: the weights of separately trained networks (`zoo.training.ensembles`).

    Attributes:
        members: their architectures, named before any of them is measured; one may occur several times.
    """

    members: tuple[str, ...]


Trainer = Stepwise | ClosedForm | Ensemble
BY_STEPS = Stepwise()
