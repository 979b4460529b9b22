"""Dataclasses from JSON that anybody may have written: every field has its type, and there are no other fields."""

import functools
import json
from typing import TYPE_CHECKING, Any, TypeVar

from zoo.types import Json

if TYPE_CHECKING:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic_core import ErrorDetails

Kind = TypeVar("Kind")
CLOSED: "ConfigDict" = {"extra": "forbid"}  # for `__pydantic_config__` of a dataclass
MOST_PROBLEMS = 3  # that an error lists


def from_json(kind: type[Kind], data: bytes) -> Kind:
    """Return the dataclass that JSON holds; ValueError says in one line what is wrong.

    Args:
        kind: the dataclass; `__pydantic_config__ = CLOSED` makes an unknown field an error.
        data: UTF-8.
    """
    from pydantic import ValidationError  # serving needs neither

    try:
        made: Kind = _adapter(kind).validate_json(data, strict=True)  # type: ignore[arg-type]  # of a cached type
        return made
    except ValidationError as error:
        found = [_problem(entry) for entry in error.errors(include_url=False)]
        more = f" (and {len(found) - MOST_PROBLEMS} more)" if len(found) > MOST_PROBLEMS else ""
        raise ValueError(f"{'; '.join(found[:MOST_PROBLEMS])}{more}") from None
    except RecursionError:
        raise ValueError("it is not JSON") from None


def from_values(kind: type[Kind], values: Json) -> Kind:
    """Return the dataclass of parsed JSON, as `from_json` does."""
    return from_json(kind, json.dumps(values).encode())


def _problem(entry: "ErrorDetails") -> str:
    """Describe a Pydantic error in a few words."""
    place = ".".join(map(str, entry["loc"]))
    if entry["type"] == "missing":
        return f"it lacks {place}"
    if entry["type"] == "unexpected_keyword_argument":
        return f"it has the unknown {place}"
    if entry["type"] == "json_invalid":
        return "it is not JSON"
    return f"{place or 'it'}: {entry['msg'][:1].lower()}{entry['msg'][1:]}"


@functools.cache
def _adapter(kind: type) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
