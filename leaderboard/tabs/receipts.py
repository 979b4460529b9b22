"""Pages of submissions as HTML: a receipt, the queue, the rules. Text from senders is escaped here."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode

from leaderboard.memorization import MemorizationGap
from leaderboard.submissions import budget, checks
from leaderboard.submissions.checks import allowed_layers, keras_config
from leaderboard.submissions.checks.problems import Problem
from leaderboard.submissions.intake import DAY, LIMITS, Place
from leaderboard.submissions.lifecycle import FAILED, FINISHED, PENDING, RUNNING, WITHDRAWN, Submission
from leaderboard.submissions.store import Broken
from leaderboard.tabs.markup import address, esc, facts, message

WORDS = {
    PENDING: "waiting",
    RUNNING: "being measured",
    FINISHED: "on the board",
    FAILED: "failed",
    WITHDRAWN: "withdrawn",
}
KINDS = {"keras": "Keras weights", "onnx": "ONNX weights", "json": "architecture"}
NO_WORKER = "No worker is running. It will be measured when one is started."
NOBODY = '<p class="quiet">There are no submissions yet.</p>'


def place(id: str) -> str:
    """Return the deep link to a submission."""
    return "?" + urlencode({"tab": "submit", "submission": id})


def receipt(submission: Submission, where: Place | None) -> str:
    """Return the page of one submission.

    Args:
        submission: it.
        where: its place in the queue; None if it is not in the queue.
    """
    s = submission
    status = s.status.lower()
    return (
        f'<article class="page receipt {status}" data-address="{esc(place(s.id))}" data-status="{s.status}">'
        f"<header><h2>{esc(s.name)} <span>by {esc(s.user)}</span></h2>"
        f'<p class="quiet">Submission <code>{s.id}</code>, {esc(KINDS[s.kind])}, for {esc(", ".join(s.datasets))}</p>'
        f'<p class="state"><b class="dot"></b>{_state(s, where)}</p>{_bar(s)}</header>'
        f"{_problems(s)}{_notes(s)}{_results(s)}<section>{_facts(s)}</section>{_history(s)}</article>"
    )


def _state(s: Submission, where: Place | None) -> str:
    if s.status == PENDING:
        ahead = where.ahead if where else 0
        before = "It is next." if not ahead else f"{ahead} {'is' if ahead == 1 else 'are'} before it."
        again = f" {_prose(s.reason)}" if s.reason else ""
        if where is None:
            return f"Waiting.{again}"
        if where.wait is None:
            return f"Waiting. {before}{again} {NO_WORKER}"
        return f"Waiting. {before}{again} Done in about {duration(where.wait)}."
    if s.status == RUNNING:
        return f"{esc(s.stage.capitalize() or 'Starting')}, {s.progress:.0%} done."
    if s.status == FINISHED:
        return (
            f"Measured, but not on the board. {esc(s.reason)}" if s.reason else "Measured. Its rows are on the board."
        )
    if s.status == FAILED:
        return "Rejected. Fix the problems below and send it again." if s.refused else _prose(s.reason)
    return "Withdrawn by its sender."


def _bar(s: Submission) -> str:
    if not s.open:
        return ""
    share = f"{100 * s.progress:.0f}"
    return (
        f'<div class="bar" role="progressbar" aria-valuenow="{share}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-label="Progress"><i style="width:{share}%"></i></div>'
    )


def _problems(s: Submission) -> str:
    if not s.problems:
        return ""
    items = "".join(
        f'<li data-code="{esc(p.code)}">{_prose(p.what)}<small>{_prose(p.fix)}</small></li>'
        for p in (Problem(**problem) for problem in s.problems)
    )
    return f'<section><h3>Problems to fix</h3><ul class="problems">{items}</ul></section>'


def _notes(s: Submission) -> str:
    return "".join(f'<p class="note">{_prose(note)}</p>' for note in s.notes)


def _results(s: Submission) -> str:
    rows = []
    for dataset in s.datasets:
        found, claimed = s.results.get(dataset), s.claimed.get(dataset)
        claim = f"{100 * claimed:.2f}" if claimed is not None else "–"
        if found is None:
            if s.open:
                rows.append(f'<tr><th scope="row">{esc(dataset)}</th><td>…</td><td>{claim}</td><td></td></tr>')
            continue
        row = f"{100 * found['accuracy']:.2f}"
        on_board = s.status == FINISHED
        link = f'<a href="{esc(address(model=found["model"]))}">its row</a>' if on_board else ""
        rows.append(f'<tr><th scope="row">{esc(dataset)}</th><td>{row}</td><td>{claim}</td><td>{link}</td></tr>')
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in ("dataset", "measured %", "claimed %", ""))
    return (
        f'<section><table class="grid results"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{''.join(_memorization(s))}</section>"
    )


def _memorization(s: Submission) -> Iterator[str]:
    """Yield the result of the memorization test for every measured dataset."""
    for dataset, found in s.results.items():
        if "memorization" in found:
            gap = MemorizationGap(**found["memorization"])
            yield f'<p class="{"note" if gap.flagged else "quiet"}">{esc(dataset)}: {esc(gap.sentence)}</p>'


def _facts(s: Submission) -> str:
    pairs = [("Sent", _when(s.created)), ("Licence", esc(s.licence)), ("Size", f"{s.size / 1000:,.0f} kB")]
    if s.parameters is not None:
        pairs.append(("Parameters", f"{s.parameters:,}"))
    if s.multiply_adds is not None:
        pairs.append(("Multiply-adds", f"{s.multiply_adds:,}"))
    pairs.append(("Content", f"<code>{s.digest[:12]}</code>"))
    wide = [("Trained on", esc(s.declaration) or "–")]
    if s.paper:
        link = f'<a href="{esc(s.paper)}" rel="nofollow noopener ugc" target="_blank">{esc(s.paper)}</a>'
        wide.append(("Paper", link))
    if s.same_as:
        link = f'<a href="{esc(place(s.same_as))}">{esc(s.same_as)}</a>'
        wide.append(("Same content", f"was sent before, by another sender, as {link}"))
    if s.source != "upload":
        wide.append(("From", esc(s.source)))
    more = "".join(f'<div class="wide"><dt>{esc(key)}</dt><dd>{value}</dd></div>' for key, value in wide)
    return facts(pairs).removesuffix("</dl>") + more + "</dl>"


def _history(s: Submission) -> str:
    steps = "".join(
        f"<li><time>{_when(entry['at'])}</time> {esc(WORDS.get(str(entry['status']), str(entry['status'])))}: "
        f"{_prose(str(entry['note']))}</li>"
        for entry in s.history
    )
    return f'<section><h3>History</h3><ol class="steps">{steps}</ol></section>'


def queue(places: list[Place], recent: list[Submission], broken: list[Broken] | None = None) -> str:
    """Return the queue, the last finished submissions, and damaged files."""
    waiting = "".join(_row(p.submission, _left(p)) for p in places)
    done = "".join(_row(s, _when(s.history[-1]["at"])) for s in recent)
    total = f"{len(places)} in the queue" if places else "The queue is empty"
    after = ""
    if places:
        wait = places[-1].wait
        after = (
            f"; a new submission would wait for about {duration(wait)}"
            if wait is not None
            else "; no worker is running"
        )
    aside = "".join(f"<li><code>{esc(b.id or b.path)}</code> {esc(b.reason)}</li>" for b in broken or ())
    return (
        f'<div class="page queue"><section><h3>Now</h3><p class="quiet">{total}{after}.</p>'
        f"{_table(waiting, 'done')}</section><section><h3>Before</h3>{_table(done, 'when') or NOBODY}</section>"
        + (f'<section><h3>Set aside: damaged files</h3><ul class="problems">{aside}</ul></section>' if aside else "")
        + "</div>"
    )


def _left(place: Place) -> str:
    if place.submission.status == RUNNING:
        return f"{place.submission.progress:.0%}"
    return duration(place.wait) if place.wait is not None else "–"


def _table(rows: str, last: str) -> str:
    if not rows:
        return ""
    titles = ("network", "status", last, "by", "kind", "datasets")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    return f'<div class="scroll"><table class="grid"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(s: Submission, last: str) -> str:
    visit = esc(f'{{"submission": "{s.id}"}}')
    return (
        f'<tr data-id="{s.id}"><th scope="row"><a href="{esc(place(s.id))}" data-visit="{visit}">{esc(s.name)}</a></th>'
        f'<td class="{s.status.lower()}">{WORDS[s.status]}</td><td>{esc(last)}</td>'
        f"<td>{esc(s.user)}</td><td>{esc(KINDS[s.kind])}</td><td>{esc(', '.join(s.datasets))}</td></tr>"
    )


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
        ("Layers", ", ".join(sorted(allowed_layers.LAYERS))),
    ]  # fmt: skip
    entries = "".join(f"<div><dt>{esc(key)}</dt><dd>{esc(value)}</dd></div>" for key, value in pairs)
    title = "What you can submit, and how it is processed"
    return f'<details class="legend rules"><summary>{title}</summary><dl>{entries}</dl></details>'


def _prose(text: str) -> str:
    """Return a sentence as HTML; text between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", esc(text))


def missing(text: str) -> str:
    """Return the page for an unknown submission."""
    return message(text)


def duration(seconds: float) -> str:
    """Return a readable duration."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
