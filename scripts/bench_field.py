"""Measure reading on pictures that people took, and on rendered ones.

    python scripts/bench_field.py DIR                     DIR/index.csv and DIR/images (file, hand, dataset, text, kind)
    python scripts/bench_field.py DIR --failures OUT      also writes OUT.png: what failed, with what the network saw
    python scripts/bench_field.py --stress 50             rendered sets of MNIST's validation digits, 50 pictures each
    python scripts/bench_field.py --fuzz 2000             broken and extreme pictures: only a ZooError may be raised

"one" takes all ink as one glyph, as /predict does; "read" lets the picture decide, as /read does. Intervals are 95%, by
bootstrap over the hands, since the pictures of one hand are alike. Nothing is ever trained on these pictures.
"""

import argparse
import csv
import io
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cli
import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import zoo
from scripts.bench.stress_pictures import SETS
from zoo import data
from zoo.serving.reading import read

MODELS = {"mnist": "glyphnet_1m.mnist", "ahdd": "glyphnet_300k.ahdd", "ahcd": "glyphnet_300k.ahcd"}
TILE = 128  # pixels of a picture on the contact sheet


@dataclass(frozen=True)
class Answer:
    """What was read in one picture: by hand `hand`, which shows `text`, along one path."""

    dataset: str
    kind: str
    hand: str
    path: str
    text: str
    said: str
    seconds: float

    @property
    def right(self) -> bool:
        """Whether every glyph and line is right."""
        return self.said == self.text


