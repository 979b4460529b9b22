"""Run the static checks in a process of their own, with limits on time and memory.

checked = guard.check(data, "model.keras", ("mnist",))  # like `checks.check`, but always returns a report

The caller never parses untrusted bytes: it writes them to an unnamed file, and `sandbox.spawner` forks a process that
reads this file, has no network, no token and no access to other users' files, and is killed at its limits (see
`zoo.processes.spawning`). So the server keeps answering, and every failure of a check becomes one sentence for the
sender.
"""

import logging
import secrets
import threading
import time
from collections.abc import Sequence

from leaderboard.submissions import checks
from leaderboard.submissions.checks import onnx_graph
from zoo import gate
from zoo.errors import ZooError
from zoo.gate.limits import check_checking, took_checking
from zoo.ink.turns import Turns
from zoo.processes import spawning
from zoo.processes.spawning import Answer, Limits
from zoo.strict.problems import Problem, Refused, problems_of
from zoo.types import Json

log = logging.getLogger(__name__)

LAUNCH = "from leaderboard.submissions.sandbox import spawner; spawner.main()"
NICE = 5  # a check gives way to whoever waits for a prediction
SAID = 5_000_000  # bytes of JSON that a check answers with: a large network has many layers
SENT = Limits(nice=NICE, answer=SAID)  # for a submitted file
MEASURED = Limits(
    cpu=20, wall=60.0, memory=2_000_000_000, nice=NICE, answer=SAID
)  # for an ONNX file of a sandbox, up to 300 MB
LARGEST = 300_000_000  # bytes of a file that a check makes
LONGEST_TRACE = 8000  # characters of a failure
AT_ONCE = 2  # checks at a time; each may take `SENT.memory`
LATE = 1.0  # seconds of processor time that a check counts as which was not done in time
PATIENCE = 30.0  # seconds that a check waits for its turn; addresses take turns


def check(data: bytes, filename: str, wanted: Sequence[str], limits: Limits = SENT) -> checks.Checked:
    """Return the result of `checks.check` from a process with limits; reaching a limit is a problem.

    Args:
        data: the file's bytes.
        filename: only its suffix is used, and only for a better message.
        wanted: names of datasets.
        limits: of the process.

    Raises:
        ZooError: too many checks are running, or no process can be started here.
    """
    if len(data) > checks.MOST_BYTES or not data:
        return checks.check(data, filename, wanted)  # decided by the size alone
    try:
        answer = run({"task": "check", "filename": filename[-200:], "wanted": list(wanted)}, data, limits)
    except Refused as error:
        return checks.refused(data, filename, error)
    try:
        return checks.Checked.from_child(data, filename, *_parts(answer))
    except ValueError as error:
        return checks.refused(data, filename, _incident(f"It says what cannot be: {error}"))


def read_onnx(data: bytes, limits: Limits = MEASURED) -> onnx_graph.Report:
    """Return the result of `onnx_graph.read_graph` from a process with limits; raise its Refused."""
    header, content = _parts(run({"task": "onnx"}, data, limits))
    try:
        if problems := problems_of(header):
            raise Refused.of(problems)
        return onnx_graph.Report.from_child(header, content or b"")
    except ValueError as error:
        raise _incident(f"It says what cannot be: {error}") from error


def start() -> None:
    """Start the spawner in the background, so that the first check does not wait for it."""
    threading.Thread(target=_SPAWNERS.started, name="checks", daemon=True).start()


def run(request: Json, data: bytes, limits: Limits) -> Answer:
    """Return the answer of a child; raise Refused with one sentence if there is none."""
    deadline = time.monotonic() + PATIENCE

    def check_patience() -> None:
        if time.monotonic() > deadline:
            raise ZooError("Many files are being checked at the moment. Try again in a minute.")

    caller, spent = gate.caller(), limits.cpu
    if caller.known:
        check_checking(caller)
    try:
        with _TURNS.taken(caller.network, check_patience):
            answer = _SPAWNERS.run(request, data, limits)
        spent = answer.cpu
    except spawning.Late:  # the file may be in order, and nothing is kept of it
        spent = LATE
        raise ZooError("The server is too busy to check this file now. Send it again in a minute.") from None
    except spawning.NoAnswer:
        raise Refused.of([_at_limit(limits)]) from None
    except spawning.Stopped:
        spent = 0.0
        raise ZooError("The file checks stopped unexpectedly. Try again.") from None
    except ZooError:  # its turn did not come
        spent = 0.0
        raise
    finally:
        if caller.known:
            took_checking(caller, spent)
    if "trace" in answer.header:
        raise _incident(str(answer.header["trace"])[:LONGEST_TRACE])
    return answer


def _incident(trace: str) -> Refused:
    """Write to the log what went wrong in a child, and return a problem that names it by a number."""
    number = secrets.token_hex(4)
    log.error("Incident %s: a static check failed.\n%s", number, trace)
    what = f"The checks cannot read this file (incident {number})."
    return Refused("incident", what, "Export the network again; if that does not help, report the number.")


def _at_limit(limits: Limits) -> Problem:
    """Return why a child ended without an answer before its wall time was over."""
    what = f"Checking it took more than {limits.cpu} s of processor time or {limits.memory / 1e6:.0f} MB of memory."
    return Problem("limits", what, "No ordinary file does: export the network again with its framework.")


def _parts(answer: spawning.Answer) -> tuple[Json, bytes | None]:
    """Return the header of an answer, and the content of its file where it has one."""
    with answer.file as file:
        return answer.header, file.read(LARGEST) if answer.header.pop("content", False) else None


_TURNS = Turns(AT_ONCE)
_SPAWNERS = spawning.Spawners(LAUNCH)
