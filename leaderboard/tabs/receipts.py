"""Pages of submissions as HTML: a receipt, the queue, the rules."""

from collections.abc import Mapping
from types import MappingProxyType

from markupsafe import Markup

from leaderboard.memorization import MemorizationGap
from leaderboard.submissions import budget, checks
from leaderboard.submissions.intake import DAY, LIMITS, Place
from leaderboard.submissions.lifecycle import FAILED, FINISHED, PENDING, RUNNING, WITHDRAWN, Submission
from leaderboard.submissions.store import Broken
from leaderboard.tabs.markup import html, message, moment
from zoo.strict import allowed_layers, keras_config

WORDS = {
    PENDING: "waiting",
    RUNNING: "being measured",
    FINISHED: "finished",
    FAILED: "failed",
    WITHDRAWN: "withdrawn",
}
KINDS = {"keras": "Keras weights", "onnx": "ONNX weights", "json": "architecture"}
NO_WORKER = "No worker is running. It will be measured when one is started."


def receipt(submission: Submission, where: Place | None, replaced: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the page of one submission.

    Args:
        submission: it.
        where: its place in the queue; None if it is not in the queue.
        replaced: ids of the submissions that have its rows, by dataset.
    """
    s = where.submission if where else submission
    results = [
        (name, s.results.get(name), s.claimed.get(name), replaced.get(name))
        for name in s.datasets
        if name in s.results or s.open
    ]
    memorization = [
        (name, MemorizationGap(**found["memorization"])) for name, found in s.results.items() if "memorization" in found
    ]
    history = [
        (moment(step["at"]), WORDS.get(str(step["status"]), str(step["status"])), str(step.get("note", "")))
        for step in s.history
    ]
    return html(
        "receipts.receipt", s, KINDS[s.kind], _state(s, where, replaced), s.problems, results, memorization, history
    )


def _state(s: Submission, where: Place | None, replaced: Mapping[str, str]) -> str:
    """Return what happens to a submission now, in words; text between backticks is code."""
    if s.status == PENDING:
        ahead = where.ahead if where else 0
        before = "It is next." if not ahead else f"{ahead} {'is' if ahead == 1 else 'are'} before it."
        again = f" {s.reason}" if s.reason else ""
        if where is None:
            return f"Waiting.{again}"
        if where.wait is None:
            return f"Waiting. {before}{again} {NO_WORKER}"
        return f"Waiting. {before}{again} Done in about {duration(where.wait)}."
    if s.status == RUNNING:
        return f"{s.stage.capitalize() or 'Starting'}, {s.progress:.0%} done."
    if s.status == FINISHED:
        if s.reason:
            return f"Measured, but not on the board. {s.reason}"
        if not replaced:
            return "Measured. Its rows are on the board."
        if len(replaced) < len(s.results):
            return "Measured. Some of its rows were replaced by those of another submission of its name."
        return "Measured, and replaced by another submission of its name."
    if s.status == FAILED:
        return "Rejected. Fix the problems below and send it again." if s.refused else s.reason
    return "Withdrawn by its sender."


def queue(places: list[Place], recent: list[Submission], broken: list[Broken] | None = None) -> str:
    """Return the queue, the last finished submissions, and damaged files."""
    after = f"{len(places)} in the queue" if places else "The queue is empty"
    if places:
        wait = places[-1].wait
        after += (
            "; no worker is running" if wait is None else f"; a new submission would wait for about {duration(wait)}"
        )
    waiting = [_row(p.submission, _left(p)) for p in places]
    done = [_row(s, moment(s.history[-1]["at"])) for s in recent]
    return html("receipts.queue", waiting, after, done, broken or [])


def _left(place: Place) -> str:
    if place.submission.status == RUNNING:
        return f"{place.submission.progress:.0%}"
    return duration(place.wait) if place.wait is not None else "–"


def _row(s: Submission, last: str) -> tuple[Submission, str, str, str]:
    """Return what the queue shows of one submission: its status, its last column and its kind in words."""
    return s, WORDS[s.status], last, KINDS[s.kind]


def rules() -> str:
    """Return the rules: what can be submitted and how it is processed."""
    mb = checks.MOST_BYTES / 1e6
    pairs = [
        ("Weights", "A .keras file of Keras 3 or an .onnx file: measured unchanged, in about a minute. "
         "Input: raw pixels (uint8, 0 to 255, height × width × 1). Output: one probability per class."),
        ("Architecture", f"model.to_json() of a Keras model: trained here from scratch with the board's own recipe, "
         f"{budget.SEEDS} times, adapted to each dataset's images and classes."),
        ("Checked", "Immediately, as bytes: a file is loaded only after it has passed these checks."),
        ("Measured", "In a separate process with limits, without network, secrets or your other files."),
        ("Limits", f"{mb:.0f} MB, {keras_config.MOST_PARAMETERS / 1e6:.0f} million parameters, "
         f"{keras_config.MOST_MULTIPLY_ADDS / 1e9:.0f} billion multiply-adds an image; {LIMITS.open_each} at a time "
         f"and {LIMITS.daily_each} within {DAY // 3600} hours from one sender."),
        ("Layers", Markup('<span translate="no">{}</span>').format(", ".join(sorted(allowed_layers.LAYERS)))),
    ]  # fmt: skip
    return html("receipts.rules", pairs)


def missing(text: str) -> str:
    """Return the page for an unknown submission."""
    return message(text)


def duration(seconds: float) -> str:
    """Return a readable duration."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
