"""A visitor sends three networks made elsewhere, watches each being measured, and finds all three on the board."""

import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT
from networks import keras_file, onnx_file, perceptron
from space import serve

from leaderboard import snapshot
from leaderboard.submissions.store import LocalStore

PATIENCE = 240_000  # ms; a sandbox with TensorFlow takes 15 s where nothing else runs
DONE = '.receipt:not([data-status="PENDING"]):not([data-status="RUNNING"])'
DESK, PHONE = ({"viewport": {"width": width, "height": height}} for width, height in ((1280, 900), (390, 844)))


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A Space with its own store and board, and a worker."""
    root = tmp_path_factory.mktemp("submissions")
    settings = {"ZOO_RECORDS": str(root / "records"), "ZOO_SUBMISSIONS": str(root / "store")}
    (root / "records").mkdir()
    snapshot.write(root / "records")
    command = [sys.executable, "scripts/evaluate_submissions.py", "--watch", "--warm", "--seeds", "1", "--epochs", "1",
               "--records", root / "records", "--cache", root / "cache"]  # fmt: skip
    worker = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings})
    try:
        with serve(**settings) as space:
            yield space
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    assert all(not s.open for s in LocalStore(root / "store").all())


def fill(page, name: str, path) -> None:
    page.locator("#submit-user input, #submit-user textarea").fill("visitor")
    page.locator("#submit-file input[type=file]").set_input_files(path)
    page.locator("#submit-file .file-preview").wait_for()
    page.locator("#submit-name input, #submit-name textarea").fill(name)
    page.locator("#submit-datasets").get_by_text("optdigits").click()
    page.locator("#submit-licence input").fill("mit")
    page.get_by_role("option", name="mit", exact=True).click()
    page.locator("#submit-declaration textarea").fill("optdigits, its training rows")
    page.locator("#submit-claimed input, #submit-claimed textarea").fill("99.5")


@pytest.mark.parametrize(
    ("name", "suffix", "data"),
    [
        ("from_pytorch", "onnx", onnx_file()),
        ("from_keras", "keras", keras_file()),
        ("an_architecture", "json", json.dumps(perceptron()).encode()),
    ],
)
def test_a_network_goes_from_the_form_to_the_board(visit, tmp_path, name, suffix, data):
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(data)
    page = visit("?tab=submit", "#submit-send", **DESK)
    fill(page, name, path)
    page.locator("#submit-send").click()
    page.wait_for_selector(".receipt[data-status]", timeout=PATIENCE)
    assert "submission=" in page.url
    page.wait_for_selector(DONE, timeout=PATIENCE)
    assert page.locator(".receipt").get_attribute("data-status") == "FINISHED", page.locator(".state").inner_text()
    steps = page.locator(".receipt .steps li").all_inner_texts()
    assert [step.split(" UTC ")[1].split(":")[0] for step in steps] == ["waiting", "being measured", "finished"]
    measured = page.locator(".receipt .results td").first.inner_text()
    page.get_by_role("link", name="its row").click()
    page.wait_for_selector(f'.page h2:has-text("visitor~{name}")')
    page.get_by_text("Claimed: 99.50%").wait_for()
    page.get_by_role("tab", name="Leaderboard").click()
    page.locator("#board-dataset").get_by_text("Tiny digits", exact=True).click()
    row = page.locator(f'#board-table tr:has-text("visitor~{name}")')
    row.wait_for()
    assert row.locator(".badge.sent").inner_text() == "by visitor"
    said = row.locator('[data-column="accuracy"]').inner_text()
    assert said.split()[0] == measured
    assert "claimed 99.50" in said


def missing_stands_at_its_field(page):
    fields = page.evaluate("""[...document.querySelectorAll('#submit-form :is(input, textarea, #submit-send)')]
        .map(one => one.closest('[id^=submit-]').id).filter((id, i, all) => all.indexOf(id) === i)""")
    assert fields[0] == "submit-file"
    assert fields.index("submit-datasets") < fields.index("submit-name")
    assert fields[-1] == "submit-send"
    page.locator("#submit-send").click()
    page.locator(".field:has(#submit-file) .field-error").get_by_text("Choose a file").wait_for()
    for field, sentence in (("datasets", "Choose one of"), ("name", "The name is ''"), ("user", "Say who you are")):
        page.locator(f".field:has(#submit-{field}) .field-error").get_by_text(sentence).wait_for()
    page.locator("#submit-user input, #submit-user textarea").fill("visitor")
    page.locator("#submit-send").click()
    page.get_by_text("Say who you are").wait_for(state="detached")
    page.wait_for_selector("#submit-name [aria-invalid=true]")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_what_is_missing_stands_at_its_field_and_a_refused_one_says_what_has_to_change(visit, tmp_path):
    """And keeps its page."""
    path = tmp_path / "model.keras"
    path.write_bytes(keras_file(perceptron((28, 28, 1))))
    page = visit("?tab=submit", "#submit-send", **PHONE)
    missing_stands_at_its_field(page)
    fill(page, "too_wide", path)
    page.locator("#submit-send").click()
    page.wait_for_selector('.receipt[data-status="FAILED"] .problems li[data-code="input-shape"]')
    address = page.url[page.url.index("?") :]
    again = visit(address, '.receipt[data-status="FAILED"]', **PHONE)
    assert again.evaluate("document.documentElement.scrollWidth") == 390
    again.get_by_role("tab", name="Queue").click()
    again.locator("#submit-queue").get_by_text("too_wide").wait_for()
