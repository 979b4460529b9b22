"""Measure every precision and runtime of networks, in the browser and as C too, on whole test sets.

    python -m scripts.bench.portable                                     every shipped network for glyphs
    python -m scripts.bench.portable --models glyphnet_5k.mnist --samples 500
    python -m scripts.bench.portable --write                             and keep it in leaderboard/precisions
    python -m scripts.bench.portable --write --missing                   only networks of which nothing is kept

Each network in float32, float16 and int8, as ONNX Runtime, OpenVINO, LiteRT, a browser and C run it: accuracy, size of
the file, and processor time for one image at a time on one thread (in the browser, time). In ONNX Runtime, OpenVINO and
LiteRT, int8 has activations of 8 bits, in the browser only the weights. float16 is model.onnx as it is published.
Exit status 1 if an answer of the browser's engine or of C differs from that of model.onnx in float32 or float16, or a
sketch is drawn otherwise than in Python.
"""

import gzip
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from leaderboard import precisions
from leaderboard.evaluation import revision
from leaderboard.precisions import Precisions, Row
from scripts import cli
from scripts.bench import in_browser, measurements, node
from scripts.bench.measurements import Measurement, Table
from scripts.chores.update_tables import best_rows
from zoo import data, environment, hub, ink
from zoo.data.spec import Split
from zoo.errors import ZooError
from zoo.export import formats
from zoo.portable import c_header, javascript
from zoo.portable.graph import PRECISIONS
from zoo.published import PublishedFolder
from zoo.serving import by_script, opening
from zoo.serving.predictor import BATCH

sys.path.insert(0, str(cli.ROOT / "tests"))
from test_ink import skeleton

TOLERANCES = {"float32": 1e-5, "float16": 1e-3}  # of a probability
DRAWN = 1_000  # sketches
TIMED = 300  # images, one at a time
ROUNDS = 50  # of five images each in the browser
FORMATS = {"ONNX Runtime": "onnx", "OpenVINO": "openvino", "LiteRT": "litert"}
PACKAGES = ("onnxruntime", "openvino", "ai-edge-litert")
MAIN = """#include <stdio.h>
#include "network.h"
static unsigned char image[{pixels}];
static float probabilities[{classes}];
int main(void) {{
  while (fread(image, 1, sizeof image, stdin) == sizeof image) {{
    {prefix}_read(image, probabilities);
    fwrite(probabilities, sizeof probabilities, 1, stdout);
  }}
  return 0;
}}
"""


def main() -> int:
    """Print a line for each file and what is missed; 1 if something is."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--models", nargs="+", help="default: all that are shipped and read single glyphs")
    parser.add_argument("--samples", type=int, help="of each test set (default: all)")
    parser.add_argument("--sketches", type=int, default=DRAWN, help=f"redrawn test samples (default: {DRAWN:,})")
    parser.add_argument("--missing", action="store_true", help="leave out networks of which it is kept")
    arguments = parser.parse_args()
    if arguments.write and arguments.samples:
        raise ZooError("What is kept is of whole test sets: leave out --samples.")
    os.environ["OMP_NUM_THREADS"] = "1"  # one image is too little to share
    models = arguments.models or shipped()
    missed: list[str] = []
    with in_browser.running() as browser:
        for model in models:
            if arguments.missing and is_kept(model):
                continue
            found = measured(model, browser, arguments.samples)
            for row in found.rows:
                print(line(found, row), flush=True)
            missed += misses(found)
            if arguments.write:
                precisions.write(found)
    redrawn = Table("test samples, redrawn in Python and in the browser", list(sketches(models, arguments.sketches)))
    for miss in missed:
        print("MISSED", miss)
    return measurements.conclude("sketches", arguments, [redrawn]) or int(bool(missed))


def shipped() -> list[str]:
    """Return the shipped networks for single glyphs; first those that validation chooses, then the smallest."""
    served = by_script.networks()
    found = [one for key, of_it in served.items() if key != by_script.PAGES for one in of_it if not one.own]
    chosen = {row.model for _, _, row in best_rows()}
    return [one.model for one in sorted(found, key=lambda one: (one.model not in chosen, one.parameters))]


def is_kept(model: str) -> bool:
    """Return whether the rows of a network's weights of today are kept."""
    return precisions.of(model, revision(hub.resolve(model))) is not None


