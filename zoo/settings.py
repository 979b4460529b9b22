"""What the environment decides: read when it is asked for, so that a test or a notebook can change it."""

import os
from pathlib import Path

PRETRAINED = Path(__file__).parent / "pretrained"  # published folders shipped with the package


def namespace() -> str:
    """Return the user or organisation on the Hub that holds the zoo's models and datasets (`ZOO_NAMESPACE`)."""
    return os.environ.get("ZOO_NAMESPACE", "handwriting-zoo")
