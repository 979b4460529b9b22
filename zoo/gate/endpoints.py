"""Public endpoints: declared arguments in, plain JSON out, and one sentence for every error."""

import functools
import inspect
import logging
import secrets
import time
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import overload

from pydantic import TypeAdapter, ValidationError

from zoo.errors import UnknownName, ZooError
from zoo.gate import uploads
from zoo.gate.callers import NotSignedIn, caller
from zoo.gate.storage import MOST_FILES
from zoo.gate.uploads import Upload
from zoo.types import Json

log = logging.getLogger(__name__)

DEEPEST = 40  # lists within lists
LONGEST = 10_000  # characters of a text that is no file
MOST_ITEMS = 1_000_000
TRACE_AGAIN = 60.0  # seconds after which a place in the code gets another trace in the log
_traced: dict[str, tuple[float, str]] = {}  # by place in the code: when it got its last trace, and as which incident
FILE = Json | str  # what a client sends for an `Upload`


class Endpoint:
    """A function with declared arguments, behind the gate.

    name: of the function.
    description: its docstring.
    writes: whether it changes anything: then an agent, and on a Space anybody, must have proved who they are.
    types: by argument, what a client sends.
    files: the arguments that are uploads.
    signature: of the function, as a client calls it.
    """

    def __init__(self, function: Callable[..., object], writes: bool = False):
        self.function = function
        self.writes = writes
        self.name = function.__name__
        self.description = inspect.getdoc(function) or ""
        self.parameters = inspect.signature(function).parameters
        hints = typing.get_type_hints(function)
        self.files = {name for name in self.parameters if Upload in (hints[name], *typing.get_args(hints[name]))}
        self.types = {name: _for_clients(hints[name]) for name in self.parameters}
        self._adapters = {name: TypeAdapter(hint) for name, hint in self.types.items()}
        told = [one.replace(annotation=self.types[name]) for name, one in self.parameters.items()]
        self.signature = inspect.Signature(told, return_annotation=hints.get("return", inspect.Signature.empty))

    def __call__(self, arguments: Mapping[str, object]) -> object:
        """Check the arguments and the caller, then call the function.

        Args:
            arguments: by name, as JSON gave them.

        Returns:
            Plain JSON types.

        Raises:
            ZooError: whatever is wrong, in one sentence.
        """
        checked = self.checked(arguments)
        if self.writes:
            who = caller()
            if who.must_prove and who.user is None:
                raise NotSignedIn()
        return self.function(**checked)

    def checked(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments, uploads opened; null stands for a value that was not sent.

        Raises:
            ZooError: one is missing, unknown, or of another type.
        """
        for name in arguments:
            if name not in self.parameters:
                raise UnknownName(f"argument of {self.name}", str(name)[:40], self.parameters)
        found: dict[str, object] = {}
        for name, parameter in self.parameters.items():
            value = arguments.get(name)
            if value is None and parameter.default is not parameter.empty:
                continue
            if isinstance(value, Upload) and name in self.files:  # the way in opened it, as a part of a form
                found[name] = value
                continue
            self._check(name, value)
            found[name] = uploads.UPLOADS.opened(value, caller()) if name in self.files else value
        return found

    def _check(self, name: str, value: object) -> None:
        expected = in_words(self.types[name])
        try:
            self._adapters[name].validate_python(value, strict=True)
        except ValidationError:
            raise ZooError(f'"{name}" must be {expected}; got {_kind(value, expected)}.') from None
        if name not in self.files:
            for item, _ in walk(value):
                if isinstance(item, str) and len(item) > LONGEST:
                    raise ZooError(f'"{name}" holds a text of {len(item):,} characters; at most {LONGEST:,} are read.')

    @functools.cached_property
    def schema(self) -> Json:
        """The JSON schema of its arguments."""
        described = _described(self.description)
        return {
            "type": "object",
            "properties": {
                name: {
                    **adapter.json_schema(),
                    **({"description": described[name]} if name in described else {}),
                }
                for name, adapter in self._adapters.items()
            },
            "required": [name for name, one in self.parameters.items() if one.default is one.empty],
            "additionalProperties": False,
        }


@overload
def endpoint(function: Callable[..., object]) -> Endpoint: ...


@overload
def endpoint(*, writes: bool) -> Callable[[Callable[..., object]], Endpoint]: ...


def endpoint(
    function: Callable[..., object] | None = None, *, writes: bool = False
) -> Endpoint | Callable[[Callable[..., object]], Endpoint]:
    """Make a function an `Endpoint`: `@endpoint`, or `@endpoint(writes=True)`."""
    return Endpoint(function, writes) if function else functools.partial(Endpoint, writes=writes)


def sentence(error: BaseException) -> str:
    """Return the error message for a caller.

    An error that is not a `ZooError` is internal: it gets an incident number, under which the log has the trace.
    The log has no values, so neither pictures nor names of people get there. Writing a trace takes long, so one place
    in the code gets one within `TRACE_AGAIN` seconds.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ZooError):
        return str(error)
    incident, kind, now = secrets.token_hex(4), type(error).__name__, time.monotonic()
    places = [f"{frame.f_code.co_filename}:{line}" for frame, line in traceback.walk_tb(error.__traceback__)]
    place = f"{kind} {places[-1:]}"
    since, first = _traced.get(place, (now - TRACE_AGAIN, ""))
    if now - since >= TRACE_AGAIN:
        _traced[place] = now, incident
        log.error("Incident %s: %s\n%s", incident, kind, "".join(traceback.format_tb(error.__traceback__)))
    else:
        log.error("Incident %s: %s at the same place as incident %s", incident, kind, first)
    return f"This failed because of an internal error. Please report it as incident {incident}."


