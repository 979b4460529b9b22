"""The state of a training between epochs, apart from the arrays; a checkpoint holds it as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field, with_config
from typing_extensions import TypedDict

from zoo.errors import ZooError
from zoo.recipes import Recipe
from zoo.typed_json import CLOSED, from_json

Count = Annotated[int, Field(ge=0, le=10**9)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=500)]


@with_config(CLOSED)
class Epoch(TypedDict):
    """A line of the history."""

    loss: float  # mean over its samples; of a training that diverges it is no number
    accuracy: Fraction
    validation_loss: float
    validation_accuracy: Fraction
    learning_rate: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seconds: Annotated[float, Field(ge=0, le=1e9)]


@dataclass
class Memory:
    """What the loop remembers."""

    __pydantic_config__: ClassVar = CLOSED

    epochs: list[Epoch] = field(default_factory=list)
    best_score: float = float("-inf")  # of the watched samples: accuracy, or loss negated
    best_epoch: Count = 0  # 1 is the first
    phase: Count = 0  # which phase of the recipe is at work
    phase_start: Count = 0  # epochs before it
    backbone: dict[Text, Text] | None = None  # where its pretrained weights came from
    plateau_loss: float = float("inf")  # lowest validation loss, as the plateau counts it
    plateau_wait: Count = 0  # epochs since then, or since the last cut of the learning rate
    fingerprint: Text | None = None  # of the training data

    @classmethod
    def restored(cls, text: str, phases: Sequence[Recipe]) -> "Memory":
        """Return what a checkpoint of a training of these phases holds, which another machine may have written.

        Raises:
            ZooError: it is no such memory, or that of a training with other epochs than these phases have.
        """
        try:
            memory = from_json(cls, text.encode())
        except ValueError as error:
            raise ZooError(f"its memory is not that of this version ({error}).") from error
        done, start = len(memory.epochs), memory.phase_start
        if memory.phase >= len(phases):
            raise ZooError(f"it is in phase {memory.phase + 1:,}, and the recipe has {len(phases)}.")
        before, most = sum(phase.epochs for phase in phases[: memory.phase]), phases[memory.phase].epochs
        if not (start <= min(before, done) and done <= start + most and memory.best_epoch <= done):
            raise ZooError("it has other epochs than the recipe.")
        return memory

    @property
    def waited(self) -> int:
        """Epochs of this phase since the best one."""
        return len(self.epochs) - max(self.best_epoch, self.phase_start)
