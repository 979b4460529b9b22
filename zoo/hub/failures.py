"""Errors of the Hub and the connection: temporary ones are retried, others become one sentence."""

import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from zoo import hub_transport
from zoo.errors import ZooError

log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Backoff:
    """How often a failed request is repeated, the seconds to wait before each attempt, and those to wait in all."""

    attempts: int = 6
    first: float = 1.0  # seconds before the second attempt; doubles
    longest: float = 30.0  # seconds; what the Hub asks for in Retry-After is waited, up to `seconds` and an hour
    seconds: float = math.inf  # from the first attempt to the beginning of the last

    def waits(self) -> Iterator[float]:
        """Yield the seconds before the second, third, … attempt."""
        for n in range(self.attempts - 1):
            yield min(self.first * 2**n, self.longest)


PATIENT = Backoff()
LONGEST_ASKED = 3600.0  # seconds that the Hub may ask to wait


class NoSuchRepo(ZooError):
    """A repo that the Hub does not have, or does not show."""


class Unreachable(ZooError):
    """The Hub cannot be reached, or must not be (`HF_HUB_OFFLINE`)."""


class Forbidden(ZooError):
    """A token that is unknown, or that may not do what is asked."""


def attempted(call: Callable[[], Result], about: str, backoff: Backoff = PATIENT) -> Result:
    """Return what `call` returns; after a temporary failure of the Hub or the connection, wait and call it again.

    What the Hub calls files and commits is checked (`zoo.hub_transport`).

    Args:
        call: a function that may be called again after it failed half-way.
        about: what the sentence of an error is to name, for example the repo.

    Raises:
        NoSuchRepo: the Hub has no such repo, or none that may be seen.
        Forbidden: the token is unknown, or may not do this.
        Unreachable: there is no way to the Hub.
        ZooError: anything else that the Hub refused or kept failing at.
    """
    from huggingface_hub.utils import httpx

    hub_transport.prepare()
    waits, deadline = backoff.waits(), time.monotonic() + backoff.seconds
    while True:
        try:
            return call()
        except (httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
            cause = _hub_error(error)
            if cause is None:
                raise
            wait = next(waits, None) if _may_pass(cause) else None
            wait = None if wait is None else max(wait, _asked_to_wait(cause))
            if wait is None or wait > LONGEST_ASKED or time.monotonic() + wait > deadline:
                raise as_zoo_error(cause, about) from error
            log.warning("%s: %s; trying again in %.1f s", about, reason_of(cause), wait)
            time.sleep(wait)


def _hub_error(error: BaseException) -> BaseException | None:
    """Return the error in a chain that says what the Hub or the line did; the client wraps some in others."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )
    from huggingface_hub.utils import httpx

    telling = (HfHubHTTPError, httpx.HTTPError, OfflineModeIsEnabled, HFValidationError, json.JSONDecodeError)
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    found: list[BaseException] = [one for one in chain if isinstance(one, telling)]
    incomplete = isinstance(error, IncompleteSnapshotError)
    if incomplete and not (found and _may_pass(found[0])):
        return error
    if found:
        return found[0]
    if isinstance(error, LocalEntryNotFoundError) or "Consistency check failed" in str(error):
        return error
    return error if "LFS batch API returned errors" in str(error) else None


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else response.status_code


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt may help: a conflict, a busy or broken Hub, a lost connection, but not without any."""
    from huggingface_hub.utils import httpx

    status = _status(error)
    if status is not None:
        return status in (408, 409, 412, 429) or status >= 500
    if isinstance(error, httpx.ConnectError):
        return False
    # A page of HTML where JSON was due is a gateway's; a short file is a cut line's.
    return isinstance(error, (httpx.TransportError, json.JSONDecodeError)) or "Consistency check" in str(error)


def _asked_to_wait(error: BaseException) -> float:
    """Return the seconds of Retry-After, 0 where it says none."""
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return float(asked) if asked.isdecimal() else 0.0


def reason_of(error: BaseException) -> str:
    """Say what happened in a few words, without anything that looks like a token."""
    status, said = _status(error), getattr(error, "server_message", None)
    if status is not None:
        text = f"the Hub answered {status}" + (f" ({said.strip().splitlines()[0]})" if said and said.strip() else "")
    else:
        lines = str(error).strip().splitlines()
        text = lines[0] if lines else type(error).__name__
    return re.sub(r"hf_\w{4,}", "hf_…", text).rstrip(".")


def as_zoo_error(error: BaseException, about: str) -> ZooError:
    from huggingface_hub.errors import (
        HFValidationError,
        IncompleteSnapshotError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx

    status, reason = _status(error), reason_of(error)
    if isinstance(error, RepositoryNotFoundError):
        return NoSuchRepo(f"The Hub has no repo {about}, or none that may be seen with the token that is set.")
    if isinstance(error, RevisionNotFoundError):
        return ZooError(f"The Hub has no such revision: {about}.")
    if isinstance(error, HFValidationError):
        return ZooError(f"{about!r} cannot be a repo's name: expected namespace/name ({reason}).")
    if isinstance(error, IncompleteSnapshotError):
        return ZooError(f"Only a part of {about} is in the cache: load it once more online.")
    if isinstance(error, (OfflineModeIsEnabled, httpx.ConnectError, FileNotFoundError)):
        return Unreachable(f"{about} is not in the cache, and the Hub cannot be reached ({reason}).")
    if status == 401:
        return Forbidden(f"{about}: the Hub does not accept the token; set HF_TOKEN to a valid one ({reason}).")
    if status == 403:
        return Forbidden(f"{about}: the token may not do this; it needs write access to that namespace ({reason}).")
    if _may_pass(error):
        return ZooError(f"{about}: the Hub keeps failing ({reason}): run it again later, it continues from here.")
    return ZooError(f"{about}: the Hub refused it ({reason}).")
