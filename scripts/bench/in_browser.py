"""Measure exported pages in a real browser: milliseconds an image, and from a movement of the pen to its label.

    python -m scripts.bench.in_browser                                 the sizes of glyphnet
    python -m scripts.bench.in_browser --models lenet5.mnist --rounds 50

`CHROMIUM` names the browser. Exit status 1 if a target is missed.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from scripts import cli
from zoo import hub
from zoo.errors import ZooError
from zoo.portable import page as alone

# Milliseconds an image on two cores, and from a movement of the pen to its label at the median.
TARGETS = {"glyphnet_10k.mnist": 1, "glyphnet_100k.mnist": 4, "glyphnet_300k.mnist": 10, "glyphnet_1m.mnist": 30}
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
    """Print a line for each network; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(TARGETS))
    parser.add_argument("--rounds", type=int, default=200, help="of five images each (default: 200)")
    arguments = parser.parse_args()
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    browser = os.environ.get("CHROMIUM") or found
    if browser is None:
        raise ZooError("There is no browser: install Chromium, or name one in CHROMIUM.")
    missed = False
    for model in arguments.models:
        image, delay, count = measured(model, browser, arguments.rounds)
        late = image > TARGETS.get(model, float("inf")) or delay > FRAME.get(model, float("inf"))
        missed |= late
        print(
            f"{model}: {image:.2f} ms an image, {delay:.1f} ms from pen to label (median of {count}){' MISSED' * late}"
        )
    return int(missed)


def measured(model: str, browser: str, rounds: int) -> tuple[float, float, int]:
    """Return milliseconds an image, the median from a movement to a label, and how many movements were measured."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        path = Path(scratch) / "page.html"
        alone.write(hub.resolve(model), path)
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = running.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("[data-ready]")
        image = page.evaluate(ONE_IMAGE, rounds)
        page.evaluate(WATCH)
        box = page.locator("#draw-pad .sheet").bounding_box()
        assert box is not None
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
        running.close()
    return image, delays[len(delays) // 2], len(delays)


if __name__ == "__main__":
    cli.run(main)
