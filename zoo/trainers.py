"""How an architecture's weights are obtained, one of three ways; `zoo.training.run` has the code for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

Fit = Callable[["keras.Model", "np.ndarray", "np.ndarray", int], None]


@dataclass(frozen=True)
class Stepwise:
    """Learned step by step, by a recipe (`zoo.training.loop`)."""


@dataclass(frozen=True)
class ClosedForm:
    """Computed from the data at once (`zoo.training.closed_form`).

    Attributes:
        fit: called with a fresh model, images uint8 (N, ...), labels int64 (N,) and a seed; sets the model's weights.
    """

    fit: Fit


@dataclass(frozen=True)
class Ensemble:
    """Those of other networks, each trained by itself (`zoo.training.ensembles`).

    Attributes:
        members: their architectures, named before any of them is measured; one may occur several times.
    """

    members: tuple[str, ...]


Trainer = Stepwise | ClosedForm | Ensemble
BY_STEPS = Stepwise()
