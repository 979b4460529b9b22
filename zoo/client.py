"""Clients of a running server: `Client` waits for each answer, `AsyncClient` is for asyncio.

    from zoo.client import Client
    with Client("http://localhost:7860") as zoo:
        print(zoo.read("7.png", script="digits").text)

They need `pip install httpx`, and nothing else of this package.
"""

import asyncio
import json
import random
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import httpx

from zoo.errors import ZooError
from zoo.types import Json

Strokes = Sequence[Sequence[Sequence[float]]]
ATTEMPTS = 5  # of a request that the server could not take, or that was cut off
PAUSE = 0.2  # seconds before the second attempt; each later one waits twice as long
LONGEST_PAUSE = 30.0  # seconds, also where the server asks for more
REFUSED = frozenset({429, 503})  # not now: nothing was done
PROBLEM = "application/problem+json"  # what the application itself answers


class Refused(ZooError):
    """A call that the server refused.

    status: of HTTP; 0 where the server could not be reached.
    """

    def __init__(self, sentence: str, status: int = 0):
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Glyph:
    """One glyph that was read; see `zoo.rest.messages.Glyph`."""

    label: str
    confidence: float
    accepted: bool
    sure: bool
    probabilities: Mapping[str, float]
    box: tuple[float, float, float, float]
    line: int
    page: int


@dataclass(frozen=True)
class Reading:
    """What a network read; see `zoo.rest.messages.Reading`."""

    model: str
    script: str
    text: str
    confidence: float
    accepted: bool
    glyphs: tuple[Glyph, ...]
    notes: tuple[str, ...]
    votes: Mapping[str, int] | None = None

    @classmethod
    def of(cls, values: Json) -> "Reading":
        """Return the reading that a server answered; fields of later versions are left out."""
        glyphs = tuple(Glyph(**{**_known(Glyph, one), "box": tuple(one["box"])}) for one in values["glyphs"])
        return cls(**{**_known(cls, values), "glyphs": glyphs, "notes": tuple(values["notes"])})


@dataclass(frozen=True)
class Model:
    """A network that is served; see `zoo.rest.served.Model`."""

    model: str
    dataset: str
    script: str
    labels: tuple[str, ...]
    parameters: int
    bytes: int
    validation_accuracy: float | None

    @classmethod
    def of(cls, values: Json) -> "Model":
        """Return the network that a server described."""
        return cls(**{**_known(cls, values), "labels": tuple(values["labels"])})


def _known(kind: type, values: Json) -> Json:
    return {name: values[name] for name in kind.__dataclass_fields__ if name in values}  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Call:
    """One request, as httpx takes it."""

    method: str
    path: str
    options: Mapping[str, Any]

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again where it is unknown whether it arrived: all but a submission."""
        return self.method == "GET" or self.path == "/read"


Outcome = httpx.Response | httpx.TransportError


def _attempts(call: _Call, url: httpx.URL) -> Generator[float | None, Outcome | None, Any]:
    """Hold one conversation with a server, whoever sends and waits.

    Yields:
        None to send the call, and the outcome is sent back; or seconds to wait.

    Returns:
        The JSON of the answer.

    Raises:
        Refused: the server refuses, or cannot be reached.
    """
    for attempt in range(ATTEMPTS):
        outcome = yield None
        last = attempt == ATTEMPTS - 1
        pause = PAUSE * 2**attempt * random.uniform(0.5, 1.5)
        if isinstance(outcome, httpx.TransportError):
            if last or not (call.repeatable or isinstance(outcome, httpx.ConnectError)):
                reason = str(outcome).rstrip(".") or type(outcome).__name__
                raise Refused(f"{url} cannot be reached: {reason}.") from None
        else:
            assert outcome is not None
            if last or not (outcome.status_code in REFUSED or (call.repeatable and _lost(outcome))):
                return _answer(outcome)
            asked = outcome.headers.get("retry-after", "")
            pause = min(LONGEST_PAUSE, max(pause, float(asked) if asked.isdecimal() else 0.0))
        yield pause
    raise AssertionError("the last attempt returns or raises")


def _lost(response: httpx.Response) -> bool:
    """Return whether a call was lost between a proxy and the application, for example with a replica that died."""
    return response.status_code >= 500 and not response.headers.get("content-type", "").startswith(PROBLEM)


def _answer(response: httpx.Response) -> Any:
    """Return the JSON of a response; Refused with the server's sentence where it refuses."""
    if response.is_success:
        return response.json()
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"The server answered {response.status_code} {response.reason_phrase}."
    raise Refused(detail, response.status_code)


def _picture(picture: str | Path | bytes | BinaryIO, model: str, script: str) -> _Call:
    if isinstance(picture, (str, Path)):
        content = _content(picture)
    else:
        content = picture if isinstance(picture, bytes) else picture.read()
    return _Call("POST", "/read", {"files": {"image": content}, "data": _choice(model, script)})


def _sketch(strokes: Strokes, size: float, model: str, script: str) -> _Call:
    points = [[[float(x), float(y)] for x, y in stroke] for stroke in strokes]
    return _Call("POST", "/read", {"json": {"sketch": {"strokes": points, "size": size}, **_choice(model, script)}})


def _choice(model: str, script: str) -> dict[str, str]:
    return {name: value for name, value in (("model", model), ("script", script)) if value}


