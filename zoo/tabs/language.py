"""A switch between English and Arabic in the header; `arabic.json` has the translation of each sentence,
`arabic_counted.json` the forms of what is counted in them."""

import json
from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent


def switch() -> None:
    """Build the switch inside a `gr.Blocks`; the page opens in Arabic if that is the browser's language."""
    gr.HTML(
        html_template='<button type="button" class="language">العربية</button>',
        css_template=(
            ".language { padding: 5px 12px; "
            "border: 1px solid var(--border-color-primary); border-radius: 10px; cursor: pointer; font-size: 0.88rem; "
            "color: var(--body-text-color); background: var(--background-fill-primary); }"
        ),
        js_on_load="".join((HERE / name).read_text(encoding="utf-8") for name in ("translation.js", "language.js")),
        apply_default_css=False,
        elem_id="language",
        arabic=json.loads((HERE / "arabic.json").read_text(encoding="utf-8")),
        counted=json.loads((HERE / "arabic_counted.json").read_text(encoding="utf-8")),
    )
