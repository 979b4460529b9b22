"""Which network reads which script, the best first, and one answer from several for who does not say what they write.

A script is what a visitor can say: digits, letters, Arabic digits, Arabic letters. It follows from the labels of a
network, so a new network is found by its labels alone. `ANYTHING` asks one network of each script.
"""

import functools
import logging
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo import hub
from zoo.errors import UnknownName, ZooError
from zoo.published import PublishedFolder
from zoo.serving.predictor import Predictor
from zoo.settings import PRETRAINED, model_folders

log = logging.getLogger(__name__)
ANYTHING = "anything"
DIGITS, LETTERS, ARABIC_DIGITS, ARABIC_LETTERS = "digits", "letters", "arabic_digits", "arabic_letters"
BOTH, PAGES, OTHER = "digits_and_letters", "pages", "other"
TITLES: Mapping[str, str] = {
    DIGITS: "Digits",
    LETTERS: "Letters",
    BOTH: "Digits and letters",
    ARABIC_DIGITS: "Arabic digits",
    ARABIC_LETTERS: "Arabic letters",
    OTHER: "Other",
    PAGES: "Whole pages: whose hand it is",
}
RIVAL = 0.05  # the least probability of a label written alike that is worth a word
LOOKED_AT = 10.0  # seconds in which the folders of networks are looked at once
LEAST = 0.5  # the least probability that a network accepts where none was measured

# Labels that people write with the same strokes. Each pair was taken for one another in at least 8 of 1,300 validation
# samples of a script, by the glyphnet_100k of the four scripts together or, as I and L, within one network.
LOOK_ALIKES = ("1IL١أ", "0O٥", "7٦", "9٩", "5S", "2Z", "UV٧", "٤عغ")


@dataclass(frozen=True)
class Network:
    """A network that is served, by what its published folder says.

    Attributes:
        model: its name.
        folder: its published folder.
        dataset: what it was trained on.
        script: one of `TITLES`.
        labels: its classes, in order.
        accuracy: of its validation samples, 0 to 1; 0 where its folder has no history.
        accepts: see `Predictor`; None: it does not know what it does not know.
        parameters: as Keras counts them.
        bytes: of `model.onnx`.
        own: whether it is not shipped, but the visitor's own (`ZOO_MODELS`).
    """

    model: str
    folder: Path
    dataset: str
    script: str
    labels: tuple[str, ...]
    accuracy: float
    accepts: float | None
    parameters: int
    bytes: int
    own: bool


def script_of(labels: Iterable[str]) -> str:
    """Return the script of a network with these labels, or of one label."""
    found = {_script_of_label(label) for label in labels}
    if found == {DIGITS, LETTERS}:
        return BOTH
    return found.pop() if len(found) == 1 else OTHER


def _script_of_label(label: str) -> str:
    if len(label) != 1:
        return OTHER
    if unicodedata.name(label, "").startswith("ARABIC"):
        return ARABIC_DIGITS if label.isdigit() else ARABIC_LETTERS
    if label.isascii() and label.isalnum():
        return DIGITS if label.isdigit() else LETTERS
    return OTHER


def networks() -> Mapping[str, Sequence[Network]]:
    """Return the networks that are served by script, in the order of `TITLES`, the best of each first.

    The best did best on validation. One that knows what it does not know goes before those that do not, a visitor's own
    before shipped ones, and of equals the smaller one. A folder that holds no network is left out.

    The folders of the same networks are looked at once in `LOOKED_AT` seconds, however often it is asked for.
    """
    return _networks(hub.list_models(), model_folders(), int(time.monotonic() / LOOKED_AT))


@functools.lru_cache(maxsize=1)
def _networks(names: tuple[str, ...], folders: tuple[Path, ...], turn: int) -> Mapping[str, Sequence[Network]]:
    found = []
    for name in names:
        try:
            found.append(_network(name, hub.resolve(name)))
        except (ZooError, OSError, LookupError, TypeError, ValueError) as error:
            log.warning("%s is not served: %s", name, error)
    found.sort(key=lambda one: (not one.own, one.accepts is None, -one.accuracy, one.parameters))
    by_script = {script: [one for one in found if one.script == script] for script in TITLES}
    return {script: of_it for script, of_it in by_script.items() if of_it}


@functools.lru_cache(maxsize=512)  # far more than are served
def _network(name: str, folder: Path) -> Network:
    published = PublishedFolder(folder)
    said, history = published.preprocessor, folder / PublishedFolder.HISTORY
    labels = tuple(said["labels"])
    return Network(
        model=name,
        folder=folder,
        dataset=str(said["dataset"]),
        script=script_of(labels) if said["contract"] else PAGES,
        labels=labels,
        accuracy=published.history["validation"]["accuracy"] if history.is_file() else 0.0,
        accepts=said.get("accepts"),
        parameters=published.metadata["parameters"],
        bytes=published.onnx.stat().st_size,
        own=not (PRETRAINED / name).is_dir(),
    )


