"""The Hub, both ways, with the real client against the server of `hub_server.py`: nothing in the client is patched."""

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import datasets
import numpy as np
import pytest
from conftest import HUB_HOME, ROOT, TOKEN
from hub_repos import contents
from hub_server import Account, Blob, Fault
from huggingface_hub import _tree_cache, constants

import zoo
from leaderboard import results
from zoo import cards, hub_cache, keras_weights
from zoo.data import unpacking
from zoo.errors import ZooError
from zoo.hub import MODEL_FILES, Backoff, CardEdited, NoSuchRepo, failures, pull, push, resolve
from zoo.published import PublishedFolder

MODEL = "mnist_cnn.optdigits"
REPO = f"me/{MODEL}"
QUICK = Backoff(attempts=6, first=0.01, longest=0.05)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)


@pytest.fixture
def tiny(tmp_path):
    """Return a function that writes a folder with the files of a model, a few bytes each, and says what is where."""

    def write(version: int = 0, card: str = "# A card"):
        folder = tmp_path / "tiny"
        folder.mkdir(exist_ok=True)
        for name in MODEL_FILES:
            (folder / name).write_bytes(f"{name} {version} ".encode() * 40)
        (folder / "README.md").write_text(cards.sealed(f"{card} {version}"), encoding="utf-8")
        return {path.name: path for path in folder.iterdir()}

    return write


def clear_cache() -> None:
    shutil.rmtree(HUB_HOME / "hub", ignore_errors=True)


def push_all(run, published, *arguments: str, **environment: str):
    return run(
        "push_all.py", "--models", str(published / "models"), "--records", str(published / "records"),
        "--namespace", "me", "--staging", str(published / "staging"), *arguments, **environment,
    )  # fmt: skip


# The round trip


@pytest.mark.slow
def test_train_push_clear_the_cache_load_predict(hub, token, published, run_script):
    done = push_all(run_script, published)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"{REPO}: new repo, 20 added -> [0-9a-f]{{12}}\n", done.stdout)
    staging = published / "staging" / MODEL
    made = {path.relative_to(staging).as_posix(): path.read_bytes() for path in staging.rglob("*") if path.is_file()}
    source = {path.name: path.read_bytes() for path in (published / "models" / MODEL).iterdir()}
    assert hub.repo(REPO).files == source | made
    assert {"README.md", ".eval_results/optdigits.yaml", "figures/confusion.png"} <= made.keys()
    assert len(hub.repo(REPO).commits) == 2  # the one that a repo is born with, and ours

    writes = len(hub.writes)
    done = push_all(run_script, published)
    assert done.stdout == f"{REPO}: unchanged\n"
    assert len(hub.writes) == writes

    expected = zoo.load_predictor(published / "models" / MODEL)(IMAGES)
    np.testing.assert_array_equal(zoo.load_predictor(f"hf://{REPO}")(IMAGES), expected)
    revision = hub.repo(REPO).head
    for name in (f"hf://{REPO}@{revision}", f"hf://{REPO}@{revision[:12]}"):
        np.testing.assert_allclose(zoo.load_model(name).predict(IMAGES, verbose=0), expected, atol=1e-5)

    clear_cache()
    blocks = re.findall(r"```python\n(.*?)```", hub.repo(REPO).files["README.md"].decode(), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, scope := {})
        assert np.shape(scope["probabilities"]) == (1, 10)
    offline = python("\n".join([*blocks, "print(np.shape(probabilities))"]), HF_HUB_OFFLINE="1")
    assert offline.stdout.splitlines()[-1:] == ["(1, 10)"], offline.stderr


