"""Bound what an ONNX file makes a runtime do, before one opens it.

A runtime computes while it opens a file whatever depends on constants alone, so 32 kB can take any memory and time.
Here the shape of every value is known before anything is computed: ONNX Runtime infers them, with all optimization off,
for as many images as are computed together. Shapes that are computed, as in attention, are followed number by number
where they are few. A graph with a shape that depends on an image, or that is not known, is refused.

Bounded are the memory that its values take at a time, and the operations of an image and of all constants. What a
network within these bounds does with its images is its own affair: a network is a program.

It needs ONNX Runtime only, and not the package `onnx`.
"""

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.strict import onnx_attributes, onnx_costs, onnx_indices, onnx_slices, onnx_wire
from zoo.strict.onnx_costs import Shape
from zoo.strict.wire_format import BadWireFormat

TOGETHER = 256  # images of 32 x 32 pixels that are computed at a time, fewer of larger ones
MOST_NODES = 5000
MOST_MEMORY = 1_000_000_000  # bytes of values at a time, of the images that are computed together
MOST_KEPT = 100_000_000, 16  # bytes of values that do not depend on an image, and times the file's bytes
MOST_MADE = 500_000_000  # bytes of all values of an image: some tools keep them all; those of the zoo make up to 35 MB
MOST_WORK = 5_000_000_000  # operations of one image; the largest network of the zoo has 0.6 billion
MOST_WORK_ONCE = 2_000_000_000  # operations on constants, while the file is opened
MOST_ROUNDS = 30  # of inference; the networks of the zoo take up to 7
MOST_PARTS = 20_000  # inputs, outputs and numbers in attributes of all nodes; the networks of the zoo have up to 2,000
FEW = 64  # numbers of a value that are followed
_FOLLOWED = (  # operators that compute shapes
    "Add Cast Ceil Concat ConstantOfShape Div Equal Expand Flatten Floor Gather Greater Identity Less Max Min Mod Mul "
    "Neg Not Range ReduceProd Reshape Slice Split Sqrt Squeeze Sub Transpose Unsqueeze Where"
)
FOLLOWED = frozenset(_FOLLOWED.split())
DOMAINS = ("", "ai.onnx")
ANY = "n"  # the number of images, where it may be any
FLOAT = 1  # TensorProto.DataType
COMPARED, BOOL = ("GreaterOrEqual", "LessOrEqual"), 9  # operators whose shapes are not inferred, and their type
DIVIDED = ("int32", "int64")  # types whose smallest number divided by -1 ends the process
BYTES = {"float": 4, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "int32": 4, "int64": 8, "bool": 1, "float16": 4,
         "double": 8, "uint32": 4, "uint64": 8, "bfloat16": 4}  # fmt: skip  # those of half precision are computed in 4
KINDS = {"float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10,
         "float64": 11, "uint32": 12, "uint64": 13}  # fmt: skip  # NumPy's dtype -> TensorProto.DataType


class TooMuch(ValueError):
    """A file that is not opened; the text completes "it is not opened: …"."""


@dataclass(frozen=True)
class Tensor:
    """A stored tensor, and its bytes in the file."""

    name: str
    kind: int
    dims: Shape
    raw: bytes

    @property
    def few(self) -> bool:
        """Whether its numbers are so few that they may decide shapes."""
        return math.prod(self.dims) <= FEW


