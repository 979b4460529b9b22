"""A program: calls of the kernels of `kernels.c`, one after another, in one block of memory.

The memory starts with the weights; the numbers in between follow, in places that are used again once they are not
needed. All sizes and places are known when a program is made, so nothing is allocated where it runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.portable import reach, work
from zoo.portable.reach import Unsupported

MOST_MEMORY = 2**26  # numbers of a program; the largest published network takes a thirtieth


@dataclass(eq=False)
class Block:
    """A piece of memory: `size` numbers, needed from the first to the last step that uses it.

    `at` is its place once it is known.
    """

    size: int
    first: int = -1
    last: int = -1
    at: int = -1


@dataclass(eq=False)
class Weight:
    """Constant numbers, float32 (rows, columns), at the start of memory."""

    values: np.ndarray
    at: int = -1


Place = tuple[Block | Weight, int]  # and how many numbers after its start


@dataclass(frozen=True)
class Step:
    """One call: the kernel's name without its prefix, where its arrays are, and its other arguments.

    The last place is written, all others are read. `in_place` says that the first may be the same as the last.
    """

    kernel: str
    places: tuple[Place, ...]
    numbers: tuple[int | float, ...]
    in_place: bool = False


@dataclass
class Program:
    """What `zoo.portable` runs.

    steps: the calls.
    weights: in the order of memory.
    image: the bytes of the image.
    answer: the probabilities, `classes` of them.
    shape: of the image: height, width, channels.
    memory: numbers, the weights included.

    Raises:
        Unsupported: a call leaves its arrays, or the answer or the image is none of them: whatever a compiler did
            wrong, no program reads or writes beyond its memory; or it takes too much memory, or too long.
    """

    steps: list[Step]
    weights: list[Weight]
    image: Block
    answer: Place
    classes: int
    shape: tuple[int, ...]
    memory: int = field(init=False)

    def __post_init__(self) -> None:
        for step in self.steps:
            _check(step)
        work.check([(step.kernel, step.numbers) for step in self.steps])
        block, start = self.answer
        if not isinstance(block, Block) or not 0 <= start < start + self.classes <= block.size:
            raise Unsupported("an answer that is not computed")
        if not self.steps or self.steps[0].kernel != "load" or self.steps[0].numbers[0] != math.prod(self.shape):
            raise Unsupported("no image")
        at = 0
        for weight in self.weights:
            weight.at = at
            at += weight.values.size
        self.memory = _arrange(self.steps, self.image, self.answer[0], at)
        if self.memory > MOST_MEMORY:
            raise Unsupported(f"more than {MOST_MEMORY:,} numbers")

    @property
    def weight_count(self) -> int:
        """Numbers at the start of memory that are constant."""
        return sum(weight.values.size for weight in self.weights)

    def calls(self) -> list[tuple[str, list[int], Sequence[int | float]]]:
        """Return each step as kernel, places in memory, and other arguments."""
        return [(step.kernel, [block.at + more for block, more in step.places], step.numbers) for step in self.steps]


def _check(step: Step) -> None:
    """Raise Unsupported if a call would read or write outside its arrays, or write into constants."""
    for (block, start), (low, high) in zip(step.places, reach.of_call(step.kernel, step.numbers), strict=True):
        size = block.size if isinstance(block, Block) else block.values.size
        if not 0 <= start + low < start + high <= size:
            raise Unsupported(f"a call of {step.kernel} that leaves its arrays")
    if isinstance(step.places[-1][0], Weight):
        raise Unsupported(f"a call of {step.kernel} that writes into constants")


def _arrange(steps: Sequence[Step], image: Block, answer: Block | Weight, start: int) -> int:
    """Give every block a place at or after `start`; return where the memory ends."""
    blocks: dict[int, Block] = {}
    for index, step in enumerate(steps):
        for block, _ in step.places:
            if isinstance(block, Block):
                block.first = index if block.first < 0 else block.first
                block.last = index
                blocks[id(block)] = block
    image.first = 0
    if isinstance(answer, Block):
        answer.last = len(steps)
    same = _shared(steps)
    for block in blocks.values():
        root = _root(same, block)
        root.first, root.last = min(root.first, block.first), max(root.last, block.last)
    placed: list[Block] = []
    for block in sorted((b for b in blocks.values() if id(b) not in same), key=lambda b: -b.size):
        at = start
        for other in sorted((o for o in placed if o.first <= block.last and block.first <= o.last), key=lambda o: o.at):
            if at + block.size <= other.at:
                break
            at = max(at, other.at + other.size)
        block.at = at
        placed.append(block)
    for block in blocks.values():
        block.at = _root(same, block).at
    return max((block.at + block.size for block in placed), default=start)


def _shared(steps: Sequence[Step]) -> dict[int, Block]:
    """Return, by the identity of a block, the block whose place it takes over: it is last read where it is written."""
    same: dict[int, Block] = {}
    for index, step in enumerate(steps):
        (source, skipped), (target, _) = step.places[0], step.places[-1]
        if not (step.in_place and isinstance(source, Block) and isinstance(target, Block)) or skipped:
            continue
        unread = all(place[0] is not source for place in step.places[1:])
        if source.last == index and target.first == index and source.size == target.size and unread:
            same[id(target)] = source
    return same


def _root(same: dict[int, Block], block: Block) -> Block:
    while id(block) in same:
        block = same[id(block)]
    return block
