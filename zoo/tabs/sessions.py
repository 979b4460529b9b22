"""What Gradio keeps of each session of a visitor: what was chosen, and no configuration of the page."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gradio.state_holder import SessionState

if TYPE_CHECKING:
    from gradio.blocks import Blocks
    from gradio.queueing import Queue

_begin = SessionState.__init__


def _begun(session: SessionState, blocks: "Blocks") -> None:
    """Begin a session without a copy of the configuration; functions and components are those of the page."""
    _begin(session, SimpleNamespace(default_config=blocks.default_config, blocks={}))


def _unchanged(session: SessionState, *of_component: Any) -> None:
    """Keep no configuration of a component whose value has changed."""


def kept_small(queue: "Queue") -> None:
    """Let each session begin within microseconds, and no summary be made of all calls after each one.

    For its own links to a session, which are closed here, Gradio writes down every component of the page when a
    session begins, in the event loop, and a program's call is a session of its own. The summaries are for a page of
    Gradio that is closed too.
    """
    SessionState.__init__ = _begun
    SessionState._update_config = SessionState._update_value_in_config = _unchanged
    queue.ANAYLTICS_CACHE_FREQUENCY = 2**63
