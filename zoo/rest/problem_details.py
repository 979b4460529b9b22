"""Errors as problem details (RFC 9457): the sentence of the error, and the status that says what kind it is.

400: the request has another form than the OpenAPI document says. 422: it has that form, and what it holds cannot be
read: a blank sketch, a file that is no picture, a network that is not served.
"""

import math
from http import HTTPStatus

import orjson
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from zoo import gate
from zoo.errors import Busy, ZooError
from zoo.gate.bodies import TooLarge
from zoo.gate.callers import NotSignedIn
from zoo.gate.limits import TooMany
from zoo.gate.traffic import TooSlow
from zoo.gate.uploads import NotYours

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: str = Field("about:blank", description="about:blank: the status says which kind of problem it is")
    title: str = Field(examples=[HTTPStatus(422).phrase], description="of the status")
    status: int = Field(examples=[422], description="of HTTP")
    detail: str = Field(
        examples=["Nothing stands out from the paper here: draw something, or use a darker pen."],
        description="one sentence; that of an internal error names its incident number",
    )


class Malformed(ZooError):
    """A request of another form than the OpenAPI document says."""


class NotFound(ZooError):
    """An address at which there is nothing."""


class WrongMedia(ZooError):
    """A body of a media type that is not read."""


STATUS: tuple[tuple[type[ZooError], int], ...] = (  # the first that fits counts
    (Malformed, 400),
    (NotSignedIn, 401),
    (NotYours, 403),
    (NotFound, 404),
    (TooSlow, 408),
    (TooLarge, 413),
    (WrongMedia, 415),
    (TooMany, 429),
    (Busy, 429),
    (ZooError, 422),
)


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error; 500 for a mistake of ours."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def answer(error: Exception) -> Response:
    """Return the response for an error. The log has a mistake of ours under its incident number."""
    if isinstance(error, HTTPException):  # of the router: no such route, or another method
        return problem(error.status_code, _of_router(error), dict(error.headers or {}))
    status = status_of(error)
    headers = {}
    if isinstance(error, (TooMany, Busy)):
        headers["Retry-After"] = str(math.ceil(error.seconds))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(status, gate.sentence(error), headers)


def _of_router(error: HTTPException) -> str:
    if error.status_code == 405:
        return f"This address takes {(error.headers or {}).get('Allow', 'another method')}."
    return "There is nothing at this address." if error.status_code == 404 else f"{error.detail.rstrip('.')}."


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return problem details as a response."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)
