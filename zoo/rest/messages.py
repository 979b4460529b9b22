"""What is sent to the REST API and what it answers: the schemas of the OpenAPI document."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)

from zoo.gate.bodies import check_count
from zoo.gate.uploads import is_data
from zoo.ink import PEN
from zoo.rest.problem_details import Malformed
from zoo.types import Json

SEVEN = {"strokes": [[[320, 240], [680, 220], [460, 800]]], "size": 1000}
SEVEN_PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAA"
    "NElEQVQY02P8z4AKmBgICbAAMSOcB9TPiGQGmI3PDIhiPCqgpuFWAbMOpwq4ezBUMBL0LQBMOwkdlkr8NQAAAABJRU5ErkJggg=="
)


def data_uri(text: str) -> str:
    """Return a text that is a file; ValueError for another one."""
    if not is_data(text):
        raise ValueError('a file as text is "data:…;base64," and base64')
    return text


DATA_URI = r"^data:[\w.+-]*/?[\w.+-]*(;[\w.+=-]+)*;base64,[A-Za-z0-9+/]*={0,2}$"
FILE: Json = {"pattern": DATA_URI, "description": "a file as a data URI"}
# The pattern is not searched, which would take long: whoever decodes it checks it all.
Encoded = Annotated[str, AfterValidator(data_uri)]
DataUri = Annotated[Encoded, Field(json_schema_extra=FILE)]
Point = tuple[Annotated[float, Field(allow_inf_nan=False)], Annotated[float, Field(allow_inf_nan=False)]]
Name = Annotated[str, Field(max_length=200)]
Item = TypeVar("Item")
First = Annotated[list[Item], FailFast()]  # the first wrong part is named, the others are not looked at


class Sketch(BaseModel):
    """Pen strokes of one character."""

    model_config = ConfigDict(extra="forbid", strict=True)
    strokes: First[First[Point]] = Field(
        description="points [x, y] of each stroke; x runs right, y runs down", max_length=5_000
    )
    size: float = Field(ge=1e-6, le=1e9, description="side of the square that they were drawn on")
    pen: float = Field(PEN, ge=0.001, le=0.5, description="width of the pen as a share of the square's side")


class Uploaded(BaseModel):
    """A file that you uploaded to /gradio_api/upload before, within the last hour."""

    model_config = ConfigDict(extra="allow", strict=True)
    path: Annotated[str, Field(max_length=1000)]


def optional(schema: Json) -> None:
    """Leave the default out of a field's schema: where it is not sent, it is not there."""
    del schema["default"]


def optional_file(schema: Json) -> None:
    """Describe a file as text that may be left out."""
    optional(schema)
    schema |= FILE


class Asked(BaseModel):
    """Who is to read it: a network, or the best one of a script."""

    model_config = ConfigDict(extra="forbid", strict=True)
    model: Name = Field(
        "",
        min_length=1,
        description="name of a network, as `/models` lists it",
        examples=["lenet5.mnist"],
        json_schema_extra=optional,
    )
    script: Name = Field(
        "",
        min_length=1,
        json_schema_extra=optional,
        description="instead of a network: digits, letters, arabic_digits, arabic_letters or anything (the default); "
        "the network that did best on validation answers, for anything the most certain one",
        examples=["digits"],
    )


class ReadSketch(Asked):
    """A sketch to read."""

    sketch: Sketch


class ReadPicture(Asked):
    """A picture to read."""

    image: DataUri | Uploaded


class Glyph(BaseModel):
    """One glyph that was read."""

    label: str = Field(description="the likeliest class")
    confidence: float = Field(ge=0, le=1, description="its probability")
    accepted: bool = Field(description="whether it is probable enough to be one of the network's classes at all")
    sure: bool = Field(description="whether it reaches the network's own threshold, below which to abstain")
    probabilities: dict[str, float] = Field(description="of every class, of more than 100 the likeliest 100")
    box: tuple[float, float, float, float] = Field(description="x, y, width and height, as fractions of the picture")
    line: int = Field(ge=0, description="of writing, from the top")
    page: int = Field(ge=0, description="of a TIFF")


class Reading(BaseModel):
    """What a network reads."""

    model: str = Field(description="the network that answers")
    script: str = Field(description="of what was read: digits, letters, arabic_digits, arabic_letters, …")
    text: str = Field(description="the labels, line by line, with an empty line between pages")
    confidence: float = Field(ge=0, le=1, description="of the least certain glyph")
    accepted: bool = Field(description="whether every glyph is accepted")
    glyphs: list[Glyph] = Field(description="in reading order; none by a network of pages")
    notes: list[str] = Field(description="what was done to the picture, for example that it was turned")
    probabilities: dict[str, float] | None = Field(
        None, description="of a page, by a network of pages; of more than 100 classes the likeliest 100"
    )
    votes: dict[str, int] | None = Field(None, description="views of a page that chose each of these classes")


class Health(BaseModel):
    """Whether the server works."""

    status: Literal["ok", "closing"]


_READ: TypeAdapter[ReadSketch | ReadPicture] = TypeAdapter(
    Annotated[
        Annotated[ReadSketch, Tag("sketch")] | Annotated[ReadPicture, Tag("image")],
        Discriminator(lambda value: "sketch" if "sketch" in value else "image"),
    ]
)


def read_request(body: bytes) -> ReadSketch | ReadPicture:
    """Return the JSON body of `/read`.

    Raises:
        TooLarge: it holds too many values.
        Malformed: it has another form.
    """
    check_count(body)
    try:
        return _READ.validate_json(body)
    except ValidationError as error:
        raise Malformed(said(error, skip=1)) from None
    except (TypeError, AttributeError):  # no object, which the choice between the two expects
        raise Malformed('This takes a JSON object with "image" or "sketch".') from None


def asked(fields: Mapping[str, Sequence[str]]) -> Asked:
    """Return who is to read the picture of a form.

    Raises:
        Malformed: the fields have another form.
    """
    try:
        return Asked.model_validate(
            {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
        )
    except ValidationError as error:
        raise Malformed(said(error)) from None


def said(error: ValidationError, skip: int = 0) -> str:
    """Return the first thing that is wrong, in one sentence, without the value that was sent.

    Args:
        error: of Pydantic.
        skip: parts of its place that are no field, but name which of several forms was looked for.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"][skip:] if part not in ("constrained-str", "Uploaded"))
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f'"{place[:80]}": {message}.' if place else f"{message}."
