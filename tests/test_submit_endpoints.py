"""Submitting from a program: the endpoints, the Python function, the shell, and who is signed in."""

import json
import os
import re
import subprocess
import time
import urllib.request

import gradio_client
import pytest
from conftest import ROOT
from gradio_client.exceptions import AppError
from hub_server import Account
from networks import keras_file, onnx_file, perceptron
from space import serve
from submitting import send

import leaderboard
from leaderboard.submissions import calls, sign_in
from leaderboard.submissions.store import LocalStore
from leaderboard.tabs import receipts, submit, submit_form
from leaderboard.tabs.board import Live
from zoo import gate
from zoo.errors import ZooError
from zoo.gate import limits

SAID = {"name": "net", "datasets": ["optdigits"], "licence": "mit", "declaration": "optdigits", "user": "bob"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A Space without a worker, and its store."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    with serve(ZOO_SUBMISSIONS=str(store.root)) as space:
        yield space, store


def test_the_python_function_sends_a_file_and_gets_a_receipt(running, tmp_path):
    space, store = running
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_file())
    sent = leaderboard.submit(path, space=space.url, claimed={"optdigits": 0.9}, **SAID)
    assert (sent["status"], sent["ahead"], sent["claimed"]) == ("PENDING", 0, {"optdigits": 0.9})
    assert leaderboard.submission_status(sent["id"], space=space.url)["status"] == "PENDING"
    assert store.content(store.get(sent["id"]))
    path.write_bytes(keras_file(perceptron(activation="linear")))
    refused = leaderboard.submit(path, space=space.url, **SAID)
    assert [problem["code"] for problem in refused["problems"]] == ["probabilities"]
    client = gradio_client.Client(space.url, verbose=False)
    both = client.predict(user="bob", api_name="/submissions")
    assert [one["id"] for one in both] == [refused["id"], sent["id"]]
    for nobody in ({}, {"secret": "x"}, {"secret": refused["secret"]}):
        with pytest.raises(AppError, match="only its sender"):
            client.predict(id=sent["id"], **nobody, api_name="/withdraw")
    assert client.predict(id=sent["id"], secret=sent["secret"], api_name="/withdraw")["status"] == "WITHDRAWN"
    with pytest.raises(AppError, match="cannot be tried again"):
        client.predict(id=refused["id"], secret=refused["secret"], api_name="/retry")
    with pytest.raises(ZooError, match="There is no submission"):
        leaderboard.submission_status("20200101-00000000", space=space.url)


def test_a_secret_is_long_and_is_not_guessed(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    for short in ("7", " " * 20 + "x", "x" * 15):
        with pytest.raises(ZooError, match="at least 16 characters"):
            calls.secret_of(short)
    assert calls.secret_of("x" * 16) == "x" * 16
    assert len(calls.secret_of("")) == len(calls.secret_of(None)) == 22
    store = LocalStore(tmp_path)
    for n in range(limits.CHANGES):
        change = calls.withdrawn if n % 2 else calls.retried
        with pytest.raises(ZooError, match="There is no submission"):
            change(store, "20200101-00000000", "ann" * (n % 3 == 0), "x" * 16 * (n % 3 > 0))
    for user, secret in (("", "x" * 16), ("ann", "")):
        with pytest.raises(limits.TooMany, match="changes of submissions from your address"):
            calls.withdrawn(store, "20200101-00000000", user, secret)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"file": {"path": str(ROOT / "README.md")}}, "that was uploaded"),
        ({}, "Send either a file or a repo"),
        ({"source": "https://evil.example/x"}, "not a repo on the Hub"),
        ({"user": "../bob", "source": "hf://a/b"}, "Say who you are"),
        ({"name": "<b>", "source": "hf://a/b"}, "The name is"),
    ],
)
def test_the_endpoint_says_what_is_wrong(running, changes, sentence):
    client = gradio_client.Client(running[0].url, verbose=False)
    with pytest.raises((AppError, ValueError), match=sentence):
        client.predict(**{**SAID, **changes}, api_name="/submit")


def test_a_file_of_the_server_is_not_read(running):
    """A raw request, since the Python client would upload its own file of that name."""
    url, store = f"{running[0].url}/gradio_api/call/submit", running[1]
    before = len(store.all())
    for path in ("/etc/passwd", str(ROOT / "README.md"), "../../etc/passwd"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        data = json.dumps({"data": ["net", ["optdigits"], "mit", "x", file, "", "", {}, "bob", ""]}).encode()
        asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=240) as answer:
            event = json.load(answer)["event_id"]
        with urllib.request.urlopen(f"{url}/{event}", timeout=240) as answer:
            assert answer.read().startswith(b"event: error")
    assert len(store.all()) == before


def test_the_lines_of_the_page_for_the_shell_work(running, tmp_path):
    space, store = running
    (tmp_path / "model.onnx").write_bytes(onnx_file(shape=(28, 28, 1), seed=3))
    script = re.search(r"```sh\n(.*?)```", submit.FROM_ELSEWHERE, re.DOTALL)[1]
    script = script.replace("http://localhost:7860", space.url)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    answer = json.loads(re.search(r"^data: (.*)$", done.stdout, re.MULTILINE)[1])[0]
    assert answer["status"] == "PENDING", done
    assert store.get(answer["id"]).name == "my_net"


def caller(session=None, agent=False, client="203.0.113.7", **headers):
    """Return the caller of an HTTP request."""
    sent = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    return gate.Caller.of({"session": session or {}, "headers": sent, "client": (client, 1)}, agent)


def sender(who, said="bob"):
    with gate.entered(who):
        return sign_in.sender(said)


