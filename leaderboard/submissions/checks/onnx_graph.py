"""Check an ONNX model as data, and rebuild it from the checked parts.

Allowed are standard operators with their standard attributes, and constants in the file itself, but no loops, no
functions and no unlimited allocations. The file is parsed as a protocol buffer, which runs nothing. Shapes are inferred
node by node, of the rebuilt graph; graph optimization happens only in the sandbox.

The stored and measured file is new: the nodes that the output depends on, each with its checked inputs, outputs and
attributes, and one initializer for every constant that they use. Names, documentation, metadata and everything else in
the sender's file are dropped, so nothing can be hidden there, and equal networks give equal files.
"""

import functools
import importlib
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from leaderboard.submissions.checks import onnx_parameters, onnx_structure, onnx_tensors, onnx_work
from leaderboard.submissions.checks.onnx_signature import EXAMPLE, check_end, image_of, input_shape, output_classes
from zoo.strict import wire_format
from zoo.strict.onnx_costs import OPERATORS
from zoo.strict.problems import Findings, Refused, short, whole
from zoo.types import Json

DOMAINS = ("", "ai.onnx")
OPSETS = range(8, 27)  # supported by ONNX Runtime 1.31
MOST_NODES = 5000
MOST_PARAMETERS = 60_000_000
LARGEST = 8_000_000  # output values that a constant may request from an operator
MOST_NUMBERS = 64  # of one attribute
LARGEST_NUMBER = 2**40  # in an attribute
MOST_ARGUMENTS = 4096  # inputs of one node
MOST_INPUTS = 20_000  # of all nodes: each is followed when shapes are inferred; the networks of this zoo have up to 700
TEXT = re.compile(r"[\w,.>() -]{0,100}", re.ASCII)  # attributes such as "SAME_UPPER" or "bij,bjk->bik"
REFUSED_OPERATORS = {
    "Loop": ("onnx-loop", "a Loop, which may never end"),
    "Scan": ("onnx-loop", "a Scan, which contains a graph"),
    "If": ("onnx-loop", "an If, which contains graphs"),
}
SHAPED_BY = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Reshape": 1, "Pad": 1, "Range": 1, "Resize": 3}
AGAIN = "Export it again."


@dataclass(frozen=True)
class Report:
    """What is known about an ONNX model without running it.

    input_shape: height, width, channels.
    classes: length of the output.
    parameters: stored numbers, as `onnx_parameters` counts them.
    structure: bytes, see `onnx_structure`.
    work: about how many multiply-adds one image takes, see `onnx_work`.
    operators: number of nodes by operator.
    content: the rebuilt file.
    """

    input_shape: tuple[int, ...]
    classes: int
    parameters: int
    structure: int
    work: int
    operators: dict[str, int]
    content: bytes = field(repr=False)

    def to_dict(self) -> Json:
        """Return plain JSON types, without the content."""
        return {**asdict(self), "content": None}

    @classmethod
    def from_child(cls, values: Json, content: bytes) -> "Report":
        """Rebuild a report from what a child says, which a stranger's file may have made it say: ValueError if none is.

        Its shape, classes and operators are of no use outside, so they are not taken.
        """
        parameters, structure, work = (whole(values, name) for name in ("parameters", "structure", "work"))
        return cls((), 0, parameters, structure, work, {}, content)


def read_graph(data: bytes, fits: Callable[[tuple[int, ...], int], None] = lambda shape, classes: None) -> Report:
    """Return a report of an ONNX file and a clean copy of it.

    Args:
        data: the file's bytes.
        fits: called with the shape of an image and the number of classes; may raise Refused.

    Raises:
        Refused: with all problems.
    """
    model = _parse(data)
    graph, found = model.graph, Findings()
    version = shape = classes = rebuilt = None
    with found.next():
        version = _check_model(model)
    allowed = []
    for node in graph.node:
        with found.next():
            _check_operator(node)
            allowed.append(node)
    with found.next():
        shape = input_shape(graph)
    with found.next():
        classes = output_classes(graph)
    if shape and classes:
        with found.next():
            fits(shape, classes)
    if version and len(graph.output) == 1:
        with found.next():
            rebuilt = _Rebuilt(graph, version, {id(node) for node in allowed}, shape, classes)
    found.check()
    assert shape
    assert classes
    assert rebuilt
    onnx_structure.check_shapes(rebuilt.graph.node)
    constants = {tensor.name: tensor for tensor in rebuilt.graph.initializer}
    parameters, structure = onnx_parameters.count(rebuilt.graph.node, constants)
    if parameters > MOST_PARAMETERS:
        raise Refused("too-large", f"The model has {parameters:,} parameters.", "This board is for small networks.")
    work = onnx_work.estimate(rebuilt.model, shape)
    operators: dict[str, int] = {}
    for node in graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    content = rebuilt.model.SerializeToString(deterministic=True)
    return Report(shape, classes, parameters, structure, work, operators, content)


