"""Several processes that serve the REST API on one port, without the page."""

import os
import tempfile

from zoo.errors import ZooError

APPLICATION = "leaderboard.service:alone"  # by name: each process imports it for itself
SILENT = 120  # seconds after which a process that does not answer its supervisor is killed, with all that it reads
PATIENCE = 30  # seconds that calls have to end when the server stops


def run(host: str, port: int, workers: int, log_level: str = "info") -> None:
    """Serve until the process is told to stop; calls that run then are answered.

    Args:
        host: address to listen on.
        port: port to listen on.
        workers: processes; one that ends by mistake is started again.
        log_level: of the log, see `zoo.rest.observing.write_log`.

    Raises:
        ZooError: a package is missing.
    """
    try:
        import uvicorn

        from zoo.gate.connections import trust_no_proxy
    except ModuleNotFoundError as error:
        raise ZooError(f"The API needs {error.name}: pip install 'handwriting-zoo[api]'.") from error
    with tempfile.TemporaryDirectory(prefix="zoo-metrics-") as folder:
        trust_no_proxy()
        os.environ.update(PROMETHEUS_MULTIPROC_DIR=folder, ZOO_LOG=log_level)
        uvicorn.run(
            APPLICATION,
            factory=True,
            host=host,
            port=port,
            workers=workers,
            http="zoo.gate.connections:Guarded",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=PATIENCE,
            timeout_worker_healthcheck=SILENT,
        )
