"""Load test: a running Space on loopback, and decoding of phone photos, both compared with targets.

    python -m scripts.bench.space                             32 clients for 30 s, 5,000 requests, 12-megapixel photos
    python -m scripts.bench.space --seconds 5 --requests 500
    python -m scripts.bench.space --visitors 200              only visitors whose browsers read what they draw

The clients run on the same machine as the Space: they share its cores. The exit status is 1 if a target is missed.
"""

import io
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil

from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from zoo.serving import by_script

SKETCH = {"strokes": [[[320, 240], [500, 230], [680, 220], [600, 400], [530, 580], [460, 800]]], "size": 1000}  # a 7
SLOWEST = 150  # ms, 95% of `/predict` under load
GROWTH = 0.10  # of resident memory over the requests
LOADED = 30  # seconds, the page and its networks, while all visitors come in one moment
HEALTHY = 5  # seconds, `/healthz` meanwhile
PHOTO = 300  # ms, 12 megapixels


def main() -> int:
    """Measure; 1 if a target is missed."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--clients", type=int, default=32, help="at the same time (default: 32)")
    parser.add_argument("--seconds", type=float, default=30, help="how long (default: 30)")
    parser.add_argument("--requests", type=int, default=5000, help="over which memory is watched (default: 5000)")
    parser.add_argument("--visitors", type=int, help="so many load the page and its networks at once, and ask nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, serve(Path(scratch)) as (url, process):
        if arguments.visitors:
            found = Table(f"{arguments.visitors} visitors at once", list(visitors(url, arguments.visitors)))
            return measurements.conclude("space_visitors", arguments, [found])
        loaded = load(url, process, arguments.clients, arguments.seconds, arguments.requests)
        found = Table("what", [*loaded, *uploads(url, Path(scratch)), *photos()])
        return measurements.conclude("space", arguments, [found])


@contextmanager
def serve(folder: Path, **settings: str):
    """Start the Space on a free port with its temporary files in `folder`; yield its address and process."""
    port = free_port()
    settings |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, str(cli.ROOT / "spaces_app.py")]
    process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                with urllib.request.urlopen(url, timeout=60) as page:
                    page.read()
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None:
                    raise RuntimeError(f"spaces_app.py ended with status {process.returncode}") from None
                time.sleep(0.02)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_address(number: int) -> httpx.HTTPTransport:
    """Return what connects from an address of its own on loopback."""
    return httpx.HTTPTransport(local_address=f"127.0.{1 + number // 250}.{1 + number % 250}")


class Client:
    """What a browser or `gradio_client` is to the Space: one session, one connection, call after call.

    Each number is an address of its own, since the Space limits addresses.
    """

    def __init__(self, url: str, number: int = 0):
        self.http = httpx.Client(base_url=f"{url}/gradio_api", timeout=60, transport=own_address(number))
        listed = self.http.get(f"{url}/config").json()["dependencies"]
        self.numbers = {one["api_name"]: one["id"] for one in listed}
        self.session = uuid.uuid4().hex

    def ask(self, endpoint: str, *data) -> dict:
        """Call an endpoint and return its answer; RuntimeError with what the Space says is wrong."""
        body = {"data": data, "fn_index": self.numbers[endpoint], "session_hash": self.session}
        self.http.post("/queue/join", json=body).raise_for_status()
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as events:
            for line in events.iter_lines():
                said = json.loads(line.removeprefix("data:") or "{}")
                if said.get("msg") == "process_completed":
                    if not said["success"]:
                        raise RuntimeError(said["output"].get("error"))
                    return said["output"]["data"][0]
        raise RuntimeError("the Space closed the stream without an answer")


def load(url: str, process: psutil.Process, clients: int, seconds: float, requests: int):
    """Drive `/predict` by many clients at once; then count on, and watch the memory."""
    times, errors, lock = [], [], threading.Lock()

    waiting = [Client(url, number) for number in range(clients)]

    def drive_one(client: Client, until) -> None:
        while until():
            started = time.perf_counter()
            try:
                (said,) = client.ask("predict", SKETCH, None, ["lenet5.mnist"])["predictions"]
                wrong = None if said["label"] == "7" else f"read as {said['label']}"
            except Exception as error:  # any exception is an error of the Space
                wrong = repr(error)
            with lock:
                times.append(1000 * (time.perf_counter() - started))
                if wrong:
                    errors.append(wrong)

    def drive(until) -> None:
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(drive_one, waiting, [until] * clients))

    warm = iter(range(requests // 3))  # allocators and Gradio's own lists (the last 2,000 events) fill up first
    drive(lambda: next(warm, None) is not None)
    times.clear()
    before, end = process.memory_info().rss, time.perf_counter() + seconds
    drive(lambda: time.perf_counter() < end)
    under_load = list(times)
    left = iter(range(max(0, requests - len(times))))
    drive(lambda: next(left, None) is not None)
    growth = process.memory_info().rss / before - 1
    if errors:
        print("first error:", errors[0], file=sys.stderr)
    every, count = f"{clients} clients for {seconds:g} s", len(under_load)
    yield Measurement(f"{every}: requests", count / seconds, "/s", n=count)
    yield Measurement("errors", len(errors), most=0)
    yield Measurement("`/predict` under load, median", statistics.median(under_load), "ms", most=SLOWEST, n=count)
    yield Measurement("`/predict` under load, 95%", float(np.percentile(under_load, 95)), "ms", most=SLOWEST, n=count)
    grown = f"growth of memory from {before / 1e6:.0f} MB over {len(times):,} requests"
    yield Measurement(grown, 100 * growth, "%", most=100 * GROWTH)


def visitors(url: str, count: int):
    """Let visitors load the page, its modules and one network of each script at once, each from an address of its own.

    A browser reads what they draw then, so they ask for no prediction. `/healthz` is asked all the while.
    """
    health, errors, over = [], [], threading.Event()

    def loaded(number: int) -> float:
        started = time.perf_counter()
        try:
            with httpx.Client(base_url=url, timeout=300, transport=own_address(number)) as browser:
                page = browser.get("/").raise_for_status().text
                parts = sorted(set(re.findall(r"/?((?:assets|static)/[\w./-]+\.(?:js|css))", page)))
                networks = [f"networks/{name}.json" for name in by_script.best(by_script.ANYTHING)]
                for part in (*parts, "networks/engine.js", *networks):
                    browser.get(f"/{part}").raise_for_status()
        except httpx.HTTPError as error:
            errors.append(repr(error))
        return time.perf_counter() - started

    def watch() -> None:
        while not over.wait(0.5):
            started = time.perf_counter()
            httpx.get(f"{url}/healthz", timeout=60).raise_for_status()
            health.append(time.perf_counter() - started)

    with ThreadPoolExecutor(count + 1) as pool:
        watching = pool.submit(watch)
        times = list(pool.map(loaded, range(count)))
        over.set()
        watching.result()
    if errors:
        print("first error:", errors[0], file=sys.stderr)
    yield Measurement("errors", len(errors), most=0)
    page = "page, modules and networks are there"
    yield Measurement(f"{page}, median", statistics.median(times), "s", most=LOADED, n=count)
    yield Measurement(f"{page}, 95%", float(np.percentile(times, 95)), "s", most=LOADED, n=count)
    yield Measurement("`/healthz` meanwhile, slowest", max(health), "s", most=HEALTHY, n=len(health))


def uploads(url: str, folder: Path):
    """Send what a Space must refuse; what it keeps of it on the disk."""
    import base64

    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (9_000, 9_000)).save(file, "PNG")  # 81 megapixels in 80 kB
    bomb = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    accepted = 0
    for endpoint, data in (("predict", (None, bomb, None)), ("read", (bomb, None))):
        try:
            Client(url).ask(endpoint, *data)
            accepted += 1
        except RuntimeError:
            continue
    kept = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "png" in path.suffix)
    yield Measurement("decompression bombs that were opened", accepted, most=0, n=2)
    yield Measurement("left on the disk", kept / 1e6, "MB", most=0)


def photos():
    """Decode a photo of 12 megapixels and bring it to a network's input, for every format of a phone."""
    from PIL import Image, ImageDraw
    from pillow_heif import register_heif_opener

    from zoo import ink

    register_heif_opener()
    rng = np.random.default_rng(0)
    grain = rng.normal(210, 3, (3000, 4000)).clip(0, 255).astype(np.uint8)
    photo = Image.fromarray(grain).convert("RGB")
    ImageDraw.Draw(photo).line([(1500, 700), (2600, 680), (1900, 2400)], (40, 50, 120), 90, "curve")
    for form, options in (("JPEG", {"quality": 88}), ("HEIF", {}), ("WEBP", {"quality": 85}), ("PNG", {})):
        file = io.BytesIO()
        photo.save(file, form, **options)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            ink.from_picture(io.BytesIO(file.getvalue()), ink.MNIST)
            times.append(1000 * (time.perf_counter() - started))
        what = f"12 megapixels, {form}, {len(file.getvalue()) / 1e6:.1f} MB"
        yield Measurement(what, statistics.median(times), "ms", most=PHOTO, n=len(times))


if __name__ == "__main__":
    cli.run(main)
