"""Check a submitted file, without loading, looking up or running anything.

checked = checks.check(data, "model.keras", ("mnist",))
checked.problems    # problems and how to fix them; empty: it can be measured
checked.content     # clean bytes for the sandbox; identical for equal models, however they were packed

A server calls `guard.check`, which does the same in a process with limits.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath

from leaderboard.submissions import budget
from leaderboard.submissions.checks import keras_archive, onnx_graph
from zoo import data as datasets
from zoo.strict import hdf5, keras_config, keras_parts, untrusted_json
from zoo.strict.problems import Findings, Problem, Refused, problems_of, short, texts, whole
from zoo.types import Json

MOST_BYTES = 50_000_000  # of a file
WEIGHTS, ARCHITECTURE = "weights", "architecture"
KERAS, ONNX, CONFIG = "keras", "onnx", "json"  # also the suffix of the stored file
TRACKS = {KERAS: WEIGHTS, ONNX: WEIGHTS, CONFIG: ARCHITECTURE}
CONVERT = "model = keras.models.load_model({name}); model.save('model.keras')"
CONVERT_SAVED_MODEL = "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx --opset 18"


@dataclass(frozen=True)
class Checked:
    """The result of the static checks of a file.

    kind: KERAS, ONNX or CONFIG.
    content: bytes to be stored and measured, rebuilt from the checked parts; None if it is rejected.
    digest: SHA-256 of the clean content, else of the submitted file; equal models have equal digests.
    parameters, multiply_adds: of one image; multiply-adds of ONNX are counted in the sandbox.
    work: about how many multiply-adds, or other operations if they are more, one image takes: for the queue.
    problems: to fix before it can be measured.
    notes: hints for the sender.
    """

    kind: str
    digest: str
    content: bytes | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    work: int = 0
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def track(self) -> str:
        """WEIGHTS: measured unchanged; ARCHITECTURE: trained from scratch."""
        return TRACKS[self.kind]

    def to_dict(self) -> Json:
        """Return plain JSON types, without the content."""
        return {**asdict(self), "content": None}

    @classmethod
    def from_child(cls, data: bytes, filename: str, values: Json, content: bytes | None) -> "Checked":
        """Rebuild a report of a file from what a child says of it, which a stranger's file may have made it say.

        Nothing that names a file or a way to go on is taken from it: the kind and the digest are found here.

        Raises:
            ValueError: it is no report.
        """
        kind, problems = _kind(data, filename) or ONNX, problems_of(values)
        digest = hashlib.sha256(data if content is None or problems else content).hexdigest()
        if problems:
            return cls(kind, digest, problems=problems)
        if not content:
            raise ValueError("There is neither a problem nor a content.")
        multiply_adds = None if values.get("multiply_adds") is None else whole(values, "multiply_adds")
        notes = texts(values.get("notes"))
        return cls(kind, digest, content, whole(values, "parameters"), multiply_adds, whole(values, "work"), (), notes)


def check(data: bytes, filename: str, wanted: Sequence[str]) -> Checked:
    """Run the static checks of a file that is to be measured on these datasets.

    Args:
        data: the file's bytes.
        filename: only its suffix is used, and only for a better message; the content decides.
        wanted: names of datasets.
    """
    kind = _kind(data, filename)
    try:
        if not data:
            raise Refused("empty", "The file is empty.", "Send it again.")
        if len(data) > MOST_BYTES:
            what = f"The file has {len(data) / 1e6:.1f} MB; the most is {MOST_BYTES / 1e6:.0f} MB."
            raise Refused("too-large", what, "This board is for small networks: make it smaller.")
        if kind is None:
            raise _unknown(data, filename)
        return _CHECKS[kind](data, Checked(kind, ""), tuple(wanted))
    except Refused as error:
        return refused(data, filename, error)


def refused(data: bytes, filename: str, error: Refused) -> Checked:
    """Return the report of a file that is rejected for this reason."""
    kind = _kind(data, filename) or ONNX
    return Checked(kind, hashlib.sha256(data).hexdigest(), problems=error.problems)


def _all_of(*checks: Callable[[], None]) -> None:
    """Run every check, then raise Refused with all problems that they found."""
    found = Findings()
    for check_one in checks:
        with found.next():
            check_one()
    found.check()


def _kind(data: bytes, filename: str) -> str | None:
    """Return the kind of the file; None if it is not an accepted kind."""
    if data[:2] == b"PK":
        return KERAS
    if data[:1000].lstrip()[:1] == b"{":
        return CONFIG
    suffix = PurePosixPath(filename.lower()).suffix
    return (
        ONNX
        if suffix not in (".h5", ".hdf5", ".pb", ".keras", ".json", ".pt", ".pth", ".pkl") and data[:1] == b"\x08"
        else None
    )


def _unknown(data: bytes, filename: str) -> Refused:
    """Return why a file of another kind is not accepted, with code that converts it."""
    suffix = PurePosixPath(filename.lower()).suffix
    if data[:8] == hdf5.SIGNATURE or suffix in (".h5", ".hdf5"):
        convert = CONVERT.format(name=repr(PurePosixPath(filename).name[:80]))
        what = "This is a legacy HDF5 model, which is not opened here: reading such files has been a way to run code."
        return Refused("legacy-h5", what, f"On your own machine: `import keras` and `{convert}`.")
    if suffix in (".pb", ".pbtxt") or data[:1] == b"\x12":
        what = "This looks like a TensorFlow SavedModel, which contains a program and is not opened here."
        return Refused("saved-model", what, f"On your own machine: `pip install tf2onnx` and `{CONVERT_SAVED_MODEL}`.")
    if suffix in (".pt", ".pth", ".pkl", ".pickle", ".joblib") or data[:1] == b"\x80":
        what = "This is a pickle, which runs code when it is read."
        return Refused("pickle", what, "Send `torch.onnx.export(model, example, 'model.onnx')` instead.")
    what = f"{short(PurePosixPath(filename).name)} is neither a .keras file, nor ONNX, nor a configuration in JSON."
    return Refused("unknown", what, "Send one of these.")


def _keras(data: bytes, checked: Checked, wanted: tuple[str, ...]) -> Checked:
    members = keras_archive.read_members(data)
    metadata = untrusted_json.parse(members["metadata.json"], "metadata.json")
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    if not isinstance(version, str) or not version.startswith("3."):
        raise Refused("keras2", f"The archive is of Keras {short(version)}.", "Save it again with Keras 3.")
    report = keras_config.read_on(untrusted_json.parse(members["config.json"], "config.json"))
    found, whole = report.found, report.output != keras_parts.UNKNOWN
    for fits in _fits(report.input_shape, report.output.shape if whole else None, wanted):
        with found.next():
            fits()
    if whole:
        with found.next():
            _check_probabilities(report)
        with found.next():
            hdf5.check_parameters(members["model.weights.h5"], report.parameters)
    found.check()
    clean = {
        "metadata.json": json.dumps({"keras_version": "3", "date_saved": ""}).encode(),
        "config.json": json.dumps(report.config).encode(),
        "model.weights.h5": members["model.weights.h5"],
    }
    return _taken(
        checked, keras_archive.pack(clean), report.parameters, report.multiply_adds, report.work, _notes(report)
    )


def _config(data: bytes, checked: Checked, wanted: tuple[str, ...]) -> Checked:
    document = untrusted_json.parse(data, "The configuration")
    if isinstance(document, dict) and isinstance(document.get("model_config"), dict):
        document = document["model_config"]
    report = keras_config.read_config(document)
    _check_probabilities(report)
    costs, seconds = [], 0.0
    for name in wanted:
        spec = datasets.get(name)
        try:
            fitted = keras_config.read_config(
                keras_config.retarget(report.config, spec.image_shape or (), len(spec.labels))
            )
        except Refused as error:
            if (report.input_shape, report.output.shape) != (spec.image_shape, (len(spec.labels),)):
                what = f"Adapted to {name} (images of {spec.image_shape}, {len(spec.labels)} classes): {error}"
                raise Refused(error.problem.code, what, f"Or send it without {name}.") from None
            raise
        if fitted.output.shape != (len(spec.labels),):
            what = f"Adapted to {name}, the model gives {fitted.output.shape}, not one value per class."
            raise Refused("output", what, "End it with Dense(classes, activation='softmax').")
        seconds += budget.training_seconds(fitted.work, name)
        costs.append((fitted.parameters, fitted.work))
    if seconds > budget.SEEDS * budget.BUDGET:
        what = f"Its {budget.SEEDS} trainings on {' and '.join(wanted)} would take about {seconds / 3600:.0f} hours."
        most = f"{budget.SEEDS * budget.BUDGET / 3600:.0f}"
        raise Refused("budget", what, f"The most is {most}: make it smaller, or choose fewer datasets.")
    parameters, multiply_adds = max(costs, key=lambda pair: pair[1], default=(report.parameters, report.work))
    return _taken(checked, json.dumps(report.config).encode(), parameters, multiply_adds, multiply_adds, _notes(report))


def _onnx(data: bytes, checked: Checked, wanted: tuple[str, ...]) -> Checked:
    report = onnx_graph.read_graph(data, lambda shape, classes: _all_of(*_fits(shape, (classes,), wanted)))
    return _taken(checked, report.content, report.parameters, None, report.work, ())


_CHECKS = {KERAS: _keras, CONFIG: _config, ONNX: _onnx}


def _taken(
    checked: Checked,
    content: bytes,
    parameters: int,
    multiply_adds: int | None,
    work: int,
    notes: tuple[str, ...],
) -> Checked:
    if parameters == 0:
        raise Refused("empty", "The model has no weights, so there is nothing to measure.", "Send a network.")
    digest = hashlib.sha256(content).hexdigest()
    return replace(
        checked, digest=digest, content=content, parameters=parameters, multiply_adds=multiply_adds, work=work,
        notes=notes,
    )  # fmt: skip


def _fits(
    input_shape: tuple[int, ...], output: tuple[int, ...] | None, wanted: tuple[str, ...]
) -> list[Callable[[], None]]:
    """Return a check of the input and one of the output, where that is known, for every dataset."""

    def takes(name: str) -> None:
        shape = datasets.get(name).image_shape or ()
        if tuple(input_shape) == (*shape[-1:], *shape[:-1]) != shape:
            what = (
                f"The model takes images of {tuple(input_shape)}: channels first (NCHW). Those of {name} are {shape}."
            )
            raise Refused("input-order", what, "Build it for channels last (NHWC): height, width, channels.")
        if tuple(input_shape) != shape:
            what = f"The model takes images of {tuple(input_shape)}; those of {name} are {shape}."
            raise Refused("input-shape", what, f"Choose another dataset, or adapt the model to {name}.")

    def gives(name: str) -> None:
        classes = len(datasets.get(name).labels)
        if output is not None and tuple(output) != (classes,):
            what = f"{name} has {classes} classes, and the model has {' x '.join(map(str, output))} outputs."
            fix = f"Give it {classes} outputs, in the order of the labels of {name}, or choose another dataset."
            raise Refused("classes", what, fix)

    return [functools.partial(one, name) for name in wanted for one in (takes, gives)]


def _check_probabilities(report: keras_config.Report) -> None:
    if not report.output.probabilities:
        what = "The model does not end in a softmax, so its output is not probabilities."
        raise Refused("probabilities", what, "End it with Dense(classes, activation='softmax') or a Softmax layer.")


def _notes(report: keras_config.Report) -> tuple[str, ...]:
    if report.scaled:
        return ()
    return (
        "It gets raw pixels, 0 to 255, and has no layer that scales them: if it was trained on x / 255, begin it "
        "with keras.layers.Rescaling(1 / 255).",
    )
