"""Models that are submitted as a repo on the Hub."""

import time
from collections.abc import Callable

from zoo import hub
from zoo.errors import ZooError

MODEL_NAMES = ("model.keras", "model.onnx")
LAYOUT = ("metadata.json", "config.json", "model.weights.h5")  # a Keras model that is not zipped
SECONDS = 20.0  # for everything that the Hub is asked for one submission


def fetch_model(
    repo: str, revision: str | None, most_bytes: int, seconds: float = SECONDS
) -> tuple[str, dict[str, bytes]]:
    """Return the commit and the model files of a repo: model.keras, model.onnx, or the unzipped Keras layout.

    Sizes are read from the Hub's listing before anything is fetched, and nothing but these files is.

    Args:
        repo: its name, without the Hub.
        revision: a branch, a tag or a commit; None: the main branch.
        most_bytes: of the files together.
        seconds: that all of it may take, attempts included.

    Raises:
        ZooError: no such repo or revision, no model in it, one that is too large, or a Hub that takes too long.
    """
    from huggingface_hub import HfApi, hf_hub_url

    anybody = HfApi(token=False)  # without the Space's token: senders must not reach its private repos
    at = f"{repo}@{revision}" if revision else repo
    deadline = time.monotonic() + seconds

    def left() -> float:
        if (remaining := deadline - time.monotonic()) > 0:
            return remaining
        raise ZooError(f"{at} could not be fetched within {seconds:.0f} s: send the file itself, or try again later.")

    def fetch() -> tuple[str, dict[str, bytes]]:
        found = anybody.repo_info(repo, revision=revision, files_metadata=True, timeout=left())
        sizes = {file.rfilename: file.size or 0 for file in found.siblings or ()}
        chosen = next(((name,) for name in MODEL_NAMES if name in sizes), LAYOUT if set(LAYOUT) <= set(sizes) else ())
        if not chosen:
            raise ZooError(f"{at} holds no model: expected model.keras, model.onnx, or {', '.join(LAYOUT)}.")
        if sum(sizes[name] for name in chosen) > most_bytes:
            raise ZooError(f"The model of {at} is too large: the most is {most_bytes / 1e6:.0f} MB.")
        return found.sha, {
            name: _downloaded(hf_hub_url(repo, name, revision=found.sha), sizes[name], left) for name in chosen
        }

    return hub.attempted(fetch, at, hub.Backoff(attempts=3, first=0.5, longest=2.0, seconds=seconds))


def _downloaded(url: str, size: int, left: Callable[[], float]) -> bytes:
    """Return a file of a known size; `left` returns the seconds that are left, and raises when there are none."""
    from huggingface_hub.utils import get_session, hf_raise_for_status

    content = bytearray()
    with get_session().stream("GET", url, timeout=left()) as response:
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        for part in response.iter_bytes():
            content += part
            left()
            if len(content) > size:
                break
    if len(content) != size:
        raise OSError("Consistency check failed: the file has another size than the Hub says.")
    return bytes(content)