def measured(model: str, browser: Any, samples: int | None) -> Precisions:
    """Return every row of a network, of its whole test set or the first samples of it."""
    folder, load = hub.resolve(model), round(os.getloadavg()[0], 2)
    predictor = zoo.load_predictor(model)
    split = data.get(predictor.dataset).scored
    whole = data.load(predictor.dataset, split)
    test = whole.take(np.arange(len(whole)) < (samples or len(whole)))
    expected = predictor(test.images)
    rows = []
    for precision in PRECISIONS:
        rows += [native(folder, runtime, precision, test) for runtime in FORMATS if is_written(runtime, precision)]
        said = in_javascript(folder, precision, test.images, browser)
        rows.append(compared("browser", precision, test, expected, *said))
    rows.append(compared("C", "float32", test, expected, *in_c(folder, test.images, len(predictor.labels))))
    return Precisions(
        model=model,
        revision=revision(folder),
        dataset=predictor.dataset,
        dataset_fingerprint=whole.fingerprint,
        split=split,
        samples=len(test),
        rows=rows,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=environment.commit(),
        machine=environment.processor(),
        load=load,
        versions={package: version(package) for package in PACKAGES} | {"chromium": browser.version},
    )


def is_written(runtime: str, precision: str) -> bool:
    """Return whether a network is written for a runtime in a precision: LiteRT has no file of float16."""
    return runtime != "LiteRT" or precision != "float16"


def native(folder: Path, runtime: str, precision: str, test: Split) -> Row:
    """Return the row of a file as `scripts/export.py` writes it; in float16, of model.onnx as it is published."""
    form = formats.FORMATS[FORMATS[runtime]]
    with tempfile.TemporaryDirectory() as scratch:
        file = PublishedFolder(folder).onnx
        if precision != "float16":
            file = Path(scratch) / f"model{form.suffix}"
            formats.convert(folder, file, FORMATS[runtime], int8=precision == "int8")
        size = sum(part.stat().st_size for part in {file, file.with_suffix(".bin")} if part.is_file())
        network = opening.load(file, form.runtime, here=True)  # its time counts
        found = np.concatenate([network(test.images[i : i + BATCH]) for i in range(0, len(test), BATCH)])
        return Row(precision, runtime, accuracy(found, test), size, cpu_time(network, test.images[:TIMED]))


def in_javascript(folder: Path, precision: str, images: np.ndarray, browser: Any) -> tuple[np.ndarray, int, float]:
    """Return what the browser's engine computes (in Node), the bytes of its file, and milliseconds an image."""
    file = javascript.network_file(folder, precision)
    with tempfile.TemporaryDirectory() as scratch:
        (found,) = node.answer(Path(scratch), [(file, images)])["probabilities"]
    with in_browser.opened(browser, folder, precision) as page:
        return found, len(gzip.compress(json.dumps(file).encode())), in_browser.one_image(page, ROUNDS)


def in_c(folder: Path, images: np.ndarray, classes: int) -> tuple[np.ndarray, int, float]:
    """Return what a network computes in C, the bytes of its code and constants, and milliseconds an image.

    gcc compiles it for this processor; for its size it compiles it as a microcontroller's compiler would (-Os).
    """
    gcc = shutil.which("gcc")
    if gcc is None:
        raise ZooError("There is no compiler: install gcc.")
    with tempfile.TemporaryDirectory() as scratch:
        here, prefix = Path(scratch), c_header.prefix_of(folder.name)
        (here / "network.h").write_text(c_header.header(folder), encoding="utf-8")
        (here / "main.c").write_text(
            MAIN.format(pixels=images[0].size, classes=classes, prefix=prefix), encoding="utf-8"
        )
        (here / "images").write_bytes(images.tobytes())

        def done(*command: str | Path, **options: Any) -> bytes:
            return subprocess.run(command, cwd=here, check=True, stdout=subprocess.PIPE, **options).stdout

        done(gcc, "-std=c99", "-Os", "-c", "main.c")
        code, constants = map(int, done("size", "main.o").split()[6:8])
        done(gcc, "-std=c99", "-O3", "-march=native", "main.c", "-o", "main")
        with open(here / "images", "rb") as source:
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            said = done(here / "main", stdin=source)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        found = np.frombuffer(said, np.float32).reshape(len(images), classes)
        return found, code + constants, 1000 * spent / len(images)


