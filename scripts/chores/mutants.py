"""Mutation testing: make one change of a module after the other, and check that a test fails each time.

    python -m scripts.chores.mutants leaderboard/statistics.py -- tests/test_statistics.py
    python -m scripts.chores.mutants leaderboard/submissions/checks/*.py -- tests/test_submissions_hostile.py

Comparisons, arithmetic, conditions, numbers, `any` and `all`, `min` and `max` are replaced by their neighbors;
statements that raise, return, call or leave a loop are taken out. Texts stay as they are. The tests are imported and
collected once; every mutant lives in a fork of that process, so that hundreds take minutes.
"""

import argparse
import ast
import contextlib
import functools
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip
NAMES = {"any": "all", "all": "any", "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
TEXTS = (ast.JoinedStr, ast.arguments)  # what stands in sentences and signatures is not changed
LEAST_SECONDS = 20.0  # before a mutant counts as one that never ends


def main() -> None:
    """Mutate every module in turn; exit with 1 where fewer are killed than asked."""
    arguments = parse_arguments()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    mutants = Mutants(arguments.modules)
    options = ["-q", "-o", "addopts=", "-p", "no:cacheprovider", *arguments.tests]
    if pytest.main(options, plugins=[mutants]) or not mutants.made:
        sys.exit("error: the tests have to pass, and the modules to hold something that can be changed.")
    killed = mutants.made - len(mutants.survivors)
    print(f"{killed} of {mutants.made} mutants killed: {100 * killed / mutants.made:.1f}%")
    sys.exit(killed < arguments.least * mutants.made)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+", type=Path, help="files of zoo or leaderboard")
    parser.add_argument("tests", nargs="*", help="what pytest is given, after --")
    parser.add_argument("--least", type=float, default=0.8, help="fraction that must be killed (default 0.8)")
    if "--" not in sys.argv:
        parser.error("name the tests after --")
    place = sys.argv.index("--")
    arguments = parser.parse_args(sys.argv[1:place])
    arguments.tests = sys.argv[place + 1 :]
    return arguments


class Mutants:
    """A plugin of pytest that runs the collected tests once as they are, then once a mutant."""

    def __init__(self, modules: list[Path]):
        self.modules, self.made = modules, 0
        self.survivors: list[str] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run in forks; what pytest itself reports is that nothing failed."""
        started = time.monotonic()
        if forked(lambda: passes(session), 3600):
            session.testsfailed = 1
            return True
        limit = max(LEAST_SECONDS, 5 * (time.monotonic() - started))
        for path in self.modules:
            module = importlib.import_module(".".join(path.with_suffix("").parts))
            for name, tree in mutants_of(path):
                self.made += 1
                if not forked(functools.partial(passes_with, module, tree, session), limit):
                    self.survivors.append(name)
                    print(f"survived: {name}", flush=True)
        return True


def passes(session: pytest.Session) -> bool:
    """Run the collected tests until one fails."""
    session.config.pluginmanager.unregister(name="terminalreporter")
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return False
    return True


def passes_with(module: ModuleType, tree: ast.Module, session: pytest.Session) -> bool:
    """Run the tests on a mutant."""
    replace(module, tree)
    return passes(session)


def forked(work: Callable[[], bool], limit: float) -> int:
    """Return 0 where a fork found that all is well, anything else where not, or not within `limit` seconds."""
    if not (child := os.fork()):
        status = 1
        with contextlib.suppress(BaseException):
            status = int(not work())
        os._exit(status)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


def replace(module: ModuleType, tree: ast.Module) -> None:
    """Run the changed source in the module's place, and give its new functions to whoever imported the old ones."""
    old = {key: value for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    exec(compile(tree, str(module.__file__), "exec"), vars(module))
    for other in [other for name, other in sys.modules.items() if name.partition(".")[0] in ("zoo", "leaderboard")]:
        for key, value in list(vars(other).items()):
            if key in old and value is old[key]:
                setattr(other, key, getattr(module, key))


def mutants_of(path: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield every mutant of a file with a name that says where it is and what was changed."""
    source = path.read_text(encoding="utf-8")
    for number, place in enumerate(places(ast.parse(source))):
        for variant, (what, _) in enumerate(changes(place)):
            tree = ast.parse(source)
            changes(places(tree)[number])[variant][1]()
            yield f"{path}:{place.lineno}: {what}", ast.fix_missing_locations(tree)


def places(node: ast.AST) -> list[Any]:
    """Return the nodes below one that can be changed, always in the same order."""
    found: list[Any] = []
    for field, value in ast.iter_fields(node):
        if field in ("decorator_list", "annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, TEXTS):
                found += [*([child] if hasattr(child, "lineno") else []), *places(child)]
    return found


def changes(node: Any) -> list[tuple[str, Callable[[], None]]]:
    """Return what can be done to one node: in words, and the function that does it."""
    found: list[tuple[str, Callable[[], None]]] = []

    def change(what: str, target: Any, field: str | int, value: object) -> None:
        put = target.__setitem__ if isinstance(field, int) else functools.partial(setattr, target)
        found.append((what, functools.partial(put, field, value)))

    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            if new := SWAPS.get(type(operator)):
                change(f"{type(operator).__name__} -> {new.__name__}", node.ops, place, new())
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and (new := SWAPS.get(type(node.op))):
        change(f"{type(node.op).__name__} -> {new.__name__}", node, "op", new())
    if isinstance(node, ast.UnaryOp):
        change(f"{type(node.op).__name__} taken out", node, "operand", ast.UnaryOp(node.op, node.operand))
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        other = not node.value if isinstance(node.value, bool) else node.value + 1
        change(f"{node.value} -> {other}", node, "value", other)
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        change("condition turned round", node, "test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, (ast.Name, ast.Attribute)):
        field = "id" if isinstance(node, ast.Name) else "attr"
        if name := NAMES.get(getattr(node, field)):
            change(f"{getattr(node, field)} -> {name}", node, field, name)
    if isinstance(node, ast.Return) and node.value is not None:
        change("returns None", node, "value", ast.Constant(None))
    for place, statement in enumerate(getattr(node, "body", None) or [] if isinstance(node, ast.stmt) else []):
        is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if is_call or isinstance(statement, (ast.Raise, ast.Break, ast.Continue, ast.AugAssign)):
            at = f"line {statement.lineno}: {type(statement).__name__} taken out"
            change(at, node.body, place, ast.copy_location(ast.Pass(), statement))
    return found


if __name__ == "__main__":
    main()