def warm_up() -> None:
    """Import what `read_graph` needs."""
    for name in ("onnx.shape_inference", "onnx.numpy_helper", "onnx.defs"):
        importlib.import_module(name)


def _parse(data: bytes) -> Any:
    """Return the ModelProto of a file."""
    import onnx
    from google.protobuf.message import DecodeError

    again = "Send the file as your framework exported it."
    try:
        wire_format.scan(data, onnx.ModelProto.DESCRIPTOR)
        model = onnx.ModelProto.FromString(data)
    except wire_format.BadWireFormat as error:
        raise Refused("onnx", f"This is not an ONNX model: it {error}.", again) from None
    except (DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        raise Refused("onnx", "This is not an ONNX model.", again) from None
    if not model.HasField("graph") or not model.graph.node:
        raise Refused("onnx", "This is not an ONNX model: it has no graph.", again)
    if len(model.graph.node) > MOST_NODES:
        raise Refused("too-large", f"The graph has {len(model.graph.node):,} nodes.", f"The most is {MOST_NODES:,}.")
    return model


def _check_model(model: Any) -> int:
    """Return the version of the standard operators."""
    if model.functions:
        raise Refused("onnx-function", "The model defines functions.", "Export it with them inlined.")
    if model.training_info:
        raise Refused("onnx-training", "The model has a training graph.", "Export it for inference.")
    if model.graph.sparse_initializer:
        raise Refused("onnx-sparse", "The model has sparse constants.", "Export it with dense ones.")
    version = _version(model)
    if version not in OPSETS:
        what = f"The model uses operator set {version}."
        raise Refused("onnx-version", what, f"Export it with one of {OPSETS[0]} to {OPSETS[-1]}, for example 18.")
    return version


def _version(model: Any) -> int:
    """Return the version of the standard operators; other domains are ignored."""
    versions: set[int] = {opset.version for opset in model.opset_import if opset.domain in DOMAINS}
    if len(versions) != 1:
        raise Refused("onnx-version", "The model does not name one version of the standard operators.", AGAIN)
    return versions.pop()


def _check_operator(node: Any) -> None:
    operator = node.op_type
    if node.domain not in DOMAINS:
        what = f"The operator {short(operator)} is of the domain {short(node.domain)}."
        raise Refused("onnx-domain", what, "Export with standard operators only.")
    if operator in REFUSED_OPERATORS:
        code, what = REFUSED_OPERATORS[operator]
        raise Refused(code, f"The graph has {what}.", "Export the network unrolled and without branches.")
    if operator not in OPERATORS:
        raise Refused(
            "onnx-operator", f"The operator {short(operator)} is not allowed.", "Replace it by allowed operators."
        )
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            raise Refused("onnx-loop", f"A node {operator} contains a graph.", "Unroll it.")


class _Rebuilt:
    """A graph that is built from checked values.

    Values (v1, …) and constants (w1, …) are numbered in the order of the nodes that make or first use them. If a node
    is not allowed, or the input or output is unknown, the rest is still checked.
    """

    def __init__(self, graph: Any, version: int, allowed: set[int], shape: tuple[int, ...] | None, classes: int | None):
        import onnx

        self.version = version
        opset = onnx.OperatorSetIdProto(domain="", version=version)
        ir_version = max(onnx.helper.find_min_ir_version_for([opset]), 4)  # 4: initializers are no inputs
        self.model = onnx.ModelProto(ir_version=ir_version, opset_import=[opset])
        self.graph = self.model.graph
        self.graph.name = "network"
        image, constants = image_of(graph), self._constants(graph)
        if image.name in constants:
            raise Refused("onnx-name", f"Two values are named {short(image.name)}.", AGAIN)
        self.tensors: dict[str, Any] = {}  # the clean constants that are used, by their old names
        self.names = {"": "", image.name: "image"}  # old -> new
        nodes = [node for node in graph.node if node.op_type != "Constant"]
        self._check_flow(nodes, constants)
        needed = _needed(nodes, graph.output[0].name)
        found = Findings()
        with found.next():
            check_end(needed, graph.output[0].name)
        for node in needed:
            with found.next():
                self._node(node, constants, id(node) in allowed)
        found.check()
        if image.name not in {name for node in needed for name in node.input}:
            what = "The model's output does not depend on its input."
            raise Refused("onnx-graph", what, "Export the whole network, from pixels to probabilities.")
        if graph.output[0].name in constants or self.names.get(graph.output[0].name, "image") == "image":
            raise Refused("output", "The model's output is not the output of a node.", "Export the whole network.")
        if shape and classes:
            self._ends(self.names[graph.output[0].name], shape, classes)

    def _constants(self, graph: Any) -> dict[str, Any]:
        """Return the TensorProto or AttributeProto of every constant, by name."""
        constants: dict[str, Any] = {}
        found = [(tensor.name, tensor) for tensor in graph.initializer]
        for node in graph.node:
            if node.op_type == "Constant":
                if len(node.output) != 1 or len(node.attribute) != 1 or node.input:
                    raise Refused("onnx-constant", "A Constant node does not hold one value.", AGAIN)
                found.append((node.output[0], node.attribute[0]))
        for name, value in found:
            if name in constants or not name:
                raise Refused("onnx-name", f"Two constants are named {short(name)}.", AGAIN)
            constants[name] = value
        return constants

    def _check_flow(self, nodes: list[Any], constants: dict[str, Any]) -> None:
        """Reject a graph where a name is defined twice, or used before it is defined."""
        made = {*self.names, *constants}
        if sum(len(node.input) for node in nodes) > MOST_INPUTS:
            raise Refused("too-large", f"The nodes have more than {MOST_INPUTS:,} inputs together.", AGAIN)
        for node in nodes:
            if len(node.input) > MOST_ARGUMENTS or len(node.output) > MOST_ARGUMENTS:
                raise Refused("too-large", f"A node {node.op_type} has more than {MOST_ARGUMENTS:,} inputs.", AGAIN)
            for name in node.input:
                if name not in made:
                    what = f"A node {node.op_type} uses {short(name)}, which no earlier node produces."
                    raise Refused("onnx-graph", what, AGAIN)
            for name in filter(None, node.output):
                if name in made:
                    raise Refused("onnx-name", f"Two values are named {short(name)}.", AGAIN)
                made.add(name)

    def _node(self, node: Any, constants: dict[str, Any], allowed: bool) -> None:
        """Add a clean copy of a node, if it is allowed, with the constants that it is the first to use."""
        for name in filter(None, node.output):
            self.names[name] = f"v{len(self.names)}"
        for name in node.input:
            if name in constants and name not in self.names:
                self.names[name] = f"w{len(self.names)}"
                is_tensor = hasattr(constants[name], "dims")
                tensor = (onnx_tensors.clean if is_tensor else onnx_tensors.from_attribute)(constants[name], name)
                tensor.name = self.names[name]
                self.graph.initializer.append(tensor)  # a copy
                self.tensors[name] = self.graph.initializer[-1]
        if not allowed:
            return
        _check_dropout(node, self.tensors)
        place = SHAPED_BY.get(node.op_type)
        if place is not None and len(node.input) > place and node.input[place] in self.tensors:
            _check_size(node.op_type, self.tensors[node.input[place]])
        self.graph.node.add(
            op_type=node.op_type,
            input=[self.names[name] for name in node.input],
            output=[self.names[name] for name in node.output],
            attribute=_attributes(node, self.version),
        )

    def _ends(self, end: str, shape: tuple[int, ...], classes: int) -> None:
        """Add the input and the output, and name the value that is the output."""
        import onnx

        tensor = onnx.helper.make_tensor_value_info
        for node in self.graph.node:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == end:
                        names[place] = "probabilities"
        self.graph.input.append(tensor("image", onnx.TensorProto.UINT8, ["n", *shape]))
        self.graph.output.append(tensor("probabilities", onnx.TensorProto.FLOAT, ["n", classes]))


def _check_dropout(node: Any, tensors: dict[str, Any]) -> None:
    """Reject a Dropout whose training mode is not known to be off: its output would be random."""
    mode = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
    if mode and (mode not in tensors or any(tensors[mode].raw_data)):
        raise Refused(
            "onnx-random", "A Dropout is in training mode, so its output is random.", "Export it for inference."
        )


def _needed(nodes: list[Any], output: str) -> list[Any]:
    """Return the nodes that an output depends on, in their order."""
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(filter(None, node.input))
            kept.append(node)
    return kept[::-1]


def _check_size(operator: str, tensor: Any) -> None:
    """Reject a constant that requests a huge result from an operator."""
    values = onnx_tensors.whole_numbers(tensor) if operator != "Resize" else []
    if operator == "Range" and values is None:
        return  # of floats: its result is measured in the sandbox
    if values is None or len(values) > 2 * onnx_tensors.MOST_SIDES:
        raise Refused("onnx-size", f"A node {operator} has no list of whole numbers as a shape.", EXAMPLE)
    asked = sum(map(abs, values)) if operator == "Pad" else math.prod(n for n in values if n > 1)
    if asked > LARGEST:
        what = f"A node {operator} requests {asked:,} values; the most is {LARGEST:,}."
        raise Refused("too-large", what, "Make it smaller.")


@functools.cache
def _known_attributes(operator: str, version: int) -> dict[str, int]:
    """Return the standard attributes of an operator and their types."""
    import onnx.defs

    try:
        schema = onnx.defs.get_schema(operator, version, "")
    except onnx.defs.SchemaError:
        what = f"The operator {operator} is not in operator set {version}."
        raise Refused("onnx-operator", what, "Export it with another operator set, for example 18.") from None
    return {name: int(attribute.type.value) for name, attribute in schema.attributes.items()}


FIELDS = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints"}  # AttributeProto.AttributeType -> field of its value
VALUE = 4  # the type of an attribute that is a tensor


def _attributes(node: Any, version: int) -> list[Any]:
    """Return clean copies of the attributes of a node, in the order of their names."""
    import onnx

    known, clean, where = _known_attributes(node.op_type, version), {}, f"A node {node.op_type}"
    for attribute in node.attribute:
        name, kind = attribute.name, known.get(attribute.name)
        if kind is None or name in clean or attribute.ref_attr_name or attribute.type not in (kind, 0):
            what = f"{where} has the attribute {short(name)}, which is not standard, or is repeated."
            raise Refused("onnx-attribute", what, AGAIN)
        made = clean[name] = onnx.AttributeProto(name=name, type=kind)
        if kind == VALUE:
            made.t.CopyFrom(onnx_tensors.clean(attribute.t, name))
            if math.prod(made.t.dims) > 1:
                raise Refused("onnx-attribute", f"{where} has more than one value in {short(name)}.", AGAIN)
            continue
        if kind not in FIELDS:
            raise Refused("onnx-attribute", f"{where} has the attribute {short(name)} of the wrong type.", AGAIN)
        value = getattr(attribute, FIELDS[kind])
        if kind == 3 and not TEXT.fullmatch(value.decode("ascii", "replace")):
            raise Refused("onnx-attribute", f"{where} has the text {short(value)} in {short(name)}.", AGAIN)
        if kind in (6, 7):
            if len(value) > MOST_NUMBERS:
                raise Refused("onnx-size", f"{where} has {len(value):,} numbers in {short(name)}.", AGAIN)
            getattr(made, FIELDS[kind]).extend(value)
        else:
            setattr(made, FIELDS[kind], value)
        _check_numbers(where, name, [value] if kind in (1, 2) else list(value) if kind in (6, 7) else [])
    if "num_outputs" in clean and clean["num_outputs"].i != len(node.output):  # the runtime ends the process
        raise Refused("onnx-attribute", f"{where} says another number of outputs than it has.", AGAIN)
    return [clean[name] for name in sorted(clean)]


def _check_numbers(where: str, name: str, numbers: list[Any]) -> None:
    """Reject NaN and unreasonably large numbers; a slice may end at infinity."""
    for number in numbers:
        if number != number:
            raise Refused("nan", f"{where} has NaN in {short(name)}.", AGAIN)
        if isinstance(number, int) and abs(number) > LARGEST_NUMBER and name not in ("starts", "ends"):
            raise Refused("onnx-size", f"{where} asks for {number:,} in {short(name)}.", "Make it smaller.")
