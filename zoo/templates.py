"""HTML from Jinja templates: every value is escaped, except HTML that a template has made."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


class Templates:
    """The templates of one folder. `templates("receipts.queue", rows=[])` calls the macro `queue` of receipts.html."""

    def __init__(self, folder: Path, *known: Callable[..., object]) -> None:
        """Read templates from a folder; `known` are functions that they may call by name, also as filters."""
        self._environment = Environment(
            loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, auto_reload=False,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        names = {function.__name__: function for function in known}
        self._environment.globals.update(names)
        self._environment.filters.update(names)

    def __call__(self, macro: str, *values: object, **named: object) -> Markup:
        """Return the HTML of a macro, "file.name"; a value that the template does not know is an error."""
        file, _, name = macro.partition(".")
        made: Markup = getattr(self._environment.get_template(f"{file}.html").module, name)(*values, **named)
        return made