def test_the_other_trainings_of_a_row_are_pushed_and_measured_again(hub, token, published, run_here, tmp_path):
    shutil.copytree(published / "models", tmp_path / "models")
    shutil.copytree(published / "records", tmp_path / "records")
    (row,) = results.read_all(tmp_path / "records")
    (other,) = (seed.seed for seed in row.seeds if seed.seed != row.shipped_seed)
    trained = published / "runs" / MODEL / "zoo" / f"seed-{other}" / "export"
    assert push_all(run_here, tmp_path, "--runs", str(published / "runs")).returncode == 0
    of_seed = {f"seeds/{other}/{name}" for name in PublishedFolder.MEASURED}
    assert {path for path in hub.repo(REPO).files if path.startswith("seeds/")} == of_seed
    (row,) = results.read_all(tmp_path / "records")
    assert row.of_seed(other).weights == f"hf://{REPO}/seeds/{other}"
    assert row.seeds_published == 2

    clear_cache()
    assert not (resolve(f"hf://{REPO}") / "seeds").exists()  # whoever wants the network does not get the others
    expected = zoo.load_predictor(trained)(IMAGES)
    pinned = f"hf://{REPO}/seeds/{other}@{hub.repo(REPO).head}"
    np.testing.assert_array_equal(zoo.load_predictor(pinned)(IMAGES), expected)
    reads = len(hub.log)
    np.testing.assert_array_equal(zoo.load_predictor(pinned)(IMAGES), expected)
    assert len(hub.log) == reads  # from the cache
    command = "measure.py", MODEL, "--seed", str(other), "--check", "--records", str(tmp_path / "records")
    measured = run_here(*command)
    assert "agrees with what was measured now" in measured.stdout, measured.stderr

    damaged = (resolve(pinned) / "model.onnx").resolve()
    damaged.write_bytes(damaged.read_bytes()[::-1])
    np.testing.assert_array_equal(zoo.load_predictor(pinned)(IMAGES), expected)  # fetched again
    with pytest.raises(ZooError, match=r"seeds/7/model\.onnx"):
        zoo.load_predictor(f"hf://{REPO}/seeds/7")
    for wrong in ("..", "1/../..", "", "0x1"):
        with pytest.raises(ZooError):
            zoo.load_predictor(f"hf://{REPO}/seeds/{wrong}")


def test_a_network_that_is_stored_once_is_pushed_whole(hub, token, published, run_here, tmp_path):
    """As the repository stores its networks: Keras' weights are made of model.onnx for every other Keras."""
    shutil.copytree(published / "models", tmp_path / "models")
    shutil.copytree(published / "records", tmp_path / "records")
    folder = tmp_path / "models" / MODEL
    whole = zoo.load_model(folder).predict(IMAGES, verbose=0)
    keras_weights.store_once(folder)
    assert not (folder / "model.weights.h5").exists()
    assert (folder / "keras_weights.npz").stat().st_size < 1000  # places in model.onnx, no numbers
    np.testing.assert_array_equal(zoo.load_model(folder).predict(IMAGES, verbose=0), whole)
    assert push_all(run_here, tmp_path).returncode == 0
    assert {*MODEL_FILES, "history.json"} <= hub.repo(REPO).files.keys()
    assert "keras_weights.npz" not in hub.repo(REPO).files
    np.testing.assert_array_equal(zoo.load_model(f"hf://{REPO}").predict(IMAGES, verbose=0), whole)
    assert push_all(run_here, tmp_path).stdout == f"{REPO}: unchanged\n"
    (folder / "keras_weights.npz").write_bytes(b"PK")
    with pytest.raises(zoo.ZooError, match=r"keras_weights\.npz does not say how Keras' weights are made"):
        zoo.load_model(folder)


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)


def test_a_model_of_the_namespace_by_name_and_pinned(hub, token, tiny, monkeypatch):
    monkeypatch.setenv("ZOO_NAMESPACE", "me")
    old = push(REPO, tiny(1)).commit
    new = push(REPO, tiny(2)).commit
    assert resolve(f"{MODEL}@{old}").name == old
    assert resolve(MODEL).name == new
    assert b" 1 " in (resolve(f"{MODEL}@{old[:10]}") / "config.json").read_bytes()
    hub.log.clear()
    resolve(f"hf://{REPO}@{old}")
    assert hub.log == []  # a commit that is in the cache is never asked for again


# Push


