"""The *Submit* tab: a form, the queue, and a page for every submission that updates itself.

The same through endpoints: `/submit`, `/submission_status`, `/submissions`, `/withdraw` and `/retry`.
"""

import atexit
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr

from leaderboard import results
from leaderboard.submissions import calls, intake, sign_in, supervision
from leaderboard.submissions.checks import guard
from leaderboard.submissions.holdings import replaced_by, rows
from leaderboard.submissions.lifecycle import Submission
from leaderboard.submissions.publishing import publish
from leaderboard.submissions.store import Store, open_store
from leaderboard.tabs import receipts, submit_form
from leaderboard.tabs.deep_links import QUIET, Places
from leaderboard.tabs.submit_form import Form
from zoo import gate, settings
from zoo.errors import ZooError
from zoo.tabs.space import PLACES, WRITING, api
from zoo.tabs.visit import VISIT
from zoo.types import Values

log = logging.getLogger(__name__)

STYLE = Path(__file__).with_name("submit.css")
RECENT = 20  # submissions that are done, in the queue's view
REFRESH = 2.0  # seconds between looks at a submission that is not done
# A view that was never open is built after its first value is set, so there is no change event.
ADDRESS = "\nconst first = element.querySelector('.receipt'); if (first) locate(first.dataset.address);"
LEAD = """Send a network that reads handwriting. It is checked at once and measured in a sandbox. Then its
verified row is on the board, next to the accuracy that you claim. Every submission keeps its page."""
NO_RECEIPT = "Track a submission here. Send one, choose one from the queue, or enter its id."
FROM_ELSEWHERE = """**Python**, here or on any machine with this package:

```python
import leaderboard

receipt = leaderboard.submit(
    "model.keras", name="my_net", datasets=["mnist"], licence="mit", declaration="mnist, training set only",
    claimed={"mnist": 0.993}, user="me", space="http://localhost:7860",
)
leaderboard.submission_status(receipt["id"], space="http://localhost:7860")
```

**Shell**: upload, submit, and read the answer.

```sh
SPACE=http://localhost:7860/gradio_api
FILE=$(curl -s -F files=@model.onnx $SPACE/upload | tr -d '[]"')
ID=$(curl -s $SPACE/call/submit -H 'Content-Type: application/json' -d '{"data": ["my_net", ["mnist"], "mit",
  "mnist, training set only", {"path": "'$FILE'", "meta": {"_type": "gradio.FileData"}}, "", "", {}, "me", ""]}' |
  cut -d '"' -f 4)
curl -sN $SPACE/call/submit/$ID
```

The receipt has a `secret`, with which you can withdraw or retry the submission. On a Space of the Hub, sign in
instead; from a program, add `token=` or `-H "Authorization: Bearer hf_…"`. A token without any permission is enough."""


def tab() -> Places:
    """Build the tab inside a `gr.Blocks`, with its endpoints."""
    store = open_store(visitors=True)
    gr.Markdown(LEAD, elem_id="submit-lead")
    with gr.Tabs(elem_id="submit-views") as views:
        with gr.Tab("Send a network", id="send"):
            form = submit_form.build()
            gr.HTML(receipts.rules(), apply_default_css=False)
            with gr.Accordion("Send it from a program", open=False):
                gr.Markdown(FROM_ELSEWHERE)
        with gr.Tab("Queue", id="queue"):
            queue = gr.HTML(js_on_load=VISIT, apply_default_css=False, elem_id="submit-queue")
        with gr.Tab("Receipt", id="receipt"):
            receipt = _receipt()
    timer = gr.Timer(REFRESH, active=False)
    pages = [receipt.page, timer, receipt.again, receipt.back]
    targets = [views, receipt.wanted, *pages]

    def read(id: str | None) -> Values:
        return receipt.shown(store, (id or "").strip(), timer)

    def show(id: str) -> Values:
        return {views: gr.Tabs(selected="receipt"), receipt.wanted: id, **read(id)}

    def send(values: Values) -> Values:
        marked = form.marked(problems := form.problems(values))
        if problems:
            return {**marked, form.answer: gr.HTML(visible=False)}
        key = calls.secret_of(values[receipt.secret])
        try:
            submission = _sent(store, form, values, key)
        except ZooError as error:
            return {**marked, form.answer: gr.HTML(receipts.missing(str(error)), visible=True)}
        known = {receipt.secret: key} if intake.may_change(submission, secret=key) else {}
        return {**marked, form.answer: gr.HTML("", visible=False), **known, **show(submission.id)}

    def act(action: Callable[..., object]) -> Callable[[str, str], Values]:
        def do(id: str, secret: str) -> Values:
            try:
                action(store, (id or "").strip(), sign_in.proved(), secret=(secret or "").strip())
            except ZooError as error:
                gr.Warning(str(error))
            return read(id)

        return do

    def holds(parts: Mapping[str, str]) -> bool:
        return parts.get("tab") == "submit"

    def place(parts: Mapping[str, str]) -> Values:
        return show(parts["submission"]) if parts.get("submission") else {}

    slow = {**QUIET, "concurrency_limit": PLACES, "concurrency_id": WRITING}  # they check files and ask the Hub
    shown = [form.answer, *form.errors.values(), receipt.secret, *targets]
    form.send.click(send, {*form.inputs, receipt.secret}, shown, **slow).then(None, js=submit_form.POINT)
    receipt.wanted.submit(read, receipt.wanted, pages, **QUIET)
    receipt.again.click(act(calls.retried), [receipt.wanted, receipt.secret], pages, **slow)
    receipt.back.click(act(calls.withdrawn), [receipt.wanted, receipt.secret], pages, **slow)
    timer.tick(read, receipt.wanted, pages, **QUIET)
    views.select(partial(_listed, store), None, queue, **QUIET)
    for endpoint in calls.endpoints(store):
        api(endpoint)
    return Places("submit", holds, place, targets, [queue, receipt.page])


