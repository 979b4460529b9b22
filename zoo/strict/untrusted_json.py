"""Read untrusted JSON, with limits on size, depth, keys, numbers and texts."""

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from zoo.strict.problems import Refused, short
from zoo.types import Json

MOST_BYTES = 1_000_000
DEEPEST = 40  # levels of nesting; a model within a model within a model has 25
MOST_VALUES = 200_000
LONGEST_TEXT = 512


def parse(data: bytes, name: str) -> Any:
    """Return the value of a JSON document.

    Args:
        data: the document.
        name: its name in messages.

    Raises:
        Refused: it is too large or too deep, names a key twice, or is not JSON.
    """
    again = "Send the file as Keras wrote it."
    if len(data) > MOST_BYTES:
        raise Refused("json-size", f"{name} has {len(data):,} bytes; the most is {MOST_BYTES:,}.", again)
    if (depth := _depth(data)) > DEEPEST:
        raise Refused("json-depth", f"{name} is nested {depth} levels deep; the most is {DEEPEST}.", again)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except _Repeated as error:
        raise Refused("json-key", f"{name} has the key {short(error.args[0])} twice.", again) from None
    except _Constant as error:
        raise Refused("json-number", f"{name} holds {error.args[0]}, which is not a JSON number.", again) from None
    except (ValueError, RecursionError):
        raise Refused("json", f"{name} is not JSON.", again) from None
    _check(value, name)
    return value


class _Repeated(ValueError):
    pass


class _Constant(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise _Repeated(key)
    return found


def _no_constant(text: str) -> NoReturn:
    raise _Constant(text)


def _depth(data: bytes) -> int:
    """Return the deepest nesting, counted before anything is parsed; brackets within texts count as well."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", data):
        if bracket in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _check(value: object, name: str) -> None:
    """Reject valid JSON that no configuration needs."""
    rest, seen = [value], 0
    while rest:
        item = rest.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise Refused("json-size", f"{name} has more than {MOST_VALUES:,} values.", "Send a smaller model.")
        if isinstance(item, dict):
            rest += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            rest += item
        elif isinstance(item, str) and len(item) > LONGEST_TEXT:
            what = f"{name} holds a text of {len(item):,} characters; the longest is {LONGEST_TEXT}."
            raise Refused("json-text", what, "Only layers of Keras with plain settings can be sent.")
        elif isinstance(item, float) and not math.isfinite(item):
            raise Refused("json-number", f"{name} holds a number that overflows a double.", "Write it smaller.")
        elif isinstance(item, int) and not isinstance(item, bool) and abs(item) > 2**53:
            raise Refused("json-number", f"{name} holds a whole number beyond 2^53.", "Write it smaller.")
