"""Load test of the REST API: the Space on loopback, with its page, then Ray Serve where the machine has the cores.

    python -m scripts.bench.api                              20 s of each load, 20,000 requests for the memory
    python -m scripts.bench.api --seconds 5 --requests 1000  a short one

The clients run on the same machine, in a process of their own: they share its cores with the server. The exit status is
1 if a target is missed.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from scripts import cli
from scripts.bench import measurements, space
from scripts.bench.measurements import Measurement, Table
from scripts.bench.space import free_port

CLIENTS = 32
IDLE = 2.0  # ms, median of one client
LEAST_SKETCHES, SLOWEST_SKETCH = 1200, 60  # a second; ms at 95%
LEAST_PICTURES = 150  # a second
SLOWEST_PAGE = 150  # ms at 95%, of the page's own endpoint under the load of sketches
MOST_MEMORY, GROWTH = 350, 10  # MB resident; % over the requests
LEAST_RATIO = 1.7  # two replicas over one
SIDES = 28, 64, 128, 256, 512, 1000  # pixels of the pictures, in turns; 28 x 28 to 1 megapixel
PACE = 0.2  # seconds between the strokes of a visitor
MODEL = "lenet5.mnist"
SEVEN = np.array([(320, 240), (500, 230), (680, 220), (600, 400), (530, 580), (460, 800)], float)
SIDE = 1000  # of the square that it was drawn on


def main() -> int:
    """Measure; 1 if a target is missed."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each load (default: 20)")
    parser.add_argument("--requests", type=int, default=20_000, help="over which memory is watched (default: 20000)")
    parser.add_argument("--drive", metavar="JSON", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        print(json.dumps(_drive(**json.loads(arguments.drive))))
        return 0
    os.environ["ZOO_CALLS_PER_MINUTE"] = "100000000"
    found = [*in_space(arguments.seconds, arguments.requests), *on_ray(arguments.seconds)]
    return measurements.conclude("api", arguments, [Table("what", found)])


# --- the Space -----------------------------------------------------------------------------------


def in_space(seconds: float, requests: int):
    """Measure the API of a Space that serves its page as well."""
    with tempfile.TemporaryDirectory() as scratch, space.serve(Path(scratch)) as (url, process):
        wait(f"{url}/readyz")
        idle = drive(url, "sketches", clients=1, seconds=min(10.0, seconds))
        yield Measurement("one sketch, one client, median", idle["median"], "ms", most=IDLE, n=idle["count"])
        drive(url, "sketches", requests=max(1000, requests // 4))  # allocators and Gradio's lists fill up first
        sketches = drive(url, "sketches", seconds=seconds)
        each, n = f"{CLIENTS} clients for {seconds:g} s", sketches["count"]
        yield Measurement(f"sketches, {each}", sketches["rate"], "/s", least=LEAST_SKETCHES, n=n)
        yield Measurement("sketches under load, 95%", sketches["p95"], "ms", most=SLOWEST_SKETCH, n=n)
        page = Page(url)
        visited = drive(url, "sketches", seconds=seconds)
        times = page.stop()
        yield Measurement("sketches meanwhile", visited["rate"], "/s", n=visited["count"])
        yield Measurement("the page's `/predict`, 95%", np.percentile(times, 95), "ms", most=SLOWEST_PAGE, n=len(times))
        pictures = drive(url, "pictures", seconds=seconds)
        sides = f"pictures of {SIDES[0]} to {SIDES[-1]:,} pixels a side, {each}"
        yield Measurement(sides, pictures["rate"], "/s", least=LEAST_PICTURES, n=pictures["count"])
        yield Measurement("errors", sum(one["errors"] for one in (idle, sketches, visited, pictures)), most=0)
        before = memory(process)
        drive(url, "sketches", requests=requests)
        after = memory(process)
        grown = f"growth of memory over {requests:,} more requests"
        yield Measurement(grown, 100 * (after / before - 1), "%", most=GROWTH)
        yield Measurement("resident memory", after, "MB", most=MOST_MEMORY)


def memory(process: psutil.Process) -> float:
    """Return resident megabytes."""
    return process.memory_info().rss / 1e6


class Page:
    """A visitor whose page calls `/predict` every `PACE` seconds, as it does when the pen is lifted, until `stop`."""

    def __init__(self, url: str):
        self._client, self._over = space.Client(url), threading.Event()
        self._times: list[float] = []
        self._client.ask("predict", space.SKETCH, None, [MODEL])  # the first one loads what the others need
        self._thread = threading.Thread(target=self._call)
        self._thread.start()

    def _call(self) -> None:
        while not self._over.is_set():
            started = time.perf_counter()
            self._client.ask("predict", space.SKETCH, None, [MODEL])
            self._times.append(1000 * (time.perf_counter() - started))
            self._over.wait(started + PACE - time.perf_counter())

    def stop(self) -> list[float]:
        """End the visit; return the time of each call in ms."""
        self._over.set()
        self._thread.join()
        return self._times


# --- Ray Serve -----------------------------------------------------------------------------------


def on_ray(seconds: float):
    """Compare two replicas with one, where each has a core, as have Ray's proxy and the clients."""
    if psutil.cpu_count() < 4:
        print("Ray Serve is not measured: two replicas, the proxy and the clients need four cores.", file=sys.stderr)
        return
    rates = []
    for replicas in (1, 2):
        with replicated(replicas) as url:
            drive(url, "pictures", requests=200)
            rates.append(drive(url, "pictures", seconds=seconds)["rate"])
    yield Measurement("pictures, one replica of Ray Serve", rates[0], "/s")
    yield Measurement("pictures, two replicas over one", rates[1] / rates[0], "times", least=LEAST_RATIO)


@contextmanager
def replicated(replicas: int):
    """Serve so many replicas on Ray; yield their address."""
    import ray
    from ray import serve

    from leaderboard import on_ray_serve
    from zoo.executors.on_ray import QUIET

    os.environ.update({**QUIET, "PYTHONPATH": str(cli.ROOT), "ZOO_LOG": "warning", "OMP_NUM_THREADS": "1"})
    port = free_port()
    ray.init(include_dashboard=False, log_to_driver=False)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(on_ray_serve.application({"least": str(replicas), "most": str(replicas)}))
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


# --- clients -------------------------------------------------------------------------------------


def drive(url: str, what: str, clients: int = CLIENTS, seconds: float = 1e9, requests: int = 10**9) -> dict:
    """Let clients call in a process of their own, until the time or the requests are over.

    Returns:
        {"rate" (a second), "median", "p95" (ms), "errors", "count"}.
    """
    asked = {"url": url, "what": what, "clients": clients, "seconds": seconds, "requests": requests}
    command = [sys.executable, "-m", "scripts.bench.api", "--drive", json.dumps(asked)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=cli.ROOT)
    found: dict = json.loads(done.stdout)
    if found["first_error"]:
        print("first error:", found["first_error"], file=sys.stderr)
    return found


def _drive(url: str, what: str, clients: int, seconds: float, requests: int) -> dict:
    """Call from this process. The client is plain asyncio, so that it takes little of the cores that it shares."""
    address = url.removeprefix("http://")
    host, _, port = address.partition(":")
    bodies = sketches(address) if what == "sketches" else pictures(address)
    times: list[float] = []
    errors: list[str] = []
    left = iter(range(requests))
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        own = f"127.0.0.{2 + number % 250}"  # an address may have few calls waiting at a time
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(own, 0))
        while time.perf_counter() < end and next(left, None) is not None:
            body = bodies[(number + len(times)) % len(bodies)]
            started = time.perf_counter()
            writer.write(body)
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answer = await reader.readexactly(size)
            times.append(1000 * (time.perf_counter() - started))
            if not head.startswith(b"HTTP/1.1 200") or json.loads(answer)["text"] != "7":
                errors.append((head.partition(b"\r\n")[0] + answer[:200]).decode())
        writer.close()

    async def all_clients() -> None:
        await asyncio.gather(*(client(number) for number in range(clients)))

    started = time.perf_counter()
    _loop(all_clients())
    took = time.perf_counter() - started
    return {
        "rate": len(times) / took,
        "median": statistics.median(times),
        "p95": float(np.percentile(times, 95)),
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
        "count": len(times),
    }


def _loop(coroutine) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


def sketches(address: str) -> list[bytes]:
    """Return requests with sketches of a seven, as a pen draws them: 20 to 80 points."""
    found = []
    for count in (20, 40, 80):
        at = np.linspace(0, len(SEVEN) - 1, count)
        line = np.stack([np.interp(at, range(len(SEVEN)), SEVEN[:, axis]) for axis in (0, 1)], axis=1)
        body = {"sketch": {"strokes": [line.round(1).tolist()], "size": SIDE}, "model": MODEL}
        found.append(request(address, "application/json", json.dumps(body).encode()))
    return found


def pictures(address: str) -> list[bytes]:
    """Return requests with photos of a seven, PNG and JPEG in turns, one for each of `SIDES`."""
    import cv2

    rng, found = np.random.default_rng(0), []
    for index, side in enumerate(SIDES):
        photo = np.full((side, side), 225, np.uint8)
        points = (SEVEN * side / SIDE).astype(np.int32)
        cv2.polylines(photo, [points], False, 30, max(2, side // 16), cv2.LINE_AA)
        photo = (photo + rng.normal(0, 3, photo.shape)).clip(0, 255).astype(np.uint8)
        form = (".png", ".jpg")[index % 2]
        part = "\r\n".join((
            '--zoo', f'Content-Disposition: form-data; name="image"; filename="7{form}"', "", "",
        )).encode() + cv2.imencode(form, photo)[1].tobytes()  # fmt: skip
        model = f'\r\n--zoo\r\nContent-Disposition: form-data; name="model"\r\n\r\n{MODEL}\r\n--zoo--\r\n'
        found.append(request(address, "multipart/form-data; boundary=zoo", part + model.encode()))
    return found


def request(address: str, media_type: str, body: bytes) -> bytes:
    """Return a whole request, head and body."""
    head = f"POST /api/v1/read HTTP/1.1\r\nHost: {address}\r\nContent-Type: {media_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def wait(url: str, seconds: float = 120) -> None:
    """Wait until an address answers with success."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


if __name__ == "__main__":
    cli.run(main)
