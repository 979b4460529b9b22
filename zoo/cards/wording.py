"""Formatting in cards: percentages, sizes, labels of both scripts, tables, and the Hub's names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.published import CONTROLS

TASK = "image-classification"
METRICS = {"accuracy": "accuracy", "macro_f1": "f1"}  # ours -> the Hub's name of the metric's family
METRIC_TITLES = {"accuracy": "Accuracy", "macro_f1": "Macro F1"}


def in_line(label: str) -> str:
    """Return a label for Latin text, with marks so that numbers after an Arabic letter keep their position."""
    return label if label.isascii() else f"\u200e{label}\u200e"


def plain(value: Any) -> Any:
    """Return a value whose texts, wherever they are, are single lines without markup of their own, for a card.

    Whoever gave a label, a title or the name of a processor could move the cells of a table otherwise, or write the
    card on.
    """
    if isinstance(value, str):
        return re.sub(r"[\\`*<>\[\]|]", r"\\\g<0>", CONTROLS.sub(" ", value))
    if isinstance(value, Mapping):
        return {plain(key): plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def code(text: str) -> str:
    """Return a name or a number as code."""
    return "`" + re.sub(r"[^\w.+…-]", "", text) + "`"


def dataset_link(hub_id: str) -> str:
    """Return the address of a dataset on the Hub's site, from a card there."""
    return f"/datasets/{hub_id}"


def percent(fraction: float) -> str:
    """Return a fraction in [0, 1] as a percentage."""
    return f"{100 * fraction:.2f}%"


def kilobytes(size: int) -> str:
    """Return a number of bytes as kB or MB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> str:
    """Return a Markdown table; `alignment` is "l" or "r" for every column."""
    rules = {"l": "---", "r": "---:"}
    lines = [titles, [rules[side] for side in alignment], *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("\n", " ") for line in lines)


def as_yaml(value: object, width: int = 80) -> str:
    """Return plain types as YAML, keys in their order."""
    import yaml  # of the extra `board`: whoever only reads pictures writes no cards

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=width)
    return text
