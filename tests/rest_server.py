"""The REST API as a program meets it: `handwriting-zoo serve --workers` in processes of its own, on a free port."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from conftest import ROOT

PATIENCE = 120  # seconds; far more than a start takes on a busy machine


@contextmanager
def serving(workers: int = 1, **settings: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start the API under these environment variables, wait until it is ready; yield its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "zoo", "serve", "--workers", str(workers), "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and server.poll() is None:
            try:
                urllib.request.urlopen(f"{url}/readyz", timeout=PATIENCE).close()
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield url, server
    finally:
        server.terminate()
        server.wait(PATIENCE)
