"""The REST API on Ray Serve: two replicas, of which one is killed while clients call."""

import os
import signal
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from conftest import ROOT
from strokes import SEVEN

from leaderboard import on_ray_serve
from zoo.client import Client
from zoo.errors import ZooError
from zoo.executors.on_ray import QUIET

ray = pytest.importorskip("ray")
serve = pytest.importorskip("ray.serve")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Serve two replicas on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {**QUIET, "ZOO_SUBMISSIONS": str(tmp_path_factory.mktemp("store")), "ZOO_CALLS_PER_MINUTE": "1000000"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**settings, "PYTHONPATH": str(ROOT), "ZOO_LOG": "warning"}.items():
            patch.setenv(name, value)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(on_ray_serve.application({"least": "2", "most": "2", "cpus": "0.5"}))
        yield f"http://127.0.0.1:{port}"
        serve.shutdown()
        ray.shutdown()


@pytest.mark.slow
def test_two_replicas_answer_and_no_call_is_lost_when_one_is_killed(url):
    def read(number: int) -> str:
        if number == 20:
            os.kill(replicas[0], signal.SIGKILL)
        return client.read_sketch(SEVEN, 1.0, model="lenet5.mnist").text

    with Client(url) as client:
        workers = psutil.Process().children(recursive=True)
        replicas = [one.pid for one in workers if " ".join(one.cmdline()).startswith("ray::ServeReplica")]
        assert len(replicas) == 2
        assert client.models()
        with ThreadPoolExecutor(4) as pool:
            assert Counter(pool.map(read, range(100))) == {"7": 100}


def test_bad_options_get_a_sentence():
    for options in ({"least": "x"}, {"least": "3", "most": "2"}, {"replicas": "2"}):
        with pytest.raises(ZooError, match="least"):
            on_ray_serve.application(options)
