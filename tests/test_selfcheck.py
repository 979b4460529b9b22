"""`handwriting-zoo check`: green where the demo runs, and a piece of advice for everything that is not there."""

import json
import os
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hub_server import Account
from packaging.requirements import Requirement

from zoo import __main__, environment, selfcheck

HEAVY = {"keras", "tensorflow", "jax", "torch", "datasets", "sklearn", "gradio"}


@pytest.mark.slow
def test_a_machine_without_data_hub_and_browser_is_green_with_advice():
    """As after `make demo` on a fresh machine; nothing heavy is imported."""
    code = (
        "import sys; from zoo import __main__ as main; status = main.main(['check', '--json']);"
        f"print({HEAVY} & set(sys.modules)); sys.exit(status)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZOO_")}
    environment |= {"HF_HUB_OFFLINE": "1", "PATH": "/nowhere", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    report, imported = done.stdout.rstrip().rsplit("\n", 1)
    report = json.loads(report)
    assert {"zoo", "python", "keras", "onnxruntime", "gradio", "on"} <= set(report["versions"])
    found = {one["subject"]: one for one in report["findings"]}
    assert {one["subject"] for one in found.values() if one["state"] == "note"} >= {"data: mnist", "Hub", "browser"}
    assert all(one["advice"] for one in found.values() if one["state"] != "ok")
    assert found["data: optdigits"]["says"] == "bundled with scikit-learn"
    assert found["serving"]["says"].startswith("lenet5.mnist reads a drawn 7 on onnxruntime")
    assert found["sandbox"]["says"].startswith("network ")
    assert imported == "set()"


def test_what_breaks_the_demo_is_status_1(monkeypatch, capsys):
    asked = {"": ["numpy<1", "nonesuch~=1.0"], "space": ["gradio"], "train": ["neither~=2.0"]}
    monkeypatch.setattr(environment, "requirements", lambda extra: [Requirement(line) for line in asked[extra]])
    reading, space, training = selfcheck.packages()
    assert reading.says == f"numpy is {np.__version__}, expected <1; nonesuch is not installed"
    assert (reading.state, space.state, training.state) == ("problem", "ok", "note")
    monkeypatch.setattr(selfcheck, "SHIPPED", "lenet5.nonesuch")
    assert selfcheck.serving().state == "problem"
    monkeypatch.setattr(selfcheck, "findings", lambda thorough: iter([reading, training]))
    assert __main__.main(["check"]) == 1
    printed = capsys.readouterr().out
    assert "✗ packages that read pictures: numpy is" in printed
    assert "-> python -m pip install -r requirements.txt" in printed
    assert "The demo cannot run: 1 to fix." in printed


@pytest.mark.parametrize(("arguments", "printed"), [(["models"], "lenet5.mnist"), (["info", "lenet5.mnist"], "61706")])
def test_the_command_line_lists_and_describes_networks(capsys, arguments, printed):
    assert __main__.main(arguments) == 0
    assert printed in capsys.readouterr().out


def test_the_command_line_reads_pictures(tmp_path, capsys):
    sheet = np.full((200, 200), 255, np.uint8)
    cv2.polylines(sheet, [np.array([[64, 48], [136, 44], [92, 160]])], False, 0, 9, cv2.LINE_AA)
    cv2.imwrite(str(tmp_path / "seven.png"), sheet)
    assert __main__.main(["read", str(tmp_path / "seven.png"), str(tmp_path / "nothing.png"), "--json"]) == 1
    seven, nothing = map(json.loads, capsys.readouterr().out.splitlines())
    assert (seven["text"], len(seven["glyphs"])) == ("7", 1)
    assert "nothing.png" in nothing["error"]


def test_the_command_line_answers_bad_input_with_a_sentence_and_status_2(capsys):
    assert __main__.main(["info", "lenet5.mnits"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    with pytest.raises(SystemExit) as ended:
        __main__.main([])
    assert ended.value.code == 2


def test_every_part_of_the_project_asks_for_its_own_packages():
    base, space, everything = ({one.name for one in environment.requirements(extra)} for extra in ("", "space", "all"))
    assert "onnxruntime" in base < space < everything
    assert not base & {"keras", "tensorflow", "gradio", "pandas"}
    assert "tensorflow" not in space


def test_folders_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATASETS", str(tmp_path))
    monkeypatch.setenv("ZOO_MODELS", str(tmp_path / "nowhere"))
    assert [(one.subject, one.state) for one in selfcheck.folders()] == [("ZOO_MODELS", "note")]
    assert {one.state for one in selfcheck.datasets(False) if one.subject != "data: optdigits"} == {"note"}


def test_a_thorough_look_finds_data_that_is_not_the_boards(make_repo):
    image = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    make_repo({split: {"image": [image] * 200, "label": [n % 10 for n in range(200)]} for split in ("train", "test")})
    found = {one.subject: one for one in selfcheck.datasets(thorough=True)}
    assert found["data: optdigits"].state == "note"
    assert "is not the optdigits that the records were measured on" in found["data: optdigits"].says


def test_a_thorough_look_reads_the_bundled_data(monkeypatch):
    monkeypatch.delenv("ZOO_DATASETS", raising=False)
    found = {one.subject: one for one in selfcheck.datasets(thorough=True)}
    assert found["data: optdigits"].says == "bundled, 1,437 + 360 samples, fingerprints right"


@pytest.mark.parametrize(
    ("token", "namespace", "state", "says"),
    [
        (None, None, "note", "reachable, no token; namespace handwriting-zoo"),
        ("hf_OfAnn", None, "note", "reachable as ann; namespace handwriting-zoo"),
        ("hf_OfAnn", "ann", "ok", "reachable as ann; namespace ann"),
        ("hf_OfNobody", "ann", "note", "does not accept the token"),
    ],
)
def test_the_hub_says_who_this_is(hub, monkeypatch, token, namespace, state, says):
    hub.tokens["hf_OfAnn"] = Account("ann", "read")
    for name, value in (("HF_TOKEN", token), ("ZOO_NAMESPACE", namespace)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    finding = selfcheck.hub()
    assert finding.state == state
    assert says in finding.says
    assert "hf_Of" not in finding.says


@pytest.mark.parametrize("script", ["train_all.py", "new_architecture.py", "train.py", "deploy_space.py"])
def test_a_script_outside_the_environment_says_so_in_a_sentence(script):
    command = [sys.executable, "-S", ROOT / "scripts" / script]  # without any installed package
    done = subprocess.run(command, capture_output=True, text=True, env={})
    assert done.returncode != 0
    assert re.fullmatch(r"error: .* has no package \w+\. Activate the environment .*\n", done.stderr)
