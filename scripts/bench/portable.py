"""Measure networks that run without a server: in JavaScript and as C, against ONNX Runtime on whole test sets.

    python -m scripts.bench.portable                                     every shipped network for glyphs
    python -m scripts.bench.portable --models glyphnet_5k.mnist --samples 500
    python -m scripts.bench.portable --write                             and put the rows of `SHOWN` into docs/speed.md

Each network in float32, float16 and int8: its accuracy, the size of its files, the time an image takes (processor time,
one image at a time), and how far its answers are from those of ONNX Runtime. Exit status 1 if an answer differs in
float32 or float16, or a sketch is drawn otherwise than in Python.
"""

import argparse
import gzip
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import zoo
from scripts import cli
from scripts.bench import node
from zoo import data, hub, ink
from zoo.errors import ZooError
from zoo.portable import c_header, graph, javascript, page
from zoo.portable.graph import PRECISIONS
from zoo.published import PublishedFolder
from zoo.serving import by_script
from zoo.serving.runtimes import installed

sys.path.insert(0, str(cli.ROOT / "tests"))
from test_ink import skeleton

TOLERANCES = {"float32": 1e-5, "float16": 1e-3}  # of a probability
DRAWN = 1_000  # sketches
SHOWN = (
    *(f"glyphnet_{size}.mnist" for size in ("700", "5k", "10k", "100k", "300k", "1m")),
    *(f"glyphnet_100k.{dataset}" for dataset in ("ahdd", "ahcd", "unipen_letters")),
)  # in the table of the docs
DOCS = cli.ROOT / "docs" / "speed.md"
COLUMNS = (
    "network", "weights", "accuracy %", "difference", "file, kB gzip", "HTML, kB gzip", "ONNX Runtime, ms",
    "OpenVINO, ms", "JavaScript, ms", "C, ms",
)  # fmt: skip
HEAD = f"| {' | '.join(COLUMNS)} |\n| --- | --- |{' ---: |' * (len(COLUMNS) - 2)}\n"
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
    """Print a table and what is missed; 1 if something is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", help="default: all that are shipped and read single glyphs")
    parser.add_argument("--samples", type=int, default=10_000, help="of each test set (default: 10,000)")
    parser.add_argument("--sketches", type=int, default=DRAWN, help=f"redrawn test samples (default: {DRAWN:,})")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCS.name}")
    arguments = parser.parse_args()
    served = by_script.networks()
    models = arguments.models or [one.model for key in served if key != by_script.PAGES for one in served[key]]
    lines, missed = [], []
    for model in models:
        for line, misses in rows(model, arguments.samples):
            print(line, flush=True)
            lines += [line] * (model in SHOWN)
            missed += misses
    missed += sketches(models, arguments.sketches)
    if arguments.write:
        text = DOCS.read_text(encoding="utf-8")
        between = HEAD + "\n".join(lines) + "\n"
        text = re.sub(r"(<!-- precision:[^>]*-->\n).*?(<!-- /precision -->)", rf"\g<1>{between}\g<2>", text, flags=re.S)
        DOCS.write_text(text, encoding="utf-8")
    for miss in missed:
        print("MISSED", miss)
    return int(bool(missed))


def rows(model: str, samples: int):
    """Yield a line of the table and what was missed, for each precision of a network."""
    folder, predictor = hub.resolve(model), zoo.load_predictor(model)
    split = data.load(predictor.dataset, data.get(predictor.dataset).scored)
    images, labels = split.images[:samples], split.labels[:samples]
    expected = predictor(images)
    for precision in PRECISIONS:
        network = graph.read(PublishedFolder(folder).onnx, precision)
        native = [cpu_time(call, images[:500]) for call in (network, in_openvino(network))]
        file = javascript.network_file(folder, precision)
        with tempfile.TemporaryDirectory() as scratch:
            said = node.answer(Path(scratch), [(file, images)])
        (found,) = said["probabilities"]
        in_c, there = compiled(folder, images, len(predictor.labels)) if precision == "float32" else (None, None)
        misses = []
        for name, answers in (("JavaScript", found), ("C", there)):
            if answers is None:
                continue
            apart, others = np.abs(answers - expected).max(), int((answers.argmax(1) != expected.argmax(1)).sum())
            if precision in TOLERANCES and (apart > TOLERANCES[precision] or others):
                misses.append(f"{model}, {precision}, {name}: {others} other answers, {apart:.1e} apart")
        sizes = [
            len(gzip.compress(text.encode())) / 1000
            for text in (json.dumps(file), page.page(file, page.card_facts(folder)))
        ]
        accuracy = 100 * (found.argmax(axis=1) == labels).mean()
        cells = [f"`{model}`", precision, f"{accuracy:.2f}", f"{np.abs(found - expected).max():.0e}"]
        cells += [f"{size:.1f}" for size in sizes]
        cells += [f"{one:.2f}" for one in (*native, said["milliseconds"][0])]
        cells.append("" if in_c is None else f"{in_c:.2f}")
        yield f"| {' | '.join(cells)} |", misses


def in_openvino(network: graph.Graph):
    """Return a simplified network as OpenVINO runs it on one thread, one image at a time."""
    core = installed("openvino").Core()
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
    request = core.compile_model(core.read_model(network.model), "CPU", hints).create_infer_request()
    return lambda images: [request.infer({0: image[None]}) for image in images]


def cpu_time(call, images: np.ndarray) -> float:
    """Return milliseconds of processor time an image; the first call, which prepares, does not count."""
    call(images[:1])
    begun = time.process_time()
    call(images)
    return 1000 * (time.process_time() - begun) / len(images)


def compiled(folder: Path, images: np.ndarray, classes: int):
    """Return milliseconds an image and the probabilities of a network as C; (None, None) where there is no compiler."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return None, None
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        (here / "network.h").write_text(c_header.header(folder), encoding="utf-8")
        prefix = c_header.prefix_of(folder.name)
        text = MAIN.format(pixels=images[0].size, classes=classes, prefix=prefix)
        (here / "main.c").write_text(text, encoding="utf-8")
        subprocess.run([gcc, "-std=c99", "-O3", "-march=native", "main.c", "-o", "main"], cwd=here, check=True)
        (here / "images").write_bytes(images.tobytes())
        with open(here / "images", "rb") as source:
            before = resource_time()
            done = subprocess.run([here / "main"], stdin=source, capture_output=True, check=True)
        milliseconds = 1000 * (resource_time() - before) / len(images)
        return milliseconds, np.frombuffer(done.stdout, np.float32).reshape(len(images), classes)


def resource_time() -> float:
    """Return the processor time of finished children, seconds."""
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def sketches(models: list[str], count: int) -> list[str]:
    """Print how test samples are redrawn on both sides; return what is missed."""
    missed = []
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
        said = f"{pixels:.3%} of the pixels differ by more than 8, {same:.2%} of the answers are the same"
        print(f"{name}: {len(drawn):,} sketches, {said}")
        if pixels > 0.01 or same < 0.999:
            missed.append(f"{name}: {said}")
    if not groups:
        raise ZooError("There is no network to draw for.")
    return missed


if __name__ == "__main__":
    cli.run(main)
