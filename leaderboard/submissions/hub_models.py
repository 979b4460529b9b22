"""Models that are submitted as a repo on the Hub."""

from zoo import hub
from zoo.errors import ZooError
from zoo.gate.traffic import check_heard

MODEL_NAMES = ("model.keras", "model.onnx")
LAYOUT = ("metadata.json", "config.json", "model.weights.h5")  # a Keras model that is not zipped
SECONDS = 20.0  # for everything that the Hub is asked for one submission
LONGEST = 2_000_000  # bytes of the listing of a repo: about 10,000 files
HEADERS = 100_000  # bytes of the answers for one file that are not the file


def fetch_model(
    repo: str, revision: str | None, most_bytes: int, seconds: float = SECONDS
) -> tuple[str, dict[str, bytes]]:
    """Return the commit and the model files of a repo: model.keras, model.onnx, or the unzipped Keras layout.

    Sizes are read from the Hub's listing before anything is fetched, and nothing but these files is.

    Args:
        repo: its name, without the Hub.
        revision: a branch, a tag, or the newest commit of one; None: the main branch.
        most_bytes: of the files together.
        seconds: that all of it may take, attempts included.

    Raises:
        ZooError: no such repo or revision, no model in it, one that is too large, or a Hub that takes too long.
    """
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.utils import get_session, hf_raise_for_status

    anybody = HfApi(token=False)  # without the Space's token: senders must not reach its private repos
    at = f"{repo}@{revision}" if revision else repo

    def fetch() -> tuple[str, dict[str, bytes]]:
        with hub.bounded(seconds, LONGEST, f"The listing of {at}"):
            found = anybody.repo_info(repo, revision=revision, files_metadata=True)
            refs = anybody.list_repo_refs(repo)
        if found.sha not in {ref.target_commit for ref in (*refs.branches, *refs.tags)}:  # of a pull request, perhaps
            raise ZooError(
                f"{at} is the newest commit of no branch and no tag, and anybody may propose such: tag it first."
            )
        listed = {file.rfilename: file.size or 0 for file in found.siblings or ()}
        sizes = {name: size for name, size in listed.items() if isinstance(size, int) and size >= 0}
        chosen = next(((name,) for name in MODEL_NAMES if name in sizes), LAYOUT if set(LAYOUT) <= set(sizes) else ())
        if not chosen:
            raise ZooError(f"{at} holds no model: expected model.keras, model.onnx, or {', '.join(LAYOUT)}.")
        if sum(sizes[name] for name in chosen) > most_bytes:
            raise ZooError(f"The model of {at} is too large: the most is {most_bytes / 1e6:.0f} MB.")
        return found.sha, {name: downloaded(name, found.sha, sizes[name]) for name in chosen}

    def downloaded(name: str, commit: str, size: int) -> bytes:
        check_heard()
        with hub.bounded(seconds, size + HEADERS, f"{name} of {at}"):
            answer = get_session().get(hf_hub_url(repo, name, revision=commit))
            hf_raise_for_status(answer)
        content: bytes = answer.content
        if len(content) != size:
            raise OSError("Consistency check failed: the file has another size than the Hub says.")
        return content

    with hub.bounded(seconds, LONGEST, at):
        return hub.attempted(fetch, at, hub.Backoff(attempts=3, first=0.5, longest=2.0, seconds=seconds))
