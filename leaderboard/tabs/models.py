"""The *Models* tab: a list of the models, and a page with a report for each."""

from collections.abc import Mapping

import gradio as gr

import zoo
from leaderboard.tabs import model_page
from leaderboard.tabs.board_frame import Live
from leaderboard.tabs.deep_links import QUIET, Places, page_of_links
from zoo.settings import PRETRAINED
from zoo.types import Values


def tab() -> Places:
    """Build the tab inside a `gr.Blocks` from the current records."""
    frame = Live()
    made, index = frame.kept(model_page.page), frame.kept(model_page.index)
    choice = gr.Dropdown(frame.recorded(), value=None, label="Model", elem_id="models-choice")
    page = page_of_links(index(), "models-page")
    with gr.Accordion("Its card", open=False, visible=False) as card:
        text = gr.Markdown()

    def show(name: str | None) -> Values:
        if name is None:
            return {page: index(), card: gr.Accordion(visible=False), text: ""}
        published = PRETRAINED / name if name in zoo.list_models() else None
        said = model_page.card(published)
        return {page: made(name), card: gr.Accordion(visible=bool(said)), text: said}

    def place(parts: Mapping[str, str]) -> Values:
        name = parts.get("model")
        return {choice: name if name in frame.recorded() else None, **show(name)}

    def holds(parts: Mapping[str, str]) -> bool:
        tab = parts.get("tab")
        return tab == "models" or (tab == "leaderboard" and "model" in parts)  # the earlier address of a model's page

    choice.input(show, choice, [page, card, text], **QUIET)

    def fresh() -> Values:
        return {choice: gr.update(choices=frame.recorded()), page: index()}

    return Places("models", holds, place, [choice, page, card, text], [page], frame.since_start(fresh))
