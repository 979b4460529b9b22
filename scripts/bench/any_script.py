"""Measure "Anything": several networks are asked, and their answers are compared.

    python -m scripts.bench.any_script                    1,000 validation samples of each dataset
    python -m scripts.bench.any_script --samples 300

Every sample goes to every network, placed as its contract says: to one of each script, and to one that knows digits
and letters in place of those that know one of them. Each way to compare is measured with and without counting labels
that are written alike together, and pages are made of samples of one dataset. Characters of other alphabets, which
nothing was trained on, should be refused by all. Nothing here looks at a test set.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

import zoo
from leaderboard import unknown
from zoo import data, ink
from zoo.serving import by_script
from zoo.serving.predictor import Predictor

INKED = 127  # of 255: a sample without a darker pixel is not asked about
PAGES = (3, 6)  # glyphs a page
SCRIPTS = by_script.DIGITS, by_script.LETTERS, by_script.ARABIC_DIGITS, by_script.ARABIC_LETTERS


@dataclass(frozen=True)
class Samples:
    """Samples of one dataset, and what every network answers.

    labels: of each; "" for what is no character of any network.
    answers: by network, float (N, classes).
    """

    title: str
    labels: list[str]
    answers: dict[str, np.ndarray]


def main() -> None:
    """Print what every way gets right: of single characters, and of pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="of each validation set (default: 1,000)")
    most = parser.parse_args().samples
    served = by_script.networks()
    of_each = [zoo.load_predictor(served[script][0].model) for script in SCRIPTS]
    both = zoo.load_predictor(served[by_script.BOTH][0].model)
    groups = {"one of each script": of_each, "digits and letters by one": [both, *of_each[2:]], "all": [both, *of_each]}
    rng = np.random.default_rng(0)
    asked = [_validation(one, most, rng, groups["all"]) for one in (*of_each[:2], both, *of_each[2:])]
    others = unknown.for_choosing(of_each[0].dataset)
    nothing = (
        [] if others is None else [_samples("other alphabets", others, [""] * len(others), most, rng, groups["all"])]
    )
    console = Console(width=150)
    console.print(f"Networks: {', '.join(one.name for one in groups['all'])}")
    console.print(single(asked, nothing, groups))
    console.print(of_pages(asked, groups))


def _validation(one: Predictor, most: int, rng: np.random.Generator, networks: list[Predictor]) -> Samples:
    split = data.load(one.dataset, "validation")
    return _samples(one.dataset, split.images, [one.labels[n] for n in split.labels], most, rng, networks)


def _samples(
    title: str, images: np.ndarray, labels: list[str], most: int, rng: np.random.Generator, networks: list[Predictor]
) -> Samples:
    rows = [row for row in rng.permutation(len(images)) if images[row].max() > INKED][:most]
    seen = {
        one.contract: np.stack([ink.from_ink(images[row][..., 0] / 255, one.contract) for row in rows])
        for one in networks
    }
    return Samples(title, [labels[row] for row in rows], {one.name: one(seen[one.contract]) for one in networks})


def certainties(one: Predictor, answers: np.ndarray, together: bool) -> np.ndarray:
    """Return by how much the answers of a network pass what it accepts, float (N,).

    Args:
        one: the network.
        answers: float (N, classes).
        together: whether labels that are written alike count together, as `by_script.certainty` counts them.
    """
    alone = np.where(answers == answers.max(axis=1, keepdims=True), answers, 0)
    return by_script.certainty(one, answers if together else alone)


def read(samples: Samples, networks: Sequence[Predictor], together: bool, page: int = 1) -> list[str | None]:
    """Return what is read in each sample, None where nothing is; those of a page are read by one network.

    The last samples, which make no whole page, are left out.
    """
    count = len(samples.labels) // page * page
    sure = np.array([certainties(one, samples.answers[one.name][:count], together) for one in networks])
    by_page = sure.reshape(len(networks), -1, page).mean(axis=2)
    found: list[str | None] = []
    for number, chosen in enumerate(by_page.argmax(axis=0)):
        answers = samples.answers[networks[chosen].name][number * page : (number + 1) * page]
        if page > 1:
            answers = by_script.told_by_page(networks[chosen].labels, answers)
        accepted = page > 1 or by_page[chosen, number] >= 0
        found += [networks[chosen].labels[best] if accepted else None for best in answers.argmax(axis=1)]
    return found


def _percent(right: Sequence[bool]) -> str:
    return f"{100 * np.mean(right):.1f}"


def single(asked: list[Samples], nothing: list[Samples], groups: dict[str, list[Predictor]]) -> Table:
    """Return the table of single characters: of each dataset, how often script and label are right."""
    table = Table(title="One character: % of validation samples whose script / label is right")
    for title in (
        "networks",
        "alike together",
        *(f"{one.title}, n {len(one.labels):,}" for one in asked),
        "mean of scripts",
    ):
        table.add_column(title)
    for one in nothing:
        table.add_column(f"{one.title} refused, n {len(one.labels):,}")
    scripts = [index for index, one in enumerate(asked) if by_script.script_of(one.labels) != by_script.BOTH]
    for title, networks in groups.items():
        for together in (False, True):
            rights = [_right(one.labels, read(one, networks, together)) for one in asked]
            mean = np.mean([[np.mean(part) for part in rights[index]] for index in scripts], axis=0)
            cells = [f"{_percent(script)} / {_percent(label)}" for script, label in rights]
            refused = [_percent([got is None for got in read(one, networks, together)]) for one in nothing]
            table.add_row(
                title, "yes" if together else "no", *cells, f"{100 * mean[0]:.1f} / {100 * mean[1]:.1f}", *refused
            )
    return table


def _right(labels: list[str], found: list[str | None]) -> tuple[list[bool], list[bool]]:
    """Return of which samples the script is right, and of which the label."""
    pairs = list(zip(labels, found, strict=True))
    same = [got is not None and by_script.script_of([got]) == by_script.script_of([label]) for label, got in pairs]
    return same, [got == label for label, got in pairs]


def of_pages(asked: list[Samples], groups: dict[str, list[Predictor]]) -> Table:
    """Return the table of pages: how many of their characters are right."""
    table = Table(title="Pages of one dataset: % of characters whose label is right")
    scripts = [one for one in asked if by_script.script_of(one.labels) != by_script.BOTH]
    for title in ("networks", "alike together", "glyphs", *(one.title for one in scripts), "mean"):
        table.add_column(title)
    for title, networks in groups.items():
        for together in (False, True):
            for page in PAGES:
                rights = []
                for one in scripts:
                    found = read(one, networks, together, page)
                    rights.append(_right(one.labels[: len(found)], found)[1])
                mean = f"{100 * np.mean([np.mean(right) for right in rights]):.1f}"
                table.add_row(title, "yes" if together else "no", str(page), *map(_percent, rights), mean)
    return table


if __name__ == "__main__":
    main()
