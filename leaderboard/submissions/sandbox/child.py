"""What runs in the sandbox: `launch` confines the process and starts `main`, which waits for a job and does it.

A job and its answer are files in the folder that is this process' own:

    job.json, model.<kind>   what to do
    images.u8                on which images, uint8 (asked, H, W, 1): in a secret order, without labels
    progress                 a number from 0 to 1, as it goes on
    model.onnx, answers.f32  what was measured, and its answers: float32 (asked, classes)
    outcome.json             facts of the measurement, or the reason why there is none; written when it is over
    portable.json            the network as a browser runs it, or the reason why it cannot; the measurement needs it not
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import numpy as np
    import onnxruntime

Json = dict[str, Any]  # spelled out: what starts in a sandbox imports as little as it can

MODEL, ANSWERS, OUTCOME, PROGRESS, READY = "model.onnx", "answers.f32", "outcome.json", "progress", "ready"
IMAGES = "images.u8"
PORTABLE = "portable.json"
MOST_PORTABLE = 8_000_000  # bytes of an ONNX file that is compiled for a browser
TOO_LARGE = "This network is too large to be taken as a page."
PRECISION = "float16"  # of its weights there
PATIENCE = 60  # seconds for that
KNOWN = 100  # measured images to which the browser has to give the answers of the measured file
MOST_MULTIPLY_ADDS = 2_000_000_000  # of one image
AGREEMENT = 1e-3  # by which probabilities of one network may differ between Keras and ONNX
COMPARED = 64  # images on which Keras and ONNX are compared
SEEN = 100  # of the measured images, in which the values of a network are compared
CALLS = 64  # of the runtime, that one thread makes in one go
TIMED, TIMED_SECONDS = 300, 1.0  # images whose answers are timed before the others, or as many as take this long


class Unfit(Exception):
    """A submission that cannot be measured; the message is for its sender."""


def main(kind: str, isolation: Json, attended: bool) -> None:
    """Import what a job of this kind needs, wait for the word, do the job.

    Args:
        kind: of the job.
        isolation: reported to the parent.
        attended: end as soon as the standard input does, since then the parent is gone.
    """
    folder = Path.cwd()
    for module in WARM[kind]:
        importlib.import_module(module)
    _collect_often()
    _write(folder / READY, isolation)
    if not sys.stdin.buffer.readline():
        os._exit(1)  # whoever started this is gone
    if attended:
        threading.Thread(target=_die_with_parent, daemon=True).start()
    job = json.loads((folder / "job.json").read_text())
    try:
        outcome = do(job, folder)
    except Unfit as error:
        outcome = {"reason": str(error)}
    except MemoryError:
        outcome = {"reason": "It needs more memory than a measurement may use."}
    except Exception as error:  # any error of an untrusted network is reported to its sender
        outcome = {"reason": f"It cannot be run: {type(error).__name__}: {error}"[:400]}
    _write(folder / OUTCOME, outcome)
    if "reason" not in outcome:
        signal.alarm(PATIENCE)  # ends the process: the measurement stands
        _write(folder / PORTABLE, _portable(job, folder))
    sys.stdout.flush()
    os._exit(0)  # skip the destructors of libraries


def _collect_often() -> None:
    """Have what a job leaves in cycles freed soon, and what was imported left alone.

    The converter of Keras files copies the graph, weights and all, for each of its passes: 37 copies of one layer that
    is called 60 times took more than all memory before Python looked for them among so many objects.
    """
    gc.freeze()
    gc.collect()  # which counts what is not frozen: the next full ones come by that
    gc.set_threshold(700, 10, 1)


def _die_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _write(path: Path, value: object) -> None:
    staged = path.with_name(f".{path.name}")
    staged.write_text(json.dumps(value))
    staged.rename(path)


def do(job: Json, folder: Path) -> Json:
    """Do a job and return its outcome."""
    steps = {"onnx": _given, "keras": _converted, "json": _trained}
    facts = steps[job["kind"]](job, folder)
    _tell(folder, job["share"])
    facts |= _costs(folder / MODEL, _images(job, folder))
    _answer(job, folder)
    return facts


def _tell(folder: Path, share: float) -> None:
    staged = folder / ".progress"
    staged.write_text(f"{share:.4f}")
    staged.rename(folder / PROGRESS)


# Making model.onnx


def _given(job: Json, folder: Path) -> Json:
    (folder / "model.sent").rename(folder / MODEL)
    return {}


def _converted(job: Json, folder: Path) -> Json:
    """Load a clean Keras archive and export it."""
    import numpy as np

    from zoo.backend import keras
    from zoo.export import export_onnx
    from zoo.training.batch_norm_folding import folded

    archive = folder / "model.keras"
    (folder / "model.sent").rename(archive)
    model = keras.saving.load_model(archive, compile=False, safe_mode=True)
    export_onnx(folded(model), folder / MODEL)
    images = _images(job, folder)[:COMPARED]
    session = _session(folder / MODEL)
    ours = session.run(None, {session.get_inputs()[0].name: images})[0]
    theirs = keras.ops.convert_to_numpy(model(images))
    if not np.allclose(ours, theirs, atol=AGREEMENT):
        raise Unfit("The Keras model and its ONNX export do not agree, so it is unclear which model to measure.")
    return {}


def _trained(job: Json, folder: Path) -> Json:
    """Train a clean configuration from scratch, as every network of the board is, and export it."""
    os.environ["ZOO_DATASETS"] = job["datasets"]
    from zoo import registry, training
    from zoo.backend import keras
    from zoo.data import unpacking
    from zoo.export import export
    from zoo.strict import keras_config

    unpacking.confined()
    config = json.loads((folder / "model.sent").read_text())

    def submitted(input_shape: tuple[int, int, int], num_classes: int) -> "keras.Model":
        """A submitted architecture."""
        return keras.saving.deserialize_keras_object(keras_config.retarget(config, input_shape, num_classes))

    registry.register()(submitted)
    plan = training.plan("submitted", job["dataset"], seed=job["seed"], epochs=job["epochs"])
    with contextlib.redirect_stdout(sys.stderr):
        run = training.train(plan, folder / "runs", lambda share: _tell(folder, job["share"] * share))
        exported = export(run, folder / "export")
    (exported / MODEL).rename(folder / MODEL)
    history = run.history
    return {
        "epochs": len(history["epochs"]),
        "validation_accuracy": history["validation"]["accuracy"],
        "training_seconds": history["training_seconds"],
        "training_fingerprint": history["fingerprint"],
    }


# Making it portable


def _portable(job: Json, folder: Path) -> Json:
    """Return a measured network as a program for a browser, or the reason why there is none."""
    import numpy as np

    from zoo.errors import ZooError
    from zoo.portable import compiling, javascript

    path = folder / MODEL
    if path.stat().st_size > MOST_PORTABLE:
        return {"reason": TOO_LARGE}
    answers = np.fromfile(folder / ANSWERS, np.float32, KNOWN * job["classes"]).reshape(-1, job["classes"])
    known = _images(job, folder)[: len(answers)], answers
    try:
        program = javascript.as_json(compiling.compiled(path, PRECISION, known), PRECISION)
        return {"program": program, "precision": PRECISION}
    except ZooError as error:
        return {"reason": str(error)}
    except Exception as error:  # any error of an untrusted network
        return {"reason": f"This network cannot be exported: {type(error).__name__}."}


# Measuring it


def _costs(path: Path, images: "np.ndarray") -> Json:
    """Return the multiply-adds and the numbers used of a network.

    Raises:
        Unfit: the multiply-adds are too many, or the graph cannot be run.
    """
    import random

    from leaderboard import products, used_numbers

    seen = [images[place] for place in random.SystemRandom().sample(range(len(images)), min(SEEN, len(images)))]
    try:
        multiply_adds = products.count(path)
        if multiply_adds <= MOST_MULTIPLY_ADDS:
            found = {"multiply_adds": multiply_adds, "used_numbers": used_numbers.count(path, seen)}
    except Exception as error:
        reason = str(error).strip().splitlines()[:1]
        raise Unfit(f"Its graph cannot be run on one image: {' '.join(reason)[:400]}") from error
    if multiply_adds > MOST_MULTIPLY_ADDS:
        raise Unfit(f"It needs {multiply_adds:,} multiply-adds for one image; the most is {MOST_MULTIPLY_ADDS:,}.")
    return found


def _session(path: Path) -> "onnxruntime.InferenceSession":
    """Return the network for several images at a time, whose values it does not keep; one thread runs each call."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _images(job: Json, folder: Path) -> "np.ndarray":
    """Return the images as uint8 (asked, height, width, channels), not read until they are used."""
    import numpy as np

    return np.asarray(np.memmap(folder / IMAGES, np.uint8, "r")).reshape(-1, *job["shape"])