def scripts() -> tuple[str, ...]:
    """Return the scripts of glyphs that can be asked for here, `ANYTHING` last."""
    return (*(script for script in networks() if script != PAGES), ANYTHING)


def best(script: str) -> tuple[str, ...]:
    """Return the names of the networks to ask for a script: its best one, for `ANYTHING` one of each script.

    Raises:
        UnknownName: no such script here.
    """
    served = networks()
    if script in served:
        return (served[script][0].model,)
    if script != ANYTHING or not served:
        raise UnknownName("script", script, [*served, ANYTHING])
    first = [of_it[0] for key, of_it in served.items() if key not in (PAGES, OTHER)]
    # A network of digits and letters compared their classes in training: it answers for both.
    whole = [one for one in first if not any(set(one.labels) < set(other.labels) for other in first)]
    return tuple(one.model for one in whole) or tuple(of_it[0].model for of_it in served.values())[:1]


# --- one answer from several ---------------------------------------------------------------------


def certainty(predictor: Predictor, probabilities: np.ndarray) -> np.ndarray:
    """Return by how much the likeliest class passes what a network accepts: answers of several compare by it.

    Labels that are written alike count together: a network that knows 1, I and L spreads a stroke over them, and one
    that knows only the Arabic 1 must not win for that. docs/research/reading_pictures.md has what this changes.
    `zoo/tabs/comparing.js` does the same in the page.

    Args:
        predictor: the network.
        probabilities: float (…, classes), its answers.

    Returns:
        float (…,): 1 is certain, 0 just accepted, and below 0 the image counts as none of its classes.
    """
    least = LEAST if predictor.accepts is None else min(predictor.accepts, 0.999)
    kinds = _kinds(predictor.labels)
    alike = kinds == kinds[probabilities.argmax(axis=-1)][..., None]
    share: np.ndarray = ((probabilities * alike).sum(axis=-1) - least) / (1 - least)
    return share


@functools.lru_cache(maxsize=512)
def _kinds(labels: tuple[str, ...]) -> np.ndarray:
    """Return a number for each label, int64 (classes,): those that are written alike have the same."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(_group(label) or label, len(numbers)) for label in labels])


def _group(label: str) -> str:
    return "".join(group for group in LOOK_ALIKES if label in group)


def choose(certainties: Sequence[float]) -> int | None:
    """Return which of several networks is believed, by the certainty of each; None where none accepts the image."""
    if not certainties:
        raise ZooError("Choose at least one network to read this.")
    first = int(np.argmax(certainties))
    return first if certainties[first] >= 0 else None


def look_alikes(label: str, labels: Iterable[str]) -> tuple[str, ...]:
    """Return which of some labels no picture can tell from a label: I and L, O and zero."""
    alike = _group(label)
    if not alike:  # as of most labels
        return ()
    return tuple(other for other in dict.fromkeys(labels) if other != label and other in alike)


def rivals(label: str, answers: Sequence[tuple[Sequence[str], Sequence[float] | np.ndarray]]) -> tuple[str, ...]:
    """Return the labels that are written like a label and as likely as makes a difference, of at least `RIVAL`.

    Args:
        label: what was read.
        answers: of every network that was asked, its labels and their probabilities. One that knows both labels tells
            how likely the other is; only where none does, one that knows the other alone.
    """
    found = []
    for other in look_alikes(label, (one for labels, _ in answers for one in labels)):
        knowing = [(labels, chances) for labels, chances in answers if other in labels]
        both = [answer for answer in knowing if label in answer[0]] or knowing
        if max(chances[labels.index(other)] for labels, chances in both) >= RIVAL:
            found.append(other)
    return tuple(found)


def told_by_page(labels: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
    """Return the answers of a network on a page, on which an O among digits is a zero.

    Where most glyphs are of one script, what the network gave to labels of others that are written alike goes to those
    of that script.

    Args:
        labels: of the network's classes.
        probabilities: float (glyphs, classes), its answers.
    """
    scripts = [script_of([label]) for label in labels]
    (most, count), *_ = Counter(scripts[best] for best in probabilities.argmax(axis=1)).most_common(1)
    if 2 * count <= len(probabilities):
        return probabilities
    told = probabilities.copy()
    for index, label in enumerate(labels):
        alike = [labels.index(other) for other in look_alikes(label, labels)]
        alike = [other for other in alike if scripts[other] == most]
        if scripts[index] != most and alike:
            to = np.array(alike)[probabilities[:, alike].argmax(axis=1)]
            told[np.arange(len(told)), to] += probabilities[:, index]
            told[:, index] = 0
    return told
