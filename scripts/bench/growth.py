"""Measure how cost grows: records, models, architectures, samples and submissions, each in a fresh process.

    python -m scripts.bench.growth                  all of it, some minutes
    python -m scripts.bench.growth --only records   one part
    python -m scripts.bench.growth --small          the first two sizes of each

Everything is made up in a temporary folder; seconds are the processor's. Exit status 1 if a target is missed: importing
and listing under 0.3 s, samples read at constant memory, a step of a worker that does not grow with the queue.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from zoo.files import write_json
from zoo.published import PublishedFolder

TARGETS = {  # seconds at most, of any number
    ("architectures", "list"): 0.3,
    ("models", "list"): 0.3,
    ("submissions", "change"): 0.05,  # by a worker
}
MEMORY = 400  # bytes that another sample may take, half of what its image would
SIZES = {
    "records": (10, 100, 1_000, 10_000),
    "architectures": (10, 100, 1_000),
    "models": (10, 100, 1_000),
    "samples": (10_000, 100_000, 1_000_000),
    "submissions": (10, 100, 1_000, 10_000),
}


def main() -> int:
    """Measure; 1 if a target is missed."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--only", choices=SIZES, help="one part")
    parser.add_argument("--small", action="store_true", help="only the first two sizes")
    parser.add_argument("--part", nargs=3, metavar=("PART", "SIZE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        name, size, folder = arguments.part
        print(json.dumps(PARTS[name][1](int(size), Path(folder)) | {"memory": peak()}))
        return 0
    parts = [arguments.only] if arguments.only else list(SIZES)
    tables = (grown(name, SIZES[name][: 2 if arguments.small else None]) for name in parts)
    return measurements.conclude("growth", arguments, tables)


def grown(name: str, sizes: tuple[int, ...]) -> Table:
    """Return the table of a part: a row a size."""
    return Table(name, list(cells(name, {size: measured(name, size) for size in sizes})))


def measured(name: str, size: int) -> dict[str, float]:
    """Make a size of a part and measure it in a fresh process; return seconds of each step, and memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        PARTS[name][0](size, Path(folder))
        command = [sys.executable, "-m", "scripts.bench.growth", "--part", name, str(size), folder]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(cli.ROOT)})
    if done.returncode:
        raise RuntimeError(f"{name} of {size} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def cells(name: str, rows: dict[int, dict[str, float]]) -> Iterator[Measurement]:
    """Yield what was measured of each size, in processor seconds and MB; of samples, the bytes of another one too."""
    for size, values in rows.items():
        for what, value in values.items():
            unit = "MB" if what == "memory" else "s"
            yield Measurement(f"{size:,}", round(value, 4), unit, most=TARGETS.get((name, what)), column=what)
    if name == "samples" and len(rows) > 1:
        first, last = min(rows), max(rows)
        each = (rows[last]["memory"] - rows[first]["memory"]) * 2**20 / (last - first)
        yield Measurement(f"{last:,}", each, "bytes", most=MEMORY, column="each further one")


def timed(call: Callable[[], object]) -> float:
    """Return the processor seconds that a call takes: what else the machine does is not counted."""
    started = time.process_time()
    call()
    return time.process_time() - started


def peak() -> float:
    """Return the most memory that this process held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# Records: reading all, and the board's kept table


def make_records(size: int, folder: Path) -> None:
    """Write records like a shipped one, and the table that is kept of them."""
    from leaderboard import results, snapshot, table

    like = next(r for r in results.read_all() if r.model == "lenet5.mnist")
    made = []
    for n in range(size):
        result = replace(like, model=f"network{n:05d}.mnist", architecture=f"network{n:05d}")
        results.write(result, folder=folder)
        made.append(result)
    snapshot.keep(snapshot.Board(table.frame(made, lambda result: None), []), folder)


def measure_records(size: int, folder: Path) -> dict[str, float]:
    """Read the kept table, one record and all of them."""
    from leaderboard import results, snapshot

    kept = timed(lambda: snapshot.load(folder))
    one = timed(lambda: results.read_record(results.path_of("network00007.mnist", "mnist", folder)))
    return {"board": kept, "one record": one, "all records": timed(lambda: results.read_all(folder))}


# The registry


def make_architectures(size: int, folder: Path) -> None:
    """Write architectures, a file each."""
    for n in range(size):
        (folder / f"network{n:05d}.py").write_text(
            f'"""Made up."""\n\nfrom zoo.backend import keras\nfrom zoo.registry import register\n\n\n@register()\n'
            f'def network{n:05d}(input_shape, num_classes):\n    """Made up."""\n    return keras.Sequential()\n'
        )
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=True)  # as after the first import


def measure_architectures(size: int, folder: Path) -> dict[str, float]:
    """Import and list them."""
    import zoo
    from zoo import architectures

    architectures.__path__.append(str(folder))
    listed = timed(zoo.list_architectures)
    assert len(zoo.list_architectures()) >= size
    return {"list": listed}


def make_models(size: int, folder: Path) -> None:
    """Make published folders, as far as listing looks."""
    for n in range(size):
        write_json(folder / f"network{n:05d}.mnist" / PublishedFolder.PREPROCESSOR, {"dataset": "mnist"})


def measure_models(size: int, folder: Path) -> dict[str, float]:
    """List them."""
    import zoo

    os.environ["ZOO_MODELS"] = str(folder)
    listed = timed(zoo.list_models)
    assert len(zoo.list_models()) >= size
    return {"list": listed}


# Samples: streamed evaluation


def make_samples(size: int, folder: Path) -> None:
    """Write a dataset repo of 1,000 different pictures, as often as it takes."""
    import cv2
    import pyarrow
    import pyarrow.parquet

    rng = np.random.default_rng(0)
    pictures = [cv2.imencode(".png", rng.integers(0, 256, (28, 28), np.uint8))[1].tobytes() for _ in range(1000)]
    path = folder / "mnist" / "data" / "test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    image = pyarrow.array([{"bytes": p, "path": None} for p in pictures])
    table = pyarrow.table({"image": image, "label": pyarrow.array(rng.integers(0, 10, 1000))})
    with pyarrow.parquet.ParquetWriter(path, table.schema) as writer:
        for _ in range(size // 1000):
            writer.write_table(table)


def measure_samples(size: int, folder: Path) -> dict[str, float]:
    """Read all of it with a shipped model, part by part."""
    os.environ["ZOO_DATASETS"] = str(folder)
    import zoo
    from leaderboard.evaluation import evaluate_parts
    from zoo import data

    predictor = zoo.load_predictor("lenet5.mnist")
    started = time.process_time()
    samples, _ = evaluate_parts(predictor, data.stream("mnist", "test"))
    seconds = time.process_time() - started
    assert samples == size
    return {"evaluate": seconds}


# Submissions in the queue


def make_submissions(size: int, folder: Path) -> None:
    """Write submissions of 100 users that wait."""
    from leaderboard.submissions.lifecycle import Event, Submission

    for n in range(size):
        one = Submission(
            id=f"20261121-{n:08x}", user=f"user{n % 100}", name=f"network{n:05d}", track="weights", kind="onnx",
            datasets=("mnist",), licence="mit", declaration="", digest=f"{n:064x}", created=float(n),
            history=(Event(at=float(n), status="PENDING"),),
        )  # fmt: skip
        path = folder / "requests" / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one.to_dict()))


def measure_submissions(size: int, folder: Path) -> dict[str, float]:
    """List them at first and again, change one, and take the next one as a worker does."""
    from leaderboard.submissions.store import LocalStore
    from leaderboard.submissions.worker import Worker

    store = LocalStore(folder)
    first, again = timed(store.all), timed(store.all)
    wanted = f"20261121-{size // 2:08x}"
    change = min(timed(lambda: store.change(wanted, lambda s: replace(s, progress=s.progress + 0.1))) for _ in range(5))
    claim = timed(Worker(store, records=folder / "records").claim)
    return {"list at first": first, "list again": again, "change": change, "claim": claim}


PARTS = {
    "records": (make_records, measure_records),
    "architectures": (make_architectures, measure_architectures),
    "models": (make_models, measure_models),
    "samples": (make_samples, measure_samples),
    "submissions": (make_submissions, measure_submissions),
}

if __name__ == "__main__":
    cli.run(main)
