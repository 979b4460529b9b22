"""What is installed and reachable here, and what is not: every finding says what to do about it.

`handwriting-zoo check` prints the findings. No framework is imported unless a thorough look is asked for, so that an
answer takes a second or two. Other packages add findings of their own by the entry point `handwriting_zoo.findings`: a
function that yields them.
"""

import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zoo import environment, settings
from zoo.errors import ZooError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PLUGINS = "handwriting_zoo.findings"
SHIPPED = "lenet5.mnist"
SEVEN = [[[320, 240], [680, 220], [460, 800]]]  # a stroke on a pad of 1000 x 1000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
State = Literal["ok", "note", "problem"]
INSTALL = "python -m pip install -r requirements.txt, in a clone of the repository"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what was looked at, for example "data: mnist".
        state: "ok"; "note", if something cannot be done here that the demo does without; "problem", if it breaks it.
        says: what was found.
        advice: what to do about it; "" where there is nothing to do.
    """

    subject: str
    state: State
    says: str
    advice: str = ""


def findings(thorough: bool = False) -> Iterator[Finding]:
    """Yield every finding, what the demo needs first.

    Args:
        thorough: also read and fingerprint every dataset that is on this disk, and import Keras for its devices; that
            takes half a minute.
    """
    yield from packages()
    yield serving()
    yield from folders()
    yield from datasets(thorough)
    yield keras(thorough)
    yield hub()
    for plugin in entry_points(group=PLUGINS):
        yield from plugin.load()()
    yield browser()


def packages() -> Iterator[Finding]:
    """Compare what is installed with what each part of the project asks for."""
    parts: tuple[tuple[str, str, State], ...] = (
        ("packages that read pictures", "", "problem"),
        ("packages of the Space", "space", "problem"),
        ("packages that train", "train", "note"),
    )
    for subject, extra, state in parts:
        try:
            asked = environment.requirements(extra)
        except PackageNotFoundError:
            yield Finding("packages", "note", "the project is not installed, only its folder is here", INSTALL)
            return
        if wrong := [says for one in asked if (says := _lacks(one))]:
            yield Finding(subject, state, "; ".join(wrong), INSTALL)
        else:
            yield Finding(subject, "ok", f"all {len(asked)} are installed")


def _lacks(wanted: "Requirement") -> str | None:
    """Say what is wrong with a package that is asked for; None if it is there."""
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name} is not installed"
    fits = wanted.specifier.contains(found, prereleases=True)
    return None if fits else f"{wanted.name} is {found}, expected {wanted.specifier}"


def serving() -> Finding:
    """Draw a seven and have a shipped network read it, through all that the Space goes through."""
    subject = "serving"
    try:
        from zoo import ink, load_predictor

        predictor = load_predictor(SHIPPED)
        image = ink.from_strokes(SEVEN, predictor.contract, frame=1000)
        read = predictor.labels[predictor(image[None]).argmax()]
    except (ImportError, ZooError) as error:
        return Finding(subject, "problem", f"{SHIPPED} does not answer: {error}", INSTALL)
    if read != "7":
        return Finding(subject, "problem", f"{SHIPPED} reads a drawn 7 as {read}", "git checkout -- zoo/pretrained")
    return Finding(subject, "ok", f"{SHIPPED} reads a drawn 7 on onnxruntime {version('onnxruntime')}")


def folders() -> Iterator[Finding]:
    """Look whether the folders that the environment names are there."""
    for variable in ("ZOO_DATASETS", "ZOO_MODELS"):
        for folder in filter(None, settings.value(variable).split(os.pathsep)):
            if not Path(folder).expanduser().is_dir():
                yield Finding(
                    variable, "note", f"names {folder}, which is not a folder", f"correct or unset {variable}"
                )


def datasets(thorough: bool) -> Iterator[Finding]:
    """Say where each dataset of the zoo would be read from, and whether it is the one that was measured on."""
    from zoo import data

    for spec in data.DATASETS.values():
        folder = (settings.folder("ZOO_DATASETS") or Path(os.devnull)) / spec.name
        subject = f"data: {spec.name}"
        if any(folder.glob("**/*.parquet")):
            yield _read(subject, spec.name, f"in {folder}") if thorough else Finding(subject, "ok", f"in {folder}")
        elif spec.name != "optdigits":
            advice = f"set ZOO_DATASETS to a folder that holds {spec.name}/data/*.parquet, or train from the Hub"
            yield Finding(subject, "note", f"not on this disk; it would come from the Hub, {spec.hub_id}", advice)
        elif importlib.util.find_spec("sklearn"):
            yield (
                _read(subject, spec.name, "bundled")
                if thorough
                else Finding(subject, "ok", "bundled with scikit-learn")
            )
        else:
            yield Finding(subject, "note", "comes with scikit-learn, which is not installed", INSTALL)


def _read(subject: str, name: str, where: str) -> Finding:
    """Read a dataset whole, and compare its fingerprints."""
    from zoo import data

    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            counts = {split: len(data.load(name, split)) for split in ("train+validation", "test")}
    except ZooError as error:
        return Finding(subject, "note", str(error), "fetch it again, or build it with scripts/mirror_datasets.py")
    if wrong := [str(one.message) for one in said if "fingerprint" in str(one.message)]:
        return Finding(subject, "note", wrong[0], "scores on it do not compare with the board's: fetch it again")
    rows = " + ".join(f"{count:,}" for count in counts.values())
    return Finding(subject, "ok", f"{where}, {rows} samples, fingerprints right")


def keras(thorough: bool) -> Finding:
    """Say on which backend Keras would train, and whether there is a GPU for it."""
    from zoo import backend

    wanted = os.environ.get("KERAS_BACKEND")
    installed = [name for name, package in backend.BACKENDS.items() if importlib.util.find_spec(package)]
    if not installed or not importlib.util.find_spec("keras"):
        return Finding("training", "note", "Keras or a backend is not installed", INSTALL)
    if wanted and wanted not in installed:
        advice = f"unset KERAS_BACKEND, or install {wanted}"
        return Finding("training", "note", f"KERAS_BACKEND is {wanted}, which is not installed", advice)
    says = f"keras {version('keras')} on {wanted or installed[0]}"
    if thorough:
        return Finding("training", "ok", f"{says}, devices {', '.join(backend.devices())}")
    gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    return Finding("training", "ok", f"{says}, {f'{gpus} NVIDIA GPU' if gpus else 'no NVIDIA GPU'}")


def hub() -> Finding:
    """Ask the Hub who this is."""
    namespace = f"namespace {settings.namespace()}"
    try:
        from zoo.hub import account

        who = account()
    except (ImportError, ZooError) as error:
        advice = "shipped models and local data work without it; to publish or to fetch, go online"
        return Finding("Hub", "note", f"{str(error).rstrip('.')}; {namespace}", advice)
    if who is None:
        return Finding("Hub", "note", f"reachable, no token; {namespace}", "to publish: set HF_TOKEN, or hf auth login")
    if not settings.value("ZOO_NAMESPACE"):
        return Finding("Hub", "note", f"reachable as {who}; {namespace}", f"to publish: export ZOO_NAMESPACE={who}")
    return Finding("Hub", "ok", f"reachable as {who}; {namespace}")


def browser() -> Finding:
    """Look for the browser that the tests drive."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return Finding("browser", "ok", f"{found}, for the tests")
    return Finding("browser", "note", "no Chromium: its tests are skipped", "install chromium, or name one in CHROMIUM")


def versions() -> dict[str, str]:
    """Return the versions of everything: the zoo and its commit, Python, packages, and the processor."""
    import zoo

    found = environment.versions()
    for package in ("gradio", "huggingface_hub"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    commit = environment.commit()
    return {
        "zoo": f"{zoo.__version__} ({commit})" if commit else zoo.__version__,
        **found,
        "on": environment.processor(),
    }
