"""The gate: every external call passes through it, from the page, the API or MCP.

It establishes the caller (`callers`), takes only files that this caller uploaded (`uploads`), applies limits
(`limits`; `traffic` and `connections` bound what open requests hold), checks the types of the arguments, and turns
whatever goes wrong into one sentence (`endpoints`). Nothing
here knows how a call arrives: `zoo.tabs.space` is the way in for Gradio and `zoo.tabs.agents` the one for MCP.
"""

from zoo.gate.callers import Caller, caller, entered, listening, sign_out
from zoo.gate.endpoints import Endpoint, endpoint, sentence
from zoo.gate.uploads import Upload

__all__ = ["Caller", "Endpoint", "Upload", "caller", "endpoint", "entered", "listening", "sentence", "sign_out"]
