"""The arrows of the design: which module may import which, read from the sources and from a running process."""

import ast
import re
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

from zoo import settings

SOURCES = sorted(path for folder in ("zoo", "leaderboard") for path in (ROOT / folder).rglob("*.py"))
LEVELS = 9  # of packages and modules in `zoo`, from `errors` up to the command line
SAME_MEANING = {"local", "selfcheck"}  # module names that occur twice: on this machine; what is checked here


def name_of(path: Path) -> str:
    """Return a module's dotted name, "zoo.data" for zoo/data/__init__.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in SOURCES}


def imported_modules(path: Path) -> set[str]:
    """Return what a file imports, at module level or within functions, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in MODULES else str(node.module))
    return names


def imports(path: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imported_modules(path)}


def unit_of(module: str) -> str:
    """Return what counts as one room of the house: a module or package of `zoo`, of `leaderboard` or of submissions."""
    depth = 3 if module.startswith("leaderboard.submissions.") else 2
    return ".".join(module.split(".")[:depth])


def arrows(package: str) -> dict[str, set[str]]:
    """Return which unit of a package imports which others of it."""
    found: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if module.startswith(f"{package}."):
            targets = {unit_of(name) for name in imported_modules(path) if name.startswith(f"{package}.")}
            found.setdefault(unit_of(module), set()).update(targets - {unit_of(module)})
    return found


@pytest.mark.parametrize("package", ["zoo", "leaderboard"])
def test_no_unit_imports_itself_in_a_circle(package):
    order = TopologicalSorter(arrows(package))
    try:
        list(order.static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_house_has_few_levels():
    order, levels = TopologicalSorter(arrows("zoo")), []
    order.prepare()
    while order.is_active():
        levels.append(ready := order.get_ready())
        order.done(*ready)
    assert len(levels) <= LEVELS, levels


def test_no_module_name_has_two_meanings():
    names = Counter(module.rpartition(".")[2] for module, path in MODULES.items() if path.name[0] != "_")
    assert {name for name, count in names.items() if count > 1} <= SAME_MEANING


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("zoo.data.spec", "zoo.data.loading zoo.data.parquet zoo.pages.views"),
        ("zoo.pages.patches", "zoo.training zoo.pages.views"),
        ("zoo.pages.views", "zoo.data zoo.training"),
        ("zoo.training.job", "zoo.training.loop zoo.training.run"),
        ("zoo.training.loop", "zoo.training.run"),
        (
            "leaderboard.submissions.store.base",
            "leaderboard.submissions.store.local leaderboard.submissions.store.on_hub",
        ),
    ],
)
def test_arrows_within_packages_that_may_not_exist(module, forbidden):
    found = imported_modules(MODULES[module])
    assert not {name for name in found for other in forbidden.split() if name == other or name.startswith(f"{other}.")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_that_may_not_exist(path):
    inside = path.relative_to(ROOT)
    found = imports(path)
    if inside.parts[0] == "zoo":
        assert "leaderboard" not in found, "zoo never imports leaderboard"
    if "tabs" not in inside.parts:
        assert "gradio" not in found, "only tabs and spaces_app.py import gradio"
    if inside.name != "backend.py":
        assert not found & {"tensorflow", "jax", "torch"}, "only the choice of a backend imports one"
    if (
        inside.name not in ("hub_cache.py", "hub_transport.py", "hub_models.py", "on_hub.py", "hub_jobs.py")
        and "hub" not in inside.parts
    ):
        assert "huggingface_hub" not in found, "only the hub, the store, models and machines on it touch the network"


def test_settings_are_read_in_one_place_and_documented():
    reading = re.compile(r'environ\.get\("(?:ZOO|XDG)_|getenv|"(?:ZOO|XDG)_\w+" (?:not )?in os\.environ')
    found = [path for path in SOURCES if reading.search(path.read_text(encoding="utf-8"))]
    assert found == []
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *SOURCES]
    named = {name for path in pages for name in re.findall(r"\bZOO_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    assert named == {name for name in settings.SETTINGS if name.startswith("ZOO_")}


STUBS = """
import ast
segment, read = ast.get_source_segment, []  # what Gradio takes of its own source for editors, if it does
ast.get_source_segment = lambda *of: read.append(of) or segment(*of)
"""


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import zoo; zoo.list_models(); zoo.list_architectures()", "keras tensorflow datasets gradio onnxruntime cv2"),
        ("import zoo.serving.predictor", "keras tensorflow datasets gradio cv2"),
        (f"{STUBS}import spaces_app; assert len(read) < 5", "keras tensorflow datasets evaluate sklearn scipy"),
    ],
)
def test_what_serves_stays_light(code, forbidden):
    report = f"{code}; import sys; print(*[name for name in {forbidden.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
