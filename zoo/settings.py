"""Settings from environment variables, read on each call, so that a test or a notebook can change them."""

import os
from pathlib import Path

from zoo.errors import ZooError

PRETRAINED = Path(__file__).parent / "pretrained"  # published folders shipped with the package


def namespace() -> str:
    """Return the user or organization on the Hub that holds the zoo's models and datasets (`ZOO_NAMESPACE`)."""
    return os.environ.get("ZOO_NAMESPACE", "handwriting-zoo")


def user_datasets() -> Path:
    """Return the folder of the datasets that were made of users' own pictures (`ZOO_USER_DATASETS`)."""
    return Path(os.environ.get("ZOO_USER_DATASETS") or cache_folder() / "datasets")


def other_copies() -> frozenset[str]:
    """Return the datasets that may be another copy than the records were measured on (`ZOO_OTHER_COPIES`, by comma)."""
    return frozenset(filter(None, os.environ.get("ZOO_OTHER_COPIES", "").split(",")))


def model_folders() -> tuple[Path, ...]:
    """Return the folders of published folders: what is shipped, then what `ZOO_MODELS` names (several as in PATH)."""
    own = os.environ.get("ZOO_MODELS", "")
    return (PRETRAINED, *(Path(folder).expanduser() for folder in own.split(os.pathsep) if folder))


def cache_folder() -> Path:
    """Return the folder for what can be made again (`XDG_CACHE_HOME`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "handwriting-zoo"


def sends_per_day() -> int:
    """Return how many submissions and retries may come from one address within a day (`ZOO_SENDS_PER_DAY`)."""
    return int(os.environ.get("ZOO_SENDS_PER_DAY") or 60)


def sandbox_backend() -> str:
    """Return where submissions are measured (`ZOO_SANDBOX`): "local", a process here, or "jobs", Hugging Face Jobs."""
    chosen = os.environ.get("ZOO_SANDBOX") or "local"
    if chosen not in ("local", "jobs"):
        raise ZooError(f'ZOO_SANDBOX is "{chosen}". It can be "local" or "jobs".')
    return chosen


def sandbox_image() -> str:
    """Return the image of machines of Hugging Face Jobs (`ZOO_SANDBOX_IMAGE`): on a Space, that of the Space itself."""
    space = os.environ.get("SPACE_ID")
    image = os.environ.get("ZOO_SANDBOX_IMAGE") or (f"hf.co/spaces/{space}" if space else "")
    if not image:
        raise ZooError("ZOO_SANDBOX=jobs needs ZOO_SANDBOX_IMAGE, an image with this package's requirements.")
    return image
