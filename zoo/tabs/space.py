"""The way in for Gradio: `Space` is a `gr.Blocks` whose every function is called through the gate.

with Space(title="…") as demo:
    api(read)  # an `Endpoint`: by `/read`, and as an MCP tool
demo.launch()
"""

import contextlib
import functools
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from gradio import http_server, routes
from gradio.blocks import BlockFunction
from gradio.components import download_button, file, upload_button
from gradio.exceptions import ServerFailedToStartError
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from zoo import gate
from zoo.errors import ZooError
from zoo.gate import limits
from zoo.gate.agent_resources import Resource
from zoo.gate.callers import on_space
from zoo.gate.connections import guard, trust_no_proxy
from zoo.gate.endpoints import LONGEST, check_values, walk
from zoo.gate.threads import share_threads
from zoo.gate.uploads import UPLOADS
from zoo.rest.application import Api
from zoo.rest.observing import Observed
from zoo.serving import apart
from zoo.tabs import signing_in
from zoo.tabs.agents import Agents
from zoo.tabs.door import Door, refused
from zoo.tabs.sessions import kept_small
from zoo.tabs.unread import bounded
from zoo.types import Facts

log = logging.getLogger(__name__)

# For each file that a function takes, Gradio makes an empty one among the uploads, which no limit counts and nothing
# deletes. It only takes the name of the file that came.
for module in (download_button, file, upload_button):
    module.tempfile = SimpleNamespace(NamedTemporaryFile=lambda **options: SimpleNamespace())

# What is said of the API has the host of a request in its examples. Gradio kept those of the first one for everybody.
_INFO: ContextVar[Any] = ContextVar("what is said of the API within a request", default=None)
routes.App.api_info = property(lambda app: _INFO.get(), lambda app, info: _INFO.set(info) and None)

MOST_WAITING = 500  # calls in the queue; more are refused at once
PLACES = 16  # calls of one function that run at the same time: nine addresses leave one to the tenth
WRITING = "writing"  # calls that write share `PLACES`, since they may wait long for the Hub
OF_PAGES = 4  # calls that only change what a page shows, of all functions: more would wait for the interpreter
MOST_RUNNING = 120  # calls of all functions that run at the same time


def api(endpoint: gate.Endpoint, concurrency_limit: int = PLACES) -> None:
    """Add an endpoint to the `Space` that is being built: by its name in the API, and as an MCP tool.

    Args:
        endpoint: a function behind the gate.
        concurrency_limit: calls that run at the same time.
    """
    names = list(endpoint.parameters)

    @functools.wraps(endpoint.function)
    def call(*values: object) -> object:
        return endpoint(dict(zip(names, values, strict=True)))

    call.endpoint = endpoint  # type: ignore[attr-defined]  # a mark on a function
    del call.__wrapped__  # Gradio reads types from its wrapper: what clients send, not what the function gets
    call.__annotations__ = {name: one.annotation for name, one in endpoint.signature.parameters.items()}
    call.__signature__ = endpoint.signature  # type: ignore[attr-defined]  # what `inspect` reads
    gr.api(
        call,
        api_name=endpoint.name,
        api_description=endpoint.description,
        concurrency_limit=concurrency_limit,
        concurrency_id=WRITING if endpoint.writes else None,
    )


