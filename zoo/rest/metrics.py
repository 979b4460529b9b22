"""What a server counts, for Prometheus at `/metrics`: requests, latency, queues, batches, loaded networks, refusals.

Nothing of a caller is in it. With several processes (`PROMETHEUS_MULTIPROC_DIR`), their sums are shown.
"""

import os
import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from starlette.responses import Response

from zoo.serving.engine import Engine
from zoo.serving.model_cache import MODELS

disable_created_metrics()  # type: ignore[no-untyped-call]  # one line a count is enough
KEPT = 0.25  # seconds: anybody may ask, and it takes 5 ms
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

REQUESTS = Counter("zoo_requests", "Requests by route, method and status", ["route", "method", "status"])
LATENCY = Histogram("zoo_request_seconds", "From a request's head to the end of its answer", ["route"], buckets=SECONDS)
REFUSALS = Counter("zoo_refusals", "Requests that were refused, by status", ["status"])
WAITING = Gauge("zoo_queue_waiting", "Calls that wait for a thread", ["queue"], multiprocess_mode="livesum")
BATCHES = Histogram("zoo_batch_size", "Calls that were answered together", ["queue"], buckets=(1, 2, 4, 8, 16, 32))
LOADED = Gauge("zoo_models_loaded", "Networks in memory", multiprocess_mode="livesum")
LOADS = Counter("zoo_model_loads", "Networks that were loaded, again if they had been dropped", ["model"])

_page = -KEPT, b""  # when it was written


def watch(engine: Engine) -> None:
    """Count what an engine does."""
    for queue in engine.queues:
        queue.observe = BATCHES.labels(queue.name).observe
        WAITING.labels(queue.name).set(0)
    MODELS.on_load = _loaded


def _loaded(name: str) -> None:
    LOADS.labels(name).inc()
    LOADED.set(len(MODELS.loaded))


def observe(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    REQUESTS.labels(route, method, str(status)).inc()
    LATENCY.labels(route).observe(seconds)
    if status >= 400:
        REFUSALS.labels(str(status)).inc()


def page(engine: Engine) -> Response:
    """Return all counts in Prometheus' text format, as they were at most `KEPT` seconds ago."""
    global _page
    if time.monotonic() > _page[0] + KEPT:
        _page = time.monotonic(), _written(engine)
    return Response(_page[1], media_type=CONTENT_TYPE_LATEST)


def _written(engine: Engine) -> bytes:
    for queue in engine.queues:
        WAITING.labels(queue.name).set(queue.waiting)
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
