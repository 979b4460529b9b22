"""The REST API on Ray Serve: the same application as elsewhere, in as many replicas as the load needs.

serve run leaderboard.on_ray_serve:application                       on this machine or in a cluster, 1 to 4 replicas
serve run leaderboard.on_ray_serve:application least=2 most=2        always two
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from zoo.errors import ZooError
from zoo.serving.engine import BATCH

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LEAST, MOST = 1, 4  # replicas
AT_ONCE = 4 * BATCH  # calls that one replica has at a time; more wait in Ray's router
NAME = "handwriting-zoo"


def _build() -> "ASGIApp":
    """Return the application of one replica, which is made in its process."""
    from leaderboard import service

    return service.alone()


def application(options: Mapping[str, str] | None = None) -> object:
    """Return the application for `serve.run`.

    Args:
        options: `least` and `most` replicas; `cpus` of each (1).

    Raises:
        ZooError: Ray Serve is not installed, or an option is no number.
    """
    try:
        from ray import serve
    except ImportError as error:
        raise ZooError("Ray Serve is not installed: pip install 'handwriting-zoo[ray]'.") from error
    given = dict(options or {})
    try:
        least, most = int(given.pop("least", LEAST)), int(given.pop("most", MOST))
        cpus = float(given.pop("cpus", 1))
    except ValueError as error:
        raise ZooError(f"least, most and cpus are numbers: {error}.") from None
    if given or not 1 <= least <= most:
        raise ZooError(f"The options are least, most (at least as many) and cpus; got {dict(options or {})}.")
    deployment = serve.deployment(
        name=NAME,
        autoscaling_config={"min_replicas": least, "max_replicas": most, "target_ongoing_requests": BATCH},
        max_ongoing_requests=AT_ONCE,
        ray_actor_options={"num_cpus": cpus},
        graceful_shutdown_timeout_s=30,
        health_check_period_s=5,
    )
    return deployment(serve.ingress(_build)()).bind()
