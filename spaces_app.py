"""The Hugging Face Space: `python spaces_app.py` serves it on port 7860 (GRADIO_SERVER_NAME, GRADIO_SERVER_PORT)."""

from collections.abc import Mapping
from functools import partial

from leaderboard import service
from leaderboard.for_agents import resources
from leaderboard.submissions import taking
from leaderboard.submissions.store import open_store
from leaderboard.tabs import board, model_page, models, submit
from leaderboard.tabs.board_frame import Live, measured
from leaderboard.tabs.deep_links import Places, connect
from zoo import settings
from zoo.rest.observing import write_log
from zoo.serving import by_script
from zoo.tabs import choice, draw, gr, language, local, read, theme
from zoo.tabs.space import Space
from zoo.types import Values

MASTHEAD = """<header class="masthead"><h1>Handwriting Zoo</h1>
<p>Small networks that read handwriting, side by side: draw for them, then see how they were measured.</p></header>"""


def asked(tab: str, question: gr.HTML, answer: gr.HTML) -> Places:
    """Return the places `?tab=draw&model=…` and `?tab=draw&script=…`: a tab with what is asked for chosen in it."""

    def place(parts: Mapping[str, str]) -> Values:
        if parts.get("model") in choice.known():
            return {question: {"script": None, "models": [parts["model"]]}}
        if parts.get("script") in by_script.scripts():
            return {question: {"script": parts["script"], "models": []}}
        return {}

    return Places(tab, lambda parts: parts.get("tab") == tab, place, [question], [answer])


with Space(title="Handwriting Zoo", analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
    gr.HTML(MASTHEAD, apply_default_css=False)
    language.switch()
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
        with gr.Tab("Draw", id="draw"):
            on_pad = draw.tab(measured, local.settings())
        with gr.Tab("Read", id="read"):
            in_photos = read.tab(measured)
        with gr.Tab("Leaderboard", id="leaderboard"):
            on_board = board.tab()
        with gr.Tab("Models", id="models"):
            of_models = models.tab()
        with gr.Tab("Submit", id="submit"):
            submissions = submit.tab()
    places = asked("draw", *on_pad), asked("read", *in_photos)
    connect(demo, tabs, *places, of_models, on_board, submissions)

if __name__ == "__main__":
    if settings.value("ZOO_LOG"):
        write_log(settings.value("ZOO_LOG"))
    submit.attend()
    sent = partial(taking.network, store=open_store(visitors=True))
    demo.launch(
        networks=local.Networks(model_page.scores, sent, taking.version),
        rest=service.application(),
        resources=resources(Live()),
        theme=theme.theme(),
        css_paths=[theme.STYLE, board.STYLE, submit.STYLE],
        footer_links=["api"],
        max_file_size="52mb",
        ssr_mode=False,
        state_session_capacity=1000,  # visitors whose choices are remembered; each takes 0.06 MB
    )
