"""A Space starts, however busy its machine is."""

import contextlib
import itertools
import threading
import time

import pytest
from gradio.exceptions import ServerFailedToStartError

from zoo.tabs.space import started


@pytest.mark.parametrize("starts", [True, False])
def test_a_server_that_starts_slowly_is_waited_for_and_one_that_ends_is_not(monkeypatch, starts):
    """Whatever the time of day says meanwhile."""

    class Slow:
        started, reloader = False, None

        def run(self) -> None:
            ended.wait(0.2)
            self.started = starts
            ended.wait(5 * starts)

    ended, days, server = threading.Event(), itertools.count(step=86400.0), Slow()
    monkeypatch.setattr(time, "time", lambda: next(days))
    with contextlib.nullcontext() if starts else pytest.raises(ServerFailedToStartError):
        started(server)
    assert server.started is starts
    ended.set()
