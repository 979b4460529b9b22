"""Connections that send no request, or a header without end, are ended, one address opens only so many, and addresses
take turns: a part of the server, uvicorn.

Applications see a connection only when it has sent a whole request, so these limits are set where it arrives.
"""

import asyncio
import logging
import math
import os
import re
import resource
from collections import defaultdict, deque
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zoo.gate import limits
from zoo.gate.callers import Caller, network_of, on_space, own_cookies
from zoo.gate.loop_turns import turns
from zoo.types import Facts

# What is read of a header. Gradio repeats all of it in the answer to a range, and compresses files in the event loop;
# nobody needs ranges or compressed files.
READ_OF_IT = re.compile(
    rb"accept|authorization|content-(length|type)|cookie|host|if-(modified-since|none-match)|last-event-id|mcp-[\w-]+"
    rb"|origin|referer|sec-fetch-site|user-agent|x-hf-authorization|access-control-request-\w+|x-forwarded-[\w-]+"
)
IDLE = 20.0  # seconds in which a connection must have sent a whole header, after it was opened or answered
HEADER = 16_384  # bytes of a header, with its address; each part of it is looked at several times
READ = 262_144  # bytes that one read of the network brings at most
ADDRESS = 4096  # bytes of a request's address; the longest path of a file in UTF-8 takes a quarter
ESCAPED = 1024  # percent signs in it: each takes time whenever it is decoded
QUERY, PARTS = 2048, 50  # bytes of what an address asks for, and how many values
FIELD = 4096  # bytes of a field of a header that is read, but a cookie: those of other programs come too
AROUND = 0.25  # of the bytes of a body: the lengths of its chunks; those of clients take a thousandth
PIPELINE = 16  # requests of a connection that wait for the answer to the one before; browsers send none like that
FIELDS = 200  # fields of a header; browsers send some 20
EACH = 400  # connections of one address; not counted of a proxy that the server trusts, and on a Space of the Hub
IN_ALL = 8000  # connections; each is an open file, and they may be half of the files that a process opens

_OPEN: dict[str, set["Guarded"]] = defaultdict(set)  # by address


def guard(config: Any) -> None:
    """Limit the connections of a server of uvicorn, by its `Config`, also of one that runs: those to come.

    The process may open as many files from then on as it needs for them, if the system lets it.
    """
    config.http_protocol_class = Guarded
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * IN_ALL if most == resource.RLIM_INFINITY else min(2 * IN_ALL, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, wanted), most))


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's log says more than that somebody sent nonsense, which anybody may without end."""
    return record.msg != "Invalid HTTP request received."


def trust_no_proxy() -> None:
    """Let no header name another client than the one that connects: clients could write it themselves, by loopback too.

    Whoever has a proxy in front names it in FORWARDED_ALLOW_IPS, which is left as it is.
    """
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")


