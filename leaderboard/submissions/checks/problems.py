"""What is wrong with a submission: every problem with what to do about it."""

from dataclasses import asdict, dataclass

from zoo.errors import ZooError


@dataclass(frozen=True)
class Problem:
    """One thing that has to change before a submission can be taken."""

    code: str  # a short name that stays the same, for example "lambda"
    what: str  # what was found, a sentence
    fix: str  # what to do about it, a sentence

    def to_dict(self) -> dict[str, str]:
        """Return plain JSON types."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.what} {self.fix}"


class Refused(ZooError):
    """A file that is not taken, with the first thing that is wrong with it."""

    def __init__(self, code: str, what: str, fix: str):
        super().__init__(f"{what} {fix}")
        self.problem = Problem(code, what, fix)


def short(value: object, most: int = 60) -> str:
    """Return what a file said as a quotation that fits a sentence and holds nothing but printable text."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else "�" for c in text[: most + 1])
    return f"'{text[:most]}…'" if len(text) > most else f"'{text}'"
