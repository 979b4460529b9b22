"""Dataclasses from untrusted JSON: every field is present and has its type, and there are no other fields."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from zoo.errors import ZooError
from zoo.types import Json

Kind = TypeVar("Kind")
CLOSED: ConfigDict = {"extra": "forbid"}  # for `__pydantic_config__` of a dataclass
MOST_PROBLEMS = 3  # that an error lists


def checked_json(
    kind: type[Kind],
    data: bytes,
    what: str,
    version: int | None = None,
    migrations: Mapping[int, Callable[[Json], Json]] | None = None,
) -> Kind:
    """Return the dataclass that JSON holds.

    Args:
        kind: the dataclass; `__pydantic_config__ = CLOSED` makes an unknown field an error.
        data: UTF-8.
        what: name of the kind in errors, for example "submission".
        version: schema version of `kind`; the JSON field is called `schema`, and its default is 1.
        migrations: for each version, a function that converts its values to the next version.

    Raises:
        ZooError: it is not JSON, it is of another kind, or it was written by a newer program.
    """
    if not data.strip():
        raise ZooError(f"This is not a {what}: the file is empty.")
    try:
        if migrations and isinstance(values := json.loads(data), dict) and values.get("schema", 1) != version:
            data = json.dumps(_migrated(values, what, version or 1, migrations)).encode()
        made: Kind = _adapter(kind).validate_json(data, strict=True)  # type: ignore[arg-type]  # of a cached type
        return made
    except ValidationError as error:
        found = [_problem(entry) for entry in error.errors(include_url=False)]
        more = f" (and {len(found) - MOST_PROBLEMS} more)" if len(found) > MOST_PROBLEMS else ""
        raise ZooError(f"This is not a {what}: {'; '.join(found[:MOST_PROBLEMS])}{more}.") from None
    except ZooError:
        raise
    except (ValueError, RecursionError):
        raise ZooError(f"This is not a {what}: it is not JSON.") from None


def _problem(entry: ErrorDetails) -> str:
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
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _migrated(values: Json, what: str, version: int, migrations: Mapping[int, Callable[[Json], Json]]) -> Json:
    found = values.get("schema", 1)
    if not isinstance(found, int) or found not in migrations:
        raise ZooError(f"This {what} has schema {str(found)[:20]}; this program supports up to {version}: update it.")
    while (found := values.get("schema", 1)) != version:
        values = migrations[found](values)
    return values
