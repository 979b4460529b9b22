"""What the tests share: a Hub on loopback, a tiny dataset of real digits, and scripts run as a person runs them."""

import contextlib
import fcntl
import functools
import io
import logging
import os
import runpy
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hub_server import Account, Hub

# The client reads its settings once, when it is imported: they are set before anything can do that. So no test ever
# reaches the real Hub, nor the token and the cache of whoever runs it.
HUB = Hub()
HUB_HOME = Path(tempfile.mkdtemp(prefix="hub-home-"))
os.environ.update(
    HF_ENDPOINT=HUB.url,
    HF_HUB_CACHE=str(HUB_HOME / "hub"),
    HF_TOKEN_PATH=str(HUB_HOME / "token"),
    HF_HUB_DISABLE_XET="1",  # plain LFS: what the server speaks
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    ZOO_USER_DATASETS=str(HUB_HOME / "datasets"),
    ZOO_LOCAL_RECORDS=str(HUB_HOME / "local-records"),  # no test sees what a contributor trained
    XLA_FLAGS="--xla_backend_optimization_level=0",  # JAX compiles longer than these networks train, optimized twice so
)
# Each client of HTTP would read the certificates of all authorities, which takes it longer than its request.
ssl.create_default_context = functools.cache(ssl.create_default_context)
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as processors: none needs more threads than one
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "ZOO_NAMESPACE", "ZOO_MODELS"):
    os.environ.pop(name, None)

TOKEN = "hf_NobodyMayEverReadThisToken"
ROOT = Path(__file__).resolve().parent.parent
real_data = pytest.mark.skipif("ZOO_DATASETS" not in os.environ, reason="ZOO_DATASETS names no datasets")


# Files that take a minute and more are begun first, so that no processor waits for another's last one.
LONG = ("test_training", "test_shipped", "test_executors", "test_tutorials", "test_train", "test_own_networks",
        "test_submit_endpoints", "test_ink", "test_registry", "test_hub", "test_views", "test_reports",
        "test_submit", "test_access", "test_local", "test_board")  # in a browser  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the order within a file stays."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session", autouse=True)
def _hub_is_there():
    with HUB.serving():
        yield
    shutil.rmtree(HUB_HOME, ignore_errors=True)


@pytest.fixture
def hub():
    """Return the Hub on loopback, empty, and with it an empty cache."""
    HUB.reset()
    shutil.rmtree(HUB_HOME / "hub", ignore_errors=True)
    yield HUB
    HUB.reset()


@pytest.fixture
def token(hub, monkeypatch):
    """Log in as `me`."""
    hub.tokens[TOKEN] = Account("me", organisations=("handwriting-zoo",))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def place(tmp_path):
    """A store of submissions on this disk."""
    from leaderboard.submissions.store import LocalStore

    return LocalStore(tmp_path / "store")


@pytest.fixture
def remote(hub, monkeypatch, tmp_path):
    """A store of submissions on the Hub, of a client that tries again quickly; addresses have sent nothing yet."""
    from submitting import QUICK

    from leaderboard.submissions.store import HubStore

    hub.tokens[TOKEN] = Account("me")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return HubStore("me", QUICK)


