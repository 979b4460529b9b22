"""Measure exported pages in a real browser: milliseconds an image, and from a movement of the pen to its label.

    python -m scripts.bench.in_browser                                 the sizes of glyphnet
    python -m scripts.bench.in_browser --models lenet5.mnist --rounds 50

`CHROMIUM` names the browser. Exit status 1 if a target is missed.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts import cli
from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from zoo import hub
from zoo.errors import ZooError
from zoo.portable import page as alone

# Milliseconds an image on two cores, and from a movement of the pen to its label at the median.
TARGETS = {"glyphnet_10k.mnist": 1, "glyphnet_100k.mnist": 4, "glyphnet_300k.mnist": 10, "glyphnet_1m.mnist": 30}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FRAME = {"glyphnet_100k.mnist": 16}

ONE_IMAGE = """rounds => {
  const { file, probabilities } = globalThis.handwriting;
  const image = new Uint8Array(file.contract.height * file.contract.width).map((_, index) => (index * 37) % 256);
  const times = [];
  for (let round = 0; round < rounds + 5; round++) {
    const begun = performance.now();
    for (let i = 0; i < 5; i++) probabilities(image);
    times.push((performance.now() - begun) / 5);
  }
  return times.slice(5).sort((a, b) => a - b)[Math.floor(rounds / 2)];
}"""
WATCH = """() => {
  window.delays = [];
  let moved = null;
  document.querySelector('#draw-pad .sheet').addEventListener('pointermove', () => moved ??= performance.now(), true);
  new MutationObserver(() => {
    if (moved === null) return;
    window.delays.push(performance.now() - moved);
    moved = null;
  }).observe(document.querySelector('.reading'), { subtree: true, childList: true, attributes: true });
}"""


def main() -> int:
    """Measure; 1 if a target is missed."""
    parser = measurements.parser(__doc__)
    parser.add_argument("--models", nargs="+", default=list(TARGETS))
    parser.add_argument("--rounds", type=int, default=200, help="of five images each (default: 200)")
    arguments = parser.parse_args()
    cells = []
    with running() as browser:
        for model in arguments.models:
            image, delay, moved = measured(model, browser, arguments.rounds)
            what = f"`{model}`"
            cells += [
                Measurement(what, image, "ms", TARGETS.get(model), n=arguments.rounds, column="an image"),
                Measurement(what, delay, "ms", FRAME.get(model), n=moved, column="pen to label"),
            ]
    return measurements.conclude("in_browser", arguments, [Table("network, medians", cells)])


@contextmanager
def running() -> Iterator[Any]:
    """Yield a browser of Playwright; ZooError where none is installed."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise ZooError("There is no browser: install Chromium, or name one in CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, folder: Path, precision: str = "float16") -> Iterator[Any]:
    """Yield a published network as an exported page that is ready in a browser."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "page.html"
        alone.write(folder, path, precision)
        page = browser.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("[data-ready]")
        yield page
        page.close()


def one_image(page: Any, rounds: int) -> float:
    """Return milliseconds an image in an opened page: the median of rounds of five."""
    milliseconds: float = page.evaluate(ONE_IMAGE, rounds)
    return milliseconds


def measured(model: str, browser: Any, rounds: int) -> tuple[float, float, int]:
    """Return milliseconds an image, the median from a movement to a label, and how many movements were measured."""
    with opened(browser, hub.resolve(model)) as page:
        image = one_image(page, rounds)
        page.evaluate(WATCH)
        box = page.locator("#draw-pad .sheet").bounding_box()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
        page.mouse.down()
        for step in range(60):
            share = step / 60
            page.mouse.move(
                box["x"] + (0.3 + 0.4 * share) * box["width"], box["y"] + (0.2 + 0.6 * share) * box["height"]
            )
            page.wait_for_timeout(30)
        page.mouse.up()
        delays = sorted(page.evaluate("window.delays"))
    return image, delays[len(delays) // 2], len(delays)


if __name__ == "__main__":
    cli.run(main)
