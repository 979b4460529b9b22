"""Hostile files: every one is refused for its own reason, as bytes, before anything of it is loaded."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from hostile import HOSTILE
from networks import keras_file, onnx_file, perceptron, weights

from leaderboard.submissions import checks, intake, offers
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.store import LocalStore
from zoo.errors import ZooError


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_for_its_own_reason(name):
    data, code = HOSTILE[name]
    dataset = "mnist" if "days" in name else "optdigits"
    checked = checks.check(data, "model.onnx" if code == "onnx" else "model", (dataset,))
    assert code in [problem.code for problem in checked.problems], [str(p) for p in checked.problems]
    assert checked.content is None
    for problem in checked.problems:
        assert problem.what.endswith((".", "…", "?"))
        assert problem.fix
        assert len(str(problem)) < 900


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 60


def test_nothing_is_loaded_to_see_that(tmp_path):
    """A process that checks all of them imports neither Keras nor a runtime, and writes nothing."""
    for number, (data, _) in enumerate(HOSTILE.values()):
        if len(data) < 1_000_000:
            (tmp_path / f"{number}").write_bytes(data)
    code = (
        "import sys, pathlib; from leaderboard.submissions import checks\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    checks.check(path.read_bytes(), 'model', ('optdigits',))\n"
        "print({'keras', 'tensorflow', 'h5py', 'onnxruntime', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize(
    ("filename", "data", "line"),
    [
        ("net.h5", weights(), "model = keras.models.load_model('net.h5'); model.save('model.keras')"),
        ("saved_model.pb", b"\x12\x00", "python -m tf2onnx.convert --saved-model"),
        ("net.pt", b"\x80\x02x", "torch.onnx.export"),
    ],
)
def test_another_format_is_refused_with_the_lines_that_convert_it(filename, data, line):
    (problem,) = checks.check(data, filename, ("optdigits",)).problems
    assert line in problem.fix


def test_every_problem_is_told_at_once():
    data = keras_file(perceptron((28, 28, 1), 7, "linear"), weights())
    codes = [problem.code for problem in checks.check(data, "m.keras", ("optdigits",)).problems]
    assert codes == ["input-shape", "classes", "probabilities", "weights"]


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "=HYPERLINK(1)", "../../x", "a", "x" * 60, "Net", "a b", "a/b", "1a", "", "a\n"],
)
def test_names_of_markup_formulas_and_paths_are_refused(tmp_path, name):
    store = LocalStore(tmp_path / "store")
    offer = Offer(name, ("optdigits",), "mit", "optdigits")
    with pytest.raises(ZooError, match=r"The name is .*lower-case letters"):
        intake.submit(store, "bob", offer, ("m.onnx", onnx_file()))
    assert store.all() == []


@pytest.mark.parametrize("user", ["", " ", "../x", "a/b", "<b>", "x" * 60, ".hidden", "a\0b"])
def test_users_that_are_none_are_refused(tmp_path, user):
    with pytest.raises(ZooError, match="Say who you are"):
        intake.submit(LocalStore(tmp_path), user, Offer("net", ("optdigits",), "mit", "x"), ("m.onnx", onnx_file()))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"datasets": ()}, "dataset"),
        ({"datasets": ("mnits",)}, "dataset"),
        ({"datasets": ("pages70",)}, "dataset"),
        ({"licence": "mine"}, "licence"),
        ({"declaration": ""}, "declaration"),
        ({"declaration": "x" * 700}, "declaration"),
        ({"declaration": "a\u202eb"}, "declaration"),
        ({"paper": "javascript:alert(1)"}, "paper"),
        ({"paper": "https://a.example/\" onclick=\"x"}, "paper"),
        ({"paper": "file:///etc/passwd"}, "paper"),
        ({"claimed": {"mnist": 99.2}}, "claim"),
        ({"claimed": {"mnist": float("nan")}}, "claim"),
        ({"claimed": {"elsewhere": 0.9}}, "claim"),
        ({"claimed": {"mnist": "0.9"}}, "claim"),
    ],
)  # fmt: skip
def test_what_is_said_of_it_is_checked(changes, code):
    said = {"name": "net", "datasets": ("mnist",), "licence": "mit", "declaration": "mnist", **changes}
    offer, problems = offers.checked_offer(Offer(**said))
    assert [problem.code for problem in problems] == [code]
    assert offer.paper in ("", said.get("paper"))


def test_good_files_are_taken():
    for data, kind in ((keras_file(), "keras"), (onnx_file(), "onnx"), (json.dumps(perceptron()).encode(), "json")):
        checked = checks.check(data, "model", ("optdigits",))
        assert checked.problems == ()
        assert (checked.kind, checked.parameters) == (kind, 650 if kind != "onnx" else 640)
