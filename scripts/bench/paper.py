"""Compare ways to find ink: each finds it, and all else (pieces, placing, network) stays the same.

    python scripts/bench/paper.py --field DIR      pictures of one glyph in DIR/index.csv
    python scripts/bench/paper.py --samples 40     rendered stress sets, this many validation digits of MNIST each

`docs/research/reading_pictures.md` has the table.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

import zoo
from scripts import cli
from scripts.bench.stress_pictures import SETS
from zoo import data, ink
from zoo.ink import paper
from zoo.ink.decoding import pixels
from zoo.ink.pieces import keep_writing

MODELS = {"mnist": "glyphnet_1m.mnist", "ahdd": "glyphnet_300k.ahdd", "ahcd": "glyphnet_300k.ahcd"}


def gray_of(picture: np.ndarray) -> np.ndarray:
    """A picture as dark ink on light paper, float32 (H, W): turned around where its border is dark."""
    gray = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    if max(gray.shape) < paper.SMALL:
        factor = -(-paper.SMALL // max(gray.shape))
        gray = cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC).clip(0, 255)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    return 255 - gray if np.median(border) < 110 else gray


def fixed_closing(picture: np.ndarray) -> np.ndarray:
    """A closing with an ellipse of 12% of the longer side, a Gaussian, and Otsu's threshold."""
    gray = gray_of(picture)
    size = max(3, round(0.12 * max(gray.shape))) | 1
    ground = cv2.morphologyEx(gray, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    ground = cv2.GaussianBlur(ground, (0, 0), size / 6)
    contrast = ((ground - gray) / ground.clip(40)).clip(0, 1)
    level, _ = cv2.threshold((255 * contrast).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    full = float(np.median(contrast[contrast > level / 255])) if (contrast > level / 255).any() else 1.0
    return (contrast / full).clip(0, 1).astype(np.float32)


def moments(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation in a window of a quarter of the longer side."""
    size = max(3, round(0.25 * max(gray.shape))) | 1
    mean = cv2.blur(gray, (size, size))
    return mean, np.sqrt((cv2.blur(gray * gray, (size, size)) - mean * mean).clip(0))


def sauvola(picture: np.ndarray) -> np.ndarray:
    """Sauvola and Pietikainen (2000), k = 0.2, R = 128."""
    gray = gray_of(picture)
    mean, deviation = moments(gray)
    return (gray < mean * (1 + 0.2 * (deviation / 128 - 1))).astype(np.float32)


def wolf(picture: np.ndarray) -> np.ndarray:
    """Wolf and Jolion (2004), k = 0.5."""
    gray = gray_of(picture)
    mean, deviation = moments(gray)
    level = mean - 0.5 * (1 - deviation / max(1.0, float(deviation.max()))) * (mean - gray.min())
    return (gray < level).astype(np.float32)


WAYS = {
    "closing, 12%, Otsu": fixed_closing,
    "Sauvola": sauvola,
    "Wolf": wolf,
    "stable closing (ours)": lambda picture: paper.find_ink(picture),
}


def label_of(picture: np.ndarray, way, predictor) -> str:
    """The label of a picture of one glyph; empty where no ink is found."""
    try:
        image = ink.from_ink(keep_writing(way(picture)), predictor.contract)
    except zoo.ZooError:
        return ""
    return predictor.labels[int(predictor(image[None])[0].argmax())]


def main() -> int:
    """Print a line a set: the share of right answers of every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", type=Path)
    parser.add_argument("--samples", type=int, default=0)
    arguments = parser.parse_args()
    predictors = {name: zoo.load_predictor(model) for name, model in MODELS.items()}
    print("set", "n", *WAYS, sep=" | ")
    if arguments.field:
        right: dict[tuple[str, str], list[list[bool]]] = defaultdict(list)
        with open(arguments.field / "index.csv", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if len(row["text"]) == 1:
                    picture = pixels(arguments.field / "images" / row["file"])
                    found = [label_of(picture, way, predictors[row["dataset"]]) == row["text"] for way in WAYS.values()]
                    right[row["dataset"], row["kind"]].append(found)
        for key, rows_of in sorted(right.items()):
            shares = (f"{100 * share:.1f}" for share in np.mean(rows_of, axis=0))
            print(" ".join(key), len(rows_of), *shares, sep=" | ", flush=True)
    if arguments.samples:
        rows = data.load("mnist", "validation")
        for name, (render, count) in SETS.items():
            if count > 1:
                continue
            rng, answers = np.random.default_rng(0), []
            for _ in range(arguments.samples):
                chosen = rng.choice(len(rows), 1)
                picture = pixels(render(rows.images[chosen], rng))
                text = str(rows.labels[chosen[0]])
                answers.append([label_of(picture, way, predictors["mnist"]) == text for way in WAYS.values()])
            print(name, len(answers), *(f"{100 * p:.1f}" for p in np.mean(answers, axis=0)), sep=" | ", flush=True)
    return 0


if __name__ == "__main__":
    cli.run(main)
