"""What the templates of this folder share: addresses, formats, pictures. `html` makes the pages."""

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import cv2
import numpy as np
from markupsafe import Markup, escape

from leaderboard import table
from zoo.data import heading
from zoo.templates import Templates

HERE = Path(__file__).parent


def address(**parts: str) -> str:
    """Return the deep link to a place, for example `address(model="lenet5.mnist")`."""
    return "?" + urlencode(_place(parts))


def place(id: str) -> str:
    """Return the deep link to a submission."""
    return address(tab="submit", submission=id)


def visit(**parts: str) -> str:
    """Return the same place as JSON, which the `visit` event sends to the server."""
    return json.dumps(_place(parts))


def _place(parts: dict[str, str]) -> dict[str, str]:
    """Return the parts of an address with the tab that it is in: a model's page, or else the board."""
    return {"tab": "models" if "model" in parts else "leaderboard", **parts}


def written(value: object, column: str) -> str:
    """Return a value of the frame as its column is formatted; "" for a missing value."""
    if value is None or value != value:  # NaN
        return ""
    return table.BY_NAME[column].write(value)


def described(column: str) -> str:
    """Return what a column of the frame means."""
    return table.BY_NAME[column].description


def percent(share: float, digits: int = 2) -> str:
    """Return a fraction in [0, 1] in percent, without the sign."""
    return f"{100 * share:.{digits}f}"


def thousands(count: int) -> str:
    """Return a count with separators: 12,345."""
    return f"{count:,}"


def minute(date: str) -> str:
    """2026-11-21T03:35:40+00:00 -> 2026-11-21 03:35 UTC."""
    return date[:16].replace("T", " ") + " UTC"


def moment(seconds: float) -> str:
    """Return seconds since 1970 as a date and time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def prose(text: str) -> Markup:
    """Return a sentence as HTML; text between backticks is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def data_uri(image: np.ndarray) -> str:
    """Return the address of a PNG of uint8 (H, W), or (H, W, 4) for blue, green, red and opacity."""
    png = base64.b64encode(cv2.imencode(".png", image)[1]).decode("ascii")
    return f"data:image/png;base64,{png}"


html = Templates(
    HERE, address, visit, written, described, percent, thousands, minute, moment, prose, data_uri, place, heading
)


def message(text: str) -> str:
    """Return a message in place of a page that cannot be shown."""
    return html("elements.message", text)
