"""The zoo's tabs in the Space: the only modules of the package that know Gradio.

Gradio is imported here, which takes less time without the type stubs for editors that it would write next to its
own source. It parses the source of each component for them, and skips one that comes from no file.
"""

import inspect
from unittest import mock

with mock.patch.object(inspect, "getfile", side_effect=OSError):
    import gradio as gr

__all__ = ["gr"]
