"""Problems of a submission, each with a fix."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from typing_extensions import TypedDict

from zoo.errors import ZooError
from zoo.types import Json

MOST_PROBLEMS = 20  # of one file
MOST_COUNTED = 10**18  # parameters, operations
LONGEST_TEXT = 8000  # characters of a reason: of all problems together


class ProblemFields(TypedDict):
    """A `Problem` as plain JSON types."""

    code: str
    what: str
    fix: str


@dataclass(frozen=True)
class Problem:
    """One problem that must be fixed before a submission is accepted."""

    code: str  # a short name that stays the same, for example "lambda"
    what: str  # what was found, a sentence
    fix: str  # how to fix it, a sentence

    def to_dict(self) -> ProblemFields:
        """Return plain JSON types."""
        return ProblemFields(code=self.code, what=plain(self.what), fix=plain(self.fix))

    def __str__(self) -> str:
        return f"{self.what} {self.fix}"


class Refused(ZooError):
    """A file is rejected; `problems` has all known problems."""

    def __init__(self, code: str, what: str, fix: str):
        super().__init__(f"{what} {fix}")
        self.problems: tuple[Problem, ...] = (Problem(code, what, fix),)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "Refused":
        """Return a `Refused` for several problems."""
        refused = cls(problems[0].code, problems[0].what, problems[0].fix)
        refused.problems = tuple(problems)
        return refused

    @property
    def problem(self) -> Problem:
        """The first problem."""
        return self.problems[0]


class Findings:
    """Collects the problems of several checks, so that a sender gets all at once.

    found = Findings()
    with found.next():
        ...  # may raise Refused
    found.check()  # raises Refused with all problems, if there are any
    """

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}  # in order, each once

    @contextlib.contextmanager
    def next(self) -> Iterator[None]:
        """Collect the problems of a block; raise them immediately when there are too many."""
        try:
            yield
        except Refused as error:
            self._problems |= dict.fromkeys(error.problems)
            if len(self._problems) >= MOST_PROBLEMS:
                self.check()

    def check(self) -> None:
        """Raise Refused with every problem that was found."""
        if problems := tuple(self._problems)[:MOST_PROBLEMS]:
            raise Refused.of(problems)


# What a child says that has read a stranger's file


def problems_of(values: Json) -> tuple[Problem, ...]:
    """Return the problems that a child found, as text that can be shown; ValueError where they are none."""
    found = values.get("problems", [])
    if not isinstance(found, list) or len(found) > MOST_PROBLEMS or not all(isinstance(one, dict) for one in found):
        raise ValueError("These are no problems.")
    return tuple(Problem(*texts([one.get(part) for part in ("code", "what", "fix")])) for one in found)


def texts(values: object) -> tuple[str, ...]:
    """Return texts of a child as they can be shown; ValueError where they are none."""
    if not isinstance(values, list) or len(values) > MOST_PROBLEMS or not all(isinstance(one, str) for one in values):
        raise ValueError("These are no texts.")
    return tuple(plain(one) for one in values)


def whole(values: Json, name: str) -> int:
    """Return a number that a child counted; ValueError where it is none."""
    value = values.get(name)
    if type(value) is not int or not 0 <= value <= MOST_COUNTED:
        raise ValueError(f"{name} is no number.")
    return value


def plain(text: str, most: int = LONGEST_TEXT) -> str:
    """Return text as receipts show it: one line of printable characters, none that moves or hides others."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * most]).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def short(value: object, most: int = 60) -> str:
    """Return a value from a file as a short quotation of printable text."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else "�" for c in text[: most + 1])
    return f"'{text[:most]}…'" if len(text) > most else f"'{text}'"
