"""The form of a submission: its fields, checked and cleaned, and the datasets to choose from."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from zoo import data, settings
from zoo.errors import UnknownName, ZooError
from zoo.strict.problems import Problem, short

LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unlicense", "openrail", "other",
)  # fmt: skip
NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
USER = re.compile(r"[A-Za-z0-9][\w.-]{0,41}", re.ASCII)
LONGEST_LINK, LONGEST_DECLARATION = 300, 600
Found = Callable[[str, str, str], None]  # called with the code of a problem, a description and a fix


@dataclass(frozen=True)
class Offer:
    """The fields of a submission's form."""

    name: str = ""
    datasets: tuple[str, ...] = ()
    licence: str = ""
    declaration: str = ""
    paper: str = ""
    claimed: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Choice:
    """A dataset that a submission can be measured on.

    name: of the dataset.
    missing: why it cannot be chosen here, a sentence; "" if it can.
    """

    name: str
    missing: str = ""


def choices() -> list[str]:
    """Return the datasets that a submission can be measured on: those of single characters."""
    return [name for name, spec in data.DATASETS.items() if spec.image_shape is not None]


def offered() -> list[Choice]:
    """Return the same datasets; one whose data this machine does not have says why it cannot be chosen.

    Only a folder of datasets (`ZOO_DATASETS`) is looked into: without one, the data come from the Hub when they are
    needed.
    """
    root = settings.folder("ZOO_DATASETS")
    return [Choice(name, _missing(name, root)) for name in choices()]


def _missing(name: str, root: Path | None) -> str:
    bundled = name == "optdigits"  # it comes with scikit-learn
    parts = data.get(name).parts or (name,)
    if not root or bundled or all((root / part).is_dir() for part in parts):
        return ""
    return f"The data of “{data.heading(name)}” are not on this server, so nothing can be measured on it here."


def checked_user(user: str) -> str:
    """Return a sender's name; ZooError if it is not valid."""
    user = (user or "").strip()
    if not USER.fullmatch(user) or ".." in user:
        raise ZooError(f"Say who you are: a name of letters, digits, - and _, not {short(user)}.")
    return user


def checked_offer(offer: Offer) -> tuple[Offer, list[Problem]]:
    """Return the cleaned form of a submission, and all its problems."""
    problems: list[Problem] = []

    def found(code: str, what: str, fix: str) -> None:
        problems.append(Problem(code, what, fix))

    wanted = _datasets(offer, found)
    licence = str(offer.licence).strip().lower()
    if licence not in LICENCES:
        found("licence", f"The licence is {short(licence)}.", f"Choose one of {', '.join(LICENCES)}.")
        licence = "other"
    declaration = " ".join(str(offer.declaration).split())
    if not declaration:
        found(
            "declaration",
            "The training data are not described.",
            "Describe which data it was trained on, and which not.",
        )
    if len(declaration) > LONGEST_DECLARATION or not declaration.isprintable():
        found("declaration", "The declaration is too long or not plain text.",
              f"Use at most {LONGEST_DECLARATION} characters.")  # fmt: skip
        declaration = ""
    paper = str(offer.paper or "").strip()
    if paper and not _is_link(paper):
        found("paper", f"The paper is {short(paper)}, not a link.", "Send https://…, or leave it empty.")
        paper = ""
    return Offer(str(offer.name).strip(), wanted, licence, declaration, paper, _claims(offer, found)), problems


def _datasets(offer: Offer, found: Found) -> tuple[str, ...]:
    """Return the known datasets of an offer; what is wrong with the choice goes to `found`."""
    known = choices()
    wanted = tuple(dict.fromkeys(map(str, offer.datasets)))
    unknown = [name for name in wanted if name not in known]
    for name in unknown[:5]:
        found("dataset", str(UnknownName("dataset", name[:40], known)), "Choose from the list.")
    wanted = tuple(name for name in wanted if name in known)
    if not wanted and not unknown:
        found("dataset", "No dataset is chosen.", f"Choose one of {', '.join(known)}, or several.")
    return wanted


def _claims(offer: Offer, found: Found) -> dict[str, float]:
    """Return the claims that are accuracies on known datasets; the others go to `found`."""
    known = choices()
    claimed: dict[str, float] = {}
    wrong: dict[str, object] = {}
    for name, value in (offer.claimed or {}).items():
        # Clients may send anything, regardless of the declared type.
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1 and name in known:
            claimed[name] = float(value)
        else:
            wrong[str(name)[:40]] = value
    for name, said in list(wrong.items())[:5]:
        found("claim", f"The claim for {short(name)} is {short(said)}.", "Claim an accuracy between 0 and 1.")
    return claimed


def checked_name(name: str) -> str:
    """Return a network's name; ZooError if it is not valid: a receipt needs one."""
    if not NAME.fullmatch(name.strip()):
        raise ZooError(
            f"The name is {short(name)}. Use 2 to 40 lower-case letters, digits and _, starting with a letter: my_net."
        )
    return name.strip()


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and not set(text) & set("\"'<>\\ `")
    return len(text) <= LONGEST_LINK and plain and parts.scheme in ("http", "https") and bool(parts.hostname)
