"""The form of the *Submit* tab: what it is, what for, about it; what is wrong stands at its field."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from html import escape

import gradio as gr

from leaderboard.submissions import checks, offers, sign_in
from leaderboard.submissions.offers import Offer
from zoo import data, gate
from zoo.errors import ZooError
from zoo.gate.uploads import UPLOADS
from zoo.types import Values

FIELDS = {  # of a problem of an offer, by its code: the field that it stands at
    "licence": "licence",
    "declaration": "declaration",
    "paper": "paper",
    "dataset": "datasets",
    "claim": "claimed",
}
# The first field with a problem is brought into view; a screen reader reads the problem as that of its input.
POINT = """() => setTimeout(() => {
  const wrong = [...document.querySelectorAll('#submit-form .field-error')].filter(one => one.innerText.trim());
  for (const input of document.querySelectorAll('#submit-form [aria-invalid]')) {
    input.removeAttribute('aria-invalid'); input.removeAttribute('aria-describedby');
  }
  for (const one of wrong) {
    one.id ||= `problem-${Math.random().toString(36).slice(2)}`;
    const input = one.closest('.field').querySelector('input, textarea');
    input?.setAttribute('aria-invalid', 'true');
    input?.setAttribute('aria-describedby', one.id);
  }
  wrong[0]?.closest('.field').querySelector('input:not([type=file]), textarea, button')?.focus();
}, 100)"""


@dataclass(frozen=True)
class Form:
    """The fields of the form and, by the name of each, where its problem stands."""

    file: gr.File
    source: gr.Textbox
    datasets: gr.CheckboxGroup
    name: gr.Textbox
    licence: gr.Dropdown
    declaration: gr.Textbox
    claimed: gr.Textbox
    paper: gr.Textbox
    user: gr.Textbox
    send: gr.Button
    answer: gr.HTML
    errors: dict[str, gr.HTML]

    @property
    def inputs(self) -> set[gr.components.Component]:
        """The inputs of a submission."""
        return {getattr(self, one.name) for one in fields(self) if one.name not in ("send", "answer", "errors")}

    def upload(self, values: Values) -> gate.Upload | None:
        """Return the chosen file; NotYours unless its sender uploaded it."""
        path = values[self.file]
        return UPLOADS.opened({"path": path}, gate.caller()) if path else None

    def offer(self, values: Values) -> Offer:
        """Return the offer in the fields; claims that cannot be read are left out."""
        datasets = tuple(values[self.datasets])
        try:
            claimed = claims(values[self.claimed] or "", datasets)
        except ZooError:
            claimed = {}
        return Offer(
            name=values[self.name] or "",
            datasets=datasets,
            licence=values[self.licence] or "",
            declaration=values[self.declaration] or "",
            paper=values[self.paper] or "",
            claimed=claimed,
        )

    def problems(self, values: Values) -> dict[str, str]:
        """Return what has to change before anything is sent, by the name of the field."""
        found: dict[str, list[str]] = {}
        for field, sentence in self._problems(values):
            found.setdefault(field, []).append(sentence)
        return {field: " ".join(sentences) for field, sentences in found.items()}

    def _problems(self, values: Values) -> Iterator[tuple[str, str]]:
        if bool(values[self.file]) == bool((values[self.source] or "").strip()):
            both = bool(values[self.file])
            yield "file", "Choose a file or name a repo, not both." if both else "Choose a file, or name a repo."
        offer = self.offer(values)
        for problem in offers.checked_offer(offer)[1]:
            yield FIELDS[problem.code], problem.fix
        for field, check in (
            ("name", lambda: offers.checked_name(offer.name)),
            ("claimed", lambda: claims(values[self.claimed] or "", offer.datasets)),
            ("user", lambda: offers.checked_user(sign_in.sender(values[self.user]))),
        ):
            try:
                check()
            except ZooError as error:
                yield field, str(error)

    def marked(self, problems: dict[str, str]) -> Values:
        """Return the updates that show problems at their fields and nothing at the others."""
        return {
            one: gr.HTML(escape(problems.get(field, "")), visible=field in problems)
            for field, one in self.errors.items()
        }


def build() -> Form:
    """Build the form inside a `gr.Blocks`, in the order in which a person thinks."""
    errors: dict[str, gr.HTML] = {}
    made: dict[str, gr.components.Component] = {}

    def field(name: str, component: gr.components.Component) -> None:
        made[name] = component
        errors[name] = gr.HTML("", visible=False, apply_default_css=False, elem_classes="field-error")

    with gr.Row(elem_id="submit-form"):
        with gr.Column(scale=5, min_width=280):
            gr.Markdown("### 1. The network")
            with gr.Column(elem_classes="field"):
                made["file"] = gr.File(
                    label=f"A network: .keras, .onnx or a Keras configuration .json, at most "
                    f"{checks.MOST_BYTES / 1e6:.0f} MB",
                    file_types=[".keras", ".onnx", ".json"], elem_id="submit-file",
                    elem_classes="drop", height=150,
                )  # fmt: skip
                field("source", gr.Textbox(
                    label="or a repo on the Hub", placeholder="hf://user/repo@revision", elem_id="submit-source"
                ))  # fmt: skip
                errors["file"] = errors.pop("source")
            gr.Markdown("### 2. What it is measured on")
            with gr.Column(elem_classes="field"):
                found = offers.offered()
                field("datasets", gr.CheckboxGroup(
                    [(f"{data.heading(one.name)} · {one.name}", one.name) for one in found if not one.missing],
                    label="Datasets", elem_id="submit-datasets",
                    info=" ".join(one.missing for one in found if one.missing) or None,
                ))  # fmt: skip
        with gr.Column(scale=6, min_width=280):
            gr.Markdown("### 3. About it")
            with gr.Row():
                with gr.Column(elem_classes="field", min_width=180):
                    field("name", gr.Textbox(
                        label="Its name", placeholder="my_net", max_length=40, elem_id="submit-name"
                    ))  # fmt: skip
                with gr.Column(elem_classes="field", min_width=180):
                    field("licence", gr.Dropdown(
                        list(offers.LICENCES), value=None, label="License", elem_id="submit-licence"
                    ))  # fmt: skip
            with gr.Column(elem_classes="field"):
                field("declaration", gr.Textbox(
                    label="What it was trained on", placeholder="mnist, its training set only; no test image was seen",
                    max_length=offers.LONGEST_DECLARATION, lines=2, elem_id="submit-declaration",
                ))  # fmt: skip
            with gr.Row():
                with gr.Column(elem_classes="field", min_width=180):
                    field("claimed", gr.Textbox(
                        label="Your accuracy in %, by dataset", info="Optional",
                        placeholder="mnist 99.2, ahdd 98.7", elem_id="submit-claimed",
                    ))  # fmt: skip
                with gr.Column(elem_classes="field", min_width=180):
                    field("paper", gr.Textbox(
                        label="Paper", info="Optional", placeholder="https://…", max_length=offers.LONGEST_LINK,
                        elem_id="submit-paper",
                    ))  # fmt: skip
            with gr.Column(elem_classes="field"):
                if sign_in.can_sign_in():
                    gr.LoginButton(elem_id="submit-login")
                field("user", gr.Textbox(
                    label="Your name", max_length=40, elem_id="submit-user", visible=not sign_in.on_space()
                ))  # fmt: skip
            answer = gr.HTML(visible=False, apply_default_css=False, elem_id="submit-answer")
            send = gr.Button("Send it", variant="primary", elem_id="submit-send")
    return Form(**made, send=send, answer=answer, errors=errors)


def claims(text: str, datasets: tuple[str, ...]) -> dict[str, float]:
    """Read "mnist 99.2, ahdd 98.7", or one number for the one dataset chosen; percent become fractions.

    Raises:
        ZooError: it has another form.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.replace("=", " ").replace(":", " ").rpartition(" ")
        name = name.strip() or (datasets[0] if len(datasets) == 1 else "")
        try:
            found[name] = float(number.rstrip("%")) / 100
        except ValueError:
            name = ""
        if 0 < found.get(name, 0) < 0.01 and not number.endswith("%"):
            raise ZooError(
                f"The claim {part[:40]!r} means {number}%. Write {100 * float(number):.6g} if you mean "
                f"{100 * float(number):.6g}%, or {number}% if that is what you mean."
            )
        if not name:
            raise ZooError(f"The claim {part[:40]!r} cannot be read: write for example mnist 99.2, ahdd 98.7.")
    return found
