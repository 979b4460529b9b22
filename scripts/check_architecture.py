"""Check in about a minute whether an architecture would be accepted, before you open a pull request.

    python scripts/check_architecture.py zoo/architectures/my_net.py
    python scripts/check_architecture.py my_net

The exit status is 0 if every check passes, else 1. The checks are those of `make test` and the board: the network names
its source, builds for each of its datasets, takes raw uint8 images and returns probabilities, stays within the board's
limits and budget, learns, and exports to an ONNX file that agrees with Keras.
"""

import argparse
import ast
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cli
import numpy as np
from rich.console import Console

from leaderboard.submissions import budget
from zoo import data, registry
from zoo.backend import keras
from zoo.errors import ZooError
from zoo.published import PublishedFolder
from zoo.strict import keras_config
from zoo.strict.problems import Refused

FRAMEWORKS = {"tensorflow", "torch", "jax", "flax"}
SAMPLES, STEPS, BATCH = 256, 60, 64  # what it must memorize, and in how many steps
PATIENCE = 40.0  # seconds for that
Check = tuple[str, Callable[[], str]]


def main() -> int:
    """Run the checks and print the results; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", help="its file in zoo/architectures, or its name")
    wanted = parser.parse_args().architecture
    console, failed, started = Console(highlight=False, soft_wrap=True), 0, time.monotonic()
    for title, check in checks(registry.get(Path(wanted).stem if wanted.endswith(".py") else wanted)):
        try:
            console.print(f"[green]✓[/] {title}: {check()}", markup=True)
        except Exception as error:  # any error of a network is a finding
            said = error if isinstance(error, ZooError) else f"{type(error).__name__}: {error}"
            console.print("[red]✗[/]", f"{title}:", str(said), markup=True)
            failed += 1
    good = "It would be accepted: next, `make test` and a pull request"
    console.print(f"{f'{failed} to fix' if failed else good} ({time.monotonic() - started:.0f} s).")
    return 1 if failed else 0


def checks(architecture: registry.Architecture) -> Iterator[Check]:
    """Yield every check, the cheapest first."""
    yield "its source", lambda: source(architecture)
    yield "its imports", lambda: imports(architecture)
    for dataset in architecture.datasets:
        if (shape := data.get(dataset).image_shape) is not None:
            yield f"on {dataset}", partial(fit, architecture, data.get(dataset), shape)
    yield "learning", lambda: learn(architecture)
    yield "as ONNX", lambda: export(architecture)


def source(architecture: registry.Architecture) -> str:
    """Its docstring names the network and its source."""
    if not re.search(r"\(.*(\d{4}|public|ours).*\)", architecture.title):
        raise ZooError(f"{architecture.title!r} should name its source, for example LeNet-5 (LeCun et al., 1998).")
    return architecture.title


def imports(architecture: registry.Architecture) -> str:
    """It is backend-neutral Keras, so that every backend trains the same file."""
    path = cli.ROOT / (architecture.build.__module__.replace(".", "/") + ".py")
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    if bad := names & FRAMEWORKS:
        raise ZooError(f"{path.name} imports {', '.join(sorted(bad))}: use `from zoo.backend import keras` alone.")
    return "backend-neutral Keras"


def fit(architecture: registry.Architecture, spec: data.DatasetSpec, shape: tuple[int, int, int]) -> str:
    """It takes a dataset's raw images, returns probabilities, and stays within limits and budget."""
    model = registry.create_model(architecture.name, shape, len(spec.labels))
    if keras.backend.standardize_dtype(model.input.dtype) != "uint8":
        raise ZooError(f"It takes {model.input.dtype}: begin with keras.Input(input_shape, dtype='uint8').")
    images = np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8)
    answers = np.asarray(keras.ops.convert_to_numpy(model(images)))
    if answers.shape != (4, len(spec.labels)) or answers.dtype != np.float32:
        raise ZooError(f"It gives {answers.dtype} {answers.shape}, not float32 (4, {len(spec.labels)}).")
    if not np.isfinite(answers).all() or not np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        raise ZooError("Its outputs are not probabilities: end it with a softmax.")
    try:
        report = keras_config.read_config(json.loads(model.to_json()))
    except Refused as error:  # reviewed code may use more than an untrusted configuration
        return f"{model.count_params():,} parameters; its training time cannot be estimated ({error.problem.what})"
    if report.parameters != model.count_params():
        raise ZooError(f"Keras counts {model.count_params():,} parameters, the board {report.parameters:,}.")
    hours = budget.training_seconds(report.multiply_adds, spec.name) / 3600
    if hours > budget.SEEDS * budget.BUDGET / 3600:
        raise ZooError(f"{budget.SEEDS} trainings would take about {hours:.0f} hours on two cores: make it smaller.")
    counts = f"{report.parameters:,} parameters, {report.multiply_adds:,} multiply-adds"
    return f"{counts}, {budget.SEEDS} trainings in about {max(hours * 60, 1):.0f} minutes on two cores"


