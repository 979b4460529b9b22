"""The Space: deployed, started from what was deployed, and looked at."""

import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from hub_server import Account, Blob
from packaging.requirements import Requirement
from space import serve

from zoo import environment

TOKEN = "hf_NobodyMayEverReadThisToken"
SPACE = "me/handwriting-zoo"


@pytest.fixture
def deploy(hub, monkeypatch, run_script):
    """Return a function that runs the script as `me`."""
    hub.tokens[TOKEN] = Account("me")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return lambda *arguments, **environment: run_script(
        "deploy_space.py", "--namespace", "me", "--staging", "staging", *arguments, **environment
    )


@pytest.mark.slow
def test_what_is_deployed_runs(hub, deploy, tmp_path):
    dry = deploy("--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert f"would be {SPACE}: new repo, " in dry.stdout
    assert hub.writes == []

    done = deploy(
        "--no-wait", "--hardware", "cpu-upgrade", "--variable", "A=b=c", "--secret", "PASSWORD", PASSWORD="xyzzy"
    )
    assert done.returncode == 0, done.stderr
    assert "xyzzy" not in done.stdout + done.stderr
    repo = hub.repo(SPACE, "space")
    assert repo.hardware == "cpu-upgrade"
    assert repo.variables == {"ZOO_NAMESPACE": "me", "A": "b=c"}
    assert repo.secrets == {"PASSWORD": "xyzzy"}
    assert {"README.md", "spaces_app.py", "zoo/hub/__init__.py", "leaderboard/table.py"} <= repo.files.keys()
    assert not any(path.startswith(("tests/", "scripts/", ".ci/", "Makefile")) for path in repo.files)
    front = yaml.safe_load(repo.files["README.md"].decode().split("---")[1])
    assert (front["sdk"], front["app_file"]) == ("gradio", "spaces_app.py")

    for path, content in repo.files.items():
        (tmp_path / "deployed" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "deployed" / path).write_bytes(content)
    with serve(tmp_path / "deployed") as space:
        repo.host = space.url
        commits = len(repo.commits)
        repo.stage = "SLEEPING"
        again = deploy("--hardware", "cpu-upgrade")
        assert again.returncode == 0, again.stderr
        assert (
            f"{SPACE}: unchanged\n{SPACE} is sleeping: starting it\n{SPACE}: runs at {space.url}, with /predict"
            in again.stdout
        )
        assert len(repo.commits) == commits
    repo.host = hub.url  # answers, but not as an app does
    lost = deploy()
    assert lost.returncode == 2
    assert f"error: {hub.url}: the Hub refused it" in lost.stderr


def test_a_dry_run_says_what_would_be_sent_where_there_is_no_way_to_the_hub(deploy):
    done = deploy("--dry-run", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "compared with nothing because the Hub cannot be reached\n  CHANGELOG.md\n" in done.stdout
    assert "\n  zoo/ (" in done.stdout


def test_rows_of_this_machine_are_not_deployed(checkout):
    row = checkout / "leaderboard" / "local_records" / "mnist" / "mine.mnist.json"
    row.parent.mkdir(parents=True)
    row.write_text("{}")
    subprocess.run(["git", "add", "--force", row], cwd=checkout, check=True)
    command = [sys.executable, checkout / "scripts" / "deploy_space.py", "--dry-run"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "git tracks leaderboard/local_records/mnist/mine.mnist.json" in done.stderr


@pytest.mark.slow
def test_a_space_needs_no_package_that_its_requirements_lack(hub, deploy, tmp_path):
    assert deploy("--dry-run").returncode == 0
    kept = {Requirement(line).name for line in (tmp_path / "staging" / "requirements.txt").read_text().splitlines()}
    left_out = {one.name for one in environment.requirements("all")} - kept
    assert {"tensorflow", "keras", "datasets"} <= left_out
    code = (
        "import sys, importlib.metadata as m; import spaces_app; from zoo.serving import predictor\n"
        "brought = m.packages_distributions()\n"
        "print(*{name for module in sys.modules for name in brought.get(module.partition('.')[0], ())})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    imported = set(done.stdout.split())
    assert {"gradio", "onnxruntime"} <= imported, done.stderr
    assert imported & left_out == set()


def test_a_readme_that_was_edited_on_the_hub_is_refused(hub, deploy):
    assert deploy("--no-wait").returncode == 0
    repo = hub.repo(SPACE, "space")
    edited = repo.files["README.md"].replace(b"colorTo: gray", b"colorTo: pink")
    repo.commit("on the site", {**repo.commits[-1][2], "README.md": Blob(edited, False)})
    done = deploy("--no-wait")
    assert done.returncode == 2
    assert f"error: The card of {SPACE} was edited on the Hub" in done.stderr
    assert deploy("--no-wait", "--cards", "keep").returncode == 0
    assert repo.files["README.md"] == edited


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--secret", "NOWHERE"), "The secret NOWHERE has no value: set the environment variable NOWHERE."),
        (("--variable", "A"), "--variable takes NAME=VALUE, not 'A'."),
        (("--hardware", "abacus"), "invalid choice: 'abacus'"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(deploy, arguments, sentence):
    done = deploy(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