def walk(value: object) -> Iterator[tuple[object, int]]:
    """Yield a JSON value and everything in it, with its depth.

    Raises:
        ZooError: too deep or too large for anything that is sent here, or text that is not Unicode.
    """
    left, count = [(value, 0)], 0
    while left:
        item, depth = left.pop()
        count += 1
        if depth > DEEPEST or count > MOST_ITEMS:
            raise ZooError(f"This is nested deeper than {DEEPEST} levels, or holds more than {MOST_ITEMS:,} values.")
        yield item, depth
        if isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError:
                raise ZooError("A text holds half a character (a lone surrogate): send Unicode.") from None
        elif isinstance(item, Mapping):
            left += [(one, depth + 1) for pair in item.items() for one in pair]
        elif isinstance(item, (list, tuple)):
            left += [(one, depth + 1) for one in item]


def check_values(values: object) -> None:
    """Check what a client sent, whatever it is for: no file but the caller's own uploads may be named in it.

    Raises:
        ZooError: another file, a URL to fetch, more than `MOST_FILES`, or a value that is too deep or too large.
    """
    named = [item for item, _ in walk(values) if isinstance(item, Mapping) and ("path" in item or "url" in item)]
    if len(named) > MOST_FILES:  # Gradio looks for each on the disk, in the event loop
        raise ZooError(f"At most {MOST_FILES} files are read at a time; these are {len(named):,}.")
    for item in named:
        path, url = item.get("path"), item.get("url")
        if (path is None and url is None) or uploads.is_data(url if path is None else path):
            continue
        uploads.UPLOADS.check(path, caller())


_WORDS: dict[object, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
}


def in_words(expected: object) -> str:
    """Return a type in words, as a sentence names it."""
    if expected == FILE:
        return "an uploaded file or a data URI"
    origin, inner = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        if set(inner) >= set(typing.get_args(FILE)):
            return in_words(FILE)
        return " or ".join(in_words(one) for one in inner if one is not type(None))
    if origin is list:
        return f"a list of {in_words(inner[0]).removeprefix('a ').removeprefix('an ')}"
    return _WORDS.get(origin or expected, "something else")


def _kind(value: object, expected: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, list) and expected.startswith("a list"):
        return "a list with other things in it"
    return _WORDS.get(type(value), "something else")


def _for_clients(hint: object) -> typing.Any:
    """Return what a client sends for a parameter: an `Upload` comes as JSON."""
    inner = typing.get_args(hint)
    if hint is Upload:
        return FILE
    if Upload in inner:
        return FILE | None if type(None) in inner else FILE
    return hint


def _described(docstring: str) -> dict[str, str]:
    """Return what the section "Args:" of a docstring says of each argument."""
    _, _, section = docstring.partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if not line.startswith("    "):
            break
        if not line.startswith("     "):
            name, _, text = line.strip().partition(": ")
            found[name] = text
        else:
            found[name] += " " + line.strip()
    return found
