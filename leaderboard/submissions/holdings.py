"""What of a store is still needed, and how much of it each sender holds; everything follows from the receipts.

Needed are the content of a submission that waits, runs, failed or is measured, the results behind a row of the board,
and those that a submission which failed may go on from. The rest was withdrawn, replaced, measured again, or written by
a worker that lost its submission.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from leaderboard.submissions.lifecycle import FAILED, FINISHED, WITHDRAWN, Outcome, Submission
from zoo.errors import ZooError

# The network behind the results of a folder, whatever the number of datasets: as it was measured, and for browsers.
MODEL, PORTABLE = "model.onnx", "portable.json"
RESULT_BYTES = 200_000  # of a record and its answers on one dataset, generously
PARAMETER_BYTES = 7  # of one that is stored in a network, and in the program that browsers run
GRAPH_BYTES = 1_000_000  # of what else both hold, generously
MOST_NETWORK = 60_000_000 * PARAMETER_BYTES  # more parameters are not accepted, whatever a receipt says
SHARE = 4  # of what others leave of a store, one sender may hold the fourth part


def rows(submissions: Iterable[Submission]) -> dict[tuple[str, str], tuple[Submission, Outcome]]:
    """Return which submission's result is the row of a dataset and model: the newest of the first one's sender.

    A receipt that names another network's row has none.

    Args:
        submissions: in their order of arrival.
    """
    found: dict[tuple[str, str], tuple[Submission, Outcome]] = {}
    for submission in submissions:
        if submission.status == FINISHED:
            for dataset, outcome in submission.results.items():
                key = dataset, outcome["model"]
                if key[1] != submission.row(dataset):
                    continue
                if key not in found or submission.may_replace(found[key][0]):
                    found[key] = submission, outcome
    return found


def replaced_by(submission: Submission, held: Mapping[tuple[str, str], tuple[Submission, Outcome]]) -> dict[str, str]:
    """Return the ids of the submissions that have the rows of a measured one, by dataset: of those that it has not.

    Args:
        submission: it.
        held: the `rows` of its store.
    """
    if submission.status != FINISHED:
        return {}
    holders = {dataset: held.get((dataset, submission.row(dataset))) for dataset in submission.results}
    return {dataset: one[0].id for dataset, one in holders.items() if one and one[0].id != submission.id}


class Needed:
    """Which results and contents are needed.

    Args:
        submissions: all of a store, in their order of arrival.
        unreadable: paths of receipts below `requests` that cannot be read: what their senders have is left alone.
    """

    def __init__(self, submissions: Iterable[Submission], unreadable: Iterable[str] = ()):
        submissions = list(submissions)
        kept = [(dataset, outcome) for (dataset, _), (_, outcome) in rows(submissions).items()]
        kept += [pair for s in submissions if s.status == FAILED for pair in s.results.items()]
        self._datasets: dict[str, set[str]] = {}  # by folder
        for dataset, outcome in kept:
            self._datasets.setdefault(outcome.get("folder", ""), set()).add(dataset)
        # A worker writes results before the receipt has them.
        self._growing = {s.network for s in submissions if s.open}
        users = {path.partition("/")[0].lower() for path in unreadable}
        self._unknown = tuple(f"{user.replace('.', '~~')}~" for user in users)
        contents = {s.file for s in submissions if s.status != WITHDRAWN}
        self._withdrawn = {s.file for s in submissions if s.status == WITHDRAWN} - contents

    def result(self, folder: str, name: str) -> bool:
        """Whether a file of a measurement is needed."""
        if folder.partition("/")[0] in self._growing or folder.startswith(self._unknown):
            return True
        datasets = self._datasets.get(folder, set())
        return bool(datasets) if name in (MODEL, PORTABLE) else name.rpartition(".")[0] in datasets

    def content(self, file: str) -> bool:
        """Whether the content of a submission is needed, `requests/files/…`; one that nobody knows is left alone."""
        return file not in self._withdrawn


def network_bytes(submission: Submission) -> int:
    """Return how much the network behind the results of a submission may take, with the program that browsers run."""
    stored = max(submission.size, PARAMETER_BYTES * (submission.parameters or 0))
    return min(stored + GRAPH_BYTES, MOST_NETWORK)


def expected_bytes(submission: Submission) -> int:
    """Return how much the results of a submission take at most; what is trained is another network on each dataset."""
    networks = len(submission.datasets) if submission.kind == "json" else 1
    return networks * network_bytes(submission) + len(submission.datasets) * RESULT_BYTES


def check_share(
    new: Submission, size: int, submissions: Iterable[Submission], sizes: Mapping[str, int], most: int
) -> None:
    """Raise ZooError where a sender would hold more of a store than their share of what others leave of it.

    So a few senders never fill it, and the next one always has a share too.

    Args:
        new: a submission that arrives; one without a sender's mark is not limited.
        size: bytes of its content.
        submissions: those that are there.
        sizes: bytes of what is needed in the store, by path.
        most: bytes that the store may take.
    """
    if not new.sender:
        return
    results: Counter[str] = Counter()
    for path, count in sizes.items():
        results[path.removeprefix("results/").rpartition("/")[0]] += count if path.startswith("results/") else 0
    held: Counter[str] = Counter()
    for one in submissions:
        held[one.sender] += _held(one, sizes, results)
    mine = held.pop(new.sender, 0)
    share = max((most - held.total()) / SHARE, 0)
    if mine + size + expected_bytes(new) > share:
        raise ZooError(
            f"The submissions of your address hold {mine / 1e6:.0f} MB of the store, and with this one they would hold "
            f"more than {share / 1e6:.0f} MB, their share: withdraw one of them, or send a smaller network."
        )


def _held(submission: Submission, sizes: Mapping[str, int], results: Mapping[str, int]) -> int:
    """Return the bytes of a store that a submission holds, or will hold when it is measured."""
    if submission.open:
        return sizes.get(f"requests/{submission.file}", 0) + expected_bytes(submission)
    return sum(results.get(folder, 0) for folder in {found.get("folder", "") for found in submission.results.values()})