def _submission(file: str | Path, offer: Mapping[str, object]) -> _Call:
    """Return the call that submits a file, or "hf://user/repo@revision"."""
    if str(file).startswith("hf://"):
        return _Call("POST", "/submissions", {"json": {"source": str(file), **offer}})
    fields = {name: json.dumps(value) if isinstance(value, Mapping) else value for name, value in offer.items()}
    return _Call("POST", "/submissions", {"data": fields, "files": {"file": (Path(file).name, _content(file))}})


def _content(file: str | Path) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ZooError(f"{file} cannot be read: {error.strerror}.") from None


class _Settings:
    """What both clients are opened with."""

    def __init__(self, url: str = "http://localhost:7860", token: str | None = None, timeout: float = 60.0):
        self._options: dict[str, Any] = {
            "base_url": f"{url.rstrip('/')}/api/v1",
            "timeout": timeout,
            "headers": {"Authorization": f"Bearer {token}"} if token else {},
        }


class Client(_Settings):
    """A connection to a server.

    Args:
        url: of the server.
        token: an access token of the Hugging Face Hub, for a Space there; one without any permission is enough.
        timeout: seconds for one attempt.

    A request that the server cannot take now, or that is cut off, is sent again a few times. Threads may share it.
    """

    def __init__(self, url: str = "http://localhost:7860", token: str | None = None, timeout: float = 60.0):
        super().__init__(url, token, timeout)
        self._http = httpx.Client(**self._options)

    def read(self, picture: str | Path | bytes | BinaryIO, *, model: str = "", script: str = "") -> Reading:
        """Read a picture: a path, bytes or an open file.

        Args:
            picture: with one glyph or many.
            model: the network, for example "lenet5.mnist".
            script: instead, "digits", "letters", "arabic_digits", "arabic_letters" or "anything" (the default).

        Raises:
            Refused: the server cannot read it, or cannot be reached.
            ZooError: there is no such file.
        """
        return Reading.of(self._ask(_picture(picture, model, script)))

    def read_sketch(self, strokes: Strokes, size: float, *, model: str = "", script: str = "") -> Reading:
        """Read pen strokes of one character.

        Args:
            strokes: lists of points (x, y); x runs right, y runs down.
            size: side of the square that they were drawn on.
            model: as `read` takes it.
            script: as `read` takes it.
        """
        return Reading.of(self._ask(_sketch(strokes, size, model, script)))

    def models(self) -> list[Model]:
        """Return the networks that are served."""
        return [Model.of(one) for one in self._ask(_Call("GET", "/models", {}))]

    def leaderboard(self, dataset: str, **query: str | bool) -> list[Json]:
        """Return the rows of a dataset; `query`: search, sort and descending."""
        rows: list[Json] = self._ask(_Call("GET", f"/leaderboard/{dataset}", {"params": query}))
        return rows

    def submit(self, file: str | Path, **offer: object) -> Json:
        """Submit a network and return its receipt; see `leaderboard.submit` for what an offer has."""
        receipt: Json = self._ask(_submission(file, offer))
        return receipt

    def submission(self, id: str) -> Json:
        """Return the current receipt of a submission."""
        receipt: Json = self._ask(_Call("GET", f"/submissions/{id}", {}))
        return receipt

    def _ask(self, call: _Call) -> Any:
        attempts = _attempts(call, self._http.base_url)
        step = next(attempts)
        try:
            while True:
                outcome: Outcome | None = None
                if step is not None:
                    time.sleep(step)
                else:
                    try:
                        outcome = self._http.request(call.method, call.path, **call.options)
                    except httpx.TransportError as error:
                        outcome = error
                step = attempts.send(outcome)
        except StopIteration as done:
            return done.value

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Settings):
    """`Client` for asyncio: the same methods, each to be awaited."""

    def __init__(self, url: str = "http://localhost:7860", token: str | None = None, timeout: float = 60.0):
        super().__init__(url, token, timeout)
        self._http = httpx.AsyncClient(**self._options)

    async def read(self, picture: str | Path | bytes | BinaryIO, *, model: str = "", script: str = "") -> Reading:
        """Read a picture; see `Client.read`."""
        return Reading.of(await self._ask(_picture(picture, model, script)))

    async def read_sketch(self, strokes: Strokes, size: float, *, model: str = "", script: str = "") -> Reading:
        """Read pen strokes of one character; see `Client.read_sketch`."""
        return Reading.of(await self._ask(_sketch(strokes, size, model, script)))

    async def models(self) -> list[Model]:
        """Return the networks that are served."""
        return [Model.of(one) for one in await self._ask(_Call("GET", "/models", {}))]

    async def leaderboard(self, dataset: str, **query: str | bool) -> list[Json]:
        """Return the rows of a dataset; see `Client.leaderboard`."""
        rows: list[Json] = await self._ask(_Call("GET", f"/leaderboard/{dataset}", {"params": query}))
        return rows

    async def submit(self, file: str | Path, **offer: object) -> Json:
        """Submit a network and return its receipt; see `Client.submit`."""
        receipt: Json = await self._ask(_submission(file, offer))
        return receipt

    async def submission(self, id: str) -> Json:
        """Return the current receipt of a submission."""
        receipt: Json = await self._ask(_Call("GET", f"/submissions/{id}", {}))
        return receipt

    async def _ask(self, call: _Call) -> Any:
        attempts = _attempts(call, self._http.base_url)
        step = next(attempts)
        try:
            while True:
                outcome: Outcome | None = None
                if step is not None:
                    await asyncio.sleep(step)
                else:
                    try:
                        outcome = await self._http.request(call.method, call.path, **call.options)
                    except httpx.TransportError as error:
                        outcome = error
                step = attempts.send(outcome)
        except StopIteration as done:
            return done.value

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
