"""Arrays in the memory of a program, and the calls that a program collects.

A value is a `View` of a block of memory, as NumPy has views: a transposed, squeezed or cut array is the same memory
under other strides.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.portable.program import MOST_MEMORY, Block, Place, Step, Weight
from zoo.portable.reach import Unsupported

SIDES = 3  # that a kernel loops over; more are unrolled into several calls
MOST_STEPS = 5000  # of a program; those of the published networks have up to 205


@dataclass(frozen=True)
class View:
    """An array in memory: where its first number is, its sides, and the steps from one number to the next."""

    block: Block | Weight
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def place(self) -> Place:
        """Where a kernel finds it."""
        return self.block, self.start

    def transposed(self, order: Sequence[int]) -> "View":
        """Return the view with its sides in another order."""
        return View(self.block, self.start, tuple(self.shape[i] for i in order), tuple(self.strides[i] for i in order))

    def is_dense(self, order: Sequence[int] | None = None) -> bool:
        """Return whether its numbers follow each other, the last side of `order` fastest."""
        expected = 1
        for side in reversed(range(len(self.shape)) if order is None else order):
            if self.shape[side] != 1 and self.strides[side] != expected:
                return False
            expected *= self.shape[side]
        return True

    @property
    def order(self) -> tuple[int, ...]:
        """Its sides as they lie in memory, the slowest first; a side of one goes where it stands."""
        sides = [i for i in range(len(self.shape)) if self.shape[i] != 1]
        slowest = iter(sorted(sides, key=lambda i: -self.strides[i]))
        return tuple(next(slowest) if i in sides else i for i in range(len(self.shape)))


def dense_strides(shape: Sequence[int], order: Sequence[int] | None = None) -> tuple[int, ...]:
    """Return the strides of numbers that follow each other, the last side of `order` fastest."""
    strides, step = [0] * len(shape), 1
    for side in reversed(range(len(shape)) if order is None else order):
        strides[side] = step
        step *= shape[side]
    return tuple(strides)


Value = View | np.ndarray  # in memory, or known already


class Builder:
    """Collects the calls of a program."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.weights: list[Weight] = []
        self._zeros: Weight | None = None
        self._stored = 0  # numbers of the weights

    def call(
        self, kernel: str, *views: "View | Weight", numbers: Sequence[int | float] = (), in_place: bool = False
    ) -> None:
        """Add a call; the last view is written."""
        self.step(kernel, [(view, 0) if isinstance(view, Weight) else view.place for view in views], numbers, in_place)

    def step(
        self, kernel: str, places: Sequence[Place], numbers: Sequence[int | float], in_place: bool = False
    ) -> None:
        """Add a call as a `Step` has it.

        Raises:
            Unsupported: there are too many: a graph of a few bytes may unroll into any number.
        """
        if len(self.steps) >= MOST_STEPS:
            raise Unsupported(f"more than {MOST_STEPS:,} steps")
        self.steps.append(Step(kernel, tuple(places), tuple(numbers), in_place))

    def new(self, shape: Sequence[int], order: Sequence[int] | None = None) -> View:
        """Return new memory for an array; `Unsupported` if it has no numbers."""
        if any(side < 1 for side in shape):
            raise Unsupported("an array without numbers")
        return View(Block(math.prod(shape)), 0, tuple(shape), dense_strides(shape, order))

    def weight(self, values: np.ndarray) -> Weight:
        """Add constants, (rows, columns).

        Raises:
            Unsupported: there are too many: each use of a constant of the graph has numbers of its own.
        """
        self._stored += values.size
        if self._stored > MOST_MEMORY:
            raise Unsupported(f"more than {MOST_MEMORY:,} numbers")
        found = Weight(np.ascontiguousarray(values, np.float32))
        self.weights.append(found)
        return found

    def view(self, value: Value) -> View:
        """Return a value in memory; a constant becomes a weight."""
        if isinstance(value, View):
            return value
        if value.dtype != np.float32 or not value.size:
            raise Unsupported(f"{value.size} numbers of type {value.dtype} where it computes in float32")
        rows = value.reshape(-1, value.shape[-1]) if value.ndim else value.reshape(1, 1)
        return View(self.weight(rows), 0, value.shape, dense_strides(value.shape))

    def zeros(self, count: int) -> Weight:
        """Return at least `count` zeros."""
        if self._zeros is None:
            self._zeros = self.weight(np.zeros((1, count)))
        if self._zeros.values.size < count:
            self._zeros.values = np.zeros((1, count), np.float32)
        return self._zeros

    def dense(self, view: View, order: Sequence[int] | None = None) -> View:
        """Return a view whose numbers follow each other in an order of its sides, copied if they do not."""
        if view.is_dense(order):
            return View(view.block, view.start, view.shape, dense_strides(view.shape, order))
        target = self.new(view.shape, order)
        self.copy(view, target)
        return target

    def copy(self, source: View, target: View) -> None:
        """Add calls that copy a view of any number of sides."""
        for shape, places, strides in loops(target.order, source, target):
            self.step("copy", places, [*shape, *strides[0], *strides[1]])


def loops(order: Sequence[int], *views: View) -> Iterator[tuple[tuple[int, ...], list[Place], list[tuple[int, ...]]]]:
    """Yield what loops over `SIDES` sides need to walk through views of one shape: sides, places and strides.

    Sides that follow each other in every view become one; if more than `SIDES` are left, the outer ones are unrolled.
    """
    sides: list[tuple[int, list[int]]] = []
    for axis in order:
        length, steps = views[0].shape[axis], [view.strides[axis] for view in views]
        if length == 1:
            continue
        if sides and all(before == step * length for before, step in zip(sides[-1][1], steps, strict=True)):
            sides[-1] = sides[-1][0] * length, steps
        else:
            sides.append((length, steps))
    while len(sides) < SIDES:
        sides.insert(0, (1, [0] * len(views)))
    outer, inner = sides[:-SIDES], sides[-SIDES:]
    for index in np.ndindex(*(length for length, _ in outer)):
        places = [
            (view.block, view.start + sum(i * steps[at] for i, (_, steps) in zip(index, outer, strict=True)))
            for at, view in enumerate(views)
        ]
        strides = [tuple(steps[at] for _, steps in inner) for at in range(len(views))]
        yield tuple(length for length, _ in inner), places, strides
