"""The command line: `handwriting-zoo`, or `python -m zoo`."""

import argparse
import dataclasses
import json
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import zoo
from zoo.errors import ZooError

MARKS = {"ok": "✓", "note": "·", "problem": "✗"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: as on the command line; None: those of this process.

    Returns:
        The exit status: 0, 1 if the command says so, 2 for bad input.
    """
    chosen = parser().parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
        sys.stdout.flush()
        return status
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `handwriting-zoo models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the last flush fails too
        return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser; every command keeps its function as `run`."""
    top = argparse.ArgumentParser(prog="handwriting-zoo", description="Small networks that read handwriting.")
    top.add_argument("--version", action="version", version=f"%(prog)s {zoo.__version__}")
    commands = top.add_subparsers(metavar="command", required=True)

    def command(
        run: Callable[[argparse.Namespace], int], name: str, *, as_json: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        if as_json:
            added.add_argument("--json", action="store_true", help="print JSON")
        return added

    reading = command(read, "read")
    reading.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a photo, a scan or a drawing")
    reading.add_argument(
        "--model",
        help="the network, as `models` lists it; it reads its own script only (default: one for digits 0 to 9)",
    )
    command(models, "models")
    command(info, "info").add_argument("model", help="a name that `models` lists, a folder, or a repo on the Hub")
    checking = command(check, "check")
    checking.add_argument("--thorough", action="store_true", help="also read all data and ask Keras for its devices")
    serving = command(serve, "serve", as_json=False)
    serving.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serving.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    serving.add_argument(
        "--workers", type=int, metavar="N", help="serve the REST API alone, by N processes, without the page"
    )
    serving.add_argument(
        "--log", choices=("info", "warning"), default="info", help="info: one line a request (default: %(default)s)"
    )
    return top


def read(chosen: argparse.Namespace) -> int:
    """Print what is written on each picture."""
    failed = False
    for path in chosen.files:
        try:
            reading = zoo.read(path, **({"model": chosen.model} if chosen.model else {}))
        except (ZooError, OSError) as error:
            if isinstance(error, zoo.UnknownName):
                raise
            failed = True
            print(json.dumps({"file": str(path), "error": str(error)}) if chosen.json else f"{path}: error: {error}")
            continue
        if chosen.json:
            print(json.dumps({"file": str(path), **reading.to_dict()}, ensure_ascii=False))
        else:
            print(f"{path}: {reading.text}" if len(chosen.files) > 1 else reading.text)
    return int(failed)


def models(chosen: argparse.Namespace) -> int:
    """List the trained networks on this machine."""
    names = zoo.list_models()
    print(json.dumps(list(names)) if chosen.json else "\n".join(names))
    return 0


def info(chosen: argparse.Namespace) -> int:
    """Describe one network: what it reads, how large it is, what it takes."""
    predictor = zoo.load_predictor(chosen.model)
    facts = {
        "name": predictor.name,
        "dataset": predictor.dataset,
        "script": predictor.script,
        "labels": list(predictor.labels),
        "input": list(predictor.input_shape),
        "parameters": predictor.parameters,
        "threshold": predictor.threshold,
    }
    if chosen.json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        for key, value in facts.items():
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            print(f"{key:11}{shown}")
    return 0


def check(chosen: argparse.Namespace) -> int:
    """Report versions, and what works on this machine; status 1 if the demo cannot run."""
    from zoo import selfcheck

    found, versions = list(selfcheck.findings(chosen.thorough)), selfcheck.versions()
    if chosen.json:
        print(json.dumps({"versions": versions, "findings": [dataclasses.asdict(one) for one in found]}, indent=2))
    else:
        print(*(f"{name} {version}" for name, version in versions.items()), sep="\n", end="\n\n")
        for one in found:
            print(f"{MARKS[one.state]} {one.subject}: {one.says}" + (f"\n    -> {one.advice}" if one.advice else ""))
        count = {state: sum(one.state == state for one in found) for state in MARKS}
        verdict = f"The demo cannot run: {count['problem']} to fix" if count["problem"] else "The demo can run"
        print(f"\n{verdict}. Optional features that are not available: {count['note']}.")
    return int(any(one.state == "problem" for one in found))


def serve(chosen: argparse.Namespace) -> int:
    """Serve the Space on this machine, or the REST API alone."""
    if chosen.workers is not None:
        if chosen.workers < 1:
            raise ZooError(f"There must be at least one worker, not {chosen.workers}.")
        from zoo.rest import workers

        workers.run(chosen.host, chosen.port, chosen.workers, chosen.log)
        return 0
    os.environ.update(GRADIO_SERVER_NAME=chosen.host, GRADIO_SERVER_PORT=str(chosen.port), ZOO_LOG=chosen.log)
    try:
        runpy.run_module("spaces_app", run_name="__main__")
    except ModuleNotFoundError as error:
        raise ZooError(f"The Space needs {error.name}: pip install 'handwriting-zoo[space]'.") from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
