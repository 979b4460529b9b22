"""The front door of *Draw* and *Read*: a visitor says what they write, or chooses networks from the full list."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from zoo.errors import ZooError
from zoo.serving import by_script
from zoo.serving.by_script import ANYTHING, PAGES, TITLES, Network
from zoo.templates import Templates
from zoo.types import Json

HERE = Path(__file__).parent
TEMPLATES = Templates(HERE)
LONGEST = 100  # characters of a name that a client sends; no network's is longer
MOST_OWN = 3  # of a visitor's own networks that are asked at first
ASKED_TITLES = {**TITLES, ANYTHING: "Anything"}


@dataclass(frozen=True)
class Measured:
    """What the board says of a network: its accuracy, 0 to 1, and milliseconds an image; None where unknown."""

    accuracy: float | None = None
    milliseconds: float | None = None


Board = Callable[[], Mapping[str, Measured]]  # by the names of the networks


@dataclass(frozen=True)
class Asked:
    """What a visitor asks for.

    script: what they write, as `zoo.serving.by_script` names it; "" where they chose networks.
    models: the networks that answer.
    """

    script: str
    models: tuple[str, ...]

    @classmethod
    def of(cls, said: object) -> "Asked":
        """Read {"script", "models"} as the page sends it; None is what the page starts with.

        Raises:
            ZooError: another form, no such script, or no network.
        """
        chosen = first() if said is None else said
        if not isinstance(chosen, Mapping):
            raise ZooError('A choice is {"script": "digits"} or {"models": ["lenet5.mnist"]}; this is something else.')
        models, script = chosen.get("models"), chosen.get("script")
        if isinstance(models, (list, tuple)) and models:
            return cls("", tuple(str(name)[:LONGEST] for name in models))
        if not script:
            raise ZooError("Choose at least one network to read this.")
        name = str(script)[:LONGEST]
        return cls(name, by_script.best(name))


def first() -> Json:
    """Return what the page starts with: the visitor's own networks of glyphs, where they have some, else anything."""
    own = [one.model for one in _glyph_networks() if one.own]
    return {"script": None if own else ANYTHING, "models": own[:MOST_OWN]}


def glyph_models() -> list[str]:
    """Return the networks of single glyphs by script, the best first; networks of pages are in the *Read* tab."""
    return [one.model for one in _glyph_networks()]


def _glyph_networks() -> list[Network]:
    return [one for script, of_it in by_script.networks().items() if script != PAGES for one in of_it]


def known() -> set[str]:
    """Return the names of all networks that can be chosen."""
    return {one.model for of_it in by_script.networks().values() for one in of_it}


def question(place: str, board: Board = dict, pages: bool = False) -> gr.HTML:
    """Build the question inside a `gr.Blocks`; its value is what `Asked.of` reads, and its event `input`.

    Args:
        place: the tab, which names the element: "draw" becomes #draw-choice.
        board: what was measured of the networks.
        pages: whether networks of whole pages are in the list.
    """
    chosen = first()
    scripts = [(script, ASKED_TITLES[script], by_script.best(script)) for script in by_script.scripts()]
    measured = board()
    groups = [
        (script, TITLES[script], _rows(of_it, measured))
        for script, of_it in by_script.networks().items()
        if pages or script != PAGES
    ]
    return gr.HTML(
        chosen,
        html_template=str(TEMPLATES("choice.form", place, scripts, chosen, groups)),
        css_template=(HERE / "choice.css").read_text(encoding="utf-8"),
        js_on_load=(HERE / "choice.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=f"{place}-choice",
    )


def _rows(networks: Sequence[Network], board: Mapping[str, Measured]) -> list[Json]:
    """Return the rows of one script, the most accurate first: on the test set, else on validation."""

    def accuracy(one: Network) -> float:
        measured = board.get(one.model, Measured()).accuracy
        return one.accuracy if measured is None else measured

    rows = []
    for one in sorted(networks, key=lambda one: (-accuracy(one), one.parameters)):
        milliseconds = board.get(one.model, Measured()).milliseconds
        rows.append(
            {
                "model": one.model,
                "accuracy": f"{accuracy(one):.1%}",
                "size": f"{one.bytes / 1000:,.0f} kB",
                "time": "–" if milliseconds is None else f"{milliseconds:.2f} ms",
            }
        )
    return rows