def together(height: int, width: int) -> int:
    """Return how many images of a size are computed at a time, at most: more are no faster and need more memory."""
    return max(1, TOGETHER * 32 * 32 // max(height * width, 32 * 32))


class Bounded:
    """A network of an ONNX file, if opening it, and running it on one image and on the most together, is bounded.

    Args:
        data: the file.
        indices: whether the runtime that opens it checks indices itself, see `zoo.strict.onnx_indices`.

    Attributes:
        model: the file that may be opened, with nothing else in it than the network.

    Raises:
        TooMuch: it is not bounded, or is no network that takes images and gives one answer.
    """

    def __init__(self, data: bytes, indices: bool = True):
        self._indices, self._lock = indices, threading.Lock()
        self._checked: set[int] = set()
        self._evenly = 0  # up to so many images, more of them take more, and nothing else changes
        try:
            self._graph = _Graph(data)
            most = together(*self._graph.sides[:2])
            self.check(most)
            self.check(1)
            self._evenly = most if self._graph.grows_evenly() else 0
        except (BadWireFormat, onnx_slices.TooMany) as error:
            raise TooMuch(f"it {error}") from None
        self.model = self._graph.written()

    def check(self, images: int) -> None:
        """Check that so many images may be computed together: sizes may be computed of their number in any way.

        Raises:
            TooMuch: they may not.
        """
        with self._lock:
            if images not in self._checked and images > self._evenly:
                self._graph.check(images, self._indices)
                self._checked.add(images)


def checked(data: bytes, indices: bool = True) -> bytes:
    """Return the `model` of `Bounded`; raise what that raises."""
    return Bounded(data, indices).model


class _Graph:
    def __init__(self, data: bytes):
        model = onnx_wire.read(data, onnx_wire.MODEL)
        graph = onnx_wire.read(model.graph, onnx_wire.GRAPH)
        if model.functions or model.training or graph.sparse:
            raise TooMuch("it has functions, a training graph or sparse constants")
        if not 0 < len(graph.nodes) <= MOST_NODES:
            raise TooMuch(f"it has {len(graph.nodes):,} nodes; expected 1 to {MOST_NODES:,}")
        opsets = [onnx_wire.read(one, onnx_wire.OPSET) for one in model.opset]
        versions = [one.version for one in opsets if onnx_wire.text(one.domain) in DOMAINS]
        if len(versions) != 1:
            raise TooMuch("it does not name one version of the standard operators")
        self.size, self.version, self.metadata = len(data), versions[0], model.metadata
        self.initializers = {tensor.name: tensor for tensor in map(stored_tensor, graph.initializers)}
        inputs = [one for one in map(_value, graph.inputs) if one[0] not in self.initializers]
        if len(inputs) != 1 or len(graph.outputs) < 1:
            raise TooMuch(f"it has {len(inputs)} inputs and {len(graph.outputs)} outputs; expected one of each")
        (self.image, self.kind, self.sides), = inputs  # fmt: skip
        if min(self.sides, default=1) < 1:
            raise TooMuch("it takes images with a side below 1")
        self.types: dict[str, str] = {}  # of each value, as ONNX Runtime names them
        self.answer = onnx_wire.text(onnx_wire.read(graph.outputs[0], onnx_wire.VALUE).name)
        self.nodes = [onnx_wire.node(one) for one in graph.nodes]
        self._check_nodes()
        self.steps = onnx_slices.steps(self.nodes)

    def check(self, images: int, indices: bool) -> None:
        """Check what a number of images takes; sets `self.classes`."""
        shapes = self._shapes(images)
        for node in self.nodes:
            if node.op_type != "Constant" and any(0 in shapes[name] for name in node.output if name):
                raise TooMuch(f"its {node.op_type} makes a value of no numbers, which ONNX Runtime may leave out")
            if onnx_costs.has_another_shape(node, shapes, self.version):
                raise TooMuch(f"its {node.op_type} makes a value of another size than its rules say")
        self._check_costs(images, shapes)
        stored = {name: one.raw for name, one in self.initializers.items()}
        if not indices and (operator := onnx_indices.wrong(self.nodes, stored, shapes)):
            raise TooMuch(f"it has the operator {operator}, with which only ONNX Runtime is trusted")
        if self.types[self.answer] != "float" or not shapes[self.answer]:
            raise TooMuch("its answer is not float32, one row an image")
        self.classes = shapes[self.answer][1:]

    def grows_evenly(self) -> bool:
        """Whether each side of each value is a fixed number, or that of the images: then more of them take more."""
        stored = [
            onnx_wire.value_info(one.name, one.kind, one.dims) for one in self.initializers.values() if not one.few
        ]
        few = {name: one.raw for name, one in self.initializers.items() if one.few}
        return None not in self._inferred(self.nodes, few, stored, ANY, {}).values()

    def written(self) -> bytes:
        """Return the file that may be opened, for any number of images."""
        answer = onnx_wire.value_info(self.answer, FLOAT, [ANY, *self.classes])
        model = self._model(self.nodes, (one.raw for one in self.initializers.values()), ANY, [answer])
        return model + onnx_wire.all_written(14, self.metadata)

    def _check_nodes(self) -> None:
        """Refuse nodes of other operators, or that contain a graph; names that are made twice, or never."""
        made, parts = {"", self.image, *self.initializers}, 0
        for node in self.nodes:
            if node.domain not in DOMAINS or node.op_type not in onnx_costs.OPERATORS:
                raise TooMuch(f"it has the operator {node.op_type:.40}, which is not one of those that are known")
            parts += len(node.input) + len(node.output) + sum(1 + len(one.ints) for one in node.attribute)
            if parts > MOST_PARTS or len({one.name for one in node.attribute}) < len(node.attribute):
                raise TooMuch(f"its nodes have more than {MOST_PARTS:,} inputs and attributes, or one of them twice")
            for one in node.attribute:
                if one.g or one.graphs or one.sparse or one.sparse_list or one.tensors or one.reference:
                    raise TooMuch(f"its {node.op_type} has the attribute {one.name:.40}, which is not known")
                if one.t:
                    stored_tensor(one.t)
                if one.name == "num_outputs" and one.i != len(node.output):  # ONNX Runtime ends the process
                    raise TooMuch(f"its {node.op_type} says another number of outputs than it has")
            for wrong in onnx_attributes.wrong(node):
                raise TooMuch(wrong)
            names = [name for name in node.output if name]
            if not made.issuperset(node.input) or made.intersection(names) or len(set(names)) < len(names):
                raise TooMuch(f"its {node.op_type} uses a value that is not made before, or makes one again")
            made.update(names)
        if self.answer not in made:
            raise TooMuch("its output is made by no node")

    def _model(
        self,
        nodes: Iterable[Any],
        initializers: Iterable[bytes],
        images: int | str,
        outputs: Iterable[bytes | str],
        inputs: Iterable[bytes] = (),
    ) -> bytes:
        image = onnx_wire.value_info(self.image, self.kind, [images, *self.sides])
        answers = [one if isinstance(one, bytes) else onnx_wire.value_info(one) for one in outputs]
        return onnx_wire.model(self.version, (node.raw for node in nodes), initializers, [image, *inputs], answers)

    def _shapes(self, images: int) -> dict[str, Shape]:
        """Return the shape of every value for a number of images; sets `self.types`."""
        shapes = {name: one.dims for name, one in self.initializers.items()} | {self.image: (images, *self.sides)}
        few = {name: one.raw for name, one in self.initializers.items() if one.few}
        many = [onnx_wire.value_info(one.name, one.kind, one.dims) for one in self.initializers.values() if not one.few]
        compared: dict[str, Shape] = {}  # shapes that ONNX Runtime does not infer
        followed: dict[str, bytes] = {}  # what is computed of shapes
        for _ in range(MOST_ROUNDS):
            rest = [node for node in self.nodes if not followed.keys() & set(node.output)]
            known = self._inferred(rest, {**few, **followed}, many, images, compared)
            shapes |= {name: shape for name, shape in known.items() if shape is not None}
            self._check_numbers(followed)
            if None not in known.values():
                return shapes
            more = {
                node.output[0]: _broadcast([shapes[name] for name in node.input])
                for node in rest
                if node.op_type in COMPARED and known[node.output[0]] is None and shapes.keys() >= set(node.input)
            }
            found = self._followed(rest, shapes, {**few, **followed})
            if not found and not more:
                break
            compared, followed = compared | more, followed | found
        raise TooMuch("it has a value whose size depends on the image, or is not known")

    def _inferred(
        self,
        nodes: Sequence[Any],
        few: dict[str, bytes],
        many: Iterable[bytes],
        images: int | str,
        compared: dict[str, Shape],
    ) -> dict[str, Shape | None]:
        """Return the shapes that ONNX Runtime infers of what nodes make, computing nothing; None where it cannot.

        A Slice of a side below 0 ends the process: what comes before one is inferred, and looked at, before it.
        """
        for step in sorted({self.steps[node.output[0]] for node in nodes}):
            there = [node for node in nodes if self.steps[node.output[0]] <= step]
            names = [name for node in there for name in node.output if name]
            answers = [onnx_wire.value_info(one, *((BOOL, compared[one]) if one in compared else ())) for one in names]
            found = _session(self._model(there, few.values(), images, answers, many)).get_outputs()
            if any(isinstance(side, int) and side < 0 for one in found for side in one.shape):
                raise TooMuch("it makes a value with a side below 0")
        # It says of an unknown shape what it says of a scalar: (). The shape of the latter is known to be empty.
        sides = {f"shape of {one.name}": one.name for one in found if not one.shape}
        unknown = set()
        if sides:
            shapes = [_shape_node(name, side) for side, name in sides.items()]
            asked = _session(self._model([*nodes, *shapes], few.values(), images, [*answers, *sides], many))
            unknown = {sides[one.name] for one in asked.get_outputs() if one.name in sides and one.shape != [0]}
        known: dict[str, Shape | None] = {}
        for one in found:
            kind = one.type.removeprefix("tensor(").removesuffix(")")
            if kind not in BYTES:
                raise TooMuch(f"it has values of the type {one.type:.40}")
            self.types[one.name] = kind
            static = one.name not in unknown and all(isinstance(side, int) or side == images for side in one.shape)
            known[one.name] = tuple(one.shape) if static else None
        return known

    def _check_numbers(self, computed: dict[str, bytes]) -> None:
        """Refuse whole numbers that are divided by others than stored ones above 0, and a Range of large ones."""
        stored = {name: one.raw for name, one in self.initializers.items()}
        stored |= {node.output[0]: one.t for node in self.nodes if node.op_type == "Constant" for one in node.attribute}
        ranges = {name for node in self.nodes if node.op_type == "Range" for name in node.input}
        if not all(onnx_attributes.is_small(raw) for name, raw in {**stored, **computed}.items() if name in ranges):
            raise TooMuch("its Range is of large numbers")
        divided = [node for node in self.nodes if node.op_type == "Div" and self.types[node.output[0]] in DIVIDED]
        if not all(onnx_attributes.above_zero(stored.get(node.input[1], b"")) for node in divided):
            raise TooMuch("its Div of whole numbers is not by stored numbers above 0")

    def _followed(self, nodes: Sequence[Any], shapes: dict[str, Shape], numbers: dict[str, bytes]) -> dict[str, bytes]:
        """Return the tensors of few values that can be computed of shapes and of numbers, by name."""
        there, found = {"", *numbers}, {}
        constants, chain = [], []
        for node in nodes:
            few = all(name in shapes and math.prod(shapes[name]) <= FEW for name in node.output if name)
            if not few:
                continue
            if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
                found[node.output[0]] = _shape_of(node, shapes[node.input[0]])
            elif node.op_type == "Constant":
                constants.append(node)
            elif node.op_type in FOLLOWED and there.issuperset(node.input):
                chain.append(node)
            else:
                continue
            there.update(node.output)
        wanted = [name for node in chain for name in node.output if name]
        if wanted:
            stored = [*numbers.values(), *found.values()]
            feed = {self.image: np.zeros((1, *self.sides), np.uint8)}
            made = _session(self._model([*constants, *chain], stored, 1, wanted)).run(wanted, feed)
            found |= {name: _tensor(name, values) for name, values in zip(wanted, made, strict=True)}
        return found

    def _check_costs(self, images: int, shapes: dict[str, Shape]) -> None:
        """Refuse a graph whose values take too much memory at a time, or whose nodes too much time."""
        sizes = {name: onnx_costs.kept(one) * BYTES[self.types.get(name, "int64")] for name, one in shapes.items()}
        shapes = {**shapes, "": ()}
        constant = {"", *self.initializers}
        last: dict[str, int] = {}  # node that reads a value last
        for number, node in enumerate(self.nodes):
            last |= dict.fromkeys(node.input, number)
        kept = once = work = live = made = 0
        leaving: dict[int, int] = {}  # bytes that are free after a node
        for number, node in enumerate(self.nodes):
            try:
                cost, scratch = onnx_costs.of_node(node, shapes, constant)
            except (ValueError, IndexError, KeyError, UnicodeDecodeError):
                raise TooMuch(f"its {node.op_type} cannot be computed") from None
            outputs = [name for name in node.output if name]
            size = sum(sizes[name] for name in outputs)
            made += size
            if constant.issuperset(node.input):
                constant.update(outputs)
                kept, once = kept + size, once + cost
                need = 4 * scratch
            else:
                work += cost
                live += size
                need = live + 4 * scratch
                for name in outputs:
                    after = last.get(name, number)
                    leaving[after] = leaving.get(after, 0) + sizes[name]
            if need > MOST_MEMORY:
                raise TooMuch(f"it takes {need / 1e9:,.1f} GB for {images} images; the most is {MOST_MEMORY / 1e9:.0f}")
            live -= leaving.get(number, 0)
        if images == 1 and made > MOST_MADE:
            raise TooMuch(f"it makes {made / 1e6:,.0f} MB of values of an image; the most is {MOST_MADE / 1e6:.0f}")
        if kept > MOST_KEPT[0] + MOST_KEPT[1] * self.size:
            raise TooMuch(f"it computes {kept / 1e6:,.0f} MB of constants, from a file of {self.size / 1e3:,.0f} kB")
        if once > MOST_WORK_ONCE or work > MOST_WORK * images:
            what = f"{work / images / 1e9:,.1f} billion operations for an image, and {once / 1e9:,.1f} to be opened"
            raise TooMuch(f"it needs {what}; the most is {MOST_WORK / 1e9:.0f} and {MOST_WORK_ONCE / 1e9:.0f}")


def _value(raw: bytes) -> tuple[str, int, list[int]]:
    """Return name, type and sides of an input, without the number of images."""
    value = onnx_wire.read(raw, onnx_wire.VALUE)
    kind = onnx_wire.read(onnx_wire.read(value.type, onnx_wire.TYPE).tensor, onnx_wire.TENSOR_TYPE)
    sides = [onnx_wire.read(one, onnx_wire.SIDE).size for one in onnx_wire.read(kind.shape, onnx_wire.SHAPE).sides]
    return onnx_wire.text(value.name), kind.kind, sides[1:]


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise TooMuch("it compares values of shapes that do not fit") from None


def stored_tensor(raw: bytes) -> Tensor:
    """Return a stored tensor; TooMuch if it is not all in the file."""
    tensor = onnx_wire.read(raw, onnx_wire.TENSOR)
    if tensor.external or tensor.location:
        raise TooMuch("it has a constant in another file")
    if min(tensor.dims, default=1) < 0 or math.prod(tensor.dims) > 8 * len(raw):
        raise TooMuch("it has a constant with another number of values than it says")
    return Tensor(onnx_wire.text(tensor.name), tensor.data_type, tuple(tensor.dims), raw)


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # only what is fatal
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _shape_node(name: str, output: str) -> Any:
    return onnx_wire.node(onnx_wire.written(1, name) + onnx_wire.written(2, output) + onnx_wire.written(4, "Shape"))


def _shape_of(node: Any, shape: Shape) -> bytes:
    """Return what a node Shape or Size makes."""
    if node.op_type == "Size":
        return _tensor(node.output[0], np.array(math.prod(shape), np.int64))
    bounds = {one.name: one.i for one in node.attribute}
    return _tensor(node.output[0], np.array(shape[bounds.get("start", 0) : bounds.get("end")], np.int64))


def _tensor(name: str, values: np.ndarray) -> bytes:
    return onnx_wire.tensor(name, KINDS[values.dtype.name], values.shape, values.tobytes())
