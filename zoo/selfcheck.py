"""What is here and what is not: every finding says what to do about it. `python -m zoo` prints them.

No framework is imported unless a thorough look is asked for, so that an answer takes a second or two.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from zoo import environment, settings
from zoo.errors import ZooError

ROOT = Path(__file__).parent.parent
TRAINING = "# Training, measuring and publishing"  # where the packages begin in requirements.txt that a demo can miss
SHIPPED = "lenet5.mnist"
SEVEN = [[[320, 240], [680, 220], [460, 800]]]  # a stroke on a pad of 1000 x 1000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
State = Literal["ok", "note", "problem"]
INSTALL = "python -m pip install -r requirements.txt"


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
    yield sandbox()
    yield browser()


def packages() -> Iterator[Finding]:
    """Compare what is installed with requirements.txt: what serves, and what trains."""
    path = ROOT / "requirements.txt"
    if not path.exists():  # installed without the repository
        return
    serve, _, train = path.read_text(encoding="utf-8").partition(TRAINING)
    parts: tuple[tuple[str, str, State], ...] = (
        ("packages that serve", serve, "problem"),
        ("packages that train", train, "note"),
    )
    for subject, text, state in parts:
        lines = [line.strip() for line in text.splitlines() if line[:1].isalpha()]
        if wrong := [said for line in lines if (said := _lacks(line))]:
            yield Finding(subject, state, "; ".join(wrong), INSTALL)
        else:
            yield Finding(subject, "ok", f"{len(lines)} as requirements.txt asks")


def _lacks(line: str) -> str | None:
    """Say what is wrong with the package that a line of requirements.txt asks for; None if it is there."""
    from packaging.requirements import Requirement

    wanted = Requirement(line)
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
    named = {"ZOO_DATASETS": os.environ.get("ZOO_DATASETS", "")}
    named["ZOO_MODELS"] = os.environ.get("ZOO_MODELS", "")
    for variable, value in named.items():
        for folder in filter(None, value.split(os.pathsep)):
            if not Path(folder).expanduser().is_dir():
                yield Finding(variable, "note", f"names {folder}, which is no folder", f"mend or unset {variable}")


def datasets(thorough: bool) -> Iterator[Finding]:
    """Say where each dataset of the zoo would be read from, and whether it is the one that was measured on."""
    from zoo import data

    for spec in data.DATASETS.values():
        folder = Path(os.environ.get("ZOO_DATASETS") or os.devnull) / spec.name
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
        return Finding(subject, "note", str(error), "fetch it again; scripts/mirror_datasets.py makes it anew")
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
        return Finding("training", "ok", f"{says}, devices {', '.join(backend.keras.distribution.list_devices())}")
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
    if "ZOO_NAMESPACE" not in os.environ:
        return Finding("Hub", "note", f"reachable as {who}; {namespace}", f"to publish: export ZOO_NAMESPACE={who}")
    return Finding("Hub", "ok", f"reachable as {who}; {namespace}")


def sandbox() -> Finding:
    """Ask the board's own program whether a stranger's network could be measured here."""
    subject, advice = "sandbox", "submissions are taken in, but need a worker on a machine with namespaces or seccomp"
    command = [sys.executable, "-m", "leaderboard.submissions", "--isolation"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        granted = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Finding(subject, "note", f"not available: {error}", advice)
    says = ", ".join(f"{kind} {how}" for kind, how in granted.items())
    return Finding(subject, "note", says, advice) if granted["network"] == "none" else Finding(subject, "ok", says)


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
