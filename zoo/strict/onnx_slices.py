"""Which Slices of an ONNX graph must wait until the sides of what they take are known.

ONNX Runtime ends the process when it infers the shape of a Slice of a side below 0.
"""

from collections.abc import Sequence
from typing import Any

MOST = 30  # Slices that wait for each other; each takes one more inference of shapes
_RESIZING = (  # operators that may be inferred to make a side below 0, though all that they take have none
    "AveragePool ConstantOfShape Conv ConvInteger ConvTranspose DepthToSpace Expand GRU LSTM LpPool MaxPool Pad "
    "QLinearConv RNN Range Reshape Resize SpaceToDepth Split Tile TopK Upsample"
)
RESIZING = frozenset(_RESIZING.split())


class TooMany(ValueError):
    """A graph that would take too many inferences; the text completes "it …"."""


def steps(nodes: Sequence[Any]) -> dict[str, int]:
    """Return for each value how many Slices lie before it whose sides must be looked at first.

    Raises:
        TooMany: it is more than `MOST`.
    """
    found: dict[str, int] = {}
    unsure: set[str] = set()
    for node in nodes:
        step = max((found.get(name, 0) for name in node.input), default=0)
        sure = node.op_type not in RESIZING and unsure.isdisjoint(node.input)
        if node.op_type == "Slice" and not sure:
            step, sure = step + 1, True
        if step > MOST:
            raise TooMany(f"has more than {MOST} Slices that follow each other, with operators between them")
        found |= dict.fromkeys(node.output, step)
        if not sure:
            unsure.update(node.output)
    return found