def test_on_a_space_the_sender_is_who_is_signed_in(monkeypatch, hub):
    assert sender(caller()) == "bob"
    with pytest.raises(ZooError, match="Sign in"):
        sender(caller(agent=True))  # an agent proves who it is anywhere
    for site in ("cross-site", "same-site", "made up"):  # a page of another site, whose reader knows nothing of it
        with pytest.raises(ZooError, match="Sign in"):
            sender(caller(sec_fetch_site=site))
    assert [sender(caller(sec_fetch_site=site)) for site in ("same-origin", "none")] == ["bob", "bob"]
    for origin in ("http://evil.example", "null", "http://zoo.lan.evil.example"):  # all that is said without HTTPS
        with pytest.raises(ZooError, match="Sign in"):
            sender(caller(host="zoo.lan:7860", origin=origin))
    assert sender(caller(host="zoo.lan:7860", origin="http://zoo.lan:7860")) == "bob"
    assert sender(caller(host="10.0.0.1", origin="https://zoo.lan", sec_fetch_site="same-origin")) == "bob"  # a proxy
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "me/handwriting-zoo")
    info = {"userinfo": {"preferred_username": "ann"}, "expires_at": time.time() + 60}
    signed_in = {"oauth_info": info}
    with pytest.raises(ZooError, match="Sign in"):
        sender(caller(signed_in))  # without a secret of the Space's, its cookies are signed with a known key
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", "secret")
    assert sender(caller(signed_in)) == "ann"
    old = {"oauth_info": {**info, "expires_at": time.time() - 60}}
    nobody = [caller(), caller(old), caller(authorization="Basic x"), caller(signed_in, agent=True)]
    for who in nobody:
        with pytest.raises(ZooError, match="Sign in with Hugging Face"):
            sender(who)
    hub.tokens["hf_OfAnn"] = Account("ann", "read")
    for header in ("authorization", "x_hf_authorization"):
        assert sender(caller(**{header: "Bearer hf_OfAnn"})) == "ann"
    with pytest.raises(ZooError, match="does not accept the token") as error:
        sender(caller(authorization="Bearer hf_OfNobody"))
    assert "OfNobody" not in str(error.value)


def test_the_address_is_the_last_that_the_proxies_saw(monkeypatch):
    assert caller(x_forwarded_for="198.51.100.1").address == "203.0.113.7"  # off a Space anybody can send the header
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "me/handwriting-zoo")
    assert caller(client="10.0.0.2", x_forwarded_for="9.9.9.9, 8.8.4.4, 10.0.0.7").address == "8.8.4.4"
    assert caller(client="10.0.0.2", x_forwarded_for="made up, 10.0.0.7").address == "10.0.0.2"


def test_claims_are_read_as_people_write_them():
    assert submit_form.claims("mnist 99.2, ahdd: 98.7%", ()) == {"mnist": 0.992, "ahdd": 0.987}
    assert submit_form.claims("99.5", ("mnist",)) == {"mnist": 0.995}
    assert submit_form.claims("", ("mnist",)) == {}
    for text in ("99.5", "mnist x", "mnist"):
        with pytest.raises(ZooError, match="cannot be read"):
            submit_form.claims(text, ("mnist", "ahdd"))


def test_what_senders_write_is_escaped(tmp_path):
    bad = '"><script>alert(1)</script>'
    store = LocalStore(tmp_path)
    sent = send(store)
    hostile = sent.__class__(**{
        **sent.__dict__, "user": bad, "name": bad, "declaration": bad, "licence": bad, "source": bad, "paper": bad,
        "status": "FAILED", "reason": bad, "notes": (bad,), "problems": ({"code": bad, "what": bad, "fix": bad},),
        "history": ({"at": 0.0, "status": bad, "note": bad},),
    })  # fmt: skip
    for page in (receipts.receipt(hostile, None), receipts.queue([], [hostile])):
        assert "<script" not in page
        assert 'href=""><' not in page


def test_the_board_is_read_anew_when_it_was_written(tmp_path, monkeypatch):
    from records import made_up

    from leaderboard import results, snapshot

    monkeypatch.setattr(results, "RECORDS", tmp_path)
    snapshot.write(tmp_path)
    live = Live()
    before = live()
    assert live() is before
    results.write(made_up("lenet5.mnist", [0.9]), folder=tmp_path)
    os.utime(snapshot.write(tmp_path), (1, 1))
    assert "lenet5.mnist" in set(live()["model"])


@pytest.mark.slow
def test_the_worker_script_measures_shows_and_measures_again(tmp_path, run_script):
    store = LocalStore(tmp_path / "store")
    places = ("--store", str(store.root), "--records", str(tmp_path / "records"), "--cache", str(tmp_path / "cache"))
    sent = send(store)
    shown = run_script("evaluate_submissions.py", "--show", *places)
    assert "1 submissions wait or run" in shown.stdout, shown.stderr
    assert sent.id in shown.stdout
    assert run_script("evaluate_submissions.py", *places).returncode == 0
    assert store.get(sent.id).status == "FINISHED"
    again = run_script("evaluate_submissions.py", "--again", sent.id, *places)
    assert again.returncode == 0, again.stderr
    assert "optdigits: The record agrees with what was measured now. 0 test samples" in again.stdout
    lost = run_script("evaluate_submissions.py", "--again", "20200101-00000000", *places)
    assert (lost.returncode, lost.stderr.startswith("error: There is no submission")) == (2, True)


@pytest.mark.slow
def test_a_contributor_is_told_whether_a_network_would_be_accepted(run_script):
    done = run_script("check_architecture.py", "zoo/architectures/mnist_cnn.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") >= 6
    assert "It would be accepted" in done.stdout
    assert "421,642 parameters" in done.stdout
    assert run_script("check_architecture.py", "lenet6").returncode == 2