def _answer(job: Json, folder: Path) -> None:
    """Run the model in calls of `job["sizes"]` images, on all cores, and write its answers.

    What counts, the answers to single images, is computed in the session in which the operations are counted.
    """
    import numpy as np

    from leaderboard import products

    alone, together, images = products.whole(folder / MODEL), _session(folder / MODEL), _images(job, folder)
    feed, answer = alone.get_inputs()[0].name, alone.get_outputs()[0].name
    ends = np.cumsum(job["sizes"])
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    _check_speed(lambda image: alone.run([answer], {feed: image}), images, threads, job["seconds"])

    def answers(first: int) -> bytes:
        """Return the answers to a few calls, from the call with this number on."""
        found = []
        for size, end in zip(job["sizes"][first : first + CALLS], ends[first : first + CALLS], strict=True):
            session = alone if size == 1 else together
            said = session.run([answer], {feed: images[end - size : end]})[0]
            if said.dtype != np.float32 or said.shape != (size, job["classes"]):
                raise Unfit(f"It answers {size} images with {said.dtype} {said.shape}.")
            found.append(said.tobytes())
        return b"".join(found)

    with (folder / ANSWERS).open("wb") as file, ThreadPoolExecutor(threads) as pool:
        for number, found in enumerate(pool.map(answers, range(0, len(ends), CALLS))):
            file.write(found)
            if not number % 20:
                _tell(folder, job["share"] + (1 - job["share"]) * number * CALLS / len(ends))


