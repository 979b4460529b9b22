"""The REST API: `/api/v1/…`, `/healthz`, `/readyz` and `/metrics`, with or without the page of the Space.

`application` is an ASGI application. `zoo.tabs.door` passes requests to it, `handwriting-zoo serve --workers` and Ray
Serve run it alone.
"""
