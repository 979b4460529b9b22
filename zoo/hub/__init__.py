"""Published folders, wherever they are: on this disk, shipped with the package, or on the Hub, both ways.

What is pulled is complete and has the checksums that the Hub lists, or is not used. What is pushed is one commit a
repo, made only where something differs, on top of the very commit that it was compared with.
"""

from zoo.hub.contents import MODEL_FILES
from zoo.hub.failures import Backoff, Forbidden, NoSuchRepo, Unreachable, attempted
from zoo.hub.identity import account
from zoo.hub.pulling import list_models, pull, resolve
from zoo.hub.pushing import CardEdited, Push, push, require_token

__all__ = [
    "MODEL_FILES",
    "Backoff",
    "CardEdited",
    "Forbidden",
    "NoSuchRepo",
    "Push",
    "Unreachable",
    "account",
    "attempted",
    "list_models",
    "pull",
    "push",
    "require_token",
    "resolve",
]
