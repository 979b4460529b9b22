"""A machine of Hugging Face Jobs on loopback: enough of its sandbox server for `huggingface_hub.Sandbox`, run here.

    with Machine().serving() as machine:
        hub.machines = machine.url  # jobs that expose a port are reached there

Files and commands are those of this computer, so whoever uses it keeps to a folder of its own.
"""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PREFIX = "/job--49983.local"  # the client looks for the port in the address


class Machine:
    """The server's state."""

    def __init__(self):
        self.commands: list[list[str]] = []
        self.tokens: set[str | None] = set()  # that came along
        self.bearers: set[str | None] = set()  # of the Hub, which its proxy would take away
        self.url = ""
        self.instead: Callable[[_Handler, str], bool] = lambda handler, route: False  # answers a route, or not

    @contextlib.contextmanager
    def serving(self) -> Iterator["Machine"]:
        """Serve until the block ends."""
        machine = self

        class Handler(_Handler):
            state = machine

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}{PREFIX}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Machine

    def log_message(self, *_) -> None:
        """Say nothing."""

    def _answer(self, body, status: int = 200) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _serve(self) -> None:
        parts = urlsplit(self.path.removeprefix(PREFIX))
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.state.tokens.add(self.headers.get("X-Sandbox-Token"))
        self.state.bearers.add(self.headers.get("Authorization"))
        path = Path(query.get("path", "/"))
        route = f"{self.command} {parts.path}"
        try:
            if not self.state.instead(self, route):
                self._route(route, path, query, body)
        except FileNotFoundError:
            self._answer({"error": "no such file"}, 404)

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _route(self, route: str, path: Path, query: dict[str, str], body: bytes) -> None:
        if route == "GET /health":
            self._answer({"protocol": 3})
        elif route == "POST /v1/files/mkdir":
            path.mkdir(parents=True, exist_ok=True)
            self._answer({})
        elif route == "PUT /v1/files/write":
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("r+b" if "offset" in query and path.exists() else "wb") as file:
                file.seek(int(query.get("offset", 0)))
                file.write(body)
            self._answer({})
        elif route == "GET /v1/files/read":
            data, first = path.read_bytes(), int(query.get("offset", 0))
            self._answer(data[first : first + int(query.get("length", len(data)))])
        elif route == "GET /v1/files/stat":
            self._answer(_entry(path))
        elif route == "GET /v1/files/list":
            self._answer({"entries": [_entry(one) for one in path.iterdir()]})
        elif route == "POST /v1/exec":
            self._run(json.loads(body))
        else:
            self._answer({"error": f"no route {route}"}, 404)

    def _run(self, wish: dict) -> None:
        self.state.commands.append(wish["cmd"])
        done = subprocess.run(
            wish["cmd"], cwd=wish.get("cwd"), input=wish.get("stdin", "").encode(), capture_output=True,
            timeout=wish.get("timeout", 120),
        )  # fmt: skip
        events = [
            {"event": "stdout", "data": done.stdout.decode()},
            {"event": "stderr", "data": done.stderr.decode()},
            {"event": "exit", "exit_code": done.returncode},
        ]
        self._answer("".join(json.dumps(event) + "\n" for event in events).encode())


def _entry(path: Path) -> dict:
    kind = "symlink" if path.is_symlink() else "dir" if path.is_dir() else "file"
    return {"name": path.name, "path": str(path), "type": kind, "size": path.lstat().st_size}
