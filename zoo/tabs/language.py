"""English or Arabic: a switch in the masthead; `arabic.json` holds what is said, sentence by sentence."""

import json
from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent


def switch() -> None:
    """Build the switch inside a `gr.Blocks`; the page opens in the browser's language where that is Arabic."""
    gr.HTML(
        html_template='<button type="button" class="language">العربية</button>',
        css_template=(
            ".language { padding: 5px 12px; "
            "border: 1px solid var(--border-color-primary); border-radius: 10px; cursor: pointer; font-size: 0.88rem; "
            "color: var(--body-text-color); background: var(--background-fill-primary); }"
        ),
        js_on_load=(HERE / "language.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="language",
        arabic=json.loads((HERE / "arabic.json").read_text(encoding="utf-8")),
    )
