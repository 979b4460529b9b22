"""Check a layer's settings and the shapes of its inputs; Misfit says what is wrong with them.

Shapes exclude the batch axis.
"""

from zoo.types import Json

Shape = tuple[int, ...]


class Misfit(Exception):
    """A layer that does not accept its inputs or settings; the message says why."""


def positive(config: Json, key: str) -> int:
    """Return a whole number of at least 1."""
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise Misfit(f"{key} should be a whole number of at least 1, not {value!r}")
    return value


def pair(config: Json, key: str) -> tuple[int, int]:
    """Return two whole numbers of at least 1; a single one is used for both."""
    value = config.get(key)
    found = [value, value] if type(value) is int else value
    if not (isinstance(found, list) and len(found) == 2 and all(type(n) is int and n >= 1 for n in found)):
        raise Misfit(f"{key} should be two whole numbers of at least 1, not {value!r}")
    return found[0], found[1]


def single(config: Json, key: str) -> int:
    """Return one whole number of at least 1, alone or in a list."""
    value = config.get(key)
    found = [value] if type(value) is int else value
    if not (isinstance(found, list) and len(found) == 1 and type(found[0]) is int and found[0] >= 1):
        raise Misfit(f"{key} should be one whole number of at least 1, not {value!r}")
    return found[0]


def image(shapes: list[Shape]) -> tuple[int, int, int]:
    """Return the one input as height, width, channels."""
    (shape,) = only(shapes)
    if len(shape) != 3:
        raise Misfit(f"it takes an image (height, width, channels), not {shape}")
    return shape


def sequence(shapes: list[Shape]) -> tuple[int, int]:
    """Return the one input as steps, features."""
    (shape,) = only(shapes)
    if len(shape) != 2:
        raise Misfit(f"it takes a sequence (steps, features), not {shape}")
    return shape


def only(shapes: list[Shape]) -> list[Shape]:
    """Return the inputs if there is one."""
    if len(shapes) != 1:
        raise Misfit(f"it takes one input, not {len(shapes)}")
    return shapes


def channels_last(config: Json) -> None:
    """Reject channels-first images."""
    if config.get("data_format", "channels_last") != "channels_last":
        raise Misfit("data_format should be channels_last")


def one_of(config: Json, key: str, allowed: tuple[object, ...]) -> object:
    """Return a setting that is one of a few values."""
    value = config.get(key, allowed[0])
    if isinstance(value, (list, dict)) or value not in allowed:
        raise Misfit(f"{key} should be one of {', '.join(map(str, allowed))}, not {value!r}")
    return value


def axes(value: object, rank: int) -> list[int]:
    """Return axes of one sample; 0 is the first after the batch axis."""
    found = [value] if type(value) is int else value
    if not isinstance(found, list) or not found or not all(type(n) is int and -rank <= n <= rank for n in found):
        raise Misfit(f"{value!r} is not an axis of an input with {rank} dimensions")
    places = [n - 1 if n > 0 else n + rank for n in found]
    if not all(0 <= place < rank for place in places) or len(set(places)) != len(places):
        raise Misfit(f"{value!r} is not an axis of an input with {rank} dimensions after the batch")
    return places
