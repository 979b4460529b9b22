"""The OpenAPI document: what FastAPI derives, with the bodies, the problems and the examples that it does not know."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from zoo.rest import messages
from zoo.rest.problem_details import MEDIA_TYPE, Problem
from zoo.types import Json

Responses = dict[int | str, dict[str, Any]]
PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
RETRY = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
ETAG = {"ETag": {"description": "changes with the answer; send it as If-None-Match", "schema": {"type": "string"}}}
EVERYWHERE = (429, 500)  # on all routes of the API

MEANING = {
    400: "The request has another form than this document says.",
    401: "Nobody has signed in: send a token.",
    403: "The file is not one that you uploaded.",
    404: "There is no such thing.",
    413: "The request is too large.",
    415: "The body has another media type.",
    422: "The request has the right form, and what it holds cannot be read or accepted: `detail` says why.",
    429: "Too many calls: from your address, or waiting at the same time.",
    500: "An internal error, with its incident number.",
    503: "Not now.",
}


def refused(*statuses: int) -> Responses:
    """Return the entries for problems, with those that are possible everywhere."""
    headers = {429: RETRY, 503: RETRY}
    return {
        status: {
            "description": MEANING[status],
            **PROBLEM,
            **({"headers": headers[status]} if status in headers else {}),
        }
        for status in (*statuses, *EVERYWHERE)
    }


UNCHANGED: Responses = {
    200: {"headers": ETAG},
    304: {"description": "It has not changed since the answer with that ETag.", "headers": ETAG},
    **refused(),
}
_IMAGE = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF or BMP"}


def _form() -> Json:
    """Return the schema of a form with a picture."""
    asked = messages.Asked.model_json_schema()
    properties = {"image": _IMAGE, **asked["properties"]}
    return {**asked, "title": "ReadForm", "properties": properties, "required": ["image"]}


READ_BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _form()},
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"$ref": "#/components/schemas/ReadSketch"},
                        {"$ref": "#/components/schemas/ReadPicture"},
                    ]
                },
                "examples": {
                    "sketch": {
                        "summary": "A seven, by one network",
                        "value": {"sketch": messages.SEVEN, "model": "lenet5.mnist"},
                    },
                    "picture": {
                        "summary": "A picture as text, by the best network for digits",
                        "value": {"image": messages.SEVEN_PICTURE, "script": "digits"},
                    },
                },
            },
        },
    }
}


def complete(app: FastAPI, named: Sequence[type[BaseModel]] = ()) -> None:
    """Let an application's document have the schemas that its routes only name.

    Args:
        app: the application.
        named: models that routes of other routers name.
    """
    derived = app.openapi

    def document() -> Json:
        if app.openapi_schema is not None:
            return app.openapi_schema
        found = derived()
        components = found.setdefault("components", {}).setdefault("schemas", {})
        models: tuple[type[BaseModel], ...] = (Problem, messages.ReadSketch, messages.ReadPicture, *named)
        for model in models:
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            components.update(schema.pop("$defs", {}))
            components[model.__name__] = schema
        for path in found["paths"].values():
            for operation in path.values():  # FastAPI names its own form of an error, which is never sent
                own = operation["responses"].get("422", {}).get("content", {})
                if "application/json" in own:
                    del operation["responses"]["422"]
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        return found

    app.openapi = document  # type: ignore[method-assign]