class Space(gr.Blocks):
    """Blocks behind the gate: see `zoo.gate`. Nothing has to be done for that where a tab adds a function."""

    def __exit__(self, *exception: Any) -> None:
        """Hide every function that is no endpoint: a page calls it, a program does not.

        Those without places of their own share `OF_PAGES`, whatever the page that has them.
        """
        for fn in self.fns.values():
            if not hasattr(fn.fn, "endpoint"):
                fn.api_visibility = "private"
                if fn.concurrency_limit == "default":
                    fn.concurrency_id = "pages"
        super().__exit__(*exception)

    @property
    def endpoints(self) -> dict[str, gate.Endpoint]:
        """The endpoints by name."""
        return {str(fn.api_name): fn.fn.endpoint for fn in self.fns.values() if hasattr(fn.fn, "endpoint")}

    @property
    def tools(self) -> dict[str, gate.Endpoint]:
        """The endpoints by the names of their MCP tools; on a Space of the Hub its own name stands in front."""
        prefix = re.sub(r"\W", "_", os.environ["SPACE_ID"].rpartition("/")[2]) + "_" if on_space() else ""
        return {prefix + name: one for name, one in self.endpoints.items()}

    async def process_api(
        self,
        block_fn: BlockFunction | int,
        inputs: list[Any],
        state: SessionState | None = None,
        request: Any = None,
        **more: Any,
    ) -> Any:
        """Call a function for a client, through the gate; Gradio comes here from every route, the queue included."""
        try:
            event = self._queue.event_ids_to_events.get(str(more.get("event_id")))
            with gate.entered(_caller(request), lambda: event is None or event.alive) as caller:
                limits.check_call(caller)
                check_values(inputs)
                _check_count(self.fns[block_fn] if isinstance(block_fn, int) else block_fn, inputs, more)
                answer: dict[str, Any] = await super().process_api(block_fn, inputs, state, request, **more)
                UPLOADS.note(_offered(answer.get("data")), caller)
                return answer
        except gr.Error as error:
            error.print_exception = False  # a visitor's mistake, whose values are not for the log
            raise
        except Exception as error:
            raise gr.Error(gate.sentence(error), print_exception=False) from None
        finally:
            if state is not None:
                state.config_values.clear()  # the last values of all components, for Gradio's own links to a session
            if more.get("session_hash") == more.get("event_id"):  # of a program: nobody comes back to this session
                for kept in (self.state_holder.session_data, self.state_holder.time_last_used):
                    kept.pop(str(more.get("session_hash")), None)

    async def preprocess_data(self, block_fn: BlockFunction, inputs: list[Any], *rest: Any, **more: Any) -> Any:
        """Bring values into the types that a function of the page expects; others get a sentence."""
        for component, value in zip(block_fn.inputs, inputs, strict=False):
            if isinstance(component, gr.Textbox) and isinstance(value, str) and len(value) > LONGEST:
                raise ZooError(f"A text here has at most {LONGEST:,} characters; this one has {len(value):,}.")
        try:
            for component, value in zip(block_fn.inputs, inputs, strict=True):
                if isinstance(component, gr.Dropdown) and not component.multiselect and isinstance(value, list):
                    raise TypeError("several choices")  # Gradio passes an empty list on
                # Gradio checks that each choice is one of those that there are, so no list is longer than these.
                if hasattr(component, "choices") and isinstance(value, list) and len(set(value)) < len(value):
                    raise TypeError("a choice twice")
            return await super().preprocess_data(block_fn, inputs, *rest, **more)
        except Exception as error:
            if isinstance(error, gr.Error) and not str(error.message).startswith("Value:"):  # which repeats the value
                raise
            log.info("%s was called with other values: %s", block_fn.api_name, type(error).__name__)
            raise ZooError("The page does not send such values: reload it, or call an endpoint.") from None

    def launch(
        self,
        *args: Any,
        networks: ASGIApp | None = None,
        rest: Api | None = None,
        resources: Callable[[], Iterable[Resource]] = tuple,
        **options: Any,
    ) -> Any:
        """Serve it as `gr.Blocks.launch` does, with the door in front and the endpoints as MCP tools.

        Args:
            args: of `gr.Blocks.launch`.
            networks: answers at /networks/ with what a page needs to run a network by itself.
            rest: the REST API, which is served next to the page.
            resources: returns what agents may read.
            options: of `gr.Blocks.launch`.
        """
        agents = Agents(self.tools, str(self.title), resources)

        @contextlib.asynccontextmanager
        async def lifespan(app: object) -> AsyncIterator[None]:
            share_threads()
            async with agents.running(), contextlib.AsyncExitStack() as stack:
                stack.enter_context(apart.decoding_files())
                if rest is not None:
                    await stack.enter_async_context(rest.running())
                yield

        trust_no_proxy()
        self.queue(max_size=MOST_WAITING, default_concurrency_limit=OF_PAGES)
        bounded(self._queue)
        kept_small(self._queue)
        UPLOADS.keep_in(Path(get_upload_folder()))
        UPLOADS.note(_offered(self.get_config_file()), None)
        self.mcp_server = True  # the page's API documentation names the tools
        application = {
            "middleware": [
                Middleware(Observed),
                Middleware(Door, blocks=self, agents=agents, networks=networks, api=rest),
            ],
            "lifespan": lifespan,
            "exception_handlers": {RequestValidationError: _invalid},
        }
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._stop)
        wait = not options.pop("prevent_thread_lock", False) and not sys.flags.interactive
        options |= {"prevent_thread_lock": True, "mcp_server": False, "_frontend": False, "max_threads": MOST_RUNNING}
        # Without `_frontend`, Gradio does not ask its own page within 3 s and end where a busy machine answers later.
        http_server.Server.run_in_thread = started
        if on_space() and os.environ.get("OAUTH_CLIENT_ID"):
            signing_in.load_certificates_once()
            signing_in.log_no_addresses()
        launched = super().launch(*args, app_kwargs=application, **options)
        guard(self.server.config)
        if wait:
            self.block_thread()
        return launched

    def _stop(self, *_: Any) -> None:
        """Answer the calls that run, then let the signal end the process as if nobody had waited for it."""
        self.close(verbose=False)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def started(server: http_server.Server) -> None:
    """Run Gradio's server in a thread, and return when it answers, however long a busy machine takes.

    Gradio itself waits for 5 s by the time of day, then starts the same application once more on another port; that
    fails, and the Space answers nowhere.

    Raises:
        ServerFailedToStartError: it ended, as where its port is taken.
    """
    server.thread = threading.Thread(target=server.run, daemon=True)
    if on_space():
        server.reloader = None  # its code never changes there, and watching it takes a package that is not installed
    if server.reloader:
        server.watch_thread = threading.Thread(target=server.watch, daemon=True)
        server.watch_thread.start()
    server.thread.start()
    while not server.started:
        server.thread.join(0.01)
        if not server.thread.is_alive() and not server.started:
            raise ServerFailedToStartError("The server did not start: its port may be taken.")


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer a request whose parameters are missing or of another type."""
    first = error.errors()[0]
    return refused(ZooError(f"{first['loc'][-1]}: {first['msg']}."), 422)


def _caller(request: gr.Request | None) -> gate.Caller:
    """Return who sent a request."""
    scope: Facts = getattr(getattr(request, "request", None), "scope", None) or {}
    return gate.Caller.of(scope)


def _offered(value: object) -> Iterator[str]:
    """Yield the paths of files that the page offers: those in what a function returned, or in the page as it starts."""
    for item, _ in walk(value):
        if isinstance(item, Mapping) and isinstance(path := item.get("path"), str):
            yield path


def _check_count(block_fn: BlockFunction, inputs: object, more: Facts) -> None:
    """Raise gr.Error where there are too few or too many values."""
    if more.get("iterator") is not None:
        return
    wanted = len(block_fn.inputs)
    if not isinstance(inputs, list) or len(inputs) != wanted:
        endpoint = getattr(block_fn.fn, "endpoint", None)
        names = f" ({', '.join(endpoint.parameters)})" if endpoint and wanted else ""
        count = len(inputs) if isinstance(inputs, list) else "no list"
        raise gr.Error(f'"data" must be a list of {wanted} values{names}; got {count}.', print_exception=False)
