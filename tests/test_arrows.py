"""The arrows of the design: which module may import which, read from the sources and from a running process."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

SOURCES = sorted(path for folder in ("zoo", "leaderboard") for path in (ROOT / folder).rglob("*.py"))


def imports(path) -> set[str]:
    """Return the top-level packages that a file imports, at module level or within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add(node.module.partition(".")[0])
    return names


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
    if inside.name not in ("hub_models.py", "on_hub.py", "hub_jobs.py") and "hub" not in inside.parts:
        assert "huggingface_hub" not in found, "only the hub, the store, models and machines on it touch the network"


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import zoo; zoo.list_models(); zoo.list_architectures()", "keras tensorflow datasets gradio onnxruntime cv2"),
        ("import zoo.serving.predictor", "keras tensorflow datasets gradio cv2"),
        ("import spaces_app", "keras tensorflow datasets evaluate sklearn scipy"),
    ],
)
def test_what_serves_stays_light(code, forbidden):
    report = f"{code}; import sys; print(*[name for name in {forbidden.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