def compared(
    runtime: str, precision: str, test: Split, expected: np.ndarray, found: np.ndarray, size: int, milliseconds: float
) -> Row:
    """Return the row of answers (N, classes) that are compared with those of model.onnx."""
    others = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    apart = float(np.abs(found - expected).max())
    return Row(precision, runtime, accuracy(found, test), size, milliseconds, apart, others)


def accuracy(found: np.ndarray, test: Split) -> float:
    """Return the fraction of answers (N, classes) that are right."""
    return float((found.argmax(axis=1) == test.labels).mean())


def cpu_time(network: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> float:
    """Return milliseconds of processor time an image, the median; the first calls, which prepare, do not count."""
    times = []
    for index in range(-10, len(images)):
        begun = time.process_time()
        network(images[index][None])
        times.append(time.process_time() - begun)
    return 1000 * statistics.median(times[10:])


def misses(found: Precisions) -> Iterator[str]:
    """Yield what is not identical: another answer, or a probability that is too far off; int8 promises nothing."""
    for row in found.rows:
        if row.difference is None or row.precision not in TOLERANCES:
            continue
        if row.others or row.difference > TOLERANCES[row.precision]:
            said = f"{row.others} other answers, {row.difference:.1e} apart"
            yield f"{found.model}, {row.precision}, {row.runtime}: {said}"


def line(found: Precisions, row: Row) -> str:
    """Return a row as it is printed."""
    said = f"{found.model:28} {row.precision:8} {row.runtime:13} {row.accuracy:7.2%} {row.bytes:10,} bytes"
    apart = "" if row.difference is None else f"  {row.difference:.0e} apart, {row.others} other answers"
    return f"{said} {row.milliseconds:8.3f} ms{apart}"


def sketches(models: list[str], count: int) -> Iterator[Measurement]:
    """Yield how alike test samples are that both sides draw again, and how alike their answers."""
    groups: dict[str, list] = {}
    for predictor in map(zoo.load_predictor, models):
        groups.setdefault(predictor.dataset, []).append(predictor)
    each = max(1, count // max(1, len(groups)))
    for name, predictors in groups.items():
        contract = predictors[0].contract
        split = data.load(name, data.get(name).scored)
        rows = np.random.default_rng(0).permutation(len(split))
        drawn: list[list] = []
        for image in split.images[rows]:
            lines = [[[1000 * x, 1000 * y] for x, y in stroke] for stroke in skeleton(image)]
            if lines and len(drawn) < each:
                drawn.append(lines)
            elif len(drawn) == each:
                break
        asked = [{"contract": contract.to_dict(), "strokes": one, "size": 1000, "pen": ink.PEN} for one in drawn]
        with tempfile.TemporaryDirectory() as scratch:
            there = np.array(node.answer(Path(scratch), sketches=asked)["drawn"], np.uint8)
        here = np.stack([ink.from_strokes(one, contract, 1000, ink.PEN) for one in drawn])
        there = there.reshape(here.shape)
        pixels = np.mean(np.abs(here.astype(int) - there) > 8)
        same = np.mean([(p(here).argmax(1) == p(there).argmax(1)).mean() for p in predictors])
        yield Measurement(
            name, 100 * float(pixels), "%", most=1, n=len(drawn), column="pixels that differ by more than 8 of 255"
        )
        yield Measurement(name, 100 * float(same), "%", least=99.9, column="same answers")
        yield Measurement(name, len(predictors), column="networks")
    if not groups:
        raise ZooError("There is no network to draw for.")


if __name__ == "__main__":
    cli.run(main)
