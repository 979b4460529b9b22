"""Count the parameters of an untrusted ONNX model: its stored numbers (see `zoo.stored_numbers`), and no hidden ones.

The structure of the graph is free, within limits: its nodes, what each reads, attributes, scalars and shapes (see
`onnx_structure`), up to 1,000 bytes and a hundredth of the parameters. Each byte beyond that counts, and there are
never fewer parameters than bytes of the structure. A network could hide weights there otherwise.
"""

from collections.abc import Iterable
from typing import Any

from leaderboard.submissions.checks import onnx_structure
from zoo import stored_numbers

FREE = 1000  # bytes of the structure


def count(nodes: Iterable[Any], constants: dict[str, Any]) -> tuple[int, int]:
    """Return the parameters of a graph, and the bytes of its structure.

    Args:
        nodes: NodeProto, those that the output depends on.
        constants: name -> TensorProto of every initializer that they use.
    """
    nodes = list(nodes)
    learned, described = stored_numbers.count(nodes, constants)
    structure = onnx_structure.size(nodes, constants, described)
    return in_all(learned, structure), structure


def in_all(numbers: int, structure: int) -> int:
    """Return the parameters of a network of so many numbers, stored or used, and bytes of structure."""
    return max(structure, numbers + max(0, structure - FREE - numbers // 100))
