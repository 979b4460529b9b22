"""A real browser before a real Space. `CHROMIUM` names the browser; where there is none, tests skip, or fail in CI."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from records import write_board
from space import serve

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
AXE = "axe-core@4.14.1"
PATIENCE = 120_000  # ms; far more than anything takes on a busy machine
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a moving pattern
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="session")
def space(tmp_path_factory):
    """The Space over a board of made-up rows, whatever is shipped."""
    with serve(ZOO_RECORDS=str(write_board(tmp_path_factory.mktemp("records")))) as space:
        yield space


@pytest.fixture(scope="session")
def browser():
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing = "no browser: install Chromium, or name one in CHROMIUM"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core, which npm fetches once; where there is no npm, its tests skip, or fail in CI."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "handwriting-zoo" / AXE
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", AXE]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            missing = f"npm cannot fetch {AXE}: {error}"
            pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    return script.read_text(encoding="utf-8")


@pytest.fixture
def visit(browser, space):
    """Return a function that opens an address of the Space on a screen; no page errs or asks another server.

    Gradio mounts a page piece by piece: what is awaited has to be there and the masthead above it, which moves it.
    """
    contexts, asked, errors = [], [], []

    def visit(address="", awaited="#draw-pad .listening .sheet", **screen):
        context = browser.new_context(**screen)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{space.url}/{address}")
        page.wait_for_selector(".masthead", state="attached")  # hidden where the page is embedded
        page.wait_for_selector(awaited)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((space.url, "data:", "blob:"))] == []


@pytest.fixture
def page(visit):
    """The Space on a desk."""
    return visit(viewport={"width": 1280, "height": 900})


@pytest.fixture
def phone(visit):
    """The Space on a phone."""
    return visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=3)
