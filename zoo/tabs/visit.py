"""Links of pages that the Space follows without reloading."""

import json
from pathlib import Path
from urllib.parse import urlencode

from markupsafe import Markup, escape

VISIT = Path(__file__).with_name("visit.js").read_text(encoding="utf-8")  # triggers `visit` with the parts of a link


def visit(model: str) -> Markup:
    """Return the attributes of a link to the page of a model, as HTML."""
    parts = {"tab": "models", "model": model}
    return Markup(f'href="{escape("?" + urlencode(parts))}" data-visit="{escape(json.dumps(parts))}"')
