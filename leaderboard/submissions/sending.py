"""Submit from Python: `leaderboard.submit(...)` calls a Space like its page does."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import ZooError
from zoo.settings import namespace
from zoo.types import Json

if TYPE_CHECKING:
    from gradio_client import Client

POLL = 5.0  # seconds
DONE = ("FINISHED", "FAILED", "WITHDRAWN")


def submit(
    model: str | Path,
    *,
    name: str,
    datasets: Sequence[str],
    licence: str,
    declaration: str,
    paper: str = "",
    claimed: Mapping[str, float] | None = None,
    user: str = "",
    secret: str = "",
    space: str | None = None,
    token: str | None = None,
    wait: bool = False,
    progress: Callable[[Json], None] = lambda receipt: None,
) -> Json:
    """Submit a network to the leaderboard and return its receipt.

    Args:
        model: a `.keras` or `.onnx` file, the JSON of a Keras configuration (then it is trained there), or
            "hf://user/repo@revision".
        name: of the network on the board, for example "my_net".
        datasets: names of datasets to measure it on, for example ["mnist"].
        licence: SPDX name, for example "mit".
        declaration: which data it was trained on, and which not.
        paper: a link.
        claimed: the accuracy that you claim for each dataset, between 0 and 1.
        user: your name; a Space on the Hub uses your token instead.
        secret: the secret of your earlier submission with the same name, where there is no sign-in.
        space: its address, or "user/name" on the Hub; None: the zoo's own.
        token: an access token of the Hub, for a Space there; one without any permission is enough.
        wait: return only when the submission is done.
        progress: called with every receipt while waiting.

    Returns:
        The receipt: "id", "status", "problems" (each with "what" and "fix"), "results", …; without sign-in, also the
        "secret" with which it can be withdrawn.

    Raises:
        ZooError: the Space cannot be reached, or did not accept the call, with the reason.
    """
    from gradio_client import handle_file

    client = _client(space, token)
    text = str(model)
    hub = text.startswith("hf://")
    if not hub and not Path(text).is_file():
        raise ZooError(f"{text} is not a file: send a .keras, .onnx or .json file, or hf://user/repo.")
    receipt = _ask(
        client, "/submit", name=name, datasets=list(datasets), licence=licence, declaration=declaration, paper=paper,
        claimed=dict(claimed or {}), user=user, secret=secret,
        file=None if hub else handle_file(text), source=text if hub else "",
    )  # fmt: skip
    while wait and receipt["status"] not in DONE:
        time.sleep(POLL)
        receipt = status(receipt["id"], space=space, token=token)
        progress(receipt)
    return receipt


def status(id: str, *, space: str | None = None, token: str | None = None) -> Json:
    """Return the current receipt of a submission."""
    return _ask(_client(space, token), "/submission_status", id=id)


def _client(space: str | None, token: str | None) -> "Client":
    from gradio_client import Client

    try:
        return Client(space or f"{namespace()}/handwriting-zoo", token=token, verbose=False)
    except Exception as error:  # the client raises errors of many kinds
        raise ZooError(f"The Space {space or namespace()} cannot be reached: {error}") from error


def _ask(client: "Client", endpoint: str, **inputs: object) -> Json:
    from gradio_client.exceptions import AppError

    try:
        receipt: Json = client.predict(**inputs, api_name=endpoint)
        return receipt
    except AppError as error:
        raise ZooError(str(error)) from None
