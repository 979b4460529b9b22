"""The Space as a visitor meets it: `python spaces_app.py` in a process of its own, on a free port of this machine."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from conftest import ROOT

PATIENCE = 240  # seconds; far more than a start takes on a busy machine


@dataclass(frozen=True)
class Space:
    """A running Space; `start_cpu` is the processor time in seconds that it took to answer its first page."""

    url: str
    process: psutil.Process
    start_cpu: float


@contextmanager
def serve(folder: Path = ROOT, **settings: str) -> Iterator[Space]:
    """Start the Space of a checkout under these environment variables, wait for its first page, stop it in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, **settings, "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    server = subprocess.Popen([sys.executable, "spaces_app.py"], cwd=folder, env=environment)
    try:
        _wait_for(url, server)
        process = psutil.Process(server.pid)
        used = process.cpu_times()
        yield Space(url, process, used.user + used.system)
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _wait_for(url: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"spaces_app.py does not answer at {url}; exit status {server.poll()}")