def test_a_dry_run_sends_nothing_and_needs_no_token(hub, published, run_script):
    done = push_all(run_script, published, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"would be {REPO}: new repo, 20 added\n  + .eval_results/optdigits.yaml\n" in done.stdout
    assert hub.log
    assert hub.writes == []
    assert not any(request.authorised for request in hub.log)


def test_only_what_differs_is_sent_and_only_what_is_the_zoos_is_deleted(hub, token, tiny):
    files = tiny()
    push(REPO, files)
    repo = hub.repo(REPO)
    ours = {path: Blob(data, path.endswith(".h5")) for path, data in repo.files.items()}
    repo.commit("by hand", {**ours, "figures/old.png": Blob(b"old", True), "NOTES.txt": Blob(b"mine", False)})
    files["model.onnx"].write_bytes(b"other")
    hub.log.clear()
    done = push(REPO, files)
    assert (done.added, done.changed, done.deleted) == ((), ("model.onnx",), ("figures/old.png",))
    assert sum(request.method == "PUT" for request in hub.log) == 1
    assert repo.files == contents(files) | {"NOTES.txt": b"mine"}


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        (Fault(status=409), "POST /api/.*/commit/"),
        (Fault(status=412), "POST /api/.*/commit/"),
        (Fault(status=429, headers=(("Retry-After", "1"),)), "POST /api/.*/commit/"),
        (Fault(status=503, headers=(("Retry-After", "²"),)), "POST /api/.*/commit/"),
        (Fault(status=500, message="<html>"), "POST /api/.*/commit/"),
        (Fault(cut=True), "POST /api/.*/commit/"),
        (Fault(lost=True), "POST /api/.*/commit/"),
        (Fault(status=503), "PUT /lfs/"),
        (Fault(cut=True), "PUT /lfs/"),
        (Fault(lost=True), "POST /api/repos/create"),
        (Fault(status=502), "GET /api/models/"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(k for k in vars(value) if getattr(value, k)),
)
def test_what_may_pass_is_tried_again_and_ends_in_one_commit(hub, token, tiny, fault, where):
    hub.fail(fault, on=where, times=1)
    started = time.monotonic()
    push(REPO, tiny(), backoff=QUICK)
    assert any(request.fault for request in hub.log)
    assert hub.repo(REPO).files == contents(tiny())
    assert len(hub.repo(REPO).commits) == 2
    if fault.status == 429:
        assert time.monotonic() - started > 1  # as the Hub asked


def test_no_hub_has_anybody_wait_for_days(hub, token, tiny, monkeypatch):
    monkeypatch.setattr(failures.time, "sleep", lambda seconds: pytest.fail(f"it waits {seconds} s"))
    hub.fail(Fault(status=503, headers=(("Retry-After", "9" * 400),)), on="POST /api/.*/commit/", times=9)
    with pytest.raises(ZooError, match="the Hub keeps failing"):
        push(REPO, tiny(), backoff=Backoff())


def test_somebody_elses_commit_in_between_is_seen(hub, token, tiny):
    push(REPO, tiny(1))
    repo = hub.repo(REPO)

    def meddle(method: str, path: str) -> None:
        if "/commit/" in path and len(repo.commits) == 2:
            repo.commit("meanwhile", {**repo.commits[-1][2], "NOTES.txt": Blob(b"mine", False)})

    hub.choose_fault = meddle
    push(REPO, tiny(2), backoff=QUICK)
    assert [message for _, message, _ in repo.commits][2:] == ["meanwhile", f"Publish {MODEL}"]
    assert repo.files == contents(tiny(2)) | {"NOTES.txt": b"mine"}


@pytest.mark.slow
def test_killed_half_way_the_same_command_finishes_the_rest(hub, token, published, run_script, tmp_path):
    models = tmp_path / "models"
    for name in ("a", "b", "c"):
        shutil.copytree(published / "models" / MODEL, models / f"{name}.optdigits")
        record = json.loads((published / "records" / "optdigits" / f"{MODEL}.json").read_text())
        path = tmp_path / "records" / "optdigits" / f"{name}.optdigits.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**record, "model": f"{name}.optdigits", "architecture": name}))
    command = [sys.executable, ROOT / "scripts/push_all.py", "--models", models, "--records", tmp_path / "records"]
    command += ["--namespace", "me", "--staging", tmp_path / "staging"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def kill(method: str, path: str) -> Fault | None:
        if "/me/b.optdigits/commit/" in path:
            process.send_signal(signal.SIGKILL)
            return Fault(cut=True)

    hub.choose_fault = kill
    process.communicate(timeout=300)
    hub.heal()
    commits = [len(repo.commits) for repo in hub.repos.values()]
    assert commits == [2, 1]  # the first complete, the second untouched, the third not begun
    done = run_script(*map(str, ["push_all.py", *command[2:]]))
    assert done.returncode == 0, done.stderr
    assert "me/a.optdigits: unchanged" in done.stdout
    assert [len(repo.commits) for repo in hub.repos.values()] == [2, 2, 2]
    assert {len(repo.files) for repo in hub.repos.values()} == {11}


def test_a_card_edited_on_the_hub_is_refused_with_a_diff_or_kept_or_replaced(hub, token, published, run_here):
    assert push_all(run_here, published).returncode == 0
    repo = hub.repo(REPO)
    edited = repo.files["README.md"] + b"\nDo not use this one for cheques.\n"
    tree = repo.commits[-1][2]
    repo.commit("edit", {**tree, "README.md": Blob(edited, False), "history.json": Blob(b"{}", False)})

    refused = push_all(run_here, published)
    assert refused.returncode == 2
    assert "-Do not use this one for cheques." in refused.stdout
    assert f"error: The card of {REPO} was edited on the Hub" in refused.stderr
    assert len(repo.commits) == 3

    kept = push_all(run_here, published, "--cards", "keep")
    assert f"{REPO}: 1 changed, the edited card kept -> " in kept.stdout
    assert repo.files["README.md"] == edited
    assert repo.files["history.json"] == (published / "models" / MODEL / "history.json").read_bytes()

    assert push_all(run_here, published, "--cards", "replace").returncode == 0
    assert repo.files["README.md"] == (published / "staging" / MODEL / "README.md").read_bytes()


def test_a_card_of_the_zoos_own_is_simply_renewed(hub, token, tiny):
    push(REPO, tiny(card="# Old"))
    assert push(REPO, tiny(card="# New")).changed == ("README.md",)
    stranger = tiny(card="# Newer")
    hub.repo(REPO).commit("x", {**hub.repo(REPO).commits[-1][2], "README.md": Blob(b"# mine", False)})
    with pytest.raises(CardEdited) as refused:
        push(REPO, stranger)
    assert "-# mine" in refused.value.diff


@pytest.mark.parametrize(
    ("account", "arguments", "sentence"),
    [
        (None, (), "Pushing needs a token that may write: set HF_TOKEN or run `hf auth login`."),
        ("unknown", (), "the Hub does not accept the token"),
        (Account("me", role="read"), (), "the token may not do this; it needs write access"),
        (Account("me"), ("--namespace", "google"), "You don't have the rights to create a repo under the namespace"),
        (Account("me"), ("--only", "mnist_cnn.optdigts"), "There is no published model 'mnist_cnn.optdigts'; did you"),
        (Account("me"), ("--models", "."), "There is no published model in ."),
        (Account("me"), ("--records", "."), f"{MODEL} has no record"),
        (Account("me"), ("--namespace", "a b"), "cannot be a repo's name: expected namespace/name"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(hub, published, run_here, account, arguments, sentence):
    if isinstance(account, Account):
        hub.tokens[TOKEN] = account
    done = push_all(run_here, published, *arguments, **({} if account is None else {"HF_TOKEN": TOKEN}))
    assert done.returncode == 2
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert sentence in told
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert hub.repos == {}


def test_a_file_over_the_limit(hub, token, tiny):
    files = tiny()
    with files["model.onnx"].open("r+b") as file:
        file.truncate(2 * 1024**3 + 1)  # a hole, that takes no room
    with pytest.raises(zoo.ZooError, match=rf"{REPO}: model.onnx is too large to push: 2.0 GiB, the most is 2 GiB"):
        push(REPO, files)
    assert hub.log == []
    hub.fail(Fault(status=413, message="Payload too large"), on="PUT /lfs/", times=9)
    with pytest.raises(zoo.ZooError, match=r"the Hub refused it \(the Hub answered 413"):
        push(REPO, tiny())


@pytest.mark.parametrize("name", ["model.weights.h5", "README.md", "model.onnx"])
def test_no_link_is_pushed(hub, token, tiny, tmp_path, name):
    """A key was pushed as weights; what is made here is no link."""
    files = tiny()
    (tmp_path / "id_rsa").write_text("PRIVATE KEY")
    files[name].unlink()
    files[name].symlink_to(tmp_path / "id_rsa")
    for dry_run in (True, False):
        with pytest.raises(zoo.ZooError, match=rf"{REPO}: .*{name} is a link, so it is not pushed"):
            push(REPO, files, dry_run=dry_run)
    assert hub.log == []


def test_the_token_is_sent_to_the_hub_alone_and_shown_to_nobody(hub, token, tiny, caplog, capfd, monkeypatch):
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)
    caplog.set_level(logging.INFO)
    for ours in ("zoo", "huggingface_hub"):  # below them, the transport's own debugging shows what a server echoes
        caplog.set_level(logging.DEBUG, ours)
    hub.fail(Fault(status=500, message=f"do not log {TOKEN}"), on="POST /api/.*/commit/", times=2)
    push(REPO, tiny(), backoff=QUICK)
    pull(REPO)
    hub.fail(Fault(status=403, message=f"{TOKEN} may not"), on="POST /api/.*/commit/")
    with pytest.raises(zoo.ZooError) as refused:
        push(REPO, tiny(2), backoff=QUICK)
    shown = "".join(capfd.readouterr()) + caplog.text + str(refused.value)
    assert "trying again" in shown
    assert [line for line in shown.splitlines() if TOKEN in line] == []
    storage = [request for request in hub.log if request.path.startswith(("/lfs/", "/cdn/"))]
    assert {request.method for request in storage} == {"PUT", "GET"}
    assert not any(request.authorised for request in storage)


# Pull


def test_offline_after_the_first_time(hub, token, published, run_here):
    assert push_all(run_here, published).returncode == 0
    code = f"import zoo; print(zoo.load_predictor('hf://{REPO}').name)"
    assert python(code, HF_HUB_OFFLINE="0", HF_TOKEN="").stdout == f"{MODEL}\n"  # reading needs no token
    hub.log.clear()
    assert python(code, HF_HUB_OFFLINE="1").stdout == f"{MODEL}\n"
    assert hub.log == []
    clear_cache()
    done = python(code, HF_HUB_OFFLINE="1")
    assert f"{REPO} is not in the cache, and the Hub cannot be reached (" in done.stderr.splitlines()[-1]
    done = python("import zoo; zoo.load_predictor('lenet5.optdigits')", HF_HUB_OFFLINE="1")
    last = done.stderr.splitlines()[-1]
    assert "'lenet5.optdigits' does not come with the package, and handwriting-zoo/lenet5.optdigits is not in" in last


def test_a_hub_that_is_down_does_not_matter_to_a_warm_cache(hub, token, tiny):
    push(REPO, tiny())
    folder = pull(REPO)
    hub.choose_fault = lambda method, path: Fault(status=503)
    assert pull(REPO, backoff=QUICK) == folder
    clear_cache()
    with pytest.raises(zoo.ZooError, match=rf"{REPO}: the Hub keeps failing \(the Hub answered 503"):
        pull(REPO, backoff=QUICK)


@pytest.mark.parametrize("fault", [Fault(cut=True), Fault(status=500), Fault(corrupt=True), Fault(slow=0.05)])
def test_a_download_that_went_wrong_is_made_good(hub, token, tiny, fault):
    push(REPO, tiny())
    hub.fail(fault, on="GET /(cdn|me)/", times=3)
    folder = pull(REPO, backoff=QUICK)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents(tiny())


def test_what_is_not_whole_or_has_another_checksum_is_never_used(hub, token, tiny):
    push(REPO, tiny())
    hub.fail(Fault(corrupt=True), on="GET /cdn/", times=1000)
    with pytest.raises(zoo.ZooError, match=r"model\.\w+.* was downloaded twice with another checksum than the Hub"):
        pull(REPO, backoff=QUICK)
    hub.heal()
    hub.fail(Fault(cut=True), on="GET /cdn/", times=1000)
    with pytest.raises(zoo.ZooError, match="the Hub keeps failing"):
        pull(REPO, backoff=Backoff(attempts=1))
    done = python(f"import zoo; zoo.load_predictor('hf://{REPO}')", HF_HUB_OFFLINE="1")
    assert f"Only a part of {REPO} is in the cache: load it once more online." in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["../outside", "..", "a/../../outside", "x" * 300, "\0q", "c:\\x"])
def test_a_repo_whose_files_have_odd_names_is_refused_in_a_sentence_or_kept(hub, token, tiny, tmp_path, name):
    """Those of a published model's figures have any name that its giver chose."""
    push(REPO, tiny())
    hub.repo(REPO).commit("odd", {**hub.repo(REPO).commits[-1][2], f"figures/{name}": Blob(b"odd", False)})
    clear_cache()
    with contextlib.suppress(ZooError):
        assert pull(REPO, backoff=QUICK).is_dir()
    assert not list(HUB_HOME.rglob("outside"))


@pytest.mark.parametrize("form", ["{}", "../../../../../..{}", 'W/"{}"'])
def test_a_hub_names_no_file_outside_the_cache(hub, token, tiny, tmp_path, form):
    """Neither by an ETag, nor by a commit: huggingface_hub names files and folders by them."""
    push(REPO, tiny())
    clear_cache()
    outside = form.format(tmp_path / "outside")
    for header in ("ETag", "X-Linked-Etag", "X-Repo-Commit"):
        hub.choose_fault = lambda method, path, header=header: Fault(headers=((header, outside),))
        with pytest.raises(ZooError, match="calls a file or a commit"):
            pull(REPO, backoff=QUICK)
    commits = hub.repo(REPO).commits
    commits[-1] = (outside, *commits[-1][1:])
    for kind in ("application/json", "text/plain", "Application/JSON; charset=utf-8", ""):
        hub.choose_fault = lambda method, path, kind=kind: Fault(headers=(("Content-Type", kind),))
        with pytest.raises(ZooError, match="calls a file or a commit"):
            pull(REPO, backoff=QUICK)
    assert not list(tmp_path.rglob("outside*"))


@pytest.mark.parametrize(
    "code",
    [
        f"from zoo import hub; hub.pull('{REPO}')",
        f"from zoo import hub; hub.push('{REPO}', {{'README.md': Path('README.md')}})",
        f"from zoo.ingest import labelled_folders; labelled_folders.read_folders('{REPO}')",
        f"from zoo.data import unpacking; unpacking.check_repo('{REPO}')",
    ],
)
def test_no_way_to_the_hub_lets_it_name_files_elsewhere(hub, token, tiny, tmp_path, code):
    """Each in a process of its own: what one prepares must not be what makes another safe."""
    for kind in ("model", "dataset"):
        push(REPO, tiny(), kind=kind)
    outside = "../" * 20 + str(tmp_path / "outside.py").strip("/")
    hub.choose_fault = lambda method, path: Fault(headers=(("ETag", f'"{outside}"'), ("X-Repo-Commit", "0" * 40)))
    (tmp_path / "README.md").write_text("# Mine\n")
    cache = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_CACHE": str(tmp_path / "cache" / "hub")}
    done = python(f"from pathlib import Path; import os; os.chdir({str(tmp_path)!r}); {code}", **cache)
    assert not list(tmp_path.rglob("outside*")), done.stderr


def test_a_cached_file_that_was_damaged_is_fetched_again(hub, token, tiny):
    push(REPO, tiny())
    damaged = pull(REPO) / "model.onnx"
    whole = damaged.read_bytes()
    damaged.resolve().write_bytes(whole[::-1])
    offline = python(f"from zoo import hub; hub.resolve('hf://{REPO}')", HF_HUB_OFFLINE="1")
    assert "Only a part of" in offline.stderr.splitlines()[-1]
    assert (pull(REPO) / "model.onnx").read_bytes() == whole


@pytest.mark.parametrize(
    "link",  # what of the cache leads elsewhere
    [
        "snapshots/{commit}/model.onnx",
        "snapshots/{commit}",
        "snapshots",
        "blobs",
        "{blob}",
        "refs/main",
        "trees/{commit}.json",
        "verified",
    ],
)
def test_a_cache_that_somebody_filled_neither_deletes_nor_changes_a_file_elsewhere(hub, token, tiny, tmp_path, link):
    push(REPO, tiny())
    folder = pull(REPO)
    storage, mine = folder.parent.parent, tmp_path / "mine"
    blob = (folder / "model.onnx").resolve().relative_to(storage.resolve())
    path = storage / link.format(commit=folder.name, blob=blob)
    if path.is_dir():
        shutil.copytree(path, mine)
        shutil.rmtree(path)
    else:
        mine.write_text("dear diary")
        path.unlink()
    for file in mine.rglob("*"):
        if file.is_file():
            file.write_text("dear diary")
    before = {file: file.is_dir() or file.read_text() for file in tmp_path.rglob("mine*")}
    path.symlink_to(mine)
    with pytest.raises(ZooError, match=r"a link that leads elsewhere or a pipe: .*, and it is fetched again"):
        pull(REPO, backoff=QUICK)
    assert {file: file.is_dir() or file.read_text() for file in tmp_path.rglob("mine*")} == before
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ZooError, match="or a pipe"):
        pull(REPO, backoff=QUICK)


@pytest.mark.parametrize("name", ["model.onnx", "config.json", "preprocessor_config.json"])
def test_a_file_is_what_the_listing_says_and_no_other_of_its_repo(hub, token, tiny, name):
    """Each content has the checksum that names it: a link to another one was right."""
    push(REPO, tiny())
    path = pull(REPO) / name
    whole = path.read_bytes()
    other = next(one for one in path.parent.iterdir() if one.name not in (name, "README.md"))
    path.unlink()
    path.symlink_to(os.readlink(other))
    assert path.read_bytes() != whole
    assert (pull(REPO) / name).read_bytes() == whole


CACHES = {  # what is a link -> how it comes to be used
    "hub/models--me--x": lambda: pull("me/x", backoff=QUICK),
    "hub/.locks": lambda: pull("me/x", backoff=QUICK),
    "hub/.locks/models--me--x": lambda: pull("me/x", backoff=QUICK),
    "hub/.locks/models--me--x/1.lock": lambda: pull("me/x", backoff=QUICK),
    "hub/CACHEDIR.TAG": lambda: pull("me/x", backoff=QUICK),
    "hub/datasets--me--x": lambda: unpacking.check_repo("me/x"),
    "hub/datasets--me--x/blobs": lambda: unpacking.files_of_repo("me/x"),
    "hub/.locks/datasets--me--x": lambda: unpacking.check_repo("me/x"),
    "datasets/me___x": lambda: unpacking.check_repo("me/x"),
    "datasets/me___x/default": lambda: unpacking.check_repo("me/x"),
    "datasets/parquet": lambda: hub_cache.check_prepared("parquet"),
    "hub/spaces--me--x": lambda: hub_cache.of_repo("me/x", "space"),
}


@pytest.mark.parametrize("link", CACHES)
def test_a_cache_whose_own_folders_are_links_is_not_used(hub, tmp_path, monkeypatch, link):
    """The model's folder was a link, so all that came of the Hub was written where it led."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache" / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache" / "datasets")
    (tmp_path / "mine").mkdir()
    path = tmp_path / "cache" / link
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "mine" / ("tag" if "TAG" in link or "lock" in path.suffix else ""))
    with pytest.raises(ZooError, match=rf"a link that leads elsewhere or a pipe: {path}\. Delete "):
        CACHES[link]()
    assert not list((tmp_path / "mine").iterdir())
    assert hub.log == []


def test_a_linked_cache_is_used(hub, token, tiny, tmp_path, monkeypatch):
    """It is the user's own, on another disk."""
    (tmp_path / "large").mkdir()
    (tmp_path / "hub").symlink_to(tmp_path / "large")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    push(REPO, tiny())
    assert pull(REPO) == pull(REPO)


def test_a_cache_whose_branch_is_no_commit_of_it_deletes_nothing_there(hub, token, tiny, tmp_path, monkeypatch):
    push(REPO, tiny())
    storage = pull(REPO).parent.parent
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("mine", "0" * 40):
        mine = tmp_path / "snapshots" / name
        shutil.copytree(tmp_path / "tiny", mine)
        (storage / "refs" / "main").write_text("../" * 20 + str(mine).strip("/"))
        with pytest.raises(ZooError, match="the cache names no commit for it"):
            pull(REPO, backoff=QUICK)
        assert len(list(mine.iterdir())) == len(list((tmp_path / "tiny").iterdir()))


def test_a_cache_of_plain_files_is_never_thrown_away_unread(hub, token, tiny, monkeypatch):
    """As copying without links makes it: offline nothing tells their checksums."""
    push(REPO, tiny())
    folder = pull(REPO)
    storage = folder.parent.parent
    for path in folder.iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    for name in ("verified", "trees", "blobs"):
        shutil.rmtree(storage / name)
    _tree_cache._IN_MEMORY_TREE_CACHE.clear()
    with monkeypatch.context() as offline:
        offline.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ZooError, match=r"nothing in the Hub's cache tells the checksums of its files. .* online"):
            pull(REPO, backoff=QUICK)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents(tiny())
    assert pull(REPO) == folder
    (storage / "verified" / f"{folder.name}.json").write_text("{")
    assert pull(REPO) == folder


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("hf://me/nothing", NoSuchRepo, "The Hub has no repo me/nothing, or none that may be seen"),
        ("hf://me/other", zoo.ZooError, r"me/other is not a published model: there is no config.json and no metadata"),
        (f"hf://{REPO}@v9", zoo.ZooError, rf"The Hub has no such revision: {REPO} at v9"),
        ("hf://", zoo.ZooError, "'' cannot be a repo's name"),
        ("lenet5.optdigits", zoo.UnknownName, "There is no shipped model 'lenet5.optdigits'; .*set ZOO_MODELS to"),
        ("./nowhere", zoo.ZooError, "nowhere is not a published model: there is no config.json"),
    ],
)
def test_what_is_not_there_is_one_sentence(hub, token, tiny, name, error, sentence):
    push(REPO, tiny())
    push("me/other", {"weights.bin": tiny()["config.json"]})
    hub.log.clear()
    with pytest.raises(error, match=sentence) as told:
        zoo.load_predictor(name)
    assert "\n" not in str(told.value)
    assert not any("weights.bin" in request.path for request in hub.log)  # a stranger's gigabytes stay where they are


def test_no_way_past_the_bounds_is_open(hub, token, tmp_path):
    """`huggingface_hub` sends large files by hf_xet where that is installed, on connections of its own."""
    asked = []
    hub.choose_fault = lambda method, path: asked.append(path)
    code = (
        "from zoo import hub\n"
        "with hub.bounded(60, 10**7, 'me/x'):\n"
        "    from huggingface_hub import CommitOperationAdd, HfApi\n"
        "    HfApi().create_repo('me/x', repo_type='dataset', exist_ok=True)\n"
        "    add = CommitOperationAdd('a.onnx', bytes(300_000))\n"
        "    HfApi().create_commit('me/x', [add], commit_message='x', repo_type='dataset')\n"
    )
    without = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_XET"}
    done = subprocess.run([sys.executable, "-c", code], env=without, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert asked
    assert not [path for path in asked if "xet" in path]
