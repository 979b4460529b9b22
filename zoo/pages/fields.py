"""Which values the fields of a view may have: whoever wrote them, a page is then seen in bounded time and memory."""

from collections.abc import Mapping

from zoo.errors import ZooError


def check_bounds(view: object, bounds: Mapping[str, range]) -> None:
    """Refuse a view with a field that is not a whole number within its bounds.

    Raises:
        ZooError: there is such a field.
    """
    for field, allowed in bounds.items():
        value = getattr(view, field)
        if type(value) is not int or value not in allowed:
            step = f" in steps of {allowed.step}" if allowed.step > 1 else ""
            raise ZooError(f"A view's {field} is {allowed[0]} to {allowed[-1]}{step}; got {value!r:.40}.")
