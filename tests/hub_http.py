"""How the Hub of `hub_server.py` talks: HTTP/1.1 with ranges and chunks, and the faults that a line may have."""

import json
import re
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

CHUNK = 64 * 1024  # bytes


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong."""

    status: int | None = None  # answered instead of the work being done
    message: str = "injected"
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False  # the connection breaks in the middle of the request's body, or else of the answer's
    lost: bool = False  # the work is done, but the answer never comes
    slow: float = 0.0  # seconds between the chunks of the answer
    corrupt: bool = False  # the answer has as many bytes, but others


@dataclass(frozen=True)
class Request:
    """A line of the log."""

    method: str
    path: str
    authorised: bool
    fault: Fault | None


class HubError(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Cut(Exception):
    """The connection is to break here."""


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value, **headers: str) -> "Answer":
        return cls(json.dumps(value).encode(), headers={"Content-Type": "application/json", **headers})


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address) -> None:
        """A client that went away is no news; anything else is a bug of the server, and told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    hub = None  # the `hub_server.Hub` that is asked

    def log_message(self, *_) -> None:
        """The hub keeps the log."""

    def _serve(self) -> None:
        hub, method = self.hub, "GET" if self.command == "HEAD" else self.command
        path = urlsplit(self.path).path
        authorization = self.headers.get("Authorization")
        fault = hub.fault_for(self.command, path)
        hub.log.append(Request(self.command, path, authorization is not None, fault))
        fault = fault or Fault()
        try:
            body = self._body(fault)
            try:
                if fault.status is not None:
                    raise HubError(fault.status, fault.message)
                answer = hub.answer(method, self.path, body, hub.account(authorization))
            except HubError as error:
                answer = Answer.json({"error": error.message})
                answer.status = error.status
                answer.headers["X-Error-Message"] = error.message
                if error.code:
                    answer.headers["X-Error-Code"] = error.code
            answer.headers |= dict(fault.headers)
            if fault.lost:
                raise Cut
            self._send(answer, fault)
        except Cut:
            self.wfile.flush()
            self.close_connection = True
            # Reset instead of a polite end: what a broken line looks like.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _body(self, fault: Fault) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
                if fault.cut:
                    raise Cut
            self.rfile.readline()
            return bytes(body)
        length = int(self.headers.get("Content-Length") or 0)
        if fault.cut and length:
            self.rfile.read(length // 2)
            raise Cut
        return self.rfile.read(length)

    def _send(self, answer: Answer, fault: Fault) -> None:
        body, total = answer.body, len(answer.body)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted and answer.status == 200:
            first, last = int(wanted[1]), min(int(wanted[2] or total), total - 1)
            body = body[first : last + 1]
            answer.status = 206
            answer.headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        if fault.corrupt:
            body = bytes(byte ^ 1 for byte in body)
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.cut:
            self.wfile.write(body[: len(body) // 2])
            raise Cut
        if fault.slow:
            for start in range(0, len(body), CHUNK):
                self.wfile.write(body[start : start + CHUNK])
                self.wfile.flush()
                time.sleep(fault.slow)
        else:
            self.wfile.write(body)
