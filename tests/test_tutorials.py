"""Every tutorial of the documentation, done block by block as a reader would do it, in a copy of the checkout.

A block of `python` runs in one namespace, one of `sh` in one environment; a block of `text` after it is what it has to
print, where … stands for anything. `make demo` and http://localhost:7860 are a Space that runs on another port.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT
from hub_server import Account
from space import serve

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
LONGEST = {"add_a_dataset", "add_a_metric", "add_an_architecture", "notebook", "publish", "your_own_pictures"}
PATIENCE = 600  # seconds
ADDRESS = "http://localhost:7860"
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Reader:
    """Does what a tutorial says."""

    def __init__(self, tutorial: Path, monkeypatch: pytest.MonkeyPatch, address: str):
        self.tutorial, self.monkeypatch, self.address = tutorial, monkeypatch, address
        self.scope: dict = {"__name__": tutorial.stem}

    def follow(self) -> int:
        """Do every block; return how many outputs were compared with what the tutorial shows."""
        text, compared, said = self.tutorial.read_text(encoding="utf-8"), 0, None
        for block in BLOCK.finditer(text):
            kind, content = block[1], block[2].replace(ADDRESS, self.address)
            if kind != "text":
                line = text.count("\n", 0, block.start(2))
                said = self.python(content, line) if kind == "python" else self.sh(content, line)
            elif said is not None:  # not an example of something else
                shown = ".*?".join(map(re.escape, content.strip().split("…")))
                assert re.fullmatch(shown, said.strip(), re.DOTALL), f"{self.tutorial.name} prints\n{said}"
                said, compared = None, compared + 1
        return compared

    def python(self, code: str, line: int) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile("\n" * line + code, self.tutorial, "exec"), self.scope)
        return said.getvalue()

    def sh(self, code: str, line: int) -> str | None:
        if code.strip() == "make demo":
            return None
        script = f"{code}\nenv -0 > environment"
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"{self.tutorial.name}, line {line}: {done.stdout}{done.stderr}"
        for variable in Path("environment").read_text().split("\0"):
            name, equals, value = variable.partition("=")
            if equals and name.startswith("ZOO_"):
                self.monkeypatch.setenv(name, value)
        return done.stdout


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A Space as `make demo` starts it, with a worker, on a copy of the records."""
    folder = tmp_path_factory.mktemp("space")
    records = shutil.copytree(ROOT / "leaderboard" / "records", folder / "records")
    with serve(ZOO_SUBMISSIONS=str(folder / "store"), ZOO_RECORDS=str(records), ZOO_WORKERS="1") as running:
        waited_enough = threading.Timer(PATIENCE, running.process.kill)  # who waits for a row in vain fails then
        waited_enough.start()
        yield running
        waited_enough.cancel()


@pytest.mark.parametrize(
    "tutorial",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in LONGEST)) for path in TUTORIALS],
)
def test_a_tutorial_does_what_it_says(tutorial, checkout, hub, monkeypatch, request):
    hub.tokens["hf_of_a_reader"] = Account("you")
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_reader")
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ZOO_USER_DATASETS", str(checkout / "runs" / "datasets"))
    monkeypatch.setenv("ZOO_LOCAL_RECORDS", str(checkout / "leaderboard" / "local_records"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(checkout / "runs" / "cache"))
    monkeypatch.chdir(checkout)
    needs_space = ADDRESS in tutorial.read_text(encoding="utf-8")
    address = request.getfixturevalue("space").url if needs_space else ADDRESS
    assert Reader(tutorial, monkeypatch, address).follow() >= 2
