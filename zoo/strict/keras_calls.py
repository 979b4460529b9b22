"""The layer calls of a functional Keras model in topological order.

The time is linear in the number of calls and of their inputs.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

from zoo.strict import keras_parts as parts
from zoo.strict.problems import Refused, short
from zoo.types import Json

MOST_CALLS = 1000


@dataclass(frozen=True)
class Call:
    """One call of a layer: the layer's name, the number of the call, what Keras wrote, and its inputs."""

    layer: str
    index: int
    node: Json
    sources: tuple[tuple[str, int], ...]  # layer and call

    @property
    def needs(self) -> set[tuple[str, int]]:
        """The calls that must come before: its inputs, and the previous call of the same layer."""
        return {*self.sources, *([(self.layer, self.index - 1)] if self.index else [])}


def by_name(entries: list[Any]) -> dict[str, Json]:
    """Return the layers of a functional model by their names; raise Refused if two have the same."""
    found: dict[str, Json] = {}
    for number, entry in enumerate(entries):
        name = parts.name_of(entry.get("name") if isinstance(entry, dict) else None, f"Layer {number + 1}")
        if name in found:
            raise Refused("name", f"Two layers are named {short(name)}.", "Rename one.")
        found[name] = entry
    return found


def ordered(layers: dict[str, Json], first: str) -> list[Call]:
    """Return the calls of all layers except the input layer `first`, each after its inputs.

    Raises:
        Refused: there are too many, or an input of one is the call itself or an unknown layer.
    """
    calls = {(call.layer, call.index): call for call in _calls(layers, first)}
    missing = {key: len(call.needs) for key, call in calls.items()}
    feeds: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for key, call in calls.items():
        for source in call.needs:
            feeds.setdefault(source, []).append(key)
    ready, done = deque([(first, 0)]), []
    while ready:
        for key in feeds.get(ready.popleft(), ()):
            missing[key] -= 1
            if not missing[key]:
                ready.append(key)
                done.append(calls[key])
    if len(done) < len(calls):
        name = next(key[0] for key in calls if missing[key])
        what = f"Layer {short(name)} has itself or an unknown layer as an input."
        raise Refused("graph", what, "Send the file as Keras wrote it.")
    return done


def _calls(layers: dict[str, Json], first: str) -> list[Call]:
    found: list[Call] = []
    for name, entry in layers.items():
        nodes = entry.get("inbound_nodes")
        if not isinstance(nodes, list):
            raise Refused("config", f"Layer {short(name)} is not connected.", "Send the file as Keras wrote it.")
        if name == first:
            continue
        if len(found) + len(nodes) > MOST_CALLS:
            raise Refused("too-large", f"Layers are called more than {MOST_CALLS:,} times.", "Send a smaller model.")
        found += [Call(name, index, node, tuple(parts.sources(node, name))) for index, node in enumerate(nodes)]
    return found
