"""An ONNX file becomes a program of kernels."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.ink.contract import Contract
from zoo.portable import computing, graph, rules
from zoo.portable.operators import BINARY, OPERATORS, UNARY
from zoo.portable.program import Block, Program, Step
from zoo.portable.reach import Unsupported
from zoo.portable.strided import Builder, Value, View, dense_strides
from zoo.published import PublishedFolder
from zoo.types import Json, Shape

FLOAT = 1  # TensorProto.DataType
DRAWN = 5  # images with a few strokes, on which a program is compared with ONNX Runtime
Known = tuple[np.ndarray, np.ndarray]
MOVES = {"Transpose", "Reshape", "Flatten", "Identity", "Slice", "Squeeze", "Unsqueeze", "Concat"}  # no arithmetic


def compiled(path: Path, precision: str = "float32", known: Known | None = None) -> Program:
    """Return the program that computes an ONNX network for one image.

    Args:
        path: model.onnx, which takes uint8 images (N, height, width, channels) and gives probabilities (N, classes).
        precision: its weights are rounded to, one of `graph.PRECISIONS`.
        known: images of its dataset, uint8 (N, height, width, channels), and what the file answers to each, float32
            (N, classes); None: it is compared on images that are made here.

    Raises:
        UnknownName: no such precision.
        ZooError: it is no such network, or it has an operator that no kernel computes; or what became of it has
            other shapes than ONNX Runtime gives, leaves its memory, or gives other answers.
    """
    network = graph.read(path, precision)
    images = made_images(network.shape)
    (right,) = network.values(images[:1])
    build, shape = Builder(), (1, *network.shape)
    image = Block(-(-math.prod(shape) // 4))  # bytes, four in the place of a number
    loaded = View(Block(math.prod(shape)), 0, shape, dense_strides(shape))
    build.step("load", [(image, 0), loaded.place], [loaded.size])
    values: dict[str, Value | None] = {"": None, **network.constants, network.input: loaded}
    as_bytes = {network.input}  # names of values that are not cast to numbers yet
    try:
        for node in network.nodes:
            if as_bytes & set(node.input) and node.op_type in MOVES:
                as_bytes |= set(node.output)
            made = _added(build, node, [values[name] for name in node.input], as_bytes, network.opset)
            _check_shape(node, made, right[node.output[0]])
            values[node.output[0]] = made
        answer = build.dense(build.view(known_value(values[network.output])))
        program = Program(fused(build.steps), build.weights, image, answer.place, answer.size, tuple(network.shape))
        computing.compare(program, images, network(images))
        exact = network if precision == "float32" else graph.read(path)
        computing.compare_labels(program, *(known or (images, exact(images))))
    except Unsupported as error:
        raise ZooError(f"This network cannot be exported: it has {error}.") from None
    except KeyError as error:
        raise ZooError(f"This network cannot be exported: it has a value that no node makes, {error}.") from None
    return program


def made_images(shape: Shape) -> np.ndarray:
    """Return images on which a program is compared, uint8 (N, *shape): of random bytes, empty, full, and drawn ones."""
    rng, places = np.random.default_rng(0), np.indices(shape[:2])[..., None]  # (2, height, width, 1)
    images = np.zeros((3 + DRAWN, *shape), np.uint8)
    images[0], images[2] = rng.integers(0, 256, shape), 255
    for image in images[3:]:  # like glyphs, they leave a margin
        ends = rng.uniform(0.2, 0.8, (4, 2)) * shape[:2]
        points = np.linspace(ends[:-1], ends[1:], 2 * max(shape)).reshape(-1, 2)
        ink = np.min(np.hypot(*(places - points.T[:, None, None])), axis=-1)  # distance to the pen
        image[:] = (255 * np.clip(max(shape) / 16 - ink, 0, 1))[..., None]
    return images


def of_folder(folder: Path, precision: str = "float32") -> tuple[Program, Json]:
    """Return the program of a published network for single glyphs, and what its preprocessor_config.json says.

    Raises:
        UnknownName, ZooError: as `compiled`; or it reads pages, or its image or labels are not those of the network.
    """
    published = PublishedFolder(folder)
    said = published.preprocessor
    if not said["contract"]:
        raise ZooError(f"{folder.name} reads whole pages: only a network for single glyphs is exported so.")
    program = compiled(published.onnx, precision)
    made = Contract.from_dict(said["contract"])
    if program.shape != (made.height, made.width, made.channels) or program.classes != len(said["labels"]):
        raise ZooError(
            f"{folder.name} cannot be exported: its network takes images of {program.shape} and has {program.classes} "
            f"classes, its preprocessor_config.json says {(made.height, made.width, made.channels)} and "
            f"{len(said['labels'])}."
        )
    return program, said


def fused(steps: list[Step]) -> list[Step]:
    """Return steps with each product of numbers and their sigmoid in one step: it is faster and takes less memory."""
    uses = Counter(id(block) for step in steps for block, _ in step.places)
    found: list[Step] = []
    for step in steps:
        before = found[-1] if found else step
        if _is_swish(before, step) and uses[id(before.places[-1][0])] == 2:
            size = before.numbers[1]
            found[-1] = Step("unary", (before.places[0], step.places[-1]), (UNARY["Swish"], size, 0.0, 0.0), True)
        else:
            found.append(step)
    return found


def _is_swish(one: Step, other: Step) -> bool:
    """Return whether two steps are y = sigmoid(x) and x * y, number by number."""
    if one.kernel != "unary" or one.numbers[0] != UNARY["Sigmoid"] or other.kernel != "binary":
        return False
    size = one.numbers[1]
    plain = (BINARY["Mul"], 1, 1, size, *[0, 0, 1] * 2)
    return other.numbers == plain and set(other.places[:2]) == set(one.places)


def known_value(value: Value | None) -> Value:
    """Return a value that has to be there."""
    assert value is not None
    return value


def _check_shape(node: Any, made: Value, right: np.ndarray) -> None:
    """Raise Unsupported if a node has another output than in ONNX Runtime, as far as its shape says."""
    if tuple(made.shape) != right.shape:
        raise Unsupported(f"a {node.op_type} of which ONNX Runtime makes {right.shape}, not {tuple(made.shape)}")


def _added(build: Builder, node: Any, inputs: list[Value | None], as_bytes: set[str], opset: int) -> Value:
    """Add the calls of one node; return its first output."""
    kind, given = node.op_type, graph.attributes(node)
    if any(list(node.output)[1:]) or not node.output[0]:
        raise Unsupported(f"a {kind} with other than one output")
    if node.domain not in ("", "ai.onnx"):
        raise Unsupported(f"the operator {kind}, which no kernel computes")
    given["version"] = rules.check(kind, opset, given)
    if kind == "Cast":
        if given["to"] != FLOAT:
            raise Unsupported("a cast to another type than float32")
        return build.view(known_value(inputs[0]))
    if as_bytes & set(node.input) and kind not in MOVES:
        raise Unsupported(f"the operator {kind} on bytes, not on float32")
    for value in inputs:
        if isinstance(value, np.ndarray) and value.dtype not in (np.float32, np.int64, np.int32, np.bool_):
            raise Unsupported(f"constants of type {value.dtype}")
    try:
        return OPERATORS[kind](build, kind, inputs, given)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError):
        raise Unsupported(f"a {kind} whose operands do not fit each other") from None
