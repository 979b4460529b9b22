"""The REST API with the board and the submissions: what the Space, `handwriting-zoo serve --workers` and Ray serve."""

import functools
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, Annotated, Any

import anyio.to_thread
import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from leaderboard import precisions, slices, table
from leaderboard.evaluation import revision
from leaderboard.submissions import calls
from leaderboard.submissions.store import Store, open_store
from leaderboard.submissions.store.base import NoSuchSubmission
from leaderboard.tabs.board_frame import Live
from zoo import gate, hub, settings
from zoo.gate import bodies
from zoo.gate.threads import writing
from zoo.rest import conditional, messages, openapi, problem_details
from zoo.rest.application import PREFIX, Api
from zoo.rest.forms import MOST_FORM, is_form, read_form
from zoo.rest.observing import Observed, write_log
from zoo.types import Json

Text = Annotated[str, Field(max_length=10_000)]


class Sent(BaseModel):
    """A network that is submitted, as `/submit` takes it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: Text = Field(description="on the board: lower-case letters, digits and underscores", examples=["my_net"])
    datasets: messages.First[Text] = Field(description="to measure it on", examples=[["mnist"]])
    licence: Text = Field(description="SPDX name", examples=["mit"])
    declaration: Text = Field(
        description="which data it was trained on, and which not", examples=["mnist, training set only"]
    )
    source: Text = Field("", description="instead of a file, hf://user/repo@revision")
    paper: Text = Field("", description="a link")
    claimed: dict[str, float] = Field(
        default_factory=dict,
        max_length=100,
        description="accuracy that you claim for each dataset, 0 to 1",
        examples=[{"mnist": 0.99}],
    )
    user: Text = Field("", description="your name, where there is no sign-in")
    secret: Text = Field("", description="of your earlier submission of the same name, where there is no sign-in")


class SentJson(Sent):
    """A network that is submitted as JSON."""

    file: messages.Encoded = Field("", json_schema_extra=messages.optional_file)


class Receipt(BaseModel):
    """The state of a submission."""

    model_config = ConfigDict(extra="allow")
    id: str = Field(examples=["20261121-7f3a9c2e"])
    status: str = Field(description="PENDING, RUNNING, FINISHED, FAILED or WITHDRAWN")
    problems: list[Json] = Field(description="why it was rejected: what is wrong, and how to fix it")


class Row(BaseModel):
    """A row of the board; fractions in [0, 1], latency in ms, sizes in bytes, times in seconds, null if unknown."""

    model_config = ConfigDict(extra="allow")
    dataset: str
    model: str
    rank: float | None = Field(description=table.BY_NAME["rank"].description)


def application() -> Api:
    """Return the whole REST API, from the settings of this process's environment."""
    routers = [_board(Live()), _submissions(open_store(visitors=True))]
    return Api(routers=routers, bodies=[SentJson, SentForm], measured=measured)


def measured(name: str) -> Json:
    """Return what was measured of a served network as JSON: its precisions and its scores; None for what was not."""
    found = precisions.of(name, revision(hub.resolve(name)))
    return {"precisions": None if found is None else asdict(found), "scores": slices.measured(name)}


def alone() -> Observed:
    """Return the REST API as the whole application of a process, which writes its log as JSON lines (`ZOO_LOG`)."""
    write_log(settings.value("ZOO_LOG") or "info")
    return Observed(application())


# --- the board -----------------------------------------------------------------------------------


def rows(frame: Live, dataset: str, search: str = "", sort: str = "rank", descending: bool = False) -> list[Json]:
    """Return the rows of a dataset as JSON.

    Raises:
        NotFound: the board has no such dataset.
        Malformed: no such column.
    """
    datasets = set(frame()["dataset"])
    if dataset not in datasets:
        known = ", ".join(sorted(datasets))
        raise problem_details.NotFound(f"The board has no dataset {dataset[:40]!r}: it has {known or 'none'}.")
    query = table.Query(dataset=dataset, search=search, sort=sort, descending=descending)
    return frame.chosen(query)


