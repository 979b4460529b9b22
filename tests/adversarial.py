"""Files that are made to be slow or large to check: deep, wide, repeated, shared and overlapping, in four formats.

name, data = adversarial.file(7)  # the same bytes for the same number, up to 50 MB
"""

import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from networks import archive, image, keras_file, layer, members, model, node, onnx_file, perceptron, tensor, weights

LARGEST = 50_000_000  # bytes
Maker = Callable[[random.Random, int], bytes]
MAKERS: dict[str, Maker] = {}


def maker(function: Maker) -> Maker:
    MAKERS[function.__name__] = function
    return function


def file(number: int, largest: int = LARGEST) -> tuple[str, bytes]:
    """Return the name of a kind of file, and one of this kind; every 7th is cut off or changed in one place."""
    rng = random.Random(number)
    name = list(MAKERS)[number % len(MAKERS)]
    size = int(10 ** rng.uniform(3, 7.7)) if number % 3 else LARGEST
    data = MAKERS[name](rng, min(size, largest))[:LARGEST]
    if number % 7 == 6:
        place = rng.randrange(len(data))
        data = data[:place] if rng.random() < 0.5 else data[:place] + rng.randbytes(3) + data[place + 3 :]
    return name, data


# ZIP


def raw_zip(entries: list[tuple[bytes, int, int, int]], body: bytes, end: bytes | None = None) -> bytes:
    """Return an archive with a directory of (name, packed size, size, offset) behind a body."""
    directory = b"".join(
        struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, packed, size, len(name), 0, 0, 0, 0, 0, start
        )
        + name
        for name, packed, size, start in entries
    )
    count = min(len(entries), 65535)
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + (tail if end is None else end)


