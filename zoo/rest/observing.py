"""Every request is counted and logged: its route, method, status and time, and nothing of who sent what."""

import json
import logging
import sys
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo.rest import metrics

log = logging.getLogger("zoo.access")
OTHER = "page"  # all routes that are not the API's
GONE = 499  # status of a request whose client left before it was answered
FIELDS = "route", "http_method", "status", "milliseconds"


class Observed:
    """Middleware that counts and logs."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, then count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
            status = status or GONE
        finally:
            status = status or 500
            seconds = time.perf_counter() - started
            route, method = scope.get("zoo.route") or OTHER, scope["method"]
            method = method if method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
            metrics.observe(route, method, status, seconds)
            if log.isEnabledFor(logging.INFO):
                said = dict(zip(FIELDS, (route, method, status, round(1000 * seconds, 2)), strict=True))
                log.info("request", extra=said)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields of a request, and the steps of an incident."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in FIELDS if hasattr(record, name)},
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_log(level: str) -> None:
    """Write the log of this process to stderr as JSON lines.

    Args:
        level: "info" has a line for every request; "warning" only what went wrong.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for package in ("zoo", "leaderboard"):
        logger = logging.getLogger(package)
        logger.setLevel(level.upper())
        logger.handlers = [handler]
        logger.propagate = False