@dataclass(frozen=True)
class Receipt:
    """The components that show one submission."""

    wanted: gr.Textbox
    secret: gr.Textbox
    again: gr.Button
    back: gr.Button
    page: gr.HTML

    def shown(self, store: Store, id: str, timer: gr.Timer) -> Values:
        """Return the updates for an id; the timer runs while the submission is open."""
        if not id:
            return {self.page: receipts.missing(NO_RECEIPT), timer: gr.Timer(active=False)}
        try:
            submission = store.get(id)
            where = next((p for p in intake.queue(store) if p.submission.id == submission.id), None)
            replaced = replaced_by(submission, rows(store.all()))
        except ZooError as error:
            return {self.page: receipts.missing(str(error)), timer: gr.Timer(active=False)}
        return {
            self.page: receipts.receipt(submission, where, replaced),
            timer: gr.Timer(active=submission.open),
            self.again: gr.Button(visible=submission.retriable),
            self.back: gr.Button(visible=submission.withdrawable),
        }


def _receipt() -> Receipt:
    with gr.Row(elem_id="receipt-tools"):
        wanted = gr.Textbox(placeholder="Id of a submission", show_label=False, elem_id="receipt-id")
        secret = gr.Textbox(
            placeholder="Its secret", show_label=False, elem_id="receipt-secret", max_length=100,
            visible=not sign_in.on_space(),
        )  # fmt: skip
        again = gr.Button("Try it again", size="sm", visible=False, elem_id="receipt-retry")
        back = gr.Button("Withdraw", size="sm", visible=False, elem_id="receipt-withdraw")
    page = gr.HTML(
        receipts.missing(NO_RECEIPT), js_on_load=VISIT + ADDRESS, apply_default_css=False, elem_id="receipt-page"
    )
    return Receipt(wanted, secret, again, back, page)


def _sent(store: Store, form: Form, values: Values, secret: str) -> Submission:
    """Hand what the form holds to the intake, and return the new submission."""
    who, offer = sign_in.sender(values[form.user]), form.offer(values)
    content, source = calls.content_of(form.upload(values)), (values[form.source] or "").strip()
    return intake.submit(store, who, offer, content, source, address=gate.caller().sender, secret=secret)


def _listed(store: Store) -> str:
    """Return the queue, and the submissions that were finished last."""
    try:
        done = [s for s in store.all() if not s.open]
        recent = sorted(done, key=lambda s: s.history[-1]["at"], reverse=True)[:RECENT]
        return receipts.queue(intake.queue(store), recent, store.broken())
    except ZooError as error:
        return receipts.missing(str(error))


# Background tasks of the Space


def attend() -> None:
    """Start the background tasks of a Space: `ZOO_WORKERS` workers, and updates of rows from the Hub."""
    store, stop = open_store(), threading.Event()
    atexit.register(stop.set)
    if store.publish_every is not None:
        step = partial(publish, store, results.LOCAL)
        follow = partial(supervision.keep_doing, lambda: step() and False, stop, store.publish_every)
        threading.Thread(target=follow, name="submissions", daemon=True).start()
    command = [sys.executable, "-m", "leaderboard.submissions"]
    guard.start()
    for _ in range(settings.number("ZOO_WORKERS")):
        threading.Thread(target=supervision.keep_running, args=(command, stop), name="worker", daemon=True).start()