@maker
def zip_wide(rng: random.Random, size: int) -> bytes:
    """A directory of very many members."""
    return raw_zip([(b"%d" % n, 0, 0, 0) for n in range(size // 54)], b"PK\3\4")


@maker
def zip_wide_with_a_small_count(rng: random.Random, size: int) -> bytes:
    """A directory of very many members whose end says that there are three."""
    data = raw_zip([(b"same", 0, 0, 0)] * (size // 50), b"PK\3\4", end=b"")
    return data + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 3, 3, len(data) - 4, 4, 0)


@maker
def zip_overlapping(rng: random.Random, size: int) -> bytes:
    """Three members that share one packed stream."""
    packed = zlib.compress(bytes(size), 9)[2:-4]
    body = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), size, 0, 0) + packed
    names = (b"metadata.json", b"config.json", b"model.weights.h5")
    return raw_zip([(name, len(packed), size, 0) for name in names], body)


@maker
def zip_bomb(rng: random.Random, size: int) -> bytes:
    """Weights that expand about a hundredfold, to the most that is allowed."""
    noise = rng.randbytes(1000)
    weights_h5 = b"".join(noise + bytes(rng.randrange(80_000, 100_000)) for _ in range(min(size, 90_000_000) // 90_000))
    return archive({**members(), "model.weights.h5": weights_h5}, zipfile.ZIP_DEFLATED)


@maker
def zip_64(rng: random.Random, size: int) -> bytes:
    """A ZIP64 end that says that the directory is at 2^63."""
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(b"PK\3\4"), 1)
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, size, size, 46, 2**63)
    return b"PK\3\4" + end + locator + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)


@maker
def zip_comment(rng: random.Random, size: int) -> bytes:
    """Many things that look like the end of an archive."""
    return keras_file() + b"PK\5\6" * (size // 4)


# JSON


@maker
def json_deep(rng: random.Random, size: int) -> bytes:
    return b'{"a":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}"


@maker
def json_wide(rng: random.Random, size: int) -> bytes:
    return b'{"class_name":[' + b"{}," * (size // 3) + b"1]}"


@maker
def json_repeated_key(rng: random.Random, size: int) -> bytes:
    count = min(size, 990_000) // 9
    keys = [f'"k{n}":0' for n in range(count)]
    return ("{" + ",".join([*keys, f'"k{count - 1}":1']) + "}").encode()


@maker
def json_numbers(rng: random.Random, size: int) -> bytes:
    return b'{"a":[' + b",".join([b"9" * 4000] * (min(size, 990_000) // 4001)) + b"]}"


@maker
def json_texts(rng: random.Random, size: int) -> bytes:
    return keras_file(b'{"a":"' + b"\\ud800" * (min(size, 990_000) // 6) + b'"}')


@maker
def json_spaces(rng: random.Random, size: int) -> bytes:
    return b" " * rng.choice((10, size)) + b"{" + b" " * size + b"}"


def call(name: str, index: int) -> dict:
    """Return a call of a layer that is fed by a call of another one."""
    return {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, index, 0]}}], "kwargs": {}}


@maker
def json_shared_layer_chain(rng: random.Random, size: int) -> bytes:
    """One layer that is fed by itself over and over, the calls in reverse order."""
    count = min(size // 200, 4000)
    calls = [call("relu", n - 1) if n else call("image", 0) for n in range(count)]
    chain = {**layer("ReLU", "relu"), "inbound_nodes": calls}
    last = {**layer("Flatten", "flat"), "inbound_nodes": [call("relu", count - 1)]}
    return json.dumps(model(image(), last, chain)).encode()


@maker
def json_all_to_all(rng: random.Random, size: int) -> bytes:
    """Layers that are each fed by all before them, listed from the last to the first."""
    count = min(int((size / 120) ** 0.5) + 2, 120)
    layers = [layer("Flatten", "l0", "image")]
    layers += [
        layer("Concatenate", f"l{n}", [f"l{m}" for m in range(n)] * (2 if n == 1 else 1)) for n in range(1, count)
    ]
    return json.dumps(model(image(), *layers[::-1])).encode()


@maker
def json_nested_shared(rng: random.Random, size: int) -> bytes:
    """Models within models, each called many times."""
    inner = model(image(), layer("ReLU", "end", "image"))
    for level in range(4):
        fed = [{"args": [tensor("image")], "kwargs": {}}] * (2 + min(size // 3_000_000, 60))
        inner = model(image(), {**inner, "name": f"m{level}", "inbound_nodes": fed}, layer("ReLU", "end", f"m{level}"))
    return json.dumps(inner).encode()


@maker
def json_many_inputs(rng: random.Random, size: int) -> bytes:
    count = min(size, 900_000) // 110
    return json.dumps(model(image(), layer("ReLU", "r", "image"), layer("Concatenate", "c", ["r"] * count))).encode()


@maker
def json_huge_shapes(rng: random.Random, size: int) -> bytes:
    """Reshapes to sixty axes of 2^50."""
    return keras_file(perceptron(extra=[layer("Reshape", f"r{n}", target_shape=[2**50] * 60) for n in range(300)]))


# HDF5: a superblock, then groups whose B-trees, heaps and nodes are where the maker wants them


class Hdf5:
    """Writes the parts of a file of version 0."""

    def __init__(self) -> None:
        self.data = bytearray(b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0]))
        self.data += struct.pack("<4Q", 0, 2**64 - 1, 0, 2**64 - 1) + bytes(40)

    def add(self, part: bytes) -> int:
        place = len(self.data)
        self.data += part
        return place

    def group(self, tree: int, heap: int) -> int:
        return self.add(header([(0x11, struct.pack("<2Q", tree, heap))]))

    def heap(self, names: bytes) -> int:
        segment = self.add(names)
        return self.add(b"HEAP" + bytes(4) + struct.pack("<3Q", len(names), 2**64 - 1, segment))

    def tree(self, children: list[int], level: int = 0) -> int:
        keys = b"".join(struct.pack("<2Q", 0, child) for child in children)
        return self.add(b"TREE" + struct.pack("<BBH2Q", 0, level, len(children), 2**64 - 1, 2**64 - 1) + keys)

    def node(self, entries: list[tuple[int, int]]) -> int:
        rows = b"".join(struct.pack("<QQIIQQ", name, child, 0, 0, 0, 0) for name, child in entries)
        return self.add(b"SNOD" + struct.pack("<BBH", 1, 0, len(entries)) + rows)

    def done(self, root: int) -> bytes:
        self.data[40:48] = struct.pack("<Q", len(self.data))
        self.data[64:72] = struct.pack("<Q", root)
        return keras_file(h5=bytes(self.data))


def header(messages: list[tuple[int, bytes]], count: int | None = None) -> bytes:
    body = b"".join(struct.pack("<HHB3x", kind, len(part), 0) + part for kind, part in messages)
    return struct.pack("<BxHIII", 1, count or len(messages), 1, len(body), 0) + body


@maker
def hdf5_shared_name(rng: random.Random, size: int) -> bytes:
    """Nested groups that share one very long name."""
    made = Hdf5()
    heap = made.heap(b"x" * size + b"\0")
    child = made.group(made.tree([]), heap)
    for _ in range(30):
        child = made.group(made.tree([made.node([(0, child)])]), heap)
    return made.done(child)


@maker
def hdf5_shared_heap(rng: random.Random, size: int) -> bytes:
    """Four thousand groups that share one heap of names."""
    made = Hdf5()
    heap = made.heap(b"a\0" * (size // 2))
    children = [(0, made.group(made.tree([]), heap)) for _ in range(1900)]
    return made.done(made.group(made.tree([made.node(children)]), heap))


@maker
def hdf5_overlapping_headers(rng: random.Random, size: int) -> bytes:
    """Object headers whose messages are the same bytes."""
    made = Hdf5()
    nils = made.add(struct.pack("<HHB3x", 0, 0, 0) * min(size // 8, 65_000))
    length = len(made.data) - nils
    children = []
    for n in range(1300):
        more = struct.pack("<2Q", nils + 8 * n, max(length - 8 * n, 8))
        children.append((0, made.add(header([(0x10, more)], count=65_535))))
    return made.done(made.group(made.tree([made.node(children)]), made.heap(b"a\0")))


@maker
def hdf5_many_messages(rng: random.Random, size: int) -> bytes:
    made = Hdf5()
    nil = struct.pack("<HHB3x", 0, 0, 0)
    objects = [
        (0, made.add(struct.pack("<BxHIII", 1, 60_000, 1, 8 * 60_000, 0) + nil * 60_000))
        for _ in range(size // 480_000)
    ]
    return made.done(made.group(made.tree([made.node(objects)]), made.heap(b"a\0")))


@maker
def hdf5_chained_trees(rng: random.Random, size: int) -> bytes:
    """A B-tree whose child is of the same level, and so on."""
    made = Hdf5()
    child = made.node([])
    for _ in range(min(size // 40, 3900)):
        child = made.tree([child], level=4)
    return made.done(made.group(child, made.heap(b"a\0")))


@maker
def hdf5_one_node_many_times(rng: random.Random, size: int) -> bytes:
    made = Hdf5()
    node = made.node([])
    return made.done(made.group(made.tree([node] * min(size // 16, 65_535)), made.heap(b"a\0")))


@maker
def hdf5_wide(rng: random.Random, size: int) -> bytes:
    made = Hdf5()
    node = made.node([(0, 96)] * 65_535)
    return made.done(made.group(made.tree([node]), made.heap(b"a\0" * (size // 2))))


@maker
def hdf5_large_and_good(rng: random.Random, size: int) -> bytes:
    """A dense layer of random weights: large, and taken."""
    classes = max(size // 300, 1)
    config = perceptron(classes=classes)
    return keras_file(config, weights(classes=classes))


# ONNX: protocol buffers written by hand, since the library would not make these


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def part(number: int, body: bytes) -> bytes:
    """Return a field of bytes or of a message."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def onnx_with(graph: bytes = b"", top: bytes = b"", **changes) -> bytes:
    """Return the small network with more fields in its graph and next to it: equal fields of a message merge.

    A graph that makes "q" comes first, and the network's output depends on it.
    """
    if part(2, b"q") in graph:
        return number_of(1, 8) + part(7, graph) + onnx_file(nodes=[node("Identity", "q", "y")]) + top
    return onnx_file(**changes) + part(7, graph) + top


def times(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


def number_of(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def node_of(inputs: list[str], output: str, operator: str, *attributes: bytes) -> bytes:
    fields = [part(1, name.encode()) for name in inputs] + [part(2, output.encode()), part(4, operator.encode())]
    return part(1, b"".join([*fields, *attributes]))


@maker
def onnx_many_dims(rng: random.Random, size: int) -> bytes:
    return onnx_with(
        part(5, part(8, b"t") + number_of(2, 1) + times(number_of(1, 2), size)) + node_of(["t"], "u", "Neg")
    )


@maker
def onnx_many_sides_of_the_input(rng: random.Random, size: int) -> bytes:
    shape = part(2, times(part(1, number_of(1, 3)), size))
    return onnx_with(part(11, part(1, b"x2") + part(2, part(1, number_of(1, 2) + shape))))


@maker
def onnx_empty_nodes(rng: random.Random, size: int) -> bytes:
    return onnx_with(times(part(1, b""), size))


@maker
def onnx_empty_messages(rng: random.Random, size: int) -> bytes:
    """Empty opsets, metadata, functions, training graphs, tensors or value infos."""
    field = rng.choice((8, 14, 20, 25, "graph 5", "graph 13", "graph 15"))
    if isinstance(field, int):
        return onnx_file() + times(part(field, b""), size)
    return onnx_with(times(part(int(field[6:]), b""), size))


@maker
def onnx_nested(rng: random.Random, size: int) -> bytes:
    """Graphs within attributes within nodes, very deep."""
    body = b""
    for _ in range(min(size // 20, 3000)):
        body = part(1, part(5, part(6, body)))
    return onnx_with(body)


@maker
def onnx_reshape_constant(rng: random.Random, size: int) -> bytes:
    values = part(9, struct.pack("<q", 3) * (size // 8))
    shape = part(5, part(8, b"s") + number_of(2, 7) + number_of(1, size // 8) + values)
    return onnx_with(shape + node_of(["image", "s"], "q", "Reshape"))


@maker
def onnx_used_constants(rng: random.Random, size: int) -> bytes:
    """A large constant that the output depends on, listed number by number, in one of three encodings."""
    if rng.random() < 0.3:
        body, kind, count = times(number_of(7, 1), size), 7, size // 2  # one field a number
    elif rng.random() < 0.5:
        body, kind, count = part(7, b"\1" * size), 7, size  # int64 in one byte
    else:
        body, kind, count = part(4, bytes(size // 4 * 4)), 1, size // 4
    constant = part(5, part(8, b"big") + number_of(2, kind) + number_of(1, count) + body)
    return onnx_file(nodes=[node("Concat", ["x", "big"], axis=0)]) + part(7, constant)


@maker
def onnx_wide_graph(rng: random.Random, size: int) -> bytes:
    """Nodes that each use all values before them."""
    graph, count = [node_of(["image"], "v0", "Identity")], min(int((size / 8) ** 0.5), 700)
    graph += [node_of([f"v{m}" for m in range(n)], f"v{n}" if n < count - 1 else "q", "Sum") for n in range(1, count)]
    return onnx_with(b"".join(graph))


@maker
def onnx_shared_constants(rng: random.Random, size: int) -> bytes:
    """Nodes that each use some thousand small constants, which are followed as numbers; as many as may be, or more."""
    names, count = [f"c{n}" for n in range(2000)], rng.choice((9, 137))
    nodes = [node("Max", [*names, f"m{n - 1}"] if n else names, f"m{n}") for n in range(count)]
    ends = [node("ReduceMax", f"m{count - 1}", "most", keepdims=0), node("Add", ["x", "most"])]
    constants = {name: np.full((1, 1, 1, 8), rng.random(), np.float32) for name in names}
    return onnx_file(nodes=[*nodes, *ends], constants=constants)


@maker
def onnx_many_attributes(rng: random.Random, size: int) -> bytes:
    attributes = times(part(5, part(1, b"axis") + number_of(3, 1)), min(size, 2_000_000))
    return onnx_with(node_of(["image"], "q", "Flatten", attributes))


@maker
def onnx_long_attribute(rng: random.Random, size: int) -> bytes:
    numbers = part(5, part(1, b"perm") + times(number_of(8, 1), size) + number_of(20, 7))
    return onnx_with(node_of(["image"], "q", "Transpose", numbers))


@maker
def onnx_tiny_constants(rng: random.Random, size: int) -> bytes:
    count = min(size // 16, 60_000)
    constants = (part(5, part(8, b"%d" % n) + number_of(2, 1) + part(9, bytes(4))) for n in range(count))
    return onnx_with(b"".join(constants))


@maker
def onnx_long_texts(rng: random.Random, size: int) -> bytes:
    text = b"a" * (size // 3)
    return onnx_with(part(10, text) + node_of([], "q", "Identity") + part(2, text), top=part(6, text))


@maker
def onnx_one_name(rng: random.Random, size: int) -> bytes:
    """Very many inputs of one node, all the same."""
    return onnx_with(node_of(["image"] * min(size // 7, 250_000), "q", "Sum"))


@maker
def onnx_large_and_good(rng: random.Random, size: int) -> bytes:
    return onnx_file(classes=max(size // 260, 1))


@maker
def noise(rng: random.Random, size: int) -> bytes:
    """Random bytes behind the first bytes of a format."""
    return rng.choice((b"PK\3\4", b"{", b"\x08", b"\x08\x08:")) + rng.randbytes(size)
