"""What every script shares: the repository on the path, a log on the terminal, and one sentence for an error.

Import it first: it lets a script run from a clone that was not installed. Benchmarks and chores run as modules, for
example `python -m scripts.bench.board`.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def _explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one sentence if a package is missing, else the trace."""
    if isinstance(error, ModuleNotFoundError) and error.name and not (ROOT / error.name.partition(".")[0]).exists():
        print(
            f"error: {sys.executable} has no package {error.name}. Activate the environment that `make demo` installs "
            "(. .venv/bin/activate), or run pip install -e '.[all]'.",
            file=sys.stderr,
        )
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _explain


def run(main: Callable[[], int | None]) -> None:
    """Run a script's `main` and exit: 0 or what it returns, 2 for bad input, 130 when it is interrupted."""
    from zoo.errors import ZooError

    try:
        sys.exit(main())
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)


def show_log(handler: logging.Handler) -> None:
    """Send the zoo's own log, from INFO, to `handler`."""
    for package in ("zoo", "leaderboard"):
        logger = logging.getLogger(package)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
