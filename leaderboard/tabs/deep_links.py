"""Deep links: addresses and links that open a tab of the Space at a given place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from zoo.tabs.visit import VISIT
from zoo.types import Values

QUIET = {"show_progress": "hidden", "api_visibility": "private"}  # options of events that only update the layout


@dataclass(frozen=True)
class Places:
    """The places of one tab that an address can open.

    tab: the id of its `gr.Tab`.
    holds: parts of an address, such as {"tab": "models", "model": "lenet5.mnist"} -> whether it belongs to this tab.
    place: the same -> the updates of the components.
    targets: those components.
    pages: pages with links to places, of this tab or another.
    """

    tab: str
    holds: Callable[[Mapping[str, str]], bool]
    place: Callable[[Mapping[str, str]], Values]
    targets: Sequence[gr.components.Component]
    pages: Sequence[gr.HTML]
    fresh: Callable[[], Values] = dict  # updates of components since they were built


def connect(demo: gr.Blocks, tabs: gr.Tabs, *tabs_of_pages: Places) -> None:
    """Make the Space open at the place in its address, and make links of pages work.

    Args:
        demo: the Space.
        tabs: all its tabs.
        tabs_of_pages: the first that holds a place opens it.
    """
    targets = [tabs, *(target for places in tabs_of_pages for target in places.targets)]

    def lead(parts: Mapping[str, str]) -> Values:
        for places in tabs_of_pages:
            if places.holds(parts):
                return {tabs: gr.Tabs(selected=places.tab), **places.place(parts)}
        return {tabs: gr.skip()}

    def open_page(request: gr.Request) -> Values:
        updates = {component: said for places in tabs_of_pages for component, said in places.fresh().items()}
        for component, value in lead(dict(request.query_params)).items():
            if isinstance(updates.get(component), dict):  # new choices, and the one that the address names
                updates[component]["value"] = value
            else:
                updates[component] = value
        return updates

    def visit(event: gr.EventData) -> Values:
        return lead(parts_of(event))

    demo.load(open_page, None, targets, **QUIET)
    for page in (page for places in tabs_of_pages for page in places.pages):
        page.visit(visit, None, targets, **QUIET)


def parts_of(event: gr.EventData) -> dict[str, str]:
    """Return the parts of a link as texts by name, and drop anything else that a client sent."""
    data = event._data if isinstance(event._data, dict) else {}
    return {key: value for key, value in data.items() if isinstance(value, str)}


def page_of_links(value: str, elem_id: str) -> gr.HTML:
    """Return a page whose links trigger the events `visit` and `order`."""
    return gr.HTML(value, js_on_load=VISIT, apply_default_css=False, elem_id=elem_id)