def answers_of(folder: Path, tiles: list) -> Iterator[Answer]:
    """Yield an answer for every picture and path; what failed goes to `tiles`."""
    predictors = {name: zoo.load_predictor(model) for name, model in MODELS.items()}
    with open(folder / "index.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        picture = next(path for path in (folder / "images" / row["file"], folder / row["file"]) if path.is_file())
        several = len(row["text"]) > 1
        for path in ("read",) if several else ("one", "read"):
            started, images = time.perf_counter(), []
            try:
                found = read(picture, predictors[row["dataset"]], one=path == "one")
                said, images = "/".join(found.lines), [glyph.image for glyph in found.glyphs]
            except Exception as error:  # counted and printed: that none but ZooError comes is one of the figures
                said = f"!{type(error).__name__}"
            seconds = time.perf_counter() - started
            kind = "several" if several else row["kind"]
            answer = Answer(row["dataset"], kind, row["hand"], path, row["text"], said, seconds)
            if not answer.right:
                tiles.append((picture, f"{row['file']} {path} {answer.text!a} {said!a}", images))
            yield answer


def interval(answers: list[Answer]) -> tuple[float, float]:
    """The 95% interval of the share of right answers, by bootstrap over hands."""
    by_hand = defaultdict(list)
    for answer in answers:
        by_hand[answer.hand].append(answer.right)
    sums = np.array([(sum(right), len(right)) for right in by_hand.values()], float)
    chosen = np.random.default_rng(0).integers(0, len(sums), (2000, len(sums)))
    right, count = sums[chosen].sum(axis=1).T
    low, high = np.percentile(right / count, [2.5, 97.5])
    return float(low), float(high)


def edits(one: str, other: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def show(answers: list[Answer]) -> None:
    """Print the table of accuracies, then the character error rate of several digits, exceptions and the time."""
    groups: dict[tuple[str, str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.dataset, answer.kind, answer.path].append(answer)
        if answer.kind != "several":
            groups[answer.dataset, "all", answer.path].append(answer)
    table = Table(title=f"{len(answers)} answers, % right")
    for title in ("dataset", "kind", "path", "right", "n", "%", "95%", "hands"):
        table.add_column(title)
    for key, found in sorted(groups.items()):
        low, high = interval(found)
        right, hands = sum(answer.right for answer in found), len({answer.hand for answer in found})
        share = f"{100 * right / len(found):.1f}"
        table.add_row(*key, str(right), str(len(found)), share, f"{100 * low:.1f} to {100 * high:.1f}", str(hands))
    console = Console(width=120)
    console.print(table)
    several = [answer for answer in answers if answer.kind == "several"]
    if several:
        wrong, length = sum(edits(a.text, a.said) for a in several), sum(len(a.text) for a in several)
        console.print(f"Several digits: {100 * wrong / length:.1f}% of characters wrong ({wrong} of {length}).")
    by_hand: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        if answer.path == "read":
            by_hand[answer.hand].append(answer.right)
    worst = sorted(by_hand.items(), key=lambda item: np.mean(item[1]))[:8]
    console.print("Hands that are read worst: " + ", ".join(f"{h} {sum(r)} of {len(r)}" for h, r in worst))
    failed = Counter(answer.said for answer in answers if answer.said.startswith("!"))
    console.print(
        f"Exceptions: {dict(failed) or 'none'}. Median {1000 * np.median([a.seconds for a in answers]):.0f} ms."
    )


def contact_sheet(tiles: list, path: Path) -> None:
    """Write a picture of what failed, with what the network saw of it."""
    rows = []
    for picture, caption, images in tiles:
        tile = np.full((TILE + 18, 6 * TILE, 3), 90, np.uint8)
        shown = [zoo.ink.decoding.pixels(picture)[..., :3], *(np.repeat(image, 3, axis=2) for image in images[:5])]
        for column, image in enumerate(shown):
            scale = (TILE - 4) / max(image.shape[:2])
            size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
            tile[: size[1], column * TILE : column * TILE + size[0]] = small
        cv2.putText(tile, caption, (2, TILE + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
        rows.append(tile)
    if rows:
        rows += [np.zeros_like(rows[0])] * (len(rows) % 2)
        pairs = [np.hstack(rows[i : i + 2]) for i in range(0, len(rows), 2)]
        cv2.imwrite(str(path), np.vstack(pairs)[..., ::-1])


def stress(count: int, only: str) -> None:
    """Print the share of rendered pictures whose whole text is right, set by set."""
    rows, predictor = data.load("mnist", "validation"), zoo.load_predictor(MODELS["mnist"])
    for name, (render, glyphs) in SETS.items():
        if only not in name:
            continue
        rng, right = np.random.default_rng(0), 0
        for _ in range(count):
            chosen = rng.choice(len(rows), glyphs)
            try:
                said = read(render(rows.images[chosen], rng), predictor).text
            except zoo.ZooError:
                said = ""
            right += said == "".join(map(str, rows.labels[chosen]))
        print(f"{name}: {right} of {count}", flush=True)


def fuzz(count: int) -> int:
    """Read broken and extreme pictures; return how many raised anything but a ZooError."""
    rng, predictor, failed = np.random.default_rng(0), zoo.load_predictor("glyphnet_10k.mnist"), 0
    digit = np.full((120, 90, 3), 230, np.uint8)
    cv2.putText(digit, "5", (20, 95), cv2.FONT_HERSHEY_SIMPLEX, 3, (30, 30, 40), 8)
    modes = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16")
    for index in range(count):
        picture: object
        kind = index % 5
        if kind == 0:  # cut or damaged files
            image, file = Image.fromarray(digit), io.BytesIO()
            image.save(file, ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")[int(rng.integers(6))])
            data = bytearray(file.getvalue()[: int(rng.integers(1, file.tell() + 1))])
            for place in rng.integers(0, len(data), int(rng.integers(0, 8))):
                data[place] = int(rng.integers(256))
            picture = bytes(data)
        elif kind == 1:  # extreme shapes of noise
            shape = tuple(int(n) for n in rng.choice([1, 2, 3, 5, 28, 300, 3000], 2))
            shape = shape if shape != (3000, 3000) else (1, 3000)
            picture = rng.integers(0, 256, (*shape, int(rng.choice([1, 3, 4]))), dtype=np.uint8)
        elif kind == 2:  # every mode of Pillow
            mode = modes[int(rng.integers(len(modes)))]
            try:
                picture = Image.fromarray(digit).convert("L" if mode in ("PA", "I;16", "LA") else "RGB").convert(mode)
            except ValueError:
                picture = Image.new(mode, (30, 40))
        elif kind == 3:  # turned, cut and noisy
            turned = np.asarray(Image.fromarray(digit).rotate(float(rng.uniform(0, 360)), expand=True))
            y, x = (int(rng.integers(0, side - 1)) for side in turned.shape[:2])
            part = turned[y : y + int(rng.integers(1, 120)), x : x + int(rng.integers(1, 120))]
            picture = (part + rng.normal(0, rng.uniform(0, 60), part.shape)).clip(0, 255).astype(np.uint8)
        else:  # arrays of any type
            dtype = rng.choice(["f4", "f8", ">u2", "i4", "u1", "bool", "i8", "f2"])
            picture = rng.normal(0, rng.choice([0.3, 1, 1000]), (int(rng.integers(1, 99)), 40)).astype(dtype)
        try:
            read(picture, predictor)
        except zoo.ZooError:
            pass
        except Exception as error:
            failed += 1
            print(f"picture {index}: {type(error).__name__}: {error}")
    print(f"{count} fuzzed pictures: {failed} raised anything but a ZooError.")
    return failed


def main() -> int:
    """Print what was asked for; 1 if a fuzzed picture raised anything but a ZooError."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--failures", type=Path)
    parser.add_argument("--stress", type=int, default=0)
    parser.add_argument("--only", default="", help="of the rendered sets, those whose names hold this")
    parser.add_argument("--fuzz", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.folder:
        tiles: list = []
        show(list(answers_of(arguments.folder, tiles)))
        if arguments.failures:
            contact_sheet(tiles, arguments.failures.with_suffix(".png"))
    if arguments.stress:
        stress(arguments.stress, arguments.only)
    return int(bool(fuzz(arguments.fuzz))) if arguments.fuzz else 0


if __name__ == "__main__":
    cli.run(main)
