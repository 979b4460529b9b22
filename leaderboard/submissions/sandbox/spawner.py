"""What the children do that read submitted files: the tasks of `checks.guard`, see `zoo.processes.spawning`."""

from leaderboard.submissions import checks
from leaderboard.submissions.checks import onnx_graph
from zoo.processes import spawning
from zoo.strict.problems import Refused
from zoo.types import Json


def check(request: Json, data: bytes) -> tuple[Json, spawning.Parts]:
    """The task "check": a file that was sent."""
    checked = checks.check(data, request["filename"], request["wanted"])
    return _with_content(checked.to_dict(), checked.content)


def onnx(request: Json, data: bytes) -> tuple[Json, spawning.Parts]:
    """The task "onnx": an ONNX file of a sandbox."""
    try:
        report = onnx_graph.read_graph(data)
    except Refused as error:
        return {"problems": [problem.to_dict() for problem in error.problems]}, ()
    return _with_content(report.to_dict(), report.content)


def _with_content(header: Json, content: bytes | None) -> tuple[Json, spawning.Parts]:
    return {**header, "content": content is not None}, () if content is None else (content,)


TASKS: dict[str, spawning.Task] = {"check": check, "onnx": onnx}


def main() -> None:
    """Import what the checks need, and serve."""
    onnx_graph.warm_up()
    spawning.serve(TASKS)
