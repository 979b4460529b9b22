"""The template of a new architecture: as it is generated, it passes what every architecture has to."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT


def new_architecture(checkout, name: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "scripts/new_architecture.py", name]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_what_is_generated_passes_the_grids_and_the_style(checkout):
    done = new_architecture(checkout, "my_net")
    assert done.returncode == 0, done.stderr
    assert "python scripts/check_architecture.py my_net" in done.stdout
    shutil.copytree(ROOT / "tests", checkout / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    grid = "(takes_any_sensible_shape and my_net) or every_recipe_survives or arrows_that_may_not_exist and my_net"
    for command in (
        ["-m", "pytest", "-o", "addopts=", "tests/test_registry.py", "tests/test_arrows.py", "-k", grid],
        ["-m", "ruff", "check", "zoo/architectures/my_net.py"],
        ["-m", "ruff", "format", "--check", "zoo/architectures/my_net.py"],
    ):
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        done = subprocess.run(
            [sys.executable, *command], cwd=checkout, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "pytest" not in command or "3 passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my-net", "'my-net' cannot name a network"),
        ("2nets", "'2nets' cannot name a network"),
        ("MyNet", "'MyNet' cannot name a network"),
        ("../evil", "'../evil' cannot name a network"),
        ("lambda", "'lambda' cannot name a network"),
        ("lenet5", "There is an architecture 'lenet5' already"),
    ],
)
def test_a_name_that_will_not_do_is_one_sentence_and_writes_nothing(checkout, name, sentence):
    before = sorted(checkout.rglob("*.py"))
    done = new_architecture(checkout, name)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sentence}")
    assert len(done.stderr.splitlines()) == 1
    assert sorted(checkout.rglob("*.py")) == before
