"""Every setting: environment variables, read on each call, so that a test or a notebook can change them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ZooError

ROOT = Path(__file__).parents[1]  # of the checkout, or of the installed packages
PRETRAINED = Path(__file__).parent / "pretrained"  # published folders shipped with the package


@dataclass(frozen=True)
class Setting:
    """An environment variable: what it decides, and its value where it is not set, as documentation shows it."""

    name: str
    meaning: str
    default: str


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("ZOO_DATASETS", "the folder of the datasets, one folder each, with `data/*.parquet`", "the Hub"),
        Setting("ZOO_USER_DATASETS", "the folder of the datasets that are made of your own pictures", "in the cache"),
        Setting("ZOO_OTHER_COPIES", "datasets, by comma, that may be another copy than records were measured on", ""),
        Setting("ZOO_MODELS", "folders of your own published folders, several as in PATH", ""),
        Setting(
            "ZOO_WEIGHTS",
            "the folder with `<architecture>_imagenet_no_top.weights.h5`, to download nothing",
            "from Keras",
        ),
        Setting("ZOO_NAMESPACE", "the user or organization on the Hub of models and datasets", "handwriting-zoo"),
        Setting("ZOO_RECORDS", "one folder for all records, those of this machine too", ""),
        Setting("ZOO_LOCAL_RECORDS", "the folder of this machine's records", "leaderboard/local_records"),
        Setting("ZOO_SUBMISSIONS", "the store of submissions: a folder, or hf://<namespace>", "runs/submissions"),
        Setting("ZOO_PUBLIC_SUBMISSIONS", "1: datasets of submissions that are made on the Hub are public", "0"),
        Setting("ZOO_WORKERS", "the number of workers that a Space starts", "0"),
        Setting("ZOO_CALLS_PER_MINUTE", "calls of endpoints from one address within a minute", "1200"),
        Setting("ZOO_SENDS_PER_DAY", "submissions and retries from one address within a day", "60"),
        Setting(
            "ZOO_WORKER_MINUTES_PER_DAY", "minutes that workers are busy for what one address sends within a day", "240"
        ),
        Setting("ZOO_LOG", "the log as JSON lines: `info` has one a request, `warning` only what went wrong", ""),
        Setting("ZOO_SUBMISSIONS_GB", "gigabytes that a store of submissions in a folder may take", "20"),
        Setting("ZOO_SANDBOX", "where submissions are measured: `local`, in a process here, or `jobs`", "local"),
        Setting("ZOO_SANDBOX_IMAGE", "the image of machines of Hugging Face Jobs", "the Space's own"),
        Setting("ZOO_JOBS_TOKEN", "the token that starts these machines, which should allow nothing else", "HF_TOKEN"),
        Setting("XDG_CACHE_HOME", "the folder for what can be made again, in `handwriting-zoo`", "~/.cache"),
    )
}


def value(name: str) -> str:
    """Return a setting's value as text, "" where it is not set."""
    return os.environ.get(SETTINGS[name].name, "")


def folder(name: str) -> Path | None:
    """Return the folder that a setting names, None where it is not set."""
    return Path(value(name)).expanduser() if value(name) else None


def number(name: str) -> int:
    """Return a setting's value as a number, or its default.

    Raises:
        ZooError: it is not a number.
    """
    text = value(name) or SETTINGS[name].default
    if not text.isdecimal():
        raise ZooError(f'{name} is "{text}". It should be a number: {SETTINGS[name].meaning}.')
    return int(text)


def namespace() -> str:
    """Return the user or organization on the Hub that holds the zoo's models and datasets."""
    return value("ZOO_NAMESPACE") or SETTINGS["ZOO_NAMESPACE"].default


def user_datasets() -> Path:
    """Return the folder of the datasets that were made of users' own pictures."""
    return folder("ZOO_USER_DATASETS") or cache_folder() / "datasets"


def other_copies() -> frozenset[str]:
    """Return the datasets that may be another copy than the records were measured on."""
    return frozenset(filter(None, value("ZOO_OTHER_COPIES").split(",")))


def model_folders() -> tuple[Path, ...]:
    """Return the folders of published folders: what is shipped, then the user's own."""
    return (PRETRAINED, *(Path(part).expanduser() for part in value("ZOO_MODELS").split(os.pathsep) if part))


def cache_folder() -> Path:
    """Return the folder for what can be made again."""
    return (folder("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "handwriting-zoo"


def submissions() -> str:
    """Return the store of submissions: a folder, or hf://<namespace>."""
    return value("ZOO_SUBMISSIONS") or str(ROOT / SETTINGS["ZOO_SUBMISSIONS"].default)


def sandbox_backend() -> str:
    """Return where submissions are measured: "local", a process here, or "jobs", Hugging Face Jobs."""
    chosen = value("ZOO_SANDBOX") or SETTINGS["ZOO_SANDBOX"].default
    if chosen not in ("local", "jobs"):
        raise ZooError(f'ZOO_SANDBOX is "{chosen}". It can be "local" or "jobs".')
    return chosen


def sandbox_image() -> str:
    """Return the image of machines of Hugging Face Jobs: on a Space, that of the Space itself."""
    space = os.environ.get("SPACE_ID")
    image = value("ZOO_SANDBOX_IMAGE") or (f"hf.co/spaces/{space}" if space else "")
    if not image:
        raise ZooError("ZOO_SANDBOX=jobs needs ZOO_SANDBOX_IMAGE, an image with this package's requirements.")
    return image
