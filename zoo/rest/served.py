"""`/models`: the networks that are served, by what their published folders say."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from zoo.errors import UnknownName
from zoo.published import PublishedFolder
from zoo.rest import conditional, openapi, problem_details
from zoo.serving import by_script
from zoo.types import Json


class Model(BaseModel):
    """A network that is served."""

    model: str = Field(examples=["lenet5.mnist"])
    dataset: str = Field(examples=["mnist"], description="that it was trained on")
    script: str = Field(
        examples=["digits"],
        description="digits, letters, digits_and_letters, arabic_digits, arabic_letters, other or pages",
    )
    labels: list[str] = Field(description="its classes, in order")
    parameters: int
    bytes: int = Field(description="of its model.onnx")
    validation_accuracy: float | None = Field(description="0 to 1; null where it was not measured")


class ModelDetails(Model):
    """A network that is served, with what its input and its answers mean."""

    contract: Json | None = Field(description="what its input images look like; null for a network of pages")
    threshold: float | None = Field(description="probability below which to abstain; null where none was chosen")
    accepts: float | None = Field(
        description="probability below which an image counts as none of the classes; null where it was not measured"
    )
    precisions: Json | None = Field(
        None,
        description="rows: accuracy, bytes and milliseconds an image in each precision and runtime, with when and on "
        "what machine they were measured; null where they were not",
    )
    scores: Json | None = Field(
        None,
        description="what the leaderboard measured on the test set of `dataset` and on parts of it: `accuracy`, "
        "`transfers` (on other test sets) and `slices` (by population, class and writer, with 95% intervals), "
        "fractions in [0, 1]; null where there is no record",
    )


Measured = Callable[[str], Json]  # a network's name -> the fields of its details that somebody measured


def models() -> list[Json]:
    """Return the networks that are served, script by script, the best of each first."""
    return [_brief(one) for of_it in by_script.networks().values() for one in of_it]


def model(name: str) -> Json:
    """Return one network.

    Raises:
        UnknownName: it is not served.
    """
    found = {one.model: one for of_it in by_script.networks().values() for one in of_it}
    if name not in found:
        raise UnknownName("network", name[:60], found)
    said = PublishedFolder(found[name].folder).preprocessor
    more = {key: said.get(key) for key in ("contract", "threshold", "accepts")}
    return {**_brief(found[name]), **more}


def _brief(one: by_script.Network) -> Json:
    return {
        "model": one.model,
        "dataset": one.dataset,
        "script": one.script,
        "labels": list(one.labels),
        "parameters": one.parameters,
        "bytes": one.bytes,
        "validation_accuracy": one.accuracy or None,
    }


def router(measured: Measured = lambda name: {}) -> APIRouter:
    """Return the routes; `measured` gives what was measured of a network."""
    routes = APIRouter(tags=["models"])

    @routes.get("/models", response_model=list[Model], responses=openapi.UNCHANGED)
    def list_models(request: Request) -> Response:
        """List the networks that are served, script by script, the best of each first."""
        return conditional.answer(request, models())

    @routes.get("/models/{name}", response_model=ModelDetails, responses=openapi.UNCHANGED | openapi.refused(404))
    def get_model(name: str, request: Request) -> Response:
        """Return one network."""
        try:
            return conditional.answer(request, {**model(name), **measured(name)})
        except UnknownName as error:
            raise problem_details.NotFound(str(error)) from None

    return routes