def _board(frame: Live) -> APIRouter:
    router = APIRouter(tags=["leaderboard"])
    columns = tuple(table.BY_NAME)

    @router.get(
        "/leaderboard/{dataset}",
        response_model=list[Row],
        responses=openapi.UNCHANGED | openapi.refused(400, 404),
    )
    def leaderboard(
        request: Request,
        dataset: str,
        search: Annotated[str, Query(max_length=200, description="words of a row's model, recipe or note")] = "",
        sort: Annotated[
            str, Query(json_schema_extra={"enum": list(columns)}, description="the name of a column")
        ] = "rank",
        descending: Annotated[bool, Query(description="the largest first")] = False,
    ) -> Response:
        """Return the rows of a dataset, ranked."""
        if sort not in columns:
            raise problem_details.Malformed(f"There is no column {sort[:40]!r}: sort by {', '.join(columns)}.")
        return conditional.answer(request, rows(frame, dataset, search, sort, descending))

    return router


# --- submissions ---------------------------------------------------------------------------------

_BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/SentForm"}},
            "application/json": {"schema": {"$ref": "#/components/schemas/SentJson"}},
        },
    }
}


class SentForm(Sent):
    """A network that is submitted as a form; `datasets` is there once for each, `claimed` is JSON."""

    file: bytes = Field(b"", json_schema_extra=messages.optional)


def _submissions(store: Store) -> APIRouter:
    router = APIRouter(tags=["submissions"])
    endpoints = {one.name: one for one in calls.endpoints(store)}

    @router.post(
        "/submissions",
        status_code=201,
        response_model=Receipt,
        responses=openapi.refused(400, 401, 403, 413, 415, 422)
        | {201: {"headers": {"Location": {"description": "of the receipt", "schema": {"type": "string"}}}}},
        openapi_extra=_BODY,
    )
    async def submit(request: Request) -> Response:
        """Submit a network to the leaderboard: a file, or a repo on the Hub.

        A network that the checks reject gets a receipt as well, FAILED with every problem. On a Space, send a token of
        yours; elsewhere a new receipt has a `secret`, which withdraws or replaces it.
        """
        read, most = (_of_form, MOST_FORM) if is_form(request) else (_of_json, bodies.MOST_JSON)
        async with bodies.arrived(request.receive, most, gate.caller().network) as body:
            arguments = await read(request, body)
            work = functools.partial(endpoints["submit"], arguments)
            receipt: Any = await anyio.to_thread.run_sync(work, limiter=writing())
        headers = {"Location": f"{PREFIX}/submissions/{receipt['id']}"}
        return Response(orjson.dumps(receipt), 201, headers, "application/json")

    @router.get("/submissions/{id}", response_model=Receipt, responses=openapi.refused(404, 422))
    def submission(id: str) -> Response:
        """Return the current receipt of a submission."""
        try:
            receipt = endpoints["submission_status"]({"id": id})
        except NoSuchSubmission as error:
            raise problem_details.NotFound(str(error)) from None
        return Response(orjson.dumps(receipt), media_type="application/json")

    return router


async def _of_json(request: Request, body: IO[bytes]) -> Json:
    """Return the arguments of `/submit` from JSON."""
    said = await bodies.read(body)
    await bodies.check_long(said)
    validate = functools.partial(SentJson.model_validate_json, said)
    sent = await anyio.to_thread.run_sync(_validated, validate) if len(said) > bodies.LONG else _validated(validate)
    return sent.model_dump(exclude_unset=True)


async def _of_form(request: Request, body: IO[bytes]) -> Json:
    """Return the arguments of `/submit` from a form."""
    fields, files = await read_form(request.headers, body, {"file"}, set(Sent.model_fields))
    said: Json = {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    said["datasets"] = fields.get("datasets", [])
    if "claimed" in said:
        claimed = str(said["claimed"]).encode()
        bodies.check_count(claimed)
        try:
            said["claimed"] = orjson.loads(claimed)
        except ValueError:
            raise problem_details.Malformed('"claimed" must be JSON, for example {"mnist": 0.99}.') from None
    sent = _validated(lambda: Sent.model_validate(said)).model_dump(exclude_unset=True)
    return {**sent, **({"file": files["file"]} if "file" in files else {})}


def _validated(validate: Callable[[], Sent]) -> Sent:
    try:
        return validate()
    except ValidationError as error:
        raise problem_details.Malformed(messages.said(error)) from None
