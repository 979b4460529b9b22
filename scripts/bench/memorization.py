"""Measure how much less accurate shipped networks are on redrawn test glyphs: figures for `memorization`.

    python -m scripts.bench.memorization [NAME ...]    default: every shipped network of single glyphs

One line per network: errors on the test images and on the same glyphs drawn again (seed 1), their ratio, and the flag.
"""

import argparse
import functools

import numpy as np
import onnxruntime

from leaderboard.memorization import MemorizationGap, drawn_again
from zoo import data
from zoo.published import PublishedFolder
from zoo.settings import PRETRAINED

BATCH = 64  # images a call


@functools.cache
def images_of(dataset: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the test images of a dataset, the same glyphs drawn again, and their labels."""
    test = data.load(dataset, "test")
    return test.images, drawn_again(test.images, np.random.default_rng(1)), test.labels


def main() -> None:
    """Print a line for every network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    shipped = sorted(
        path.parent.name for path in PRETRAINED.glob(f"*/{PublishedFolder.ONNX}") if "pages" not in path.parent.name
    )
    for name in parser.parse_args().names or shipped:
        plain, again, labels = images_of(name.partition(".")[2].partition("-")[0])
        session = onnxruntime.InferenceSession(PublishedFolder(PRETRAINED / name).onnx)
        feed = session.get_inputs()[0].name

        def right(images: np.ndarray, session=session, feed=feed, labels=labels) -> np.ndarray:
            """Return which images are read as labeled, bool (N,)."""
            parts = [session.run(None, {feed: images[n : n + BATCH]})[0] for n in range(0, len(images), BATCH)]
            return np.concatenate(parts).argmax(axis=1) == labels

        found, found_again = right(plain), right(again)
        errors, errors_again = int((~found).sum()), int((~found_again).sum())
        gap = MemorizationGap.of(found, found_again)
        flag = "  flagged" * gap.flagged
        print(f"{name:28} {errors:5} {errors_again:5} of {len(labels):,}  {errors_again / max(errors, 1):.2f}{flag}")


if __name__ == "__main__":
    main()