@pytest.fixture
def checks_in_this_process(monkeypatch):
    """Check files here instead of in a process of their own: what is tested is what comes after that."""
    from leaderboard.submissions import checks, intake

    monkeypatch.setattr(intake.guard, "check", checks.check)


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """Train and publish a tiny network: `models/<model>`, the published folder, and `records` next to it.

    The workers of xdist share it: the first that needs it makes it.
    """
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # of all workers
    root = place / "published"
    with (place / "published.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "models").exists():
            _publish(root)
    return root


def _publish(root: Path) -> None:
    from leaderboard import jobs
    from zoo import training
    from zoo.recipes import Recipe

    recipe = Recipe("zoo", epochs=3, batch_size=32, learning_rate=3e-3)
    runs = [training.train(training.Job("mnist_cnn", "optdigits", recipe, seed), root / "runs") for seed in (0, 1)]
    jobs.publish(runs, root / "records")
    best = max(runs, key=lambda run: run.history["validation"]["accuracy"])
    shutil.copytree(best.folder / "export", root / "models" / "mnist_cnn.optdigits")


@pytest.fixture
def own_uploads(monkeypatch):
    """Take every file for an upload of its caller."""
    monkeypatch.setattr("zoo.gate.uploads.Uploads.check", lambda self, path, caller: None)


@pytest.fixture
def run_script(tmp_path):
    """Return a function that runs a script ("train.py") or a module ("chores.mutants") in an empty folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        name = arguments[0]
        target = [ROOT / "scripts" / name] if name.endswith(".py") else ["-m", f"scripts.{name}"]
        return subprocess.run(
            [sys.executable, *target, *arguments[1:]],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={
                **{key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"},  # JAX sets it
                "COLUMNS": "200",
                "PYTHONPATH": str(ROOT),
                "ZOO_LOCAL_RECORDS": str(tmp_path / "local-records"),
                **environment,
            },
            timeout=300,
        )

    return run


@pytest.fixture
def run_here(tmp_path):
    """Return a function that runs a script in an empty folder, see `run_in_this_process`."""
    return functools.partial(run_in_this_process, tmp_path)


def run_in_this_process(folder: Path, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a script as `run_script` does, but in this process, which has imported what it needs.

    For what a script says and does; another test runs it in a process of its own.
    """
    said, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    loggers = [logging.getLogger(package) for package in ("zoo", "leaderboard")]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    with pytest.MonkeyPatch.context() as place:
        place.chdir(folder)
        place.syspath_prepend(ROOT / "scripts")
        place.setattr(sys, "argv", [name, *arguments])
        place.setattr(sys, "excepthook", sys.excepthook)
        own = {"COLUMNS": "200", "ZOO_LOCAL_RECORDS": str(folder / "local-records")}
        for key, value in {**own, **environment}.items():
            place.setenv(key, value)
        with (
            contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as ended
        ):  # fmt: skip
            runpy.run_path(str(ROOT / "scripts" / name), run_name="__main__")
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers
    written = (stream.buffer.getvalue().decode() for stream in (said, errors))
    return subprocess.CompletedProcess(name, ended.value.code or 0, *written)


@pytest.fixture
def without(tmp_path):
    """Return a function that writes a folder for PYTHONPATH which hides packages, as if they were not installed."""

    def write(*packages: str) -> Path:
        folder = tmp_path / "without"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(
            f"""
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {packages!r} else super().find_spec(name, path, target)

sys.meta_path = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
"""
        )
        return folder

    return write


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of the repository, tracked by git, whose networks are links: what a tutorial may write into."""
    folder = tmp_path / "checkout"
    left_out = shutil.ignore_patterns("__pycache__", "pretrained", "local_records")
    for name in ("zoo", "leaderboard", "scripts", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    for name in ("README.md", "mkdocs.yml", "requirements.txt", "spaces_app.py"):
        shutil.copy(ROOT / name, folder)
    (folder / "zoo" / "pretrained").symlink_to(ROOT / "zoo" / "pretrained")
    for command in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture
def make_repo(tmp_path, monkeypatch):
    """Return a function that writes an 8 x 8 dataset repo `optdigits` and points `ZOO_DATASETS` to it."""
    import datasets

    def make(splits: dict[str, dict[str, list]]) -> Path:
        root = tmp_path / "datasets"
        for split, columns in splits.items():
            path = root / "optdigits" / "data" / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            images = [{"bytes": image, "path": None} for image in columns["image"]]
            datasets.Dataset.from_dict({**columns, "image": images}).to_parquet(path)
        monkeypatch.setenv("ZOO_DATASETS", str(root))
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
        return root

    return make
