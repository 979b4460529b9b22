"""Documents from untrusted JSON: the dataclass of `zoo.typed_json`, in the schema of an earlier version too."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from zoo.errors import ZooError
from zoo.published import CONTROLS
from zoo.regular_files import MOST_JSON
from zoo.typed_json import from_json, from_values
from zoo.types import Json

Kind = TypeVar("Kind")
PART = "[A-Za-z0-9_~-][A-Za-z0-9_.~-]{0,150}"  # of a path: it cannot lead out of its folder
Part = Annotated[str, Field(pattern=f"^{PART}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _line(text: str) -> str:
    if CONTROLS.search(text):
        raise ValueError("it is not one line of letters")
    return text


Line = Annotated[str, Field(max_length=500), AfterValidator(_line)]
Fraction = Annotated[Number, Field(ge=0, le=1)]


def having(kind: type) -> AfterValidator:
    """Return the annotation of a JSON object that has at least the fields of a TypedDict, which have their types."""

    def check(value: Json) -> Json:
        from_values(kind, value)
        return value

    return AfterValidator(check)


def is_part(name: str) -> bool:
    """Whether a name may be that of a file or a folder."""
    return bool(re.fullmatch(PART, name))


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
    if len(data) > MOST_JSON:
        raise ZooError(f"This is not a {what}: it has {len(data):,} bytes; the most is {MOST_JSON:,}.")
    if not data.strip():
        raise ZooError(f"This is not a {what}: the file is empty.")
    try:
        if migrations and isinstance(values := json.loads(data), dict) and values.get("schema", 1) != version:
            data = json.dumps(_migrated(values, what, version or 1, migrations)).encode()
    except (ValueError, RecursionError):
        raise ZooError(f"This is not a {what}: it is not JSON.") from None
    try:
        return from_json(kind, data)
    except ValueError as error:
        raise ZooError(f"This is not a {what}: {error}.") from None


def _migrated(values: Json, what: str, version: int, migrations: Mapping[int, Callable[[Json], Json]]) -> Json:
    found = values.get("schema", 1)
    if not isinstance(found, int) or found not in migrations:
        raise ZooError(f"This {what} has schema {str(found)[:20]}; this program supports up to {version}: update it.")
    while (found := values.get("schema", 1)) != version:
        values = migrations[found](values)
    return values
