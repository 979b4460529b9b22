"""Small HTML elements for all pages of records. Values from a record are escaped here."""

import base64
import html
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode

import cv2
import numpy as np

from leaderboard import table

VISIT = Path(__file__).with_name("visit.js").read_text(encoding="utf-8")  # turns links of pages into links of the Space
esc = html.escape


def address(**parts: str) -> str:
    """Return the deep link to a place, for example `address(model="lenet5.mnist")`; see `_place`."""
    return "?" + urlencode(_place(parts))


def _place(parts: dict[str, str]) -> dict[str, str]:
    """Return the parts of an address with the tab that it is in: a model's page, or else the board."""
    return {"tab": "models" if "model" in parts else "leaderboard", **parts}


def link(inner: str, css: str = "", style: str = "", **parts: str) -> str:
    """Return a link to a place, which the page follows without reloading.

    Args:
        inner: HTML.
        css: class of the link.
        style: inline style.
        parts: of the address; the `visit` event sends them to the server.
    """
    extra = f' class="{css}"' * bool(css) + f' style="{style}"' * bool(style)
    return f'<a href="{esc(address(**parts))}" data-visit="{esc(json.dumps(_place(parts)))}"{extra}>{inner}</a>'


def name(model: str) -> str:
    """Return a model's name with its dataset in a muted style."""
    network, dot, dataset = model.rpartition(".")
    return f"{esc(network)}<span>{esc(dot + dataset)}</span>"


def model_link(model: str) -> str:
    """Return a link to a model's page."""
    return link(name(model), css="model", model=model)


def written(column: str, value: object) -> str:
    """Return a value of the frame formatted as HTML; "" for a missing value."""
    if value is None or value != value:  # NaN
        return ""
    return esc(table.BY_NAME[column].write(value))


def badge(status: str) -> str:
    """Return a badge for a row that is not verified."""
    return "" if status == table.VERIFIED else f'<small class="badge {esc(status)}">{esc(status)}</small>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of facts; the values are HTML."""
    return "<dl>" + "".join(f"<div><dt>{esc(key)}</dt><dd>{value}</dd></div>" for key, value in pairs) + "</dl>"


def grid(header: Iterable[str], rows: Iterable[Iterable[str]], css: str = "") -> str:
    """Return a plain table; the cells are HTML, the first of a row is its header."""
    head = "".join(f'<th scope="col">{esc(title)}</th>' for title in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows
    )
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table class="grid {css}">{inner}</table></div>'


def picture(image: np.ndarray, alt: str) -> str:
    """Return an <img> of uint8 (H, W), or (H, W, 4) for blue, green, red and opacity."""
    png = base64.b64encode(cv2.imencode(".png", image)[1]).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{png}" alt="{esc(alt)}" width="{image.shape[1]}" height="{image.shape[0]}">'
    )


def message(text: str) -> str:
    """Return a message in place of a page that cannot be shown."""
    return f'<div class="notice" role="status"><p>{esc(text)}</p></div>'