def _in_all() -> int:
    return min(IN_ALL, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class Guarded(HttpToolsProtocol):
    """The protocol of uvicorn, with limits for connections and headers, and with turns of addresses.

    What arrives is parsed when it is its address's turn, and until then the connection is read no further; each request
    begins in a turn, too. The connections of an address that sends too much are paused.
    An error that is raised while a header is parsed becomes an answer with status 400, and ends the connection.
    """

    _header = 0.0  # bytes that arrived of a header, or around the chunks of a body and after them
    _trailing = False  # whether what comes as a field stands behind the body
    _timer: asyncio.TimerHandle | None = None
    _network: str | None = None
    _unsent = math.inf  # bytes that the client had not accepted when it was last looked at
    _answering: Any = None  # the request that is answered now
    _last = False  # whether a request has come that is the last one of the connection

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._proxies = ProxyHeadersMiddleware(self.app, self.config.forwarded_allow_ips or "").trusted_hosts
        self._unread = deque[bytes]()  # what has arrived and waits for a turn
        self.ws_protocol_class = None  # nothing here speaks WebSocket

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing where somebody asks for an upgrade."""

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or end it where there are too many."""
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        network = "" if on_space() or not peer or peer in self._proxies else network_of(peer)
        own = len(_OPEN[network]) if network in _OPEN else 0
        full = len(self.connections) > _in_all() and not _gave_way(own)
        if full or (network and own >= EACH):
            transport.abort()
            return
        self._network = network
        _OPEN[network].add(self)
        self._watch()
        if network:
            self._count(Caller(peer))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection no more."""
        if self._timer:
            self._timer.cancel()
        if self._network is not None:
            _OPEN[self._network].discard(self)
            if not _OPEN[self._network]:
                del _OPEN[self._network]
            self._network = None
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True  # uvicorn tells the last request that came, which may only wait
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived in the next turn of its address, and read no more until then.

        The address of what a proxy sends is known when it is parsed.
        """
        self._unset_keepalive_if_required()
        self._unread.append(data)
        if len(self._unread) == 1 and self._network:
            turns().take(self._network, self._parse)
        elif len(self._unread) == 1:
            self._parse()
        if self._unread:
            self.flow.pause_reading()

    def _parse(self) -> None:
        """Parse what arrived; end the connection where a header or a trailer grows too long, which the parser copies at
        each read, or where a body comes in tiny chunks, each of which costs a call.

        What follows a request to upgrade, or CONNECT, is not looked at: the parser would drop the rest of this read and
        take the next one for a request, even where it is the body, so that a proxy and we would count differently.
        """
        data = self._unread.popleft()
        if self.transport.is_closing():
            return
        if self._unread:
            turns().take(self._network or "", self._parse)
        else:
            self.flow.resume_reading()
        if not self._last:
            super().data_received(data)
        self._header += len(data)
        if self._header > HEADER:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Expect the header of a request."""
        if len(self.pipeline) >= PIPELINE:
            raise ValueError("too many requests at once")
        super().on_message_begin()
        self._trailing = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of a header; one of the trailer of a body is dropped unread, since it could say all that the
        header was checked for."""
        if self._trailing:
            return
        if len(self.headers) >= FIELDS:
            raise ValueError("too many fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._trailing = True
        self._header = -READ  # the rest of this read is of the body, or counted at the next one
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEADER:
            raise ValueError("too long a header")
        self._last = self.parser.should_upgrade()
        bodies = {b"content-length", b"transfer-encoding"}
        has_body = any(name in bodies and value != b"0" for name, value in self.headers)
        if self._last and has_body:
            raise ValueError("a request to upgrade with a body, which the parser would take for a request")
        if [value.lower() for name, value in self.headers if name == b"transfer-encoding"] not in ([], [b"chunked"]):
            raise ValueError("a transfer encoding that a proxy may read in another way")
        _check_address(self.url)
        read = [field for field in self.headers if READ_OF_IT.fullmatch(field[0])]
        if any(len(value) > FIELD for name, value in read if name != b"cookie"):
            raise ValueError("too long a field")
        self.headers[:] = own_cookies(read, self.url.partition(b"?")[0].decode("latin-1"))
        super().on_headers_complete()
        if self._last:
            self.cycle.keep_alive = False  # it is answered as an ordinary one, and the connection ends
        if self.pipeline:
            if has_body or self.scope["method"] not in ("GET", "HEAD"):
                raise ValueError("a request with a body before the one before it is answered")
            self.flow.resume_reading()  # else nobody sees when the client leaves

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; a quarter of its length may come around it."""
        self._header = max(self._header - (1 + AROUND) * len(body), -READ)
        super().on_body(body)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Answer a request in the next turn of its address."""

        def begin() -> None:
            if not self.transport.is_closing():
                self._answering = cycle
                super(Guarded, self)._start_asgi_task(cycle, app)

        sender = self._sender(cycle.scope)
        self._count(sender)
        turns().take(sender.network, begin)

    def _sender(self, scope: Facts) -> Caller:
        """Return who sends a request; behind a proxy, whom that names."""
        named = b", ".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
        if named and self.client and self.client[0] in self._proxies:
            scope = {**scope, "client": self._proxies.get_trusted_client_address(named)}
        return Caller.of(scope)

    def _count(self, sender: Caller) -> None:
        """Count a request or a connection of a sender; where there are too many, pause all that they send."""
        try:
            limits.check_any(sender)
        except limits.TooMany as error:
            turns().pause(sender.network, error.seconds)

    def on_message_complete(self) -> None:
        """Expect the next header of a connection, or none: the parser believes a trailer that says so, and drops the
        rest."""
        super().on_message_complete()
        self._header = -READ
        if not self.parser.should_keep_alive():
            self._last = True
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request of a connection."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        self._unsent = math.inf
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(IDLE, self._end_if_idle)

    def _end_if_idle(self) -> None:
        unsent, before = self.transport.get_write_buffer_size(), self._unsent
        if self.idle and 0 < unsent < before:  # it still accepts the end of an answer
            self._watch()
            self._unsent = unsent
        elif self.idle:
            self.transport.abort()
        elif self._unread:  # its turn has not come yet
            self._watch()

    @property
    def idle(self) -> bool:
        """Whether no request of the connection waits or is being answered."""
        return not self._unread and (self.cycle is None or self.cycle.response_complete)


def _check_address(address: bytes) -> None:
    """Raise ValueError where what a request asks for would take long to parse."""
    query = address.partition(b"?")[2]
    parts = 1 + query.count(b"&") + query.count(b";")
    if len(address) > ADDRESS or address.count(b"%") > ESCAPED or len(query) > QUERY or parts > PARTS:
        raise ValueError("too long an address")


def _gave_way(own: int) -> bool:
    """End an idle connection of the address that has most, if those are more than another address's `own` with one."""
    most = max(_OPEN.values(), key=len, default=set())
    idle = next((one for one in most if one.idle and not one.transport.is_closing()), None)
    if idle is None or len(most) <= own + 1:
        return False
    idle.transport.abort()
    return True
