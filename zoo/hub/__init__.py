"""Published folders on this disk, in the package or on the Hub: find, pull and push them.

A pulled folder is used only if it is complete and has the checksums that the Hub lists. A push is one commit a repo,
made only if something differs, on top of the commit that it was compared with.
"""

from zoo.hub.contents import MODEL_FILES, stored
from zoo.hub.failures import Backoff, Forbidden, NoSuchRepo, Unreachable, attempted
from zoo.hub.identity import account
from zoo.hub.pulling import SCHEME, list_models, pull, resolve, shipped
from zoo.hub.pushing import CardEdited, Push, push, require_token
from zoo.hub_transport import OutOfBounds, bounded, keep

__all__ = [
    "MODEL_FILES",
    "SCHEME",
    "Backoff",
    "CardEdited",
    "Forbidden",
    "NoSuchRepo",
    "OutOfBounds",
    "Push",
    "Unreachable",
    "account",
    "attempted",
    "bounded",
    "keep",
    "list_models",
    "pull",
    "push",
    "require_token",
    "resolve",
    "shipped",
    "stored",
]
