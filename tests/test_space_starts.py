"""A Space starts, however busy its machine is."""

import contextlib
import itertools
import threading
import time
from types import SimpleNamespace

import pytest
from gradio.exceptions import ServerFailedToStartError

from zoo.tabs.space import started

ON_HUB = {"SYSTEM": "spaces", "SPACE_ID": "me/zoo"}


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


@pytest.mark.parametrize("settings", [{}, {"GRADIO_WATCH_DIRS": "x"}, {"SPACE_ID": "me/zoo"}, ON_HUB])
def test_on_a_space_of_the_hub_nothing_watches_the_code(monkeypatch, settings):
    """Gradio would start a thread there that ends in a traceback, since it takes a package that nothing else needs."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    watched, server = [], SimpleNamespace(run=lambda: None, started=True, reloader=object())
    server.watch = lambda: watched.append(1)
    started(server)
    assert watched == ([] if settings == ON_HUB else [1])
    assert bool(server.reloader) is (settings != ON_HUB)
