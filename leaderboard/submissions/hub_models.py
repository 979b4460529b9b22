"""Models that are submitted as a repo on the Hub."""

import tempfile
from pathlib import Path

from zoo import hub
from zoo.errors import ZooError
from zoo.files import read_bytes

MODEL_NAMES = ("model.keras", "model.onnx")
LAYOUT = ("metadata.json", "config.json", "model.weights.h5")  # a Keras model that is not zipped


def fetch_model(repo: str, revision: str | None, most_bytes: int) -> tuple[str, dict[str, bytes]]:
    """Return the commit and the model files of a repo: model.keras, model.onnx, or the unzipped Keras layout.

    Sizes are read from the Hub's listing before anything is fetched, and nothing but these files is.

    Raises:
        ZooError: no such repo or revision, no model in it, or one that is too large.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    anybody = HfApi(token=False)  # without the Space's token: senders must not reach its private repos

    def look() -> tuple[str, dict[str, int]]:
        commit = anybody.repo_info(repo, revision=revision).sha
        tree = anybody.list_repo_tree(repo, revision=commit)
        return commit, {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}

    at = f"{repo}@{revision}" if revision else repo
    patience = hub.Backoff(attempts=3, first=0.5, longest=2.0)
    commit, sizes = hub.attempted(look, at, patience)
    chosen = next(((name,) for name in MODEL_NAMES if name in sizes), LAYOUT if set(LAYOUT) <= set(sizes) else ())
    if not chosen:
        raise ZooError(f"{at} holds no model: expected model.keras, model.onnx, or {', '.join(LAYOUT)}.")
    if sum(sizes[name] for name in chosen) > most_bytes:
        raise ZooError(f"The model of {at} is too large: the most is {most_bytes / 1e6:.0f} MB.")

    def fetch() -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:  # not the cache, which strangers could fill
            for name in chosen:
                anybody.hf_hub_download(repo, name, revision=commit, local_dir=folder)
            return {name: read_bytes(Path(folder, name)) for name in chosen}

    return commit, hub.attempted(fetch, at, patience)