def _check_speed(answer: Callable[[Any], object], images: "np.ndarray", threads: int, most: float) -> None:
    """Raise Unfit where a network is too slow to answer all images; other programs on the machine do not count.

    Args:
        answer: answers images, uint8 (count, height, width, channels).
        images: all that are asked.
        threads: that answer at a time.
        most: seconds.
    """
    answer(images[:1])  # the first answer takes longer
    count, began = 0, time.process_time()
    while count < min(TIMED, len(images)) and time.process_time() < began + TIMED_SECONDS:
        answer(images[count : count + 1])
        count += 1
    each = (time.process_time() - began) / max(count, 1)
    if (seconds := each * len(images) / threads) > most:
        raise Unfit(
            f"It would take about {seconds:,.0f} s to measure, and the most is {most:,.0f} s: {each * 1000:.2f} ms of "
            f"processor time for each of {len(images):,} images, on {threads} processors. Make it smaller."
        )


_RUNTIME = ("numpy", "onnxruntime", "leaderboard.used_numbers")
_FRAMEWORK = ("tensorflow", "keras", "tf2onnx", "zoo.export")
WARM = {"onnx": _RUNTIME, "keras": _RUNTIME + _FRAMEWORK, "json": _RUNTIME + _FRAMEWORK}  # imported before the job