def _glyphs(architecture: registry.Architecture) -> tuple[data.DatasetSpec, tuple[int, int, int]]:
    """Return the first dataset of glyphs that the architecture is for, and the shape of its images."""
    for spec in map(data.get, architecture.datasets):
        if spec.image_shape is not None:
            return spec, spec.image_shape
    raise ZooError(f"{architecture.name} is for pages only: name a dataset of glyphs too.")


def learn(architecture: registry.Architecture) -> str:
    """It can memorize about a hundred generated shapes from raw pixels."""
    spec, shape = _glyphs(architecture)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(spec.labels), SAMPLES)
    shapes = rng.integers(0, 2, (len(spec.labels), 7, 7, 1)).astype(np.uint8) * 255
    height, width, _ = shape
    images = shapes[labels].repeat(-(-height // 7), axis=1).repeat(-(-width // 7), axis=2)[:, :height, :width]
    keras.utils.set_random_seed(0)
    model = registry.create_model(architecture.name, shape, len(spec.labels))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", jit_compile=False)
    losses: list[float] = []
    started = time.monotonic()
    while len(losses) < STEPS and time.monotonic() < started + PATIENCE:
        rows = rng.integers(0, SAMPLES, BATCH)
        losses.append(float(model.train_on_batch(images[rows], labels[rows])))
    first, last = losses[0], float(np.mean(losses[-5:]))
    went = f"its loss went from {first:.2f} to {last:.2f} in {len(losses)} steps"
    if not np.isfinite(last) or (last > 0.5 * first and len(losses) == STEPS):
        raise ZooError(f"{went.capitalize()}: is its input scaled?")
    return went if last <= 0.5 * first else f"{went}, too few to judge: it is slow"


def export(architecture: registry.Architecture) -> str:
    """Its ONNX file passes the checks for submissions, and agrees with Keras."""
    import onnxruntime

    from leaderboard.submissions.checks import onnx_graph
    from zoo.export import export_onnx

    spec, shape = _glyphs(architecture)
    model = registry.create_model(architecture.name, shape, len(spec.labels))
    images = np.random.default_rng(0).integers(0, 256, (16, *shape), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = PublishedFolder(Path(folder)).onnx
        export_onnx(model, path)
        onnx_graph.read_graph(path.read_bytes())
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        ours = session.run(None, {session.get_inputs()[0].name: images})[0]
        size = path.stat().st_size
    theirs = np.asarray(keras.ops.convert_to_numpy(model(images)))
    if not np.allclose(ours, theirs, atol=1e-4):
        raise ZooError(f"Keras and ONNX differ by {np.abs(ours - theirs).max():.2g}.")
    return f"{size / 1000:,.0f} kB, within {np.abs(ours - theirs).max():.1g} of Keras"


if __name__ == "__main__":
    cli.run(main)
