"""Random calls to everything that a stranger can reach: each must bring an answer or a sentence.

    python -m pytest tests/test_gate_random.py                     a few hundred calls
    ZOO_RANDOM_CALLS=10000 python -m pytest tests/test_gate_random.py

A seed gives the same calls again. Half of the values fit the argument, so that calls get past the types.
"""

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass

import gate_calls
from gate_calls import Answer
from networks import onnx_file

from zoo import gate

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP6DwABBQECz6AuzQAAAABJRU5ErkJggg==")
TEXTS = [
    *["", " ", "mnist", "lenet5.mnist", "mit", "net", "bob", "accuracy", "hf://a/b", "../..", "/etc/passwd", "\0"],
    *["\ud800", "\u202e", "𝔘" * 300, "x" * 20_000, "NaN", "1e999", "<script>", "'; --", "20200101-00000000", "%00"],
    *["data:", "data:,", "http://127.0.0.1:1/", "data:image/png;base64,", "[]", "{}", "null"],
]
NUMBERS = [
    *[0, 1, -1, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, 5e-324, float("inf"), float("nan")],
    *[True, False, None],
]


@dataclass(frozen=True)
class Call:
    """A call by one of the routes.

    route: "call", "agent" or "queue".
    name: of the endpoint; of the queue, the number of the function.
    values: of its arguments, by name, or in order.
    """

    route: str
    name: str | int
    values: object
    event: object = None

    def send(self, url: str, tools: str = "") -> Answer:
        """Make the call."""
        if self.route == "agent":
            return gate_calls.agent(url, f"{tools}{self.name}", self.values)
        if self.route == "call":
            return gate_calls.call(url, str(self.name), self.values)
        return gate_calls.queue(url, int(self.name), self.values, self.event)


def calls(demo, seed: int, count: int) -> Iterator[Call]:
    """Yield random calls of a Space's functions: endpoints by the API and as tools, and what its page calls.

    Args:
        demo: the Space.
        seed: the same one gives the same calls.
        count: how many.
    """
    rng = random.Random(seed)
    endpoints = list(demo.endpoints.values())
    functions = [(number, len(fn.inputs)) for number, fn in demo.fns.items()]
    for _ in range(count):
        if rng.random() < 0.3:
            number, inputs = rng.choice(functions)
            values = [_value(rng, 0) for _ in range(inputs if rng.random() < 0.9 else rng.randrange(8))]
            yield Call("queue", number, values, _value(rng, 1))
            continue
        endpoint = rng.choice(endpoints)
        said = {
            name: _fitting(rng, endpoint, name) if rng.random() < 0.6 else _value(rng, 0)
            for name in endpoint.parameters
        }
        if rng.random() < 0.5:
            for name in [name for name in said if rng.random() < 0.2]:
                del said[name]
            if rng.random() < 0.1:
                said[rng.choice(TEXTS[1:])] = _value(rng, 0)
            yield Call("agent", endpoint.name, said)
        else:
            values = list(said.values())
            yield Call(
                "call", endpoint.name, values if rng.random() < 0.9 else values[: rng.randrange(len(values) + 1)]
            )


def _fitting(rng: random.Random, endpoint: gate.Endpoint, name: str) -> object:
    """Return a value of the type that an argument has."""
    if name in endpoint.files:
        return _file(rng)
    expected = str(endpoint.types[name])
    if name == "sketch":
        strokes = [[[_number(rng), _number(rng)] for _ in range(rng.randrange(6))] for _ in range(rng.randrange(4))]
        return {
            "strokes": strokes,
            "size": rng.choice([1, 1000, 0, -1, "1", None]),
            "pen": rng.choice([0.045, 0, 9, "x"]),
        }
    if "list" in expected:
        return rng.choices(["mnist", "optdigits", "lenet5.mnist", "hdr_cnn.mnist", *TEXTS[:6]], k=rng.randrange(4))
    if "dict" in expected:
        return {rng.choice(["mnist", "optdigits", "x"]): _number(rng) for _ in range(rng.randrange(3))}
    return rng.random() < 0.5 if "bool" in expected else rng.choice(TEXTS)


def _number(rng: random.Random) -> object:
    return rng.choice([rng.uniform(0, 1000), *NUMBERS]) if rng.random() < 0.3 else rng.uniform(0, 1000)


def _file(rng: random.Random) -> object:
    """Return an upload within the call: a picture, a network, or bytes cut out of one; or what stands for no file."""
    content = rng.choice(
        [PNG, onnx_file(), b"PK\3\4" + rng.randbytes(80), b'{"config": []}', b"%!PS-Adobe-3.0 EPSF-3.0\n"]
    )
    if rng.random() < 0.5:
        content = bytearray(content)
        for _ in range(rng.randrange(1, 6)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        content = bytes(content[: rng.randrange(1, len(content) + 1)])
    said = "data:image/png;base64," + base64.b64encode(content).decode()
    return rng.choice([said, said, said, {"path": said}, gate_calls.file("/etc/passwd"), gate_calls.file("gone")])


def _value(rng: random.Random, depth: int) -> object:
    """Return any JSON value."""
    kind = rng.randrange(7 if depth < 3 else 4)
    if kind < 2:
        return rng.choice(TEXTS)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind == 4:
        return [_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        keys = ["path", "url", "meta", "strokes", "size", "value", "sort", "tab", "submission", "id", *TEXTS[:4]]
        return {rng.choice(keys): _value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return _file(rng)
